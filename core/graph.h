/*
 * graph.h - a part of the lineage graph as a picture of it needs it: nodes with levels, edges
 * between them. The part around a node is the node with all above and below it; or all of a store.
 */
#ifndef CORE_GRAPH_H
#define CORE_GRAPH_H

#include "lineage.h"

enum graph_edge_kind {
	GRAPH_USED,	  /* version -> run */
	GRAPH_LOGGED,	  /* run -> version: its first producer */
	GRAPH_REPRODUCED, /* run -> version: logged an equal of it later */
	GRAPH_READ_DRAFT, /* run -> run: the second read a draft of the first, unlogged */
};

struct graph_node {
	struct lineage_node node;
	/*
	 * 0 for what is made from nothing; a version is one further than its producer was when it
	 * logged it, a run one further than what it had used when it first logged something.
	 */
	unsigned level;
};

/* In the direction in which things flow. */
struct graph_edge {
	enum graph_edge_kind kind;
	uint32_t from, to; /* places in nodes */
	uint64_t sequence; /* of the commit of the first use, or of the logging */
};

struct graph {
	struct graph_node *nodes; /* runs by id, then versions by id */
	size_t node_count, run_count;
	struct graph_edge *edges; /* in the order of their commits */
	size_t edge_count;
	bool truncated; /* there are more nodes than the option `document_nodes` allows */
};

#define GRAPH_INIT ((struct graph){ 0 })

/* of NULL: the whole store. -ENOENT. */
int graph_collect(struct store *store, const struct lineage_node *of, struct graph *ret);
void graph_release(struct graph *graph);

#endif
