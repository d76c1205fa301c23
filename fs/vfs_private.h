/*
 * vfs_private.h - what vfs.c shares with nodes, handles and kinds; nothing for ops.c or main.c.
 */
#ifndef FS_VFS_PRIVATE_H
#define FS_VFS_PRIVATE_H

#include "beside.h"
#include "core/caller.h"
#include "core/event.h"
#include "backing.h"
#include "handle.h"
#include "node.h"
#include "vfs.h"

#include <sys/queue.h>

/* The nodes of drafts' directories that have a descriptor, newest first: see draft_directory.c. */
TAILQ_HEAD(draft_file_list, draft_file);
struct draft_directories {
	pthread_mutex_t lock;
	struct draft_file_list list;
	size_t count, limit;
};

void draft_directories_init(struct draft_directories *d);
void draft_directories_release(struct draft_directories *d);
/*
 * Closes what was not used lately, if too many are open: before anything is done with a node, and
 * without locks.
 */
void draft_directories_trim(struct vfs *vfs, struct node *node);

/* Links that are about to be renamed: see temporary.h. */
struct temporary_links {
	pthread_mutex_t lock;
	struct temporary_link *all;
	size_t count, cap;
	uint64_t last; /* number */
};

struct vfs {
	struct store *store;
	struct node_table *nodes;
	struct beside *beside;
	struct vfs_notify notify;
	struct vfs_backing backing;
	struct backings *backings;
	struct draft_directories draft_directories;
	struct temporary_links temporary_links;
	uid_t owner; /* who runs the daemon: owns what nobody else does */
	gid_t owner_group;
};

/* While the guard lives, what this thread changes is the caller's doing. */
struct acting {
	struct actor before;
};

static inline struct acting acting_begin(const struct vfs_call *call)
{
	return (struct acting){ actor_set((struct actor){ call->uid, call->pid }) };
}

static inline void acting_end(struct acting *a)
{
	actor_set(a->before);
}

#define ACTING_FOR(call)                                                                 \
	__attribute__((unused)) AUTO(acting_end) struct acting acting_ = acting_begin(call)

/* The caller as core knows it. */
struct cred vfs_cred(const struct vfs_call *call);
/* The run of the caller; VFS_PATIENCE: ask again from a thread that may wait. */
int vfs_caller(struct vfs *vfs, const struct vfs_call *call, struct caller *ret);
/* The same for what is only nice to know: 0 if it is not at hand. call may be NULL. */
uint32_t vfs_caller_run(struct vfs *vfs, const struct vfs_call *call);

/* Tells the kernel to forget a name, or what it cached of a node. */
void vfs_forget_name(struct vfs *vfs, uint64_t parent, const char *name);
void vfs_forget_cached(struct vfs *vfs, uint64_t ino);
/* Waits until the kernel has done so. Only in slow operations, without locks. */
void vfs_settle(struct vfs *vfs);

/* The attributes of a node, whole; how long they hold. */
int vfs_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct stat *ret,
	     double *ret_ttl);
/* Interns what find, next or an edit filled, and fills the entry: one lookup, no reference kept. */
int vfs_enter(struct vfs *vfs, const struct vfs_call *call, struct node *spec,
	      struct vfs_entry *ret);
/* Any name in a directory, fixed ones included. */
int vfs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
	     struct node *ret);

/* A fixed child of a node: same ids, its own slot. */
void node_fixed_child(const struct node *dir, size_t index, struct node *ret);
/* The number of the fixed child of this kind of a directory that has slot 0, or of the root. */
uint64_t node_fixed_number(const struct node_kind *dir, enum ino_class class, uint32_t id,
			   const struct node_kind *child);
/* The number of a directory's "..". */
uint64_t node_parent_number(struct vfs *vfs, const struct node *dir);

#endif
