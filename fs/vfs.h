/*
 * vfs.h - the operations of the mount, without FUSE types. fs/ops.c translates the kernel's
 * requests into these; `lineagefs mount --print` and the tests call them without a mount.
 *
 * Identity: a node is named by its inode number, a persistent 64-bit integer (fs/node.h says how it
 * is made up), which is also the kernel's node id; the root is VFS_ROOT. Every vfs_entry that an
 * operation returns counts as one lookup of its node, to be given back through vfs_forget().
 *
 * Results: 0 or a count, or -errno, always one that the user may see; but vfs_open(),
 * vfs_create(), vfs_mkdir(), vfs_symlink(), vfs_setattr() and vfs_readlink() may also answer
 * VFS_PATIENCE to a call that is not patient. Threads: everything may be called from any thread at
 * any time.
 */
#ifndef FS_VFS_H
#define FS_VFS_H

#include "call.h"

#include <sys/statvfs.h>

struct store;

/*
 * Called by the vfs when cached knowledge of the kernel became wrong. May be called with locks of
 * the vfs held and from threads that serve a request, so it only queues; a thread of its own tells
 * the kernel. settle waits until it has told all of that: called without locks, and only in what
 * may be slow (vfs_write_is_slow). NULL functions: nobody caches.
 */
struct vfs_notify {
	void *arg;
	void (*entry)(void *arg, uint64_t parent, const char *name);
	void (*inode)(void *arg, uint64_t ino);
	void (*settle)(void *arg);
};

/*
 * How the kernel is told of a file below, that it may read and write it by itself: a number, or 0
 * when it will not. NULL functions: it never does.
 */
struct vfs_backing {
	void *arg;
	int (*open)(void *arg, int fd);
	void (*close)(void *arg, int id);
};

/* The store stays the caller's and outlives the vfs. */
int vfs_new(struct store *store, struct vfs **ret);
void vfs_set_notify(struct vfs *vfs, const struct vfs_notify *notify);
/* Before anything is opened. why: in plain words why not, NULL when backing has functions. */
void vfs_set_backing(struct vfs *vfs, const struct vfs_backing *backing, const char *why);
/* A regular file on the filesystem of the store's files, borrowed; -1: there is none. */
int vfs_probe_fd(const struct vfs *vfs);
/* Every handle must have been released before. */
void vfs_free(struct vfs *vfs);

/* An entry without a number: there is no such name, and for that long there will be none. */
int vfs_lookup(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       struct vfs_entry *ret);
void vfs_forget(struct vfs *vfs, uint64_t ino, uint64_t lookups);

/* handle may be NULL. ret_ttl: see attr_ttl. */
int vfs_getattr(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct handle *handle,
		struct stat *ret, double *ret_ttl);
/* what: VFS_SET_*; values are in *set. */
int vfs_setattr(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct handle *handle,
		const struct stat *set, unsigned what, struct stat *ret, double *ret_ttl);
/* Adds the target to ret. */
int vfs_readlink(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct buf *ret);

int vfs_mknod(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	      mode_t mode, dev_t rdev, struct vfs_entry *ret);
int vfs_mkdir(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	      mode_t mode, struct vfs_entry *ret);
int vfs_symlink(struct vfs *vfs, const struct vfs_call *call, const char *target, uint64_t parent,
		const char *name, struct vfs_entry *ret);
int vfs_link(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, uint64_t parent,
	     const char *name, struct vfs_entry *ret);
int vfs_unlink(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name);
int vfs_rmdir(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE of renameat2(2). */
int vfs_rename(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       uint64_t new_parent, const char *new_name, unsigned flags);

/* flags as of open(2). create makes the file and opens it, -EEXIST only with O_EXCL. */
int vfs_create(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       mode_t mode, int flags, struct vfs_entry *ret, struct vfs_open *ret_open);
int vfs_open(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, int flags,
	     struct vfs_open *ret);
ssize_t vfs_read(struct handle *handle, void *to, size_t len, off_t offset);
/*
 * May this write take long (hashing, waiting)? Then it is not made from a thread that other
 * requests need.
 */
bool vfs_write_is_slow(const struct handle *handle);
ssize_t vfs_write(struct handle *handle, const struct vfs_call *call, const void *from, size_t len,
		  off_t offset);
/* One close(2) of a descriptor of this handle. May be slow when vfs_write_is_slow(). */
int vfs_flush(struct handle *handle, const struct vfs_call *call);
int vfs_fsync(struct handle *handle, bool data_only);
int vfs_fallocate(struct handle *handle, int mode, off_t offset, off_t len);
ssize_t vfs_copy_file_range(struct handle *from, off_t from_offset, struct handle *to,
			    off_t to_offset, size_t len, unsigned flags);
/* SEEK_DATA and SEEK_HOLE. */
off_t vfs_lseek(struct handle *handle, off_t offset, int whence);
/* The last descriptor is gone. Frees the handle, of a file or a directory. */
void vfs_release(struct handle *handle);

/* ret->keep_cache: the kernel may cache the listing. */
int vfs_opendir(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct vfs_open *ret);
/*
 * Entries after the one whose cookie is offset (0: from the first, which are "." and ".."). Calls
 * fill for each; it returns non-zero when there is no more room, and that entry was not taken.
 * With plus, every entry that is not bare is a lookup of its node (undone if not taken) and *entry
 * is whole; without, all are bare: only st_ino and the type bits of st_mode are set.
 */
int vfs_readdir(struct handle *handle, const struct vfs_call *call, off_t offset, bool plus,
		vfs_fill *fill, void *arg);
int vfs_fsyncdir(struct handle *handle, bool data_only);

int vfs_statfs(struct vfs *vfs, struct statvfs *ret);

/* size 0 asks for the length only. Names that are not user.* are -EOPNOTSUPP everywhere. */
ssize_t vfs_getxattr(struct vfs *vfs, uint64_t ino, const char *name, void *to, size_t size);
ssize_t vfs_listxattr(struct vfs *vfs, uint64_t ino, char *to, size_t size);
int vfs_setxattr(struct vfs *vfs, uint64_t ino, const char *name, const void *value, size_t size,
		 int flags);
int vfs_removexattr(struct vfs *vfs, uint64_t ino, const char *name);

#endif
