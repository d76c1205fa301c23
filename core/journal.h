/*
 * journal.h - the audit log: a line for every change that was committed, each with the hash of the
 * line before it (core/document_event.h). Changes put their events side by side (core/event.h); here
 * they are put in a row afterwards, by one at a time, so that no change waits for another.
 *
 * A line is a row whose key is the offset behind it. So the first row after an offset has the byte
 * there, and a read costs one seek and the lines that it returns, wherever it is. Taking events,
 * their lines and the head that says where the journal ends are one transaction: a crash leaves all
 * of it or none, and what was not taken is taken later.
 *
 * The journal does not end as its head says: then somebody edited the store. That is said in the
 * log and, for good, in the head; the next line has the hash that the head has, so that the break
 * stays in the chain.
 *
 * All functions are thread-safe.
 */
#ifndef CORE_JOURNAL_H
#define CORE_JOURNAL_H

#include "codec.h"
#include "store.h"

/*
 * With store->options.journal_ms a thread takes events so often. At the start all there are are
 * taken, at the end what came since, if there is a thread.
 */
int journal_start(struct store *store, struct journal **ret);
void journal_stop(struct journal *j); /* NULL is fine */

/*
 * Takes every event that was committed before the call. What cannot be written now, as on a full
 * disk, is taken later.
 */
void journal_catch_up(struct store *store);

/* Where it ends, after catching up. */
void journal_end(struct store *store, struct journal_head *ret);
/*
 * Bytes from an offset on: how many, 0 at the end. A line that is missing in the middle is -EIO.
 * Catches up if it ends before what is asked for.
 */
ssize_t journal_read(struct store *store, void *to, size_t len, uint64_t offset);

#endif
