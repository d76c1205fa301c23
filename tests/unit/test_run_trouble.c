/*
 * The contract of core/run.h when something is in the way: a directory is gone, a commit may have
 * happened, a log cannot be written.
 */
#include "store_place.h"

#include <sys/syscall.h>

/* ---- the directory of the drafts ---- */

/* A crash, or a power loss, took it: there was nothing in it. */
static void a_run_without_a_directory_gets_one(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "");

	assert_int_equal(rmdir(path), 0);
	reopen(place);
	assert_int_equal(log_draft(place, run, "m"), -ENOENT);
	put_file(place, run, "m", "m");
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(count_versions(place, "m"), 1);
	expect_clean(place);
}

/* Who has it open goes on seeing the same. */
static void a_run_that_stays_keeps_its_directory(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), other = make_run(place, "other");
	struct draft_area *area, *again;
	struct stat st;

	put_file(place, other, "m", "m");
	assert_int_equal(finish(place, other), 0);
	assert_int_equal(run_declare_input(place->store, run, slice_str("in"), slice_str("m:v0"),
					   &root_cred), 0);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	assert_int_equal(run_remove(place->store, slice_str("r")), -ENOTEMPTY);
	assert_int_equal(fstat(area->fd, &st), 0);
	assert_true(st.st_nlink > 0);
	assert_int_equal(run_remove_input(place->store, run, slice_str("in")), 0);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	assert_int_equal(area->phase, DRAFT_GONE);
	assert_int_equal(draft_area_get(place->store, run, &again), -ENOENT);
	draft_area_put(area);
	expect_clean(place);
}

static void what_is_said_of_a_removed_run_is_not_kept(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(buf_release) struct buf log = BUF_INIT;

	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	assert_int_equal(run_log_write(place->store, run, slice_str("error: too late\n")), 0);
	assert_int_equal(run_log_read(place->store, run, &log), 0);
	assert_string_equal(buf_str(&log), "");
	expect_clean(place);
}

/* ---- a commit that may have happened ---- */

static bool lose_syncs;

/* RocksDB's too. */
int fdatasync(int fd)
{
	if (lose_syncs) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* What the next start may take away is not written to any more. */
static void drafts_of_a_run_that_may_have_finished(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(run_release) struct run r = { 0 };
	struct draft_area *area;

	log_to_file("/dev/null");
	put_file(place, run, "m", "m");
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	lose_syncs = true;
	assert_int_equal(finish(place, run), -EIO);
	lose_syncs = false;
	assert_int_equal(run_get(place->store, run, &r), 0);
	assert_int_equal(r.state, RUN_FINISHED);
	assert_int_equal(area->phase, DRAFT_READONLY);
	draft_area_put(area);
	reopen(place);
	run_release(&r);
	assert_int_equal(run_get(place->store, run, &r), 0);
	if (r.state != RUN_FINISHED)
		assert_int_equal(finish(place, run), 0);
	expect_content(place, "m", 0, "f m 1 m\n");
	expect_clean(place);
}

/* ---- log ---- */

static void what_cannot_be_written_is_said_all_the_same(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(buf_release) struct buf log = BUF_INIT;

	put_file(place, run, "m", "m");
	assert_int_equal(log_draft(place, run, "m"), 0);
	log_to_file("/dev/null");
	kv_disk_fail(place->kv_disk, 1, -ENOSPC, true);
	assert_int_equal(log_draft(place, run, "m"), -ENOSPC);
	kv_disk_fail(place->kv_disk, 0, 0, false);
	assert_int_equal(run_log_read(place->store, run, &log), 0);
	assert_string_equal(buf_str(&log), "error: m: ENOSPC: No space left on device\n");
	/* Until there is something else to say. */
	assert_int_equal(log_draft(place, run, "m"), 0);
	buf_reset(&log);
	assert_int_equal(run_log_read(place->store, run, &log), 0);
	assert_non_null(strstr(buf_str(&log), "unchanged: m:v0"));
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(a_run_without_a_directory_gets_one),
		EVERYWHERE(a_run_that_stays_keeps_its_directory),
		ON(memory, what_is_said_of_a_removed_run_is_not_kept),
		ON(real, drafts_of_a_run_that_may_have_finished),
		ON(memory, what_cannot_be_written_is_said_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
