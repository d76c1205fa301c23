/*
 * alias.h - names for versions that people move by hand: one row by name, one from the version's
 * side. `latest` is none of these: it is the collection's, and moves by itself. An alias names a
 * live version of its own collection, and while it does that version cannot be removed
 * (core/removal.h): whoever sets one writes the version's record, whoever removes the version reads
 * it.
 *
 * Protected aliases (option protected_aliases) are changed by root and by the store's owner alone.
 */
#ifndef CORE_ALIAS_H
#define CORE_ALIAS_H

#include "artifact.h"

/*
 * May an alias be called so? 0; -EINVAL: a bad name, or one of versions; -EPERM: `latest`;
 * -EEXIST: something else is called so in every collection.
 */
int alias_name_check(struct slice name);
/* May this user make, move or remove it? */
bool alias_may_change(const struct store *store, struct slice name, uid_t uid);

/*
 * In a transaction: makes the alias, or moves it, to a live version of c, with an event if that
 * changes something. The name was checked. run: the name of the run that asks for it; NULL: none.
 */
int alias_put(struct kv_txn *txn, struct store *store, const struct collection *c,
	      struct slice name, const struct version *v, const char *run);
/* In a transaction: does an alias name the version, besides `latest`? 1, 0, -errno. */
int alias_of_version_any(struct kv_txn *txn, uint32_t version);

/*
 * Makes the alias, or moves it unless keep (-EEXIST). As alias_name_check(); -EPERM: protected;
 * -ENOENT: no live version of this collection. One that is there already is no change.
 */
int alias_set(struct store *store, uint32_t collection, struct slice name, uint32_t version,
	      bool keep, const struct cred *cred);
/* -ENOENT; -EPERM: `latest`, or protected. */
int alias_remove(struct store *store, uint32_t collection, struct slice name,
		 const struct cred *cred);
/* Replaces new_name if that exists, unless keep (-EEXIST). The alias keeps its slot. */
int alias_rename(struct store *store, uint32_t collection, struct slice name,
		 struct slice new_name, bool keep, const struct cred *cred);

/* -ENOENT. */
int alias_find(struct store *store, uint32_t collection, struct slice name, struct alias *ret);
/* The first alias of a collection that is greater than after: 1, 0, -errno. */
int alias_next(struct store *store, uint32_t collection, struct slice after, struct alias *ret,
	       struct buf *ret_name);
/* Likewise of a version. */
int alias_of_version_next(struct store *store, uint32_t version, struct slice after,
			  struct buf *ret_name);

/*
 * The version that the target of a link in a collection means: a version's name, an alias, or
 * whatever core/name.h takes for a reference. Aliases as the run sees them, 0: as they are now.
 * -EINVAL: none of these, or of another collection, or a file in the version; -ENOENT.
 */
int alias_resolve(struct store *store, uint32_t run, const struct collection *c,
		  struct slice target, struct version *ret);

#endif
