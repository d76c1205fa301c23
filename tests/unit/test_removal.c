/*
 * The contract of core/removal.h: versions go to the trash, come back, and are purged; `latest`
 * follows; equal content finds them; nothing else loses a byte.
 */
#include "core/removal.h"

#include "core/alias.h"
#include "core/edge.h"
#include "core/reap.h"
#include "store_place.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- short forms ---- */

static struct version any(struct place *place, const char *label)
{
	struct version v = { 0 };

	assert_int_equal(version_find_label(place->store, label, &v), 0);
	return v;
}

static int remove_label(struct place *place, const char *label)
{
	return version_remove(place->store, any(place, label).id);
}

static int restore_label(struct place *place, const char *label)
{
	return version_restore(place->store, any(place, label).id);
}

static int purge_label(struct place *place, const char *label)
{
	return version_purge(place->store, any(place, label).id);
}

static void remove_it(struct place *place, const char *label)
{
	assert_int_equal(remove_label(place, label), 0);
}

static void purge_it(struct place *place, const char *label)
{
	assert_int_equal(purge_label(place, label), 0);
	assert_int_equal(reap_run(place->store), 0);
}

static int64_t latest_of(struct place *place, const char *name)
{
	AUTO(collection_release) struct collection c = { 0 };

	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	return c.latest;
}

static void log_text(struct place *place, uint32_t run, const char *name, const char *text)
{
	put_file(place, run, name, text);
	assert_int_equal(log_draft(place, run, name), 0);
}

/* m:v0 to m:v<n - 1>, each with its number. */
static uint32_t log_many(struct place *place, unsigned n)
{
	uint32_t run = make_run(place, "r");

	for (unsigned i = 0; i < n; i++) {
		autofree char *text = xasprintf("%u", i);

		log_text(place, run, "m", text);
	}
	return run;
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

static unsigned count_removed(struct place *place)
{
	struct version v = { 0 };
	int64_t number = -1;
	unsigned n = 0;

	while (version_removed_next(place->store, v.collection, number, &v) > 0) {
		assert_true(v.removed && !v.purged);
		number = v.number;
		n++;
	}
	return n;
}

/* ---- latest ---- */

static void latest_is_the_highest_live_one(void **state)
{
	struct place *place = *state;

	log_many(place, 4);
	remove_it(place, "m:v1");
	assert_int_equal(latest_of(place, "m"), 3);
	remove_it(place, "m:v3");
	assert_int_equal(latest_of(place, "m"), 2);
	remove_it(place, "m:v2");
	assert_int_equal(latest_of(place, "m"), 0);
	expect_clean(place);
	remove_it(place, "m:v0");
	assert_int_equal(latest_of(place, "m"), -1);
	assert_int_equal(count_versions(place, "m"), 0);
	assert_int_equal(count_removed(place), 4);
	expect_clean(place);
	assert_int_equal(restore_label(place, "m:v1"), 0);
	assert_int_equal(latest_of(place, "m"), 1);
	assert_int_equal(restore_label(place, "m:v0"), 0);
	assert_int_equal(latest_of(place, "m"), 1);
	assert_int_equal(restore_label(place, "m:v3"), 0);
	assert_int_equal(latest_of(place, "m"), 3);
	assert_int_equal(count_removed(place), 1);
	expect_clean(place);
	expect_content(place, "m", 3, "f m 1 3\n");
}

/* It is looked for block by block: 256 numbers share one. */
static void latest_is_found_over_a_hole(void **state)
{
	static const unsigned left[] = { 519, 513, 511, 257, 256, 255, 3, 0 };
	struct place *place = *state;
	size_t kept = 0;

	log_many(place, 520);
	for (unsigned i = 520; i-- > 0;) {
		autofree char *label = xasprintf("m:v%u", i);

		if (kept < ARRAY_SIZE(left) && left[kept] == i)
			kept++;
		else
			remove_it(place, label);
	}
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		autofree char *label = xasprintf("m:v%u", left[i]);

		assert_int_equal(latest_of(place, "m"), left[i]);
		remove_it(place, label);
	}
	assert_int_equal(latest_of(place, "m"), -1);
	expect_clean(place);
}

/* Where `latest` may go back, what is above it is looked at as well. */
static void latest_that_went_back_goes_up_again(void **state)
{
	struct place *place = *state;
	uint32_t run = log_many(place, 3);

	place->store->options.latest_on_equal = true;
	log_text(place, run, "m", "0");
	assert_int_equal(latest_of(place, "m"), 0);
	remove_it(place, "m:v0");
	assert_int_equal(latest_of(place, "m"), 2);
	expect_clean(place);
}

/* ---- who may, and when ---- */

static void a_name_keeps_a_version(void **state)
{
	struct place *place = *state;
	struct version v;

	log_many(place, 2);
	v = any(place, "m:v0");
	assert_int_equal(alias_set(place->store, v.collection, slice_str("prod"), v.id, false,
				   &root_cred), 0);
	assert_int_equal(remove_label(place, "m:v0"), -EBUSY);
	remove_it(place, "m:v1");
	assert_int_equal(alias_remove(place->store, v.collection, slice_str("prod"), &root_cred),
			 0);
	remove_it(place, "m:v0");
	assert_int_equal(alias_set(place->store, v.collection, slice_str("prod"), v.id, false,
				   &root_cred), -ENOENT);
	expect_clean(place);
}

static void each_step_once_and_in_order(void **state)
{
	struct place *place = *state;

	log_many(place, 1);
	assert_int_equal(restore_label(place, "m:v0"), -ENOENT);
	assert_int_equal(purge_label(place, "m:v0"), -ENOENT);
	assert_int_equal(version_remove(place->store, 4711), -ENOENT);
	remove_it(place, "m:v0");
	assert_int_equal(remove_label(place, "m:v0"), -ENOENT);
	purge_it(place, "m:v0");
	assert_int_equal(remove_label(place, "m:v0"), -ENOENT);
	assert_int_equal(restore_label(place, "m:v0"), -ENOENT);
	assert_int_equal(purge_label(place, "m:v0"), -ENOENT);
	expect_clean(place);
}

/* ---- equal content ---- */

static void equal_content_comes_back(void **state)
{
	struct place *place = *state;
	uint32_t run = log_many(place, 3), other = make_run(place, "other");

	remove_it(place, "m:v0");
	remove_it(place, "m:v2");
	log_text(place, run, "m", "0");
	expect_log(place, run, "restored: m:v0 ");
	assert_int_equal(latest_of(place, "m"), 1);
	log_text(place, other, "m", "2");
	expect_log(place, other, "restored: m:v2 ");
	assert_int_equal(latest_of(place, "m"), 2);
	log_text(place, other, "m", "2");
	expect_log(place, other, "unchanged: m:v2 ");
	assert_int_equal(any(place, "m:v0").removed, 0);
	assert_int_equal(count_versions(place, "m"), 3);
	expect_clean(place);
}

/* What the run may not read it does not learn of. */
static void private_content_stays_where_it_is(void **state)
{
	struct place *place = *state;
	uint32_t owner = make_run_of(place, "owner", 1000), run = make_run_of(place, "r", 1001);
	struct cred cred = { .uid = 1001, .gid = 1001 };
	autofree char *path = draft_path(place, owner, "m");
	autofree char *other = draft_path(place, run, "m");

	if (geteuid() != 0)
		skip(); /* only root gives files away */
	put_file(place, owner, "m", "secret");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chown(path, 1000, 1000), 0);
	assert_int_equal(log_draft(place, owner, "m"), 0);
	remove_it(place, "m:v0");
	put_file(place, run, "m", "secret");
	assert_int_equal(chown(other, 1001, 1001), 0);
	assert_int_equal(collection_set_owner(place->store, any(place, "m:v0").collection,
					      (uid_t)-1, (gid_t)-1, 0777), 0);
	assert_int_equal(log_as(place, run, "m", "", &cred), 0);
	expect_log(place, run, "logged: m:v1 ");
	assert_true(any(place, "m:v0").removed > 0);
	expect_clean(place);
	/* The digest leads to the one that is left. */
	remove_it(place, "m:v1");
	purge_it(place, "m:v1");
	expect_clean(place);
	assert_int_equal(log_draft(place, owner, "m"), 0);
	expect_log(place, owner, "restored: m:v0 ");
	expect_clean(place);
}

/* ---- purging ---- */

static void what_is_purged_leaves_its_node(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), user = make_run(place, "user");
	struct version v, gone;
	struct edge edge;

	put_directory(place, run, "d");
	put_file(place, run, "d/small", "small");
	put_large(place, run, "d/large", 1, LARGE);
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(run_declare_input(place->store, user, slice_str("in"), slice_str("d:v0"),
					   &root_cred), 0);
	v = version_of(place, "d", 0);
	remove_it(place, "d:v0");
	assert_int_equal(reap_run(place->store), 0);
	assert_int_equal(count_bytes(place), 2);
	expect_clean(place);
	assert_int_equal(run_declare_input(place->store, user, slice_str("again"),
					   slice_str("d:v0"), &root_cred), -ENOENT);
	purge_it(place, "d:v0");
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
	gone = any(place, "d:v0");
	assert_true(gone.purged > 0 && digest_equal(&gone.digest, &v.digest));
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, user, v.id, &edge), 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_VERSION_LOGGED_BY, v.id, run, &edge), 0);
	/* The number is used up; the draft still has its bytes. */
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_log(place, run, "logged: d:v1 ");
	assert_int_equal(count_bytes(place), 2);
	expect_clean(place);
}

static void what_others_have_too_stays(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	put_directory(place, run, "d/same");
	put_file(place, run, "d/same/a", "same");
	put_large(place, run, "d/same/large", 1, LARGE);
	put_file(place, run, "d/b", "first");
	assert_int_equal(log_draft(place, run, "d"), 0);
	put_file(place, run, "d/b", "second");
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(count_bytes(place), 4);
	remove_it(place, "d:v0");
	purge_it(place, "d:v0");
	assert_int_equal(count_bytes(place), 3);
	expect_clean(place);
	remove_it(place, "d:v1");
	purge_it(place, "d:v1");
	assert_int_equal(count_bytes(place), 0);
	expect_clean(place);
}

static void old_ones_are_purged(void **state)
{
	struct place *place = *state;
	const bool stop = false;
	uint64_t between;

	await_janitor(place);
	log_many(place, 4);
	remove_it(place, "m:v3");
	remove_it(place, "m:v1");
	between = store_now();
	remove_it(place, "m:v0");
	assert_true(any(place, "m:v1").removed < between);
	assert_int_equal(version_purge_older(place->store, between, &stop), 2);
	assert_int_equal(version_purge_older(place->store, between, &stop), 0);
	assert_true(any(place, "m:v0").removed && !any(place, "m:v0").purged);
	assert_true(any(place, "m:v1").purged && any(place, "m:v3").purged);
	assert_int_equal(count_removed(place), 1);
	assert_int_equal(reap_run(place->store), 0);
	expect_clean(place);
	assert_true(any(place, "m:v0").removed && !any(place, "m:v0").purged);
	assert_int_equal(count_removed(place), 1);
}

static void await_bytes(struct place *place, unsigned n)
{
	for (int i = 0; i < 1000 && count_bytes(place) != n; i++)
		usleep(10000);
	assert_int_equal(count_bytes(place), n);
}

static void the_janitor_empties_the_trash(void **state)
{
	struct place *place = *state;

	await_janitor(place);
	log_many(place, 2);
	place->store->options.trash_seconds = 0;
	remove_it(place, "m:v0");
	await_bytes(place, 1);
	assert_true(any(place, "m:v0").purged > 0);
	/* Also what is there when a store is opened. */
	place->store->options.trash_seconds = 86400;
	remove_it(place, "m:v1");
	place->options.trash_seconds = 0;
	reopen(place);
	await_bytes(place, 0);
	close_store(place);
	open_store(place);
	expect_clean(place);
}

/* Who has other things to do leaves it to the janitor. */
static void reaping_is_done_in_parts(void **state)
{
	struct place *place = *state;
	bool stop = true;

	await_janitor(place);
	log_many(place, 20);
	for (unsigned i = 0; i < 20; i++) {
		autofree char *label = xasprintf("m:v%u", i);

		remove_it(place, label);
		assert_int_equal(purge_label(place, label), 0);
	}
	assert_int_equal(reap_until(place->store, &stop), -EINTR);
	assert_int_equal(count_bytes(place), 20);
	assert_int_equal(reap_some(place->store, 50), 1);
	assert_true(count_bytes(place) > 0 && count_bytes(place) < 20);
	pthread_mutex_lock(&place->store->reap_lock);
	assert_int_equal(reap_some(place->store, 1000), 1);
	pthread_mutex_unlock(&place->store->reap_lock);
	reap_soon(place->store);
	await_bytes(place, 0);
	expect_clean(place);
}

/* ---- at the same time ---- */

struct remover {
	struct place *place;
	uint32_t version;
	bool stop;
	unsigned removed;
};

static void *keep_removing(void *arg)
{
	struct remover *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		int err = version_remove(r->place->store, r->version);

		assert_true(err == 0 || err == -ENOENT || err == -EBUSY);
		__atomic_fetch_add(&r->removed, err == 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void logging_and_removing_do_not_miss_each_other(void **state)
{
	struct place *place = *state;
	uint32_t run = log_many(place, 2);
	struct remover r = { .place = place, .version = any(place, "m:v1").id };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, keep_removing, &r), 0);
	for (unsigned i = 0; i < 100 || !__atomic_load_n(&r.removed, __ATOMIC_RELAXED); i++)
		log_text(place, run, "m", "1");
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	log_text(place, run, "m", "1");
	assert_int_equal(latest_of(place, "m"), 1);
	assert_int_equal(count_versions(place, "m"), 2);
	expect_clean(place);
}

/* An alias never names what is in the trash. */
static void naming_and_removing_do_not_miss_each_other(void **state)
{
	struct place *place = *state;
	struct remover r = { .place = place };
	unsigned named = 0;
	pthread_t thread;
	struct version v;

	log_many(place, 2);
	v = any(place, "m:v0");
	r.version = v.id;
	assert_int_equal(pthread_create(&thread, NULL, keep_removing, &r), 0);
	/* Until each has been first. */
	for (unsigned i = 0; i < 100 || !named || !__atomic_load_n(&r.removed, __ATOMIC_RELAXED);
	     i++) {
		int err = alias_set(place->store, v.collection, slice_str("prod"), v.id, false,
				    &root_cred);

		assert_true(err == 0 || err == -ENOENT);
		named += err == 0;
		if (err == 0)
			expect_clean_now(place);
		else
			assert_int_equal(version_restore(place->store, v.id), 0);
		if (err == 0)
			assert_int_equal(alias_remove(place->store, v.collection,
						      slice_str("prod"), &root_cred), 0);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	expect_clean(place);
}

struct told {
	unsigned calls;
	struct version last;
};

static void note(void *arg, const struct version *v)
{
	struct told *t = arg;

	t->calls++;
	t->last = *v;
}

static void who_asks_is_told(void **state)
{
	struct place *place = *state;
	uint32_t run = log_many(place, 2);
	struct told told = { 0 };

	version_on_change(place->store, note, &told);
	remove_it(place, "m:v1");
	assert_true(told.calls == 1 && told.last.number == 1 && told.last.removed);
	log_text(place, run, "m", "1");
	assert_true(told.calls == 2 && told.last.number == 1 && !told.last.removed);
	remove_it(place, "m:v0");
	purge_it(place, "m:v0");
	assert_true(told.calls == 4 && told.last.number == 0 && told.last.purged);
	version_on_change(place->store, NULL, NULL);
	remove_it(place, "m:v1");
	assert_int_equal(told.calls, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(latest_is_the_highest_live_one),
		ON(memory, latest_is_found_over_a_hole),
		ON(real, latest_is_found_over_a_hole),
		ON(memory, latest_that_went_back_goes_up_again),
		ON(memory, a_name_keeps_a_version),
		EVERYWHERE(each_step_once_and_in_order),
		EVERYWHERE(equal_content_comes_back),
		ON(memory, private_content_stays_where_it_is),
		ON(real, private_content_stays_where_it_is),
		EVERYWHERE(what_is_purged_leaves_its_node),
		EVERYWHERE(what_others_have_too_stays),
		EVERYWHERE(old_ones_are_purged),
		EVERYWHERE(the_janitor_empties_the_trash),
		EVERYWHERE(reaping_is_done_in_parts),
		EVERYWHERE(logging_and_removing_do_not_miss_each_other),
		EVERYWHERE(naming_and_removing_do_not_miss_each_other),
		ON(memory, who_asks_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
