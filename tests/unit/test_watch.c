/* The contract of core/watch.h, with real processes. */
#include "core/watch.h"

#include "core/run_process.h"
#include "store_place.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A child that waits to be killed. */
static pid_t start(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(STDERR_FILENO + 1, ~0U, 0); /* the store's lock */
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static enum run_state state_of(struct place *place, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };

	assert_int_equal(run_get(place->store, id, &run), 0);
	return run.state;
}

/* Waits for it, twenty seconds at most. */
static void expect_state(struct place *place, uint32_t id, enum run_state wanted)
{
	for (unsigned i = 0; i < 2000 && state_of(place, id) != wanted; i++)
		usleep(10000);
	assert_int_equal(state_of(place, id), wanted);
}

static int enrol(struct place *place, uint32_t run, pid_t pid)
{
	return watch_register(place->store->watch, run, &root_cred, getpid(), pid);
}

static void expect_list(struct place *place, uint32_t run, pid_t pid)
{
	AUTO(buf_release) struct buf list = BUF_INIT;
	autofree char *wanted = pid ? xasprintf("%d\n", (int)pid) : xstrdup("");

	watch_list(place->store->watch, run, &list);
	assert_string_equal(buf_str(&list), wanted);
}

static void members_are_known(void **state)
{
	struct place *place = *state;
	uint32_t outer = make_run(place, "outer"), inner = make_run(place, "inner");
	pid_t pid = start();

	assert_int_equal(watch_run_of(place->store->watch, pid), 0);
	assert_int_equal(enrol(place, outer, getpid()), 0);
	assert_int_equal(watch_run_of(place->store->watch, getpid()), outer);
	/* By its parent, until it is registered itself. */
	assert_int_equal(watch_run_of(place->store->watch, pid), outer);
	assert_int_equal(enrol(place, inner, pid), 0);
	assert_int_equal(watch_run_of(place->store->watch, pid), inner);
	expect_list(place, inner, pid);
	/* An ended run has no processes: they are the outer run's again. */
	assert_int_equal(finish(place, inner), 0);
	watch_run_changed(place->store->watch, inner);
	assert_int_equal(watch_run_of(place->store->watch, pid), outer);
	expect_list(place, inner, 0);
	end(pid);
	assert_int_equal(finish(place, outer), 0);
	watch_run_changed(place->store->watch, outer);
	expect_clean(place);
}

static void bad_registrations(void **state)
{
	struct place *place = *state;
	struct cred other = { .uid = geteuid() + 12345, .gid = 1 };
	uint32_t run = make_run(place, "r");

	assert_int_equal(enrol(place, run, INT32_MAX), -ESRCH);
	assert_int_equal(enrol(place, run + 1, getpid()), -ENOENT);
	assert_int_equal(watch_register(place->store->watch, run, &other, getpid(), getpid()),
			 -EPERM);
	assert_int_equal(run_set_state(place->store, run, RUN_FAILED), 0);
	assert_int_equal(enrol(place, run, getpid()), -EROFS);
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(enrol(place, run, getpid()), -EROFS);
	expect_clean(place);
}

static uint32_t reported;

static void on_change(void *arg, uint32_t run)
{
	(void)arg;
	__atomic_store_n(&reported, run, __ATOMIC_SEQ_CST);
}

static void the_last_end_is_a_crash(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	pid_t first = start(), second = start();

	__atomic_store_n(&reported, 0, __ATOMIC_SEQ_CST);
	watch_on_change(place->store->watch, on_change, NULL);
	assert_int_equal(enrol(place, run, first), 0);
	assert_int_equal(enrol(place, run, second), 0);
	put_file(place, run, "m", "x");
	assert_int_equal(log_draft(place, run, "m"), 0);
	end(first);
	usleep(700000); /* longer than it takes to judge a run */
	assert_int_equal(state_of(place, run), RUN_RUNNING);
	end(second);
	expect_state(place, run, RUN_CRASHED);
	while (__atomic_load_n(&reported, __ATOMIC_SEQ_CST) != run)
		usleep(1000);
	assert_int_equal(count_versions(place, "m"), 1);
	watch_on_change(place->store->watch, NULL, NULL);
	expect_clean(place);
	/* Going on: the dead of before do not count. */
	assert_int_equal(run_set_state(place->store, run, RUN_RUNNING), 0);
	reopen(place);
	usleep(700000);
	assert_int_equal(state_of(place, run), RUN_RUNNING);
	expect_clean(place);
}

static void a_restart_finds_the_living(void **state)
{
	struct place *place = *state;
	uint32_t stays = make_run(place, "stays"), goes = make_run(place, "goes");
	pid_t living = start(), dying = start();

	assert_int_equal(enrol(place, stays, living), 0);
	assert_int_equal(enrol(place, goes, dying), 0);
	expect_clean_now(place);
	close_store(place);
	end(dying);
	open_store(place);
	expect_list(place, stays, living);
	expect_state(place, goes, RUN_CRASHED);
	assert_int_equal(state_of(place, stays), RUN_RUNNING);
	end(living);
	expect_state(place, stays, RUN_CRASHED);
	expect_clean(place);
}

struct rewrite {
	uint32_t run;
	struct buf row;
};

static int rewrite_body(struct kv_txn *txn, void *arg)
{
	struct rewrite *r = arg;

	return kv_put(txn, KV_META, KEY(process(r->run, 1)), buf_slice(&r->row));
}

/* The same number and start, but of another boot of the machine: nobody of then lives. */
static void another_boot_has_other_processes(void **state)
{
	AUTO(process_row_release) struct process_row row = { 0 };
	struct place *place = *state;
	struct rewrite r = { .run = make_run(place, "r"), .row = BUF_INIT };
	pid_t pid = start();
	uint32_t slot;

	assert_int_equal(enrol(place, r.run, pid), 0);
	assert_int_equal(run_process_next(place->store, r.run, 0, &slot, &row), 1);
	assert_int_equal(slot, 1);
	row.boot[0] = row.boot[0] == '0' ? '1' : '0';
	encode_process_row(&r.row, &row);
	assert_int_equal(kv_update(place->store->kv, KV_DURABLE, rewrite_body, &r), 0);
	reopen(place);
	expect_state(place, r.run, RUN_CRASHED);
	assert_int_equal(watch_run_of(place->store->watch, pid), 0);
	end(pid);
	buf_release(&r.row);
	expect_clean(place);
}

static void a_writer_keeps_a_run(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	pid_t pid = start();
	struct draft_area *area;
	struct draft_top *top;
	struct draft_writer *writer;

	assert_int_equal(enrol(place, run, pid), 0);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	top = draft_top_get(area, "m");
	writer = draft_writer_open(top, 1);
	end(pid);
	usleep(1500000);
	assert_int_equal(state_of(place, run), RUN_RUNNING);
	draft_writer_close(writer);
	draft_top_put(top);
	draft_area_put(area);
	expect_state(place, run, RUN_CRASHED);
	expect_clean(place);
}

static void a_log_under_way_keeps_a_run(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	pid_t pid = start();
	struct draft_area *area;

	assert_int_equal(enrol(place, run, pid), 0);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	draft_progress_begin(area);
	end(pid);
	usleep(1500000);
	assert_int_equal(state_of(place, run), RUN_RUNNING);
	draft_progress_end(area);
	draft_area_put(area);
	expect_state(place, run, RUN_CRASHED);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, members_are_known),
		ON(real, members_are_known),
		ON(memory, bad_registrations),
		ON(memory, the_last_end_is_a_crash),
		ON(memory, a_restart_finds_the_living),
		ON(real, a_restart_finds_the_living),
		ON(memory, another_boot_has_other_processes),
		ON(memory, a_writer_keeps_a_run),
		ON(memory, a_log_under_way_keeps_a_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
