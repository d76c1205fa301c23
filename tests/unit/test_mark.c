/*
 * The marks that core/draft.h promises on inodes that are shared with a blob: at no instant is
 * there a blob that a draft could write to, and none is needed for a file to be logged.
 */
#include "disturb.h"

#include "core/reap.h"

#include <sys/syscall.h>

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- short forms ---- */

/* Called before the next mark is taken off. */
static void (*before_unmark)(void);

int fremovexattr(int fd, const char *name)
{
	void (*hook)(void) = before_unmark;

	before_unmark = NULL;
	if (hook)
		hook();
	return (int)syscall(SYS_fremovexattr, fd, name);
}

/* What the removal of a version does to its content, until there is one: nobody refers to it. */
static int forget_content(struct kv_txn *txn, void *arg)
{
	const struct version *v = arg;
	int err = kv_del(txn, KV_META, KEY(page_ref(v->page, REFERRER_VERSION, v->id)));

	if (err == 0)
		err = kv_del(txn, KV_META, KEY(equal(v->collection, &v->digest)));
	return err < 0 ? err : reap_doom_page(txn, v->page);
}

static struct tree_entry doom_version(struct place *place, const char *name, uint32_t number)
{
	struct version v = version_of(place, name, number);
	struct tree_entry e = { 0 };

	assert_int_equal(tree_find(place->store->kv, v.page, slice_str(name), &e), 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, forget_content, &v), 0);
	return e;
}

static void stat_blob(struct place *place, const char *name, uint32_t number, struct stat *ret)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct tree_entry e = { 0 };

	assert_int_equal(tree_find(place->store->kv, version_of(place, name, number).page,
				   slice_str(name), &e), 0);
	assert_int_equal(artifact_open_blob(place->store, &e.digest, &blob), 0);
	assert_int_equal(fstat(blob_fd(blob), ret), 0);
}

static bool read_mark(struct place *place, uint32_t run, const char *name, struct blob_id *ret)
{
	autofree char *path = draft_path(place, run, name);

	return getxattr(path, DRAFT_SHARED_XATTR, ret, sizeof(*ret)) == sizeof(*ret);
}

/* The draft's file is the version's only if it is marked. */
static void expect_protected(struct place *place, uint32_t run, const char *name, uint32_t number)
{
	struct stat draft, blob;
	struct blob_id id;

	stat_draft(place, run, name, &draft);
	stat_blob(place, name, number, &blob);
	assert_true(draft.st_ino != blob.st_ino || read_mark(place, run, name, &id));
}

/* ---- logging what is being removed ---- */

static struct background racer;

/* The log goes as far as it can: in time, or not at all before this returns. */
static void log_meanwhile(void)
{
	background_start(&racer);
	for (int i = 0; i < 30 && count_versions(racer.place, "m") < 2; i++)
		usleep(10000);
}

static void a_mark_that_is_new_is_not_taken_off(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	doom_version(place, "m", 0);
	racer = (struct background){ .place = place, .run = run, .name = "m" };
	before_unmark = log_meanwhile;
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(background_wait(&racer), 0);
	assert_int_equal(count_versions(place, "m"), 2);
	expect_protected(place, run, "m", 1);
}

static int fail_remove(struct blob_hook *hook, enum blob_call call)
{
	(void)hook;
	return call == BLOB_REMOVE ? -EIO : 0;
}

/* One inode is never two blobs: the old one's mark would be lost. */
static void a_mark_that_is_needed_is_not_replaced(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct blob_id before, after;
	struct stat draft, blob;

	log_to_file("/dev/null");
	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_true(read_mark(place, run, "m", &before));
	doom_version(place, "m", 0);
	place->hook.before = fail_remove;
	assert_int_equal(reap_run(place->store), -EIO);
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(count_versions(place, "m"), 2);
	assert_true(read_mark(place, run, "m", &after));
	assert_memory_equal(&before, &after, sizeof(before));
	stat_draft(place, run, "m", &draft);
	stat_blob(place, "m", 1, &blob);
	assert_true(draft.st_ino != blob.st_ino);
	/* Once the old bytes can go, the draft's file is its own. */
	place->hook.before = NULL;
	assert_int_equal(reap_run(place->store), 0);
	assert_false(read_mark(place, run, "m", &after));
	stat_draft(place, run, "m", &draft);
	assert_int_equal(draft.st_nlink, 1);
}

/* Rows that are back after a power loss find their bytes. */
static void bytes_go_after_what_named_them(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct tree_entry e;
	struct stat st;

	log_to_file("/dev/null");
	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	e = doom_version(place, "m", 0);
	assert_int_equal(reap_run(place->store), 0);
	kv_disk_crash(place->kv_disk);
	reopen(place);
	if (kv_get_one(place->store->kv, KV_META, KEY(blob(&e.digest)), &b) == 0)
		stat_blob(place, "m", 0, &st);
}

/* ---- files that cannot be marked ---- */

/* Leaves no room for the mark. */
static void fill_xattrs(struct place *place, uint32_t run, const char *name)
{
	autofree char *path = draft_path(place, run, name);
	char value[4096];
	size_t n = sizeof(value), in = 100;

	memset(value, 'v', sizeof(value));
	while (n > 0 && setxattr(path, "user.big", value, n, 0) < 0)
		n--;
	while (in > 0 && setxattr(path, "user.in", value, in, 0) < 0)
		in--;
}

static bool can_mark(struct place *place, uint32_t run, const char *name)
{
	autofree char *path = draft_path(place, run, name);
	struct blob_id id = { .generation = 1 };

	if (setxattr(path, DRAFT_SHARED_XATTR, &id, sizeof(id), 0) < 0)
		return false;
	removexattr(path, DRAFT_SHARED_XATTR);
	return true;
}

static void what_cannot_be_marked_is_copied(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct stat draft, blob;

	put_large(place, run, "m", 1, LARGE);
	fill_xattrs(place, run, "m");
	if (can_mark(place, run, "m"))
		skip();
	assert_int_equal(log_draft(place, run, "m"), 0);
	stat_draft(place, run, "m", &draft);
	stat_blob(place, "m", 0, &blob);
	assert_true(draft.st_ino != blob.st_ino);
	assert_int_equal(draft.st_nlink, 1);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* It is not marked, so nothing keeps a writer from it. */
static void write_to_it(struct disturbance *d)
{
	autofree char *path = draft_path(d->place, d->run, "m");
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat st;

	stat_draft(d->place, d->run, "m", &st);
	touch(d->place, d->run, "m", st.st_ino);
	assert_int_equal(pwrite(fd, "written", 7, 0), 7);
}

static void what_is_written_to_while_it_is_copied(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, write_to_it, 0 };
	AUTO(buf_release) struct buf found = BUF_INIT;

	put_large(place, d.run, "m", 1, LARGE);
	fill_xattrs(place, d.run, "m");
	if (can_mark(place, d.run, "m"))
		skip();
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), 0);
	place->hook.before = NULL;
	assert_int_equal(check_describe(place->store, version_of(place, "m", 0).page, &found), 0);
	assert_non_null(strstr(buf_str(&found), " written"));
	expect_clean(place);
}

/* ---- marks that are left over ---- */

static void a_left_over_mark_takes_no_name(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *a = draft_path(place, run, "d/a"), *b = draft_path(place, run, "d/b");
	struct blob_id id = { .generation = 99 }, found;
	autoclose int fd = -1;
	struct stat st;
	nlink_t names;

	put_directory(place, run, "d");
	put_large(place, run, "d/a", 1, LARGE);
	assert_int_equal(link(a, b), 0);
	fd = open(a, O_RDONLY | O_CLOEXEC);
	assert_int_equal(draft_mark_shared(fd, &id), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(draft_fd_is_shared(fd, &st, &found));
	assert_int_equal(draft_count_names(place->store, a, &st, &names), 0);
	assert_int_equal(names, 2);
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 3);
	assert_true(draft_fd_is_shared(fd, &st, &found));
	assert_int_equal(draft_count_names(place->store, a, &st, &names), 0);
	assert_int_equal(names, 2);
	expect_clean(place);
}

/* ---- what the disk lost ---- */

/* What syncing a file says, unless 0. */
static int fail_sync;

int fsync(int fd)
{
	struct stat st;

	if (fail_sync && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		errno = fail_sync;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static void nothing(struct disturbance *d)
{
	(void)d;
}

static void expect_bad(struct place *place, uint32_t run, const char *name)
{
	assert_int_equal(log_draft(place, run, name), -EIO);
	expect_log(place, run, "EIO: the disk lost what was written");
	assert_int_equal(count_versions(place, name), -1);
}

static void a_file_that_was_lost_stays_bad(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, nothing, -EIO };

	log_to_file("/dev/null");
	put_large(place, d.run, "m", 1, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), -EIO);
	place->hook.before = NULL;
	expect_bad(place, d.run, "m");
	reopen(place);
	expect_bad(place, d.run, "m");
	assert_int_equal(finish(place, d.run), -EIO);
	/* Another file of that name is as good as any. */
	put_large(place, d.run, "copy", 1, LARGE);
	rename_draft(place, d.run, "copy", "m");
	assert_int_equal(finish(place, d.run), 0);
	expect_clean(place);
}

/* Small ones too, and whoever it was that wanted them on disk. */
static void a_file_that_cannot_be_synced_is_bad(void **state)
{
	static const int lost[] = { EIO, ENOSPC };
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");

	log_to_file("/dev/null");
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		autoclose int fd = -1;

		put_file(place, run, "m", "text");
		assert_int_equal(chmod(path, 0444), 0);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		fail_sync = lost[i];
		assert_int_equal(draft_sync(fd, false), -lost[i]);
		fail_sync = 0;
		expect_bad(place, run, "m");
		assert_int_equal(draft_sync(fd, false), 0);
		expect_bad(place, run, "m");
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(truncate(path, 0), 0);
		draft_mark_good(path);
	}
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

/* The blob store itself finds out, and says so whatever the disk said. */
static void a_file_that_the_store_cannot_sync_is_bad(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	log_to_file("/dev/null");
	put_large(place, run, "m", 1, LARGE);
	fail_sync = ENOSPC;
	assert_int_equal(log_draft(place, run, "m"), -EIO);
	fail_sync = 0;
	expect_bad(place, run, "m");
	put_large(place, run, "copy", 1, LARGE);
	rename_draft(place, run, "copy", "m");
	assert_int_equal(finish(place, run), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_mark_that_is_new_is_not_taken_off),
		ON(real, a_mark_that_is_new_is_not_taken_off),
		ON(mixed, a_mark_that_is_needed_is_not_replaced),
		ON(mixed, bytes_go_after_what_named_them),
		ON(mixed, what_cannot_be_marked_is_copied),
		ON(real, what_cannot_be_marked_is_copied),
		ON(mixed, what_is_written_to_while_it_is_copied),
		ON(mixed, a_left_over_mark_takes_no_name),
		ON(real, a_left_over_mark_takes_no_name),
		ON(memory, a_file_that_was_lost_stays_bad),
		ON(mixed, a_file_that_was_lost_stays_bad),
		ON(mixed, a_file_that_cannot_be_synced_is_bad),
		ON(mixed, a_file_that_the_store_cannot_sync_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
