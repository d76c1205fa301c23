/*
 * borrow.h - files of drafts that borrow their bytes from a blob: what a link to a large file of a
 * version makes. Nothing is copied until somebody writes.
 *
 * A borrowed file is an inode of its own, so its mode, owner, times and names are its draft's
 * alone, whoever else has links to the same version, and equal files stay several. It has the right
 * size, no bytes (one hole) and the extended attribute BORROW_XATTR, whose value is the blob's id.
 * Nobody reads it: who opens it reads the blob's file. Before it is written to it gets the bytes,
 * or is emptied, and the attribute goes (borrow_own). The attribute counts only while the file is
 * larger than what is packed.
 *
 * The bytes stay as long as a run borrows from a version, whatever becomes of that: the run refers
 * to its root page (F, and the page's P), durably, before the first such file appears. These rows
 * go when the run's drafts are gone, not with the single file.
 */
#ifndef CORE_BORROW_H
#define CORE_BORROW_H

#include "draft.h"

#define BORROW_XATTR "user.lineagefs.borrowed"

/* Does this file borrow, and from which blob (ret may be NULL)? st is its stat. */
bool borrow_fd_is(int fd, const struct stat *st, struct blob_id *ret);
bool borrow_path_is(const char *path, const struct stat *st, struct blob_id *ret);

/* What is to be made in a draft. */
struct borrowing {
	struct digest digest;
	uint64_t size;
	mode_t mode; /* permission bits */
	struct timespec mtime;
};

/* From now on the run keeps what the version consists of. -ENOENT: its bytes are gone. */
int borrow_keep(struct store *store, uint32_t run, uint32_t version);
/*
 * Makes a file that appears whole; of the calling thread's fsuid. Small ones get their bytes, large
 * ones borrow them; borrow_keep() comes before. -EEXIST; -EXDEV: files cannot borrow here, copy.
 */
int borrow_make(struct store *store, const struct borrowing *b, int directory, const char *name);
/* Are the bytes there, and good? */
bool borrow_is_kept(struct store *store, const struct blob_id *id);
/*
 * The blob's file, to read a borrowed one by: a descriptor, owned by the caller. -EIO: it is gone,
 * which is logged.
 */
int borrow_open(struct store *store, const struct blob_id *id, uint64_t size);
/*
 * Gives a borrowed file bytes of its own, or with truncate none. As draft_unshare(), but the inode
 * stays; path leads to it as one of draft_path_is_shared() does, while the caller has it open.
 */
int borrow_own(struct draft_top *top, const char *path, bool truncate, const bool *stop,
	       draft_swap *swap, void *arg);
/* Forgets what a run has borrowed, whose drafts are gone. 1: there was something to reap. */
int borrow_forget(struct store *store, uint32_t run);
/* The same for all runs that are gone or have finished; reaps then, and if there is more to. */
int borrow_sweep(struct store *store, bool more);
/*
 * After a copy of the store lost all extended attributes: what was borrowed cannot be told any
 * more, and is bad.
 */
int borrow_mark_lost(struct store *store);

#endif
