/*
 * kv_conflict.h - which transactions of one process met: optimistic control of a store that has
 * snapshots and atomic batches, and nothing else.
 *
 * Commits are numbered. A transaction begins at the number up to which all commits are written, and
 * takes its snapshot after that. When it wants to commit, no key that it has read or written may
 * have been written by a later commit; then it gets a number, and what it writes has that number
 * from then on, before the first byte is written: so who begins meanwhile and touches one of these
 * keys cannot commit. Keys are 64-bit hashes: two that share one make a transaction run again.
 *
 * Only the keys of recent commits are remembered. A transaction that began before those that are
 * forgotten cannot be checked, and has to run again as well.
 *
 * Threads: any. What is locked is short, and no I/O.
 */
#ifndef CORE_KV_CONFLICT_H
#define CORE_KV_CONFLICT_H

#include "base.h"

struct kv_conflicts;

struct kv_conflicts *kv_conflicts_new(void);
void kv_conflicts_free(struct kv_conflicts *c);

/* The hash of a key, in a space. */
uint64_t kv_conflict_hash(unsigned space, struct slice key);

/* The number to begin at. */
uint64_t kv_conflict_begin(struct kv_conflicts *c);
/* Has any of the keys changed since? It cannot be said: it has. For who writes nothing. */
bool kv_conflict_check(struct kv_conflicts *c, uint64_t begin, const uint64_t *keys, size_t n);
/*
 * The same, and if not, a number for the commit that writes those keys from written on (the others
 * were read). -EAGAIN. kv_conflict_written() is to follow, however the writing went.
 */
int kv_conflict_commit(struct kv_conflicts *c, uint64_t begin, const uint64_t *keys, size_t n,
		       size_t written, uint64_t *ret);
/* Without a check. */
uint64_t kv_conflict_force(struct kv_conflicts *c, const uint64_t *keys, size_t n);
void kv_conflict_written(struct kv_conflicts *c, uint64_t number);

#endif
