/*
 * lineage_source.h - where the walk of core/lineage.c gets its edges: from memory, or by prefix
 * scans. For lineage*.c alone.
 *
 * What a run did is its timeline: entries in the order of their commit sequence, each the id of a
 * version that it used or logged first, or of a run of which it read a draft.
 */
#ifndef CORE_LINEAGE_SOURCE_H
#define CORE_LINEAGE_SOURCE_H

#include "lineage.h"

enum timeline_what { TIMELINE_USED, TIMELINE_LOGGED, TIMELINE_PEEKED };

static inline uint32_t timeline_entry(enum timeline_what what, uint32_t id)
{
	return id << 2 | (uint32_t)what;
}

static inline enum timeline_what timeline_what(uint32_t entry)
{
	return (enum timeline_what)(entry & 3);
}

static inline uint32_t timeline_id(uint32_t entry)
{
	return entry >> 2;
}

/* Borrowed until the next call of the same function on the source. */
struct id_list {
	const uint32_t *ids;
	size_t count;
};

struct lineage_source;

struct lineage_source_ops {
	/* The run's timeline; empty for a run that is not there. */
	int (*timeline)(struct lineage_source *s, uint32_t run, struct id_list *ret);
	/* The runs that used the version, in no order. */
	int (*users)(struct lineage_source *s, uint32_t version, struct id_list *ret);
	/* The runs that read a draft of the run. */
	int (*readers)(struct lineage_source *s, uint32_t run, struct id_list *ret);
	/* The run that logged the version first. -ENOENT. */
	int (*producer)(struct lineage_source *s, uint32_t version, uint32_t *ret);
	/*
	 * The producers of these versions and their timelines are asked for soon, in this order.
	 * Called before each of them. May be NULL.
	 */
	void (*expect)(struct lineage_source *s, const uint32_t *versions, size_t count);
	void (*close)(struct lineage_source *s);
};

struct lineage_source {
	const struct lineage_source_ops *ops;
};

/* By prefix scans, each in a transaction of its own. */
struct lineage_source *lineage_source_scan(struct store *store);
/*
 * A timeline by prefix scans, into an array that grows; with its sequences if sequences is not
 * NULL. Returns the count or -errno.
 */
struct timeline_row {
	uint64_t sequence;
	uint32_t entry;
};
ssize_t lineage_read_timeline(struct store *store, uint32_t run, struct timeline_row **rows,
			      size_t *cap);

/* ---- in memory ---- */

struct lineage_graph;

/*
 * Everything there is, by one scan. -EFBIG: it would take more than so many bytes. The commits
 * after the scan began must be brought in by lineage_graph_reload().
 */
int lineage_graph_build(struct store *store, size_t bytes_max, struct lineage_graph **ret);
void lineage_graph_free(struct lineage_graph *graph); /* NULL is fine */
/* Reads a run again. No source of the graph is in use. -EFBIG. */
int lineage_graph_reload(struct lineage_graph *graph, uint32_t run);
/* Many at a time may be open, while nobody reloads. */
struct lineage_source *lineage_source_graph(struct lineage_graph *graph);
bool lineage_graph_place(const struct lineage_graph *graph, uint32_t version,
			 struct lineage_place *ret);
size_t lineage_graph_bytes(const struct lineage_graph *graph);
uint64_t lineage_graph_edges(const struct lineage_graph *graph);

#endif
