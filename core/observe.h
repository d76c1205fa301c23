/*
 * observe.h - inputs seen: a process of a run opened a file of a version, and so the run uses that
 * version. The edge is durable when the first open returns; how often files were opened is counted
 * in memory and written every few seconds, at the latest when the store is closed.
 *
 * Only running runs get edges, and none to what they logged themselves.
 */
#ifndef CORE_OBSERVE_H
#define CORE_OBSERVE_H

#include "store.h"

struct observer;

int observer_start(struct store *store, struct observer **ret);
/* Writes what was counted. */
void observer_stop(struct observer *observer); /* NULL is fine */

/* The run opens a file of the version for reading. -EIO, -ENOSPC: the edge could not be written. */
int observe_version(struct store *store, uint32_t run, uint32_t version);
/* The run opens a file of a draft of another run: edge_add_peek(). */
int observe_draft(struct store *store, uint32_t run, uint32_t other);
/* A process that is not visible to us opens a file of the version. */
void observe_unseen(struct store *store, uint32_t version);
/* Opens of the version by processes that were not visible. */
int observe_count_unseen(struct store *store, uint32_t version, uint64_t *ret);

/* Writes what was counted until now. */
int observe_flush(struct store *store);

#endif
