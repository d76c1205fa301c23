/*
 * backing.h - which open files the kernel reads and writes by itself (passthrough), and by which
 * number it knows the file below.
 *
 * The kernel's rules, of Linux 6.9: as long as a node is open, it is open in one way, by the kernel
 * or through us; all its opens by the kernel have one number; and a number lives as long as the
 * last of them. So the first open of a node decides, the others follow, and the last release ends
 * it. What the number stands for cannot be another file before that: see draft_node_unshare().
 *
 * All functions are thread-safe; they are called with locks of a draft's area held.
 */
#ifndef FS_BACKING_H
#define FS_BACKING_H

#include "call.h"

struct backings;

struct backings *backings_new(void);
void backings_free(struct backings *b); /* nothing is open any more */

/*
 * One more open of the node; fd is open on the file below. may_start: the kernel may do it, if this
 * is the first. Its number, or 0: through us.
 */
int backing_begin(struct vfs *vfs, uint64_t ino, int fd, bool may_start);
/* One open less. */
void backing_end(struct vfs *vfs, uint64_t ino);
/* Is the node open, by the kernel itself? */
bool backing_is_used(struct vfs *vfs, uint64_t ino);

#endif
