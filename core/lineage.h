/*
 * lineage.h - everything a node was made from, and everything made from it.
 *
 * What depends on what: a version depends on its first producer, and on those inputs of that run
 * that were first used before the version was logged, by commit sequence; a run depends on all that
 * it used. Later producers of equal content reproduced it: they are shown, and not walked. So the
 * dependencies of versions have no cycle, whatever runs read.
 *
 * The edges are kept in memory, in arrays of 32-bit ids, built by one scan when they are first
 * asked for and brought up to date before each answer by reading again the runs that changed
 * (edges_changed() in core/edge.h). A store with more edges than the option allows is walked by
 * prefix scans instead; answers are the same. An answer costs what it has, not what the store has.
 *
 * Threads: everything may be called from any thread.
 */
#ifndef CORE_LINEAGE_H
#define CORE_LINEAGE_H

#include "edge.h"
#include "store.h"

enum lineage_kind { LINEAGE_VERSION, LINEAGE_RUN };

struct lineage_node {
	enum lineage_kind kind;
	uint32_t id;
};

enum lineage_direction { LINEAGE_UP, LINEAGE_DOWN };

/* Everything above or below a node, without the node itself. Shared; never changes. */
struct lineage_closure {
	unsigned references;
	struct lineage_node of;
	enum lineage_direction direction;
	uint32_t *versions; /* sorted */
	size_t version_count;
	uint32_t *runs; /* sorted */
	size_t run_count;
	bool truncated; /* there is more than the option `lineage_nodes` allows */
};

struct lineage;

struct lineage *lineage_new(struct store *store);
void lineage_free(struct lineage *lineage); /* NULL is fine */

/* -ENOENT: no such node. To be put back. */
int lineage_closure_get(struct store *store, struct lineage_node of,
			enum lineage_direction direction, struct lineage_closure **ret);
void lineage_closure_put(struct store *store, struct lineage_closure *closure);

static inline bool lineage_has(const uint32_t *ids, size_t count, uint32_t id)
{
	size_t from = 0, to = count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (ids[middle] < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from < count && ids[from] == id;
}

/* Where a version is, and whether everybody may read it: at hand for those in memory. */
struct lineage_place {
	uint32_t collection, number;
	bool readable;
};
/* -ENOENT. */
int lineage_place_of(struct store *store, uint32_t version, struct lineage_place *ret);

/* What the mount tells of the graph: names and numbers for the status document. */
void lineage_stats(struct store *store, void (*each)(void *arg, const char *name, uint64_t n),
		   void *arg);

#endif
