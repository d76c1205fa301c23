/* The contract of core/draft.h: who writes, and how a draft gets an inode of its own again. */
#include "store_place.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>

#define LARGE (BLOB_PACK_MAX + 4096)

/* An area with the draft `d` open, and its outputs as a directory. */
struct opened {
	struct place *place;
	uint32_t run;
	struct draft_area *area;
	struct draft_top *top;
	unsigned swaps;
	struct stat swapped;
	bool locked;
};

static void open_area(struct opened *o, struct place *place, const char *draft)
{
	*o = (struct opened){ .place = place, .run = make_run(place, "r") };
	assert_int_equal(draft_area_get(place->store, o->run, &o->area), 0);
	o->top = draft_top_get(o->area, draft);
}

static void close_area(struct opened *o)
{
	draft_top_put(o->top);
	draft_area_put(o->area);
}

/* ---- writers ---- */

static void areas_and_tops_are_shared(void **state)
{
	struct opened o;
	struct draft_area *again;
	struct draft_top *top;

	open_area(&o, *state, "d");
	assert_int_equal(draft_area_get(o.place->store, o.run, &again), 0);
	assert_ptr_equal(again, o.area);
	draft_area_put(again);
	top = draft_top_get(o.area, "d");
	assert_ptr_equal(top, o.top);
	draft_top_put(top);
	top = draft_top_get(o.area, "e");
	assert_ptr_not_equal(top, o.top);
	draft_top_put(top);
	close_area(&o);
}

static void touches_are_counted(void **state)
{
	struct opened o;
	uint64_t since;

	open_area(&o, *state, "d");
	draft_touch(o.top, 7);
	since = draft_watch(o.top);
	assert_int_equal(since, 1);
	/* What happened before anybody watched is not remembered. */
	assert_false(draft_was_touched(o.top, 7, 0));
	draft_touch(o.top, 8);
	assert_true(draft_was_touched(o.top, 8, since));
	assert_false(draft_was_touched(o.top, 8, since + 1));
	assert_false(draft_was_touched(o.top, 9, 0));
	assert_int_equal(draft_watch(o.top), 2);
	draft_unwatch(o.top);
	assert_true(draft_was_touched(o.top, 8, since));
	draft_unwatch(o.top);
	assert_false(draft_was_touched(o.top, 8, 0));
	close_area(&o);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How often this thread has gone to sleep. */
static long sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void writers_settle(void **state)
{
	struct draft_writer *first, *second;
	struct opened o;
	double start;
	long slept;

	open_area(&o, *state, "d");
	assert_int_equal(draft_settle(o.area, 7), 0);
	first = draft_writer_open(o.top, 7);
	second = draft_writer_open(o.top, 7);
	assert_int_equal(draft_settle(o.area, 8), 0);
	/* Nobody closed anything: at once. */
	slept = sleeps();
	assert_int_equal(draft_settle(o.area, 7), -EBUSY);
	draft_writer_flush(first);
	assert_int_equal(draft_settle(o.area, 7), -EBUSY);
	assert_int_equal(sleeps(), slept);
	/* All are closed, but not released: after a while. */
	draft_writer_flush(second);
	start = now();
	assert_int_equal(draft_settle(o.area, 7), -EBUSY);
	assert_true(now() - start > 0.5);
	draft_writer_close(first);
	draft_writer_close(second);
	assert_int_equal(draft_settle(o.area, 7), 0);
	close_area(&o);
}

static void *close_soon(void *writer)
{
	usleep(50000);
	draft_writer_close(writer);
	return NULL;
}

static void a_release_on_its_way_is_awaited(void **state)
{
	struct draft_writer *writer;
	struct opened o;
	pthread_t thread;

	open_area(&o, *state, "d");
	writer = draft_writer_open(o.top, 7);
	draft_writer_flush(writer);
	assert_int_equal(pthread_create(&thread, NULL, close_soon, writer), 0);
	assert_int_equal(draft_settle(o.area, 7), 0);
	pthread_join(thread, NULL);
	close_area(&o);
}

static void the_kernel_knows_writers(void **state)
{
	struct opened o;
	autofree char *path = NULL;
	int reader, writer;

	open_area(&o, *state, "d");
	put_file(o.place, o.run, "d", "x");
	path = draft_path(o.place, o.run, "d");
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(draft_leased_out(reader), 0);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(draft_leased_out(reader), 1);
	close(writer);
	assert_int_equal(draft_leased_out(reader), 0);
	/* No lease is left: a writer does not have to wait. */
	writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(writer >= 0);
	close(writer);
	close(reader);
	close_area(&o);
}

/* ---- the mark ---- */

static void the_mark_comes_and_goes(void **state)
{
	struct blob_id id = { .generation = 5 }, other = { .generation = 6 }, found = { 0 };
	struct opened o;
	autofree char *path = NULL;
	struct stat st;
	int fd;

	open_area(&o, *state, "d");
	put_large(o.place, o.run, "d", 1, LARGE);
	path = draft_path(o.place, o.run, "d");
	assert_int_equal(chmod(path, 0444), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_false(draft_fd_is_shared(fd, &st, &found));
	assert_int_equal(draft_mark_shared(fd, &id), 0);
	assert_true(draft_fd_is_shared(fd, &st, &found));
	assert_memory_equal(&found, &id, sizeof(id));
	draft_unmark_shared(fd, &other);
	assert_true(draft_fd_is_shared(fd, &st, NULL));
	draft_unmark_shared(fd, &id);
	assert_false(draft_fd_is_shared(fd, &st, NULL));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	close(fd);
	close_area(&o);
}

/* ---- the janitor ---- */

/* What an ended run leaves goes before the store is closed, if not at once. */
static void nothing_is_left_by_ended_runs(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < 30; i++) {
		autofree char *name = xasprintf("r%u", i);
		uint32_t run = make_run(place, name);
		autofree char *drafts = xasprintf("%s/store/drafts", place->directory);
		struct dirent *e;
		DIR *dir;

		put_directory(place, run, ".scratch");
		put_file(place, run, ".scratch/f", "x");
		assert_int_equal(finish(place, run), 0);
		close_store(place);
		dir = opendir(drafts);
		assert_non_null(dir);
		while ((e = readdir(dir)))
			assert_true(e->d_name[0] == '.');
		closedir(dir);
		open_store(place);
	}
}

/* ---- an inode of its own ---- */

static int note_swap(void *arg, int new_fd, const struct stat *st)
{
	struct opened *o = arg;
	struct stat real;

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
	return draft_unshare(o->top, fd, directory, name, truncate, note_swap, o);
}

static void log_file(struct opened *o, struct place *place)
{
	autofree char *path = NULL;

	open_area(o, place, "m");
	put_large(place, o->run, "m", 1, LARGE);
	path = draft_path(place, o->run, "m");
	assert_int_equal(chmod(path, 0640), 0);
	/* Only root gives files away. */
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
	struct opened o;
	struct stat st;

	make_three(&o, *state, true);
	stat_draft(o.place, o.run, three[0], &st);
	assert_int_equal(st.st_nlink, 4);
	assert_int_equal(draft_names(&st, true), 3);
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

		assert_int_equal(draft_unshare(o.top, file, directory, "b", false, note_swap, &o),
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
	assert_int_equal(draft_unshare(o.top, fd, -1, NULL, false, note_swap, &o), 0);
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

/* A copy that a crash left under its spare name. */
static void spares_go_at_the_start(void **state)
{
	struct place *place = *state;
	autofree char *spare = xasprintf("%s/store/drafts/spare.1f", place->directory);

	write_at(spare, "x", 1);
	reopen(place);
	assert_int_equal(access(spare, F_OK), -1);
}

static void trees_are_removed(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *dir = draft_path(place, run, ""), *link = draft_path(place, run, "d/link");
	autofree char *locked = draft_path(place, run, "d/locked");
	autofree char *kept = draft_path(place, run, "kept");
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put_directory(place, run, "d");
	put_directory(place, run, "kept");
	put_directory(place, run, "d/locked");
	put_file(place, run, "d/locked/f", "x");
	assert_int_equal(chmod(locked, 0), 0);
	assert_int_equal(symlink(kept, link), 0);
	assert_int_equal(remove_tree(fd, "d"), 0);
	assert_int_equal(faccessat(fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(remove_tree(fd, "d"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, areas_and_tops_are_shared),
		ON(memory, touches_are_counted),
		ON(memory, writers_settle),
		ON(memory, a_release_on_its_way_is_awaited),
		ON(memory, the_kernel_knows_writers),
		ON(memory, the_mark_comes_and_goes),
		ON(mixed, nothing_is_left_by_ended_runs),
		ON(mixed, everything_is_kept),
		ON(real, everything_is_kept),
		ON(mixed, truncation_copies_nothing),
		ON(mixed, all_names_move),
		ON(mixed, all_names_move_from_under_a_stale_mark),
		ON(mixed, a_stale_mark_on_two_names),
		ON(mixed, an_unlinked_file_is_copied_too),
		ON(mixed, holes_stay_holes),
		ON(mixed, nothing_is_copied_for_a_run_that_ended),
		ON(memory, spares_go_at_the_start),
		ON(memory, trees_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
