/*
 * lineage_scan.c - edges by prefix scans: for stores that do not fit in memory, and to read single
 * runs again.
 */
#include "lineage_source.h"

#include "artifact.h"

static int by_sequence(const void *a, const void *b)
{
	uint64_t x = ((const struct timeline_row *)a)->sequence;
	uint64_t y = ((const struct timeline_row *)b)->sequence;

	return (x > y) - (x < y);
}

struct rows {
	struct timeline_row **list;
	size_t count, *cap;
};

static void add_row(struct rows *rows, uint64_t sequence, uint32_t entry)
{
	*rows->list = xgrow(*rows->list, rows->cap, rows->count + 1, sizeof(**rows->list));
	(*rows->list)[rows->count++] = (struct timeline_row){ sequence, entry };
}

/* The edges of one kind from a run. */
static int add_rows(struct kv_txn *txn, char kind, enum timeline_what what, uint32_t run,
		    struct rows *rows)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key prefix = key_prefix_id(kind, run);
	struct slice key, value;
	int more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		struct edge edge;

		if (decode_edge(value, &edge) < 0)
			return -EIO;
		/* An equal of what another logged first does not depend on this run. */
		if (what == TIMELINE_LOGGED && edge.flags & EDGE_EQUAL)
			continue;
		add_row(rows, edge.sequence, timeline_entry(what, key_u32_at(key, 5)));
	}
	return more;
}

ssize_t lineage_read_timeline(struct store *store, uint32_t run, struct timeline_row **list,
			      size_t *cap)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	struct rows rows = { list, 0, cap };
	int err = kv_begin(store->kv, KV_READ, &txn);

	if (err == 0)
		err = add_rows(txn, 'e', TIMELINE_USED, run, &rows);
	if (err == 0)
		err = add_rows(txn, 'o', TIMELINE_LOGGED, run, &rows);
	if (err == 0)
		err = add_rows(txn, 'f', TIMELINE_PEEKED, run, &rows);
	if (err < 0)
		return err;
	if (rows.count)
		qsort(*list, rows.count, sizeof(**list), by_sequence);
	return (ssize_t)rows.count;
}

/* An answer's ids, one array for each question. */
struct answer {
	uint32_t *ids;
	size_t count, cap;
};

static void add_id(struct answer *a, uint32_t id)
{
	a->ids = xgrow(a->ids, &a->cap, a->count + 1, sizeof(*a->ids));
	a->ids[a->count++] = id;
}

struct scan_source {
	struct lineage_source base;
	struct store *store;
	struct answer timeline, users, readers;
	struct timeline_row *rows;
	size_t rows_cap;
};

static int scan_timeline(struct lineage_source *base, uint32_t run, struct id_list *ret)
{
	struct scan_source *s = container_of(base, struct scan_source, base);
	ssize_t n = lineage_read_timeline(s->store, run, &s->rows, &s->rows_cap);

	if (n < 0)
		return (int)n;
	s->timeline.count = 0;
	for (ssize_t i = 0; i < n; i++)
		add_id(&s->timeline, s->rows[i].entry);
	*ret = (struct id_list){ s->timeline.ids, s->timeline.count };
	return 0;
}

static int other_ends(struct store *store, enum edge_side side, uint32_t from, struct answer *a,
		      struct id_list *ret)
{
	uint32_t to = 0;
	int more;

	a->count = 0;
	while ((more = edge_next(store->kv, side, from, to, &to, NULL)) > 0)
		add_id(a, to);
	*ret = (struct id_list){ a->ids, a->count };
	return more;
}

static int scan_users(struct lineage_source *base, uint32_t version, struct id_list *ret)
{
	struct scan_source *s = container_of(base, struct scan_source, base);

	return other_ends(s->store, EDGE_VERSION_USED_BY, version, &s->users, ret);
}

static int scan_readers(struct lineage_source *base, uint32_t run, struct id_list *ret)
{
	struct scan_source *s = container_of(base, struct scan_source, base);

	return other_ends(s->store, EDGE_RUN_PEEKED_BY, run, &s->readers, ret);
}

static int scan_producer(struct lineage_source *base, uint32_t version, uint32_t *ret)
{
	struct scan_source *s = container_of(base, struct scan_source, base);
	struct version v;
	int err = version_get_by_id(s->store, version, &v);

	if (err == 0)
		*ret = v.run;
	return err;
}

static void scan_close(struct lineage_source *base)
{
	struct scan_source *s = container_of(base, struct scan_source, base);

	free(s->timeline.ids);
	free(s->users.ids);
	free(s->readers.ids);
	free(s->rows);
	free(s);
}

static const struct lineage_source_ops scan_ops = {
	.timeline = scan_timeline,
	.users = scan_users,
	.readers = scan_readers,
	.producer = scan_producer,
	.close = scan_close,
};

struct lineage_source *lineage_source_scan(struct store *store)
{
	struct scan_source *s = xcalloc(1, sizeof(*s));

	s->base.ops = &scan_ops;
	s->store = store;
	return &s->base;
}
