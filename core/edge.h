/*
 * edge.h - the edges between runs and versions: `use` (the run read the version) and `logged` (the
 * run logged it, or its equal); and between runs: `peeked` (the run read a draft of another that
 * was not logged, so there is no version to name). Every edge is two rows, one from each side,
 * written together.
 */
#ifndef CORE_EDGE_H
#define CORE_EDGE_H

#include "store.h"
#include "codec.h"

/*
 * After the commit: edges of the run came, went or changed. Who keeps a copy of the edges takes the
 * runs that changed since the last time, which is remembered from the first taking on; false: take
 * all of them as changed. The array is owned by the caller.
 */
void edges_changed(struct store *store, uint32_t run);
bool edges_have_changed(struct store *store);
bool edges_take_changed(struct store *store, uint32_t **ret_runs, size_t *ret_count);

/* From which side edges are listed; the other end's id orders them. */
enum edge_side {
	EDGE_RUN_USES,	      /* from a run: the versions it used */
	EDGE_VERSION_USED_BY, /* from a version: the runs that used it */
	EDGE_RUN_LOGGED,      /* from a run: the versions it logged */
	EDGE_VERSION_LOGGED_BY, /* from a version: the runs that logged it */
	EDGE_RUN_PEEKED,	/* from a run: the runs of which it read an unlogged draft */
	EDGE_RUN_PEEKED_BY,	/* from a run: the runs that read a draft of it, unlogged */
};

/*
 * Adds a use, or to one: first time and sequence stay, flags and counts add up. edge->sequence is
 * taken by the caller inside the transaction (store_new_ids of ID_SEQUENCE), after what it depends
 * on was read.
 */
int edge_add_use(struct kv_txn *txn, uint32_t run, uint32_t version, const struct edge *edge);
/*
 * When a run last used the version, by any edge, also one that was taken back: time, or 0. It is
 * exact to a step: a use so soon after the one that is known is not written down.
 */
#define EDGE_LAST_USE_STEP 1000000000ull
int edge_last_use(struct kv *kv, uint32_t version, uint64_t *ret);
/* Takes the declaration back: the edge goes unless it was observed as well. */
int edge_remove_declared(struct kv_txn *txn, uint32_t run, uint32_t version);
/* An edge that is there already stays as it is. */
int edge_add_logged(struct kv_txn *txn, uint32_t run, uint32_t version, const struct edge *edge);

/*
 * The run has opened so many more files of what it uses, or peeked at. No edge: nothing happens.
 */
int edge_count_opens(struct kv_txn *txn, enum edge_side side, uint32_t run, uint32_t to,
		     uint64_t opened, uint64_t last);
/* The run read what another has not logged (yet); again: counts. */
int edge_add_peek(struct kv_txn *txn, uint32_t run, uint32_t other, const struct edge *edge);

/* In a transaction: 0 there is none; else its flags and EDGE_THERE. */
#define EDGE_THERE (1 << 16)
int edge_exists(struct kv_txn *txn, enum edge_side side, uint32_t from, uint32_t to);

/* -ENOENT. */
int edge_get(struct kv *kv, enum edge_side side, uint32_t from, uint32_t to, struct edge *ret);
/*
 * The first edge from `from` whose other end is greater than after (0: the first). 1 and the edge,
 * 0 at the end, -errno. ret_edge may be NULL.
 */
int edge_next(struct kv *kv, enum edge_side side, uint32_t from, uint32_t after, uint32_t *ret_to,
	      struct edge *ret_edge);

#endif
