/*
 * draft_file.c - open files of drafts. Every handle has a descriptor of its own on the backing
 * file; when that file is replaced by one of its own (draft_unshare), every reading handle's
 * descriptor is replaced in place, so whoever had it open before the first writer goes on seeing
 * the same file.
 */
#include "draft_node.h"
#include "tree.h"

#include "core/log.h"
#include "core/observe.h"

#include <fcntl.h>
#include <stdio.h>

/* Between giving a file its own inode and opening it, a log may share it again: not for ever. */
#define TRIES 16

/* What the kernel adds to the flags of an open that is an execve(2); fcntl.h keeps it to itself. */
#define OPENED_TO_EXECUTE 0x20

int draft_open_flags(int flags)
{
	/*
	 * The kernel appends by itself, at the size it knows; with O_APPEND pwrite(2) would ignore
	 * its offset. Direct I/O wants aligned buffers, which requests are not.
	 */
	flags &= ~(OPENED_TO_EXECUTE | O_APPEND | O_DIRECT | O_CREAT | O_EXCL | O_NOCTTY);
	return flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static ssize_t file_read(struct handle *h, void *to, size_t len, off_t offset)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(d->fd, (char *)to + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t file_write(struct handle *h, const struct vfs_call *call, const void *from,
			  size_t len, off_t offset)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	size_t done = 0;

	(void)call;
	/* A run that failed keeps its drafts as they are, whoever still has them open. */
	if (draft_file(h->node)->area->phase == DRAFT_READONLY)
		return -EROFS;
	while (done < len) {
		ssize_t n = pwrite(d->fd, (const char *)from + done, len - done,
				   offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int file_flush(struct handle *h, const struct vfs_call *call)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	int copy;

	(void)call;
	if (d->writer)
		draft_writer_flush(d->writer);
	/* Some filesystems report what failed at close. */
	copy = dup(d->fd);
	return copy >= 0 && close(copy) < 0 ? -errno : 0;
}

static int file_fsync(struct handle *h, bool data_only)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);

	return (data_only ? fdatasync(d->fd) : fsync(d->fd)) < 0 ? -errno : 0;
}

static int file_fd(struct handle *h)
{
	return container_of(h, struct draft_handle, handle)->fd;
}

static void file_release(struct handle *h)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	struct draft_file *f = draft_file(h->node);

	pthread_mutex_lock(&f->area->mutex);
	for (struct draft_handle **at = &f->handles; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	pthread_mutex_unlock(&f->area->mutex);
	/* Closed first: who sees no writer finds no descriptor either. */
	close(d->fd);
	if (d->writer)
		draft_writer_close(d->writer);
	free(d);
}

static const struct handle_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.fsync = file_fsync,
	.fd = file_fd,
	.release = file_release,
};

struct handle *draft_handle_new(struct node *node, int fd, int flags, ino_t ino)
{
	struct draft_file *f = draft_file(node);
	struct draft_handle *d = xcalloc(1, sizeof(*d));

	d->handle = (struct handle){ &file_ops, f->vfs, node };
	d->fd = fd;
	d->executes = flags & OPENED_TO_EXECUTE;
	if (writes(flags))
		d->writer = draft_writer_open(f->top, ino);
	LOCKED(&f->area->mutex);
	d->next = f->handles;
	f->handles = d;
	return &d->handle;
}

/* Puts a new description of the file behind a descriptor that is in use. */
static int replace_fd(int new_fd, int flags, int fd)
{
	struct draft_path path;
	int opened;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", new_fd);
	opened = open(path.text, flags | O_CLOEXEC);
	if (opened < 0 || dup3(opened, fd, O_CLOEXEC) < 0) {
		int err = -errno;

		if (opened >= 0)
			close(opened);
		return err;
	}
	close(opened);
	return 0;
}

/* The file has another inode now. */
static int swap_inode(void *arg, int new_fd, const struct stat *st)
{
	struct node *node = arg;
	struct draft_file *f = draft_file(node);
	int err = 0;

	node_rebase(f->vfs->nodes, node, st->st_ino);
	LOCKED(&f->area->mutex);
	if (f->fd >= 0)
		err = replace_fd(new_fd, O_PATH, f->fd);
	/* Only readers: a writer would have come here before them. */
	for (struct draft_handle *d = f->handles; d && err == 0; d = d->next)
		err = replace_fd(new_fd, O_RDONLY, d->fd);
	return err;
}

/* Where one name of the file is, for as long as the shared lock is held; NULL: it has none. */
static int name_of(struct node *node, const char **ret_name)
{
	struct draft_file *f = draft_file(node);
	struct draft_spot spot = { f->vfs, f->area, f->top, f->parent };

	*ret_name = f->fd >= 0 ? NULL : f->name;
	return f->fd >= 0 ? -1 : draft_spot_fd(&spot);
}

/* A descriptor to read the shared inode by, and a name of it. 1: shared; 0: not. */
static int open_shared(struct node *node, int *ret_fd, int *ret_directory, char **ret_name)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	const char *name;
	struct stat st;
	int err;

	SHARED(&f->area->lock);
	err = draft_may_change(f->area);
	if (err == 0)
		err = draft_node_stat(node, &st);
	if (err < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= BLOB_PACK_MAX ||
	    st.st_nlink < 1)
		return err;
	err = draft_node_path(node, &path);
	if (err < 0)
		return err;
	*ret_fd = open(path.text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*ret_fd < 0)
		return -errno;
	if (!draft_fd_is_shared(*ret_fd, &st, NULL))
		return 0;
	*ret_directory = name_of(node, &name);
	*ret_name = name ? xstrdup(name) : NULL;
	return 1;
}

int draft_node_unshare(struct node *node, bool truncate)
{
	struct draft_file *f = draft_file(node);
	autofree char *name = NULL;
	autoclose int fd = -1;
	int directory = -1;
	int shared = open_shared(node, &fd, &directory, &name);

	if (shared <= 0)
		return shared;
	return draft_unshare(f->top, fd, directory, name, truncate, swap_inode, node);
}

/*
 * The kernel itself refuses to open what runs for writing, but leaves it to us when O_TRUNC comes
 * with O_RDONLY.
 */
static bool is_executed(struct draft_file *f)
{
	LOCKED(&f->area->mutex);
	for (const struct draft_handle *d = f->handles; d; d = d->next)
		if (d->executes)
			return true;
	return false;
}

/* One try: -EAGAIN when the file is shared and must not be. */
static int open_once(struct node *node, int flags, struct vfs_open *ret)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	struct stat st;
	int fd, err = 0;

	SHARED(&f->area->lock);
	if (writes(flags) || (flags & O_TRUNC))
		err = draft_may_change(f->area);
	if (err == 0 && (flags & O_TRUNC) && is_executed(f))
		err = -ETXTBSY;
	if (err == 0)
		err = draft_node_path(node, &path);
	if (err < 0)
		return err;
	/* Not truncated by the open: what it truncates is only known afterwards. */
	fd = open(path.text, f->fd >= 0 ? draft_open_flags(flags & ~O_TRUNC) & ~O_NOFOLLOW :
					  draft_open_flags(flags & ~O_TRUNC));
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) < 0 ? -errno : 0;
	if (err == 0 && (writes(flags) || (flags & O_TRUNC)) && draft_fd_is_shared(fd, &st, NULL))
		err = -EAGAIN;
	if (err == 0 && flags & O_TRUNC) {
		draft_touch(f->top, st.st_ino);
		err = (writes(flags) ? ftruncate(fd, 0) : truncate(path.text, 0)) < 0 ? -errno : 0;
	}
	if (err < 0) {
		close(fd);
		return err;
	}
	*ret = (struct vfs_open){ .handle = draft_handle_new(node, fd, flags, st.st_ino),
				  .keep_cache = true };
	return 0;
}

/* Who reads what another run has not logged depends on that run. */
static int observe(struct vfs *vfs, const struct vfs_call *call, const struct node *node,
		   int flags)
{
	struct caller caller;
	int err = vfs_caller(vfs, call, &caller);

	if (err < 0 || caller.run == 0 || caller.run == node->a ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return err;
	return observe_draft(vfs->store, caller.run, node->a);
}

int draft_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
	       struct vfs_open *ret)
{
	int err;

	if (S_ISDIR(draft_file(node)->type))
		return -EISDIR;
	err = observe(vfs, call, node, flags);
	if (err < 0)
		return err;
	for (unsigned i = 0; i < TRIES; i++) {
		err = open_once(node, flags, ret);
		if (err != -EAGAIN)
			return err;
		err = draft_node_unshare(node, flags & O_TRUNC);
		if (err < 0)
			return err;
	}
	return -EAGAIN;
}
