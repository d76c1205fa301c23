/*
 * scrub.h - reads all large blobs again and again, in the background, and tells which are damaged
 * (core/damage.h). Small ones, and pages, are looked at whenever they are read.
 *
 * At most so many bytes a second, with the lowest priority for the disk and the processor. A round
 * goes in order of digests, and its place is kept in the store, so that one goes on after a
 * restart; the next one begins a week after it began, or when it has ended if it took longer.
 */
#ifndef CORE_SCRUB_H
#define CORE_SCRUB_H

#include "store.h"

struct scrub;

/* Option scrub_bytes 0: nothing is started, *ret is NULL. */
int scrub_start(struct store *store, struct scrub **ret);
void scrub_stop(struct scrub *s); /* NULL is fine */

/* Where it is: bytes read in this round; when it began, ns; whether it has ended. */
struct scrub_state {
	uint64_t started, bytes, ended; /* 0: never; not yet */
};

int scrub_state(struct store *store, struct scrub_state *ret);

/*
 * Reads the blobs from *at on (zeros: the first), and leaves the digest of the last one there. 1:
 * there are more; 0: that was the last; -EINTR. For the thread, and for tests. pace is called with
 * the bytes of each block that was read; a result that is not 0 ends it.
 */
int scrub_some(struct store *store, struct digest *at, int (*pace)(void *arg, size_t bytes),
	       void *arg);

#endif
