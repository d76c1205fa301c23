/*
 * index.h - finding things by what is said of them: collections by their type, runs by their job
 * type, versions and runs by their tags. The rows are written with what they find, by
 * core/artifact.c, run_note.c and version_note.c.
 *
 * Everybody sees what core/viewer.h says, and a name with nothing under it that the caller sees
 * does not exist for it. Names are in byte order, what is under one in the order of ids, runs before
 * versions. A function reads one instant; cred NULL: nobody in particular.
 */
#ifndef CORE_INDEX_H
#define CORE_INDEX_H

#include "artifact.h"

enum index { INDEX_TYPES, INDEX_JOBS, INDEX_TAGS };
enum index_kind { INDEX_COLLECTION = 1, INDEX_RUN, INDEX_VERSION };

struct index_item {
	enum index_kind kind;
	uint32_t id;
	uint32_t slot; /* of the tag, in the version or run it is of; else 0 */
	char name[NAME_MAX_BYTES + 16]; /* of a version its label */
};

/* The first name after another ("": the first) under which there is something: 1, 0, -errno. */
int index_next_name(struct store *store, enum index index, struct slice after,
		    const struct cred *cred, struct buf *ret);
/*
 * The next items under a name, at most max: how many, 0 at the end, -errno. at says where to go on;
 * it starts empty, and is the caller's to release.
 */
int index_next(struct store *store, enum index index, struct slice name, const struct cred *cred,
	       struct buf *at, struct index_item *ret, size_t max);
/* Is there anything under a name? 1, 0, -errno. */
int index_has(struct store *store, enum index index, struct slice name, const struct cred *cred);
/* -ENOENT. */
int index_find(struct store *store, enum index index, struct slice name, const char *item,
	       const struct cred *cred, struct index_item *ret);

/* Fills kind, id and name. */
void index_version_item(const struct version *v, const struct collection *c,
			struct index_item *ret);

#endif
