/*
 * kind_control.c - /_control: how commands reach the daemon. Open it for reading and writing, write
 * one request (one write(2)), read the answer; core/document_control.h says what may be asked. The
 * caller is whom the kernel says it is. State is of the open file alone.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document_control.h"

struct control_handle {
	struct handle handle;
	pthread_mutex_t lock;
	struct buf answer;
	/*
	 * The offset at which reading began: the kernel counts what was written as well, so whoever
	 * writes and reads on by one descriptor does not begin at 0. -1: not yet.
	 */
	off_t start;
};

static ssize_t control_read(struct handle *h, void *to, size_t len, off_t offset)
{
	struct control_handle *c = container_of(h, struct control_handle, handle);
	size_t at;

	LOCKED(&c->lock);
	if (c->start < 0)
		c->start = offset;
	if (offset < c->start)
		return -EINVAL;
	at = (size_t)(offset - c->start);
	if (at >= c->answer.len)
		return 0;
	if (len > c->answer.len - at)
		len = c->answer.len - at;
	memcpy(to, c->answer.data + at, len);
	return (ssize_t)len;
}

static ssize_t control_write(struct handle *h, const struct vfs_call *call, const void *from,
			     size_t len, off_t offset)
{
	struct control_handle *c = container_of(h, struct control_handle, handle);
	struct control_caller caller = { vfs_cred(call), call->interrupted };
	int err;

	(void)offset;
	LOCKED(&c->lock);
	c->start = -1;
	buf_reset(&c->answer);
	err = control_answer(h->vfs->store, &caller, slice(from, len), &c->answer);
	return err < 0 ? err : (ssize_t)len;
}

static void control_release(struct handle *h)
{
	struct control_handle *c = container_of(h, struct control_handle, handle);

	buf_release(&c->answer);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static const struct handle_ops control_ops = {
	.read = control_read,
	.write = control_write,
	.release = control_release,
};

int control_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		 struct vfs_open *ret)
{
	struct control_handle *c = xcalloc(1, sizeof(*c));

	(void)call, (void)flags;
	c->handle = (struct handle){ &control_ops, vfs, node };
	c->start = -1;
	pthread_mutex_init(&c->lock, NULL);
	*ret = (struct vfs_open){ .handle = &c->handle, .direct_io = true };
	return 0;
}

int control_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs, (void)node;
	st->st_mode = 0666;
	st->st_size = 0;
	return 0;
}

/* A shell's `>` truncates first. */
int control_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		     struct handle *handle, const struct stat *set, unsigned what)
{
	(void)vfs, (void)call, (void)node, (void)handle, (void)set;
	return what & (VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID) ? -EPERM : 0;
}
