/* The contract of core/draft.h: areas and their drafts, who writes, the mark, removal. */
#include "core/directory.h"
#include "opened.h"

#include <dirent.h>

#include <sys/resource.h>
#include <time.h>

#define LARGE (BLOB_PACK_MAX + 4096)

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

static void many_touches_are_remembered(void **state)
{
	struct opened o;
	uint64_t since;

	open_area(&o, *state, "d");
	since = draft_watch(o.top);
	for (unsigned turn = 0; turn < 3; turn++)
		for (ino_t ino = 1; ino <= 10000; ino++)
			draft_touch(o.top, ino << 7);
	assert_int_equal(o.top->touched_count, 10000);
	for (ino_t ino = 1; ino <= 10000; ino++) {
		assert_true(draft_was_touched(o.top, ino << 7, since + 20000));
		assert_false(draft_was_touched(o.top, ino << 7, since + 20000 + ino));
		assert_false(draft_was_touched(o.top, (ino << 7) + 1, since));
	}
	draft_unwatch(o.top);
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

/* ---- removal ---- */

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

/* The names that directories are given on the way up may be taken. */
static void removed_trees_have_any_names(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *dir = draft_path(place, run, "");
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put_directory(place, run, "d");
	put_directory(place, run, "d/lifted.1");
	put_directory(place, run, "d/lifted.1/lifted.0");
	put_file(place, run, "d/lifted.1/lifted.0/f", "x");
	put_directory(place, run, "d/a");
	put_directory(place, run, "d/a/b");
	put_directory(place, run, "d/a/b/c");
	put_directory(place, run, "d/a/b/c/d");
	put_directory(place, run, "d/a/empty");
	put_file(place, run, "d/lifted.0", "x");
	assert_int_equal(remove_tree(fd, "d"), 0);
	assert_int_equal(faccessat(fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, areas_and_tops_are_shared),
		ON(memory, touches_are_counted),
		ON(memory, many_touches_are_remembered),
		ON(memory, writers_settle),
		ON(memory, a_release_on_its_way_is_awaited),
		ON(memory, the_kernel_knows_writers),
		ON(memory, the_mark_comes_and_goes),
		ON(memory, removed_trees_have_any_names),
		ON(mixed, nothing_is_left_by_ended_runs),
		ON(memory, spares_go_at_the_start),
		ON(memory, trees_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
