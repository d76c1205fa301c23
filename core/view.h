/*
 * view.h - how a run sees artifacts: behind an alias it sees one version, from the first time it
 * looks until it ends, or until it logs into that collection itself. What /view/<run> shows has
 * inode numbers of its own.
 */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include "artifact.h"

/*
 * The version that the run sees behind the alias; a running run sees it from now on. With run 0,
 * and once a run has ended without having looked, the one that the alias names now. -ENOENT.
 */
int view_resolve(struct store *store, uint32_t run, uint32_t collection, struct slice alias,
		struct version *ret);
/* reference_resolve() as the run sees it. */
int view_resolve_reference(struct store *store, uint32_t run, const struct reference *ref,
			  struct version *ret);

/* In a transaction: from now on the run sees the version behind the alias. */
int view_pin(struct kv_txn *txn, uint32_t run, struct slice alias, const struct version *version);
/*
 * The first pin of a run after that of a collection and alias (0, "": the first): 1, 0, -errno.
 */
int view_pin_next(struct store *store, uint32_t run, uint32_t *collection, struct buf *alias,
		  uint32_t *ret_version);

/*
 * The first of as many inode numbers as the version has nodes, the run's for ever: those of the
 * version's files in /view/<run>.
 */
int view_first_ino(struct store *store, uint32_t run, const struct version *version,
		   uint64_t *ret);

/*
 * Has the run looked at the files of the version in its view, or does it see it behind an alias?
 * What it knows it keeps until the bytes go. 1, 0, -errno.
 */
int view_knows(struct store *store, uint32_t run, const struct version *version);

/* In the transaction in which the run logs into the collection: it sees its aliases move again. */
int view_unpin(struct kv_txn *txn, uint32_t run, uint32_t collection);

#endif
