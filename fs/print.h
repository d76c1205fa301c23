/*
 * print.h - the whole tree as text, without a mount: type, mode, size, path and link target, a line
 * each, a directory before what is in it and names in the order of the listing.
 */
#ifndef FS_PRINT_H
#define FS_PRINT_H

#include "core/base.h"

#include <stdio.h>

struct vfs;

/* -EIO when out cannot be written; what cannot be looked at is logged, and its error returned. */
int print_tree(struct vfs *vfs, FILE *out);

#endif
