/*
 * core/check.c: damage made by hand, row by row and file by file, in every backend, is found by its
 * own name, and repaired, set aside or left; and repairs that fail anywhere can be done again.
 */
#include "store_place.h"

#include "core/check.h"
#include "core/edge.h"
#include "core/reap.h"
#include "core/run_note.h"
#include "core/version_note.h"

#define LARGE (BLOB_PACK_MAX + 1000)

static const struct check_options look = { 0 }, deep = { .deep = true },
				  repair = { .repair = true };

/* ---- a store that has all of it ---- */

static int peek_body(struct kv_txn *txn, void *arg)
{
	const struct edge e = { EDGE_OBSERVED, 1, 1, 1, 1 };
	const uint32_t *runs = arg;

	return edge_add_peek(txn, runs[0], runs[1], &e);
}

static void fill(struct place *place)
{
	const struct slice alias = slice_str("best"), tag = slice_str("good");
	struct publish_request request = {
		.cred = &root_cred, .name = slice_str("d"), .type = slice_str("dataset"),
		.aliases = &alias, .tags = &tag, .alias_count = 1, .tag_count = 1,
	};
	uint32_t runs[2] = { make_run(place, "first"), make_run(place, "second") };

	put_directory(place, runs[0], "d");
	put_directory(place, runs[0], "d/sub");
	put_file(place, runs[0], "d/a", "some bytes");
	put_file(place, runs[0], "d/sub/b", "other bytes");
	put_large(place, runs[0], "d/sub/large", 1, LARGE);
	request.run = runs[0];
	assert_int_equal(publish(place->store, &request), 0);
	assert_int_equal(run_set_job_type(place->store, runs[0], slice_str("prep")), 0);
	assert_int_equal(run_tag_add(place->store, runs[0], slice_str("nightly")), 0);
	assert_int_equal(run_declare_input(place->store, runs[1], slice_str("in"),
					   slice_str("d:v0"), &root_cred), 0);
	put_large(place, runs[1], "m", 2, LARGE);
	assert_int_equal(log_draft(place, runs[1], "m"), 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, peek_body, runs), 0);
	expect_clean_now(place);
}

/* ---- checking ---- */

static int check_with(struct place *place, const struct check_options *options,
		      struct check_report *report)
{
	struct check_cursor cursor = { 0 };
	int more;

	check_report_release(report);
	do {
		more = check_step(place->store, options, 0, NULL, &cursor, report);
	} while (more > 0);
	return more;
}

static void expect_nothing(struct place *place, const struct check_options *options)
{
	AUTO(check_report_release) struct check_report report = { 0 };

	assert_int_equal(check_with(place, options, &report), 0);
	if (report.count)
		fail_msg("%s: %s", report.problems[0].name, report.problems[0].what);
}

/* Among what is found is this, with this outcome. */
static void expect_problem(struct place *place, const struct check_options *options,
			   const char *name, enum check_outcome outcome)
{
	AUTO(check_report_release) struct check_report report = { 0 };

	assert_int_equal(check_with(place, options, &report), 0);
	for (size_t i = 0; i < report.count; i++) {
		if (strcmp(report.problems[i].name, name) != 0)
			continue;
		assert_string_equal(check_outcome_name(report.problems[i].outcome),
				    check_outcome_name(outcome));
		return;
	}
	fail_msg("%s was not found, but %s", name,
		 report.count ? report.problems[0].what : "nothing");
}

/* ---- rows ---- */

struct row {
	enum kv_space space;
	struct buf key, value;
};

static void row_release(struct row *r)
{
	buf_release(&r->key);
	buf_release(&r->value);
}

static bool find_row(struct place *place, char kind, unsigned nth, struct row *ret)
{
	struct kv_txn *txn;
	struct kv_scan *scan;
	struct slice key, value;
	bool found = false;

	row_release(ret);
	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan), 0);
	while (!found && kv_next(scan, &key, &value) > 0)
		if (nth-- == 0) {
			buf_add_slice(&ret->key, key);
			buf_add_slice(&ret->value, value);
			found = true;
		}
	kv_done(scan);
	kv_abort(txn);
	return found;
}

static int put_body(struct kv_txn *txn, void *arg)
{
	const struct row *r = arg;

	return kv_put(txn, KV_META, buf_slice(&r->key), buf_slice(&r->value));
}

static int del_body(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, KV_META, buf_slice(&((const struct row *)arg)->key));
}

/*
 * Rows that are gone, by their kind and place among those, and what that is called. What is
 * repaired is there again; what is set aside is no longer found.
 */
static const struct gone {
	char kind;
	unsigned nth;
	const char *name;
	enum check_outcome outcome;
} gone[] = {
	{ 'c', 0, "artifact-name", CHECK_REPAIRED },
	{ 'Y', 0, "artifact-type", CHECK_REPAIRED },
	{ 'v', 0, "version-id", CHECK_REPAIRED },
	{ 'D', 0, "version-digest", CHECK_REPAIRED },
	{ 'm', 0, "alias-one-sided", CHECK_REPAIRED },
	{ 'A', 0, "alias-of-lost", CHECK_QUARANTINED },
	{ 'r', 0, "run-name", CHECK_REPAIRED },
	{ 'H', 0, "run-job-type", CHECK_REPAIRED },
	{ 'S', 0, "tag-one-sided", CHECK_REPAIRED },
	{ 'S', 1, "tag-one-sided", CHECK_REPAIRED },
	{ 'W', 0, "tag-slot", CHECK_REPAIRED },
	{ 's', 0, "tag-lost", CHECK_QUARANTINED },
	{ 'g', 0, "tag-lost", CHECK_QUARANTINED },
	{ 'e', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'u', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'o', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'p', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'f', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'a', 0, "edge-one-sided", CHECK_REPAIRED },
	{ 'd', 0, "edge-draft", CHECK_REPAIRED },
	{ 'K', 0, "last-use", CHECK_REPAIRED },
	{ 't', 0, "page-digest", CHECK_REPAIRED },
	{ 't', 1, "page-digest", CHECK_REPAIRED },
	{ 'P', 0, "page-ref", CHECK_REPAIRED },
	{ 'P', 1, "version-page-ref", CHECK_REPAIRED },
	{ 'b', 0, "blob-ref", CHECK_REPAIRED },
	{ 'b', 3, "blob-ref", CHECK_REPAIRED },
	{ 'B', 0, "blob-row-lost", CHECK_REPAIRED },
	{ 'B', 3, "blob-row-lost", CHECK_REPAIRED },
	{ 'i', 0, "edge-undeclared", CHECK_REPAIRED },
	{ 'T', 0, "page-lost", CHECK_FOUND },
	{ 'V', 0, "version-lost", CHECK_FOUND },
	{ 'C', 0, "artifact-name-lost", CHECK_FOUND },
	{ 'R', 0, "run-lost", CHECK_FOUND },
	{ 'L', 1, "audit-log-broken", CHECK_FOUND },
};

/* What it was the other side of is changed instead. */
static bool comes_back(const struct gone *g)
{
	return g->outcome == CHECK_REPAIRED && g->kind != 'i';
}

static void rows_that_are_gone(void **state)
{
	struct place *place = *state;

	fill(place);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		const struct gone *g = &gone[i];
		AUTO(row_release) struct row row = { 0 }, again = { 0 };

		if (g->kind == 'L')
			reopen(place); /* the journal takes its events */
		if (!find_row(place, g->kind, g->nth, &row))
			fail_msg("there is no row %u of kind %c", g->nth, g->kind);
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_body, &row), 0);
		expect_problem(place, &look, g->name, CHECK_FOUND);
		/* Looking changes nothing. */
		expect_problem(place, &repair, g->name, g->outcome);
		if (g->outcome == CHECK_FOUND) {
			AUTO(check_report_release) struct check_report report = { 0 };

			/* It comes back, as from a copy: nothing of its own was thrown away. */
			assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body,
						   &row), 0);
			check_with(place, &repair, &report);
			for (size_t j = 0; j < report.count; j++)
				assert_int_equal(report.problems[j].outcome, CHECK_REPAIRED);
			expect_nothing(place, &deep);
			continue;
		}
		expect_nothing(place, &deep);
		if (comes_back(g)) {
			assert_true(find_row(place, g->kind, g->nth, &again));
			assert_int_equal(slice_compare(buf_slice(&row.key), buf_slice(&again.key)),
					 0);
		}
	}
}

/* ---- what is set aside stays ---- */

static void rows_of_nothing(void **state)
{
	static const struct {
		struct key key;
		const char *name;
	} of_nothing[] = {
		{ .name = "edge-lost" }, { .name = "tag-lost" }, { .name = "digest-lost" },
		{ .name = "page-ref-lost" }, { .name = "blob-ref-lost" },
		{ .name = "run-row-lost" }, { .name = "version-row-lost" },
		{ .name = "page-digest-lost" },
	};
	const struct digest digest = { { 1, 2, 3 } };
	const struct edge e = { .sequence = 1 };
	AUTO(buf_release) struct buf edge = BUF_INIT, number = BUF_INIT;
	struct place *place = *state;

	encode_edge(&edge, &e);
	encode_u64(&number, 77);
	fill(place);
	for (size_t i = 0; i < ARRAY_SIZE(of_nothing); i++) {
		struct key keys[] = {
			key_use(1, 99), key_tagged(slice_str("x"), TAGGED_RUN, 1),
			key_equal(1, &digest), key_page_ref(1, REFERRER_PAGE, 99),
			key_blob_ref(&digest, 1), key_run_log(99), key_last_use(99),
			key_page_digest(&digest),
		};
		AUTO(row_release) struct row row = { 0 };
		AUTO(buf_release) struct buf aside = BUF_INIT;

		buf_add_slice(&row.key, key_slice(&keys[i]));
		buf_add_slice(&row.value, i == 0 ? buf_slice(&edge) : buf_slice(&number));
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
		expect_problem(place, &look, of_nothing[i].name, CHECK_FOUND);
		expect_problem(place, &repair, of_nothing[i].name, CHECK_QUARANTINED);
		expect_nothing(place, &look);
		/* It is there, under another key. */
		buf_add_char(&row.key, '\0');
		memmove(row.key.data + 1, row.key.data, row.key.len - 1);
		row.key.data[0] = 'Z';
		assert_int_equal(kv_get_one(place->store->kv, KV_META, buf_slice(&row.key), &aside),
				 0);
		assert_true(slice_equal(buf_slice(&aside), buf_slice(&row.value)));
	}
}

static void a_row_of_no_kind(void **state)
{
	AUTO(row_release) struct row row = { 0 };
	struct place *place = *state;

	fill(place);
	buf_add_str(&row.key, "\x7fkey");
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
	expect_problem(place, &look, "key-unknown", CHECK_FOUND);
	expect_problem(place, &repair, "key-unknown", CHECK_FOUND);
}

static void records_that_cannot_be_read(void **state)
{
	static const struct {
		char kind;
		const char *name;
	} records[] = {
		{ 'C', "artifact-unreadable" }, { 'V', "version-unreadable" },
		{ 'R', "run-unreadable" }, { 'e', "edge-unreadable" }, { 'T', "page-bytes" },
		{ 'B', "blob-unreadable" }, { 'i', "input-unreadable" },
		{ 'I', "counter-unreadable" },
		{ 'W', "note-unreadable" },
	};
	struct place *place = *state;

	fill(place);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		AUTO(row_release) struct row row = { 0 };
		size_t len;

		assert_true(find_row(place, records[i].kind, 0, &row));
		len = row.value.len;
		row.value.len = len / 2;
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
		expect_problem(place, &look, records[i].name, CHECK_FOUND);
		row.value.len = len;
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
		expect_nothing(place, &look);
	}
}

static int totals_body(struct kv_txn *txn, void *arg)
{
	return version_write(txn, arg);
}

static void totals_that_are_not_true(void **state)
{
	struct place *place = *state;
	struct version v, wrong;

	fill(place);
	v = wrong = version_of(place, "d", 0);
	wrong.bytes++;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, totals_body, &wrong), 0);
	expect_problem(place, &deep, "version-totals", CHECK_FOUND);
	wrong = v;
	wrong.nodes++;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, totals_body, &wrong), 0);
	expect_problem(place, &look, "version-nodes", CHECK_FOUND);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, totals_body, &v), 0);
	expect_nothing(place, &deep);
}

/* A page with one bit of a name or a digest turned over. */
static void a_page_of_other_bytes(void **state)
{
	AUTO(row_release) struct row row = { 0 };
	struct place *place = *state;

	fill(place);
	assert_true(find_row(place, 'T', 0, &row));
	row.value.data[row.value.len - 1] ^= 1;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
	expect_problem(place, &look, "page-bytes", CHECK_FOUND);
	expect_problem(place, &repair, "page-bytes", CHECK_FOUND);
}

/* All references to a page are gone, as when a version's record and row are: it is kept. */
static void a_page_that_nobody_refers_to(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { 0 }, record = { 0 }, id = { 0 };
	struct row version = { 0 };

	fill(place);
	assert_true(find_row(place, 'T', 2, &row));
	for (unsigned i = 0; find_row(place, 'P', i, &version);) {
		if (key_u64_at(buf_slice(&version.key), 1) == key_u64_at(buf_slice(&row.key), 1))
			assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_body,
						   &version), 0);
		else
			i++;
	}
	row_release(&version);
	expect_problem(place, &look, "page-unreferenced", CHECK_FOUND);
	expect_problem(place, &repair, "version-page-ref", CHECK_REPAIRED);
	expect_nothing(place, &look);
	/* Now without the record that would tell. */
	assert_true(find_row(place, 'V', 0, &record));
	assert_true(find_row(place, 'v', 0, &id));
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_body, &record), 0);
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_body, &id), 0);
	expect_problem(place, &repair, "page-unreferenced", CHECK_REPAIRED);
	assert_int_equal(reap_run(place->store), 0);
	assert_true(kv_get_one(place->store->kv, KV_META, buf_slice(&row.key), &row.value) == 0);
}

/* ---- bytes and files ---- */

static void bytes_of_nothing(void **state)
{
	struct place *place = *state;
	const char *bytes = "stray bytes";
	struct blob_item item = { .id.generation = 12345, .bytes = slice_str(bytes) };
	AUTO(buf_release) struct buf path = BUF_INIT;
	char hex[DIGEST_HEX_SIZE + 1];
	struct stat st;

	fill(place);
	digest_of(item.bytes, &item.id.digest);
	assert_int_equal(blob_put_packed(place->store->blobs, &item, 1), 0);
	expect_problem(place, &look, "blob-stray", CHECK_FOUND);
	expect_problem(place, &repair, "blob-stray", CHECK_QUARANTINED);
	expect_nothing(place, &look);
	assert_int_equal(blob_has(place->store->blobs, &item.id, strlen(bytes)), 0);
	digest_to_hex(&item.id.digest, hex);
	buf_printf(&path, "%s/store/quarantine/%s.3039", place->directory, hex);
	assert_int_equal(stat(buf_str(&path), &st), 0);
	assert_int_equal(st.st_size, strlen(bytes));
}

static void bytes_that_nobody_refers_to(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { 0 };
	struct blob_item item = { .id.generation = 777, .bytes = slice_str("unreferenced") };

	fill(place);
	digest_of(item.bytes, &item.id.digest);
	assert_int_equal(blob_put_packed(place->store->blobs, &item, 1), 0);
	buf_add_slice(&row.key, KEY(blob(&item.id.digest)));
	encode_blob_row(&row.value, &(struct blob_row){ item.bytes.len, 777 });
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
	expect_problem(place, &look, "blob-unreferenced", CHECK_FOUND);
	expect_problem(place, &repair, "blob-unreferenced", CHECK_QUARANTINED);
	expect_nothing(place, &look);
}

/* The file of the only large blob of artifact d; owned. */
static char *blob_file(struct place *place)
{
	struct version v = version_of(place, "d", 0);
	AUTO(buf_release) struct buf b = BUF_INIT;
	char hex[DIGEST_HEX_SIZE + 1];
	struct tree_entry e;
	struct blob_row row;

	assert_int_equal(tree_find_path(place->store->kv, v.page, slice_str("sub/large"), &e), 0);
	assert_int_equal(kv_get_one(place->store->kv, KV_META, KEY(blob(&e.digest)), &b), 0);
	assert_int_equal(decode_blob_row(buf_slice(&b), &row), 0);
	digest_to_hex(&e.digest, hex);
	return xasprintf("%s/store/blobs/%.2s/%s.%llx", place->directory, hex, hex + 2,
			 (unsigned long long)row.generation);
}

static void flip(const char *path, off_t at)
{
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void a_file_of_other_bytes(void **state)
{
	struct place *place = *state;
	autofree char *path = NULL;

	fill(place);
	path = blob_file(place);
	expect_nothing(place, &deep);
	flip(path, LARGE / 2);
	expect_nothing(place, &look);
	expect_problem(place, &deep, "blob-bytes", CHECK_FOUND);
	flip(path, LARGE / 2);
	expect_nothing(place, &deep);
	assert_int_equal(truncate(path, LARGE - 1), 0);
	expect_problem(place, &look, "blob-missing", CHECK_FOUND);
	assert_int_equal(unlink(path), 0);
	expect_problem(place, &look, "blob-missing", CHECK_FOUND);
}

static void a_file_without_its_mark(void **state)
{
	struct place *place = *state;
	autofree char *path = NULL;

	fill(place);
	path = blob_file(place);
	assert_int_equal(removexattr(path, DRAFT_SHARED_XATTR), 0);
	expect_problem(place, &look, "blob-unmarked", CHECK_FOUND);
	expect_problem(place, &repair, "blob-unmarked", CHECK_REPAIRED);
	expect_nothing(place, &look);
}

static void files_of_nothing(void **state)
{
	static const char *const names[] = { "blobs/junk", "blobs/ab/junk", "drafts/junk",
					     "consoles/junk", "lineagefs-store.new" };
	struct place *place = *state;

	fill(place);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *path = xasprintf("%s/store/%s", place->directory, names[i]);
		autofree char *parent = xstrdup(path);

		*strrchr(parent, '/') = '\0';
		mkdir(parent, 0700);
		write_at(path, "junk", 4);
		expect_problem(place, &look, "file-stray", CHECK_FOUND);
		expect_problem(place, &repair, "file-stray", CHECK_QUARANTINED);
		expect_nothing(place, &look);
		assert_int_equal(access(path, F_OK), -1);
	}
}

/* A log that a crash ended, in a store whose recovery has not seen it. */
static void an_intent_of_nobody(void **state)
{
	AUTO(row_release) struct row row = { 0 };
	struct place *place = *state;

	fill(place);
	reopen(place);
	buf_add_slice(&row.key, KEY(intent(1)));
	encode_intent(&row.value, &(struct intent){ .run = 1 });
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, &row), 0);
	expect_problem(place, &look, "intent-left", CHECK_FOUND);
	expect_problem(place, &repair, "intent-left", CHECK_REPAIRED);
	expect_nothing(place, &look);
}

/* ---- beside others ---- */

static void it_stops_when_told(void **state)
{
	AUTO(check_report_release) struct check_report report = { 0 };
	struct check_cursor cursor = { 0 };
	struct place *place = *state;
	const bool stop = true;

	fill(place);
	assert_int_equal(check_step(place->store, &look, 1000, &stop, &cursor, &report), -EINTR);
}

struct logger {
	struct place *place;
	atomic_bool stop;
	unsigned logged;
};

static void *log_on(void *arg)
{
	struct logger *l = arg;

	for (unsigned n = 0; !atomic_load(&l->stop); n++) {
		autofree char *name = xasprintf("busy-%u", n);
		uint32_t run = make_run(l->place, name);

		put_directory(l->place, run, "x");
		put_file(l->place, run, "x/n", name);
		put_large(l->place, run, "x/large", n, LARGE);
		assert_int_equal(log_draft(l->place, run, "x"), 0);
		put_large(l->place, run, "x/more", n + 1000, LARGE);
		assert_int_equal(finish(l->place, run), 0);
		l->logged++;
	}
	return NULL;
}

/* While others log there is nothing wrong at any moment. */
static void beside_logging(void **state)
{
	struct logger l = { .place = *state };
	pthread_t thread;

	fill(l.place);
	assert_int_equal(pthread_create(&thread, NULL, log_on, &l), 0);
	for (unsigned i = 0; i < 40 || l.logged < 20; i++)
		expect_nothing(l.place, i % 2 ? &deep : &look);
	atomic_store(&l.stop, true);
	pthread_join(thread, NULL);
	expect_nothing(l.place, &deep);
}

/* ---- faults ---- */

/* Every repair, cut short by every call: what is done again ends well. */
static void repairs_that_fail(void **state)
{
	struct place *place = *state;

	fill(place);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		uint64_t calls = 0, n = 1;

		if (!comes_back(&gone[i]))
			continue;
		for (; calls == 0 || n <= calls; n += 1 + calls / 40) {
			AUTO(check_report_release) struct check_report report = { 0 };
			AUTO(row_release) struct row row = { 0 };
			uint64_t before = kv_disk_calls(place->kv_disk);

			assert_true(find_row(place, gone[i].kind, gone[i].nth, &row));
			assert_int_equal(kv_update(place->store->kv, KV_ORDERED, del_body, &row),
					 0);
			kv_disk_fail(place->kv_disk, calls ? n : 0, -EIO, n % 2);
			check_with(place, &repair, &report);
			kv_disk_fail(place->kv_disk, 0, 0, false);
			if (calls == 0)
				calls = kv_disk_calls(place->kv_disk) - before;
			check_with(place, &repair, &report);
			expect_nothing(place, &deep);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(rows_that_are_gone),
		EVERYWHERE(rows_of_nothing),
		EVERYWHERE(a_row_of_no_kind),
		EVERYWHERE(records_that_cannot_be_read),
		EVERYWHERE(totals_that_are_not_true),
		EVERYWHERE(a_page_of_other_bytes),
		EVERYWHERE(a_page_that_nobody_refers_to),
		EVERYWHERE(bytes_of_nothing),
		EVERYWHERE(bytes_that_nobody_refers_to),
		ON(mixed, a_file_of_other_bytes),
		ON(real, a_file_of_other_bytes),
		ON(mixed, a_file_without_its_mark),
		ON(real, a_file_without_its_mark),
		ON(real, files_of_nothing),
		EVERYWHERE(an_intent_of_nobody),
		EVERYWHERE(it_stops_when_told),
		EVERYWHERE(beside_logging),
		ON(memory, repairs_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
