/*
 * kind_content.c - the files of a version: immutable, so the kernel may keep all of it.
 */
#include "provenance.h"
#include "tree.h"
#include "vfs_private.h"

#include "core/artifact.h"
#include "core/observe.h"
#include "core/tree.h"

#include <fcntl.h>

/* What a node below files/ remembers. */
struct content {
	uid_t uid;
	gid_t gid;
	mode_t file_mode, executable_mode, directory_mode;
	uint32_t collection, number, run; /* of the version: fs/provenance.h */
	struct tree_entry entry;
	uint64_t parent; /* the number of its directory */
};

/* The directory that a node is: its page, and what its entries inherit. */
struct place {
	struct content inherited;
	uint64_t page;
};

/* What the kernel knows of a version that is purged is stale. */
static bool is_gone(struct vfs *vfs, const struct node *node)
{
	struct version v;

	return atomic_load(&vfs->store->purges) &&
	       version_get_by_id(vfs->store, node->a, &v) == 0 && v.purged;
}

static int place_of(struct vfs *vfs, const struct node *dir, struct place *ret)
{
	const struct content *c = dir->data;
	struct version v;
	int err;

	if (is_gone(vfs, dir))
		return -ESTALE;
	if (c) {
		ret->inherited = *c;
		ret->page = c->entry.page;
		return 0;
	}
	err = version_get_by_id(vfs->store, dir->a, &v);
	if (err == 0 && v.purged)
		err = -ESTALE;
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	ret->inherited = (struct content){
		.uid = v.uid,
		.gid = v.gid,
		.file_mode = version_file_mode(&v, false),
		.executable_mode = version_file_mode(&v, true),
		.directory_mode = version_directory_mode(&v),
		.collection = v.collection,
		.number = v.number,
		.run = v.run,
	};
	ret->page = v.page;
	return 0;
}

static bool has_number(const struct node *dir)
{
	return dir->ino >> INO_NUMBER_BITS == INO_CONTENT;
}

/* The run in whose view it is; 0: none. */
static uint32_t view_of(const struct node *node)
{
	return has_number(node) ? node->b : 0;
}

/*
 * files/ itself has a number of the version's, but in a view, where it has the first; what is below
 * counts from the first.
 */
static int first_number(struct vfs *vfs, const struct node *dir, uint64_t *ret)
{
	struct version v;
	int err;

	if (has_number(dir)) {
		*ret = dir->ino & ((1ull << INO_NUMBER_BITS) - 1);
		return 0;
	}
	err = version_get_by_id(vfs->store, dir->a, &v);
	if (err == 0)
		*ret = v.first_ino;
	return err;
}

static const struct node_kind *kind_of(enum entry_type type)
{
	switch (type) {
	case ENTRY_DIRECTORY:
		return &kind_content_directory;
	case ENTRY_LINK:
		return &kind_content_link;
	case ENTRY_FILE:
		break;
	}
	return &kind_content_file;
}

/* Takes over what the entry owns. */
static void content_node(const struct node *dir, uint64_t first, const struct place *place,
			 const struct tree_entry *entry, struct node *ret)
{
	struct content *c = xmalloc(sizeof(*c));

	*c = place->inherited;
	c->entry = *entry;
	c->parent = dir->ino;
	*ret = (struct node){
		.ino = ino_of_number(INO_CONTENT, first + entry->number),
		.kind = kind_of(entry->type),
		.a = dir->a,
		.b = view_of(dir),
		.data = c,
	};
}

uint64_t content_parent(struct vfs *vfs, const struct node *dir)
{
	const struct content *c = dir->data;

	(void)vfs;
	return c->parent;
}

uint64_t content_root_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	return view_of(dir) ? ino_of_ids(INO_VIEW_VERSION, view_of(dir), dir->a) :
			      ino_of_ids(INO_VERSION, dir->a, 0);
}

void content_release(struct node *node)
{
	struct content *c = node->data;

	if (c)
		tree_entry_release(&c->entry);
	free(c);
}

int content_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		 const char *child, struct node *ret)
{
	struct tree_entry entry;
	struct place place;
	uint64_t first;
	int err = place_of(vfs, dir, &place);

	(void)call;
	if (err == 0)
		err = first_number(vfs, dir, &first);
	if (err == 0)
		err = tree_find(vfs->store->kv, place.page, slice_str(child), &entry);
	if (err == 0)
		content_node(dir, first, &place, &entry, ret);
	return err;
}

/* A cookie is an entry's place in the directory, which never changes. */
struct content_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	struct place at;
	uint64_t first;
	struct tree_cursor *cursor;
	off_t place;
	struct buf name;
	struct node spec;
};

static int list_next(struct listing *listing, struct listed *ret)
{
	struct content_listing *l = container_of(listing, struct content_listing, listing);
	struct tree_entry entry = { 0 };
	struct page_entry e;
	int more;

	*ret = (struct listed){ .cookie = l->place + 1 };
	if (l->place < 2) {
		ret->name = l->place == 0 ? "." : "..";
		ret->ino = l->dir->ino;
		ret->type = S_IFDIR;
		l->place++;
		return 1;
	}
	more = tree_cursor_next(l->cursor, &e, &entry.number);
	if (more <= 0)
		return more;
	entry.type = e.type;
	entry.executable = e.executable;
	entry.size = e.size;
	entry.mtime = e.mtime;
	entry.digest = e.digest;
	entry.page = e.page;
	entry.nodes = e.nodes;
	entry.target = e.type == ENTRY_LINK ? xstrndup(e.target.data, e.target.len) : NULL;
	node_spec_release(&l->spec);
	content_node(l->dir, l->first, &l->at, &entry, &l->spec);
	buf_reset(&l->name);
	buf_add_slice(&l->name, e.name);
	ret->name = buf_str(&l->name);
	ret->ino = l->spec.ino;
	ret->type = l->spec.kind->type;
	ret->spec = &l->spec;
	l->place++;
	return 1;
}

static int list_seek(struct listing *listing, off_t cookie)
{
	struct content_listing *l = container_of(listing, struct content_listing, listing);
	struct listed entry;
	int err;

	tree_cursor_close(l->cursor);
	l->cursor = NULL;
	err = tree_cursor_open(l->vfs->store->kv, l->at.page, slice("", 0), &l->cursor);
	if (err < 0)
		return err;
	l->place = 0;
	while (l->place < cookie) {
		int more = list_next(listing, &entry);

		if (more <= 0)
			return more;
	}
	return 0;
}

static void list_close(struct listing *listing)
{
	struct content_listing *l = container_of(listing, struct content_listing, listing);

	tree_cursor_close(l->cursor);
	node_spec_release(&l->spec);
	buf_release(&l->name);
	free(l);
}

static const struct listing_ops content_listing_ops = {
	.seek = list_seek,
	.next = list_next,
	.close = list_close,
};

int content_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		 struct listing **ret)
{
	struct content_listing *l = xcalloc(1, sizeof(*l));
	int err;

	(void)call;
	l->listing.ops = &content_listing_ops;
	l->vfs = vfs;
	l->dir = dir;
	err = place_of(vfs, dir, &l->at);
	if (err == 0)
		err = first_number(vfs, dir, &l->first);
	if (err == 0)
		err = list_seek(&l->listing, 0);
	if (err < 0) {
		list_close(&l->listing);
		return err;
	}
	*ret = &l->listing;
	return 0;
}

int content_root_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_mode = version_directory_mode(&v);
	st->st_uid = v.uid;
	st->st_gid = v.gid;
	st->st_mtim = v.mtime;
	return 0;
}

int content_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	const struct content *c = node->data;

	(void)vfs;
	st->st_uid = c->uid;
	st->st_gid = c->gid;
	st->st_mtim = c->entry.mtime;
	st->st_size = 0;
	switch (c->entry.type) {
	case ENTRY_FILE:
		st->st_mode = c->entry.executable ? c->executable_mode : c->file_mode;
		st->st_size = (off_t)c->entry.size;
		break;
	case ENTRY_DIRECTORY:
		st->st_mode = c->directory_mode;
		break;
	case ENTRY_LINK:
		st->st_mode = 0777;
		st->st_size = (off_t)c->entry.size;
		break;
	}
	return 0;
}

int content_target(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct buf *ret)
{
	const struct content *c = node->data;

	(void)call;
	(void)vfs;
	buf_add_str(ret, c->entry.target);
	return 0;
}

static struct provenance provenance(const struct node *node)
{
	const struct content *c = node->data;

	return (struct provenance){ c->entry.digest, c->collection, c->number, c->run };
}

static ssize_t xattr_get(struct vfs *vfs, struct node *node, const char *name, void *to,
			 size_t size)
{
	struct provenance p = provenance(node);

	return provenance_get(vfs->store, &p, name, to, size);
}

static ssize_t xattr_list(struct vfs *vfs, struct node *node, char *to, size_t size)
{
	struct provenance p = provenance(node);

	return provenance_list(vfs->store, &p, to, size);
}

const struct node_xattrs content_xattrs = { .get = xattr_get, .list = xattr_list };

void content_lend(struct node *node, struct node_lent *ret)
{
	const struct content *c = node->data;
	bool link = c->entry.type == ENTRY_LINK;

	*ret = (struct node_lent){
		.version = node->a,
		.run = view_of(node),
		.uid = c->uid,
		.gid = c->gid,
		.mode = link ? S_IFLNK | 0777 :
			       S_IFREG | (c->entry.executable ? c->executable_mode : c->file_mode),
		.mtime = c->entry.mtime,
		.size = c->entry.size,
		.digest = &c->entry.digest,
		.target = c->entry.target,
	};
}

struct blob_handle {
	struct handle handle;
	struct blob *blob;
};

static ssize_t blob_handle_read(struct handle *h, void *to, size_t len, off_t offset)
{
	struct blob_handle *b = container_of(h, struct blob_handle, handle);

	return blob_pread(b->blob, to, len, (uint64_t)offset);
}

static int blob_handle_fd(struct handle *h)
{
	return blob_fd(container_of(h, struct blob_handle, handle)->blob);
}

static void blob_handle_release(struct handle *h)
{
	struct blob_handle *b = container_of(h, struct blob_handle, handle);

	blob_release(b->blob);
	backing_end(h->vfs, h->node->ino);
	free(b);
}

static const struct handle_ops blob_handle_ops = {
	.read = blob_handle_read,
	.fd = blob_handle_fd,
	.release = blob_handle_release,
};

/* Who opens a file of a version uses it. */
static int observe(struct vfs *vfs, const struct node *node, const struct caller *caller)
{
	uint32_t run = view_of(node) ? view_of(node) : caller->run;

	if (run)
		return observe_version(vfs->store, run, node->a);
	if (caller->unseen)
		observe_unseen(vfs->store, node->a);
	return 0;
}

int content_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		 struct vfs_open *ret)
{
	const struct content *c = node->data;
	struct caller caller = { 0 };
	struct blob_handle *b;
	struct blob *blob;
	int err;

	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		return node_refuse(node);
	err = view_of(node) ? 0 : vfs_caller(vfs, call, &caller);
	if (err == 0 && is_gone(vfs, node))
		err = -ESTALE;
	if (err == 0)
		err = artifact_open_blob(vfs->store, &c->entry.digest, &blob);
	if (err < 0)
		return err;
	err = observe(vfs, node, &caller);
	if (err < 0) {
		blob_release(blob);
		return err;
	}
	b = xcalloc(1, sizeof(*b));
	b->handle = (struct handle){ &blob_handle_ops, vfs, node };
	b->blob = blob;
	*ret = (struct vfs_open){
		.handle = &b->handle,
		.keep_cache = true,
		.backing = backing_begin(vfs, node->ino, blob_fd(blob), blob_fd(blob) >= 0),
	};
	return 0;
}
