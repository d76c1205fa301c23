/*
 * kind_events.c - /events.ndjson: the audit log, to which lineagefs alone adds. Whoever looks at it
 * sees every change that was made before.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/journal.h"

#include <fcntl.h>

static ssize_t events_read(struct handle *h, void *to, size_t len, off_t offset)
{
	return offset < 0 ? -EINVAL : journal_read(h->vfs->store, to, len, (uint64_t)offset);
}

static void events_release(struct handle *h)
{
	free(h);
}

static const struct handle_ops events_ops = {
	.read = events_read,
	.release = events_release,
};

int events_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		struct vfs_open *ret)
{
	struct handle *h;

	(void)call;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		return node_refuse(node);
	h = xcalloc(1, sizeof(*h));
	*h = (struct handle){ &events_ops, vfs, node };
	*ret = (struct vfs_open){ .handle = h, .direct_io = true };
	return 0;
}

int events_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct journal_head head;

	(void)node;
	journal_end(vfs->store, &head);
	st->st_mode = 0640;
	st->st_size = (off_t)head.bytes;
	if (head.time)
		st->st_mtim = timespec_of_ns(head.time);
	return 0;
}
