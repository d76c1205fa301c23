/*
 * draft_node.h - nodes of drafts: shared by kind_outputs.c, kind_draft.c, draft_edit.c,
 * draft_file.c.
 *
 * A draft's node knows where it is (the node of its directory, and its name there), not a
 * descriptor, so a million files cost no million descriptors; directories open one when they are
 * first walked through. When the name that a node knows is removed or replaced while the kernel
 * still knows the node, an O_PATH descriptor takes the name's place (pin). Several nodes never have
 * the same backing inode: hard links are one node.
 *
 * parent, name, fd and gone change under the area's exclusive lock, or, when the fd of a directory
 * is opened, under the shared one (draft_directory.c); handles and unsharing under the area's
 * mutex.
 */
#ifndef FS_DRAFT_NODE_H
#define FS_DRAFT_NODE_H

#include "vfs_private.h"

#include "core/draft.h"

struct draft_handle;

/* Between giving a file its own inode and using it, a log may share it again: not for ever. */
#define DRAFT_TRIES 16

struct draft_file {
	struct vfs *vfs;
	struct draft_area *area;
	struct draft_top *top;
	struct node *parent; /* with a reference; NULL: outputs/ itself */
	char *name;
	mode_t type; /* type bits */
	int fd;	     /* of a directory, or a pin; else -1 */
	int next_fd; /* of a pin: as a handle's */
	bool gone;   /* it has no name any more */
	bool left;   /* its names lead to another node, which has what is written now */
	bool unsharing; /* it is being given an inode of its own: one thread at a time */
	bool used;	/* of a directory: its descriptor was, since that was last asked; atomic */
	bool listed;	/* it is in vfs->draft_directories, whose lock this and in_list have */
	TAILQ_ENTRY(draft_file) in_list;
	struct draft_handle *handles;
};

static inline struct draft_file *draft_file(const struct node *node)
{
	return node->data;
}

/*
 * The descriptor of a directory's node, opened if it has none; borrowed while the caller has a lock
 * of the area, or -errno.
 */
int draft_directory_fd(struct node *dir);
/* Closes the descriptor of a node that goes. */
void draft_directory_close(struct draft_file *f);
/* A directory in which something is done: a draft's, or outputs/. */
struct draft_spot {
	struct vfs *vfs;
	struct draft_area *area;
	/* NULL in outputs/: there the draft is what has the name, under the lock. */
	struct draft_top *top;
	struct node *parent; /* NULL: outputs/ */
};

/* Room for "/proc/self/fd/<n>/<name>". */
struct draft_path {
	char text[32 + 256 + 8];
};

/*
 * With a lock of the area held. The first four: -ESTALE once the run has finished.
 */
int draft_spot_fd(const struct draft_spot *spot);
/* Is the area open for changes: 0, -EROFS, -ESTALE. */
int draft_may_change(const struct draft_area *area);
int draft_node_stat(struct node *node, struct stat *st);
/* The number of the directory that it is in. */
uint64_t draft_parent_number(const struct draft_file *f);
/* A path that leads to the node, for calls that follow links only at the end. */
int draft_node_path(struct node *node, struct draft_path *ret);
/*
 * The node of a name in a directory. It is in the table before the lock goes: afterwards the name
 * may be another's, or the file have another inode.
 */
int draft_lookup(const struct draft_spot *spot, const char *name, struct node *ret);
/* The same when its stat is known; with one more lookup, and a reference. */
struct node *draft_intern(const struct draft_spot *spot, const char *name, const struct stat *st);
/* The draft that a name in a directory belongs to, to be put back: names are moved among drafts. */
struct draft_top *draft_spot_top(const struct draft_spot *spot, const char *name);
/* The spot of a draft's directory node; holds nothing. */
struct draft_spot draft_spot_of(struct node *dir);

/* Lists a directory of a draft; keep_dots: as it is. A name for which skip says so is left out. */
int draft_list_fd(struct vfs *vfs, struct node *dir, int fd, struct listing **ret);

/* The edits, by spot; every name was checked. They take the area's lock themselves. */
int draft_do_create(const struct draft_spot *spot, const struct vfs_call *call, const char *name,
		    mode_t mode, int flags, struct vfs_open *ret);
enum draft_make { DRAFT_MAKE_NODE, DRAFT_MAKE_DIRECTORY, DRAFT_MAKE_LINK };
int draft_do_make(const struct draft_spot *spot, const struct vfs_call *call,
		  enum draft_make make, const char *name, mode_t mode, const char *target,
		  struct node *ret);
/* To a name of the same draft, or to what a version lends. */
int draft_do_link(const struct draft_spot *spot, const struct vfs_call *call, struct node *node,
		  const char *name, struct node *ret);
int draft_do_remove(const struct draft_spot *spot, const char *name, bool directory);
int draft_do_rename(const struct draft_spot *from, const char *name, const struct draft_spot *to,
		    const char *new_name, unsigned flags);

/* An open regular file. */
struct draft_handle {
	struct handle handle;
	int fd;
	int next_fd;		     /* takes its place in a moment (draft_unshare), else -1 */
	bool executes;		     /* opened by execve(2) */
	bool torn;		     /* the file was, when this one was opened to write it */
	struct caller opener;
	struct draft_writer *writer; /* NULL: read-only */
	struct draft_handle *next;   /* of the node */
};

/* Adds a handle for an open descriptor, which it takes over. With the area's shared lock held. */
struct vfs_open draft_handle_new(struct node *node, int fd, int flags, ino_t ino,
				 const struct caller *opener);
/*
 * Gives the file an inode of its own, empty or with its bytes, if it is shared. No lock held.
 * Copies only for a patient call, which may interrupt it (-EINTR).
 */
int draft_node_unshare(struct node *node, const struct vfs_call *call, bool truncate);
/* Removes open(2) flags that are the kernel's affair, not the backing file's. */
int draft_open_flags(int flags);

#endif
