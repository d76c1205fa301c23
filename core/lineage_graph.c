/*
 * lineage_graph.c - all edges of a store in memory: for each run its timeline, for each version its
 * producer and its users, as arrays of 32-bit ids. What the first scan found lies in two blocks;
 * lists that changed since have memory of their own.
 */
#include "lineage_source.h"

#include "artifact.h"

#include <malloc.h>

/* How many versions there are between the steps of graph_expect(). */
#define EXPECT_APART 6

struct list {
	uint32_t *ids;
	uint32_t count;
	uint32_t cap; /* 0: in one of the blocks */
};

struct run_slot {
	struct list timeline;
	struct list *readers; /* most have none: NULL */
};

struct version_slot {
	struct list users;
	uint32_t producer; /* 0: there is no such version */
	uint32_t collection, number;
	bool readable; /* by everybody */
};

struct lineage_graph {
	struct store *store;
	size_t bytes_max;
	uint32_t *timelines, *users; /* the blocks */
	struct run_slot *runs;	     /* by id */
	size_t run_count;
	struct version_slot *versions;
	size_t version_count;
	uint64_t edges;
	size_t block_bytes, list_bytes;
};

/* ---- lists ---- */

static void list_release(struct lineage_graph *g, struct list *l)
{
	if (l->cap) {
		g->list_bytes -= l->cap * sizeof(*l->ids);
		free(l->ids);
	}
	*l = (struct list){ 0 };
}

static void list_reserve(struct lineage_graph *g, struct list *l, uint32_t count)
{
	uint32_t cap = l->cap > 2 ? l->cap : 2;
	uint32_t *ids;

	if (count <= l->cap)
		return;
	while (cap < count)
		cap *= 2;
	ids = xmalloc(cap * sizeof(*ids));
	if (l->count)
		memcpy(ids, l->ids, l->count * sizeof(*ids));
	if (l->cap)
		free(l->ids);
	g->list_bytes += (cap - l->cap) * sizeof(*ids);
	l->ids = ids;
	l->cap = cap;
}

static void list_add(struct lineage_graph *g, struct list *l, uint32_t id)
{
	list_reserve(g, l, l->count + 1);
	l->ids[l->count++] = id;
}

static void list_remove(struct lineage_graph *g, struct list *l, uint32_t id)
{
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->ids[i] != id)
			continue;
		list_reserve(g, l, l->count);
		l->ids[i] = l->ids[--l->count];
		return;
	}
}

/* ---- slots ---- */

static struct run_slot *run_slot(struct lineage_graph *g, uint32_t id)
{
	if (id >= g->run_count) {
		size_t count = g->run_count + g->run_count / 2 + 64;

		if (count <= id)
			count = (size_t)id + 1;
		g->runs = xrealloc(g->runs, count * sizeof(*g->runs));
		memset(g->runs + g->run_count, 0, (count - g->run_count) * sizeof(*g->runs));
		g->run_count = count;
	}
	return &g->runs[id];
}

static struct version_slot *version_slot(struct lineage_graph *g, uint32_t id)
{
	if (id >= g->version_count) {
		size_t count = g->version_count + g->version_count / 2 + 64;

		if (count <= id)
			count = (size_t)id + 1;
		g->versions = xrealloc(g->versions, count * sizeof(*g->versions));
		memset(g->versions + g->version_count, 0,
		       (count - g->version_count) * sizeof(*g->versions));
		g->version_count = count;
	}
	return &g->versions[id];
}

size_t lineage_graph_bytes(const struct lineage_graph *g)
{
	return g->block_bytes + g->list_bytes + g->run_count * sizeof(*g->runs) +
	       g->version_count * sizeof(*g->versions);
}

uint64_t lineage_graph_edges(const struct lineage_graph *g)
{
	return g->edges;
}

/* ---- building ---- */

/* An edge on its way into the blocks. */
struct loose {
	uint32_t run, entry;
	uint64_t sequence;
};

struct building {
	struct lineage_graph *graph;
	struct loose *edges;
	size_t count, cap;
};

/* What each edge takes in the end: an entry of a timeline, and one of a list of users. */
#define EDGE_BYTES (2 * sizeof(uint32_t))

static int add_loose(struct building *b, uint32_t run, uint64_t sequence,
		     enum timeline_what what, uint32_t id)
{
	if (b->count * EDGE_BYTES > b->graph->bytes_max)
		return -EFBIG;
	b->edges = xgrow(b->edges, &b->cap, b->count + 1, sizeof(*b->edges));
	b->edges[b->count++] = (struct loose){ run, timeline_entry(what, id), sequence };
	return 0;
}

static void set_version(struct lineage_graph *g, const struct version *v)
{
	struct version_slot *slot = version_slot(g, v->id);

	slot->producer = v->run;
	slot->collection = v->collection;
	slot->number = v->number;
	slot->readable = v->mode & 04;
}

static int add_version(struct building *b, struct slice key, struct slice value)
{
	struct version v;

	(void)key;
	if (decode_version(value, &v) < 0)
		return -EIO;
	set_version(b->graph, &v);
	return add_loose(b, v.run, v.sequence, TIMELINE_LOGGED, v.id);
}

static int add_edge(struct building *b, struct slice key, struct slice value,
		    enum timeline_what what)
{
	struct edge edge;

	if (key.len != 9 || decode_edge(value, &edge) < 0)
		return -EIO;
	return add_loose(b, key_u32_at(key, 1), edge.sequence, what, key_u32_at(key, 5));
}

static int add_use(struct building *b, struct slice key, struct slice value)
{
	return add_edge(b, key, value, TIMELINE_USED);
}

static int add_peek(struct building *b, struct slice key, struct slice value)
{
	return add_edge(b, key, value, TIMELINE_PEEKED);
}

static int scan_kind(struct kv_txn *txn, struct building *b, char kind,
		     int (*add)(struct building *b, struct slice key, struct slice value))
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		more = add(b, key, value);
	return more;
}

static int by_run_and_sequence(const void *a, const void *b)
{
	const struct loose *x = a, *y = b;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void fill_timelines(struct building *b)
{
	struct lineage_graph *g = b->graph;

	g->timelines = xmalloc((b->count ? b->count : 1) * sizeof(*g->timelines));
	for (size_t i = 0, end; i < b->count; i = end) {
		struct list *timeline = &run_slot(g, b->edges[i].run)->timeline;

		for (end = i; end < b->count && b->edges[end].run == b->edges[i].run; end++)
			g->timelines[end] = b->edges[end].entry;
		*timeline = (struct list){ g->timelines + i, (uint32_t)(end - i), 0 };
	}
}

static void add_reader(struct lineage_graph *g, uint32_t run, uint32_t reader)
{
	struct run_slot *slot = run_slot(g, run);

	if (!slot->readers)
		slot->readers = xcalloc(1, sizeof(*slot->readers));
	list_add(g, slot->readers, reader);
}

static void fill_users(struct building *b)
{
	struct lineage_graph *g = b->graph;
	size_t used = 0, at = 0;

	for (size_t i = 0; i < b->count; i++) {
		uint32_t entry = b->edges[i].entry;

		if (timeline_what(entry) != TIMELINE_USED)
			continue;
		version_slot(g, timeline_id(entry))->users.count++;
		used++;
	}
	g->users = xmalloc((used ? used : 1) * sizeof(*g->users));
	for (size_t id = 0; id < g->version_count; id++) {
		g->versions[id].users.ids = g->users + at;
		at += g->versions[id].users.count;
		g->versions[id].users.count = 0;
	}
	for (size_t i = 0; i < b->count; i++) {
		uint32_t entry = b->edges[i].entry, run = b->edges[i].run;
		struct list *users = &version_slot(g, timeline_id(entry))->users;

		if (timeline_what(entry) == TIMELINE_USED)
			users->ids[users->count++] = run;
		else if (timeline_what(entry) == TIMELINE_PEEKED)
			add_reader(g, timeline_id(entry), run);
	}
	g->block_bytes = (b->count + used) * sizeof(*g->users);
}

int lineage_graph_build(struct store *store, size_t bytes_max, struct lineage_graph **ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	struct building b = { .graph = xcalloc(1, sizeof(*b.graph)) };
	int err = kv_begin(store->kv, KV_READ, &txn);

	b.graph->store = store;
	b.graph->bytes_max = bytes_max;
	if (err == 0)
		err = scan_kind(txn, &b, 'V', add_version);
	if (err == 0)
		err = scan_kind(txn, &b, 'X', add_version);
	if (err == 0)
		err = scan_kind(txn, &b, 'G', add_version);
	if (err == 0)
		err = scan_kind(txn, &b, 'e', add_use);
	if (err == 0)
		err = scan_kind(txn, &b, 'f', add_peek);
	if (err == 0) {
		if (b.count)
			qsort(b.edges, b.count, sizeof(*b.edges), by_run_and_sequence);
		fill_timelines(&b);
		fill_users(&b);
		b.graph->edges = b.count;
		if (lineage_graph_bytes(b.graph) > bytes_max)
			err = -EFBIG;
	}
	free(b.edges);
	/* What building took, many times what is kept, goes back to the system. */
	malloc_trim(0);
	if (err < 0) {
		lineage_graph_free(b.graph);
		return err;
	}
	*ret = b.graph;
	return 0;
}

void lineage_graph_free(struct lineage_graph *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->run_count; i++) {
		list_release(g, &g->runs[i].timeline);
		if (g->runs[i].readers)
			list_release(g, g->runs[i].readers);
		free(g->runs[i].readers);
	}
	for (size_t i = 0; i < g->version_count; i++)
		list_release(g, &g->versions[i].users);
	free(g->runs);
	free(g->versions);
	free(g->timelines);
	free(g->users);
	free(g);
}

/* ---- keeping it current ---- */

static int link_entry(struct lineage_graph *g, uint32_t run, uint32_t entry)
{
	uint32_t id = timeline_id(entry);
	struct version v;
	int err = 0;

	switch (timeline_what(entry)) {
	case TIMELINE_USED:
		list_add(g, &version_slot(g, id)->users, run);
		break;
	case TIMELINE_LOGGED:
		err = version_get_by_id(g->store, id, &v);
		if (err == 0)
			set_version(g, &v);
		break;
	case TIMELINE_PEEKED:
		add_reader(g, id, run);
		break;
	}
	return err;
}

static void unlink_entry(struct lineage_graph *g, uint32_t run, uint32_t entry)
{
	uint32_t id = timeline_id(entry);

	switch (timeline_what(entry)) {
	case TIMELINE_USED:
		list_remove(g, &version_slot(g, id)->users, run);
		break;
	case TIMELINE_LOGGED:
		version_slot(g, id)->producer = 0;
		break;
	case TIMELINE_PEEKED:
		list_remove(g, run_slot(g, id)->readers, run);
		break;
	}
}

int lineage_graph_reload(struct lineage_graph *g, uint32_t run)
{
	autofree struct timeline_row *rows = NULL;
	size_t cap = 0, same = 0;
	ssize_t n = lineage_read_timeline(g->store, run, &rows, &cap);
	struct list old, fresh = { 0 };

	if (n < 0)
		return (int)n;
	old = run_slot(g, run)->timeline;
	/* Most often there is something new at the end, and nothing else. */
	while (same < old.count && same < (size_t)n && old.ids[same] == rows[same].entry)
		same++;
	for (size_t i = same; i < old.count; i++)
		unlink_entry(g, run, old.ids[i]);
	for (size_t i = same; i < (size_t)n; i++) {
		int err = link_entry(g, run, rows[i].entry);

		/* The graph is half changed: whoever called builds a new one. */
		if (err < 0)
			return err;
	}
	if (same == old.count) {
		fresh = old;
	} else {
		list_reserve(g, &fresh, (uint32_t)n);
		if (same)
			memcpy(fresh.ids, old.ids, same * sizeof(*fresh.ids));
		fresh.count = (uint32_t)same;
		list_release(g, &old);
	}
	for (size_t i = same; i < (size_t)n; i++)
		list_add(g, &fresh, rows[i].entry);
	g->edges = g->edges - run_slot(g, run)->timeline.count + fresh.count;
	run_slot(g, run)->timeline = fresh;
	return lineage_graph_bytes(g) > g->bytes_max ? -EFBIG : 0;
}

/* ---- asking ---- */

bool lineage_graph_place(const struct lineage_graph *g, uint32_t version,
			 struct lineage_place *ret)
{
	const struct version_slot *slot = version < g->version_count ? &g->versions[version] : NULL;

	if (!slot || !slot->producer)
		return false;
	*ret = (struct lineage_place){ slot->collection, slot->number, slot->readable };
	return true;
}

/* ---- as a source ---- */

struct graph_source {
	struct lineage_source base;
	const struct lineage_graph *graph;
};

static const struct lineage_graph *graph_of(struct lineage_source *base)
{
	return container_of(base, struct graph_source, base)->graph;
}

static struct id_list id_list(const struct list *l)
{
	return l ? (struct id_list){ l->ids, l->count } : (struct id_list){ NULL, 0 };
}

static int graph_timeline(struct lineage_source *base, uint32_t run, struct id_list *ret)
{
	const struct lineage_graph *g = graph_of(base);

	*ret = id_list(run < g->run_count ? &g->runs[run].timeline : NULL);
	return 0;
}

static int graph_users(struct lineage_source *base, uint32_t version, struct id_list *ret)
{
	const struct lineage_graph *g = graph_of(base);

	*ret = id_list(version < g->version_count ? &g->versions[version].users : NULL);
	return 0;
}

static int graph_readers(struct lineage_source *base, uint32_t run, struct id_list *ret)
{
	const struct lineage_graph *g = graph_of(base);

	*ret = id_list(run < g->run_count ? g->runs[run].readers : NULL);
	return 0;
}

static int graph_producer(struct lineage_source *base, uint32_t version, uint32_t *ret)
{
	const struct lineage_graph *g = graph_of(base);

	if (version >= g->version_count || g->versions[version].producer == 0)
		return -ENOENT;
	*ret = g->versions[version].producer;
	return 0;
}

/*
 * Each answer is three steps through memory, each of which says where the next one goes: they are
 * taken for later versions while earlier ones are gone through.
 */
static void graph_expect(struct lineage_source *base, const uint32_t *versions, size_t count)
{
	const struct lineage_graph *g = graph_of(base);
	uint32_t run;

	if (count > 3 * EXPECT_APART && versions[3 * EXPECT_APART] < g->version_count)
		__builtin_prefetch(&g->versions[versions[3 * EXPECT_APART]]);
	if (count > 2 * EXPECT_APART &&
	    graph_producer(base, versions[2 * EXPECT_APART], &run) == 0 && run < g->run_count)
		__builtin_prefetch(&g->runs[run]);
	if (count > EXPECT_APART && graph_producer(base, versions[EXPECT_APART], &run) == 0 &&
	    run < g->run_count)
		__builtin_prefetch(g->runs[run].timeline.ids);
}

static void graph_close(struct lineage_source *base)
{
	free(container_of(base, struct graph_source, base));
}

static const struct lineage_source_ops graph_ops = {
	.timeline = graph_timeline,
	.users = graph_users,
	.readers = graph_readers,
	.producer = graph_producer,
	.expect = graph_expect,
	.close = graph_close,
};

struct lineage_source *lineage_source_graph(struct lineage_graph *graph)
{
	struct graph_source *s = xcalloc(1, sizeof(*s));

	s->base.ops = &graph_ops;
	s->graph = graph;
	return &s->base;
}
