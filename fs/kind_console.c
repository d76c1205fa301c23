/*
 * kind_console.c - /runs/<run>/console.log: a plain file of the store that only grows. Whoever may
 * write in the run adds to it while the run runs; `tail -f` follows it.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/console.h"
#include "core/run.h"

#include <fcntl.h>

struct console_handle {
	struct handle handle;
	pthread_mutex_t lock;
	int fd; /* -1: there was nothing to open yet; under the lock */
};

static int may_write(struct vfs *vfs, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, id, &run);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	return run.state == RUN_RUNNING ? 0 : -EROFS;
}

/* The descriptor to read by, opened when there is something; -1: there is not. */
static int reading_fd(struct console_handle *c)
{
	LOCKED(&c->lock);
	if (c->fd < 0)
		console_open(c->handle.vfs->store, c->handle.node->a, false, &c->fd);
	return c->fd;
}

static ssize_t console_read(struct handle *h, void *to, size_t len, off_t offset)
{
	int fd = reading_fd(container_of(h, struct console_handle, handle));
	ssize_t n = fd < 0 ? 0 : pread(fd, to, len, offset);

	return n < 0 ? -errno : n;
}

/* Always at the end: several processes write, each with its own idea of where that is. */
static ssize_t console_write(struct handle *h, const struct vfs_call *call, const void *from,
			     size_t len, off_t offset)
{
	struct console_handle *c = container_of(h, struct console_handle, handle);
	int err = may_write(h->vfs, h->node->a);
	size_t done = 0;

	(void)call;
	(void)offset;
	if (err < 0)
		return err;
	while (done < len) {
		ssize_t n = write(c->fd, (const char *)from + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void console_release(struct handle *h)
{
	struct console_handle *c = container_of(h, struct console_handle, handle);

	if (c->fd >= 0)
		close(c->fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static const struct handle_ops console_ops = {
	.read = console_read,
	.write = console_write,
	.release = console_release,
};

int console_log_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		     struct vfs_open *ret)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct console_handle *c;
	int fd = -1, err = 0;

	(void)call;
	if (writes || (flags & O_TRUNC))
		err = may_write(vfs, node->a);
	if (err == 0 && (flags & O_TRUNC))
		err = console_truncate(vfs->store, node->a, 0);
	if (err == 0 && writes)
		err = console_open(vfs->store, node->a, true, &fd);
	if (err < 0)
		return err;
	c = xcalloc(1, sizeof(*c));
	c->handle = (struct handle){ &console_ops, vfs, node };
	c->fd = fd;
	pthread_mutex_init(&c->lock, NULL);
	*ret = (struct vfs_open){ .handle = &c->handle, .direct_io = true };
	return 0;
}

int console_log_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	struct stat file;
	int err = run_get(vfs->store, node->a, &run);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_uid = run.uid;
	st->st_gid = run.gid;
	st->st_mode = run.mode & (run.state == RUN_RUNNING ? 0666 : 0444);
	st->st_size = 0;
	st->st_mtim = timespec_of_ns(run.created);
	if (console_stat(vfs->store, node->a, &file) == 0) {
		st->st_size = file.st_size;
		st->st_mtim = file.st_mtim;
	}
	return 0;
}

int console_log_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			 struct handle *handle, const struct stat *set, unsigned what)
{
	int err = may_write(vfs, node->a);

	(void)call;
	(void)handle;
	if (what & (VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID))
		return -EPERM;
	if (err < 0 || !(what & VFS_SET_SIZE))
		return err;
	return console_truncate(vfs->store, node->a, set->st_size);
}
