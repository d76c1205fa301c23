/*
 * publish.h - the log protocol: drafts become versions.
 *
 * What is on disk at each step, so that a crash at any instant loses nothing and leaves nothing:
 *  1. An intent row. Until it is deleted, all of what follows belongs to it.
 *  2. For each batch: a part of the intent that names the blobs and pages about to be put (durable
 *     before a large file is linked); then the bytes (large files are marked, linked, synced);
 *     then, in one transaction, the rows of blobs and pages and what they refer to. That
 *     transaction reads the row of every blob it refers to, so none can be removed under it. One
 *     batch is put at a time, in order, while files of the next are read by several threads.
 *  3. Under the freeze of the drafts, after it was seen that nothing changed since it was read: one
 *     transaction with the versions, their edges, `latest`, the run's state and `log`, and without
 *     the intent. It is durable when the write to `log` or `state` returns.
 *  4. The intent's parts go, at leisure.
 * Recovery drops intents: references of the intent are dropped, what they referred to is doomed
 * (core/reap.h), bytes that no row names are removed.
 */
#ifndef CORE_PUBLISH_H
#define CORE_PUBLISH_H

#include "artifact.h"

struct run_end; /* core/run.h */

struct publish_request {
	uint32_t run;
	const struct cred *cred; /* who asks, and needs write permission on the collections */
	struct slice name;	 /* log this draft; empty: finish, logging all that changed */
	struct slice type;	 /* of the artifact; empty: as it is. Only with a name */
	/* What else the version is to be called, or the one of equal content. Only with a name. */
	const struct slice *aliases, *tags;
	size_t alias_count, tag_count;
	const struct run_end *end; /* when finishing, how the command ended. May be NULL */
	const bool *stop;	 /* becomes true: -EINTR, nothing logged. May be NULL */
};

/*
 * Logs. The results, or the reason of the failure, are in the run's `log` afterwards.
 * -ENOENT no such draft; -EROFS the run is not running (finish: has finished already); -EBUSY a
 * file is open for writing, or the draft keeps changing; -EACCES the collection is another's;
 * -EINVAL the type does not fit, an alias or tag is none, or the draft has a socket or pipe; -EPERM
 * an alias that others may move alone; -EINTR; -ENOSPC; -EIO.
 */
int publish(struct store *store, const struct publish_request *request);

/* Drops what interrupted logs left. */
int publish_recover(struct store *store);

#endif
