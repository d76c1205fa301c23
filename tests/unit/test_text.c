/*
 * What people say of collections, versions and runs: the limits of the texts, the rows that find
 * things by it, and an event for every change and none where nothing changed. core/text.h,
 * core/version_note.h, core/run_note.h, core/artifact.h.
 */
#include "store_place.h"

#include "core/run_note.h"
#include "core/text.h"
#include "core/version_note.h"

static bool has_row(struct place *place, struct slice key)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	return kv_get_one(place->store->kv, KV_META, key, &b) == 0;
}

/* So many events were put since the last call; only where no body runs twice. */
static uint64_t events(struct place *place)
{
	static uint64_t before;
	uint64_t now, n;

	assert_int_equal(store_new_ids(place->store, ID_EVENT, 1, &now), 0);
	n = now - before - 1;
	before = now;
	return n;
}

/* The newest event, as "kind run object name=value ...". */
static void last_event(struct place *place, struct buf *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0) {
		struct event_record r;

		assert_int_equal(event_decode(value, &r), 0);
		buf_reset(ret);
		buf_printf(ret, "%s %s %s", event_kind_name(r.kind), r.run, r.object);
		for (size_t i = 0; i < r.detail_count; i++)
			buf_printf(ret, " %s=%.19s", r.details[2 * i], r.details[2 * i + 1]);
		event_record_release(&r);
	}
}

static void expect_event(struct place *place, const char *text)
{
	AUTO(buf_release) struct buf last = BUF_INIT;

	last_event(place, &last);
	assert_string_equal(buf_str(&last), text);
}

static void collections_are_found_by_type(void **state)
{
	struct place *place = *state;
	struct store *store = place->store;
	AUTO(collection_release) struct collection c = { 0 };
	uint32_t id, run = make_run(place, "r");

	assert_int_equal(collection_create(store, slice_str("a"), 0, 0, 0755, &id), 0);
	assert_int_equal(collection_set_text(store, id, COLLECTION_TYPE, slice_str("x\n")), 0);
	assert_true(has_row(place, KEY(of_type(slice_str("x"), id))));
	assert_int_equal(collection_set_text(store, id, COLLECTION_TYPE, slice_str("y")), 0);
	assert_false(has_row(place, KEY(of_type(slice_str("x"), id))));
	assert_true(has_row(place, KEY(of_type(slice_str("y"), id))));
	assert_int_equal(collection_remove(store, slice_str("a")), 0);
	assert_false(has_row(place, KEY(of_type(slice_str("y"), id))));
	put_file(place, run, "m", "1");
	assert_int_equal(log_as(place, run, "m", "model", &root_cred), 0);
	assert_int_equal(collection_find(store, slice_str("m"), &c), 0);
	assert_true(has_row(place, KEY(of_type(slice_str("model"), c.id))));
	expect_clean(place);
	assert_int_equal(collection_set_text(place->store, c.id, COLLECTION_TYPE, slice("", 0)), 0);
	assert_false(has_row(place, KEY(of_type(slice_str("model"), c.id))));
	expect_clean(place);
}

static void runs_are_found_by_job_type_and_tag(void **state)
{
	struct place *place = *state;
	uint32_t id = make_run(place, "r");
	struct slice train = slice_str("train"), tune = slice_str("tune"), t = slice_str("t");

	assert_int_equal(run_set_job_type(place->store, id, train), 0);
	assert_int_equal(run_set_job_type(place->store, id, tune), 0);
	assert_false(has_row(place, KEY(of_job(train, id))));
	assert_true(has_row(place, KEY(of_job(tune, id))));
	assert_int_equal(run_tag_add(place->store, id, t), 0);
	assert_true(has_row(place, KEY(tagged(t, TAGGED_RUN, id))));
	expect_clean(place);
	assert_int_equal(run_tag_remove(place->store, id, t), 0);
	assert_false(has_row(place, KEY(tagged(t, TAGGED_RUN, id))));
	assert_int_equal(run_tag_add(place->store, id, t), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_NOTES, slice_str("n")), 0);
	assert_int_equal(run_remove(place->store, slice_str("r")), 0);
	assert_false(has_row(place, KEY(tagged(t, TAGGED_RUN, id))));
	assert_false(has_row(place, KEY(of_job(tune, id))));
	expect_clean(place);
}

static void versions_have_texts(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf b = BUF_INIT;
	autofree char *large = xcalloc(1, TEXT_JSON_MAX + 1);
	uint32_t run = make_run(place, "r");
	struct version v;

	put_file(place, run, "m", "1");
	assert_int_equal(log_draft(place, run, "m"), 0);
	v = version_of(place, "m", 0);
	assert_int_equal(version_text_read(place->store, v.id, VERSION_DESCRIPTION, &b), 0);
	assert_int_equal(version_text_read(place->store, v.id, VERSION_METADATA, &b), 0);
	assert_string_equal(buf_str(&b), "{}\n");
	buf_reset(&b);
	memset(large, 'x', TEXT_JSON_MAX + 1);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_METADATA,
					    slice(large, TEXT_JSON_MAX)), 0);
	assert_int_equal(version_text_read(place->store, v.id, VERSION_METADATA, &b), 0);
	assert_int_equal(b.len, TEXT_JSON_MAX);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_METADATA,
					    slice(large, TEXT_JSON_MAX + 1)), -EFBIG);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_METADATA,
					    slice_str("{}\n")), 0);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_DESCRIPTION,
					    slice(large, TEXT_NOTE_MAX + 1)), -EFBIG);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_DESCRIPTION,
					    slice("a\0b", 3)), -EINVAL);
	assert_int_equal(version_text_write(place->store, v.id, VERSION_DESCRIPTION,
					    slice_str("two\nlines\n\n")), 0);
	assert_int_equal(version_tag_add(place->store, v.id, slice_str("good")), 0);
	expect_clean(place);
	buf_reset(&b);
	assert_int_equal(version_text_read(place->store, v.id, VERSION_DESCRIPTION, &b), 0);
	assert_int_equal(version_text_read(place->store, v.id, VERSION_METADATA, &b), 0);
	assert_string_equal(buf_str(&b), "two\nlines\n{}\n");
	assert_int_equal(version_tag_remove(place->store, v.id, slice_str("good")), 0);
	assert_int_equal(version_text_write(place->store, 77, VERSION_METADATA, slice_str("{}")),
			 -ENOENT);
	assert_int_equal(version_text_write(place->store, 77, VERSION_DESCRIPTION, slice_str("a")),
			 -ENOENT);
	expect_clean(place);
}

static void runs_have_notes_after_the_end(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf b = BUF_INIT;
	autofree char *large = xcalloc(1, TEXT_JSON_MAX + 1);
	uint32_t id = make_run(place, "r");

	assert_int_equal(finish(place, id), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_CONFIG, slice_str("{}")), -EROFS);
	assert_int_equal(run_text_write(place->store, id, RUN_NOTES, slice_str("late")), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_SUMMARY, slice_str("{}")), 0);
	assert_int_equal(run_text_write(place->store, id, RUN_SUMMARY,
					slice(large, TEXT_JSON_MAX + 1)), -EFBIG);
	assert_int_equal(run_text_write(place->store, id, RUN_NOTES,
					slice(large, TEXT_NOTE_MAX + 1)), -EFBIG);
	expect_clean(place);
	assert_int_equal(run_text_read(place->store, id, RUN_NOTES, &b), 0);
	assert_int_equal(run_text_read(place->store, id, RUN_SUMMARY, &b), 0);
	assert_string_equal(buf_str(&b), "late{}");
}

/* As sha256sum(1) would say of the files: "{}\n", "a", "a\n", "b", "b\n". */
#define NONE "sha256:ca3d163bab05"
#define A "sha256:ca978112ca1b"
#define A_LINE "sha256:87428fc52280"
#define B "sha256:3e23e8160039"
#define B_LINE "sha256:0263829989b6"

static void changes_have_events_and_nothing_else_has(void **state)
{
	struct place *place = *state;
	struct store *store = place->store;
	AUTO(collection_release) struct collection c = { 0 };
	uint32_t run = make_run(place, "r");
	struct slice a = slice_str("a"), b = slice_str("b");
	struct version v;

	put_file(place, run, "m", "1");
	assert_int_equal(log_draft(place, run, "m"), 0);
	v = version_of(place, "m", 0);
	assert_int_equal(collection_find(store, slice_str("m"), &c), 0);
	events(place);

	assert_int_equal(collection_set_text(store, c.id, COLLECTION_TYPE, a), 0);
	expect_event(place, "text  m what=type to=a");
	assert_int_equal(collection_set_text(store, c.id, COLLECTION_DESCRIPTION, b), 0);
	expect_event(place, "text  m what=description to=" B_LINE);
	assert_int_equal(version_text_write(store, v.id, VERSION_DESCRIPTION, a), 0);
	expect_event(place, "text  m:v0 what=description to=" A_LINE);
	assert_int_equal(version_text_write(store, v.id, VERSION_METADATA, a), 0);
	expect_event(place, "text  m:v0 what=metadata.json from=" NONE " to=" A);
	assert_int_equal(version_text_write(store, v.id, VERSION_METADATA, b), 0);
	expect_event(place, "text  m:v0 what=metadata.json from=" A " to=" B);
	assert_int_equal(run_set_job_type(store, run, a), 0);
	expect_event(place, "text r  what=job_type to=a");
	assert_int_equal(run_text_write(store, run, RUN_NOTES, b), 0);
	expect_event(place, "text r  what=notes to=" B);
	assert_int_equal(run_tag_add(store, run, a), 0);
	expect_event(place, "tagged r  tag=a");
	assert_int_equal(run_tag_remove(store, run, a), 0);
	expect_event(place, "untagged r  tag=a");
	assert_int_equal(events(place), 9);

	assert_int_equal(collection_set_text(store, c.id, COLLECTION_TYPE, a), 0);
	assert_int_equal(collection_set_text(store, c.id, COLLECTION_DESCRIPTION, b), 0);
	assert_int_equal(version_text_write(store, v.id, VERSION_DESCRIPTION, slice_str("a\n")), 0);
	assert_int_equal(version_text_write(store, v.id, VERSION_METADATA, b), 0);
	assert_int_equal(run_set_job_type(store, run, slice_str(" a\n")), 0);
	assert_int_equal(run_text_write(store, run, RUN_NOTES, b), 0);
	assert_int_equal(run_text_write(store, run, RUN_CONFIG, slice_str("{}\n")), 0);
	assert_int_equal(run_tag_remove(store, run, a), -ENOENT);
	assert_int_equal(collection_set_text(store, c.id, COLLECTION_TYPE, slice_str("/")),
			 -EINVAL);
	assert_int_equal(events(place), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(collections_are_found_by_type),
		EVERYWHERE(runs_are_found_by_job_type_and_tag),
		EVERYWHERE(versions_have_texts),
		EVERYWHERE(runs_have_notes_after_the_end),
		ON(mixed, changes_have_events_and_nothing_else_has),
		ON(real, changes_have_events_and_nothing_else_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
