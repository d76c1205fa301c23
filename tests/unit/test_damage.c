/*
 * Bytes that the disk has changed: never served, said in info.json and the audit log, found by the
 * scrub and by reading, and replaced by whoever logs the same bytes again.
 */
#include "store_place.h"

#include "core/borrow.h"
#include "core/damage.h"
#include "core/document.h"
#include "core/event.h"
#include "core/reap.h"
#include "core/scrub.h"

#define LARGE (BLOB_PACK_MAX + 1000)

static const char small[] = "some bytes";

static uint32_t put_all(struct place *place, const char *name)
{
	uint32_t run = make_run(place, name);

	put_directory(place, run, "d");
	put_file(place, run, "d/small", small);
	put_file(place, run, "d/other", "other bytes");
	put_large(place, run, "d/large", 1, LARGE);
	return run;
}

static void log_all(struct place *place, const char *name)
{
	assert_int_equal(log_draft(place, put_all(place, name), "d"), 0);
}

static struct digest digest_of_file_in(struct place *place, const char *path, struct blob_id *ret,
				       uint64_t *ret_size)
{
	struct version v = version_of(place, "d", 0);
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct tree_entry e;
	struct blob_row row;

	assert_int_equal(tree_find_path(place->store->kv, v.page, slice_str(path), &e), 0);
	assert_int_equal(kv_get_one(place->store->kv, KV_META, KEY(blob(&e.digest)), &b), 0);
	assert_int_equal(decode_blob_row(buf_slice(&b), &row), 0);
	*ret = (struct blob_id){ e.digest, row.generation };
	*ret_size = row.size;
	return e.digest;
}

/* 0 and all of it reads, or -errno. */
static int read_file(struct place *place, const char *path)
{
	struct blob *blob = NULL;
	struct blob_id id;
	uint64_t size;
	struct digest digest = digest_of_file_in(place, path, &id, &size);
	int err = artifact_open_blob(place->store, &digest, &blob);

	blob_release(blob);
	return err;
}

/* ---- damage ---- */

struct pack_row {
	struct digest digest;
	bool gone;
};

static int spoil_body(struct kv_txn *txn, void *arg)
{
	const struct pack_row *p = arg;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct slice key, value;
	int more = kv_scan(txn, KV_PACK, slice("", 0), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (memcmp((const char *)key.data + key.len - DIGEST_SIZE, p->digest.bytes,
			   DIGEST_SIZE) != 0)
			continue;
		if (p->gone)
			return kv_del(txn, KV_PACK, key);
		buf_add_slice(&bytes, value);
		bytes.data[0] ^= 1;
		return kv_put(txn, KV_PACK, key, buf_slice(&bytes));
	}
	return -ENOENT;
}

static void spoil_small(struct place *place, const char *path, bool gone)
{
	struct blob_id id;
	uint64_t size;
	struct pack_row p = { .digest = digest_of_file_in(place, path, &id, &size), .gone = gone };

	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, spoil_body, &p), 0);
}

static char *file_of(struct place *place, const struct blob_id *id)
{
	char hex[DIGEST_HEX_SIZE + 1];

	digest_to_hex(&id->digest, hex);
	return xasprintf("%s/store/blobs/%.2s/%s.%llx", place->directory, hex, hex + 2,
			 (unsigned long long)id->generation);
}

static void spoil_large(struct place *place)
{
	struct blob_id id;
	uint64_t size;
	struct digest digest = digest_of_file_in(place, "large", &id, &size);
	autofree char *path = file_of(place, &id);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	char c;

	(void)digest;
	assert_int_equal(pread(fd, &c, 1, LARGE / 2), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, LARGE / 2), 1);
}

static int no_pace(void *arg, size_t bytes)
{
	*(uint64_t *)arg += bytes;
	return 0;
}

static uint64_t scrub_all(struct place *place)
{
	struct digest at = { { 0 } };
	uint64_t bytes = 0;
	int more;

	while ((more = scrub_some(place->store, &at, no_pace, &bytes)) > 0)
		;
	assert_int_equal(more, 0);
	return bytes;
}

/* ---- what is said ---- */

static bool info_says(struct place *place, const char *text)
{
	AUTO(buf_release) struct buf info = BUF_INIT;
	struct version v = version_of(place, "d", 0);

	assert_int_equal(document_version(place->store, &v, &info), 0);
	return strstr(buf_str(&info), text) != NULL;
}

static unsigned count_events(struct place *place, enum event_kind kind)
{
	struct kv_txn *txn;
	struct kv_scan *scan;
	struct slice key, value;
	unsigned n = 0;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0) {
		AUTO(event_record_release) struct event_record e = { 0 };

		n += event_decode(value, &e) == 0 && e.kind == kind;
	}
	kv_done(scan);
	kv_abort(txn);
	return n;
}

/* It reads again, nothing is said, and nothing is left of the bad one. */
static void expect_healed(struct place *place, const char *path)
{
	assert_int_equal(read_file(place, path), 0);
	assert_int_equal(damage_count(place->store), 0);
	assert_int_equal(count_events(place, EVENT_HEALED), 1);
	assert_false(info_says(place, "\"damaged\""));
	assert_int_equal(reap_run(place->store), 0);
	expect_clean(place);
}

static void a_small_file(void **state)
{
	struct place *place = *state;

	log_all(place, "first");
	assert_int_equal(read_file(place, "small"), 0);
	spoil_small(place, "small", false);
	assert_int_equal(read_file(place, "small"), -EIO);
	assert_int_equal(read_file(place, "small"), -EIO);
	assert_int_equal(damage_count(place->store), 1);
	assert_int_equal(count_events(place, EVENT_DAMAGED), 1);
	/* The rest stays. */
	assert_int_equal(read_file(place, "other"), 0);
	assert_int_equal(read_file(place, "large"), 0);
	assert_true(info_says(place, "\"damaged\""));
	assert_true(info_says(place, "\"small\""));
	assert_false(info_says(place, "\"other\""));
	/* It is known after a restart, too. */
	reopen(place);
	assert_int_equal(damage_count(place->store), 1);
	assert_int_equal(read_file(place, "small"), -EIO);
	log_all(place, "second");
	assert_int_equal(count_versions(place, "d"), 1);
	expect_healed(place, "small");
}

static void a_small_file_that_is_gone(void **state)
{
	struct place *place = *state;

	log_all(place, "first");
	spoil_small(place, "small", true);
	assert_int_equal(read_file(place, "small"), -EIO);
	assert_int_equal(damage_count(place->store), 1);
	log_all(place, "second");
	expect_healed(place, "small");
}

/* The draft that it was logged from still has it, and says so when it is logged again. */
static void the_same_draft_heals(void **state)
{
	struct place *place = *state;
	uint32_t run;

	run = put_all(place, "first");
	assert_int_equal(log_draft(place, run, "d"), 0);
	spoil_small(place, "small", false);
	assert_int_equal(read_file(place, "small"), -EIO);
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_healed(place, "small");
}

static void a_large_file(void **state)
{
	struct place *place = *state;
	struct blob_id id;
	uint64_t size;

	log_all(place, "first");
	digest_of_file_in(place, "large", &id, &size);
	assert_int_equal(scrub_all(place), LARGE);
	assert_int_equal(damage_count(place->store), 0);
	spoil_large(place);
	assert_int_equal(read_file(place, "large"), 0); /* until it is looked at */
	scrub_all(place);
	assert_int_equal(damage_count(place->store), 1);
	assert_int_equal(read_file(place, "large"), -EIO);
	assert_int_equal(borrow_open(place->store, &id, size), -EIO);
	assert_true(info_says(place, "\"large\""));
	assert_int_equal(read_file(place, "small"), 0);
	log_all(place, "second");
	assert_int_equal(count_versions(place, "d"), 1);
	/* Who borrowed the bad one gets the good one. */
	close(borrow_open(place->store, &id, size));
	assert_true(borrow_is_kept(place->store, &id));
	expect_healed(place, "large");
	assert_int_equal(scrub_all(place), LARGE);
	assert_int_equal(damage_count(place->store), 0);
}

/* It was the cable: read again, it is good. */
static void a_large_file_that_is_good_after_all(void **state)
{
	struct place *place = *state;

	log_all(place, "first");
	spoil_large(place);
	scrub_all(place);
	assert_int_equal(read_file(place, "large"), -EIO);
	spoil_large(place);
	assert_int_equal(read_file(place, "large"), -EIO);
	scrub_all(place);
	expect_healed(place, "large");
}

static int stop_at_once(void *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	return -EINTR;
}

static void the_scrub_goes_on_where_it_was(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct digest at = { { 0 } }, before;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < 3; i++) {
		autofree char *name = xasprintf("m%u", i);

		put_large(place, run, name, 10 + i, LARGE);
		assert_int_equal(log_draft(place, run, name), 0);
	}
	assert_int_equal(scrub_some(place->store, &at, no_pace, &bytes), 1);
	before = at;
	/* What was not read to its end is read again. */
	assert_int_equal(scrub_some(place->store, &at, stop_at_once, NULL), -EINTR);
	assert_true(digest_equal(&at, &before));
	assert_int_equal(scrub_some(place->store, &at, no_pace, &bytes), 1);
	assert_int_equal(scrub_some(place->store, &at, no_pace, &bytes), 1);
	assert_int_equal(scrub_some(place->store, &at, no_pace, &bytes), 0);
	assert_int_equal(bytes, 3 * LARGE);
}

/* The thread: a round goes over all of them, and is not begun anew by the next start. */
static void the_scrub_in_the_background(void **state)
{
	struct place *place = *state;
	struct scrub_state s = { 0 }, again = { 0 };

	log_all(place, "first");
	spoil_large(place);
	assert_int_equal(damage_count(place->store), 0);
	close_store(place);
	place->options.scrub_bytes = 1u << 30;
	open_store(place);
	while (s.ended == 0) {
		assert_int_equal(scrub_state(place->store, &s), 0);
		usleep(1000);
	}
	assert_int_equal(s.bytes, LARGE);
	assert_int_equal(damage_count(place->store), 1);
	reopen(place);
	await_janitor(place);
	assert_int_equal(scrub_state(place->store, &again), 0);
	assert_int_equal(again.started, s.started);
}

struct page_row {
	uint64_t page;
	struct slice record;
};

static int page_body(struct kv_txn *txn, void *arg)
{
	const struct page_row *row = arg;

	return kv_put(txn, KV_META, KEY(page(row->page)), row->record);
}

/* A page with one bit turned over, in what its digest is of. */
static void a_page(void **state)
{
	struct place *place = *state;
	struct version v;
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct tree_entry e;
	struct page_row row;

	log_all(place, "first");
	v = version_of(place, "d", 0);
	assert_int_equal(kv_get_one(place->store->kv, KV_META, KEY(page(v.page)), &record), 0);
	record.data[record.len - 1] ^= 1;
	row = (struct page_row){ v.page, buf_slice(&record) };
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, page_body, &row), 0);
	assert_int_equal(tree_find_path(place->store->kv, v.page, slice_str("small"), &e), -EIO);
}

/* Healing, cut short by every call: it is damaged still, or healed, and can be done again. */
static void healing_that_fails(void **state)
{
	struct place *place = *state;
	uint64_t calls = 0;

	log_all(place, "first");
	for (uint64_t n = 1; calls == 0 || n <= calls; n += 1 + calls / 60) {
		autofree char *name = xasprintf("again-%llu", (unsigned long long)n);
		autofree char *later = xasprintf("later-%llu", (unsigned long long)n);
		uint32_t run;
		uint64_t before;

		spoil_small(place, "small", false);
		assert_int_equal(read_file(place, "small"), -EIO);
		run = put_all(place, name);
		before = kv_disk_calls(place->kv_disk);
		kv_disk_fail(place->kv_disk, calls ? n : 0, -EIO, n % 2);
		log_draft(place, run, "d");
		kv_disk_fail(place->kv_disk, 0, 0, false);
		if (calls == 0)
			calls = kv_disk_calls(place->kv_disk) - before;
		reopen(place);
		log_all(place, later);
		assert_int_equal(read_file(place, "small"), 0);
		assert_int_equal(damage_count(place->store), 0);
		await_janitor(place);
		assert_int_equal(reap_run(place->store), 0);
		expect_clean(place);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_small_file),
		ON(real, a_small_file),
		ON(mixed, a_small_file_that_is_gone),
		ON(real, a_small_file_that_is_gone),
		ON(mixed, the_same_draft_heals),
		ON(real, the_same_draft_heals),
		ON(mixed, a_large_file),
		ON(real, a_large_file),
		ON(mixed, a_large_file_that_is_good_after_all),
		ON(real, a_large_file_that_is_good_after_all),
		EVERYWHERE(the_scrub_goes_on_where_it_was),
		ON(real, the_scrub_in_the_background),
		EVERYWHERE(a_page),
		ON(mixed, healing_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
