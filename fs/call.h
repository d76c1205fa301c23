/*
 * call.h - what every operation of the mount is given and gives back; no FUSE types, no functions.
 */
#ifndef FS_CALL_H
#define FS_CALL_H

#include "core/base.h"
#include "core/buf.h"

#include <sys/stat.h>

/* The inode number of the root directory. */
#define VFS_ROOT 1

struct vfs;
struct handle; /* an open file or directory */

/* How long the kernel may keep what it was told, in seconds. */
#define VFS_FOREVER 1e9

/*
 * Not for the user: the operation would take long, or must look into the caller, and the call is
 * not patient. Nothing was done; make it again patiently.
 */
#define VFS_PATIENCE (-EINPROGRESS)

/* Who asks. */
struct vfs_call {
	uid_t uid;
	gid_t gid;
	pid_t pid;    /* a thread id in the mounter's pid namespace; 0: not visible there */
	mode_t umask; /* already applied to modes by the kernel */
	/*
	 * Made by a thread that others do not wait for: it may take long, or look into the caller.
	 */
	bool patient;
	bool follows; /* readlink(2) or a path that leads through the link, not stat(2) */
	/* Becomes true when a signal interrupts the caller; NULL: cannot be interrupted. */
	const bool *interrupted;
};

struct vfs_entry {
	struct stat attr; /* st_ino is the node */
	uint32_t generation; /* of the node */
	double entry_ttl; /* of the name */
	double attr_ttl;
	bool bare; /* of a listing: only st_ino and the type are set, it is no lookup */
};

/* What to change: bits of vfs_setattr. */
enum {
	VFS_SET_MODE = 1 << 0,
	VFS_SET_UID = 1 << 1,
	VFS_SET_GID = 1 << 2,
	VFS_SET_SIZE = 1 << 3,
	VFS_SET_ATIME = 1 << 4,
	VFS_SET_MTIME = 1 << 5,
	VFS_SET_ATIME_NOW = 1 << 6,
	VFS_SET_MTIME_NOW = 1 << 7,
};

/* How the kernel is to treat an open file. */
struct vfs_open {
	struct handle *handle;
	bool direct_io;  /* text that can change: no page cache, sizes may differ from stat */
	bool keep_cache; /* what is cached of it stays right */
	int backing; /* the kernel reads and writes it by itself (fs/backing.h); 0: through us */
};

/* Takes an entry of a listing; non-zero: there is no more room, and it was not taken. */
typedef int vfs_fill(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie);

#endif
