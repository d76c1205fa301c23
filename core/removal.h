/*
 * removal.h - versions go to the trash, come back, and are purged. A purged version keeps its
 * number, its label and its edges, so that lineage stays whole; its bytes go (core/reap.h).
 */
#ifndef CORE_REMOVAL_H
#define CORE_REMOVAL_H

#include "artifact.h"

/*
 * To the trash. `latest` moves to the highest live version. -ENOENT: not live; -EBUSY: an alias
 * other than latest names it.
 */
int version_remove(struct store *store, uint32_t version);
/* Back from the trash, `latest` as after a log. -ENOENT: not in the trash. */
int version_restore(struct store *store, uint32_t version);
/*
 * For good, from the trash (-ENOENT: not in it); its bytes go with the next reap_run(), unless
 * something else refers to them.
 */
int version_purge(struct store *store, uint32_t version);
/* Versions in the trash, by collection and number; start with 0, -1. 1, 0, -errno. */
int version_removed_next(struct store *store, uint32_t collection, int64_t number,
			 struct version *ret);
/* Purges what has been in the trash since before a time, ns; for the janitor. */
int version_purge_older(struct store *store, uint64_t before);

#endif
