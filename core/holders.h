/*
 * holders.h - which versions hold some bytes: found by their digest, going up from the pages that
 * have a file of it (rows b) to what refers to those (rows P), until versions are reached. Nothing
 * is written for it when a version is logged that its trees do not need anyway.
 *
 * A digest may also be that of a directory: then it is the versions that have such a directory, or
 * are it. What a version holds never changes, so what was found once is kept, for the last few
 * digests that were asked for: it only says where to look, never whether a version is still there.
 */
#ifndef CORE_HOLDERS_H
#define CORE_HOLDERS_H

#include "digest.h"
#include "index.h"

/* An answer: all versions, in order of their ids, live or not, seen by the caller or not. */
struct holders {
	unsigned references;
	struct digest digest;
	uint32_t *versions;
	size_t count;
	bool truncated; /* there are more than the option `lineage_nodes` allows, or as many pages */
};

struct holders_cache *holders_cache_new(void);
void holders_cache_free(struct holders_cache *cache); /* NULL is fine */

/* As it is now; to be put back. */
int holders_get(struct store *store, const struct digest *digest, struct holders **ret);
void holders_put(struct store *store, struct holders *h);

/*
 * Of an answer, items from *at on that are live and that cred sees: how many, at most max; 0 at the
 * end; -errno. *at starts as 0.
 */
int holders_next(struct store *store, const struct holders *h, const struct cred *cred, size_t *at,
		 struct index_item *ret, size_t max);

/* Is there any version of these bytes that cred sees? 1, 0, -errno. */
int holders_any(struct store *store, const struct digest *digest, const struct cred *cred);
/* The version of this label, if it holds the bytes and cred sees it. -ENOENT. */
int holders_find(struct store *store, const struct digest *digest, const char *label,
		 const struct cred *cred, struct index_item *ret);

#endif
