/* The log: one line an event, whatever is in it; levels; errno kept. */
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/buf.h"

static char path[] = "/tmp/test_log.XXXXXX";

static int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return log_to_file(path);
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

/* What was logged since the last call. */
static void read_log(struct buf *ret)
{
	FILE *file = fopen(path, "re");
	int c;

	assert_non_null(file);
	buf_reset(ret);
	while ((c = fgetc(file)) != EOF)
		buf_add_char(ret, (char)c);
	fclose(file);
	assert_int_equal(truncate(path, 0), 0);
}

static void lines_have_time_and_level(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int year, month, day, hour, minute, second, ms, end = 0;

	(void)state;
	log_warning("%s has %d", "model", 3);
	read_log(&text);
	sscanf(buf_str(&text), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
	       &minute, &second, &ms, &end);
	assert_int_equal(end, 25);
	assert_string_equal(text.data + end, "warning: model has 3\n");
}

static void errno_is_named_and_kept(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	errno = EEXIST;
	assert_int_equal(log_errno(-ENOSPC, "store %s", "/s"), -ENOSPC);
	assert_int_equal(errno, EEXIST);
	read_log(&text);
	assert_non_null(strstr(buf_str(&text), "error: store /s: No space left on device\n"));
}

static void levels_drop_lines(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	log_debug("unseen");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("unseen");
	log_info("unseen");
	log_error("seen");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown");
	log_set_level(LOG_LEVEL_INFO);
	read_log(&text);
	assert_null(strstr(buf_str(&text), "unseen"));
	assert_non_null(strstr(buf_str(&text), "error: seen\n"));
	assert_non_null(strstr(buf_str(&text), "debug: shown\n"));
}

static void a_name_stays_on_its_line(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *shown = "'a\\x0a2026 error: forged\\x1b[31m\\x7f', caf\xc3\xa9\n";
	const char *newline;

	(void)state;
	log_error("bad name 'a\n2026 error: forged\x1b[31m\x7f', caf\xc3\xa9");
	read_log(&text);
	newline = strchr(buf_str(&text), '\n');
	assert_ptr_equal(newline, text.data + text.len - 1);
	assert_non_null(strstr(text.data, shown));
}

static void long_lines_are_whole(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	log_error("%05000d", 7);
	read_log(&text);
	assert_int_equal(text.len, 25 + strlen("error: ") + 5000 + 1);
}

static void a_file_that_does_not_open(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	assert_int_equal(log_to_file("/nonexistent/log"), -ENOENT);
	log_error("still here");
	read_log(&text);
	assert_non_null(strstr(buf_str(&text), "still here"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_time_and_level),
		cmocka_unit_test(errno_is_named_and_kept),
		cmocka_unit_test(levels_drop_lines),
		cmocka_unit_test(a_name_stays_on_its_line),
		cmocka_unit_test(long_lines_are_whole),
		cmocka_unit_test(a_file_that_does_not_open),
	};

	return cmocka_run_group_tests_name("log", tests, set_up, tear_down);
}
