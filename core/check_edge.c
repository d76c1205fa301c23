/*
 * check_edge.c - edges between runs and versions, and between runs. Each is two rows; what the
 * run's side says counts, where both are there and differ.
 */
#include "check_private.h"

#include "artifact.h"
#include "edge.h"
#include "run.h"

/* outputs/<name> of what a run logged is found by the name of the collection. */
static void check_logged(struct check *c, uint32_t run, uint32_t version)
{
	AUTO(collection_release) struct collection a = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(run_release) struct run r = { 0 };
	struct version v;
	struct draft d;

	/* What is lost is told by itself. */
	if (!check_read(c, version_read_by_id(c->txn, version, &v)) ||
	    !check_read(c, collection_read(c->txn, v.collection, &a)) ||
	    check_has(c, KEY(draft(run, slice_str(a.name)))) ||
	    !check_wrong(c, "edge-draft", "%s logged %s, but knows of no draft", RUN_LABEL(c, run),
			 VERSION_LABEL(c, version)) ||
	    !check_read(c, run_read(c->txn, run, &r)))
		return;
	d = (struct draft){ r.next_slot++, version, v.single, r.state == RUN_FINISHED };
	encode_run(&record, &r);
	check_put(c, KEY(run(run)), buf_slice(&record));
	encode_draft(&b, &d);
	check_put(c, KEY(draft(run, slice_str(a.name))), buf_slice(&b));
}

static void check_used(struct check *c, uint32_t version, uint32_t run, const struct edge *e)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t used = 0;

	if (e->last == 0 ||
	    (check_number(c, KEY(last_use(version)), &used) &&
	     used + EDGE_LAST_USE_STEP > e->last) ||
	    !check_wrong(c, "last-use", "%s was used by %s later than it says",
			 VERSION_LABEL(c, version), RUN_LABEL(c, run)))
		return;
	encode_u64(&b, e->last);
	check_put(c, KEY(last_use(version)), buf_slice(&b));
}

static struct key far_side(char kind, uint32_t a, uint32_t b)
{
	return kind == 'e' ? key_used_by(b, a) :
	       kind == 'u' ? key_use(b, a) :
	       kind == 'o' ? key_logged_by(b, a) :
	       kind == 'p' ? key_logged(b, a) :
	       kind == 'f' ? key_peeked_by(b, a) : key_peeked(b, a);
}

/*
 * The other side is there, and says the same. Seen from the far end a difference is not told again.
 */
static void check_far_side(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf other = BUF_INIT;
	char kind = *(const char *)key.data;
	uint32_t a = key_u32_at(key, 1), b = key_u32_at(key, 5);
	struct key far = far_side(kind, a, b);
	bool near_end = kind == 'e' || kind == 'o' || kind == 'f';

	if (check_get(c, key_slice(&far), &other) &&
	    (!near_end || slice_equal(buf_slice(&other), value)))
		return;
	if (check_wrong(c, "edge-one-sided", "an edge of %s to %s %s",
			kind == 'u' || kind == 'p' ? RUN_LABEL(c, b) : RUN_LABEL(c, a),
			kind == 'u' || kind == 'p' ? VERSION_LABEL(c, a) :
			kind == 'e' || kind == 'o' ? VERSION_LABEL(c, b) : RUN_LABEL(c, b),
			other.len ? "says something else on its other side" :
				    "is there from one side only"))
		check_put(c, key_slice(&far), value);
}

void check_edge(struct check *c, struct slice key, struct slice value)
{
	char kind = *(const char *)key.data;
	bool from_run = kind == 'e' || kind == 'o';
	uint32_t a = key_u32_at(key, 1), b = key_u32_at(key, 5);
	uint32_t run = from_run ? a : b, version = from_run ? b : a;
	struct edge e;

	if (key.len != 9 || decode_edge(value, &e) < 0) {
		/* If the other side can be read, that one writes this one. */
		if (check_wrong(c, "edge-unreadable", "an edge between %s and %s cannot be read",
				RUN_LABEL(c, run), VERSION_LABEL(c, version)))
			check_set_aside(c, key);
	} else if (!check_run_there(c, run) || !check_version_there(c, version)) {
		if (check_wrong(c, "edge-lost", "an edge between %s and %s, of which one is not "
				"there", RUN_LABEL(c, run), VERSION_LABEL(c, version)))
			check_set_aside(c, key);
	} else {
		check_far_side(c, key, value);
		if (kind == 'o')
			check_logged(c, run, version);
		else if (kind == 'u')
			check_used(c, version, run, &e);
	}
}

void check_peek(struct check *c, struct slice key, struct slice value)
{
	uint32_t a = key_u32_at(key, 1), b = key_u32_at(key, 5);
	struct edge e;

	if (key.len != 9 || decode_edge(value, &e) < 0) {
		if (check_wrong(c, "edge-unreadable", "an edge between %s and %s cannot be read",
				RUN_LABEL(c, a), RUN_LABEL(c, b)))
			check_set_aside(c, key);
	} else if (!check_run_there(c, a) || !check_run_there(c, b)) {
		if (check_wrong(c, "edge-lost", "an edge between %s and %s, of which one is not "
				"there", RUN_LABEL(c, a), RUN_LABEL(c, b)))
			check_set_aside(c, key);
	} else {
		check_far_side(c, key, value);
	}
}
