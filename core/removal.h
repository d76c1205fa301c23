/*
 * removal.h - versions go to the trash, come back, and are purged. A purged version keeps its
 * number, its label and its edges, so that lineage stays whole; its bytes go (core/reap.h).
 */
#ifndef CORE_REMOVAL_H
#define CORE_REMOVAL_H

#include "artifact.h"

/*
 * To the trash. If it was the one, `latest` moves to the highest live version. -ENOENT: not live;
 * -EBUSY: an alias other than latest names it. What names a version writes its row again
 * (version_write), so that removing it and naming it cannot miss each other.
 */
int version_remove(struct store *store, uint32_t version);
/*
 * The same for who purges it at once (core/gc.h). Its time is the second at which the store was
 * opened, not a moment in nanoseconds: this tells what is to be purged, and by whom, from what an
 * earlier daemon left, which is very old.
 */
int version_discard(struct store *store, uint32_t version);
static inline bool version_is_discarded(const struct version *v)
{
	return v->removed > 0 && v->removed < 1000000000000;
}
/* Back from the trash; `latest` is its if it is the highest. -ENOENT: not in the trash. */
int version_restore(struct store *store, uint32_t version);
/*
 * The same in a transaction whose caller writes the collection afterwards: it always must, for who
 * looks for the highest version reads its record. run: its name, for the event, or NULL.
 */
int version_put_back(struct kv_txn *txn, struct store *store, struct collection *c,
		     struct version *v, const char *run);
/*
 * For good, from the trash (-ENOENT: not in it); its bytes go with the next reap_run(), unless
 * something else refers to them.
 */
int version_purge(struct store *store, uint32_t version);
/* Versions in the trash, by collection and number; start with 0, -1. 1, 0, -errno. */
int version_removed_next(struct store *store, uint32_t collection, int64_t number,
			 struct version *ret);
/* Likewise those that are purged. */
int version_purged_next(struct store *store, uint32_t collection, int64_t number,
			struct version *ret);
/*
 * Purges what has been in the trash since before a time, ns; for the janitor. stop becomes true:
 * what is left, stays. How many went, or -errno of the first failure.
 */
int version_purge_older(struct store *store, uint64_t before, const bool *stop);

/*
 * Told of every version that was removed, came back or was purged, after the commit and from any
 * thread, also with locks held: it only takes a note. To set it, or take it away with NULL, waits
 * for a call under way.
 */
void version_on_change(struct store *store, void (*changed)(void *arg, const struct version *v),
		       void *arg);
/* For who put a version back in a transaction of its own. */
void version_changed(struct store *store, const struct version *v);

#endif
