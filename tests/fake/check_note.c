/*
 * check_note.c - what is said of versions, and the rows that find collections, runs and versions by
 * their type, job type and tags.
 */
#include "check_private.h"

#include "core/run.h"

void check_of_version(struct check *c, struct slice key, struct slice value)
{
	struct version v;

	(void)value;
	if (version_read_by_id(c->txn, key_u32_at(key, 1), &v) < 0)
		wrong(c, "%c of version %u, which is not there", *(const char *)key.data,
		      key_u32_at(key, 1));
}

void check_version_note(struct check *c, struct slice key, struct slice value)
{
	AUTO(version_note_release) struct version_note note = { 0 };

	check_of_version(c, key, value);
	if (decode_version_note(value, &note) < 0)
		wrong(c, "the note of version %u cannot be read", key_u32_at(key, 1));
}

void check_version_tag(struct check *c, struct slice key, struct slice value)
{
	AUTO(version_note_release) struct version_note note = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t version = key_u32_at(key, 1);
	struct tag tag;

	check_of_version(c, key, value);
	if (decode_tag(value, &tag) < 0 || !get(c, KEY(version_note(version)), &b) ||
	    decode_version_note(buf_slice(&b), &note) < 0 || tag.slot == 0 ||
	    tag.slot >= note.next_slot)
		wrong(c, "a tag of version %u cannot be read, or has a slot of nobody", version);
	if (!has(c, KEY(tagged(key_name_after(key, 5), TAGGED_VERSION, version))))
		wrong(c, "version %u is not found by a tag", version);
}

void check_tagged(struct check *c, struct slice key, struct slice value)
{
	struct slice tag = key_named(key);
	uint32_t id = key.len > 5 ? key_u32_at(key, key.len - 4) : 0;
	char kind = key.len > 5 ? ((const char *)key.data)[key.len - 5] : 0;
	bool there = kind == TAGGED_RUN	    ? has(c, KEY(run_tag(id, tag))) :
		     kind == TAGGED_VERSION ? has(c, KEY(version_tag(id, tag))) : false;

	(void)value;
	if (!there)
		wrong(c, "a tag leads to %c %u, which has no such tag", kind ? kind : '?', id);
}

void check_of_type(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	uint32_t id = key.len > 4 ? key_u32_at(key, key.len - 4) : 0;

	(void)value;
	if (collection_read(c->txn, id, &a) < 0 || !slice_equal(slice_str(a.type), key_named(key)))
		wrong(c, "a type leads to collection %u, which is not of it", id);
}

void check_of_job(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key.len > 4 ? key_u32_at(key, key.len - 4) : 0;

	(void)value;
	if (run_read(c->txn, id, &run) < 0 || !slice_equal(slice_str(run.job_type), key_named(key)))
		wrong(c, "a job type leads to run %u, which is not of it", id);
}
