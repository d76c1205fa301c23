/* The contract of core/reference.h: links that lead out of a draft. */
#include "core/reference.h"

#include <sys/fsuid.h>

#include "core/as_user.h"
#include "core/document.h"
#include "core/document_reference.h"
#include "core/edge.h"
#include "store_place.h"

/* ---- by its text alone ---- */

static void the_text_of_a_link_says_where_it_leads(void **state)
{
	static const struct {
		const char *mountpoint, *link, *target;
		enum reference_kind kind;
		const char *place;
	} cases[] = {
		{ "/m", "d/l", "a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "./a/../b", REFERENCE_NONE, "" },
		{ "/m", "d/s/l", "../a", REFERENCE_NONE, "" },
		{ "/m", "d/s/l", "..", REFERENCE_NONE, "" },
		{ "/m", "d/l", "../d/a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "../e/a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "../dd/a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "/m/runs/r/outputs/d/a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "../../inputs/train/a", REFERENCE_NONE, "" },
		{ "/m", "d/l", "/m", REFERENCE_NONE, "" },
		{ "/m", "d/l", "/m/artifacts", REFERENCE_NONE, "" },
		{ "/m", "d/l", "/m/artifacts/x", REFERENCE_NONE, "" },
		{ "/m", "d/l", "/data/big.bin", REFERENCE_FILE, "/data/big.bin" },
		{ "/m", "d/l", "/data/../m2/./x", REFERENCE_FILE, "/data/../m2/./x" },
		{ "/m", "d/l", "/mm/artifacts/x/v0", REFERENCE_FILE, "/mm/artifacts/x/v0" },
		{ "/m", "d/l", "../../../../../data/x", REFERENCE_FILE, "/data/x" },
		{ "/m", "d/l", "../../../../../../../../x", REFERENCE_FILE, "/x" },
		{ "/m", "d/l", "../../../../artifacts/x/v0/files/a", REFERENCE_ARTIFACT,
		  "artifacts/x/v0/files/a" },
		{ "/m", "d/s/l", "../../../../../artifacts/x/latest", REFERENCE_ARTIFACT,
		  "artifacts/x/latest" },
		{ "/m", "d/l", "/m//artifacts/./x/prod/files", REFERENCE_ARTIFACT,
		  "artifacts/x/prod/files" },
		{ "/m", "d/l", "/m/view/r/x/v3/files/a", REFERENCE_ARTIFACT,
		  "artifacts/x/v3/files/a" },
		{ "", "d/l", "../../../../artifacts/x/v0", REFERENCE_ARTIFACT, "artifacts/x/v0" },
		{ "", "d/l", "/artifacts/x/v0", REFERENCE_FILE, "/artifacts/x/v0" },
		{ "/m", "d/l", "s3://bucket/key", REFERENCE_URL, "" },
		{ "/m", "d/l", "https://example.org/?a=b#c", REFERENCE_URL, "" },
		{ "/m", "d/l", "git+ssh://host/x", REFERENCE_URL, "" },
		{ "/m", "d/l", "://x", REFERENCE_NONE, "" },
		{ "/m", "d/l", "3s://x", REFERENCE_NONE, "" },
		{ "/m", "d/l", "mailto:x", REFERENCE_NONE, "" },
		{ "/m", "d/l", "", REFERENCE_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(buf_release) struct buf place = BUF_INIT;
		enum reference_kind kind =
			reference_classify(cases[i].mountpoint, slice_str(cases[i].link),
					   slice_str(cases[i].target), &place);

		if (kind != cases[i].kind || strcmp(buf_str(&place), cases[i].place) != 0)
			fail_msg("%s: %d, %s", cases[i].target, kind, buf_str(&place));
	}
}

/* ---- logged ---- */

static void put_link(struct place *place, uint32_t run, const char *name, const char *target)
{
	autofree char *path = draft_path(place, run, name);

	unlink(path);
	assert_int_equal(symlink(target, path), 0);
	touch(place, run, "d", 0);
}

static char *outside(struct place *place, const char *name)
{
	return xasprintf("%s/store/%s", place->directory, name);
}

static struct reference_row row_of(struct place *place, uint32_t version, const char *path)
{
	struct reference_row row = { 0 };
	uint32_t slot = 0;

	while (reference_next(place->store, version, &slot, &row) > 0) {
		if (!strcmp(row.path, path))
			return row;
		reference_row_release(&row);
	}
	fail_msg("no reference %s", path);
	return row;
}

static unsigned count_rows(struct place *place)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	unsigned n = 0;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('O')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0)
		n++;
	return n;
}

static void files_are_known_by_what_they_were(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *file = outside(place, "file"), *large = outside(place, "large");
	autofree char *pipe = outside(place, "pipe"), *gone = outside(place, "gone");
	AUTO(reference_row_release) struct reference_row a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	AUTO(reference_row_release) struct reference_row e = { 0 };
	AUTO(json_references_release) struct json_references read = { 0 };
	AUTO(buf_release) struct buf info = BUF_INIT;
	struct digest digest;
	struct version v;

	digest_of(slice_str("text"), &digest);
	write_at(file, "text", 4);
	write_at(large, "x", 1);
	assert_int_equal(truncate(large, (1 << 20) + 1), 0);
	assert_int_equal(mkfifo(pipe, 0666), 0);
	put_directory(place, run, "d");
	put_directory(place, run, "d/s");
	put_link(place, run, "d/s/file", file);
	put_link(place, run, "d/large", large);
	put_link(place, run, "d/pipe", pipe);
	put_link(place, run, "d/gone", gone);
	put_link(place, run, "d/self", "/proc/self/environ");
	put_link(place, run, "d/url", "s3://bucket/key");
	put_link(place, run, "d/own", "s/file");
	put_link(place, run, "d/odd\xff", "/nothing/\xfe");
	assert_int_equal(log_draft(place, run, "d"), 0);
	v = version_of(place, "d", 0);
	a = row_of(place, v.id, "s/file");
	assert_true(a.kind == REFERENCE_FILE && a.known && a.hashed && a.size == 4);
	assert_memory_equal(&a.digest, &digest, sizeof(digest));
	assert_string_equal(a.target, file);
	assert_string_equal(a.location, "");
	b = row_of(place, v.id, "large");
	assert_true(b.known && !b.hashed && b.size == (1 << 20) + 1);
	c = row_of(place, v.id, "pipe");
	d = row_of(place, v.id, "gone");
	e = row_of(place, v.id, "self");
	assert_true(!c.known && !d.known && !e.known);
	assert_int_equal(count_rows(place), 7);
	assert_int_equal(document_version(place->store, &v, &info), 0);
	assert_int_equal(document_references(buf_slice(&info), &read), 0);
	assert_int_equal(read.count, 7);
	for (size_t i = 0; i < read.count; i++)
		if (read.list[i].hashed)
			assert_string_equal(read.list[i].location, file);
		else if (read.list[i].path[0] == 'o')
			assert_string_equal(read.list[i].target, "/nothing/\xfe");
	expect_clean(place);
}

static void only_what_is_published_stays(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *file = outside(place, "file"), *pipe = NULL;

	write_at(file, "text", 4);
	put_directory(place, run, "d");
	for (unsigned i = 0; i < 600; i++) {
		autofree char *name = xasprintf("d/%u", i);

		put_link(place, run, name, file);
	}
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(count_rows(place), 600);
	/* Equal: those of the first logging stay. */
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_log(place, run, "unchanged: d:v0");
	assert_int_equal(count_rows(place), 600);
	/* A log that fails. */
	pipe = draft_path(place, run, "d/zzz");
	assert_int_equal(mkfifo(pipe, 0600), 0);
	touch(place, run, "d", 0);
	assert_int_equal(log_draft(place, run, "d"), -EINVAL);
	assert_int_equal(count_rows(place), 600);
	assert_int_equal(unlink(pipe), 0);
	put_link(place, run, "d/600", "https://example.org/");
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(count_rows(place), 1201);
	expect_clean(place);
}

/* A crash leaves rows of a version that there will never be. */
static void recovery_drops_what_has_no_version(void **state)
{
	struct place *place = *state;
	struct references r = { .store = place->store, .cred = &root_cred, .version = 77,
				.run = make_run(place, "r") };
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(references_add(&r, slice_str("d/x"), slice_str("x"),
						slice_str("s3://b/k"), h), 0);
	assert_int_equal(references_flush(&r), 0);
	assert_int_equal(count_rows(place), 300);
	free(r.rows);
	reopen(place);
	assert_int_equal(count_rows(place), 0);
	expect_clean(place);
}

static void a_version_is_an_input(void **state)
{
	struct place *place = *state;
	uint32_t before = make_run(place, "before"), run;
	AUTO(reference_row_release) struct reference_row row = { 0 }, own = { 0 }, none = { 0 };
	struct version data, v;
	struct edge edge;

	put_file(place, before, "data", "data");
	assert_int_equal(log_draft(place, before, "data"), 0);
	data = version_of(place, "data", 0);
	place->store->mountpoint = "/m";
	run = make_run(place, "r");
	put_file(place, run, "mine", "mine");
	assert_int_equal(log_draft(place, run, "mine"), 0);
	put_directory(place, run, "d");
	put_link(place, run, "d/in", "../../../../artifacts/data/latest/files/data");
	put_link(place, run, "d/mine", "/m/artifacts/mine/v0");
	put_link(place, run, "d/none", "/m/artifacts/none/v7");
	assert_int_equal(log_draft(place, run, "d"), 0);
	v = version_of(place, "d", 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run, data.id, &edge), 0);
	assert_true(edge.sequence < v.sequence);
	row = row_of(place, v.id, "in");
	own = row_of(place, v.id, "mine");
	none = row_of(place, v.id, "none");
	assert_true(row.kind == REFERENCE_ARTIFACT && row.version == data.id);
	assert_int_equal(own.version, version_of(place, "mine", 0).id);
	assert_int_equal(none.version, 0);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run, own.version, &edge),
			 -ENOENT);
	expect_clean(place);
}

/* ---- with whose rights ---- */

static void others_learn_nothing_of_what_they_cannot_read(void **state)
{
	struct place *place = *state;
	const struct cred other = { .uid = 65534, .gid = 65534 };
	autofree char *secret = xasprintf("%s.secret", place->directory);
	autofree char *open_to_all = xasprintf("%s.open", place->directory);
	AUTO(reference_row_release) struct reference_row row = { 0 }, seen = { 0 };
	uint32_t run;
	struct version v;

	if (geteuid() != 0)
		skip();
	run = make_run_of(place, "r", 65534);
	write_at(secret, "secret", 6);
	write_at(open_to_all, "seen", 4);
	assert_int_equal(chmod(secret, 0600), 0);
	put_directory(place, run, "d");
	put_link(place, run, "d/secret", secret);
	put_link(place, run, "d/open", open_to_all);
	assert_int_equal(log_as(place, run, "d", "", &other), 0);
	v = version_of(place, "d", 0);
	row = row_of(place, v.id, "secret");
	seen = row_of(place, v.id, "open");
	assert_false(row.known || row.hashed);
	assert_true(seen.known && seen.hashed);
	assert_int_equal(unlink(secret), 0);
	assert_int_equal(unlink(open_to_all), 0);
	expect_clean(place);
}

static void a_thread_is_what_it_was_afterwards(void **state)
{
	const gid_t groups[] = { 12, 13 };
	char closed[] = "/tmp/test_reference.XXXXXX";
	autofree char *inside = NULL;
	struct as_user as;
	gid_t now[64];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(closed));
	inside = xasprintf("%s/inside", closed);
	assert_int_equal(mkdir(inside, 0755), 0);
	assert_int_equal(as_user_begin(65534, 11, groups, 2, &as), 0);
	assert_int_equal(getgroups(64, now), 2);
	assert_int_equal(setfsuid((uid_t)-1), 65534);
	assert_int_equal(setfsgid((gid_t)-1), 11);
	assert_int_equal(stat(inside, &st), -1);
	as_user_end(&as);
	assert_int_equal(setfsuid((uid_t)-1), 0);
	assert_int_equal(setfsgid((gid_t)-1), getegid());
	assert_int_equal(stat(inside, &st), 0);
	assert_int_equal(rmdir(inside), 0);
	assert_int_equal(rmdir(closed), 0);
	/* Root may all that the daemon may. */
	assert_int_equal(as_user_begin(0, 0, NULL, 0, &as), 0);
	assert_false(as.active);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_of_a_link_says_where_it_leads),
		EVERYWHERE(files_are_known_by_what_they_were),
		EVERYWHERE(only_what_is_published_stays),
		EVERYWHERE(recovery_drops_what_has_no_version),
		EVERYWHERE(a_version_is_an_input),
		ON(memory, others_learn_nothing_of_what_they_cannot_read),
		cmocka_unit_test(a_thread_is_what_it_was_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
