/* The contracts of core/observe.h and core/view.h. */
#include "core/observe.h"

#include "core/view.h"
#include "store_place.h"

/* A version of an artifact, logged by a run of its own. */
static struct version make_version(struct place *place, const char *name, const char *text)
{
	static unsigned number;
	autofree char *maker = xasprintf("maker-%u", number++);
	AUTO(collection_release) struct collection c = { 0 };
	uint32_t run = make_run(place, maker);

	put_file(place, run, name, text);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	return version_of(place, name, (uint32_t)c.latest);
}

/* opened 0: there is no edge. */
static void expect_edge(struct place *place, enum edge_side side, uint32_t run, uint32_t to,
			uint64_t opened)
{
	struct edge edge = { 0 };

	assert_int_equal(observe_flush(place->store), 0);
	assert_int_equal(edge_get(place->store->kv, side, run, to, &edge), opened ? 0 : -ENOENT);
	assert_int_equal(edge.opened, opened);
	if (opened)
		assert_true(edge.flags & EDGE_OBSERVED);
}

static void reading_makes_an_edge(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "one");
	uint32_t run = make_run(place, "r");

	expect_edge(place, EDGE_RUN_USES, run, v.id, 0);
	assert_int_equal(observe_version(place->store, run, v.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(observe_version(place->store, run, v.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 11);
	/* Counts of another handful, found again after a restart. */
	assert_int_equal(observe_version(place->store, run, v.id), 0);
	expect_clean(place);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 12);
	assert_int_equal(observe_version(place->store, run, v.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 13);
	expect_clean(place);
}

static void a_first_edge_survives_a_power_cut(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "one");
	uint32_t run = make_run(place, "r");

	assert_int_equal(observe_version(place->store, run, v.id), 0);
	kv_disk_crash(place->kv_disk);
	close_store(place);
	open_store(place);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 1);
	expect_clean(place);
}

static void only_running_runs_use(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "one"), w = make_version(place, "a", "two");
	uint32_t run = make_run(place, "r");

	assert_int_equal(observe_version(place->store, run, v.id), 0);
	assert_int_equal(run_set_state(place->store, run, RUN_FAILED), 0);
	assert_int_equal(observe_version(place->store, run, v.id), 0);
	assert_int_equal(observe_version(place->store, run, w.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, v.id, 1);
	expect_edge(place, EDGE_RUN_USES, run, w.id, 0);
	assert_int_equal(run_set_state(place->store, run, RUN_RUNNING), 0);
	assert_int_equal(observe_version(place->store, run, w.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, w.id, 1);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(observe_version(place->store, run, w.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, w.id, 1);
	/* A run that is not there is nobody. */
	assert_int_equal(observe_version(place->store, run + 100, w.id), 0);
	expect_clean(place);
}

static void what_a_run_logged_is_no_input(void **state)
{
	struct place *place = *state;
	struct version old = make_version(place, "a", "one"), own;
	uint32_t run = make_run(place, "r");

	put_file(place, run, "a", "two");
	assert_int_equal(log_draft(place, run, "a"), 0);
	own = version_of(place, "a", 1);
	assert_int_equal(observe_version(place->store, run, own.id), 0);
	expect_edge(place, EDGE_RUN_USES, run, own.id, 0);
	/* What it read first, and reproduced then, it has used all the same. */
	assert_int_equal(observe_version(place->store, run, old.id), 0);
	put_file(place, run, "a", "one");
	assert_int_equal(log_draft(place, run, "a"), 0);
	expect_edge(place, EDGE_RUN_USES, run, old.id, 1);
	expect_clean(place);
}

static void drafts_of_others(void **state)
{
	struct place *place = *state;
	uint32_t reader = make_run(place, "reader"), writer = make_run(place, "writer");

	assert_int_equal(observe_draft(place->store, reader, writer), 0);
	assert_int_equal(observe_draft(place->store, reader, writer), 0);
	expect_edge(place, EDGE_RUN_PEEKED, reader, writer, 2);
	expect_edge(place, EDGE_RUN_PEEKED_BY, writer, reader, 2);
	expect_edge(place, EDGE_RUN_PEEKED, writer, reader, 0);
	expect_clean(place);
	expect_edge(place, EDGE_RUN_PEEKED, reader, writer, 2);
	/* A run that others depend on stays. */
	assert_int_equal(run_remove(place->store, slice_str("writer")), -ENOTEMPTY);
	expect_clean(place);
}

static void the_unseen_are_counted(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "one");
	uint64_t n = 7;

	assert_int_equal(observe_count_unseen(place->store, v.id, &n), 0);
	assert_int_equal(n, 0);
	for (unsigned i = 0; i < 5; i++)
		observe_unseen(place->store, v.id);
	assert_int_equal(observe_count_unseen(place->store, v.id, &n), 0);
	assert_int_equal(n, 5);
	observe_unseen(place->store, v.id);
	expect_clean(place);
	assert_int_equal(observe_count_unseen(place->store, v.id, &n), 0);
	assert_int_equal(n, 6);
}

#define THREADS 4
#define OPENS 2000

struct opener {
	pthread_t id;
	struct place *place;
	uint32_t run, version;
};

static void *open_often(void *arg)
{
	struct opener *o = arg;

	for (unsigned i = 0; i < OPENS; i++) {
		if (observe_version(o->place->store, o->run, o->version + i % 3) < 0)
			return o;
		if (i % 100 == 0)
			observe_flush(o->place->store);
	}
	return NULL;
}

static void no_open_is_lost(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "0");
	struct opener openers[THREADS];
	uint64_t sum = 0;

	assert_int_equal(make_version(place, "a", "1").id, v.id + 1);
	assert_int_equal(make_version(place, "a", "2").id, v.id + 2);
	for (unsigned i = 0; i < THREADS; i++) {
		openers[i] = (struct opener){ .place = place, .version = v.id };
		openers[i].run = i < 2 ? make_run(place, i ? "b" : "a") : openers[i - 2].run;
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&openers[i].id, NULL, open_often, &openers[i]), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(openers[i].id, &failed);
		assert_null(failed);
	}
	expect_clean(place);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 3; k++) {
			struct edge edge = { 0 };

			assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, openers[i].run,
						  v.id + k, &edge), 0);
			sum += edge.opened;
		}
	}
	assert_int_equal(sum, THREADS * OPENS);
}

/* --- views --- */

static void expect_latest(struct place *place, uint32_t run, int64_t number)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;

	assert_int_equal(collection_find(place->store, slice_str("a"), &c), 0);
	if (number < 0) {
		assert_int_equal(view_resolve(place->store, run, c.id, slice_str("latest"), &v),
				 -ENOENT);
		return;
	}
	assert_int_equal(view_resolve(place->store, run, c.id, slice_str("latest"), &v), 0);
	assert_int_equal(v.number, number);
	assert_int_equal(view_resolve(place->store, run, c.id, slice_str("prod"), &v), -ENOENT);
}

static void an_alias_is_pinned(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), other = make_run(place, "other"), id;

	assert_int_equal(collection_create(place->store, slice_str("a"), 0, 0, 0755, &id), 0);
	expect_latest(place, run, -1);
	make_version(place, "a", "zero");
	expect_latest(place, run, 0);
	make_version(place, "a", "one");
	expect_latest(place, run, 0);
	expect_latest(place, 0, 1);
	expect_clean(place);
	expect_latest(place, run, 0);
	/* Each run looks for itself; logging lets go. */
	expect_latest(place, other, 1);
	put_file(place, run, "a", "two");
	assert_int_equal(log_draft(place, run, "a"), 0);
	expect_latest(place, run, 2);
	expect_latest(place, other, 1);
	/* A reference is what the run sees. */
	assert_int_equal(run_declare_input(place->store, other, slice_str("in"),
					   slice_str("a:latest"), &root_cred), 0);
	expect_edge(place, EDGE_RUN_USES, other, version_of(place, "a", 2).id, 0);
	assert_int_equal(finish(place, other), 0);
	expect_latest(place, other, 1);
	expect_clean(place);
}

static void a_reference_may_pin(void **state)
{
	AUTO(buf_release) struct buf alias = BUF_INIT;
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), collection = 0, version = 0;

	make_version(place, "a", "zero");
	make_version(place, "a", "one");
	assert_int_equal(run_declare_input(place->store, run, slice_str("in"),
					   slice_str("a:latest:v0"), &root_cred), 0);
	expect_latest(place, run, 0);
	expect_latest(place, 0, 1);
	assert_int_equal(view_pin_next(place->store, run, &collection, &alias, &version), 1);
	assert_string_equal(buf_str(&alias), "latest");
	assert_int_equal(version, version_of(place, "a", 0).id);
	assert_int_equal(view_pin_next(place->store, run, &collection, &alias, &version), 0);
	expect_clean(place);
	assert_int_equal(run_declare_input(place->store, run, slice_str("bad"),
					   slice_str("a:v1:v0"), &root_cred), -EINVAL);
	assert_int_equal(run_declare_input(place->store, run, slice_str("bad"),
					   slice_str("a:v0:latest"), &root_cred), -EINVAL);
	assert_int_equal(run_declare_input(place->store, run, slice_str("bad"),
					   slice_str("a::v0"), &root_cred), -EINVAL);
}

static void ended_runs_pin_nothing(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	make_version(place, "a", "zero");
	assert_int_equal(run_set_state(place->store, run, RUN_FAILED), 0);
	expect_latest(place, run, 0);
	make_version(place, "a", "one");
	expect_latest(place, run, 1);
	expect_clean(place);
}

static void numbers_of_a_view(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, "a", "zero"), w = make_version(place, "a", "one");
	uint32_t run = make_run(place, "r"), other = make_run(place, "other");
	uint64_t first, again, second, third;

	assert_int_equal(view_first_ino(place->store, run, &v, &first), 0);
	assert_int_equal(view_first_ino(place->store, run, &w, &second), 0);
	assert_int_equal(view_first_ino(place->store, other, &v, &third), 0);
	assert_true(first != v.first_ino && first != second && first != third && second != third);
	expect_clean(place);
	assert_int_equal(view_first_ino(place->store, run, &v, &again), 0);
	assert_int_equal(again, first);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, reading_makes_an_edge),
		ON(real, reading_makes_an_edge),
		ON(memory, a_first_edge_survives_a_power_cut),
		ON(memory, only_running_runs_use),
		ON(memory, what_a_run_logged_is_no_input),
		ON(memory, drafts_of_others),
		ON(memory, the_unseen_are_counted),
		ON(memory, no_open_is_lost),
		ON(real, no_open_is_lost),
		ON(memory, an_alias_is_pinned),
		ON(real, an_alias_is_pinned),
		ON(memory, a_reference_may_pin),
		ON(memory, ended_runs_pin_nothing),
		ON(memory, numbers_of_a_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
