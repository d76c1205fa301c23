/*
 * beside.h - what tools do to edit a text, other than writing into it: they make a temporary file
 * beside it and rename that over it; or rename it away as a backup and make it anew; or remove it
 * and make it anew.
 *
 * So in directories whose kind has texts, small regular files may be made. They are in memory,
 * belong to the mount and go with it: only what is renamed over a text is kept. A text that was
 * renamed away or removed is hidden, neither found nor listed, until it is made anew, something is
 * renamed over it, or the next mount. A name of such a directory that means something else (find of
 * its kind) goes before a file beside.
 *
 * Thread-safe. No lock is held while a text is committed.
 */
#ifndef FS_BESIDE_H
#define FS_BESIDE_H

#include "node.h"

/* Bytes of one file: a text of 1 MiB with an editor's swap file for it; and of all. */
#define BESIDE_FILE_MAX (4u << 20)
#define BESIDE_BYTES_MAX (64u << 20)
#define BESIDE_FILES_MAX 1000

/* What was asked is about neither a text nor a file beside one: it goes on elsewhere. */
#define BESIDE_ELSEWHERE 1

struct beside;

struct beside *beside_new(void);
/* When no node is left. */
void beside_free(struct beside *b);

/* Was this child, which is always there, taken away? */
bool beside_hides(struct vfs *vfs, uint64_t ino);
/*
 * Was it made anew, and is still open from then? Who does that gives it a mode and an owner, that
 * are the directory's affair.
 */
bool beside_makes(struct vfs *vfs, uint64_t ino);
/* It was closed. */
void beside_made(struct vfs *vfs, uint64_t ino);

/* -ENOENT. */
int beside_find(struct vfs *vfs, struct node *dir, const char *name, struct node *ret);
/* The first whose name is greater than after: 1, 0. */
int beside_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		struct node *ret);

/* As the hooks of struct node_edit, of a directory with texts. */
int beside_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  mode_t mode, int flags, struct vfs_open *ret);
int beside_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		 mode_t mode, struct node *ret);
/* Or BESIDE_ELSEWHERE. */
int beside_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name);
int beside_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  struct node *new_dir, const char *new_name, unsigned flags);

#endif
