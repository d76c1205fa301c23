/*
 * check_index.c - the rows that find artifacts, runs and versions by type, job type and tag. They
 * are made of the things that they lead to, which are checked for them where those are.
 */
#include "check_private.h"

#include "artifact.h"
#include "run.h"

static void lost(struct check *c, struct slice key, const char *name, const char *what)
{
	struct slice of = key_named(key);

	if (check_wrong(c, name, "the %s %.*s leads to what does not have it", what, (int)of.len,
			(const char *)of.data))
		check_set_aside(c, key);
}

void check_tagged(struct check *c, struct slice key, struct slice value)
{
	struct slice tag = key_named(key);
	uint32_t id = key.len > 5 ? key_u32_at(key, key.len - 4) : 0;
	char kind = key.len > 5 ? ((const char *)key.data)[key.len - 5] : 0;

	(void)value;
	if (kind == TAGGED_RUN	   ? !check_has(c, KEY(run_tag(id, tag))) :
	    kind == TAGGED_VERSION ? !check_has(c, KEY(version_tag(id, tag))) : true)
		lost(c, key, "tag-lost", "tag");
}

void check_of_type(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	uint32_t id = key.len > 4 ? key_u32_at(key, key.len - 4) : 0;

	(void)value;
	if (!check_read(c, collection_read(c->txn, id, &a)) ||
	    !slice_equal(slice_str(a.type), key_named(key)))
		lost(c, key, "type-lost", "type");
}

void check_of_job(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key.len > 4 ? key_u32_at(key, key.len - 4) : 0;

	(void)value;
	if (!check_read(c, run_read(c->txn, id, &run)) ||
	    !slice_equal(slice_str(run.job_type), key_named(key)))
		lost(c, key, "job-type-lost", "job type");
}
