/*
 * Events: every change puts one, in its transaction, once; what is no change puts none.
 */
#include "store_place.h"

#include "core/event.h"
#include "core/observe.h"

/* What has been put and not been taken by the journal: kind, run, object, details; one a line. */
static void list_events(struct place *place, struct buf *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0) {
		AUTO(event_record_release) struct event_record e = { 0 };

		assert_int_equal(event_decode(value, &e), 0);
		buf_printf(ret, "%s %s %s", event_kind_name(e.kind), e.run[0] ? e.run : "-",
			   e.object[0] ? e.object : "-");
		for (size_t i = 0; i < e.detail_count; i++)
			if (strcmp(e.details[2 * i], "digest") != 0)
				buf_printf(ret, " %s=%s", e.details[2 * i], e.details[2 * i + 1]);
		buf_add_char(ret, '\n');
	}
}

static void expect_events(struct place *place, const char *text)
{
	AUTO(buf_release) struct buf events = BUF_INIT;

	list_events(place, &events);
	assert_string_equal(buf_str(&events), text);
}

static uint32_t log_text(struct place *place, const char *run, const char *text)
{
	uint32_t id = make_run(place, run);

	put_file(place, id, "m", text);
	assert_int_equal(log_draft(place, id, "m"), 0);
	return id;
}

static void of_runs(void **state)
{
	struct place *place = *state;
	const struct run_end end = { .has_exit_code = true, .exit_code = 3, .signal = 9 };
	uint32_t a = make_run(place, "a"), b;

	assert_int_equal(run_create(place->store, slice_str("b"), 0, 0, 0755, a, &b), 0);
	assert_int_equal(run_create(place->store, slice_str("b"), 0, 0, 0755, a, &b), -EEXIST);
	assert_int_equal(run_set_ended(place->store, b, RUN_FAILED, NULL), 0);
	assert_int_equal(run_set_ended(place->store, b, RUN_FAILED, &end), 0);
	assert_int_equal(run_set_state(place->store, b, RUN_FAILED), 0);
	assert_int_equal(run_set_state(place->store, b, RUN_RUNNING), 0);
	assert_int_equal(run_set_state(place->store, b, RUN_RUNNING), 0);
	assert_int_equal(finish(place, b), 0);
	assert_int_equal(finish(place, b), -EROFS);
	assert_int_equal(run_set_owner(place->store, a, 7, (gid_t)-1, 0750), 0);
	assert_int_equal(run_set_owner(place->store, a, 7, 0, 0750), 0);
	assert_int_equal(run_remove(place->store, slice_str("a")), 0);
	expect_events(place, "run_started a -\n"
			     "run_started b - parent=a\n"
			     "run_ended b - state=failed\n"
			     "run_ended b - state=failed exit_code=3 signal=SIGKILL\n"
			     "run_resumed b -\n"
			     "run_ended b - state=finished\n"
			     "owner a - owner=7 group=0 mode=0750\n"
			     "run_removed a -\n");
}

static void of_a_child_whose_parent_is_gone(void **state)
{
	struct place *place = *state;
	uint32_t a = make_run(place, "a"), b;

	assert_int_equal(run_remove(place->store, slice_str("a")), 0);
	assert_int_equal(run_create(place->store, slice_str("b"), 0, 0, 0755, a, &b), 0);
	expect_events(place, "run_started a -\nrun_removed a -\nrun_started b -\n");
}

static void of_logging(void **state)
{
	struct place *place = *state;
	uint32_t a = log_text(place, "a", "one"), b;

	assert_int_equal(log_draft(place, a, "m"), 0);
	put_file(place, a, "m", "two");
	touch(place, a, "m", 0);
	assert_int_equal(log_draft(place, a, "m"), 0);
	place->store->options.latest_on_equal = true;
	b = log_text(place, "b", "one");
	assert_int_equal(log_draft(place, b, "no"), -ENOENT);
	assert_int_equal(finish(place, b), 0);
	expect_events(place, "run_started a -\n"
			     "collection_made a m\n"
			     "logged a m:v0 files=1 size=3\n"
			     "logged a m:v1 files=1 size=3\n"
			     "run_started b -\n"
			     "alias b m:v0 alias=latest from=v1 to=v0\n"
			     "logged_equal b m:v0 files=1 size=3\n"
			     "run_ended b - state=finished\n");
}

static void declare(struct place *place, uint32_t run, const char *role, const char *what)
{
	assert_int_equal(run_declare_input(place->store, run, slice_str(role), slice_str(what),
					   &root_cred), 0);
}

static void of_inputs(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf events = BUF_INIT;
	uint32_t a = log_text(place, "a", "one"), b = make_run(place, "b");
	const char *start = "run_started a -\ncollection_made a m\nlogged a m:v0 files=1 size=3\n"
			    "run_started b -\n";
	struct version v = version_of(place, "m", 0);

	declare(place, b, "x", "m:v0");
	declare(place, b, "y", "artifacts/m/latest/files/m");
	assert_int_equal(run_declare_input(place->store, b, slice_str("x"), slice_str("m:v0"),
					   &root_cred), -EEXIST);
	assert_int_equal(run_rename_input(place->store, b, slice_str("x"), slice_str("x"), false),
			 0);
	assert_int_equal(run_rename_input(place->store, b, slice_str("x"), slice_str("y"), true),
			 -EEXIST);
	assert_int_equal(run_rename_input(place->store, b, slice_str("x"), slice_str("y"), false),
			 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(observe_version(place->store, b, v.id), 0);
	assert_int_equal(run_remove_input(place->store, b, slice_str("y")), 0);
	assert_int_equal(run_remove_input(place->store, b, slice_str("y")), -ENOENT);
	/* What a run logged is no input of it. */
	assert_int_equal(observe_version(place->store, a, v.id), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(observe_draft(place->store, b, a), 0);
	buf_printf(&events, "%s%s", start,
		   "input b m:v0 how=declared role=x\n"
		   "input b m:v0 how=declared role=y path=/m\n"
		   "input_removed b m:v0 role=y\n"
		   "input_renamed b m:v0 role=x new_role=y\n"
		   "input b m:v0 how=observed\n"
		   "input_removed b m:v0 role=y\n"
		   "draft_read b - of=a\n");
	expect_events(place, buf_str(&events));
}

static void of_collections(void **state)
{
	struct place *place = *state;
	uint32_t id;

	assert_int_equal(collection_create(place->store, slice_str("c"), 1, 2, 0755, &id), 0);
	assert_int_equal(collection_create(place->store, slice_str("c"), 1, 2, 0755, &id), -EEXIST);
	assert_int_equal(collection_set_owner(place->store, id, 3, 4, 0700), 0);
	assert_int_equal(collection_set_owner(place->store, id, (uid_t)-1, (gid_t)-1, 0700), 0);
	assert_int_equal(collection_remove(place->store, slice_str("c")), 0);
	assert_int_equal(collection_remove(place->store, slice_str("c")), -ENOENT);
	expect_events(place, "collection_made - c\n"
			     "owner - c owner=3 group=4 mode=0700\n"
			     "collection_removed - c\n");
}

/* Whoever acts is who is written down, and only while it does. */
static void by_an_actor(void **state)
{
	struct place *place = *state;
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	const struct actor self = { geteuid(), getpid() };
	const struct actor want[] = { self, { 12, 34 }, self };
	struct actor before;
	struct slice key, value;

	make_run(place, "a");
	before = actor_set((struct actor){ 12, 34 });
	make_run(place, "b");
	actor_set(before);
	make_run(place, "c");
	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		AUTO(event_record_release) struct event_record e = { 0 };

		assert_int_equal(kv_next(scan, &key, &value), 1);
		assert_int_equal(event_decode(value, &e), 0);
		assert_int_equal(e.actor.uid, want[i].uid);
		assert_int_equal(e.actor.pid, want[i].pid);
	}
	assert_int_equal(kv_next(scan, &key, &value), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(of_runs),
		ON(memory, of_a_child_whose_parent_is_gone),
		EVERYWHERE(of_logging),
		EVERYWHERE(of_inputs),
		EVERYWHERE(of_collections),
		ON(memory, by_an_actor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
