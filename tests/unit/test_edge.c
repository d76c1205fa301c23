/* The contract of core/edge.h. */
#include "core/edge.h"

#include "store_place.h"

enum action { ADD_USE, REMOVE_DECLARED, ADD_LOGGED };

struct change {
	enum action action;
	uint32_t run, version;
	struct edge edge;
};

static int change_body(struct kv_txn *txn, void *arg)
{
	const struct change *c = arg;

	switch (c->action) {
	case ADD_USE:
		return edge_add_use(txn, c->run, c->version, &c->edge);
	case REMOVE_DECLARED:
		return edge_remove_declared(txn, c->run, c->version);
	case ADD_LOGGED:
		break;
	}
	return edge_add_logged(txn, c->run, c->version, &c->edge);
}

static void change(struct place *place, enum action action, uint32_t run, uint32_t version,
		   struct edge edge)
{
	struct change c = { action, run, version, edge };

	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, change_body, &c), 0);
}

static void use(struct place *place, uint32_t run, uint32_t version, unsigned flags, uint64_t at)
{
	change(place, ADD_USE, run, version,
	       (struct edge){ .flags = flags, .first = at, .last = at, .sequence = at,
			      .opened = flags == EDGE_OBSERVED });
}

/* The same edge from both sides; flags 0: there is none. */
static void expect_use(struct place *place, uint32_t run, uint32_t version, struct edge wanted)
{
	struct kv *kv = place->store->kv;
	struct edge near = { 0 }, far = { 0 };
	int found = wanted.flags ? 0 : -ENOENT;

	assert_int_equal(edge_get(kv, EDGE_RUN_USES, run, version, &near), found);
	assert_int_equal(edge_get(kv, EDGE_VERSION_USED_BY, version, run, &far), found);
	if (found < 0)
		return;
	assert_true(near.flags == far.flags && near.first == far.first && near.last == far.last &&
		    near.sequence == far.sequence && near.opened == far.opened);
	assert_int_equal(near.flags, wanted.flags);
	assert_int_equal(near.first, wanted.first);
	assert_int_equal(near.last, wanted.last);
	assert_int_equal(near.sequence, wanted.sequence);
	assert_int_equal(near.opened, wanted.opened);
}

static void uses_add_up(void **state)
{
	struct place *place = *state;

	expect_use(place, 1, 2, (struct edge){ 0 });
	use(place, 1, 2, EDGE_DECLARED, 10);
	expect_use(place, 1, 2, (struct edge){ EDGE_DECLARED, 10, 10, 10, 0 });
	use(place, 1, 2, EDGE_OBSERVED, 20);
	use(place, 1, 2, EDGE_OBSERVED, 30);
	expect_use(place, 1, 2, (struct edge){ EDGE_DECLARED | EDGE_OBSERVED, 10, 30, 10, 2 });
	expect_use(place, 2, 1, (struct edge){ 0 });
}

static void a_declaration_is_taken_back(void **state)
{
	struct place *place = *state;

	use(place, 1, 2, EDGE_DECLARED, 10);
	change(place, REMOVE_DECLARED, 1, 2, (struct edge){ 0 });
	expect_use(place, 1, 2, (struct edge){ 0 });
	change(place, REMOVE_DECLARED, 1, 2, (struct edge){ 0 });
	expect_use(place, 1, 2, (struct edge){ 0 });

	use(place, 1, 3, EDGE_DECLARED, 10);
	use(place, 1, 3, EDGE_OBSERVED, 20);
	change(place, REMOVE_DECLARED, 1, 3, (struct edge){ 0 });
	expect_use(place, 1, 3, (struct edge){ EDGE_OBSERVED, 10, 20, 10, 1 });
}

static void what_was_logged_stays(void **state)
{
	struct place *place = *state;
	struct kv *kv = place->store->kv;
	struct edge e;

	change(place, ADD_LOGGED, 1, 2, (struct edge){ .first = 10, .last = 10, .sequence = 5 });
	change(place, ADD_LOGGED, 1, 2,
	       (struct edge){ .flags = EDGE_EQUAL, .first = 20, .sequence = 6 });
	assert_int_equal(edge_get(kv, EDGE_RUN_LOGGED, 1, 2, &e), 0);
	assert_true(e.flags == 0 && e.first == 10 && e.sequence == 5);
	assert_int_equal(edge_get(kv, EDGE_VERSION_LOGGED_BY, 2, 1, &e), 0);
	assert_true(e.flags == 0 && e.first == 10 && e.sequence == 5);
	/* Not a use. */
	assert_int_equal(edge_get(kv, EDGE_RUN_USES, 1, 2, &e), -ENOENT);
}

static void expect_last_use(struct place *place, uint32_t version, uint64_t wanted)
{
	uint64_t found = 1;

	assert_int_equal(edge_last_use(place->store->kv, version, &found), 0);
	assert_int_equal(found, wanted);
}

static int count_opens_body(struct kv_txn *txn, void *arg)
{
	const struct change *c = arg;

	return edge_count_opens(txn, (enum edge_side)c->action, c->run, c->version, 3,
				c->edge.last);
}

static void count_opens(struct place *place, enum edge_side side, uint32_t run, uint32_t version,
			uint64_t at)
{
	struct change c = { (enum action)side, run, version, { .last = at } };

	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, count_opens_body, &c), 0);
}

static void the_last_use_goes_forwards(void **state)
{
	const uint64_t step = EDGE_LAST_USE_STEP;
	struct place *place = *state;

	expect_last_use(place, 2, 0);
	use(place, 1, 2, EDGE_DECLARED, 10 * step);
	expect_last_use(place, 2, 10 * step);
	/* Another run, a little later: as good as the same moment. */
	use(place, 3, 2, EDGE_OBSERVED, 11 * step - 1);
	expect_last_use(place, 2, 10 * step);
	use(place, 4, 2, EDGE_OBSERVED, 11 * step);
	expect_last_use(place, 2, 11 * step);
	count_opens(place, EDGE_RUN_USES, 4, 2, 20 * step);
	expect_last_use(place, 2, 20 * step);
	/* What is late, of no edge, or of a draft changes nothing. */
	count_opens(place, EDGE_RUN_USES, 4, 2, 15 * step);
	count_opens(place, EDGE_RUN_USES, 9, 2, 30 * step);
	count_opens(place, EDGE_RUN_PEEKED, 4, 2, 30 * step);
	expect_last_use(place, 2, 20 * step);
	change(place, REMOVE_DECLARED, 1, 2, (struct edge){ 0 });
	expect_last_use(place, 2, 20 * step);
	change(place, ADD_LOGGED, 1, 3, (struct edge){ .first = 10, .last = 10, .sequence = 5 });
	expect_last_use(place, 3, 0);
}

struct crowd {
	struct place *place;
	uint32_t first;
};

static void *use_as_many(void *arg)
{
	struct crowd *c = arg;

	for (uint32_t i = 0; i < 50; i++)
		use(c->place, c->first + i, 7, EDGE_OBSERVED, store_now());
	return NULL;
}

/* Many runs use one version at once: none fails, and each has its edge. */
static void a_crowd_uses_one_version(void **state)
{
	struct place *place = *state;
	pthread_t threads[8];
	struct crowd crowds[8];
	uint32_t run = 0, n = 0;

	for (uint32_t i = 0; i < 8; i++) {
		crowds[i] = (struct crowd){ place, 1000 * (i + 1) };
		assert_int_equal(pthread_create(&threads[i], NULL, use_as_many, &crowds[i]), 0);
	}
	for (uint32_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	while (edge_next(place->store->kv, EDGE_VERSION_USED_BY, 7, run, &run, NULL) > 0)
		n++;
	assert_int_equal(n, 8 * 50);
}

static void edges_are_listed_in_order(void **state)
{
	static const uint32_t versions[] = { 1, 2, 255, 256, ID_LIMIT - 1 };
	struct place *place = *state;
	struct kv *kv = place->store->kv;
	uint32_t to = 0;
	struct edge e;

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		use(place, 7, versions[i], EDGE_DECLARED, i + 1);
	use(place, 6, 9, EDGE_DECLARED, 1);
	use(place, 8, 9, EDGE_DECLARED, 1);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		assert_int_equal(edge_next(kv, EDGE_RUN_USES, 7, to, &to, &e), 1);
		assert_int_equal(to, versions[i]);
		assert_int_equal(e.first, i + 1);
	}
	assert_int_equal(edge_next(kv, EDGE_RUN_USES, 7, to, &to, NULL), 0);
	assert_int_equal(to, ID_LIMIT - 1);
	to = 0;
	assert_int_equal(edge_next(kv, EDGE_VERSION_USED_BY, 9, to, &to, NULL), 1);
	assert_int_equal(to, 6);
	assert_int_equal(edge_next(kv, EDGE_VERSION_USED_BY, 9, to, &to, NULL), 1);
	assert_int_equal(to, 8);
	assert_int_equal(edge_next(kv, EDGE_VERSION_USED_BY, 9, to, &to, NULL), 0);
	assert_int_equal(edge_next(kv, EDGE_RUN_LOGGED, 7, 0, &to, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, uses_add_up),
		ON(memory, a_declaration_is_taken_back),
		ON(memory, what_was_logged_stays),
		ON(memory, the_last_use_goes_forwards),
		ON(real, a_crowd_uses_one_version),
		ON(memory, edges_are_listed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
