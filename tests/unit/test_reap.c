/*
 * The contract of core/reap.h: what nobody refers to goes, what somebody refers to stays. And that
 * check_store(), on which other tests rely, sees what is wrong.
 */
#include "core/reap.h"

#include "core/removal.h"
#include "core/stage.h"
#include "store_place.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- staging by hand ---- */

/* A directory of some files, staged: each holds its own name. */
static uint64_t stage_directory(struct stage *stage, const char *const *names, size_t n)
{
	AUTO(page_builder_freep) struct page_builder *b = page_builder_new(stage_page, stage);
	struct digest digest;
	uint64_t page, nodes;

	for (size_t i = 0; i < n; i++) {
		struct page_entry e = { .type = ENTRY_FILE, .name = slice_str(names[i]),
					.size = strlen(names[i]), .nodes = 1 };

		digest_of(e.name, &e.digest);
		assert_int_equal(stage_small(stage, &e.digest, e.name), 0);
		assert_int_equal(page_builder_add(b, &e), 0);
	}
	assert_int_equal(page_builder_finish(b, &page, &digest, &nodes), 0);
	assert_int_equal(stage_flush(stage), 0);
	return page;
}

static bool has_key(struct place *place, struct slice key)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	return kv_get_one(place->store->kv, KV_META, key, &b) == 0;
}

static bool has_blob(struct place *place, const char *text)
{
	struct digest digest;

	digest_of(slice_str(text), &digest);
	return has_key(place, KEY(blob(&digest)));
}

static int count_blob(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id, (void)size;
	++*(unsigned *)arg;
	return 0;
}

static unsigned count_bytes(struct place *place)
{
	unsigned n = 0;

	assert_int_equal(blob_each(place->store->blobs, count_blob, &n), 0);
	return n;
}

static void a_stage_that_is_dropped_leaves_nothing(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct place *place = *state;
	struct stage *stage;
	uint64_t page;

	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	page = stage_directory(stage, names, 3);
	assert_true(has_key(place, KEY(page(page))) && has_blob(place, "a"));
	assert_int_equal(count_bytes(place), 3);
	stage_close(stage, STAGE_DROPPED);
	assert_false(has_key(place, KEY(page(page))) || has_blob(place, "a"));
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

/* Two logs at a time: what one drops, the other still has. */
static void what_another_refers_to_stays(void **state)
{
	static const char *const one[] = { "a", "b" }, *const two[] = { "b", "c" };
	struct place *place = *state;
	struct stage *first, *second, *third;
	uint64_t page;

	assert_int_equal(stage_open(place->store, 1, &first), 0);
	assert_int_equal(stage_open(place->store, 1, &second), 0);
	assert_int_equal(stage_open(place->store, 1, &third), 0);
	stage_directory(first, one, 2);
	page = stage_directory(second, two, 2);
	/* The same page, found again. */
	assert_int_equal(stage_directory(third, two, 2), page);
	stage_close(first, STAGE_DROPPED);
	assert_false(has_blob(place, "a"));
	assert_true(has_blob(place, "b") && has_blob(place, "c"));
	stage_close(second, STAGE_DROPPED);
	assert_true(has_key(place, KEY(page(page))));
	assert_true(has_blob(place, "b") && has_blob(place, "c"));
	stage_close(third, STAGE_DROPPED);
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

static void intents_are_dropped_at_the_start(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct place *place = *state;
	struct stage *stage;

	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	stage_directory(stage, names, 3);
	assert_int_equal(count_bytes(place), 3);
	/* The daemon dies: closing the stage comes to nothing. */
	log_to_file("/dev/null");
	kv_disk_fail(place->kv_disk, 1, -EIO, true);
	stage_close(stage, STAGE_DROPPED);
	close_store(place);
	kv_disk_fail(place->kv_disk, 0, 0, false);
	open_store(place);
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

/* The disk is full for a while: what a log could not take away goes without a restart. */
static void what_could_not_go_goes_later(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct place *place = *state;
	struct stage *stage;

	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	stage_directory(stage, names, 3);
	log_to_file("/dev/null");
	kv_disk_fail(place->kv_disk, 1, -ENOSPC, true);
	stage_close(stage, STAGE_DROPPED);
	kv_disk_fail(place->kv_disk, 0, 0, false);
	store_wake_janitor(place->store);
	for (int i = 0; i < 1000 && count_bytes(place) > 0; i++)
		usleep(10000);
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

struct doom {
	uint64_t page;
	struct digest digest;
	bool spare;
};

static int doom_body(struct kv_txn *txn, void *arg)
{
	const struct doom *d = arg;
	int err = d->spare ? reap_spare_page(txn, d->page) : reap_doom_page(txn, d->page);

	if (err < 0)
		return err;
	return d->spare ? reap_spare_blob(txn, &d->digest) : reap_doom_blob(txn, &d->digest);
}

/* Being doomed is only a reason to look. */
static void what_a_version_has_stays(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct doom doom = { 0 };
	struct version v;

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "a");
	assert_int_equal(finish(place, run), 0);
	v = version_of(place, "d", 0);
	doom.page = v.page;
	digest_of(slice_str("a"), &doom.digest);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, doom_body, &doom), 0);
	assert_int_equal(reap_run(place->store), 0);
	expect_clean_now(place);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, doom_body, &doom), 0);
	doom.spare = true;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, doom_body, &doom), 0);
	/* Off the list, without a look. */
	expect_clean_now(place);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, doom_body, &doom), 0);
	expect_clean(place);
}

/* Whoever refers to something doomed takes it off the list, so that a look under way runs again. */
static void a_new_reference_spares(void **state)
{
	static const char *const names[] = { "a", "b" };
	struct place *place = *state;
	struct doom doom = { 0 };
	struct stage *stage;
	uint32_t run = make_run(place, "r");
	uint64_t page;

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "a");
	assert_int_equal(finish(place, run), 0);
	doom.page = version_of(place, "d", 0).page;
	digest_of(slice_str("a"), &doom.digest);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, doom_body, &doom), 0);
	assert_int_equal(stage_open(place->store, run, &stage), 0);
	page = stage_directory(stage, names, 1);
	assert_int_equal(page, doom.page);
	assert_false(has_key(place, KEY(doomed_page(page))));
	assert_true(has_key(place, KEY(doomed_blob(&doom.digest))));
	stage_directory(stage, names, 2);
	assert_false(has_key(place, KEY(doomed_blob(&doom.digest))));
	stage_close(stage, STAGE_DROPPED);
	expect_clean(place);
}

/* What a removal of a version for good will do: rows go, the page is doomed. */
static int remove_body(struct kv_txn *txn, void *arg)
{
	const struct version *v = arg;
	int err = kv_del(txn, KV_META, KEY(page_ref(v->page, REFERRER_VERSION, v->id)));

	return err < 0 ? err : reap_doom_page(txn, v->page);
}

/* Everything below a page goes with it, but for what another version has. */
static void pages_take_what_is_below_them(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v;
	unsigned before;

	put_directory(place, run, "d");
	put_directory(place, run, "d/same");
	put_file(place, run, "d/same/s", "same");
	put_directory(place, run, "d/sub");
	for (unsigned i = 0; i < 700; i++) {
		autofree char *name = xasprintf("d/sub/%u", i), *text = xasprintf("%u", i);

		put_file(place, run, name, text);
	}
	put_large(place, run, "d/sub/large", 1, LARGE);
	assert_int_equal(log_draft(place, run, "d"), 0);
	before = count_bytes(place);
	for (unsigned i = 0; i < 700; i++) {
		autofree char *name = xasprintf("d/sub/%u", i);
		autofree char *path = draft_path(place, run, name);

		if (i % 10)
			assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(before, 702);
	v = version_of(place, "d", 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, remove_body, &v), 0);
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_bytes(place), 72);
	v = version_of(place, "d", 1);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, remove_body, &v), 0);
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_bytes(place), 0);
	assert_false(has_key(place, KEY(page(v.page))));
}

/* A draft whose blob goes has its file for itself again. */
static void a_draft_outlives_its_blob(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");
	struct version v;
	struct stat st;

	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	v = version_of(place, "m", 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, remove_body, &v), 0);
	assert_int_equal(reap_run(place->store), 0);
	stat_draft(place, run, "m", &st);
	assert_true(st.st_nlink == 1 && st.st_size == LARGE);
	assert_int_equal(getxattr(path, DRAFT_SHARED_XATTR, NULL, 0), -1);
}

/* A file that need not be hashed again, but whose bytes went meanwhile. */
static void what_is_known_may_be_gone(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v;

	put_directory(place, run, "d");
	put_file(place, run, "d/a", "known");
	put_file(place, run, "d/b", "first");
	usleep(40000);
	assert_int_equal(log_draft(place, run, "d"), 0);
	v = version_of(place, "d", 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, remove_body, &v), 0);
	assert_int_equal(reap_run(place->store), 0);
	assert_false(has_blob(place, "known"));
	put_file(place, run, "d/b", "second");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_content(place, "d", 1, "f a 5 known\nf b 6 second\n");
	assert_true(has_blob(place, "known"));
}

static int fail_remove(struct blob_hook *hook, enum blob_call call)
{
	(void)hook;
	return call == BLOB_REMOVE ? -EIO : 0;
}

/* What could not be removed stays listed, and the rest goes. */
static void a_failure_does_not_stop_the_rest(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct place *place = *state;
	struct stage *stage;

	log_to_file("/dev/null");
	await_janitor(place);
	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	stage_directory(stage, names, 3);
	place->hook.before = fail_remove;
	stage_close(stage, STAGE_DROPPED);
	assert_int_equal(place->hook.calls[BLOB_REMOVE], 3);
	assert_false(has_blob(place, "a") || has_blob(place, "b") || has_blob(place, "c"));
	assert_int_equal(reap_run(place->store), -EIO);
	assert_int_equal(place->hook.calls[BLOB_REMOVE], 6);
	place->hook.before = NULL;
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

/* Bytes that go and come back meanwhile: the new ones stay. */
static void bytes_that_come_back_are_others(void **state)
{
	static const char *const names[] = { "a" };
	struct place *place = *state;
	struct stage *stage;
	uint32_t run;

	log_to_file("/dev/null");
	await_janitor(place);
	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	stage_directory(stage, names, 1);
	place->hook.before = fail_remove;
	stage_close(stage, STAGE_DROPPED);
	place->hook.before = NULL;
	run = make_run(place, "r");
	put_file(place, run, "m", "a");
	/* Finishing would wake the janitor, who tries again. */
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(count_bytes(place), 2);
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_bytes(place), 1);
	expect_clean(place);
	expect_content(place, "m", 0, "f m 1 a\n");
}

/* ---- does the check see anything? ---- */

struct row {
	enum kv_space space;
	struct buf key, value;
};

/* The n-th row of all: 1 or 0. */
static int nth_row(struct place *place, size_t n, struct row *ret)
{
	for (enum kv_space space = 0; space < KV_SPACES; space++) {
		AUTO(kv_abortp) struct kv_txn *txn = NULL;
		AUTO(kv_donep) struct kv_scan *scan = NULL;
		struct slice key, value;

		assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
		assert_int_equal(kv_scan(txn, space, slice("", 0), slice("", 0), &scan), 0);
		while (kv_next(scan, &key, &value) > 0) {
			if (n-- > 0)
				continue;
			ret->space = space;
			buf_reset(&ret->key);
			buf_reset(&ret->value);
			buf_add_slice(&ret->key, key);
			buf_add_slice(&ret->value, value);
			return 1;
		}
	}
	return 0;
}

static int put_row(struct kv_txn *txn, void *arg)
{
	const struct row *row = arg;

	return kv_put(txn, row->space, buf_slice(&row->key), buf_slice(&row->value));
}

static int del_row(struct kv_txn *txn, void *arg)
{
	const struct row *row = arg;

	return kv_del(txn, row->space, buf_slice(&row->key));
}

/*
 * May be missing without harm: counters, texts, what is known of files, a way to find pages, pins;
 * or without a trace: an event that no journal has yet.
 */
static bool may_go(const struct row *row)
{
	return row->space == KV_META && strchr("IlhtkE", row->key.data[0]);
}

static void the_check_misses_every_row(void **state)
{
	struct place *place = *state;
	uint32_t first = make_run(place, "first"), second = make_run(place, "second");
	struct row row = { KV_META, BUF_INIT, BUF_INIT };
	size_t missed = 0;
	uint32_t purged;

	put_directory(place, first, "d");
	put_directory(place, first, "d/sub");
	for (unsigned i = 0; i < 200; i++) {
		autofree char *name = xasprintf("d/sub/%u", i);

		put_file(place, first, name, "x");
	}
	put_large(place, first, "m", 1, LARGE);
	put_file(place, first, "removed", "r");
	put_file(place, first, "purged", "p");
	assert_int_equal(finish(place, first), 0);
	assert_int_equal(version_remove(place->store, version_of(place, "removed", 0).id), 0);
	purged = version_of(place, "purged", 0).id;
	assert_int_equal(version_remove(place->store, purged), 0);
	assert_int_equal(version_purge(place->store, purged), 0);
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(run_declare_input(place->store, second, slice_str("in"),
					   slice_str("d:v0"), &root_cred), 0);
	put_large(place, second, "m", 1, LARGE);
	assert_int_equal(log_draft(place, second, "m"), 0);
	expect_clean(place);
	for (size_t n = 0; nth_row(place, n, &row); n++) {
		AUTO(buf_release) struct buf wrong = BUF_INIT;

		if (may_go(&row))
			continue;
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_row, &row), 0);
		if (check_store(place->store, &wrong) == 0)
			fail_msg("a row of kind %c may go unseen", row.key.data[0]);
		missed++;
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_row, &row), 0);
	}
	assert_true(missed > 30);
	buf_release(&row.key);
	buf_release(&row.value);
	expect_clean(place);
}

static void the_check_sees_a_draft_that_could_write(void **state)
{
	AUTO(buf_release) struct buf wrong = BUF_INIT;
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");

	put_large(place, run, "m", 1, LARGE);
	assert_int_equal(log_draft(place, run, "m"), 0);
	expect_clean_now(place);
	assert_int_equal(removexattr(path, DRAFT_SHARED_XATTR), 0);
	assert_int_equal(check_store(place->store, &wrong), 1);
	put_large(place, run, "m", 2, LARGE);
	assert_int_equal(check_store(place->store, &wrong), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, a_stage_that_is_dropped_leaves_nothing),
		ON(real, a_stage_that_is_dropped_leaves_nothing),
		ON(memory, what_another_refers_to_stays),
		ON(real, what_another_refers_to_stays),
		ON(memory, what_could_not_go_goes_later),
		ON(mixed, what_could_not_go_goes_later),
		ON(memory, intents_are_dropped_at_the_start),
		ON(mixed, intents_are_dropped_at_the_start),
		ON(memory, what_a_version_has_stays),
		ON(memory, a_new_reference_spares),
		ON(real, a_new_reference_spares),
		EVERYWHERE(what_is_known_may_be_gone),
		EVERYWHERE(pages_take_what_is_below_them),
		ON(mixed, a_draft_outlives_its_blob),
		ON(memory, a_failure_does_not_stop_the_rest),
		ON(memory, bytes_that_come_back_are_others),
		ON(mixed, the_check_misses_every_row),
		ON(mixed, the_check_sees_a_draft_that_could_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
