/* The contract of core/borrow.h: files of drafts that have the bytes of a blob without a copy. */
#include "core/borrow.h"

#include "core/artifact.h"
#include "core/reap.h"
#include "core/removal.h"
#include "opened.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* A version v0 of m: a large file `big` and a small one; its run has ended. */
static struct version log_version(struct place *place)
{
	uint32_t run = make_run(place, "before");
	struct version v;

	put_directory(place, run, "m");
	put_large(place, run, "m/big", 1, LARGE);
	put_file(place, run, "m/small", "small");
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(finish(place, run), 0);
	v = version_of(place, "m", 0);
	return v;
}

static struct borrowing of_file(struct place *place, const struct version *v, const char *name)
{
	struct tree_entry e = { 0 };
	struct borrowing b;

	assert_int_equal(tree_find(place->store->kv, v->page, slice_str(name), &e), 0);
	b = (struct borrowing){ e.digest, e.size, 0640, { .tv_sec = 1000000000 } };
	tree_entry_release(&e);
	return b;
}

static int borrow(struct opened *o, const struct version *v, const char *file, const char *as)
{
	autofree char *dir = draft_path(o->place, o->run, "d");
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct borrowing b = of_file(o->place, v, file);
	int err = borrow_keep(o->place->store, o->run, v->id);

	return err < 0 ? err : borrow_make(o->place->store, &b, fd, as);
}

static void open_draft(struct opened *o, struct place *place)
{
	open_area(o, place, "d");
	put_directory(place, o->run, "d");
}

static bool borrows(struct place *place, uint32_t run, const char *name, struct blob_id *ret)
{
	autofree char *path = draft_path(place, run, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return borrow_path_is(path, &st, ret);
}

static int no_swap(void *arg, int new_fd, const struct stat *st)
{
	struct opened *o = arg;
	struct stat real;

	o->locked = pthread_rwlock_tryrdlock(&o->area->lock) != 0;
	assert_int_equal(fstat(new_fd, &real), 0);
	if (!st)
		return o->refuse;
	assert_int_equal(real.st_ino, st->st_ino);
	o->swapped = *st;
	o->swaps++;
	return 0;
}

static int own(struct opened *o, const char *name, bool truncate, const bool *stop)
{
	autofree char *path = draft_path(o->place, o->run, name);

	return borrow_own(o->top, path, truncate, stop, no_swap, o);
}

static void digest_path(const char *path, struct digest *ret)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size;

	assert_true(fd >= 0);
	assert_int_equal(digest_of_file(fd, h, NULL, ret, &size), 0);
}

static void expect_digest(struct place *place, uint32_t run, const char *name,
			  const struct digest *want)
{
	autofree char *path = draft_path(place, run, name);
	struct digest got;

	digest_path(path, &got);
	assert_memory_equal(&got, want, sizeof(got));
}

static int count_blob(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id;
	*(unsigned *)arg += size > BLOB_PACK_MAX;
	return 0;
}

static unsigned count_large(struct place *place)
{
	unsigned n = 0;

	assert_int_equal(blob_each(place->store->blobs, count_blob, &n), 0);
	return n;
}

static void lose(struct place *place, struct version *v)
{
	assert_int_equal(version_remove(place->store, v->id), 0);
	assert_int_equal(version_purge(place->store, v->id), 0);
	assert_int_equal(reap_run(place->store), 0);
}

static void a_large_file_is_logged_without_its_bytes(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct opened o;
	struct stat st;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	assert_int_equal(borrow(&o, &v, "big", "y"), 0);
	assert_int_equal(borrow(&o, &v, "small", "z"), 0);
	assert_int_equal(borrow(&o, &v, "big", "x"), -EEXIST);
	assert_true(borrows(place, o.run, "d/x", NULL) && !borrows(place, o.run, "d/z", NULL));
	stat_draft(place, o.run, "d/x", &st);
	assert_int_equal(st.st_size, LARGE);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	expect_clean_now(place);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	assert_int_equal(version_of(place, "d", 0).bytes, 2 * LARGE + 5);
	assert_int_equal(count_large(place), 1);
	close_area(&o);
	expect_clean(place);
	assert_int_equal(finish(place, o.run), 0);
	/* The janitor is at it; recovery as well. */
	reopen(place);
	expect_clean(place);
	assert_int_equal(borrow_forget(place->store, o.run), 0);
}

/* In a store without files there is nothing to borrow. */
static void without_files_it_is_to_be_copied(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct opened o;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), -EXDEV);
	assert_int_equal(borrow(&o, &v, "small", "z"), 0);
	close_area(&o);
	expect_clean(place);
}

static void who_writes_has_bytes_of_its_own(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct digest digest = of_file(place, &v, "big").digest;
	const bool stop = true;
	struct opened o;
	struct stat st;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	assert_int_equal(own(&o, "d/x", false, &stop), -EINTR);
	o.refuse = -ENOMEM;
	assert_int_equal(own(&o, "d/x", false, NULL), -ENOMEM);
	assert_true(borrows(place, o.run, "d/x", NULL) && o.swaps == 0);
	o.refuse = 0;
	assert_int_equal(own(&o, "d/x", false, NULL), 0);
	assert_true(o.swaps == 1 && o.locked && !borrows(place, o.run, "d/x", NULL));
	expect_digest(place, o.run, "d/x", &digest);
	stat_draft(place, o.run, "d/x", &st);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* Again: nothing to do. */
	assert_int_equal(own(&o, "d/x", false, NULL), 0);
	assert_int_equal(o.swaps, 1);
	put_large(place, o.run, "d/x", 2, LARGE);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	assert_int_equal(count_large(place), 2);
	close_area(&o);
	expect_clean(place);
}

static void who_empties_it_copies_nothing(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	autofree char *path = NULL;
	struct opened o;
	struct stat st;

	open_draft(&o, place);
	path = draft_path(place, o.run, "d/x");
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	assert_int_equal(own(&o, "d/x", true, NULL), 0);
	stat_draft(place, o.run, "d/x", &st);
	assert_int_equal(st.st_size, 0);
	/* As large as it was, it is not what it was. */
	assert_int_equal(truncate(path, LARGE), 0);
	assert_false(borrows(place, o.run, "d/x", NULL));
	assert_int_equal(getxattr(path, DRAFT_BAD_XATTR, NULL, 0), -1);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	assert_int_equal(count_large(place), 2);
	close_area(&o);
	expect_clean(place);
}

static void a_run_that_has_ended_gives_nothing_its_bytes(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct opened o;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	o.area->phase = DRAFT_READONLY;
	assert_int_equal(own(&o, "d/x", false, NULL), -EROFS);
	o.area->phase = DRAFT_GONE;
	assert_int_equal(own(&o, "d/x", true, NULL), -ESTALE);
	o.area->phase = DRAFT_OPEN;
	assert_true(borrows(place, o.run, "d/x", NULL));
	close_area(&o);
	expect_clean(place);
}

/* The version goes for good; the draft has what it was linked to, and can log it. */
static void bytes_stay_while_they_are_borrowed(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct blob_id id;
	struct opened o;
	int fd;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	lose(place, &v);
	assert_int_equal(count_large(place), 1);
	assert_true(borrows(place, o.run, "d/x", &id));
	fd = borrow_open(place->store, &id, LARGE);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	assert_int_equal(finish(place, o.run), 0);
	close_area(&o);
	assert_int_equal(borrow_sweep(place->store, false), 0);
	assert_int_equal(count_large(place), 1);
	reopen(place);
	expect_clean(place);
}

static void bytes_go_when_nobody_borrows_them(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	autofree char *path = NULL;
	struct opened o;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	path = draft_path(place, o.run, "d/x");
	assert_int_equal(unlink(path), 0);
	lose(place, &v);
	close_area(&o);
	assert_int_equal(borrow_sweep(place->store, false), 0);
	assert_int_equal(count_large(place), 1);
	assert_int_equal(finish(place, o.run), 0);
	reopen(place);
	assert_int_equal(count_large(place), 0);
	assert_int_equal(borrow_keep(place->store, o.run, v.id), -ENOENT);
	expect_clean(place);
}

static int long_ago(struct kv_txn *txn, void *arg)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, *(uint32_t *)arg, &run);

	run.ended = 1;
	return err < 0 ? err : run_write(txn, &run);
}

/* A failed run's drafts are swept: it may go on, without what it borrowed. */
static void a_sweep_ends_what_a_failed_run_borrows(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	struct opened o;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	close_area(&o);
	assert_int_equal(run_set_state(place->store, o.run, RUN_FAILED), 0);
	lose(place, &v);
	assert_int_equal(count_large(place), 1);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, long_ago, &o.run), 0);
	assert_int_equal(draft_sweep(place->store, 0), 0);
	assert_int_equal(count_large(place), 1);
	assert_int_equal(draft_sweep(place->store, 1), 0);
	assert_int_equal(count_large(place), 0);
}

/* What a copy of the store without its xattrs leaves is no version of zeros. */
static void without_its_mark_it_cannot_be_logged(void **state)
{
	struct place *place = *state;
	struct version v = log_version(place);
	autofree char *path = NULL, *marker = NULL, *plain = NULL;
	struct opened o;

	open_draft(&o, place);
	assert_int_equal(borrow(&o, &v, "big", "x"), 0);
	assert_int_equal(borrow(&o, &v, "big", "y"), 0);
	put_large(place, o.run, "d/plain", 5, LARGE);
	path = draft_path(place, o.run, "d/x");
	plain = draft_path(place, o.run, "d/plain");
	marker = xasprintf("%s/store/lineagefs-store", place->directory);
	close_area(&o);
	close_store(place);
	assert_int_equal(removexattr(path, BORROW_XATTR), 0);
	assert_int_equal(removexattr(marker, "user.lineagefs.whole"), 0);
	open_store(place);
	assert_int_equal(log_draft(place, o.run, "d"), -EIO);
	/* What was its own cannot be told from what a copy has filled with zeros. */
	assert_true(getxattr(path, DRAFT_BAD_XATTR, NULL, 0) >= 0);
	assert_true(getxattr(plain, DRAFT_BAD_XATTR, NULL, 0) >= 0);
	assert_true(borrows(place, o.run, "d/y", NULL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(plain), 0);
	touch(place, o.run, "d", 0);
	assert_int_equal(log_draft(place, o.run, "d"), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_large_file_is_logged_without_its_bytes),
		ON(real, a_large_file_is_logged_without_its_bytes),
		ON(memory, without_files_it_is_to_be_copied),
		ON(mixed, who_writes_has_bytes_of_its_own),
		ON(mixed, who_empties_it_copies_nothing),
		ON(mixed, a_run_that_has_ended_gives_nothing_its_bytes),
		ON(mixed, bytes_stay_while_they_are_borrowed),
		ON(mixed, bytes_go_when_nobody_borrows_them),
		ON(mixed, a_sweep_ends_what_a_failed_run_borrows),
		ON(real, without_its_mark_it_cannot_be_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
