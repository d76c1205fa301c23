/*
 * usage.h - how many bytes versions hold, and how many of those would be free without them.
 *
 * Content is shared: a page goes when all that refer to it go, a blob when all pages do that have a
 * file of its bytes (core/reap.h). So the pages below the versions are walked from above, each
 * once, and what refers to a page or blob is counted only as far as it takes to see that somebody
 * else does. Bytes are those of files, each content once; pages and rows are not counted.
 */
#ifndef CORE_USAGE_H
#define CORE_USAGE_H

#include "artifact.h"

/* A set of versions, by id; each may be in it more than once. */
struct usage_set {
	uint32_t *ids;
	size_t count, cap;
};

void usage_set_add(struct usage_set *set, uint32_t version);
void usage_set_release(struct usage_set *set);

struct usage {
	uint64_t versions;
	uint64_t total;	 /* of different contents of their files */
	uint64_t freed;	 /* of it, what goes when they are purged */
	uint64_t shared; /* the rest: others have it as well, a log under way among them */
};

/* Versions that are purged hold nothing. -EINTR: *stop became true (NULL: never). */
int usage_of(struct store *store, const struct usage_set *set, const bool *stop,
	     struct usage *ret);
/*
 * What reap_run() would free if the versions had been purged: with what nobody refers to already.
 */
int usage_reclaimable(struct store *store, const struct usage_set *set, const bool *stop,
		      uint64_t *ret_bytes);

/*
 * Adds the versions of a name: `mnist:v3` (also from the trash), `mnist:latest`, or all live ones
 * of `mnist`. Of a collection, those that cred may not read are left out and counted. -ENOENT;
 * -EACCES; -EINVAL: it names neither.
 */
int usage_find(struct store *store, const struct cred *cred, struct slice name,
	       struct usage_set *set, uint64_t *ret_unreadable);

#endif
