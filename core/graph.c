#include "graph.h"

#include "artifact.h"
#include "removal.h"
#include "run.h"

struct collecting {
	struct store *store;
	struct graph *graph;
	uint32_t *runs, *versions; /* sorted */
	size_t run_count, version_count, run_cap, version_cap;
	struct graph_edge *edges;
	size_t edge_count, edge_cap;
};

void graph_release(struct graph *g)
{
	free(g->nodes);
	free(g->edges);
	*g = GRAPH_INIT;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* ---- nodes ---- */

static bool is_full(struct collecting *c)
{
	if (c->run_count + c->version_count < c->store->options.document_nodes)
		return false;
	c->graph->truncated = true;
	return true;
}

static void add_ids(struct collecting *c, uint32_t **ids, size_t *count, size_t *cap,
		    const uint32_t *more, size_t n)
{
	for (size_t i = 0; i < n && !is_full(c); i++) {
		*ids = xgrow(*ids, cap, *count + 1, sizeof(**ids));
		(*ids)[(*count)++] = more[i];
	}
}

static void add_runs(struct collecting *c, const uint32_t *ids, size_t n)
{
	add_ids(c, &c->runs, &c->run_count, &c->run_cap, ids, n);
}

static void add_versions(struct collecting *c, const uint32_t *ids, size_t n)
{
	add_ids(c, &c->versions, &c->version_count, &c->version_cap, ids, n);
}

static int add_closure(struct collecting *c, struct lineage_node of,
		       enum lineage_direction direction)
{
	struct lineage_closure *closure;
	int err = lineage_closure_get(c->store, of, direction, &closure);

	if (err < 0)
		return err;
	add_runs(c, closure->runs, closure->run_count);
	add_versions(c, closure->versions, closure->version_count);
	c->graph->truncated |= closure->truncated;
	lineage_closure_put(c->store, closure);
	return 0;
}

/* Sorted, each once: a run may be above and below, if only partly. */
static size_t sort_ids(uint32_t *ids, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(ids, count, sizeof(*ids), by_id);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	return kept;
}

static int collect_around(struct collecting *c, struct lineage_node of)
{
	int err;

	if (of.kind == LINEAGE_RUN)
		add_runs(c, &of.id, 1);
	else
		add_versions(c, &of.id, 1);
	err = add_closure(c, of, LINEAGE_UP);
	return err < 0 ? err : add_closure(c, of, LINEAGE_DOWN);
}

typedef int next_gone(struct store *store, uint32_t collection, int64_t number,
		      struct version *ret);

/* What was removed has its edges still. */
static int collect_gone(struct collecting *c, next_gone *next)
{
	struct version v = { .collection = 0 };
	int64_t number = -1;
	int more;

	while ((more = next(c->store, v.collection, number, &v)) > 0 && !is_full(c)) {
		number = v.number;
		add_versions(c, &v.id, 1);
	}
	return more < 0 ? more : 0;
}

static int collect_all(struct collecting *c)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint32_t id, collection;
	int more;

	while (!is_full(c) && (more = run_next(c->store, buf_slice(&name), &id, &name)) > 0)
		add_runs(c, &id, 1);
	buf_reset(&name);
	while ((more = collection_next(c->store, buf_slice(&name), &collection, &name)) > 0) {
		int64_t after = -1;
		struct version v;

		while ((more = version_next(c->store, collection, after, &v)) > 0) {
			after = v.number;
			if (is_full(c))
				return 0;
			add_versions(c, &v.id, 1);
		}
		if (more < 0)
			return more;
	}
	if (more == 0)
		more = collect_gone(c, version_removed_next);
	return more < 0 ? more : collect_gone(c, version_purged_next);
}

static void make_nodes(struct collecting *c)
{
	struct graph *g = c->graph;

	c->run_count = sort_ids(c->runs, c->run_count);
	c->version_count = sort_ids(c->versions, c->version_count);
	g->run_count = c->run_count;
	g->node_count = c->run_count + c->version_count;
	g->nodes = xcalloc(g->node_count ? g->node_count : 1, sizeof(*g->nodes));
	for (size_t i = 0; i < c->run_count; i++)
		g->nodes[i].node = (struct lineage_node){ LINEAGE_RUN, c->runs[i] };
	for (size_t i = 0; i < c->version_count; i++)
		g->nodes[c->run_count + i].node =
			(struct lineage_node){ LINEAGE_VERSION, c->versions[i] };
}

/* ---- edges ---- */

/* The place of an id among the nodes; -1: it is not one of them. */
static int64_t place_of(const struct collecting *c, enum lineage_kind kind, uint32_t id)
{
	const uint32_t *ids = kind == LINEAGE_RUN ? c->runs : c->versions;
	size_t count = kind == LINEAGE_RUN ? c->run_count : c->version_count;
	const uint32_t *at = count ? bsearch(&id, ids, count, sizeof(id), by_id) : NULL;

	if (!at)
		return -1;
	return at - ids + (kind == LINEAGE_RUN ? 0 : (int64_t)c->run_count);
}

static enum graph_edge_kind kind_of(enum edge_side side, const struct edge *edge)
{
	if (side == EDGE_RUN_USES)
		return GRAPH_USED;
	if (side == EDGE_RUN_PEEKED)
		return GRAPH_READ_DRAFT;
	return edge->flags & EDGE_EQUAL ? GRAPH_REPRODUCED : GRAPH_LOGGED;
}

static int add_edges(struct collecting *c, uint32_t run_place, enum edge_side side)
{
	enum lineage_kind kind = side == EDGE_RUN_PEEKED ? LINEAGE_RUN : LINEAGE_VERSION;
	uint32_t run = c->runs[run_place], to = 0;
	struct edge edge;
	int more;

	while ((more = edge_next(c->store->kv, side, run, to, &to, &edge)) > 0) {
		int64_t other = place_of(c, kind, to);
		bool away = side == EDGE_RUN_LOGGED;

		if (other < 0)
			continue;
		c->edges = xgrow(c->edges, &c->edge_cap, c->edge_count + 1, sizeof(*c->edges));
		c->edges[c->edge_count++] = (struct graph_edge){
			.kind = kind_of(side, &edge),
			.from = away ? run_place : (uint32_t)other,
			.to = away ? (uint32_t)other : run_place,
			.sequence = edge.sequence,
		};
	}
	return more;
}

static int collect_edges(struct collecting *c)
{
	int err = 0;

	for (uint32_t i = 0; err == 0 && i < c->run_count; i++) {
		err = add_edges(c, i, EDGE_RUN_USES);
		if (err == 0)
			err = add_edges(c, i, EDGE_RUN_LOGGED);
		if (err == 0)
			err = add_edges(c, i, EDGE_RUN_PEEKED);
	}
	return err;
}

static int by_sequence(const void *a, const void *b)
{
	uint64_t x = ((const struct graph_edge *)a)->sequence,
		 y = ((const struct graph_edge *)b)->sequence;

	return (x > y) - (x < y);
}

/* In the order of commits every edge comes after what it depends on. */
static void set_levels(struct collecting *c)
{
	struct graph_node *nodes = c->graph->nodes;
	autofree unsigned *reached = xcalloc(c->run_count + 1, sizeof(*reached));
	autofree bool *settled = xcalloc(c->run_count + 1, sizeof(*settled));

	for (size_t i = 0; i < c->edge_count; i++) {
		const struct graph_edge *e = &c->edges[i];

		switch (e->kind) {
		case GRAPH_USED:
		case GRAPH_READ_DRAFT: {
			unsigned from = e->kind == GRAPH_USED ? nodes[e->from].level :
								reached[e->from];

			if (reached[e->to] < from + 1)
				reached[e->to] = from + 1;
			if (!settled[e->to])
				nodes[e->to].level = reached[e->to];
			break;
		}
		case GRAPH_LOGGED:
			nodes[e->to].level = reached[e->from] + 1;
			settled[e->from] = true;
			break;
		case GRAPH_REPRODUCED:
			break;
		}
	}
}

static void make_edges(struct collecting *c)
{
	struct graph *g = c->graph;

	if (c->edge_count)
		qsort(c->edges, c->edge_count, sizeof(*c->edges), by_sequence);
	set_levels(c);
	g->edges = steal(c->edges);
	g->edge_count = c->edge_count;
}

int graph_collect(struct store *store, const struct lineage_node *of, struct graph *ret)
{
	struct graph graph = GRAPH_INIT;
	struct collecting c = { .store = store, .graph = &graph };
	int err = of ? collect_around(&c, *of) : collect_all(&c);

	if (err == 0) {
		make_nodes(&c);
		err = collect_edges(&c);
	}
	if (err == 0) {
		make_edges(&c);
		*ret = graph;
	} else {
		graph_release(&graph);
	}
	free(c.runs);
	free(c.versions);
	free(c.edges);
	return err;
}
