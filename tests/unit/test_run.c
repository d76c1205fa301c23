/* The contract of core/run.h. */
#include "store_place.h"

static void runs_come_and_go(void **state)
{
	AUTO(run_release) struct run run = { 0 };
	struct place *place = *state;
	uint32_t id = 0, again = 7;

	assert_int_equal(run_create(place->store, slice_str("r"), 1000, 100, 02750, 0, &id), 0);
	assert_int_equal(run_find(place->store, slice_str("r"), &run), 0);
	assert_int_equal(run.id, id);
	assert_int_equal(run.state, RUN_RUNNING);
	assert_true(run.uid == 1000 && run.gid == 100 && run.mode == 0750 && run.ended == 0);
	assert_true(run.created > 0 && run.host[0] != '\0');
	assert_int_equal(run_create(place->store, slice_str("r"), 0, 0, 0755, 0, &again), -EEXIST);
	assert_int_equal(run_create(place->store, slice_str("_r"), 0, 0, 0755, 0, &again), -EINVAL);
	assert_int_equal(again, 7);
	assert_int_equal(run_find(place->store, slice_str("s"), &run), -ENOENT);
	assert_int_equal(run_find(place->store, slice_str("../r"), &run), -ENOENT);
	assert_int_equal(run_set_owner(place->store, id, (uid_t)-1, 7, (mode_t)-1), 0);
	expect_clean(place);
	run_release(&run);
	assert_int_equal(run_get(place->store, id, &run), 0);
	assert_true(run.uid == 1000 && run.gid == 7 && run.mode == 0750);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	assert_int_equal(run_remove(place->store, slice_str("r")), -ENOENT);
	run_release(&run);
	assert_int_equal(run_get(place->store, id, &run), -ENOENT);
	assert_true(make_run(place, "r") > id);
	expect_clean(place);
}

static void runs_are_listed_in_order(void **state)
{
	static const char *const names[] = { "a", "a-1", "ab", "b", "z" };
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct place *place = *state;
	uint32_t id;

	assert_int_equal(run_next(place->store, slice("", 0), &id, &name), 0);
	for (size_t i = ARRAY_SIZE(names); i-- > 0;)
		make_run(place, names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *after = xstrdup(buf_str(&name));

		assert_int_equal(run_next(place->store, slice_str(after), &id, &name), 1);
		assert_string_equal(buf_str(&name), names[i]);
	}
	assert_int_equal(run_next(place->store, slice_str("z"), &id, &name), 0);
}

static void what_has_outputs_stays(void **state)
{
	AUTO(run_release) struct run run = { 0 };
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	autofree char *path = draft_path(place, id, "m");

	put_file(place, id, "m", "x");
	assert_int_equal(run_remove(place->store, slice_str("r")), -ENOTEMPTY);
	assert_int_equal(unlink(path), 0);
	/* Logged, and the draft is gone again: the edge is there. */
	put_file(place, id, "m", "x");
	assert_int_equal(log_draft(place, id, "m"), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(run_remove(place->store, slice_str("r")), -ENOTEMPTY);
	put_file(place, id, "m", "y");
	assert_int_equal(run_find(place->store, slice_str("r"), &run), 0);
	expect_clean(place);
}

/* ---- states ---- */

static void states_have_names(void **state)
{
	static const char *const names[] = { "running", "finished", "failed", "crashed" };
	enum run_state s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(run_state_name((enum run_state)i), names[i]);
		assert_int_equal(run_state_parse(slice_str(names[i]), &s), 0);
		assert_int_equal(s, i);
	}
	assert_int_equal(run_state_parse(slice_str("run"), &s), -EINVAL);
	assert_int_equal(run_state_parse(slice_str("running\n"), &s), -EINVAL);
	assert_int_equal(run_state_parse(slice_str(""), &s), -EINVAL);
}

static enum run_state state_of(struct place *place, uint32_t id, bool *ret_ended)
{
	AUTO(run_release) struct run run = { 0 };

	assert_int_equal(run_get(place->store, id, &run), 0);
	*ret_ended = run.ended != 0;
	return run.state;
}

static void states_change(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	bool ended;

	put_file(place, id, "m", "x");
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), 0);
	assert_int_equal(run_set_state(place->store, id, RUN_FINISHED), -EINVAL);
	assert_int_equal(run_set_state(place->store, id, RUN_CRASHED), 0);
	assert_int_equal(state_of(place, id, &ended), RUN_CRASHED);
	assert_true(ended);
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), -EINVAL);
	assert_int_equal(log_draft(place, id, "m"), -EROFS);
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), 0);
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), 0);
	assert_int_equal(state_of(place, id, &ended), RUN_FAILED);
	assert_true(ended);
	assert_int_equal(log_draft(place, id, "m"), -EROFS);
	expect_clean(place);
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), 0);
	assert_int_equal(state_of(place, id, &ended), RUN_RUNNING);
	assert_false(ended);
	assert_int_equal(log_draft(place, id, "m"), 0);
	assert_int_equal(finish(place, id), 0);
	assert_int_equal(state_of(place, id, &ended), RUN_FINISHED);
	assert_true(ended);
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), -EROFS);
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), -EROFS);
	assert_int_equal(finish(place, id), -EROFS);
	assert_int_equal(log_draft(place, id, "m"), -EROFS);
	expect_clean(place);
}

/* The area that is open learns of it at once. */
static void a_state_changes_the_phase_of_the_drafts(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	struct draft_area *area, *again;

	assert_int_equal(draft_area_get(place->store, id, &area), 0);
	assert_int_equal(area->phase, DRAFT_OPEN);
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), 0);
	assert_int_equal(area->phase, DRAFT_READONLY);
	draft_area_put(area);
	assert_int_equal(draft_area_get(place->store, id, &area), 0);
	assert_int_equal(area->phase, DRAFT_READONLY);
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), 0);
	assert_int_equal(area->phase, DRAFT_OPEN);
	assert_int_equal(finish(place, id), 0);
	assert_int_equal(area->phase, DRAFT_GONE);
	assert_int_equal(draft_area_get(place->store, id, &again), -ENOENT);
	draft_area_put(area);
	assert_int_equal(draft_area_get(place->store, id, &again), -ENOENT);
	assert_int_equal(draft_area_get(place->store, 4711, &again), -ENOENT);
}

static void the_log_is_kept_and_bounded(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	autofree char *long_text = xmalloc(RUN_LOG_MAX + 10);
	struct place *place = *state;
	uint32_t id = make_run(place, "r");

	assert_int_equal(run_log_read(place->store, id, &text), 0);
	assert_int_equal(text.len, 0);
	memset(long_text, 'x', RUN_LOG_MAX + 10);
	assert_int_equal(run_log_write(place->store, id, slice(long_text, RUN_LOG_MAX + 10)), 0);
	assert_int_equal(run_log_read(place->store, id, &text), 0);
	assert_int_equal(text.len, RUN_LOG_MAX);
	assert_int_equal(run_log_write(place->store, id, slice_str("ok\n")), 0);
	buf_reset(&text);
	reopen(place);
	assert_int_equal(run_log_read(place->store, id, &text), 0);
	assert_string_equal(buf_str(&text), "ok\n");
}

/* ---- inputs ---- */

static int declare(struct place *place, uint32_t run, const char *role, const char *reference)
{
	return run_declare_input(place->store, run, slice_str(role), slice_str(reference),
				 &root_cred);
}

/* a:v0, a:v1 and d:v0 of a run that has finished; a:v1 cannot be read by others. */
static void log_inputs(struct place *place)
{
	uid_t uid = geteuid() ? geteuid() : 1000; /* only root gives files away */
	uint32_t run = make_run_of(place, "source", uid);
	autofree char *path = draft_path(place, run, "a");

	put_file(place, run, "a", "0");
	assert_int_equal(log_draft(place, run, "a"), 0);
	put_file(place, run, "a", "1");
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chown(path, uid, (gid_t)-1), 0);
	assert_int_equal(log_draft(place, run, "a"), 0);
	put_directory(place, run, "d");
	put_directory(place, run, "d/e");
	put_file(place, run, "d/e/f", "f");
	assert_int_equal(finish(place, run), 0);
}

/* roles as `role=version-of-a/path`, in order; and whether the run has edges to a:v0 and a:v1. */
static void expect_inputs(struct place *place, uint32_t run, const char *text, bool v0, bool v1)
{
	AUTO(buf_release) struct buf role = BUF_INIT, found = BUF_INIT;
	struct edge e;

	for (;;) {
		AUTO(input_release) struct input in = { 0 };
		autofree char *after = xstrdup(buf_str(&role));
		struct version v;
		int more = run_input_next(place->store, run, slice_str(after), &in, &role);

		assert_true(more >= 0);
		if (more == 0)
			break;
		assert_int_equal(version_get_by_id(place->store, in.version, &v), 0);
		buf_printf(&found, "%s%s=v%u%s", found.len ? " " : "", buf_str(&role), v.number,
			   in.path);
	}
	assert_string_equal(buf_str(&found), text);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "a", 0).id, &e), v0 ? 0 : -ENOENT);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "a", 1).id, &e), v1 ? 0 : -ENOENT);
	expect_clean_now(place);
}

static void inputs_are_declared(void **state)
{
	struct place *place = *state;
	struct cred other = { .uid = geteuid() + 1, .gid = 2000 };
	uint32_t run;

	log_inputs(place);
	run = make_run(place, "r");
	assert_int_equal(declare(place, run, "train", "a:v0"), 0);
	assert_int_equal(declare(place, run, "best", "../../../artifacts/a/latest/files"), 0);
	assert_int_equal(declare(place, run, "part", "/m//artifacts//a/./v0//files/./a/"), 0);
	expect_inputs(place, run, "best=v1 part=v0/a train=v0", true, true);

	assert_int_equal(declare(place, run, "train", "a:v1"), -EEXIST);
	assert_int_equal(declare(place, run, ".train", "a:v1"), -EINVAL);
	assert_int_equal(declare(place, run, "x", "nowhere"), -EINVAL);
	assert_int_equal(declare(place, run, "x", "a:v2"), -ENOENT);
	assert_int_equal(declare(place, run, "x", "b:v0"), -ENOENT);
	assert_int_equal(declare(place, run, "x", "artifacts/a/v0/files/x"), -ENOENT);
	assert_int_equal(declare(place, run, "x", "artifacts/d/v0/files/e/f/g"), -ENOENT);
	assert_int_equal(declare(place, 4711, "x", "a:v0"), -ENOENT);
	assert_int_equal(run_declare_input(place->store, run, slice_str("x"), slice_str("a:v1"),
					   &other), -EACCES);
	assert_int_equal(run_declare_input(place->store, run, slice_str("y"), slice_str("a:v0"),
					   &other), 0);
	expect_inputs(place, run, "best=v1 part=v0/a train=v0 y=v0", true, true);
	assert_int_equal(run_set_state(place->store, run, RUN_FAILED), 0);
	assert_int_equal(declare(place, run, "x", "a:v0"), -EROFS);
	assert_int_equal(run_remove_input(place->store, run, slice_str("y")), -EROFS);
	assert_int_equal(run_remove(place->store, slice_str("r")), -ENOTEMPTY);
	expect_inputs(place, run, "best=v1 part=v0/a train=v0 y=v0", true, true);
}

static void inputs_are_taken_back(void **state)
{
	AUTO(input_release) struct input in = { 0 };
	struct place *place = *state;
	uint32_t run;

	log_inputs(place);
	run = make_run(place, "r");
	assert_int_equal(declare(place, run, "x", "a:v0"), 0);
	assert_int_equal(declare(place, run, "y", "artifacts/a/v0/files/a"), 0);
	assert_int_equal(run_remove_input(place->store, run, slice_str("x")), 0);
	expect_inputs(place, run, "y=v0/a", true, false);
	assert_int_equal(run_remove_input(place->store, run, slice_str("x")), -ENOENT);
	assert_int_equal(run_input_find(place->store, run, slice_str("x"), &in), -ENOENT);
	assert_int_equal(run_input_find(place->store, run, slice_str(".x"), &in), -ENOENT);
	assert_int_equal(run_input_find(place->store, run, slice_str("y"), &in), 0);
	assert_string_equal(in.path, "/a");
	assert_int_equal(run_remove_input(place->store, run, slice_str("y")), 0);
	expect_inputs(place, run, "", false, false);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	expect_clean(place);
}

static void inputs_are_renamed(void **state)
{
	AUTO(input_release) struct input before = { 0 }, after = { 0 };
	struct place *place = *state;
	struct store *store = place->store;
	struct slice x = slice_str("x"), y = slice_str("y"), z = slice_str("z");
	uint32_t run;

	log_inputs(place);
	run = make_run(place, "r");
	assert_int_equal(declare(place, run, "x", "a:v0"), 0);
	assert_int_equal(declare(place, run, "y", "a:v1"), 0);
	assert_int_equal(run_input_find(store, run, x, &before), 0);
	assert_int_equal(run_rename_input(store, run, x, z, true), 0);
	assert_int_equal(run_input_find(store, run, z, &after), 0);
	assert_int_equal(before.slot, after.slot);
	expect_inputs(place, run, "y=v1 z=v0", true, true);
	assert_int_equal(run_rename_input(store, run, z, y, true), -EEXIST);
	expect_inputs(place, run, "y=v1 z=v0", true, true);
	/* Over another: its edge goes. */
	assert_int_equal(run_rename_input(store, run, z, y, false), 0);
	expect_inputs(place, run, "y=v0", true, false);
	/* Over one of the same version: the edge stays. */
	assert_int_equal(declare(place, run, "x", "a:v0"), 0);
	assert_int_equal(run_rename_input(store, run, x, y, false), 0);
	expect_inputs(place, run, "y=v0", true, false);
	assert_int_equal(run_rename_input(store, run, y, y, false), 0);
	assert_int_equal(run_rename_input(store, run, y, slice_str("a b"), false), -EINVAL);
	assert_int_equal(run_rename_input(store, run, x, z, false), -ENOENT);
	expect_inputs(place, run, "y=v0", true, false);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(run_rename_input(store, run, y, z, false), -EROFS);
	expect_clean(place);
}

/* Uses and logs are numbered in the order in which they were committed. */
static void sequences_follow_the_commits(void **state)
{
	struct place *place = *state;
	struct edge use, logged, late;
	uint32_t run;

	log_inputs(place);
	run = make_run(place, "r");
	assert_int_equal(declare(place, run, "x", "a:v0"), 0);
	put_file(place, run, "out", "1");
	assert_int_equal(log_draft(place, run, "out"), 0);
	assert_int_equal(declare(place, run, "y", "a:v1"), 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "a", 0).id, &use), 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "a", 1).id, &late), 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_LOGGED, run,
				  version_of(place, "out", 0).id, &logged), 0);
	assert_true(use.sequence < logged.sequence && logged.sequence < late.sequence);
	assert_true(version_of(place, "out", 0).sequence == logged.sequence);
	assert_true(use.flags == EDGE_DECLARED && use.first > 0);
	expect_clean(place);
}

/* ---- the janitor ---- */

/* It comes at any time, also while a run is being made. */
static void the_janitor_leaves_new_runs_alone(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < 300; i++) {
		autofree char *name = xasprintf("r%u", i);
		struct draft_area *area;
		uint32_t id;

		store_wake_janitor(place->store);
		id = make_run(place, name);
		assert_int_equal(draft_area_get(place->store, id, &area), 0);
		draft_area_put(area);
		put_file(place, id, "m", "x");
	}
	expect_clean(place);
}

/* The run ended an hour earlier. */
static int backdate_body(struct kv_txn *txn, void *arg)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, *(uint32_t *)arg, &run);

	run.ended -= 3600 * 1000000000ull;
	return err < 0 ? err : run_write(txn, &run);
}

static void old_failed_drafts_go(void **state)
{
	struct place *place = *state;
	uint32_t failed = make_run(place, "failed"), running = make_run(place, "running");
	autofree char *gone = draft_path(place, failed, "m");
	autofree char *there = draft_path(place, running, "m");

	put_file(place, failed, "m", "x");
	put_file(place, running, "m", "x");
	assert_int_equal(run_set_state(place->store, failed, RUN_FAILED), 0);
	assert_int_equal(draft_sweep(place->store, 3600), 0);
	assert_int_equal(access(gone, F_OK), 0);
	assert_int_equal(draft_sweep(place->store, 0), 0);
	assert_int_equal(access(gone, F_OK), 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, backdate_body, &failed), 0);
	assert_int_equal(draft_sweep(place->store, 3700), 0);
	assert_int_equal(access(gone, F_OK), 0);
	assert_int_equal(draft_sweep(place->store, 3500), 0);
	assert_int_equal(access(gone, F_OK), -1);
	assert_int_equal(access(there, F_OK), 0);
	/* The run may go on, with nothing in its outputs. */
	assert_int_equal(run_set_state(place->store, failed, RUN_RUNNING), 0);
	put_file(place, failed, "m", "again");
	assert_int_equal(finish(place, failed), 0);
	expect_content(place, "m", 0, "f m 5 again\n");
	expect_clean(place);
}

/* What a crash left of a run that never was, or of one that had finished. */
static void left_over_areas_go_at_the_start(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), never = run + 1000;
	autofree char *orphan = draft_path(place, never, "");
	autofree char *finished = draft_path(place, run, "");

	put_file(place, run, "m", "x");
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(draft_sweep(place->store, 0), 0);
	assert_int_equal(draft_area_make(place->store, never), 0);
	assert_int_equal(draft_area_make(place->store, run), 0);
	/* An area without a run may be one in the making. */
	assert_int_equal(draft_sweep(place->store, 0), 0);
	assert_int_equal(access(orphan, F_OK), 0);
	assert_int_equal(access(finished, F_OK), -1);
	assert_int_equal(draft_area_make(place->store, run), 0);
	close_store(place);
	open_store(place);
	/* Out of the way at once, removed in the background. */
	assert_int_equal(access(orphan, F_OK), -1);
	assert_int_equal(access(finished, F_OK), -1);
	expect_clean(place);
}

static void what_a_run_logged_is_no_input_of_it(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), other = make_run(place, "other");
	struct edge edge;
	struct version v;

	put_file(place, run, "m", "m");
	assert_int_equal(log_draft(place, run, "m"), 0);
	v = version_of(place, "m", 0);
	assert_int_equal(run_declare_input(place->store, run, slice_str("in"),
					   slice_str("m:latest"), &root_cred), -EINVAL);
	expect_log(place, run,
		   "error: inputs/in: EINVAL: the run has logged this itself: m:latest");
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run, v.id, &edge), -ENOENT);
	assert_int_equal(run_declare_input(place->store, other, slice_str("in"), slice_str("m:v0"),
					   &root_cred), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, runs_come_and_go),
		ON(memory, runs_are_listed_in_order),
		ON(memory, what_has_outputs_stays),
		cmocka_unit_test(states_have_names),
		ON(memory, states_change),
		ON(memory, a_state_changes_the_phase_of_the_drafts),
		ON(memory, the_log_is_kept_and_bounded),
		ON(memory, inputs_are_declared),
		ON(memory, inputs_are_taken_back),
		ON(memory, inputs_are_renamed),
		ON(memory, sequences_follow_the_commits),
		ON(memory, the_janitor_leaves_new_runs_alone),
		ON(memory, old_failed_drafts_go),
		ON(memory, left_over_areas_go_at_the_start),
		EVERYWHERE(what_a_run_logged_is_no_input_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
