/* The contract of core/publish.h: drafts become versions. Over every backend. */
#include "store_place.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- what becomes of drafts ---- */

static void a_file_becomes_a_version(void **state)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct place *place = *state;
	uint32_t run = make_run_of(place, "r", 1000);
	struct version v;
	struct draft d;

	put_file(place, run, "m", "hello");
	assert_int_equal(log_as(place, run, "m", "model", &root_cred), 0);
	expect_log(place, run, "logged: m:v0 sha256:");
	expect_log(place, run, " files:1 bytes:5\n");
	expect_content(place, "m", 0, "f m 5 hello\n");
	v = version_of(place, "m", 0);
	assert_true(v.single && v.run == run && v.number == 0 && v.mode == 0644);
	assert_true(v.nodes == 2 && v.files == 1 && v.bytes == 5 && v.sums_size == 64 + 2 + 1 + 1);
	assert_int_equal(collection_get(place->store, v.collection, &c), 0);
	assert_string_equal(c.type, "model");
	assert_true(c.latest == 0 && c.uid == 1000 && c.mode == 0755);
	assert_int_equal(run_draft_find(place->store, run, slice_str("m"), &d), 0);
	assert_true(d.version == v.id && d.single && !d.ended);
	assert_int_equal(finish(place, run), 0);
	expect_log(place, run, "unchanged: m:v0 sha256:");
	assert_int_equal(run_draft_find(place->store, run, slice_str("m"), &d), 0);
	assert_true(d.version == v.id && d.single && d.ended);
	assert_int_equal(count_versions(place, "m"), 1);
	expect_clean(place);
}

static void make_tree(struct place *place, uint32_t run, const char *name)
{
	autofree char *top = draft_path(place, run, name);
	autofree char *link = xasprintf("%s/link", top), *dangling = xasprintf("%s/sub/up", top);
	autofree char *tool = xasprintf("%s/tool", top), *sub = xasprintf("%s/sub", name);
	autofree char *deep = xasprintf("%s/sub/deep", name), *none = xasprintf("%s/none", name);
	autofree char *a = xasprintf("%s/sub/a", name), *b = xasprintf("%s/sub/deep/b", name);
	autofree char *t = xasprintf("%s/tool", name), *zero = xasprintf("%s/zero", name);

	put_directory(place, run, name);
	put_directory(place, run, sub);
	put_directory(place, run, deep);
	put_directory(place, run, none);
	put_file(place, run, a, "A");
	put_file(place, run, b, "A");
	put_file(place, run, t, "#!");
	put_file(place, run, zero, "");
	assert_int_equal(chmod(tool, 0755), 0);
	assert_int_equal(symlink("sub/a", link), 0);
	assert_int_equal(symlink("../..", dangling), 0);
}

static const char tree_text[] = "l link -> sub/a\n"
				"d none\n"
				"d sub\n"
				"f sub/a 1 A\n"
				"d sub/deep\n"
				"f sub/deep/b 1 A\n"
				"l sub/up -> ../..\n"
				"x tool 2 #!\n"
				"f zero 0 \n";

static void a_directory_becomes_a_version(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v;

	make_tree(place, run, "d");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_content(place, "d", 0, tree_text);
	v = version_of(place, "d", 0);
	assert_true(!v.single && v.nodes == 10 && v.files == 4 && v.bytes == 4 && v.mode == 0755);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
	expect_content(place, "d", 0, tree_text);
}

static void an_empty_directory_becomes_a_version(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	assert_int_equal(finish(place, run), 0);
	expect_content(place, "d", 0, "");
	assert_int_equal(version_of(place, "d", 0).nodes, 1);
	expect_clean(place);
}

static void times_and_modes_are_those_of_the_draft(void **state)
{
	static const struct timespec times[2] = { { 1, 0 }, { 1234567890, 987654321 } };
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *top = draft_path(place, run, "d"), *file = draft_path(place, run, "d/f");
	uid_t uid = geteuid() ? geteuid() : 7; /* only root gives files away */
	gid_t gid = geteuid() ? getegid() : 8;
	struct tree_entry e = { 0 };
	struct version v;

	put_directory(place, run, "d");
	put_file(place, run, "d/f", "x");
	assert_int_equal(chmod(top, 0750), 0);
	assert_int_equal(chown(top, uid, gid), 0);
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, top, times, 0), 0);
	assert_int_equal(log_draft(place, run, "d"), 0);
	v = version_of(place, "d", 0);
	assert_true(v.uid == uid && v.gid == gid && v.mode == 0750);
	assert_true(v.mtime.tv_sec == 1234567890 && v.mtime.tv_nsec == 987654321);
	assert_int_equal(tree_find(place->store->kv, v.page, slice_str("f"), &e), 0);
	assert_true(e.mtime.tv_sec == 1234567890 && e.mtime.tv_nsec == 987654321);
	assert_int_equal(finish(place, run), 0);
}

static void one_run_logs_many_versions(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	put_file(place, run, "d/same", "same");
	for (unsigned i = 0; i < 5; i++) {
		autofree char *text = xasprintf("step %u", i);

		put_file(place, run, "d/f", text);
		touch(place, run, "d", 0);
		assert_int_equal(log_draft(place, run, "d"), 0);
	}
	expect_content(place, "d", 0, "f f 6 step 0\nf same 4 same\n");
	expect_content(place, "d", 4, "f f 6 step 4\nf same 4 same\n");
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(count_versions(place, "d"), 5);
	expect_clean(place);
}

static void finishing_logs_what_changed(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *scratch = draft_path(place, run, ".scratch");
	struct draft d;

	put_file(place, run, "a", "a");
	put_file(place, run, "b", "b");
	put_directory(place, run, "c");
	put_file(place, run, ".scratch", "s");
	assert_int_equal(log_draft(place, run, "a"), 0);
	put_file(place, run, "b", "bb");
	assert_int_equal(finish(place, run), 0);
	expect_log(place, run, "unchanged: a:v0");
	expect_log(place, run, "logged: b:v0");
	expect_log(place, run, "logged: c:v0");
	assert_int_equal(count_versions(place, ".scratch"), -1);
	assert_int_equal(run_draft_find(place->store, run, slice_str(".scratch"), &d), -ENOENT);
	assert_int_equal(access(scratch, F_OK), -1);
	expect_content(place, "b", 0, "f b 2 bb\n");
	expect_clean(place);
}

static void a_run_of_nothing_finishes(void **state)
{
	AUTO(buf_release) struct buf log = BUF_INIT;
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	assert_int_equal(finish(place, run), 0);
	assert_int_equal(run_log_read(place->store, run, &log), 0);
	assert_string_equal(buf_str(&log), "");
	expect_clean(place);
}

/* ---- equal content ---- */

static void equal_content_is_no_new_version(void **state)
{
	struct place *place = *state;
	uint32_t first = make_run(place, "first"), second = make_run(place, "second");
	struct edge e;

	make_tree(place, first, "d");
	put_file(place, first, "m", "A");
	assert_int_equal(finish(place, first), 0);
	make_tree(place, second, "d");
	assert_int_equal(log_draft(place, second, "d"), 0);
	expect_log(place, second, "equal: d:v0");
	assert_int_equal(count_versions(place, "d"), 1);
	assert_int_equal(edge_get(place->store->kv, EDGE_VERSION_LOGGED_BY,
				  version_of(place, "d", 0).id, second, &e), 0);
	assert_int_equal(e.flags, EDGE_EQUAL);
	assert_int_equal(edge_get(place->store->kv, EDGE_VERSION_LOGGED_BY,
				  version_of(place, "d", 0).id, first, &e), 0);
	assert_int_equal(e.flags, 0);
	assert_int_equal(version_of(place, "d", 0).run, first);
	assert_int_equal(log_draft(place, second, "d"), 0);
	expect_log(place, second, "unchanged: d:v0");
	assert_int_equal(finish(place, second), 0);
	expect_clean(place);
}

/* `latest` does not move back, unless told so. */
static void latest_on_equal(void **state)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct place *place = *state;

	for (int option = 0; option < 2; option++) {
		uint32_t run = make_run(place, option ? "with" : "without");

		place->options.latest_on_equal = option;
		reopen(place);
		put_file(place, run, "m", "one");
		assert_int_equal(log_draft(place, run, "m"), 0);
		put_file(place, run, "m", "two");
		touch(place, run, "m", 0);
		assert_int_equal(log_draft(place, run, "m"), 0);
		put_file(place, run, "m", "one");
		touch(place, run, "m", 0);
		assert_int_equal(log_draft(place, run, "m"), 0);
		expect_log(place, run, "equal: m:v0");
		collection_release(&c);
		assert_int_equal(collection_find(place->store, slice_str("m"), &c), 0);
		assert_int_equal(c.latest, option ? 0 : 1);
	}
	assert_int_equal(count_versions(place, "m"), 2);
	expect_clean(place);
}

/* What the run may not read is not what it logged. */
static void an_unreadable_version_is_not_equal(void **state)
{
	struct place *place = *state;
	uint32_t root = make_run(place, "root");
	uint32_t user = make_run_of(place, "user", geteuid() + 1);
	autofree char *path = draft_path(place, root, "m");

	put_file(place, root, "m", "secret");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(finish(place, root), 0);
	put_file(place, user, "m", "secret");
	assert_int_equal(finish(place, user), 0);
	expect_log(place, user, "logged: m:v1");
	expect_clean(place);
}

/* ---- refusals ---- */

static void types_are_kept(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_file(place, run, "m", "1");
	assert_int_equal(log_as(place, run, "m", "model", &root_cred), 0);
	put_file(place, run, "m", "2");
	touch(place, run, "m", 0);
	assert_int_equal(log_as(place, run, "m", "dataset", &root_cred), -EINVAL);
	expect_log(place, run, "error: m: EINVAL: m is of type model, not dataset");
	assert_int_equal(count_versions(place, "m"), 1);
	assert_int_equal(log_as(place, run, "m", "model", &root_cred), 0);
	assert_int_equal(count_versions(place, "m"), 2);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

static void collections_belong_to_their_first_logger(void **state)
{
	struct place *place = *state;
	uint32_t mine = make_run_of(place, "mine", 1000), other = make_run_of(place, "other", 2000);
	struct cred me = { .uid = 1000, .gid = 1000 }, them = { .uid = 2000, .gid = 2000 };

	put_file(place, mine, "m", "1");
	assert_int_equal(log_as(place, mine, "", "", &me), 0);
	put_file(place, other, "m", "2");
	put_file(place, other, "n", "2");
	assert_int_equal(log_as(place, other, "m", "", &them), -EACCES);
	expect_log(place, other, "error: m: EACCES: no permission to log into m");
	/* All or none: n is not logged either, and the run goes on. */
	assert_int_equal(log_as(place, other, "", "", &them), -EACCES);
	assert_int_equal(count_versions(place, "n"), -1);
	assert_int_equal(count_versions(place, "m"), 1);
	expect_clean(place);
	assert_int_equal(log_as(place, other, "n", "", &them), 0);
	assert_int_equal(collection_set_owner(place->store, version_of(place, "m", 0).collection,
					      (uid_t)-1, 2000, 0775), 0);
	assert_int_equal(log_as(place, other, "", "", &them), 0);
	expect_log(place, other, "logged: m:v1");
	expect_clean(place);
}

static void what_is_not_there_cannot_be_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	assert_int_equal(log_draft(place, run, "m"), -ENOENT);
	expect_log(place, run, "error: m: ENOENT: no such draft: m");
	put_file(place, run, ".m", "x");
	assert_int_equal(log_draft(place, run, ".m"), -ENOENT);
	assert_int_equal(log_draft(place, run, "../drafts"), -ENOENT);
	assert_int_equal(log_draft(place, 4711, "m"), -EROFS);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(log_draft(place, run, "m"), -EROFS);
	expect_clean(place);
}

static void pipes_are_refused(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *pipe = draft_path(place, run, "d/pipe");

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "x");
	put_file(place, run, "e", "x");
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(log_draft(place, run, "d"), -EINVAL);
	expect_log(place, run,
		   "error: d: EINVAL: a pipe, socket or device cannot be logged: d/pipe");
	assert_int_equal(finish(place, run), -EINVAL);
	assert_int_equal(count_versions(place, "e"), -1);
	expect_clean(place);
	assert_int_equal(unlink(pipe), 0);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

static void writers_are_busy(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct draft_writer *writer;
	struct draft_area *area;
	struct draft_top *top;
	struct stat st;

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "x");
	put_file(place, run, "e", "x");
	stat_draft(place, run, "d/a", &st);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	top = draft_top_get(area, "d");
	writer = draft_writer_open(top, st.st_ino);
	assert_int_equal(log_draft(place, run, "d"), -EBUSY);
	expect_log(place, run, "error: d: EBUSY: open for writing: d/a");
	/* Another draft of the run is not busy, but all of it together is. */
	assert_int_equal(log_draft(place, run, "e"), 0);
	assert_int_equal(finish(place, run), -EBUSY);
	draft_writer_close(writer);
	draft_top_put(top);
	draft_area_put(area);
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* Somebody the daemon knows nothing of, only the kernel does. */
static void unseen_writers_are_busy(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");
	int fd;

	put_file(place, run, "m", "x");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(log_draft(place, run, "m"), -EBUSY);
	expect_log(place, run, "error: m: EBUSY: open for writing: m");
	close(fd);
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

static void a_signal_stops_it(void **state)
{
	static const bool stop = true;
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct publish_request request = { .run = run, .cred = &root_cred, .stop = &stop };

	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(publish(place->store, &request), -EINTR);
	expect_log(place, run, "EINTR");
	assert_int_equal(count_versions(place, "m"), -1);
	expect_clean(place);
	request.stop = NULL;
	assert_int_equal(publish(place->store, &request), 0);
	expect_clean(place);
}

static void failed_runs_log_late(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_file(place, run, "m", "1");
	put_large(place, run, "n", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(run_set_state(place->store, run, RUN_FAILED), 0);
	assert_int_equal(log_draft(place, run, "n"), -EROFS);
	expect_clean(place);
	assert_int_equal(count_versions(place, "m"), 1);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(count_versions(place, "n"), 1);
	expect_clean(place);
}

/* ---- size ---- */

static void five_thousand_small_files(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v;

	put_directory(place, run, "d");
	for (unsigned i = 0; i < 5000; i++) {
		autofree char *name = xasprintf("d/%u", i), *text = xasprintf("%u", i % 4000);

		put_file(place, run, name, text);
	}
	assert_int_equal(log_draft(place, run, "d"), 0);
	put_file(place, run, "d/17", "changed");
	touch(place, run, "d", 0);
	assert_int_equal(finish(place, run), 0);
	v = version_of(place, "d", 1);
	assert_true(v.files == 5000 && v.nodes == 5001);
	expect_clean(place);
}

static void names_of_all_bytes(void **state)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v;

	put_directory(place, run, "d");
	for (unsigned i = 1; i < 256; i++) {
		autofree char *name = xasprintf("d/%c%c", i == '/' ? 'x' : (char)i, 'y');

		put_file(place, run, name, "x");
	}
	for (unsigned i = 0; i < 70; i++) {
		autofree char *name = xasprintf("d/%0255u", i);

		put_file(place, run, name, "x");
	}
	assert_int_equal(finish(place, run), 0);
	v = version_of(place, "d", 0);
	assert_int_equal(v.files, 254 + 70);
	assert_int_equal(tree_sums(place->store->kv, v.page, &found), 0);
	assert_int_equal(found.len, v.sums_size);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(a_file_becomes_a_version),
		EVERYWHERE(a_directory_becomes_a_version),
		EVERYWHERE(an_empty_directory_becomes_a_version),
		EVERYWHERE(times_and_modes_are_those_of_the_draft),
		EVERYWHERE(one_run_logs_many_versions),
		EVERYWHERE(finishing_logs_what_changed),
		EVERYWHERE(a_run_of_nothing_finishes),
		EVERYWHERE(equal_content_is_no_new_version),
		EVERYWHERE(latest_on_equal),
		EVERYWHERE(an_unreadable_version_is_not_equal),
		EVERYWHERE(types_are_kept),
		EVERYWHERE(collections_belong_to_their_first_logger),
		EVERYWHERE(what_is_not_there_cannot_be_logged),
		EVERYWHERE(pipes_are_refused),
		EVERYWHERE(writers_are_busy),
		EVERYWHERE(unseen_writers_are_busy),
		EVERYWHERE(a_signal_stops_it),
		EVERYWHERE(failed_runs_log_late),
		EVERYWHERE(five_thousand_small_files),
		EVERYWHERE(names_of_all_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
