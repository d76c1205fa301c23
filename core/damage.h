/*
 * damage.h - blobs that are known to be bad: their bytes are not those of their digest, or are not
 * there. Who finds one says so; from then on it is not read any more (-EIO), until somebody logs
 * the same bytes again, who puts a good copy in its place, or it is found to be good after all.
 *
 * A mark is a row of its own, `!` and the digest, and counts for one generation of the blob alone.
 * A healthy store has none, and asking costs nothing then.
 */
#ifndef CORE_DAMAGE_H
#define CORE_DAMAGE_H

#include "codec.h"
#include "store.h"

/* When a store is opened: are there marks? */
int damage_load(struct store *store);
/* How many blobs are marked. */
uint64_t damage_count(const struct store *store);
/* Is the blob that is there now marked? */
bool damage_is(struct store *store, const struct digest *digest);
/*
 * Marks a blob, with an event, and logs it; unless another generation is current by now, or it is
 * marked already.
 */
void damage_tell(struct store *store, const struct blob_id *id, const char *why);
/* It is good: takes the mark off, with an event. Nothing happens to what has none. */
int damage_heal(struct store *store, const struct blob_id *id);
/*
 * In a transaction that puts new bytes for the digest: if the blob of this row is marked, takes the
 * mark off, with an event: 1; 0: it is not, or -errno. damage_load() after the commit.
 */
int damage_replace(struct kv_txn *txn, struct store *store, const struct blob_id *id,
		   uint64_t size);

/* The digests that are marked, sorted: at most max of them. */
struct damage_list {
	struct digest *digests;
	size_t count;
};

int damage_list(struct store *store, size_t max, struct damage_list *ret);
void damage_list_release(struct damage_list *l);
bool damage_list_has(const struct damage_list *l, const struct digest *digest);

/* Reads a small blob whole, and compares it with its digest. 0; -EIO: it is bad; -errno. */
int damage_verify_small(struct blob *blob, const struct digest *digest);

#endif
