/*
 * temporary.h - the links that `ln -sf` makes for a moment. Where a name is taken, coreutils make
 * the link beside it, under a name of their own (Cu and six letters or digits), and rename it over
 * the one that is there. No alias and no input is meant by that name: such a link is kept in
 * memory, and only its rename is a change. It is found, read, renamed and removed, but not listed,
 * and gone with the mount.
 */
#ifndef FS_TEMPORARY_H
#define FS_TEMPORARY_H

#include "vfs_private.h"

struct temporary_link {
	uint64_t directory; /* its number */
	char *name;
	uint64_t number;
	char *shown; /* what readlink(2) says */
	char *meant; /* what it was made with */
	uint32_t version; /* that this leads to */
	uid_t uid;
	gid_t gid;
};

void temporary_link_release(struct temporary_link *link);

/*
 * Does the caller make a link of this name for a moment, and not because somebody asked it to?
 * 1, 0, VFS_PATIENCE.
 */
int temporary_is_meant(const struct vfs_call *call, const char *name);
/* Keeps a link; directory, name and number are filled in, shown and meant are taken over. */
int temporary_add(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  struct temporary_link *link, struct node *ret);
/* -ENOENT. */
int temporary_find(struct vfs *vfs, struct node *dir, const char *name, struct node *ret);
/* A copy. -ENOENT. */
int temporary_get(struct vfs *vfs, struct node *dir, const char *name, struct temporary_link *ret);
int temporary_remove(struct vfs *vfs, struct node *dir, const char *name);

void temporary_links_init(struct temporary_links *links);
void temporary_links_release(struct temporary_links *links);

#endif
