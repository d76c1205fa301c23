/* The contracts of core/run_note.h, core/console.h and of how runs end (core/run.h). */
#include "store_place.h"

#include "core/console.h"
#include "core/document.h"
#include "core/run_note.h"

#include <signal.h>

static struct run run_of(struct place *place, uint32_t id)
{
	struct run run = { 0 };

	assert_int_equal(run_get(place->store, id, &run), 0);
	return run;
}

static void job_types_are_names(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	AUTO(run_release) struct run run = { 0 };

	assert_int_equal(run_set_job_type(place->store, id, slice_str(" train\n")), 0);
	assert_int_equal(run_set_job_type(place->store, id, slice_str("a/b")), -EINVAL);
	assert_int_equal(run_set_job_type(place->store, id, slice_str("two words")), -EINVAL);
	expect_clean(place);
	run = run_of(place, id);
	assert_string_equal(run.job_type, "train");
	assert_int_equal(finish(place, id), 0);
	assert_int_equal(run_set_job_type(place->store, id, slice_str("\n")), 0);
	run_release(&run);
	run = run_of(place, id);
	assert_string_equal(run.job_type, "");
}

static void texts_are_kept_until_the_end(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct place *place = *state;
	uint32_t id = make_run(place, "r");

	assert_int_equal(run_text_read(place->store, id, RUN_CONFIG, &b), 0);
	assert_string_equal(buf_str(&b), "{}\n");
	buf_reset(&b);
	assert_int_equal(run_text_write(place->store, id, RUN_CONFIG, slice_str("{}")), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_METADATA, slice_str("{ }")), 0);
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_CONFIG, slice_str("[]")), 0);
	assert_int_equal(finish(place, id), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_CONFIG, slice_str("1")), -EROFS);
	expect_clean(place);
	assert_int_equal(run_text_read(place->store, id, RUN_CONFIG, &b), 0);
	assert_int_equal(run_text_read(place->store, id, RUN_METADATA, &b), 0);
	assert_string_equal(buf_str(&b), "[]{ }");
}

static void tags_come_and_go(void **state)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	struct tag one, two;

	assert_int_equal(run_tag_add(place->store, id, slice_str("b")), 0);
	assert_int_equal(run_tag_add(place->store, id, slice_str("a")), 0);
	assert_int_equal(run_tag_add(place->store, id, slice_str("a")), -EEXIST);
	assert_int_equal(run_tag_add(place->store, id, slice_str(".a")), -EINVAL);
	assert_int_equal(run_tag_find(place->store, id, slice_str("a"), &one), 0);
	assert_int_equal(run_tag_find(place->store, id, slice_str("b"), &two), 0);
	assert_true(one.slot != two.slot && one.created > 0);
	assert_int_equal(run_tag_find(place->store, id, slice_str("c"), &one), -ENOENT);
	expect_clean(place);
	assert_int_equal(run_tag_next(place->store, id, slice("", 0), &one, &name), 1);
	assert_string_equal(buf_str(&name), "a");
	assert_int_equal(finish(place, id), 0);
	assert_int_equal(run_tag_remove(place->store, id, slice_str("a")), 0);
	assert_int_equal(run_tag_remove(place->store, id, slice_str("a")), -ENOENT);
	assert_int_equal(run_tag_next(place->store, id, slice_str("a"), &one, &name), 1);
	assert_string_equal(buf_str(&name), "b");
	assert_int_equal(run_tag_next(place->store, id, slice_str("b"), &one, &name), 0);
	expect_clean(place);
}

static void notes_and_console_go_with_the_run(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	struct stat st;
	int fd = -1;

	assert_int_equal(run_tag_add(place->store, id, slice_str("a")), 0);
	assert_int_equal(run_tag_add(place->store, id, slice_str("b")), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_CONFIG, slice_str("{}")), 0);
	assert_int_equal(console_open(place->store, id, true, &fd), 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	assert_int_equal(console_stat(place->store, id, &st), -ENOENT);
	expect_clean(place);
}

static void consoles_append_and_outlive_a_restart(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r"), lost = 77777;
	struct stat st;
	char text[16] = "";
	int a = -1, b = -1;

	assert_int_equal(console_stat(place->store, id, &st), -ENOENT);
	assert_int_equal(console_open(place->store, id, false, &a), -ENOENT);
	assert_int_equal(console_open(place->store, id, true, &a), 0);
	assert_int_equal(console_open(place->store, id, true, &b), 0);
	assert_int_equal(write(a, "one", 3), 3);
	assert_int_equal(write(b, "two", 3), 3);
	assert_int_equal(write(a, "!", 1), 1);
	close(a);
	close(b);
	/* A run that went in a crash. */
	assert_int_equal(console_open(place->store, lost, true, &a), 0);
	close(a);
	reopen(place);
	assert_int_equal(console_stat(place->store, lost, &st), -ENOENT);
	assert_int_equal(console_stat(place->store, id, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(console_open(place->store, id, false, &a), 0);
	assert_int_equal(read(a, text, sizeof(text)), 7);
	assert_string_equal(text, "onetwo!");
	close(a);
	assert_int_equal(console_truncate(place->store, id, 3), 0);
	assert_int_equal(console_stat(place->store, id, &st), 0);
	assert_int_equal(st.st_size, 3);
}

static void ends_are_parsed(void **state)
{
	static const char *const bad[] = { "", "exit_code", "exit_code=", "exit_code=256",
					   "exit_code=-1", "exit_code=1x", "signal=0", "signal=99",
					   "signal=NONE", "signal=", "code=1", "exit_code=0001" };
	struct run_end end = { 0 };

	(void)state;
	assert_int_equal(run_end_parse(slice_str("exit_code=255"), &end), 0);
	assert_true(end.has_exit_code && end.exit_code == 255 && end.signal == 0);
	assert_int_equal(run_end_parse(slice_str("signal=KILL"), &end), 0);
	assert_int_equal(end.signal, SIGKILL);
	assert_int_equal(run_end_parse(slice_str("signal=SIGTERM"), &end), 0);
	assert_int_equal(end.signal, SIGTERM);
	assert_int_equal(run_end_parse(slice_str("signal=11"), &end), 0);
	assert_int_equal(end.signal, SIGSEGV);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(run_end_parse(slice_str(bad[i]), &end), -EINVAL);
}

static void ends_are_kept_until_the_run_goes_on(void **state)
{
	struct run_end end = { .has_exit_code = true, .exit_code = 3 };
	struct run_end killed = { .signal = SIGKILL, .reason = "no process lives" };
	struct publish_request done = { .cred = &root_cred, .end = &end };
	AUTO(run_release) struct run run = { 0 };
	struct place *place = *state;
	uint32_t id = make_run(place, "r");

	run = run_of(place, id);
	assert_true(!run.has_exit_code && run.signal == 0 && run.reason[0] == '\0');
	/* Said first without, then with how. */
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), 0);
	assert_int_equal(run_set_ended(place->store, id, RUN_FAILED, &end), 0);
	assert_int_equal(run_set_ended(place->store, id, RUN_FAILED, NULL), 0);
	run_release(&run);
	run = run_of(place, id);
	assert_true(run.has_exit_code && run.exit_code == 3);
	assert_int_equal(run_set_state(place->store, id, RUN_RUNNING), 0);
	run_release(&run);
	run = run_of(place, id);
	assert_true(!run.has_exit_code);
	assert_int_equal(run_set_ended(place->store, id, RUN_CRASHED, &killed), 0);
	expect_clean(place);
	run_release(&run);
	run = run_of(place, id);
	assert_int_equal(run.signal, SIGKILL);
	assert_string_equal(run.reason, "no process lives");
	/* Who saw it end knows better. */
	assert_int_equal(run_set_state(place->store, id, RUN_FAILED), -EINVAL);
	assert_int_equal(run_set_ended(place->store, id, RUN_FAILED, &end), 0);
	run_release(&run);
	run = run_of(place, id);
	assert_true(run.state == RUN_FAILED && run.exit_code == 3 && run.reason[0] == '\0');
	done.run = id;
	assert_int_equal(publish(place->store, &done), 0);
	expect_clean(place);
	run_release(&run);
	run = run_of(place, id);
	assert_true(run.has_exit_code && run.exit_code == 3 && run.signal == 0);
	assert_string_equal(run.reason, "");
}

static void parents_are_kept(void **state)
{
	AUTO(buf_release) struct buf info = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	struct place *place = *state;
	uint32_t parent = make_run(place, "sweep"), id;

	assert_int_equal(run_create(place->store, slice_str("r"), 0, 0, 0755, parent, &id), 0);
	expect_clean(place);
	run = run_of(place, id);
	assert_int_equal(run.parent, parent);
	assert_int_equal(document_run(place->store, &run, &info), 0);
	assert_non_null(strstr(buf_str(&info), "\"parent_run\": \"sweep\""));
}

/* What may be cut between two writes, and what is wrong whatever follows. */
static void json_is_told_from_its_beginning(void **state)
{
	static const char whole[] =
		"{\"a\": [true, null, -1.5e-7, \"x\\ud83d\\ude00 \xc3\xa9 ]}\"]}";
	static const char *const wrong[] = { "x", "{\"a\" 1, \"long enough to be no cut token\": 1",
					     "{}}", "]", "{\"a\": 1} 2", "[1,, 2, 3, 4, 5, 6, 7" };
	AUTO(buf_release) struct buf why = BUF_INIT;
	uint64_t files = 0, bytes = 0;

	(void)state;
	for (size_t n = 1; n < sizeof(whole) - 1; n++)
		assert_int_equal(document_check(slice(whole, n), true, &why), -EAGAIN);
	assert_int_equal(document_check(slice_str(whole), true, &why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(document_check(slice_str(wrong[i]), false, &why), -EINVAL);
	assert_int_equal(document_check(slice_str("[1]"), false, &why), 0);
	buf_reset(&why);
	assert_int_equal(document_check(slice_str("[1]"), true, &why), -EINVAL);
	assert_string_equal(buf_str(&why), "not a JSON object");
	buf_reset(&why);
	assert_int_equal(document_check(slice_str("{\n \"a\": }"), true, &why), -EINVAL);
	assert_non_null(strstr(buf_str(&why), "line 2, column 7"));
	assert_true(document_progress(slice_str("{\"logging\": {\"files\": 2, \"bytes\": 3}}"),
				      &files, &bytes));
	assert_true(files == 2 && bytes == 3);
	assert_false(document_progress(slice_str("{}"), &files, &bytes));
	assert_false(document_progress(slice("", 0), &files, &bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(job_types_are_names),
		EVERYWHERE(texts_are_kept_until_the_end),
		EVERYWHERE(tags_come_and_go),
		EVERYWHERE(notes_and_console_go_with_the_run),
		EVERYWHERE(consoles_append_and_outlive_a_restart),
		cmocka_unit_test(ends_are_parsed),
		EVERYWHERE(ends_are_kept_until_the_run_goes_on),
		EVERYWHERE(parents_are_kept),
		cmocka_unit_test(json_is_told_from_its_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
