/*
 * gc.h - taking away what nobody needs: what was long enough in the trash, versions that a policy
 * selects, and then the bytes that nobody refers to any more.
 *
 * The work is done in steps, each of which starts from what the store says. So nothing is lost when
 * it ends at any point, by kill or power cut, and whoever goes on, from the start or from the
 * cursor, does the rest.
 *
 * A version that the policy selects goes in two transactions: to the trash, where nobody can begin
 * to need it, and for good when a second look says that nobody began just before. It is marked as
 * discarded meanwhile: what a crash leaves between the two is finished later.
 *
 * Never selected: what `latest` or an alias names, and what a running run uses, has logged, or sees
 * behind an alias.
 */
#ifndef CORE_GC_H
#define CORE_GC_H

#include "usage.h"

struct gc_policy {
	bool empty_trash; /* all of it, not just what is old */
	/* Of the live versions of each collection those are selected that all say which are set. */
	bool has_keep_last, has_unused;
	uint32_t keep_last;   /* all but so many with the highest numbers */
	uint32_t unused_days; /* neither made, logged again nor used by a run for so long */
};

enum gc_phase { GC_TRASH, GC_VERSIONS, GC_REAP, GC_DONE, GC_PHASES };

/* Where the next step begins; all 0: at the start. */
struct gc_cursor {
	enum gc_phase phase;
	uint32_t collection;
	uint32_t number; /* the first that was not looked at */
};

/* What gc would purge now. -EINTR: *stop became true. */
int gc_select(struct store *store, const struct gc_policy *policy, const bool *stop,
	      struct usage_set *ret);
/*
 * Works for about so many milliseconds. 1: there is more, 0: all is done. Adds the versions that
 * were purged. On failure the cursor stands where it stood.
 */
int gc_step(struct store *store, const struct gc_policy *policy, unsigned ms, const bool *stop,
	    struct gc_cursor *cursor, uint64_t *purged);

#endif
