#define FUSE_USE_VERSION 314

#include "passthrough.h"

#include "negotiate.h"

#include "core/base.h"
#include "core/log.h"

#include <fuse_lowlevel.h>
#include <linux/ioctl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

/* The kernel's fuse.h of Debian 12 is older than this. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

static int open_backing(struct fuse_session *session, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_session_fd(session), BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

int passthrough_probe(struct fuse_session *session, int fd)
{
	struct statfs fs;
	int id;

	if (!negotiate_has_passthrough())
		return -EOPNOTSUPP;
	/*
	 * There a write through a mapping may leave no trace, neither in the times of the file nor,
	 * as the kernel makes it, with us; and what has none is not hashed again.
	 */
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type == TMPFS_MAGIC)
		return -EMEDIUMTYPE;
	id = open_backing(session, fd);
	if (id < 0)
		return id == -ENOTTY ? -EOPNOTSUPP : id;
	passthrough_close(session, id);
	return 0;
}

int passthrough_open(struct fuse_session *session, int fd)
{
	int id = open_backing(session, fd);

	if (id < 0)
		log_debug("the kernel does not take a file over: %s", strerror(-id));
	return id < 0 ? 0 : id;
}

void passthrough_close(struct fuse_session *session, int id)
{
	uint32_t number = (uint32_t)id;

	/* When the mount has gone, so has everything that was registered. */
	if (ioctl(fuse_session_fd(session), BACKING_CLOSE, &number) < 0)
		log_debug("the kernel does not give a file back: %s", strerror(errno));
}
