/* The contract of core/draft.h, continued: how a draft gets an inode of its own again. */
#include "core/directory.h"
#include "opened.h"

#include <sys/resource.h>

#include <sys/syscall.h>

#define LARGE (BLOB_PACK_MAX + 4096)

static int note_swap(void *arg, int new_fd, const struct stat *st)
{
	struct opened *o = arg;
	struct stat real;

	if (!st)
		return o->refuse;
	/* The area is locked for writing: nobody gets in between. */
	o->locked = pthread_rwlock_tryrdlock(&o->area->lock) != 0;
	assert_int_equal(fstat(new_fd, &real), 0);
	assert_int_equal(real.st_ino, st->st_ino);
	assert_int_equal(fcntl(new_fd, F_GETFL) & O_ACCMODE, O_RDWR);
	o->swapped = *st;
	o->swaps++;
	return 0;
}

static int unshare_at(struct opened *o, const char *path, const char *name, bool truncate)
{
	autofree char *dir = draft_path(o->place, o->run, "");
	autoclose int directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return draft_unshare(o->top, fd, directory, name, truncate, NULL, note_swap, o);
}

static void log_file(struct opened *o, struct place *place)
{
	autofree char *path = NULL;

	open_area(o, place, "m");
	put_large(place, o->run, "m", 1, LARGE);
	path = draft_path(place, o->run, "m");
	assert_int_equal(chmod(path, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 11, 12), 0);
	assert_int_equal(setxattr(path, "user.note", "kept", 4, 0), 0);
	assert_int_equal(log_draft(place, o->run, "m"), 0);
}

static void expect_bytes(struct place *place, uint32_t run, const char *name, const char *like)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	autofree char *a = draft_path(place, run, name), *b = draft_path(place, run, like);
	autoclose int fd_a = open(a, O_RDONLY | O_CLOEXEC), fd_b = open(b, O_RDONLY | O_CLOEXEC);
	struct digest digest_a, digest_b;
	uint64_t size_a, size_b;

	assert_int_equal(digest_of_file(fd_a, h, NULL, &digest_a, &size_a), 0);
	assert_int_equal(digest_of_file(fd_b, h, NULL, &digest_b, &size_b), 0);
	assert_int_equal(size_a, size_b);
	assert_true(digest_equal(&digest_a, &digest_b));
}

static void everything_is_kept(void **state)
{
	struct opened o;
	struct stat before, after;
	autofree char *path = NULL;
	char note[8] = "";

	log_file(&o, *state);
	put_large(o.place, o.run, ".same", 1, LARGE);
	path = draft_path(o.place, o.run, "m");
	stat_draft(o.place, o.run, "m", &before);
	assert_int_equal(unshare_at(&o, "m", "m", false), 0);
	stat_draft(o.place, o.run, "m", &after);
	assert_int_equal(o.swaps, 1);
	assert_true(o.locked);
	assert_int_equal(o.swapped.st_ino, after.st_ino);
	assert_true(before.st_ino != after.st_ino && after.st_nlink == 1);
	assert_true(after.st_mode == before.st_mode && after.st_uid == before.st_uid &&
		    after.st_gid == before.st_gid);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	assert_int_equal(getxattr(path, "user.note", note, sizeof(note)), 4);
	assert_int_equal(getxattr(path, DRAFT_SHARED_XATTR, NULL, 0), -1);
	expect_bytes(o.place, o.run, "m", ".same");
	/* It is nobody else's now: nothing to do. */
	assert_int_equal(unshare_at(&o, "m", "m", false), 0);
	assert_int_equal(o.swaps, 1);
	close_area(&o);
	expect_clean_now(o.place);
	/* What is written now does not reach the version. */
	put_file(o.place, o.run, "m", "over");
	expect_clean_now(o.place);
	assert_int_equal(finish(o.place, o.run), 0);
	assert_int_equal(count_versions(o.place, "m"), 2);
	expect_clean(o.place);
}

static void truncation_copies_nothing(void **state)
{
	struct opened o;
	struct stat st;

	log_file(&o, *state);
	assert_int_equal(unshare_at(&o, "m", "m", true), 0);
	stat_draft(o.place, o.run, "m", &st);
	assert_true(st.st_size == 0 && (st.st_mode & 0777) == 0640 && st.st_nlink == 1);
	close_area(&o);
	assert_int_equal(finish(o.place, o.run), 0);
	assert_int_equal(version_of(o.place, "m", 0).bytes, LARGE);
	assert_int_equal(version_of(o.place, "m", 1).bytes, 0);
	expect_clean(o.place);
}

/* Nothing has happened when whoever has it open cannot follow. */
static void a_swap_that_fails_moves_nothing(void **state)
{
	struct opened o;
	struct stat before, after;

	log_file(&o, *state);
	log_to_file("/dev/null");
	stat_draft(o.place, o.run, "m", &before);
	o.refuse = -EMFILE;
	assert_int_equal(unshare_at(&o, "m", "m", false), -EMFILE);
	stat_draft(o.place, o.run, "m", &after);
	assert_true(before.st_ino == after.st_ino && after.st_nlink == 2);
	assert_int_equal(o.swaps, 0);
	o.refuse = 0;
	assert_int_equal(unshare_at(&o, "m", "m", false), 0);
	stat_draft(o.place, o.run, "m", &after);
	assert_true(before.st_ino != after.st_ino);
	close_area(&o);
	expect_clean(o.place);
}

static const char *const three[] = { "d/first", "d/sub/second", "d/sub/third" };

/* A draft d with a large file under three names; logged if so wanted. */
static void make_three(struct opened *o, struct place *place, bool log)
{
	autofree char *first = NULL;

	open_area(o, place, "d");
	put_directory(place, o->run, "d");
	put_directory(place, o->run, "d/sub");
	put_large(place, o->run, three[0], 1, LARGE);
	first = draft_path(place, o->run, three[0]);
	for (size_t i = 1; i < ARRAY_SIZE(three); i++) {
		autofree char *path = draft_path(place, o->run, three[i]);

		assert_int_equal(link(first, path), 0);
	}
	if (log)
		assert_int_equal(log_draft(place, o->run, "d"), 0);
}

static void expect_one_inode(struct opened *o, ino_t ino, nlink_t links)
{
	for (size_t i = 0; i < ARRAY_SIZE(three); i++) {
		struct stat st;

		stat_draft(o->place, o->run, three[i], &st);
		assert_true(st.st_ino == ino);
		assert_int_equal(st.st_nlink, links);
	}
}

static void all_names_move(void **state)
{
	char path[64];
	nlink_t names;
	struct blob_id id;
	struct opened o;
	struct stat st;

	make_three(&o, *state, true);
	stat_draft(o.place, o.run, three[0], &st);
	assert_int_equal(st.st_nlink, 4);
	assert_true(draft_is_shared(o.area->fd, three[0], &st, &id));
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", o.area->fd, three[0]);
	assert_int_equal(draft_count_names(o.place->store, path, &st, &names), 0);
	assert_int_equal(names, 3);
	assert_int_equal(unshare_at(&o, three[1], NULL, false), 0);
	expect_one_inode(&o, o.swapped.st_ino, 3);
	assert_true(o.swapped.st_ino != st.st_ino);
	close_area(&o);
	assert_int_equal(finish(o.place, o.run), 0);
	expect_clean(o.place);
}

/* A crash came between the mark and the link: there is no blob, but the names are three. */
static void all_names_move_from_under_a_stale_mark(void **state)
{
	struct blob_id id = { .generation = 77 };
	struct opened o;
	autofree char *path = NULL;
	int fd;

	make_three(&o, *state, false);
	path = draft_path(o.place, o.run, three[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(draft_mark_shared(fd, &id), 0);
	close(fd);
	assert_int_equal(unshare_at(&o, "d/sub/third", NULL, false), 0);
	expect_one_inode(&o, o.swapped.st_ino, 3);
	close_area(&o);
	assert_int_equal(finish(o.place, o.run), 0);
	expect_clean(o.place);
}

static void a_stale_mark_on_two_names(void **state)
{
	struct blob_id id = { .generation = 77 };
	struct opened o;
	struct stat a, b;
	autofree char *path = NULL, *other = NULL;
	int fd;

	open_area(&o, *state, "m");
	put_large(o.place, o.run, "m", 1, LARGE);
	path = draft_path(o.place, o.run, "m");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(draft_mark_shared(fd, &id), 0);
	close(fd);
	close_area(&o);
	/* In a directory, for a one-file draft has one name. */
	assert_int_equal(draft_area_get(o.place->store, o.run, &o.area), 0);
	o.top = draft_top_get(o.area, "d");
	put_directory(o.place, o.run, "d");
	other = draft_path(o.place, o.run, "d/a");
	assert_int_equal(rename(path, other), 0);
	free(steal(path));
	path = draft_path(o.place, o.run, "d/b");
	assert_int_equal(link(other, path), 0);
	{
		autofree char *dir = draft_path(o.place, o.run, "d");
		autoclose int directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		autoclose int file = open(path, O_RDONLY | O_CLOEXEC);

		assert_int_equal(draft_unshare(o.top, file, directory, "b", false, NULL,
					       note_swap, &o),
				 0);
	}
	stat_draft(o.place, o.run, "d/a", &a);
	stat_draft(o.place, o.run, "d/b", &b);
	assert_true(a.st_ino == b.st_ino);
	assert_int_equal(a.st_nlink, 2);
	close_area(&o);
	assert_int_equal(finish(o.place, o.run), 0);
	expect_clean(o.place);
}

static void an_unlinked_file_is_copied_too(void **state)
{
	struct opened o;
	autofree char *path = NULL;
	int fd;

	log_file(&o, *state);
	path = draft_path(o.place, o.run, "m");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(draft_unshare(o.top, fd, -1, NULL, false, NULL, note_swap, &o), 0);
	assert_int_equal(o.swaps, 1);
	assert_int_equal(o.swapped.st_nlink, 0);
	assert_int_equal(o.swapped.st_size, LARGE);
	close(fd);
	close_area(&o);
	expect_clean(o.place);
}

static void holes_stay_holes(void **state)
{
	struct opened o;
	struct stat before, after;
	autofree char *path = NULL;
	int fd;

	open_area(&o, *state, "m");
	path = draft_path(o.place, o.run, "m");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	assert_int_equal(pwrite(fd, "middle", 6, 32 << 20), 6);
	assert_int_equal(pwrite(fd, "end", 3, (64 << 20) - 3), 3);
	close(fd);
	assert_int_equal(log_draft(o.place, o.run, "m"), 0);
	stat_draft(o.place, o.run, "m", &before);
	assert_int_equal(unshare_at(&o, "m", "m", false), 0);
	stat_draft(o.place, o.run, "m", &after);
	assert_true(before.st_ino != after.st_ino);
	assert_int_equal(after.st_size, 64 << 20);
	assert_true(after.st_blocks <= before.st_blocks + 16);
	close_area(&o);
	assert_int_equal(finish(o.place, o.run), 0);
	expect_log(o.place, o.run, "unchanged: m:v0");
	expect_clean(o.place);
}

/* Reading the bytes of the copy is where the copying is: what happens then happened meanwhile. */
static void (*while_copying)(void);
static struct opened *copied;

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned flags)
{
	void (*hook)(void) = while_copying;

	while_copying = NULL;
	if (hook)
		hook();
	return syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
}

/* Only root gives files away. */
static uid_t other_uid(void)
{
	return geteuid() ? geteuid() : 1234;
}

static gid_t other_gid(void)
{
	return geteuid() ? getegid() : 1235;
}

static void change_attributes(void)
{
	autofree char *path = draft_path(copied->place, copied->run, "m");
	const struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };

	SHARED(&copied->area->lock);
	assert_int_equal(chown(path, other_uid(), other_gid()), 0);
	assert_int_equal(removexattr(path, "user.note"), 0);
	assert_int_equal(setxattr(path, "user.new", "new", 3, 0), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void what_changes_during_the_copy_is_kept(void **state)
{
	struct opened o;
	autofree char *path = NULL;
	struct stat st;

	log_file(&o, *state);
	path = draft_path(o.place, o.run, "m");
	copied = &o;
	while_copying = change_attributes;
	assert_int_equal(unshare_at(&o, "m", "m", false), 0);
	assert_null(while_copying);
	stat_draft(o.place, o.run, "m", &st);
	assert_true(st.st_nlink == 1 && st.st_uid == other_uid() && st.st_gid == other_gid());
	assert_int_equal(st.st_mode & 0777, 0444);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(getxattr(path, "user.note", NULL, 0), -1);
	assert_int_equal(getxattr(path, "user.new", NULL, 0), 3);
	close_area(&o);
	expect_clean(o.place);
}

/* Those of ext4 fit into a block. */
static int setup_tmpfs(void **state)
{
	struct place *place = place_new_in("/dev/shm", MIXED);

	*state = place;
	open_store(place);
	return 0;
}

static void large_xattrs_are_kept(void **state)
{
	struct opened o;
	autofree char *path = NULL, *value = xcalloc(1, 32000);

	log_file(&o, *state);
	path = draft_path(o.place, o.run, "m");
	/* Linux before 6.6 has none on tmpfs. */
	if (setxattr(path, "user.large", value, 32000, 0) == 0) {
		assert_int_equal(unshare_at(&o, "m", "m", false), 0);
		assert_int_equal(getxattr(path, "user.large", NULL, 0), 32000);
	}
	close_area(&o);
}

static void nothing_is_copied_for_a_run_that_ended(void **state)
{
	struct opened o;
	struct stat before, after;

	log_file(&o, *state);
	stat_draft(o.place, o.run, "m", &before);
	assert_int_equal(run_set_state(o.place->store, o.run, RUN_FAILED), 0);
	assert_int_equal(unshare_at(&o, "m", "m", false), -EROFS);
	stat_draft(o.place, o.run, "m", &after);
	assert_true(before.st_ino == after.st_ino);
	assert_int_equal(o.swaps, 0);
	close_area(&o);
	expect_clean(o.place);
}

#define DEEP 3000

/* Directories named d in d in ..., from a path on; returns the innermost. */
static int make_deep(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < DEEP; i++) {
		int below;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
	}
	return fd;
}

/* Leaves room for a few descriptors more than there are now. */
static struct rlimit few_descriptors(void)
{
	struct rlimit limit, few;
	int next = dup(0);

	close(next);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = (struct rlimit){ (rlim_t)next + 20, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return limit;
}

static void depth_costs_no_descriptors(void **state)
{
	struct place *place = *state;
	struct opened o;
	autofree char *top = NULL, *name = NULL;
	autoclose int fd = -1, deep = -1;
	struct rlimit limit;
	int unshared, removed;

	open_area(&o, place, "d");
	put_directory(place, o.run, "d");
	put_large(place, o.run, "d/f", 1, LARGE);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	top = draft_path(place, o.run, "");
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	name = draft_path(place, o.run, "d");
	deep = make_deep(name);
	assert_int_equal(linkat(fd, "d/f", deep, "g", 0), 0);
	limit = few_descriptors();
	unshared = unshare_at(&o, "d/f", "f", false);
	removed = remove_tree(fd, "d");
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(unshared, 0);
	assert_int_equal(o.swapped.st_nlink, 2);
	assert_int_equal(removed, 0);
	assert_int_equal(faccessat(fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	close_area(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, depth_costs_no_descriptors),
		ON(mixed, everything_is_kept),
		ON(real, everything_is_kept),
		ON(mixed, truncation_copies_nothing),
		ON(mixed, a_swap_that_fails_moves_nothing),
		ON(mixed, all_names_move),
		ON(mixed, all_names_move_from_under_a_stale_mark),
		ON(mixed, a_stale_mark_on_two_names),
		ON(mixed, an_unlinked_file_is_copied_too),
		ON(mixed, holes_stay_holes),
		ON(mixed, what_changes_during_the_copy_is_kept),
		ON(tmpfs, large_xattrs_are_kept),
		ON(mixed, nothing_is_copied_for_a_run_that_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
