/* Options: defaults, the ini file, lists of -o; every error with its place and nothing changed. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
	struct conf conf;
	struct buf why;
	char path[64];
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	int fd;

	conf_init(&f->conf);
	snprintf(f->path, sizeof(f->path), "/tmp/test_conf.XXXXXX");
	fd = mkstemp(f->path);
	if (fd < 0)
		return -1;
	close(fd);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	conf_release(&f->conf);
	buf_release(&f->why);
	free(f);
	return 0;
}

static int read_bytes(struct fixture *f, struct slice text)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
	buf_reset(&f->why);
	return conf_read_file(&f->conf, f->path, &f->why);
}

static int read_text(struct fixture *f, const char *text)
{
	return read_bytes(f, slice_str(text));
}

static int read_list(struct fixture *f, const char *list)
{
	buf_reset(&f->why);
	return conf_read_list(&f->conf, list, &f->why);
}

static void assert_defaults(const struct conf *c)
{
	assert_int_equal(c->allow_other, geteuid() == 0);
	assert_int_equal(c->threads, 16);
	assert_int_equal(c->cache_mb, 64);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_string_equal(c->log_file, "");
	assert_string_equal(c->protected_aliases, "");
	assert_false(c->latest_on_equal);
	assert_int_equal(c->keep_drafts_days, 30);
	assert_int_equal(c->trash_days, 7);
}

static void defaults(void **state)
{
	struct fixture *f = *state;

	assert_defaults(&f->conf);
	assert_int_equal(read_text(f, ""), 0);
	assert_int_equal(read_text(f, "\n# nothing\n\n[mount]\n; nothing\n"), 0);
	assert_int_equal(read_list(f, ""), 0);
	assert_defaults(&f->conf);
	assert_string_equal(buf_str(&f->why), "");
}

static void every_option_from_a_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, "[mount]\r\n"
				      "allow_other = off\r\n"
				      "threads=2\n"
				      "  cache_mb : 65536  \n"
				      "log_level = debug ; and why\n"
				      "\tlog_file = /var/log/a b.log\n"
				      "latest_on_equal = true\n"
				      "trash_days = 0\n"
				      "keep_drafts_days = 0"),
			 0);
	assert_false(f->conf.allow_other);
	assert_int_equal(f->conf.threads, 2);
	assert_int_equal(f->conf.cache_mb, 65536);
	assert_int_equal(f->conf.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(f->conf.log_file, "/var/log/a b.log");
	assert_true(f->conf.latest_on_equal);
	assert_int_equal(f->conf.keep_drafts_days, 0);
	assert_int_equal(f->conf.trash_days, 0);
	assert_int_equal(read_text(f, "[mount]\nlog_file =\n"), 0);
	assert_string_equal(f->conf.log_file, "");
}

static void booleans(void **state)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true }, { "no", false },	 { "true", true }, { "false", false },
		      { "on", true },  { "off", false }, { "1", true },	   { "0", false } };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		autofree char *list = xasprintf("latest_on_equal=%s", words[i].word);
		autofree char *text = xasprintf("[mount]\nlatest_on_equal=%s\n", words[i].word);

		f->conf.latest_on_equal = !words[i].value;
		assert_int_equal(read_list(f, list), 0);
		assert_int_equal(f->conf.latest_on_equal, words[i].value);
		f->conf.latest_on_equal = !words[i].value;
		assert_int_equal(read_text(f, text), 0);
		assert_int_equal(f->conf.latest_on_equal, words[i].value);
	}
}

static void bad_files_name_their_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *reason;
	} bad[] = {
		{ "[mount]\n\nthread = 4\n", 3, "there is no option 'thread'" },
		{ "# a\n# b\n[mount]\nthreads = 4\nnonsense\n", 5, "neither" },
		{ "[mount\nthreads = 4\n", 1, "neither" },
		{ "[mount]\nnonsense\nthread = 4\n", 2, "neither" },
		{ "[mount]\nthread = 4\nnonsense\n", 2, "there is no option 'thread'" },
		{ "threads = 4\n[mount]\n", 1, "before the heading [mount]" },
		{ "[mount]\nthreads = 4\n[mont]\n", 3, "the only section is [mount]" },
		{ "[Mount]\n", 1, "the only section is [mount]" },
		{ "[]\n", 1, "the only section is [mount]" },
		{ "[mount]\nthreads = 1\n", 2, "threads is a number from 2 to 256, not '1'" },
		{ "[mount]\nthreads = 257\n", 2, "not '257'" },
		{ "[mount]\nthreads =\n", 2, "not ''" },
		{ "[mount]\nthreads = 4k\n", 2, "not '4k'" },
		{ "[mount]\nthreads = -4\n", 2, "not '-4'" },
		{ "[mount]\nthreads = 4294967300\n", 2, "not '4294967300'" },
		{ "[mount]\nthreads = 18446744073709551620\n", 2, "not '18446744073709551620'" },
		{ "[mount]\nthreads = 4\n  5\n", 3, "neither" },
		{ "[mount]\nallow_other = maybe\n", 2, "allow_other is yes or no, not 'maybe'" },
		{ "[mount]\nallow_other\n", 2, "neither" },
		{ "[mount]\nlog_level = loud\n", 2, "error, warning, info or debug" },
		{ "[mount]\nlog_file = log\n", 2, "log_file is an absolute path, not 'log'" },
		{ "[mount]\nprotected_aliases = a:b\n", 2,
		  "protected_aliases are names divided by spaces, not 'a:b'" },
		{ "[mount]\nrw = yes\n", 2, "there is no option 'rw'" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		autofree char *place = xasprintf("%s:%u: ", f->path, bad[i].line);

		assert_int_equal(read_text(f, bad[i].text), -EINVAL);
		if (!slice_starts(buf_slice(&f->why), slice_str(place)) ||
		    !strstr(buf_str(&f->why), bad[i].reason))
			fail_msg("case %zu says: %s", i, buf_str(&f->why));
		assert_null(strchr(buf_str(&f->why), '\n'));
		assert_defaults(&f->conf);
	}
}

static void long_and_binary_lines(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct fixture *f = *state;

	buf_printf(&text, "[mount]\n# %0500d\nlog_file = /%0500d\n", 0, 0);
	assert_int_equal(read_text(f, text.data), -EINVAL);
	assert_non_null(strstr(buf_str(&f->why), ":3: the line is too long"));
	assert_int_equal(read_bytes(f, slice("[mount]\nthreads = 4\0\n", 21)), -EINVAL);
	assert_non_null(strstr(buf_str(&f->why), ":2: a NUL byte"));
	assert_defaults(&f->conf);
}

static void files_that_do_not_open(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(conf_read_file(&f->conf, "/nonexistent/a.ini", &f->why), -ENOENT);
	assert_string_equal(buf_str(&f->why), "/nonexistent/a.ini: No such file or directory");
	buf_reset(&f->why);
	assert_int_equal(conf_read_file(&f->conf, "/", &f->why), -EISDIR);
	assert_string_equal(buf_str(&f->why), "/: Is a directory");
	assert_defaults(&f->conf);
}

static void lists(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_list(f, "threads=4,noallow_other,latest_on_equal,cache_mb=8"), 0);
	assert_int_equal(f->conf.threads, 4);
	assert_false(f->conf.allow_other);
	assert_true(f->conf.latest_on_equal);
	assert_int_equal(f->conf.cache_mb, 8);
	assert_int_equal(read_list(f, "allow_other,nolatest_on_equal,,log_level=error,"), 0);
	assert_true(f->conf.allow_other);
	assert_false(f->conf.latest_on_equal);
	assert_int_equal(f->conf.log_level, LOG_LEVEL_ERROR);
	assert_int_equal(read_list(f, "log_file=/tmp/a\\,b=c\\\\d,threads=5"), 0);
	assert_string_equal(f->conf.log_file, "/tmp/a,b=c\\d");
	assert_int_equal(f->conf.threads, 5);
	assert_int_equal(read_list(f, "protected_aliases=prod stable"), 0);
	assert_string_equal(f->conf.protected_aliases, "prod stable");
	assert_string_equal(f->conf.log_file, "/tmp/a,b=c\\d");
	assert_int_equal(read_list(f, "log_file="), 0);
	assert_string_equal(f->conf.log_file, "");
}

static void bad_lists(void **state)
{
	static const struct {
		const char *list;
		const char *why;
	} bad[] = {
		{ "threads=4,ro", "there is no option 'ro'" },
		{ "cache_mb=8,thread=4", "there is no option 'thread'" },
		{ "=4", "there is no option ''" },
		{ "threads=4, cache_mb=8", "there is no option ' cache_mb'" },
		{ "threads", "threads needs a value: threads=..." },
		{ "threads=", "threads is a number from 2 to 256, not ''" },
		{ "nothreads", "there is no option 'nothreads'" },
		{ "no", "there is no option 'no'" },
		{ "noallow_other=yes", "there is no option 'noallow_other'" },
		{ "allow_other=", "allow_other is yes or no, not ''" },
		{ "rw=1", "there is no option 'rw'" },
		{ "log_file=/a,log_file=b", "log_file is an absolute path, not 'b'" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(read_list(f, bad[i].list), -EINVAL);
		assert_string_equal(buf_str(&f->why), bad[i].why);
		assert_defaults(&f->conf);
	}
}

static void later_wins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, "[mount]\nthreads = 4\nthreads = 6\ncache_mb = 9\n"), 0);
	assert_int_equal(f->conf.threads, 6);
	assert_int_equal(read_list(f, "threads=7,threads=8"), 0);
	assert_int_equal(f->conf.threads, 8);
	assert_int_equal(f->conf.cache_mb, 9);
}

/* The shipped file names every option with its default: it reads as such, shown or taken. */
static void shipped_file(void **state)
{
	AUTO(buf_release) struct buf shown = BUF_INIT;
	AUTO(buf_release) struct buf help = BUF_INIT;
	struct fixture *f = *state;
	FILE *file = fopen("conf/lineagefs.ini", "re");
	char line[256];

	if (!file)
		skip();
	assert_int_equal(conf_read_file(&f->conf, "conf/lineagefs.ini", &f->why), 0);
	assert_defaults(&f->conf);
	f->conf = (struct conf){ .log_file = f->conf.log_file,
				 .protected_aliases = f->conf.protected_aliases };
	while (fgets(line, sizeof(line), file))
		buf_add_str(&shown, line + (*line == ';'));
	fclose(file);
	assert_int_equal(read_text(f, shown.data), 0);
	assert_true(f->conf.allow_other);
	f->conf.allow_other = geteuid() == 0;
	assert_defaults(&f->conf);

	conf_describe(&help);
	for (char *next, *at = help.data; *at; at = next) {
		autofree char *name = xstrndup(at + 2, strcspn(at + 2, " "));
		AUTO(buf_release) struct buf commented = BUF_INIT;

		next = strchr(at, '\n') + 1;
		buf_printf(&commented, "\n%s =", name);
		assert_non_null(strstr(shown.data, commented.data));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(every_option_from_a_file),
		TEST(booleans),
		TEST(bad_files_name_their_line),
		TEST(long_and_binary_lines),
		TEST(files_that_do_not_open),
		TEST(lists),
		TEST(bad_lists),
		TEST(later_wins),
		TEST(shipped_file),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
