/*
 * mount_find.h - where is lineagefs mounted? For commands that work through the mount.
 */
#ifndef FS_MOUNT_FIND_H
#define FS_MOUNT_FIND_H

#include "core/base.h"
#include "core/buf.h"

/*
 * given, else $LINEAGEFS_MOUNT, else the only whole mount that the mount table has. Absolute,
 * without symbolic links, malloc()ed. On failure -errno, and a sentence in why.
 */
int mount_find(const char *given, struct buf *why, char **ret);
/* Where a store is mounted. -ENOENT. */
int mount_find_of(const char *store, struct buf *why, char **ret);

#endif
