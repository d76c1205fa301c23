/*
 * The contract of core/directory.h, and of those who list directories: what cannot be read is an
 * error and never an end, so no version lacks an entry and no draft is forgotten.
 */
#include "core/directory.h"
#include "store_place.h"

#include <dlfcn.h>

/* So many entries are read, then one call fails; negative: none does. In this thread alone. */
static __thread int fail_after = -1;

struct dirent *readdir(DIR *directory)
{
	static struct dirent *(*real)(DIR *directory);

	if (!real)
		real = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");
	if (fail_after >= 0 && fail_after-- == 0) {
		errno = EIO;
		return NULL;
	}
	return real(directory);
}

static void a_listing_fails_where_it_fails(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "d");
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int n = 0;

	put_directory(place, run, "d");
	assert_int_equal(directory_any(AT_FDCWD, path), 0);
	put_file(place, run, "d/a", "a");
	put_file(place, run, "d/b", "b");
	assert_int_equal(directory_any(AT_FDCWD, path), 1);
	assert_int_equal(directory_open(AT_FDCWD, path, &dir), 0);
	for (; directory_next(dir, &e) > 0; n++)
		assert_int_equal(e->d_name[1], '\0');
	assert_int_equal(n, 2);
	fail_after = 0;
	assert_int_equal(directory_next(dir, &e), -EIO);
	fail_after = 0;
	assert_int_equal(directory_any(AT_FDCWD, path), -EIO);
	assert_int_equal(directory_any(AT_FDCWD, "/nowhere"), -ENOENT);
}

static void make_d(struct place *place, uint32_t run)
{
	put_directory(place, run, "d");
	put_file(place, run, "d/a", "aa");
	put_file(place, run, "d/b", "bb");
}

/* Logs, while the first, second, ... call fails, until none does; how often it failed. */
static int log_until_it_works(struct place *place, uint32_t run, const char *name)
{
	for (int n = 0;; n++) {
		int err;

		fail_after = n;
		err = log_as(place, run, name, "", &root_cred);
		if (fail_after >= 0) {
			assert_int_equal(err, 0);
			fail_after = -1;
			return n;
		}
		assert_int_equal(err, -EIO);
		expect_log(place, run, "EIO");
		assert_int_equal(count_versions(place, "d"), -1);
	}
}

static void what_cannot_be_listed_is_not_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	log_to_file("/dev/null");
	make_d(place, run);
	/* ., .., a, b and the end. */
	assert_int_equal(log_until_it_works(place, run, "d"), 5);
	assert_int_equal(version_of(place, "d", 0).files, 2);
	expect_clean(place);
}

static void drafts_that_cannot_be_listed_are_not_forgotten(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	log_to_file("/dev/null");
	make_d(place, run);
	/* And before it, outputs/: ., .., d and the end. */
	assert_int_equal(log_until_it_works(place, run, ""), 9);
	assert_int_equal(version_of(place, "d", 0).files, 2);
	expect_clean(place);
}

static void what_cannot_be_listed_is_removed_later(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *dir = draft_path(place, run, "");
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	make_d(place, run);
	/* What one pass could not list, the next one does. */
	fail_after = 1;
	assert_int_equal(remove_tree(fd, "d"), 0);
	assert_int_equal(fail_after, -1);
	assert_int_equal(faccessat(fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

struct swap {
	unsigned prepared, swapped;
};

static int count_swap(void *arg, int new_fd, const struct stat *st)
{
	struct swap *swap = arg;

	(void)new_fd;
	++*(st ? &swap->swapped : &swap->prepared);
	return 0;
}

/* A draft d with a file under two names, a and b, whose names cannot all be found. */
static int unshare_unlisted(struct place *place, const char *known_name, struct swap *ret)
{
	uint32_t run = make_run(place, "r");
	autofree char *a = draft_path(place, run, "d/a"), *b = draft_path(place, run, "d/b");
	autofree char *dir = draft_path(place, run, "d");
	autoclose int fd = -1, directory = -1;
	struct draft_area *area;
	struct draft_top *top;
	int err;

	log_to_file("/dev/null");
	put_directory(place, run, "d");
	put_large(place, run, "d/a", 1, BLOB_PACK_MAX + 1);
	assert_int_equal(link(a, b), 0);
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	top = draft_top_get(area, "d");
	fd = open(a, O_RDONLY | O_CLOEXEC);
	directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fail_after = 0;
	err = draft_unshare(top, fd, directory, known_name, false, NULL, count_swap, ret);
	fail_after = -1;
	draft_top_put(top);
	draft_area_put(area);
	return err;
}

static void names_that_cannot_be_found_are_not_left_behind(void **state)
{
	struct place *place = *state;
	struct swap swap = { 0 };

	assert_int_equal(unshare_unlisted(place, NULL, &swap), -EIO);
	assert_int_equal(swap.swapped, 0);
	expect_clean(place);
}

/* One was moved already: whoever has it open goes on with that. */
static void names_that_are_left_behind_are_another_file(void **state)
{
	struct place *place = *state;
	struct swap swap = { 0 };
	struct stat a, b;

	assert_int_equal(unshare_unlisted(place, "a", &swap), -EIO);
	assert_int_equal(swap.swapped, 1);
	stat_draft(place, 1, "d/a", &a);
	stat_draft(place, 1, "d/b", &b);
	assert_true(a.st_ino != b.st_ino);
	assert_int_equal(a.st_nlink, 1);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, a_listing_fails_where_it_fails),
		EVERYWHERE(what_cannot_be_listed_is_not_logged),
		EVERYWHERE(drafts_that_cannot_be_listed_are_not_forgotten),
		ON(memory, what_cannot_be_listed_is_removed_later),
		ON(mixed, names_that_cannot_be_found_are_not_left_behind),
		ON(mixed, names_that_are_left_behind_are_another_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
