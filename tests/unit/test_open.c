/* What store_open() takes for a store, and what it makes of an empty directory. */
#include "store_place.h"

/* Of a store that has been made. */
#define STRING_OF(n) #n
#define TEXT_OF(n) STRING_OF(n)
#define MARKER "lineagefs store " TEXT_OF(STORE_SCHEMA) "\n"

struct folder {
	char *path;
};

static int setup_folder(void **state)
{
	struct folder *f = xcalloc(1, sizeof(*f));

	log_set_level(LOG_LEVEL_ERROR);
	f->path = xstrdup("/tmp/test_open.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	*state = f;
	return 0;
}

static int teardown_folder(void **state)
{
	struct folder *f = *state;

	assert_int_equal(nftw(f->path, remove_one, 64, FTW_DEPTH | FTW_PHYS), 0);
	free(f->path);
	free(f);
	return 0;
}

static int open_and_close(const struct folder *f, struct buf *why)
{
	const struct store_options options = { .cache_bytes = 8u << 20 };
	struct store *store;
	int err;

	buf_reset(why);
	err = store_open(f->path, &options, why, &store);
	if (err == 0)
		store_close(store);
	return err;
}

static void put(const struct folder *f, const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s", f->path, name);

	write_at(path, text, strlen(text));
}

static void expect_marker(const struct folder *f, const char *text)
{
	autofree char *path = xasprintf("%s/lineagefs-store", f->path);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char found[64] = "";

	assert_true(fd >= 0 && read(fd, found, sizeof(found) - 1) > 0);
	assert_string_equal(found, text);
}

static void an_empty_directory_becomes_one(void **state)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct folder *f = *state;
	autofree char *lost = xasprintf("%s/lost+found", f->path);

	assert_int_equal(mkdir(lost, 0700), 0);
	assert_int_equal(open_and_close(f, &why), 0);
	expect_marker(f, MARKER);
	assert_int_equal(open_and_close(f, &why), 0);
}

static void a_directory_of_others_is_none(void **state)
{
	static const char *const names[] = { "lock", "file", "lineagefs-store.old" };
	struct folder *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(buf_release) struct buf why = BUF_INIT;
		autofree char *path = xasprintf("%s/%s", f->path, names[i]);
		autofree char *kv = xasprintf("%s/kv", f->path);

		put(f, names[i], "precious");
		assert_int_equal(open_and_close(f, &why), -EINVAL);
		assert_non_null(strstr(buf_str(&why), "is not a lineagefs store"));
		assert_int_equal(access(kv, F_OK), -1);
		assert_int_equal(unlink(path), 0);
	}
}

/* Its making was interrupted, at the first steps. */
static void what_was_begun_is_gone_on_with(void **state)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct folder *f = *state;

	put(f, "lineagefs-store.new", "");
	assert_int_equal(open_and_close(f, &why), 0);
	put(f, "lineagefs-store", "lineagefs store 0\n");
	assert_int_equal(open_and_close(f, &why), 0);
	expect_marker(f, MARKER);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_directory_becomes_one),
		TEST(a_directory_of_others_is_none),
		TEST(what_was_begun_is_gone_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
