/*
 * reap.h - taking away pages and blobs that nobody refers to.
 *
 * Whoever drops a reference puts what it referred to on the list of the doomed, in the same
 * transaction. reap_run() later looks at each doomed thing in a transaction that reads its entry of
 * the list: if it has referrers it is only taken off the list, else it goes, and what it referred
 * to is doomed in turn. Whoever adds a reference reads the entry as well and removes it
 * (reap_spare_*). So the two cannot miss each other, although neither writes to the thing itself: a
 * reference that was committed before the dooming is seen by the look, one that is committed after
 * it has changed the entry that the look has read, which therefore runs again.
 *
 * The bytes of a blob go after its row is gone, from a list of names of their own, which a crash
 * leaves to be finished at the next start; bytes that come back meanwhile have a new generation.
 */
#ifndef CORE_REAP_H
#define CORE_REAP_H

#include "codec.h"
#include "store.h"

/* So many things are no trouble to who waits for something else. */
#define REAP_AT_ONCE 10000

int reap_doom_page(struct kv_txn *txn, uint64_t page);
int reap_doom_blob(struct kv_txn *txn, const struct digest *digest);
/* Bytes that no row names (any more). */
int reap_doom_bytes(struct kv_txn *txn, const struct blob_id *id, uint64_t size);

/*
 * A reference was dropped in this transaction of a page that others most likely refer to: it is
 * doomed if none does, or if it is already, so that a look under way, which may have seen the
 * reference, runs again.
 */
int reap_release_page(struct kv_txn *txn, uint64_t page);

/* A reference is being added in this transaction. */
int reap_spare_page(struct kv_txn *txn, uint64_t page);
int reap_spare_blob(struct kv_txn *txn, const struct digest *digest);

/*
 * Works off the lists, one thread at a time: waits for others. -errno of the first failure, the
 * rest stays listed. stop, if not NULL, becomes true: -EINTR, with more to do.
 */
int reap_run(struct store *store);
int reap_until(struct store *store, const bool *stop);
/*
 * The same for who has other things to do: no more than so many, and none while another thread is
 * at it. 1: there may be more.
 */
int reap_some(struct store *store, size_t most);
/* Has the janitor do it. */
void reap_soon(struct store *store);
/* Bytes of blobs that went since the store was opened, by whomever. */
uint64_t reap_freed(const struct store *store);

#endif
