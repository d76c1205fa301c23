/*
 * refused.h - a line in the daemon's log for what a caller asked in vain: a bad name, a bad text,
 * an edit of something sealed. It is no error of ours, so the line is an info; what scripts try as
 * a matter of course (names that are there, or not; modes) has none. At most some lines a second:
 * how many were left out is said later.
 */
#ifndef FS_REFUSED_H
#define FS_REFUSED_H

#include "node.h"
#include "vfs.h"

/* What was asked: at a node, a name in it, and what else came with it; both may be empty. */
void refused(struct vfs *vfs, const struct vfs_call *call, const char *operation, uint64_t ino,
	     struct slice name, struct slice with, ssize_t err);
/*
 * Why, a constant: for the line of the request that this thread is serving, should it be refused.
 */
void refused_because(const char *why);
/* A text that was to be written at a node, and what is wrong with it. */
void refused_text(const struct vfs_call *call, const struct node *node, const char *why);
/* Says what is not said yet. */
void refused_end(void);

#endif
