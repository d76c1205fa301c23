/* The contract of core/name.h. */
#include "core/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void names(void **state)
{
	static const char *const good[] = { "a", "Z", "0", "mnist", "v1", "a.b", "a_b", "a=b",
					    "a+b", "a,b", "a@b", "a-b", "-", "=x", "latest" };
	static const char *const bad[] = { "", ".", "..", ".a", "_a", "a b", "a/b", "a:b", "a\n",
					   "\xc3\xa9", "a*", "a\x7f", "~", "a\\" };
	char longest[NAME_MAX_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_valid(slice_str(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_valid(slice_str(bad[i])));
	assert_false(name_valid(slice("a\0b", 3)));
	memset(longest, 'n', sizeof(longest));
	assert_true(name_valid(slice(longest, NAME_MAX_BYTES)));
	assert_false(name_valid(slice(longest, NAME_MAX_BYTES + 1)));
}

static void version_names(void **state)
{
	static const char *const bad[] = { "", "v", "V1", "1", "v01", "v-1", "v+1", "v1 ", " v1",
					   "v1a", "v4294967295", "v4294967296", "v99999999999",
					   "v18446744073709551617", "latest" };
	uint32_t n = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(version_name_parse(slice_str(bad[i]), &n), -ENOENT);
	assert_int_equal(n, 77);
	assert_int_equal(version_name_parse(slice_str("v0"), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(version_name_parse(slice_str("v12"), &n), 0);
	assert_int_equal(n, 12);
	assert_int_equal(version_name_parse(slice_str("v4294967294"), &n), 0);
	assert_int_equal(n, 4294967294);
	/* The slice ends where it ends. */
	assert_int_equal(version_name_parse(slice("v123", 2), &n), 0);
	assert_int_equal(n, 1);
}

static void references(void **state)
{
	static const struct {
		const char *text, *artifact, *version, *path;
	} good[] = {
		{ "mnist:v3", "mnist", "v3", "" },
		{ "mnist:latest", "mnist", "latest", "" },
		{ "artifacts/mnist/v3", "mnist", "v3", "" },
		{ "/mnt/x/artifacts/mnist/v3", "mnist", "v3", "" },
		{ "../../../artifacts/mnist/v3", "mnist", "v3", "" },
		{ "../../../artifacts/mnist/v3/", "mnist", "v3", "" },
		{ "../../../artifacts/mnist/prod/files", "mnist", "prod", "" },
		{ "../../../artifacts/mnist/v3/files/", "mnist", "v3", "" },
		{ "../../../artifacts/mnist/v3/files/a/b c", "mnist", "v3", "a/b c" },
		{ "x/artifacts/mnist//v3//files//a//", "mnist", "v3", "a" },
		{ "x/artifacts/m/v0/files/artifacts/n/v1", "m", "v0", "artifacts/n/v1" },
		/* The mount may lie below a directory that has our name too. */
		{ "/artifacts/_mnt/here/artifacts/m/v0", "m", "v0", "" },
	};
	static const char *const bad[] = { "", "mnist", "mnist:", ":v3", ":", "a:b:c", "mnist:.v",
					   "/", "/etc/passwd", "artifacts/", "artifacts/mnist",
					   "artifacts/mnist/", "artifacts/mnist/v3/info.json",
					   "artifacts/.x/v3", "myartifacts/mnist/v3",
					   "artifacts/mnist/v3/filesystem" };
	struct reference r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(reference_parse(slice_str(good[i].text), &r), 0);
		assert_true(slice_equal(r.artifact, slice_str(good[i].artifact)));
		assert_true(slice_equal(r.version, slice_str(good[i].version)));
		assert_true(slice_equal(r.path, slice_str(good[i].path)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(reference_parse(slice_str(bad[i]), &r), -EINVAL);
}

static void paths_are_tidied(void **state)
{
	static const struct {
		const char *path, *tidy;
	} rows[] = {
		{ "", "" },
		{ "/", "" },
		{ "a", "a" },
		{ "mnist:v0", "mnist:v0" },
		{ "./a/./b/.", "a/b" },
		{ "//a//b//", "/a/b" },
		{ "../../../artifacts//mnist/v0//files", "../../../artifacts/mnist/v0/files" },
		{ "/m/./artifacts/a/v0/files/./.x/..y", "/m/artifacts/a/v0/files/.x/..y" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(buf_release) struct buf tidy = BUF_INIT;

		path_tidy(slice_str(rows[i].path), &tidy);
		assert_string_equal(buf_str(&tidy), rows[i].tidy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(version_names),
		cmocka_unit_test(references),
		cmocka_unit_test(paths_are_tidied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
