/*
 * handle.h - an open file or directory. Each kind of handle embeds struct handle first and brings
 * a table; what the table leaves out is -EBADF, or nothing to do for flush and fsync.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "node.h"

struct handle_ops {
	ssize_t (*read)(struct handle *h, void *to, size_t len, off_t offset);
	ssize_t (*write)(struct handle *h, const struct vfs_call *call, const void *from,
			 size_t len, off_t offset);
	int (*flush)(struct handle *h, const struct vfs_call *call);
	int (*fsync)(struct handle *h, bool data_only);
	/*
	 * A descriptor of the bytes, for what only files have: fallocate, seeks, copies. May be
	 * -1.
	 */
	int (*fd)(struct handle *h);
	/*
	 * Around a change made through fd: -errno if the bytes must not change. Without it: they
	 * may.
	 */
	int (*begin_change)(struct handle *h);
	void (*end_change)(struct handle *h);
	/* Frees the handle; the node is put by the caller. */
	void (*release)(struct handle *h);
};

struct handle {
	const struct handle_ops *ops;
	struct vfs *vfs;
	struct node *node; /* with a reference */
};

/* A listing under way, of a directory handle. */
struct listed {
	const char *name; /* borrowed until the next call */
	uint64_t ino; /* of ".." it is not asked */
	mode_t type;
	off_t cookie;	   /* of this entry: where to go on after it */
	struct node *spec; /* the node itself if the listing has it, to be interned; else NULL */
	bool bare;	   /* the kernel is to get the name and no node */
};

struct listing_ops {
	/* Goes to behind the entry with this cookie; 0 is the start. */
	int (*seek)(struct listing *l, off_t cookie);
	/* 1 and an entry, "." and ".." included; 0 at the end; -errno. */
	int (*next)(struct listing *l, struct listed *ret);
	int (*fsync)(struct listing *l, bool data_only); /* may be NULL */
	void (*close)(struct listing *l);
};

struct listing {
	const struct listing_ops *ops;
};

/* Opens a text: rendered once, now. flags as of open(2). */
int handle_open_text(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		     struct vfs_open *ret);
/* truncate(2) of a text, or with its handle ftruncate(2). What commands write has no size. */
int handle_resize_text(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		       struct handle *handle, off_t size);

/* The text was made anew when it was opened: fs/beside.h is to know when it is closed. */
void handle_text_is_made(struct handle *handle);

/* A directory handle over a kind's listing, or over fixed children and next. */
int handle_open_directory(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			  struct vfs_open *ret);
int handle_read_directory(struct handle *h, const struct vfs_call *call, off_t offset, bool plus,
			  vfs_fill *fill, void *arg);
int handle_sync_directory(struct handle *h, bool data_only);

#endif
