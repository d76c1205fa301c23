/* The contracts of core/launch.h and core/rerun.h: nothing of a command is lost on its way. */
#include "store_place.h"

#include "core/alias.h"
#include "core/launch.h"
#include "core/rerun.h"
#include "core/run_note.h"
#include "core/view.h"

static const char *const nasty[] = {
	"", " ", "plain", "it's", "'", "''", "\"$HOME\"", "`id`", "$(id)", "a\nb", "\n", "-n",
	"\\", "~", "#x", "a;b", "*", "caf\xc3\xa9", "latin-\xe9", "\xff\xfe", "\x01\x7f", "!x",
	"tab\there", "a=b", "%s", "\xed\xa0\x80", "ab\xff", "abc\xff",
};

static void nothing_is_lost_in_json(void **state)
{
	AUTO(launch_release) struct launch in = { 0 }, out = { 0 };
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++) {
		launch_add_argument(&in, nasty[i]);
		launch_add_variable(&in, "NAME", nasty[i]);
	}
	in.directory = xstrdup("/tmp/\xff");
	in.commit = xstrdup("abc");
	in.dirty = LAUNCH_DIRTY;
	launch_encode(&in, &text);
	launch_decode(buf_slice(&text), &out);
	assert_int_equal(out.command_count, ARRAY_SIZE(nasty));
	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++)
		assert_string_equal(out.command[i], nasty[i]);
	/* The last of one name stays. */
	assert_int_equal(out.env_count, 1);
	assert_string_equal(out.env[0].value, nasty[ARRAY_SIZE(nasty) - 1]);
	assert_string_equal(out.directory, "/tmp/\xff");
	assert_string_equal(out.commit, "abc");
	assert_int_equal(out.dirty, LAUNCH_DIRTY);
	assert_null(out.executable);
}

static void nonsense_is_unknown(void **state)
{
	static const char *const texts[] = {
		"", "[]", "{}", "{\"command\": \"python x\"}", "{\"command\": [\"a\", 1]}",
		"{\"command\": [{\"base64\": \"AA==\"}]}", "{\"command\": [{\"base64\": \"?\"}]}",
		"{\"command\": {\"base64\": \"QQ==\"}, \"git\": 1, \"env\": [2]}",
		"{\"directory\": {}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO(launch_release) struct launch l = { 0 };

		launch_decode(slice_str(texts[i]), &l);
		assert_int_equal(l.command_count, 0);
		assert_null(l.directory);
		assert_int_equal(l.env_count, 0);
	}
}

/* The script of a run, written to a file below the place. */
static char *script_of(struct place *place, uint32_t id)
{
	AUTO(buf_release) struct buf script = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	char *path = xasprintf("%s/rerun.sh", place->directory);

	assert_int_equal(run_get(place->store, id, &run), 0);
	assert_int_equal(rerun_script(place->store, &run, &script), 0);
	write_at(path, script.data, script.len);
	return path;
}

static void read_at(const char *path, struct buf *ret)
{
	FILE *f = fopen(path, "re");
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		buf_add_char(ret, (char)c);
	fclose(f);
}

/* A lineagefs that prints what it was called with, one argument after the other. */
static void make_stub(struct place *place)
{
	autofree char *path = xasprintf("%s/lineagefs", place->directory);
	const char *text = "#!/bin/sh\nprintf '%s\\0' \"$PWD\" \"$ODD\" \"$@\" >\"$STUB_OUT\"\n";

	write_at(path, text, strlen(text));
	assert_int_equal(chmod(path, 0755), 0);
}

static void expect_argument(struct slice *rest, const char *want)
{
	size_t n = strnlen(rest->data, rest->len);

	assert_true(n < rest->len);
	assert_string_equal((const char *)rest->data, want);
	*rest = slice((const char *)rest->data + n + 1, rest->len - n - 1);
}

struct use {
	uint32_t run, version;
};

static int use_body(struct kv_txn *txn, void *arg)
{
	const struct edge edge = { .flags = EDGE_OBSERVED, .sequence = 1 };
	const struct use *use = arg;

	return edge_add_use(txn, use->run, use->version, &edge);
}

static void a_shell_reads_back_what_was_run(void **state)
{
	AUTO(buf_release) struct buf metadata = BUF_INIT, got = BUF_INIT;
	AUTO(launch_release) struct launch l = { 0 };
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), id = make_run(place, "r");
	autofree char *directory = xasprintf("%s/it's\n\"\xff\" $HOME", place->directory);
	autofree char *out = xasprintf("%s/out", place->directory), *script = NULL, *command = NULL;
	struct use use = { .run = id };
	struct slice rest;

	put_file(place, maker, "data", "x");
	put_file(place, maker, "more", "y");
	assert_int_equal(finish(place, maker), 0);
	assert_int_equal(run_declare_input(place->store, id, slice_str("train"),
					   slice_str("data:v0"), &root_cred), 0);
	assert_int_equal(run_declare_input(place->store, id, slice_str("one"),
					   slice_str("artifacts/data/v0/files/data"), &root_cred),
			 0);
	use.version = version_of(place, "more", 0).id;
	assert_int_equal(kv_update(place->store->kv, KV_DURABLE, use_body, &use), 0);
	assert_int_equal(run_set_job_type(place->store, id, slice_str("train")), 0);
	assert_int_equal(mkdir(directory, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++)
		launch_add_argument(&l, nasty[i]);
	launch_add_variable(&l, "ODD", "it's\n$odd\xff");
	launch_add_variable(&l, "NOT A NAME; exit 3", "x");
	launch_add_variable(&l, "9X", "x");
	l.directory = xstrdup(directory);
	l.commit = xstrdup("abc\nexit 3\n");
	l.remote = xstrdup("x\rexit 3");
	l.dirty = LAUNCH_DIRTY;
	launch_encode(&l, &metadata);
	assert_int_equal(run_text_write(place->store, id, RUN_METADATA, buf_slice(&metadata)), 0);
	script = script_of(place, id);
	make_stub(place);
	command = xasprintf("sh -n %s && "
			    "STUB_OUT=%s PATH=%s:$PATH LINEAGEFS_MOUNT='/m t' sh %s",
			    script, out, place->directory, script);
	assert_int_equal(system(command), 0);
	read_at(out, &got);
	rest = buf_slice(&got);
	expect_argument(&rest, directory);
	expect_argument(&rest, "it's\n$odd\xff");
	expect_argument(&rest, "run");
	expect_argument(&rest, "-m");
	expect_argument(&rest, "/m t");
	expect_argument(&rest, "--job-type");
	expect_argument(&rest, "train");
	expect_argument(&rest, "--input");
	expect_argument(&rest, "one=artifacts/data/v0/files/data");
	expect_argument(&rest, "--input");
	expect_argument(&rest, "train=data:v0");
	expect_argument(&rest, "--input");
	expect_argument(&rest, "more:v0");
	expect_argument(&rest, "--");
	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++)
		expect_argument(&rest, nasty[i]);
	assert_int_equal(rest.len, 0);
}

/* Two aliases of one version, and one of a version that was looked at and not used. */
static void every_alias_is_pinned(void **state)
{
	AUTO(buf_release) struct buf metadata = BUF_INIT, got = BUF_INIT;
	AUTO(launch_release) struct launch l = { 0 };
	struct place *place = *state;
	uint32_t maker = make_run(place, "maker"), id = make_run(place, "r");
	autofree char *script = NULL;
	struct version v, seen;

	put_file(place, maker, "data", "x");
	put_file(place, maker, "more", "y");
	assert_int_equal(finish(place, maker), 0);
	v = version_of(place, "data", 0);
	assert_int_equal(alias_set(place->store, v.collection, slice_str("prod"), v.id, true,
				   &root_cred), 0);
	assert_int_equal(run_declare_input(place->store, id, slice_str("in"),
					   slice_str("data:latest"), &root_cred), 0);
	assert_int_equal(view_resolve(place->store, id, v.collection, slice_str("prod"), &seen), 0);
	v = version_of(place, "more", 0);
	assert_int_equal(view_resolve(place->store, id, v.collection, slice_str("latest"), &seen),
			 0);
	launch_add_argument(&l, "true");
	launch_encode(&l, &metadata);
	assert_int_equal(run_text_write(place->store, id, RUN_METADATA, buf_slice(&metadata)), 0);
	script = script_of(place, id);
	read_at(script, &got);
	assert_non_null(strstr(buf_str(&got), "--input in=data:latest:v0 "));
	assert_non_null(strstr(buf_str(&got), "--input data:prod:v0 "));
	assert_null(strstr(buf_str(&got), "more"));
}

static void without_a_command_it_says_so(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	autofree char *script = script_of(place, id), *command = NULL;
	AUTO(buf_release) struct buf got = BUF_INIT;
	autofree char *out = xasprintf("%s/out", place->directory);
	int status;

	command = xasprintf("sh %s 2>%s", script, out);
	status = system(command);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	read_at(out, &got);
	assert_non_null(strstr(buf_str(&got), "run r is not known"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_in_json),
		cmocka_unit_test(nonsense_is_unknown),
		ON(real, a_shell_reads_back_what_was_run),
		ON(memory, a_shell_reads_back_what_was_run),
		ON(memory, every_alias_is_pinned),
		ON(real, every_alias_is_pinned),
		ON(memory, without_a_command_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
