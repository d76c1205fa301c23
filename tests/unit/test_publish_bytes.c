/*
 * The contract of core/publish.h, continued: bytes exist once and are read once, and what a draft
 * may do while it is being logged.
 */
#include "disturb.h"

#include <poll.h>
#include <sys/inotify.h>

#define LARGE (BLOB_PACK_MAX + 4096)

struct count {
	uint64_t blobs, bytes;
};

static int count_blob(void *arg, const struct blob_id *id, uint64_t size)
{
	struct count *count = arg;

	(void)id;
	count->blobs++;
	count->bytes += size;
	return 0;
}

static void expect_blobs(struct place *place, uint64_t blobs, uint64_t bytes)
{
	struct count count = { 0 };

	assert_int_equal(blob_each(place->store->blobs, count_blob, &count), 0);
	assert_int_equal(count.blobs, blobs);
	assert_int_equal(count.bytes, bytes);
}

/* The inode that holds the bytes of the one file of m's version. */
static ino_t blob_inode(struct place *place, const char *name, uint32_t number)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct tree_entry e = { 0 };
	struct stat st;

	assert_int_equal(tree_find(place->store->kv, version_of(place, name, number).page,
				   slice_str(name), &e), 0);
	assert_int_equal(artifact_open_blob(place->store, &e.digest, &blob), 0);
	assert_int_equal(fstat(blob_fd(blob), &st), 0);
	return st.st_ino;
}

static bool is_marked(struct place *place, uint32_t run, const char *name)
{
	autofree char *path = draft_path(place, run, name);
	struct blob_id id;

	return getxattr(path, DRAFT_SHARED_XATTR, &id, sizeof(id)) == sizeof(id);
}

static int fail_put_file(struct blob_hook *hook, enum blob_call call)
{
	(void)hook;
	return call == BLOB_PUT_FILE ? -ENOSPC : 0;
}

static void a_large_file_shares_its_inode(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), other = make_run(place, "other");
	struct stat st;

	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	stat_draft(place, run, "m", &st);
	assert_int_equal(st.st_nlink, 2);
	assert_true(is_marked(place, run, "m"));
	assert_true(blob_inode(place, "m", 0) == st.st_ino);
	expect_blobs(place, 1, LARGE);
	/* By another run, under another name: no second copy in the store. */
	put_large(place, other, "n", 1, LARGE);
	assert_int_equal(finish(place, other), 0);
	expect_blobs(place, 1, LARGE);
	expect_clean(place);
	assert_int_equal(finish(place, run), 0);
	expect_blobs(place, 1, LARGE);
	expect_clean(place);
}

static void finish_the_other(struct disturbance *d)
{
	assert_int_equal(finish(d->place, d->run), 0);
}

/* Both find that the bytes are not there: one of them puts them for nothing. */
static void two_put_the_same_bytes(struct place *place, size_t size)
{
	uint32_t run = make_run(place, "r");
	struct disturbance d = { place, make_run(place, "other"), 1, finish_the_other, 0 };

	put_large(place, run, "m", 1, size);
	put_large(place, d.run, "n", 1, size);
	set_disturbance(place, &d);
	assert_int_equal(finish(place, run), 0);
	place->hook.before = NULL;
	assert_int_equal(d.times, 0);
	expect_blobs(place, 1, size);
	expect_clean(place);
}

static void the_same_bytes_at_the_same_time(void **state)
{
	two_put_the_same_bytes(*state, LARGE);
}

static void the_same_small_bytes_at_the_same_time(void **state)
{
	two_put_the_same_bytes(*state, 100);
}

/* A blob store elsewhere copies, one that fails shares nothing: the draft's file stays its own. */
static void what_is_not_shared_is_not_marked(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	log_to_file("/dev/null");
	put_large(place, run, "m", 1, LARGE);
	if (place->backend == MIXED) {
		place->hook.before = fail_put_file;
		assert_int_equal(log_draft(place, run, "m"), -ENOSPC);
		place->hook.before = NULL;
	} else {
		assert_int_equal(log_draft(place, run, "m"), 0);
	}
	assert_false(is_marked(place, run, "m"));
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* ---- what is not read again ---- */

/* The files below a directory that were opened since; their names one after another, sorted. */
static void expect_opened(int inotify, const char *text)
{
	AUTO(buf_release) struct buf names = BUF_INIT;
	struct pollfd poll_it = { .fd = inotify, .events = POLLIN };
	char events[8192] __attribute__((aligned(8)));

	while (poll(&poll_it, 1, 0) > 0) {
		ssize_t n = read(inotify, events, sizeof(events));

		for (char *at = events; n > 0 && at < events + n;) {
			struct inotify_event *e = (struct inotify_event *)at;

			if (e->len > 0 && !(e->mask & IN_ISDIR) &&
			    !(names.len && strstr(buf_str(&names), e->name)))
				buf_printf(&names, "%s ", e->name);
			at += sizeof(*e) + e->len;
		}
	}
	assert_string_equal(buf_str(&names), text);
}

static void only_what_changed_is_read(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *top = draft_path(place, run, "d");
	int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "a");
	put_file(place, run, "d/b", "b");
	put_large(place, run, "d/c", 1, LARGE);
	/* Younger files are not trusted: the clock that stamps them moves in ticks. */
	usleep(40000);
	assert_true(inotify >= 0);
	assert_true(inotify_add_watch(inotify, top, IN_OPEN) >= 0);
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, "a b c ");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, place->backend == MEMORY ? "c " : "");
	expect_log(place, run, "unchanged: d:v0");
	put_file(place, run, "d/b", "B");
	expect_opened(inotify, "b ");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, place->backend == MEMORY ? "b c " : "b ");
	expect_log(place, run, "logged: d:v1");
	/* It is remembered over a restart, and forgotten with the run. */
	reopen(place);
	usleep(40000);
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, place->backend == MEMORY ? "b c " : "b ");
	close(inotify);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* One that was removed or renamed since, too. */
/* Sizes and times of files may have reached the disk without their bytes. */
static void what_was_known_before_a_power_loss_is_read(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *top = draft_path(place, run, "d");
	autoclose int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "a");
	usleep(40000);
	assert_int_equal(log_draft(place, run, "d"), 0);
	reopen(place);
	assert_true(place->store->boot[0] != '\0');
	assert_true(inotify_add_watch(inotify, top, IN_OPEN) >= 0);
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, "");
	place->store->boot[0] ^= 1;
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, "a ");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_opened(inotify, "");
	expect_clean(place);
}

static void what_is_known_goes_with_the_run(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *from = draft_path(place, run, "d"), *to = draft_path(place, run, "e");

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "a");
	usleep(40000);
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* A file that was written in the tick in which it was read is read again. */
static void young_files_are_not_trusted(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	for (unsigned i = 0; i < 50; i++) {
		autofree char *text = xasprintf("%04u", i);

		put_file(place, run, "m", text);
		assert_int_equal(log_draft(place, run, "m"), 0);
	}
	assert_int_equal(count_versions(place, "m"), 50);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* ---- while it is being logged ---- */

static void write_another(struct disturbance *d)
{
	autofree char *text = xasprintf("%u", d->times);

	put_file(d->place, d->run, "m", text);
	touch(d->place, d->run, "m", 0);
}

static void a_change_meanwhile_is_seen(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, write_another, 0 };

	put_file(place, d.run, "m", "before");
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), 0);
	expect_content(place, "m", 0, "f m 1 0\n");
	expect_clean_now(place);
	place->hook.before = NULL;
	assert_int_equal(finish(place, d.run), 0);
	expect_clean(place);
}

static void a_draft_that_keeps_changing_is_busy(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1000, write_another, 0 };

	put_file(place, d.run, "m", "before");
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), -EBUSY);
	expect_log(place, d.run, "error: m: EBUSY: the draft keeps changing");
	assert_int_equal(count_versions(place, "m"), -1);
	expect_clean_now(place);
	d.times = 0;
	assert_int_equal(finish(place, d.run), 0);
	place->hook.before = NULL;
	expect_clean(place);
}

#define MANY 80

/* The first batch is put while the directory is still being read. */
static void make_batches(struct place *place, uint32_t run)
{
	put_directory(place, run, "d");
	for (unsigned i = 0; i < MANY; i++) {
		autofree char *name = xasprintf("d/%02u", i);

		put_large(place, run, name, 100 + i, BLOB_PACK_MAX);
	}
}

static void remove_last_and_change_first(struct disturbance *d)
{
	autofree char *last = draft_path(d->place, d->run, "d/79");
	struct stat st;

	assert_int_equal(unlink(last), 0);
	stat_draft(d->place, d->run, "d/00", &st);
	put_file(d->place, d->run, "d/00", "changed");
	touch(d->place, d->run, "d", st.st_ino);
}

/* What was put for a state that is gone does not stay. */
static void what_was_put_too_early_goes(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, remove_last_and_change_first, 0 };
	struct version v;

	make_batches(place, d.run);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "d"), 0);
	assert_int_equal(d.times, 0);
	v = version_of(place, "d", 0);
	assert_int_equal(v.files, MANY - 1);
	assert_int_equal(v.bytes, (MANY - 2) * BLOB_PACK_MAX + 7);
	expect_clean_now(place);
	place->hook.before = NULL;
	assert_int_equal(finish(place, d.run), 0);
	expect_clean(place);
}

static void remove_both(struct disturbance *d)
{
	autofree char *a = draft_path(d->place, d->run, "a");
	autofree char *b = draft_path(d->place, d->run, "b");

	unlink(a);
	unlink(b);
	touch(d->place, d->run, "a", 0);
	touch(d->place, d->run, "b", 0);
	touch(d->place, d->run, "", 0);
}

static void a_draft_that_goes_meanwhile_is_not_logged(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, remove_both, 0 };

	put_file(place, d.run, "a", "a");
	put_file(place, d.run, "b", "b");
	put_file(place, d.run, "c", "c");
	set_disturbance(place, &d);
	assert_int_equal(finish(place, d.run), 0);
	assert_int_equal(d.times, 0);
	assert_int_equal(count_versions(place, "a"), -1);
	assert_int_equal(count_versions(place, "b"), -1);
	assert_int_equal(count_versions(place, "c"), 1);
	place->hook.before = NULL;
	expect_clean(place);
}

/* The other file was read already, and is about to be shared. */
static void write_to_the_other(struct disturbance *d)
{
	autofree char *path = draft_path(d->place, d->run, "d/b");
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat st;

	stat_draft(d->place, d->run, "d/b", &st);
	assert_int_equal(pwrite(fd, "written", 7, 0), 7);
	touch(d->place, d->run, "d", st.st_ino);
}

static void what_was_written_meanwhile_is_not_shared(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, write_to_the_other, 0 };
	AUTO(buf_release) struct buf found = BUF_INIT;

	put_directory(place, d.run, "d");
	put_large(place, d.run, "d/a", 1, LARGE);
	put_large(place, d.run, "d/b", 2, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "d"), 0);
	place->hook.before = NULL;
	assert_int_equal(check_describe(place->store, version_of(place, "d", 0).page, &found), 0);
	assert_non_null(strstr(buf_str(&found), "f b 69632 written"));
	expect_clean_now(place);
	assert_int_equal(finish(place, d.run), 0);
	expect_clean(place);
}

static int ignore_swap(void *arg, int new_fd, const struct stat *st)
{
	(void)arg;
	if (st)
		assert_int_equal(pwrite(new_fd, "written", 7, 0), 7);
	return 0;
}

/* What the filesystem does when the file is opened for writing while it is about to be shared. */
static void open_for_writing(struct disturbance *d)
{
	autofree char *path = draft_path(d->place, d->run, "m");
	autofree char *dir = draft_path(d->place, d->run, "");
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autoclose int directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct draft_area *area;
	struct draft_top *top;

	assert_int_equal(draft_area_get(d->place->store, d->run, &area), 0);
	top = draft_top_get(area, "m");
	assert_int_equal(draft_unshare(top, fd, directory, "m", false, NULL, ignore_swap, NULL), 0);
	draft_top_put(top);
	draft_area_put(area);
}

static void a_writer_that_comes_while_it_is_shared(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, open_for_writing, 0 };
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct stat st;

	put_large(place, d.run, "m", 1, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), 0);
	assert_int_equal(d.times, 0);
	place->hook.before = NULL;
	assert_int_equal(check_describe(place->store, version_of(place, "m", 0).page, &found), 0);
	assert_non_null(strstr(buf_str(&found), " written"));
	stat_draft(place, d.run, "m", &st);
	assert_true(blob_inode(place, "m", 0) == st.st_ino);
	expect_clean(place);
}

static void add_late(struct disturbance *d)
{
	put_file(d->place, d->run, "late", "late");
	touch(d->place, d->run, "", 0);
	touch(d->place, d->run, "late", 0);
}

static void a_draft_that_comes_meanwhile_is_logged(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, add_late, 0 };

	put_file(place, d.run, "a", "a");
	set_disturbance(place, &d);
	assert_int_equal(finish(place, d.run), 0);
	place->hook.before = NULL;
	assert_int_equal(count_versions(place, "late"), 1);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_large_file_shares_its_inode),
		ON(real, a_large_file_shares_its_inode),
		ON(memory, the_same_bytes_at_the_same_time),
		ON(mixed, the_same_bytes_at_the_same_time),
		ON(mixed, the_same_small_bytes_at_the_same_time),
		ON(memory, what_is_not_shared_is_not_marked),
		ON(mixed, what_is_not_shared_is_not_marked),
		EVERYWHERE(only_what_changed_is_read),
		ON(memory, what_was_known_before_a_power_loss_is_read),
		EVERYWHERE(what_is_known_goes_with_the_run),
		EVERYWHERE(young_files_are_not_trusted),
		ON(memory, a_change_meanwhile_is_seen),
		ON(mixed, a_change_meanwhile_is_seen),
		ON(memory, a_draft_that_keeps_changing_is_busy),
		ON(mixed, a_draft_that_keeps_changing_is_busy),
		ON(memory, what_was_put_too_early_goes),
		ON(mixed, what_was_put_too_early_goes),
		ON(memory, a_draft_that_goes_meanwhile_is_not_logged),
		ON(mixed, a_draft_that_goes_meanwhile_is_not_logged),
		ON(mixed, what_was_written_meanwhile_is_not_shared),
		ON(mixed, a_writer_that_comes_while_it_is_shared),
		ON(memory, a_draft_that_comes_meanwhile_is_logged),
		ON(mixed, a_draft_that_comes_meanwhile_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
