#include "handle.h"

#include "vfs_private.h"

#include <fcntl.h>

/* A text that is written may grow to this, bytes. */
#define TEXT_MAX (1u << 20)

struct text_handle {
	struct handle handle;
	pthread_mutex_t lock;
	struct buf text;
	bool append;
	bool made; /* anew, when it was opened */
	bool dirty; /* something is not accepted yet */
	/*
	 * Opened with O_TRUNC and not written to yet. Shells close a spare descriptor before they
	 * write, so the first flush does not make it an empty text: that would be lost that a write
	 * leaves alone when it is refused. A second one does, or the release.
	 */
	bool truncated;
	bool flushed;
	struct buf seen; /* for who appends: the text as it was when it was last looked at */
	struct vfs_call opener; /* at the release there is no other */
};

static ssize_t text_read(struct handle *h, void *to, size_t len, off_t offset)
{
	struct text_handle *t = container_of(h, struct text_handle, handle);

	LOCKED(&t->lock);
	if (offset < 0 || (size_t)offset >= t->text.len)
		return 0;
	if (len > t->text.len - (size_t)offset)
		len = t->text.len - (size_t)offset;
	memcpy(to, t->text.data + offset, len);
	return (ssize_t)len;
}

static bool is_blank(struct slice text)
{
	const char *p = text.data;
	size_t i = 0;

	while (i < text.len && strchr(" \t\r\n", p[i]) && p[i])
		i++;
	return i == text.len;
}

/*
 * A shell that redirects truncates, and flushes, before it writes: where nothing is no text, that
 * changes nothing.
 */
static int accept_text(struct text_handle *t, const struct vfs_call *call, struct slice text)
{
	struct handle *h = &t->handle;
	const char *empty = h->node->kind->empty;

	if (empty && empty[0] && is_blank(text))
		return 0;
	return h->node->kind->accept(h->vfs, call, h->node, text);
}

/* A command: each write is one, wherever the kernel thinks it belongs. */
static ssize_t command_write(struct text_handle *t, const struct vfs_call *call, const void *from,
			     size_t len)
{
	int err = accept_text(t, call, slice(from, len));

	return err < 0 ? err : (ssize_t)len;
}

static int look(struct text_handle *t)
{
	struct handle *h = &t->handle;

	buf_reset(&t->seen);
	return t->append ? h->node->kind->render(h->vfs, h->node, &t->seen) : 0;
}

/* Who appends adds to what is there now, which others may have changed meanwhile. */
static int follow(struct text_handle *t)
{
	AUTO(buf_release) struct buf before = t->seen;
	int err;

	t->seen = BUF_INIT;
	err = look(t);
	if (err < 0 || slice_equal(buf_slice(&before), buf_slice(&t->seen)))
		return err;
	buf_reset(&t->text);
	buf_add_slice(&t->text, buf_slice(&t->seen));
	return 0;
}

static ssize_t text_write(struct handle *h, const struct vfs_call *call, const void *from,
			  size_t len, off_t offset)
{
	struct text_handle *t = container_of(h, struct text_handle, handle);
	size_t at = (size_t)offset;
	int err;

	if (h->node->kind->commands)
		return command_write(t, call, from, len);
	LOCKED(&t->lock);
	err = t->append && !t->dirty && !t->truncated ? follow(t) : 0;
	if (err < 0)
		return err;
	t->truncated = false;
	if (t->append)
		at = t->text.len;
	if (at > TEXT_MAX || len > TEXT_MAX - at)
		return -EFBIG;
	while (t->text.len < at)
		buf_add_char(&t->text, '\0');
	if (at + len > t->text.len) {
		size_t more = at + len - t->text.len;

		memset(buf_reserve(&t->text, more), 0, more);
		t->text.len += more;
		t->text.data[t->text.len] = '\0';
	}
	memcpy(t->text.data + at, from, len);
	t->dirty = true;
	/* A text that comes in several writes cannot be judged before its end. */
	if (h->node->kind->unfinished && h->node->kind->unfinished(buf_slice(&t->text)))
		return (ssize_t)len;
	err = accept_text(t, call, buf_slice(&t->text));
	if (err == 0)
		err = look(t);
	/* Shells ignore what close(2) says, so what is wrong is said here. */
	t->dirty = err < 0;
	return err < 0 ? err : (ssize_t)len;
}

static int text_flush(struct handle *h, const struct vfs_call *call)
{
	struct text_handle *t = container_of(h, struct text_handle, handle);
	int err;

	if (h->node->kind->commands)
		return 0;
	LOCKED(&t->lock);
	t->dirty |= t->truncated && t->flushed;
	t->flushed = true;
	if (!t->dirty)
		return 0;
	t->truncated = false;
	err = accept_text(t, call, buf_slice(&t->text));
	t->dirty = false;
	return err;
}

static void text_release(struct handle *h)
{
	struct text_handle *t = container_of(h, struct text_handle, handle);

	if (t->truncated) {
		ACTING_FOR(&t->opener);

		accept_text(t, &t->opener, slice("", 0));
	}
	if (t->made)
		beside_made(h->vfs, h->node->ino);
	buf_release(&t->text);
	buf_release(&t->seen);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct handle_ops text_ops = {
	.read = text_read,
	.write = text_write,
	.flush = text_flush,
	.release = text_release,
};

int handle_open_text(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		     struct vfs_open *ret)
{
	const struct node_kind *kind = node->kind;
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct text_handle *t;
	int err = 0;

	if (writes && !kind->accept)
		return node_refuse(node);
	t = xcalloc(1, sizeof(*t));
	t->handle = (struct handle){ &text_ops, vfs, node };
	pthread_mutex_init(&t->lock, NULL);
	t->append = flags & O_APPEND;
	t->opener = *call;
	t->opener.interrupted = NULL;
	if (!(flags & O_TRUNC) || kind->commands)
		err = kind->render(vfs, node, &t->text);
	if (err < 0) {
		text_release(&t->handle);
		return err;
	}
	t->truncated = (flags & O_TRUNC) && !kind->commands;
	if (t->append)
		buf_add_slice(&t->seen, buf_slice(&t->text));
	*ret = (struct vfs_open){ .handle = &t->handle, .direct_io = !kind->sealed,
				  .keep_cache = kind->sealed };
	return 0;
}

static int resize(struct text_handle *t, const struct vfs_call *call, size_t size)
{
	int err;

	LOCKED(&t->lock);
	while (t->text.len < size)
		buf_add_char(&t->text, '\0');
	t->text.len = size;
	if (t->text.data)
		t->text.data[size] = '\0';
	t->truncated = false;
	err = accept_text(t, call, buf_slice(&t->text));
	t->dirty = err < 0;
	return err;
}

int handle_resize_text(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		       struct handle *handle, off_t size)
{
	struct vfs_open open;
	int err;

	if (node->kind->commands)
		return 0;
	if (size < 0 || size > (off_t)TEXT_MAX)
		return -EFBIG;
	if (handle && handle->ops == &text_ops)
		return resize(container_of(handle, struct text_handle, handle), call, (size_t)size);
	err = handle_open_text(vfs, call, node, O_WRONLY, &open);
	if (err < 0)
		return err;
	err = resize(container_of(open.handle, struct text_handle, handle), call, (size_t)size);
	text_release(open.handle);
	return err;
}

void handle_text_is_made(struct handle *handle)
{
	container_of(handle, struct text_handle, handle)->made = true;
}

/* The listing of kinds that have fixed children and next. A cookie is an entry's place. */
struct child_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir; /* borrowed from the handle */
	off_t place;
	size_t fixed;
	struct buf after; /* the last name of next */
	bool beside;	  /* next is through: files beside, after this name */
	struct buf after_beside;
	struct node_batch *batch; /* of next_many; NULL before it was needed */
	struct node spec;
};

/* So many entries of a listing bring their nodes along; for more, who wants them asks for each. */
#define PLUS_MAX 1000

static int fixed_step(struct child_listing *l, struct listed *ret)
{
	const struct node_kind *kind = l->dir->kind;

	while (kind->fixed && kind->fixed[l->fixed].name) {
		const struct node_fixed *child = &kind->fixed[l->fixed];

		node_fixed_child(l->dir, l->fixed++, &l->spec);
		ret->name = child->name;
		if (!child->kind->unlisted &&
		    !(kind->texts && beside_hides(l->vfs, l->spec.ino)))
			return 1;
	}
	return 0;
}

static int next_of_many(struct child_listing *l, struct buf *ret_name)
{
	struct node_batch *b = l->batch = l->batch ? l->batch : xcalloc(1, sizeof(*l->batch));
	struct node_named *item;

	if (b->at == b->count) {
		int more;

		b->at = b->count = 0;
		more = l->dir->kind->next_many(l->vfs, l->dir, buf_str(&l->after), b);
		if (more <= 0)
			return more;
	}
	item = &b->items[b->at++];
	buf_add_str(ret_name, item->name);
	free(item->name);
	l->spec = item->node;
	return 1;
}

static int child_step(struct child_listing *l, struct listed *ret)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	const struct node_kind *kind = l->dir->kind;
	struct buf *after = &l->after;
	int more;

	node_spec_release(&l->spec);
	more = fixed_step(l, ret);
	if (more > 0)
		return more;
	if (kind->next_many && !l->beside)
		more = next_of_many(l, &name);
	else if (kind->next && !l->beside)
		more = kind->next(l->vfs, l->dir, buf_str(after), &name, &l->spec);
	if (more == 0 && kind->texts) {
		l->beside = true;
		after = &l->after_beside;
		more = beside_next(l->vfs, l->dir, buf_str(after), &name, &l->spec);
	}
	if (more <= 0)
		return more;
	buf_reset(after);
	buf_add_slice(after, buf_slice(&name));
	ret->name = buf_str(after);
	return 1;
}

static int child_next(struct listing *listing, struct listed *ret)
{
	struct child_listing *l = container_of(listing, struct child_listing, listing);
	int more = 1;

	*ret = (struct listed){ .cookie = l->place + 1 };
	if (l->place < 2) {
		ret->name = l->place == 0 ? "." : "..";
		ret->ino = l->dir->ino;
		ret->type = S_IFDIR;
	} else {
		more = child_step(l, ret);
		if (more <= 0)
			return more;
		ret->ino = l->spec.ino;
		ret->type = l->spec.kind->type;
		ret->spec = &l->spec;
		ret->bare = l->spec.kind->costly || l->place > PLUS_MAX;
	}
	l->place++;
	return more;
}

static int child_seek(struct listing *listing, off_t cookie)
{
	struct child_listing *l = container_of(listing, struct child_listing, listing);
	struct listed entry;

	l->place = 0;
	l->fixed = 0;
	l->beside = false;
	if (l->batch)
		node_batch_reset(l->batch);
	buf_reset(&l->after);
	buf_reset(&l->after_beside);
	while (l->place < cookie) {
		int more = child_next(listing, &entry);

		if (more <= 0)
			return more;
	}
	return 0;
}

static void child_close(struct listing *listing)
{
	struct child_listing *l = container_of(listing, struct child_listing, listing);

	node_spec_release(&l->spec);
	if (l->batch)
		node_batch_reset(l->batch);
	free(l->batch);
	buf_release(&l->after);
	buf_release(&l->after_beside);
	free(l);
}

static const struct listing_ops child_ops = {
	.seek = child_seek,
	.next = child_next,
	.close = child_close,
};

struct directory_handle {
	struct handle handle;
	pthread_mutex_t lock; /* the kernel may read one directory from two threads */
	struct listing *listing;
	off_t position;	   /* -1: nowhere */
	bool held;	   /* entry was read, but not taken */
	struct listed entry;
};

static void directory_release(struct handle *h)
{
	struct directory_handle *d = container_of(h, struct directory_handle, handle);

	d->listing->ops->close(d->listing);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static const struct handle_ops directory_ops = { .release = directory_release };

int handle_open_directory(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			  struct vfs_open *ret)
{
	struct directory_handle *d;
	struct listing *listing;

	if (node->kind->list) {
		int err = node->kind->list(vfs, call, node, &listing);

		if (err < 0)
			return err;
	} else {
		struct child_listing *l = xcalloc(1, sizeof(*l));

		l->listing.ops = &child_ops;
		l->vfs = vfs;
		l->dir = node;
		listing = &l->listing;
	}
	d = xcalloc(1, sizeof(*d));
	d->handle = (struct handle){ &directory_ops, vfs, node };
	d->listing = listing;
	pthread_mutex_init(&d->lock, NULL);
	*ret = (struct vfs_open){
		.handle = &d->handle,
		/* What records of others say may also get other children. */
		.keep_cache = node->kind->sealed && !node->kind->volatile_attr,
	};
	return 0;
}

/* One entry to the caller: 0 taken, 1 no room, -errno. */
static int give(struct directory_handle *d, const struct vfs_call *call, bool plus,
		const struct listed *e, vfs_fill *fill, void *arg)
{
	struct vfs *vfs = d->handle.vfs;
	struct vfs_entry entry = { .attr = { .st_ino = e->ino, .st_mode = e->type } };
	struct node spec = { 0 };
	int err = 0;

	if (!strcmp(e->name, ".."))
		entry.attr.st_ino = node_parent_number(vfs, d->handle.node);
	entry.bare = e->bare || !strcmp(e->name, ".") || !strcmp(e->name, "..");
	if (!plus || entry.bare)
		return fill(arg, e->name, &entry, e->cookie) ? 1 : 0;
	if (e->spec) {
		spec = *e->spec;
		*e->spec = (struct node){ 0 };
	} else {
		err = vfs_find(vfs, call, d->handle.node, e->name, &spec);
	}
	if (err == 0)
		err = vfs_enter(vfs, call, &spec, &entry);
	/* It went meanwhile: as if it had gone before. */
	if (err < 0)
		return err == -ENOENT || err == -ESTALE ? 0 : err;
	if (!fill(arg, e->name, &entry, e->cookie))
		return 0;
	node_forget(vfs->nodes, entry.attr.st_ino, 1);
	return 1;
}

int handle_read_directory(struct handle *h, const struct vfs_call *call, off_t offset, bool plus,
			  vfs_fill *fill, void *arg)
{
	struct directory_handle *d = container_of(h, struct directory_handle, handle);
	struct listing *l = d->listing;

	LOCKED(&d->lock);
	if (offset != d->position) {
		int err;

		d->held = false;
		d->position = -1;
		err = l->ops->seek(l, offset);
		if (err < 0)
			return err;
		d->position = offset;
	}
	for (;;) {
		int result;

		if (!d->held) {
			result = l->ops->next(l, &d->entry);
			if (result <= 0)
				return result;
		}
		d->held = false;
		result = give(d, call, plus, &d->entry, fill, arg);
		if (result != 0) {
			/* Next time the entry is found by its name: its node was given away. */
			d->entry.spec = NULL;
			d->held = true;
			return result < 0 ? result : 0;
		}
		d->position = d->entry.cookie;
	}
}

int handle_sync_directory(struct handle *h, bool data_only)
{
	struct directory_handle *d = container_of(h, struct directory_handle, handle);

	return d->listing->ops->fsync ? d->listing->ops->fsync(d->listing, data_only) : 0;
}
