/*
 * The contract of core/gc.h: what the policy selects goes, what somebody needs stays, and it can be
 * ended at any point.
 */
#include "core/gc.h"

#include "core/alias.h"
#include "core/edge.h"
#include "core/observe.h"
#include "core/reap.h"
#include "core/removal.h"
#include "core/run.h"
#include "core/view.h"
#include "store_place.h"

#define LARGE (BLOB_PACK_MAX + 4096)
#define DAY_NS (86400ull * 1000000000)

/* ---- short forms ---- */

static void log_text(struct place *place, uint32_t run, const char *name, const char *text)
{
	put_file(place, run, name, text);
	assert_int_equal(log_draft(place, run, name), 0);
}

/* m:v0 to m:v<n - 1>, each with its number. */
static void log_some(struct place *place, uint32_t run, const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		autofree char *text = xasprintf("%u", i);

		log_text(place, run, name, text);
	}
}

/* The same of a run that has finished. */
static void log_many(struct place *place, const char *run_name, const char *name, unsigned n)
{
	uint32_t run = make_run(place, run_name);

	log_some(place, run, name, n);
	assert_int_equal(finish(place, run), 0);
}

/* The numbers of the live versions, in order. */
static void expect_live(struct place *place, const char *name, const char *wanted)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct version v;

	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	for (int64_t after = -1; version_next(place->store, c.id, after, &v) > 0; after = v.number)
		buf_printf(&found, "%s%u", found.len ? " " : "", v.number);
	assert_string_equal(buf_str(&found), wanted);
}

static unsigned count_removed(struct place *place)
{
	struct version v = { 0 };
	unsigned n = 0;

	for (int64_t number = -1;
	     version_removed_next(place->store, v.collection, number, &v) > 0; number = v.number)
		n++;
	return n;
}

static int add_size(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id;
	*(uint64_t *)arg += size;
	return 0;
}

static uint64_t stored_bytes(struct place *place)
{
	uint64_t sum = 0;

	assert_int_equal(blob_each(place->store->blobs, add_size, &sum), 0);
	return sum;
}

/* All steps, each as small as can be: how many versions went. */
static uint64_t collect(struct place *place, struct gc_policy policy)
{
	struct gc_cursor cursor = { 0 };
	uint64_t purged = 0;
	int more;

	while ((more = gc_step(place->store, &policy, 0, NULL, &cursor, &purged)) > 0)
		;
	assert_int_equal(more, 0);
	return purged;
}

static uint64_t keep_last(struct place *place, uint32_t n)
{
	return collect(place, (struct gc_policy){ .has_keep_last = true, .keep_last = n });
}

static uint64_t unused_for(struct place *place, uint32_t days)
{
	return collect(place, (struct gc_policy){ .has_unused = true, .unused_days = days });
}

struct ageing {
	uint32_t version;
	unsigned days;
	uint32_t user;
};

static void age_edge(struct kv_txn *txn, struct key near, struct key far, unsigned days)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct edge e;

	assert_int_equal(kv_get(txn, KV_META, key_slice(&near), &b), 0);
	assert_int_equal(decode_edge(buf_slice(&b), &e), 0);
	e.first -= days * DAY_NS;
	e.last -= days * DAY_NS;
	buf_reset(&b);
	encode_edge(&b, &e);
	assert_int_equal(kv_put(txn, KV_META, key_slice(&near), buf_slice(&b)), 0);
	assert_int_equal(kv_put(txn, KV_META, key_slice(&far), buf_slice(&b)), 0);
}

/* As if the version had been made, logged and used so much earlier. */
static int age_body(struct kv_txn *txn, void *arg)
{
	const struct ageing *a = arg;
	AUTO(buf_release) struct buf used = BUF_INIT;
	struct version v;
	uint64_t last;
	int err = version_read_by_id(txn, a->version, &v);

	assert_int_equal(err, 0);
	v.created -= a->days * DAY_NS;
	if (v.removed)
		v.removed -= a->days * DAY_NS;
	err = version_write(txn, &v);
	if (kv_get(txn, KV_META, KEY(last_use(v.id)), &used) == 0) {
		assert_int_equal(decode_u64(buf_slice(&used), &last), 0);
		buf_reset(&used);
		encode_u64(&used, last - a->days * DAY_NS);
		err = kv_put(txn, KV_META, KEY(last_use(v.id)), buf_slice(&used));
	}
	age_edge(txn, key_logged(v.run, v.id), key_logged_by(v.id, v.run), a->days);
	if (a->user)
		age_edge(txn, key_use(a->user, v.id), key_used_by(v.id, a->user), a->days);
	return err;
}

static void age(struct place *place, uint32_t version, unsigned days)
{
	struct ageing a = { version, days, 0 };

	if (edge_next(place->store->kv, EDGE_VERSION_USED_BY, version, 0, &a.user, NULL) == 0)
		a.user = 0;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, age_body, &a), 0);
}

static void set_alias(struct place *place, const char *name, const char *alias, uint32_t number)
{
	struct version v = version_of(place, name, number);

	assert_int_equal(alias_set(place->store, v.collection, slice_str(alias), v.id, false,
				   &root_cred), 0);
}

/* ---- what is selected ---- */

static void the_last_ones_are_kept(void **state)
{
	struct place *place = *state;

	log_many(place, "r", "m", 6);
	log_many(place, "s", "n", 2);
	log_many(place, "t", "o", 3);
	assert_int_equal(keep_last(place, 7), 0);
	assert_int_equal(keep_last(place, 3), 3);
	expect_live(place, "m", "3 4 5");
	expect_live(place, "n", "0 1");
	expect_live(place, "o", "0 1 2");
	assert_int_equal(count_removed(place), 0);
	expect_clean(place);
	/* Whatever the number, `latest` stays. */
	assert_int_equal(keep_last(place, 0), 5);
	expect_live(place, "m", "5");
	expect_live(place, "n", "1");
	expect_live(place, "o", "2");
	expect_clean(place);
}

static void what_is_needed_is_kept(void **state)
{
	struct place *place = *state;
	struct store *store = place->store;
	uint32_t run = make_run(place, "running");
	struct version seen;

	log_many(place, "r", "m", 4);
	set_alias(place, "m", "prod", 0);
	assert_int_equal(run_declare_input(store, run, slice_str("in"), slice_str("m:v1"),
					   &root_cred), 0);
	/* The run sees latest, and goes on seeing it as it was. */
	assert_int_equal(view_resolve(store, run, version_of(place, "m", 0).collection,
				      slice_str("latest"), &seen), 0);
	assert_int_equal(seen.number, 3);
	log_text(place, run, "n", "of a running run");
	log_text(place, run, "n", "its second");
	log_many(place, "s", "m2", 1);
	{
		uint32_t other = make_run(place, "other");

		log_text(place, other, "m", "four");
		log_text(place, other, "m", "five");
		assert_int_equal(finish(place, other), 0);
	}
	assert_int_equal(keep_last(place, 0), 2);
	expect_live(place, "m", "0 1 3 5");
	expect_live(place, "n", "0 1");
	expect_clean(place);
	/* Once the run has finished only the names count. */
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(keep_last(place, 0), 3);
	expect_live(place, "m", "0 5");
	expect_live(place, "n", "1");
	expect_clean(place);
}

static void what_was_used_lately_is_kept(void **state)
{
	struct place *place = *state;
	struct store *store = place->store;
	uint32_t run = make_run(place, "user");

	log_many(place, "r", "m", 6);
	for (uint32_t i = 0; i < 5; i++)
		age(place, version_of(place, "m", i).id, 100);
	assert_int_equal(observe_version(store, run, version_of(place, "m", 1).id), 0);
	assert_int_equal(run_declare_input(store, run, slice_str("in"), slice_str("m:v2"),
					   &root_cred), 0);
	assert_int_equal(observe_version(store, run, version_of(place, "m", 3).id), 0);
	/* Taken back: it was used all the same. */
	assert_int_equal(run_remove_input(store, run, slice_str("in")), 0);
	assert_int_equal(finish(place, run), 0);
	age(place, version_of(place, "m", 3).id, 95);
	/* Logged again: as good as new. */
	run = make_run(place, "again");
	put_file(place, run, "m", "4");
	assert_int_equal(finish(place, run), 0);
	expect_live(place, "m", "0 1 2 3 4 5");
	assert_int_equal(unused_for(place, 101), 0);
	assert_int_equal(unused_for(place, 90), 2);
	expect_live(place, "m", "1 2 4 5");
	/* Both: only what both select. */
	for (uint32_t i = 1; i < 3; i++)
		age(place, version_of(place, "m", i).id, 100);
	assert_int_equal(collect(place, (struct gc_policy){ .has_unused = true, .unused_days = 50,
							    .has_keep_last = true, .keep_last = 3 }),
			 1);
	expect_live(place, "m", "2 4 5");
	assert_int_equal(unused_for(place, 0), 2);
	expect_live(place, "m", "5");
	expect_clean(place);
}

static void the_trash_is_emptied(void **state)
{
	struct place *place = *state;
	struct store *store = place->store;

	await_janitor(place);
	store->options.trash_seconds = 7 * 86400;
	/* The end of a run would wake the janitor. */
	log_some(place, make_run(place, "r"), "m", 5);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(version_remove(store, version_of(place, "m", i).id), 0);
	age(place, version_of(place, "m", 4).id - 3, 8);
	assert_int_equal(collect(place, (struct gc_policy){ 0 }), 1);
	assert_int_equal(count_removed(place), 3);
	assert_int_equal(stored_bytes(place), 4);
	assert_int_equal(collect(place, (struct gc_policy){ .empty_trash = true }), 3);
	assert_int_equal(count_removed(place), 0);
	assert_int_equal(stored_bytes(place), 1);
	expect_live(place, "m", "4");
	expect_clean(place);
}

/* What is said before is what goes, however it is divided into steps. */
static void what_is_said_is_what_goes(void **state)
{
	struct gc_policy policy = { .empty_trash = true, .has_keep_last = true, .keep_last = 100 };
	struct place *place = *state;
	AUTO(usage_set_release) struct usage_set set = { 0 };
	struct gc_cursor cursor = { 0 };
	uint64_t bytes, before, purged = 0;
	uint32_t run = make_run(place, "r");
	int more;

	await_janitor(place);
	put_directory(place, run, "d");
	put_large(place, run, "d/large", 1, LARGE);
	for (unsigned i = 0; i < 250; i++) {
		autofree char *text = xasprintf("%u", i);

		put_file(place, run, "d/a", text);
		put_file(place, run, "m", text);
		assert_int_equal(log_draft(place, run, i % 2 ? "d" : "m"), 0);
	}
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(version_remove(place->store, version_of(place, "d", 120).id), 0);
	assert_int_equal(gc_select(place->store, &policy, NULL, &set), 0);
	assert_int_equal(set.count, 1 + 24 + 26);
	assert_int_equal(usage_reclaimable(place->store, &set, NULL, &bytes), 0);
	before = stored_bytes(place);
	while ((more = gc_step(place->store, &policy, 0, NULL, &cursor, &purged)) > 0) {
		struct gc_cursor again = cursor;

		/* Whoever goes on elsewhere does the same. */
		reopen(place);
		cursor = again;
	}
	assert_int_equal(more, 0);
	assert_int_equal(purged, set.count);
	assert_int_equal(before - stored_bytes(place), bytes);
	assert_int_equal(count_versions(place, "m"), 100);
	assert_int_equal(count_versions(place, "d"), 100);
	expect_clean(place);
}

static void it_can_be_stopped(void **state)
{
	struct gc_policy policy = { .has_keep_last = true, .keep_last = 1 };
	struct place *place = *state;
	AUTO(usage_set_release) struct usage_set set = { 0 };
	struct gc_cursor cursor = { 0 };
	uint64_t purged = 0;
	bool stop = true;

	log_many(place, "r", "m", 3);
	assert_int_equal(gc_select(place->store, &policy, &stop, &set), -EINTR);
	assert_int_equal(gc_step(place->store, &policy, 0, &stop, &cursor, &purged), -EINTR);
	assert_int_equal(purged, 0);
	expect_live(place, "m", "0 1 2");
}

/* ---- what ends in the middle ---- */

static void what_was_discarded_is_looked_at_again(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "late");
	struct version v;

	await_janitor(place);
	log_many(place, "r", "m", 4);
	for (uint32_t i = 0; i < 3; i++) {
		v = version_of(place, "m", i);
		/* The second: a run began to use it just before. */
		if (i == 1)
			assert_int_equal(observe_version(place->store, run, v.id), 0);
		assert_int_equal(version_discard(place->store, v.id), 0);
	}
	/* It is gc that does it as long as this daemon lives... */
	assert_int_equal(version_purge_older(place->store, store_now(),
					     &place->store->janitor_stop), 0);
	assert_int_equal(collect(place, (struct gc_policy){ 0 }), 2);
	expect_live(place, "m", "1 3");
	expect_clean(place);
}

struct late_use {
	struct place *place;
	uint32_t run;
	unsigned times;
};

/* What a run does whose open was under way when the version went. */
static void use_it(void *arg, const struct version *v)
{
	struct late_use *late = arg;

	if (version_is_discarded(v) && !v->purged && late->times > 0) {
		late->times--;
		assert_int_equal(observe_version(late->place->store, late->run, v->id), 0);
	}
}

static void a_use_that_is_just_in_time(void **state)
{
	struct place *place = *state;
	struct late_use late = { place, make_run(place, "late"), 1 };

	await_janitor(place);
	log_many(place, "r", "m", 4);
	version_on_change(place->store, use_it, &late);
	assert_int_equal(keep_last(place, 1), 2);
	version_on_change(place->store, NULL, NULL);
	expect_live(place, "m", "0 3");
	expect_clean(place);
}

static void what_a_dead_gc_discarded_goes(void **state)
{
	struct place *place = *state;

	place->options.trash_seconds = 7 * 86400;
	reopen(place);
	await_janitor(place);
	log_many(place, "r", "m", 2);
	assert_int_equal(version_discard(place->store, version_of(place, "m", 0).id), 0);
	/* Another daemon, in a second of its own. */
	place->store->opened_at++;
	assert_int_equal(version_purge_older(place->store, 1 + place->store->opened_at,
					     &place->store->janitor_stop), 1);
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_removed(place), 0);
	expect_live(place, "m", "1");
	expect_clean(place);
}

/* Equal content that is logged while a version goes brings it back. */
static void it_comes_back_when_it_is_logged_again(void **state)
{
	struct place *place = *state;
	uint32_t run;

	log_many(place, "r", "m", 2);
	assert_int_equal(version_discard(place->store, version_of(place, "m", 0).id), 0);
	run = make_run(place, "again");
	put_file(place, run, "m", "0");
	assert_int_equal(finish(place, run), 0);
	expect_live(place, "m", "0 1");
	assert_int_equal(collect(place, (struct gc_policy){ .empty_trash = true }), 0);
	expect_content(place, "m", 0, "f m 1 0\n");
	expect_clean(place);
}

/* ---- faults ---- */

static struct gc_policy sweep_policy = { .empty_trash = true, .has_keep_last = true,
					 .keep_last = 1 };

static void make_litter(struct place *place)
{
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	put_directory(place, run, "d/sub");
	put_large(place, run, "d/large", 1, LARGE);
	for (unsigned i = 0; i < 4; i++) {
		autofree char *text = xasprintf("%u", i);

		put_file(place, run, "d/sub/a", text);
		assert_int_equal(log_draft(place, run, "d"), 0);
		if (i == 1) {
			autofree char *path = draft_path(place, run, "d/large");

			assert_int_equal(unlink(path), 0);
			put_large(place, run, "d/large", 2, LARGE);
		}
	}
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(version_remove(place->store, version_of(place, "d", 1).id), 0);
}

static int try_collect(struct place *place)
{
	struct gc_cursor cursor = { 0 };
	uint64_t purged = 0;
	int more;

	do
		more = gc_step(place->store, &sweep_policy, 0, NULL, &cursor, &purged);
	while (more > 0);
	return more;
}

static void expect_collected(struct place *place)
{
	expect_live(place, "d", "3");
	assert_int_equal(count_removed(place), 0);
	assert_int_equal(stored_bytes(place), LARGE + 1);
	expect_clean(place);
}

enum fault { KV_FAULT, KV_FAULT_FOR_GOOD, KV_CRASH, BLOB_FAULT, BLOB_FAULT_FOR_GOOD };

static void arm(struct place *place, enum fault fault, uint64_t n)
{
	bool blob = fault == BLOB_FAULT || fault == BLOB_FAULT_FOR_GOOD;

	if (blob)
		blob_disk_fail(place->blob_disk, n, -EIO, fault == BLOB_FAULT_FOR_GOOD);
	else
		kv_disk_fail(place->kv_disk, n, fault == KV_FAULT_FOR_GOOD ? -ENOSPC : -EIO,
			     fault != KV_FAULT);
}

/* Ended by a fault, it is done again: by the same daemon, by the next, or after a power cut. */
static void sweep(enum backend backend, enum fault fault, bool same, unsigned stride)
{
	unsigned faults = 0;
	int err = -1;

	log_to_file("/dev/null");
	/* That a file cannot be looked at before it is removed does no harm. */
	for (uint64_t n = 1; err < 0 || (fault >= BLOB_FAULT && n < 10); n += stride) {
		struct place *place = place_new(backend);
		struct version last;

		open_store(place);
		await_janitor(place);
		make_litter(place);
		last = version_of(place, "d", 3);
		arm(place, fault, n);
		err = try_collect(place);
		if (fault == KV_CRASH)
			kv_disk_crash(place->kv_disk);
		if (!same)
			close_store(place);
		arm(place, fault, 0);
		if (!same) {
			open_store(place);
			await_janitor(place);
		}
		assert_int_equal(version_of(place, "d", 3).id, last.id);
		assert_int_equal(try_collect(place), 0);
		expect_collected(place);
		place_free(place);
		faults += err < 0;
	}
	/* The janitor may have done some of it before. */
	assert_true(faults > 0);
}

static void faults_of_the_kv_store(void **state)
{
	(void)state;
	sweep(MEMORY, KV_FAULT, true, 1);
	sweep(MIXED, KV_FAULT, false, 5);
	sweep(MEMORY, KV_FAULT_FOR_GOOD, true, 3);
	sweep(MIXED, KV_CRASH, false, 4);
}

static void faults_of_the_blob_store(void **state)
{
	(void)state;
	sweep(MEMORY, BLOB_FAULT, true, 1);
	sweep(MEMORY, BLOB_FAULT_FOR_GOOD, false, 1);
}

/* ---- beside others ---- */

struct logger {
	struct place *place;
	uint32_t run;
	pthread_t thread;
	bool stop;
	unsigned logged;
};

static void *log_the_same(void *arg)
{
	struct logger *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		autofree char *text = xasprintf("%u", l->logged % 5);

		put_file(l->place, l->run, "d/sub/a", text);
		touch(l->place, l->run, "d", 0);
		assert_int_equal(log_draft(l->place, l->run, "d"), 0);
		l->logged++;
	}
	return NULL;
}

/* The same bytes are logged all the time: what is live at the end is whole, and nothing else is. */
static void bytes_are_logged_meanwhile(void **state)
{
	struct place *place = *state;
	struct logger l = { .place = place, .run = make_run(place, "logger") };
	uint32_t other = make_run(place, "other");
	unsigned rounds = 0;

	put_directory(place, l.run, "d");
	put_directory(place, l.run, "d/sub");
	put_large(place, l.run, "d/large", 1, LARGE);
	put_directory(place, other, "e");
	put_directory(place, other, "e/sub");
	put_large(place, other, "e/large", 1, LARGE);
	assert_int_equal(pthread_create(&l.thread, NULL, log_the_same, &l), 0);
	for (; rounds < 60; rounds++) {
		autofree char *text = xasprintf("%u", rounds % 5);

		/* Of a run that goes on nothing goes, so the other makes what goes. */
		put_file(place, other, "e/sub/a", text);
		touch(place, other, "e", 0);
		assert_int_equal(log_draft(place, other, "e"), 0);
		if (rounds % 10 == 9) {
			AUTO(collection_release) struct collection c = { 0 };
			struct version v;

			assert_int_equal(collection_find(place->store, slice_str("e"), &c), 0);
			for (int64_t after = -1;
			     version_next(place->store, c.id, after, &v) > 0; after = v.number)
				assert_int_equal(version_discard(place->store, v.id), 0);
		}
		collect(place, (struct gc_policy){ .empty_trash = true, .has_keep_last = true });
	}
	__atomic_store_n(&l.stop, true, __ATOMIC_RELAXED);
	pthread_join(l.thread, NULL);
	assert_true(l.logged > 0);
	assert_int_equal(finish(place, l.run), 0);
	assert_int_equal(finish(place, other), 0);
	keep_last(place, 0);
	expect_clean(place);
	assert_int_equal(count_versions(place, "d"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, the_last_ones_are_kept),
		ON(real, the_last_ones_are_kept),
		ON(memory, what_is_needed_is_kept),
		ON(real, what_is_needed_is_kept),
		ON(memory, what_was_used_lately_is_kept),
		EVERYWHERE(the_trash_is_emptied),
		ON(mixed, what_is_said_is_what_goes),
		ON(real, what_is_said_is_what_goes),
		ON(memory, it_can_be_stopped),
		ON(memory, what_was_discarded_is_looked_at_again),
		ON(memory, a_use_that_is_just_in_time),
		ON(real, what_a_dead_gc_discarded_goes),
		ON(memory, it_comes_back_when_it_is_logged_again),
		cmocka_unit_test(faults_of_the_kv_store),
		cmocka_unit_test(faults_of_the_blob_store),
		EVERYWHERE(bytes_are_logged_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
