/* The contract of core/lineage.h: by hand, and against a walk that only follows the rule. */
#include "core/lineage.h"

#include "core/observe.h"
#include "store_place.h"

/* ---- making graphs ---- */

static void uses(struct place *place, uint32_t run, uint32_t version)
{
	assert_int_equal(observe_version(place->store, run, version), 0);
}

/* The run logs new content under the name: the version's id. */
static uint32_t logs(struct place *place, uint32_t run, const char *name)
{
	static unsigned content;
	AUTO(collection_release) struct collection c = { 0 };
	autofree char *text = xasprintf("content %u", content++);

	put_file(place, run, name, text);
	touch(place, run, name, 0);
	assert_int_equal(log_draft(place, run, name), 0);
	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	return version_of(place, name, (uint32_t)c.latest).id;
}

/* ---- asking ---- */

static void print_ids(struct buf *b, const char *word, const uint32_t *ids, size_t count)
{
	buf_add_str(b, word);
	for (size_t i = 0; i < count; i++)
		buf_printf(b, " %u", ids[i]);
}

static void expect(struct place *place, enum lineage_kind kind, uint32_t id,
		   enum lineage_direction direction, const char *wanted)
{
	AUTO(buf_release) struct buf got = BUF_INIT;
	struct lineage_node of = { kind, id };
	struct lineage_closure *c;

	assert_int_equal(lineage_closure_get(place->store, of, direction, &c), 0);
	print_ids(&got, "v", c->versions, c->version_count);
	print_ids(&got, " r", c->runs, c->run_count);
	if (c->truncated)
		buf_add_str(&got, " ...");
	lineage_closure_put(place->store, c);
	assert_string_equal(buf_str(&got), wanted);
}

#define UP LINEAGE_UP
#define DOWN LINEAGE_DOWN
#define EXPECT(kind, id, direction, ...)                                        \
	do {                                                                    \
		autofree char *wanted_ = xasprintf(__VA_ARGS__);                \
		expect(place, LINEAGE_##kind, id, direction, wanted_);          \
	} while (0)

static void a_pipeline(void **state)
{
	struct place *place = *state;
	uint32_t ingest = make_run(place, "ingest"), prepare = make_run(place, "prepare"),
		 train = make_run(place, "train");
	uint32_t raw = logs(place, ingest, "raw"), tokens, model;

	EXPECT(VERSION, raw, UP, "v r %u", ingest);
	EXPECT(VERSION, raw, DOWN, "v r");
	uses(place, prepare, raw);
	tokens = logs(place, prepare, "tokens");
	uses(place, train, tokens);
	EXPECT(VERSION, raw, DOWN, "v %u r %u %u", tokens, prepare, train);
	model = logs(place, train, "model");
	EXPECT(VERSION, model, UP, "v %u %u r %u %u %u", raw, tokens, ingest, prepare, train);
	EXPECT(VERSION, raw, DOWN, "v %u %u r %u %u", tokens, model, prepare, train);
	EXPECT(RUN, prepare, UP, "v %u r %u", raw, ingest);
	EXPECT(RUN, prepare, DOWN, "v %u %u r %u", tokens, model, train);
	EXPECT(RUN, ingest, UP, "v r");
	expect_clean(place);
	EXPECT(VERSION, model, UP, "v %u %u r %u %u %u", raw, tokens, ingest, prepare, train);
}

/* An input that was first read after a checkpoint is no ancestor of it. */
static void a_checkpoint_has_what_came_before(void **state)
{
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), train = make_run(place, "train");
	uint32_t a = logs(place, maker, "a"), b = logs(place, maker, "b"), first, second;

	uses(place, train, a);
	first = logs(place, train, "model");
	uses(place, train, b);
	second = logs(place, train, "model");
	EXPECT(VERSION, first, UP, "v %u r %u %u", a, maker, train);
	EXPECT(VERSION, second, UP, "v %u %u r %u %u", a, b, maker, train);
	EXPECT(VERSION, b, DOWN, "v %u r %u", second, train);
	EXPECT(VERSION, a, DOWN, "v %u %u r %u", first, second, train);
}

/* Three ways in which a graph of runs and versions alone would have a cycle. */
static void a_run_that_reproduces_what_it_read(void **state)
{
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), copier = make_run(place, "copier");
	uint32_t a;

	put_file(place, maker, "a", "the same");
	assert_int_equal(finish(place, maker), 0);
	a = version_of(place, "a", 0).id;
	uses(place, copier, a);
	put_file(place, copier, "a", "the same");
	assert_int_equal(finish(place, copier), 0);
	EXPECT(VERSION, a, UP, "v r %u", maker);
	EXPECT(VERSION, a, DOWN, "v r %u", copier);
	EXPECT(RUN, copier, UP, "v %u r %u", a, maker);
	EXPECT(RUN, copier, DOWN, "v r");
}

static void a_revert(void **state)
{
	struct place *place = *state;
	uint32_t first = make_run(place, "first"), second = make_run(place, "second"),
		 third = make_run(place, "third");
	uint32_t zero, one;

	put_file(place, first, "a", "zero");
	assert_int_equal(finish(place, first), 0);
	zero = version_of(place, "a", 0).id;
	uses(place, second, zero);
	one = logs(place, second, "a");
	/* Back to the content of v0: an equal of it, made from v1. */
	uses(place, third, one);
	put_file(place, third, "a", "zero");
	assert_int_equal(finish(place, third), 0);
	EXPECT(VERSION, zero, UP, "v r %u", first);
	EXPECT(VERSION, one, UP, "v %u r %u %u", zero, first, second);
	EXPECT(VERSION, zero, DOWN, "v %u r %u %u", one, second, third);
}

/* A learner reads rollouts that an actor made with the learner's own policies. */
static void policy_and_rollouts(void **state)
{
	struct place *place = *state;
	uint32_t learner = make_run(place, "learner"), actor = make_run(place, "actor");
	uint32_t policy0 = logs(place, learner, "policy"), rollout0, policy1, rollout1, policy2;

	uses(place, actor, policy0);
	rollout0 = logs(place, actor, "rollout");
	uses(place, learner, rollout0);
	policy1 = logs(place, learner, "policy");
	uses(place, actor, policy1);
	rollout1 = logs(place, actor, "rollout");
	uses(place, learner, rollout1);
	policy2 = logs(place, learner, "policy");
	EXPECT(VERSION, policy0, UP, "v r %u", learner);
	EXPECT(VERSION, rollout0, UP, "v %u r %u %u", policy0, learner, actor);
	EXPECT(VERSION, policy1, UP, "v %u %u r %u %u", policy0, rollout0, learner, actor);
	EXPECT(VERSION, rollout1, DOWN, "v %u r %u", policy2, learner);
	EXPECT(VERSION, policy1, DOWN, "v %u %u r %u %u", rollout1, policy2, learner, actor);
}

static void drafts_that_were_read(void **state)
{
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), writer = make_run(place, "writer"),
		 reader = make_run(place, "reader");
	uint32_t early = logs(place, maker, "early"), late = logs(place, maker, "late"), before,
		 after;

	uses(place, writer, early);
	before = logs(place, reader, "out");
	assert_int_equal(observe_draft(place->store, reader, writer), 0);
	after = logs(place, reader, "out");
	uses(place, writer, late);
	EXPECT(VERSION, before, UP, "v r %u", reader);
	EXPECT(VERSION, after, UP, "v %u r %u %u %u", early, maker, writer, reader);
	EXPECT(VERSION, early, DOWN, "v %u r %u %u", after, writer, reader);
	EXPECT(VERSION, late, DOWN, "v r %u", writer);
	EXPECT(RUN, writer, DOWN, "v %u r %u", after, reader);
}

static void what_changes_is_seen(void **state)
{
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), run = make_run(place, "r");
	uint32_t a = logs(place, maker, "a"), b = logs(place, maker, "b"), out;

	assert_int_equal(run_declare_input(place->store, run, slice_str("in"), slice_str("a:v0"),
					   &root_cred), 0);
	out = logs(place, run, "out");
	EXPECT(VERSION, out, UP, "v %u r %u %u", a, maker, run);
	assert_int_equal(run_remove_input(place->store, run, slice_str("in")), 0);
	EXPECT(VERSION, out, UP, "v r %u", run);
	EXPECT(VERSION, a, DOWN, "v r");
	assert_int_equal(run_declare_input(place->store, run, slice_str("x"), slice_str("b:v0"),
					   &root_cred), 0);
	assert_int_equal(run_declare_input(place->store, run, slice_str("y"), slice_str("a:v0"),
					   &root_cred), 0);
	EXPECT(VERSION, b, DOWN, "v r %u", run);
	assert_int_equal(run_rename_input(place->store, run, slice_str("x"), slice_str("y"), false),
			 0);
	EXPECT(VERSION, a, DOWN, "v r");
	EXPECT(VERSION, b, DOWN, "v r %u", run);
	expect_clean(place);
	EXPECT(VERSION, b, DOWN, "v r %u", run);
}

static void bounds(void **state)
{
	struct place *place = *state;
	uint32_t first = make_run(place, "first"), version = logs(place, first, "a");
	struct lineage_node nobody = { LINEAGE_RUN, 4711 };
	struct lineage_closure *c;

	place->store->options.lineage_nodes = 4;
	for (unsigned i = 0; i < 5; i++) {
		autofree char *name = xasprintf("r%u", i);
		uint32_t run = make_run(place, name);

		uses(place, run, version);
		version = logs(place, run, "a");
	}
	assert_int_equal(lineage_closure_get(place->store,
					     (struct lineage_node){ LINEAGE_VERSION, version }, UP,
					     &c), 0);
	assert_true(c->truncated);
	assert_int_equal(c->version_count + c->run_count, 4);
	lineage_closure_put(place->store, c);
	assert_int_equal(lineage_closure_get(place->store, nobody, UP, &c), -ENOENT);
	nobody.kind = LINEAGE_VERSION;
	assert_int_equal(lineage_closure_get(place->store, nobody, DOWN, &c), -ENOENT);
}

/* ---- against the rule ---- */

#define VERSIONS 60
#define RUNS 25

/* Direct dependencies as the rule says, by edges alone. */
struct rule {
	bool version_on_version[VERSIONS + 1][VERSIONS + 1]; /* through its producer */
	uint32_t producer[VERSIONS + 1];
	bool used[RUNS + 1][VERSIONS + 1];
	size_t versions;
};

static void close_rule(struct rule *r)
{
	for (size_t k = 1; k <= r->versions; k++)
		for (size_t i = 1; i <= r->versions; i++)
			for (size_t j = 1; r->version_on_version[i][k] && j <= r->versions; j++)
				r->version_on_version[i][j] |= r->version_on_version[k][j];
}

static void read_rule(struct place *place, struct rule *r)
{
	for (uint32_t id = 1; id <= r->versions; id++) {
		struct version v;
		struct edge edge;
		uint32_t to = 0;

		assert_int_equal(version_get_by_id(place->store, id, &v), 0);
		r->producer[id] = v.run;
		while (edge_next(place->store->kv, EDGE_RUN_USES, v.run, to, &to, &edge) > 0)
			r->version_on_version[id][to] = edge.sequence < v.sequence;
	}
	for (uint32_t run = 1; run <= RUNS; run++) {
		uint32_t to = 0;

		while (edge_next(place->store->kv, EDGE_RUN_USES, run, to, &to, NULL) > 0)
			r->used[run][to] = true;
	}
	close_rule(r);
}

static void expect_rule(struct place *place, const struct rule *r, uint32_t version)
{
	struct lineage_node of = { LINEAGE_VERSION, version };
	struct lineage_closure *up, *down;

	assert_int_equal(lineage_closure_get(place->store, of, UP, &up), 0);
	assert_int_equal(lineage_closure_get(place->store, of, DOWN, &down), 0);
	for (uint32_t id = 1; id <= r->versions; id++) {
		assert_int_equal(lineage_has(up->versions, up->version_count, id),
				 r->version_on_version[version][id]);
		assert_int_equal(lineage_has(down->versions, down->version_count, id),
				 r->version_on_version[id][version]);
		assert_false(r->version_on_version[id][id]);
	}
	for (uint32_t run = 1; run <= RUNS; run++) {
		bool above = r->producer[version] == run, below = r->used[run][version];

		for (uint32_t id = 1; id <= r->versions; id++) {
			above |= r->version_on_version[version][id] && r->producer[id] == run;
			below |= r->version_on_version[id][version] &&
				 (r->producer[id] == run || r->used[run][id]);
		}
		assert_int_equal(lineage_has(up->runs, up->run_count, run), above);
		assert_int_equal(lineage_has(down->runs, down->run_count, run), below);
	}
	lineage_closure_put(place->store, up);
	lineage_closure_put(place->store, down);
}

static void any_graph(struct place *place, unsigned seed)
{
	static struct rule rule;
	uint32_t runs[RUNS];
	struct lineage_closure *c;

	rule = (struct rule){ 0 };
	for (unsigned i = 0; i < RUNS; i++) {
		autofree char *name = xasprintf("r%u", i);

		runs[i] = make_run(place, name);
		assert_int_equal(runs[i], i + 1);
	}
	for (unsigned i = 0; i < 400 && rule.versions < VERSIONS; i++) {
		uint32_t run;

		seed = seed * 1103515245u + 12345u;
		run = runs[seed / 65536 % RUNS];
		if (rule.versions == 0 || seed / 7 % 5 == 0)
			assert_int_equal(logs(place, run, "a"), ++rule.versions);
		else
			uses(place, run, seed / 131072 % (unsigned)rule.versions + 1);
		/* So that most of it is brought in as changes. */
		if (i == 50) {
			struct lineage_node first = { LINEAGE_RUN, 1 };

			assert_int_equal(lineage_closure_get(place->store, first, UP, &c), 0);
			lineage_closure_put(place->store, c);
		}
	}
	read_rule(place, &rule);
	for (uint32_t id = 1; id <= rule.versions; id++)
		expect_rule(place, &rule, id);
}

static void in_memory(void **state)
{
	any_graph(*state, 1);
}

static void on_disk(void **state)
{
	struct place *place = *state;

	place->store->options.lineage_bytes = 0;
	any_graph(place, 2);
}

/* It fits, until it does not. */
static void outgrown(void **state)
{
	struct place *place = *state;

	place->store->options.lineage_bytes = 6000;
	any_graph(place, 3);
}

#define ALL(test) ON(memory, test), ON(real, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(a_pipeline),
		ON(memory, a_checkpoint_has_what_came_before),
		ON(memory, a_run_that_reproduces_what_it_read),
		ON(memory, a_revert),
		ON(memory, policy_and_rollouts),
		ON(memory, drafts_that_were_read),
		ON(memory, what_changes_is_seen),
		ON(memory, bounds),
		ALL(in_memory),
		ON(memory, on_disk),
		ON(memory, outgrown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
