/*
 * ops.h - the mount itself: the only translation between the kernel's FUSE requests and the vfs.
 *
 * Requests are served by the session's threads. Writes and flushes that may take long run on
 * threads of their own (fs/jobs.h), what the kernel must forget is told from another one
 * (fs/notify.h). Nothing here knows what a path means.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "core/base.h"
#include "core/buf.h"

struct ops;
struct vfs;

struct ops_options {
	const char *source; /* shown as the device in mount tables: the store's path */
	const char *flags;  /* further mount options for the kernel, "ro,noexec"; NULL: none */
	bool allow_other;
	bool passthrough; /* if it can be: see fs/passthrough.h */
	unsigned threads; /* that serve requests, at most */
	/*
	 * Called once, from a thread of its own, when the mount answers (0) or does not (-errno).
	 * May be NULL.
	 */
	void (*ready)(void *arg, int err);
	void *ready_arg;
};

/*
 * Mounts vfs, which outlives the mount; requests wait until ops_serve(). mountpoint is absolute.
 * On failure adds a plain sentence to why.
 */
int ops_mount(struct vfs *vfs, const struct ops_options *options, const char *mountpoint,
	      struct buf *why, struct ops **ret);
/*
 * Serves requests until the filesystem is unmounted, or SIGTERM, SIGINT or SIGHUP comes (0), or the
 * connection breaks (-errno). These signals are to be blocked before the first thread is started;
 * here they are let through, to the calling thread only. Once at a time in a process.
 */
int ops_serve(struct ops *ops);
/*
 * Unmounts if still mounted, ends all work and releases the handles that the kernel never
 * released. Also after a failure of ops_serve().
 */
void ops_unmount(struct ops *ops); /* NULL is fine */

/* The version of libfuse. */
const char *ops_library(void);

#endif
