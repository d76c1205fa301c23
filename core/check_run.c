/*
 * check_run.c - runs, their drafts, inputs, processes and views.
 */
#include "check_private.h"

#include "artifact.h"
#include "draft.h"
#include "run.h"

#include <fcntl.h>
#include <stdio.h>

static void rewrite(struct check *c, const struct run *run)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_run(&b, run);
	check_put(c, KEY(run(run->id)), buf_slice(&b));
}

/* The slot of an input, a draft or a tag; 0: it cannot be read, which is told by itself. */
static uint32_t slot_of(char kind, struct slice value)
{
	AUTO(input_release) struct input input = { 0 };
	struct draft draft;
	struct tag tag;

	switch (kind) {
	case 'i':
		return decode_input(value, &input) == 0 ? input.slot : 0;
	case 'd':
		return decode_draft(value, &draft) == 0 ? draft.slot : 0;
	default:
		return decode_tag(value, &tag) == 0 ? tag.slot : 0;
	}
}

/* Inode numbers are made of slots: no two names of a run have the same. */
static void check_slots(struct check *c, struct run *run)
{
	static const char kinds[] = { 'i', 'd', 'g' };
	uint32_t highest = run->next_slot;
	autofree uint8_t *seen = xcalloc(run->next_slot / 8 + 1, 1);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		AUTO(kv_donep) struct kv_scan *scan = NULL;
		struct slice key, value;
		int more = kv_scan(c->txn, KV_META, KEY(prefix_id(kinds[i], run->id)),
				   slice("", 0), &scan);

		while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
			uint32_t slot = slot_of(kinds[i], value);

			if (slot >= highest)
				highest = slot + 1;
			if (slot == 0 || slot >= run->next_slot)
				continue;
			if (seen[slot / 8] & 1 << slot % 8)
				check_wrong(c, "slot-twice", "run %s: two of its names have the "
					    "slot %u", run->name, slot);
			seen[slot / 8] |= (uint8_t)(1 << slot % 8);
		}
		check_read(c, more);
	}
	if (highest > run->next_slot &&
	    check_wrong(c, "slot-ahead", "run %s: a name has a slot that is yet to be given",
			run->name)) {
		run->next_slot = highest;
		rewrite(c, run);
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The versions that the inputs of a run name, sorted; owned. */
static uint32_t *inputs_of(struct check *c, uint32_t run, size_t *ret)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	uint32_t *list = NULL;
	size_t n = 0, cap = 0;
	struct slice key, value;
	int more = kv_scan(c->txn, KV_META, KEY(prefix_id('i', run)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		AUTO(input_release) struct input input = { 0 };

		if (decode_input(value, &input) < 0)
			continue;
		list = xgrow(list, &cap, n + 1, sizeof(*list));
		list[n++] = input.version;
	}
	check_read(c, more);
	if (n)
		qsort(list, n, sizeof(*list), by_number);
	*ret = n;
	return list;
}

/* What was declared has an input; an edge that has none was observed at most. */
static void check_declared(struct check *c, const struct run *run)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	size_t n;
	autofree uint32_t *list = inputs_of(c, run->id, &n);
	int more = kv_scan(c->txn, KV_META, KEY(prefix_id('e', run->id)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		uint32_t version = key_u32_at(key, 5);
		struct edge e;

		if (key.len != 9 || decode_edge(value, &e) < 0 || !(e.flags & EDGE_DECLARED) ||
		    (n && bsearch(&version, list, n, sizeof(version), by_number)) ||
		    !check_wrong(c, "edge-undeclared", "run %s declared %s, but has no input of it",
				 run->name, VERSION_LABEL(c, version)))
			continue;
		e.flags = (e.flags & ~(unsigned)EDGE_DECLARED) | EDGE_OBSERVED;
		encode_edge(&b, &e);
		check_put(c, KEY(use(run->id, version)), buf_slice(&b));
		check_put(c, KEY(used_by(version, run->id)), buf_slice(&b));
	}
	check_read(c, more);
}

/* A run that goes on has a place for its drafts; one that has failed, until that is too old. */
static void check_area(struct check *c, const struct run *run)
{
	AUTO(run_release) struct run now = { 0 };
	char area[16];

	snprintf(area, sizeof(area), "%08x", run->id);
	if (run->state != RUN_RUNNING ||
	    faccessat(c->store->drafts, area, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	/* Has it ended meanwhile? */
	if (run_get(c->store, run->id, &now) < 0 || now.state != RUN_RUNNING)
		return;
	if (check_wrong(c, "draft-area-lost", "run %s has no drafts/%s", run->name, area))
		check_done(c, draft_area_make(c->store, run->id), CHECK_REPAIRED);
}

void check_run(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t id;

	if (key.len != 5 || decode_run(value, &run) < 0 || run.id != key_u32_at(key, 1)) {
		check_wrong(c, "run-unreadable", "the record of run number %u cannot be read",
			    key_u32_at(key, 1));
		return;
	}
	if ((!check_number(c, KEY(run_name(slice_str(run.name))), &id) || id != run.id) &&
	    check_wrong(c, "run-name", "run %s is not found by its name", run.name)) {
		encode_u64(&b, run.id);
		check_put(c, KEY(run_name(slice_str(run.name))), buf_slice(&b));
	}
	if (run.job_type[0] && !check_has(c, KEY(of_job(slice_str(run.job_type), run.id))) &&
	    check_wrong(c, "run-job-type", "run %s is not found by its job type", run.name))
		check_put(c, KEY(of_job(slice_str(run.job_type), run.id)), slice("", 0));
	if ((run.state == RUN_RUNNING) != (run.ended == 0))
		check_wrong(c, "run-state", "run %s is %s, but ended at %llu", run.name,
			    run_state_name(run.state), U(run.ended));
	check_area(c, &run);
	check_slots(c, &run);
	check_declared(c, &run);
}

void check_run_name(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	struct slice name = key_name_after(key, 1);
	uint64_t id;

	if (decode_u64(value, &id) < 0 || !check_read(c, run_read(c->txn, (uint32_t)id, &run)) ||
	    !slice_equal(slice_str(run.name), name))
		check_wrong(c, "run-lost", "the record of run %.*s is lost", (int)name.len,
			    (const char *)name.data);
}

/* Does a row belong to a run? What does not is set aside. */
static bool is_of_run(struct check *c, struct slice key)
{
	uint32_t run = key_u32_at(key, 1);

	if (check_run_there(c, run))
		return true;
	if (check_wrong(c, "run-row-lost", "a row of the kind %c is of run number %u, which is "
			"not there", *(const char *)key.data, run))
		check_set_aside(c, key);
	return false;
}

void check_of_run(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	is_of_run(c, key);
}

void check_known(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };

	(void)value;
	if (!is_of_run(c, key) || !check_read(c, run_read(c->txn, key_u32_at(key, 1), &run)) ||
	    run.state != RUN_FINISHED)
		return;
	if (check_wrong(c, "known-files-left", "run %s has finished, but its files are still known",
			run.name))
		check_set_aside(c, key);
}

void check_draft(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key_u32_at(key, 1);
	struct draft d;

	if (!is_of_run(c, key) || !check_read(c, run_read(c->txn, id, &run)))
		return;
	if (decode_draft(value, &d) < 0 || !check_has(c, KEY(logged(id, d.version)))) {
		if (check_wrong(c, "draft-lost", "run %s has a draft of which it logged nothing",
				run.name))
			check_set_aside(c, key);
	} else if (d.ended && run.state != RUN_FINISHED) {
		check_wrong(c, "draft-ended", "run %s goes on, but a draft of it has ended",
			    run.name);
	}
}

void check_run_tag(struct check *c, struct slice key, struct slice value)
{
	uint32_t run = key_u32_at(key, 1);
	struct slice name = key_name_after(key, 5);
	struct tag tag;

	if (!is_of_run(c, key))
		return;
	if (decode_tag(value, &tag) < 0) {
		if (check_wrong(c, "tag-unreadable", "a tag of %s cannot be read",
				RUN_LABEL(c, run)))
			check_set_aside(c, key);
	} else if (!check_has(c, KEY(tagged(name, TAGGED_RUN, run))) &&
		   check_wrong(c, "tag-one-sided", "%s is not found by its tag %.*s",
			       RUN_LABEL(c, run), (int)name.len, (const char *)name.data)) {
		check_put(c, KEY(tagged(name, TAGGED_RUN, run)), slice("", 0));
	}
}

/* The edge that an input is, made anew with what is known. */
static void declare(struct check *c, uint32_t run, uint32_t version, struct edge *e)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = 0;

	if (!e->sequence) {
		e->first = e->last = store_now();
		err = store_new_ids(c->store, ID_SEQUENCE, 1, &e->sequence);
	}
	e->flags |= EDGE_DECLARED;
	encode_edge(&b, e);
	check_done(c, err, CHECK_REPAIRED);
	check_put(c, KEY(use(run, version)), buf_slice(&b));
	check_put(c, KEY(used_by(version, run)), buf_slice(&b));
}

void check_input(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(input_release) struct input input = { 0 };
	uint32_t run = key_u32_at(key, 1);
	struct edge e = { 0 };

	if (!is_of_run(c, key))
		return;
	if (decode_input(value, &input) < 0) {
		check_wrong(c, "input-unreadable", "an input of %s cannot be read",
			    RUN_LABEL(c, run));
	} else if (!check_version_there(c, input.version)) {
		check_wrong(c, "input-lost", "an input of %s is version %u, which is not there",
			    RUN_LABEL(c, run), input.version);
	} else if ((!check_get(c, KEY(use(run, input.version)), &b) ||
		    decode_edge(buf_slice(&b), &e) < 0 || !(e.flags & EDGE_DECLARED)) &&
		   check_wrong(c, "input-edge", "%s has an input of %s, but no edge from it",
			       RUN_LABEL(c, run), VERSION_LABEL(c, input.version))) {
		declare(c, run, input.version, &e);
	}
}

/* ---- processes and views: they are of use while the run goes on, and then to nobody ---- */

void check_process(struct check *c, struct slice key, struct slice value)
{
	AUTO(process_row_release) struct process_row row = { 0 };

	if (is_of_run(c, key) && decode_process_row(value, &row) < 0 &&
	    check_wrong(c, "process-unreadable", "a process of %s cannot be read",
			RUN_LABEL(c, key_u32_at(key, 1))))
		check_set_aside(c, key);
}

void check_watched(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key_u32_at(key, 1);
	uint64_t slot;

	if (!is_of_run(c, key) || !check_read(c, run_read(c->txn, id, &run)))
		return;
	if ((decode_u64(value, &slot) < 0 || run.state != RUN_RUNNING ||
	     !check_has(c, KEY(process(id, (uint32_t)slot)))) &&
	    check_wrong(c, "run-watched", "run %s is watched, but does not run, or has no such "
			"process", run.name))
		check_set_aside(c, key);
}

void check_pin(struct check *c, struct slice key, struct slice value)
{
	struct version v;
	uint64_t version;

	if (!is_of_run(c, key) ||
	    (decode_u64(value, &version) == 0 &&
	     (check_read(c, version_read_by_id(c->txn, (uint32_t)version, &v)) ?
		      v.collection == key_u32_at(key, 5) :
		      check_version_there(c, (uint32_t)version))))
		return;
	if (check_wrong(c, "pin-lost", "%s sees a version behind an alias that is not there",
			RUN_LABEL(c, key_u32_at(key, 1))))
		check_set_aside(c, key);
}

void check_view(struct check *c, struct slice key, struct slice value)
{
	uint64_t first;

	if (!is_of_run(c, key) ||
	    (decode_u64(value, &first) == 0 && check_version_there(c, key_u32_at(key, 5))))
		return;
	if (check_wrong(c, "view-lost", "the view of %s has a version that is not there",
			RUN_LABEL(c, key_u32_at(key, 1))))
		check_set_aside(c, key);
}
