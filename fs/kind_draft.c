/*
 * kind_draft.c - what a run made below outputs/<name>: finding, listing, attributes. Edits are in
 * draft_edit.c, open files in draft_file.c.
 */
#include "draft_node.h"
#include "tree.h"

#include "core/borrow.h"
#include "core/directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

int draft_may_change(const struct draft_area *area)
{
	enum draft_phase phase = area->phase;

	switch (phase) {
	case DRAFT_OPEN:
		return 0;
	case DRAFT_READONLY:
		return -EROFS;
	case DRAFT_GONE:
		break;
	}
	return -ESTALE;
}

struct draft_spot draft_spot_of(struct node *dir)
{
	struct draft_file *f = draft_file(dir);

	return (struct draft_spot){ f->vfs, f->area, f->top, dir };
}

int draft_spot_fd(const struct draft_spot *spot)
{
	if (spot->area->phase == DRAFT_GONE)
		return -ESTALE;
	return spot->parent ? draft_directory_fd(spot->parent) : spot->area->fd;
}

/* The descriptor of the directory that the node is in. */
static int parent_fd(struct draft_file *f)
{
	if (f->area->phase == DRAFT_GONE || f->gone)
		return -ESTALE;
	return f->parent ? draft_directory_fd(f->parent) : f->area->fd;
}

/* Of who has it open; not after the lock: the last one may close it. */
static int stat_by_handle(struct draft_file *f, struct stat *st)
{
	LOCKED(&f->area->mutex);
	if (!f->handles)
		return -ESTALE;
	return fstat(f->handles->fd, st) < 0 ? -errno : 0;
}

int draft_node_stat(struct node *node, struct stat *st)
{
	struct draft_file *f = draft_file(node);
	int fd = f->fd, parent;

	if (f->area->phase == DRAFT_GONE && S_ISDIR(f->type))
		return -ESTALE;
	if (fd < 0 && f->area->phase == DRAFT_GONE)
		return stat_by_handle(f, st);
	if (fd >= 0)
		return fstatat(fd, "", st, AT_EMPTY_PATH) < 0 ? -errno : 0;
	parent = parent_fd(f);
	if (parent < 0)
		return parent;
	if (fstatat(parent, f->name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	return 0;
}

int draft_node_path(struct node *node, struct draft_path *ret)
{
	struct draft_file *f = draft_file(node);
	int parent;

	if (f->area->phase == DRAFT_GONE)
		return -ESTALE;
	if (f->fd >= 0) {
		snprintf(ret->text, sizeof(ret->text), "/proc/self/fd/%d", f->fd);
		return 0;
	}
	parent = parent_fd(f);
	if (parent < 0)
		return parent;
	snprintf(ret->text, sizeof(ret->text), "/proc/self/fd/%d/%s", parent, f->name);
	return 0;
}

struct draft_top *draft_spot_top(const struct draft_spot *spot, const char *name)
{
	if (!spot->parent)
		return draft_top_get(spot->area, name);
	draft_top_hold(spot->top);
	return spot->top;
}

struct node *draft_intern(const struct draft_spot *spot, const char *name, const struct stat *st)
{
	struct draft_file *f = xcalloc(1, sizeof(*f));
	struct node spec;

	f->vfs = spot->vfs;
	f->area = spot->area;
	f->top = draft_spot_top(spot, name);
	f->parent = spot->parent;
	f->name = xstrdup(name);
	f->type = st->st_mode & S_IFMT;
	f->fd = f->next_fd = -1;
	draft_area_hold(f->area);
	if (f->parent)
		node_hold(f->vfs->nodes, f->parent);
	spec = (struct node){
		.ino = ino_of_number(INO_DRAFT, st->st_ino),
		.backing = st->st_ino,
		.kind = &kind_draft,
		.a = f->area->run,
		.data = f,
	};
	return node_intern(spot->vfs->nodes, &spec);
}

void draft_release(struct node *node)
{
	struct draft_file *f = draft_file(node);
	struct draft_area *area;

	if (!f)
		return;
	area = f->area;
	draft_directory_close(f);
	if (f->parent)
		node_put(f->vfs->nodes, f->parent);
	draft_top_put(f->top);
	draft_area_put(area);
	free(f->name);
	free(f);
}

int draft_lookup(const struct draft_spot *spot, const char *name, struct node *ret)
{
	struct stat st;
	int fd = draft_spot_fd(spot);

	if (fd < 0)
		return fd;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (struct node){ .interned = draft_intern(spot, name, &st) };
	return 0;
}

int draft_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
	       struct node *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	(void)call;
	SHARED(&spot.area->lock);
	return draft_lookup(&spot, child, ret);
}

uint64_t draft_parent_number(const struct draft_file *f)
{
	return f->parent ? f->parent->ino :
			   node_fixed_number(&kind_run, INO_RUN, f->area->run, &kind_outputs);
}

uint64_t draft_parent(struct vfs *vfs, const struct node *dir)
{
	struct draft_file *f = draft_file(dir);

	(void)vfs;
	SHARED(&f->area->lock);
	return draft_parent_number(f);
}

/* The inode's links without the blob's, and none once the last name is gone. */
static nlink_t visible_links(struct node *node, const struct stat *st)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	struct stat counted;
	nlink_t names;

	if (!S_ISREG(st->st_mode) || st->st_nlink == 0)
		return st->st_nlink;
	if (f->gone)
		return 0;
	if (st->st_nlink < 2 || draft_node_path(node, &path) < 0 ||
	    draft_count_names(f->area->store, path.text, &counted, &names) < 0)
		return st->st_nlink;
	return names;
}

/*
 * What borrows its bytes has them for all that others see: tar(1) takes a file of no blocks for
 * empty.
 */
static void fill_blocks(struct node *node, struct stat *st)
{
	struct draft_path path;

	if (S_ISREG(st->st_mode) && st->st_blocks * 512 < st->st_size &&
	    draft_node_path(node, &path) == 0 && borrow_path_is(path.text, st, NULL))
		st->st_blocks = (st->st_size + 511) / 512;
}

int draft_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct draft_file *f = draft_file(node);
	int err;

	(void)vfs;
	SHARED(&f->area->lock);
	err = draft_node_stat(node, st);
	if (err == 0) {
		st->st_nlink = visible_links(node, st);
		fill_blocks(node, st);
	}
	return err;
}

int draft_target(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct buf *ret)
{
	struct draft_file *f = draft_file(node);
	ssize_t n;
	int fd;

	(void)call;
	(void)vfs;
	SHARED(&f->area->lock);
	if (!S_ISLNK(f->type))
		return -EINVAL;
	fd = f->fd >= 0 ? f->fd : parent_fd(f);
	if (fd < 0)
		return fd;
	n = readlinkat(fd, f->fd >= 0 ? "" : f->name, buf_reserve(ret, 4096), 4096);
	if (n < 0)
		return -errno;
	ret->len += (size_t)n;
	ret->data[ret->len] = '\0';
	return 0;
}

/* The directory's own listing: cookies are the backing filesystem's. */
struct draft_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	DIR *stream;
};

static int list_seek(struct listing *listing, off_t cookie)
{
	struct draft_listing *l = container_of(listing, struct draft_listing, listing);

	if (cookie == 0)
		rewinddir(l->stream);
	else
		seekdir(l->stream, (long)cookie);
	return 0;
}

static int list_next(struct listing *listing, struct listed *ret)
{
	struct draft_listing *l = container_of(listing, struct draft_listing, listing);
	struct node *known;
	struct dirent *e;

	errno = 0;
	e = readdir(l->stream);
	if (!e)
		return errno ? -errno : 0;
	*ret = (struct listed){
		.name = e->d_name,
		.ino = ino_of_number(INO_DRAFT, e->d_ino),
		.type = DTTOIF(e->d_type),
		.cookie = e->d_off,
	};
	if (!strcmp(e->d_name, ".")) {
		ret->ino = l->dir->ino;
		return 1;
	}
	/* A node that got another backing inode keeps its number. */
	known = node_get_backing(l->vfs->nodes, l->dir->a, e->d_ino);
	if (known) {
		ret->ino = known->ino;
		node_put(l->vfs->nodes, known);
	}
	return 1;
}

static int list_fsync(struct listing *listing, bool data_only)
{
	struct draft_listing *l = container_of(listing, struct draft_listing, listing);
	int fd = dirfd(l->stream);

	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

static void list_close(struct listing *listing)
{
	struct draft_listing *l = container_of(listing, struct draft_listing, listing);

	closedir(l->stream);
	free(l);
}

static const struct listing_ops draft_listing_ops = {
	.seek = list_seek,
	.next = list_next,
	.fsync = list_fsync,
	.close = list_close,
};

int draft_list_fd(struct vfs *vfs, struct node *dir, int fd, struct listing **ret)
{
	struct draft_listing *l;
	DIR *stream;
	int err = directory_open(fd, ".", &stream);

	if (err < 0)
		return err;
	l = xcalloc(1, sizeof(*l));
	l->listing.ops = &draft_listing_ops;
	l->vfs = vfs;
	l->dir = dir;
	l->stream = stream;
	*ret = &l->listing;
	return 0;
}

int draft_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
	       struct listing **ret)
{
	struct draft_spot spot = draft_spot_of(dir);
	int fd;

	(void)call;
	SHARED(&spot.area->lock);
	if (!S_ISDIR(draft_file(dir)->type))
		return -ENOTDIR;
	fd = draft_spot_fd(&spot);
	return fd < 0 ? fd : draft_list_fd(vfs, dir, fd, ret);
}

static bool is_own_xattr(const char *name)
{
	return !strncmp(name, DRAFT_OWN_XATTRS, sizeof(DRAFT_OWN_XATTRS) - 1);
}

/* Symbolic links and the like have no user xattrs, and their path must not be followed. */
static int xattr_path(struct node *node, struct draft_path *ret)
{
	struct draft_file *f = draft_file(node);

	if (!S_ISREG(f->type) && !S_ISDIR(f->type))
		return -EPERM;
	return draft_node_path(node, ret);
}

static ssize_t xattr_get(struct vfs *vfs, struct node *node, const char *name, void *to,
			 size_t size)
{
	struct draft_path path;
	ssize_t n;
	int err;

	(void)vfs;
	SHARED(&draft_file(node)->area->lock);
	err = is_own_xattr(name) ? -ENODATA : xattr_path(node, &path);
	if (err < 0)
		return err == -EPERM ? -ENODATA : err;
	n = getxattr(path.text, name, to, size);
	return n < 0 ? -errno : n;
}

static ssize_t xattr_list(struct vfs *vfs, struct node *node, char *to, size_t size)
{
	autofree char *all = NULL;
	struct draft_path path;
	ssize_t n, kept = 0;
	int err;

	(void)vfs;
	SHARED(&draft_file(node)->area->lock);
	err = xattr_path(node, &path);
	if (err < 0)
		return err == -EPERM ? 0 : err;
	n = listxattr(path.text, NULL, 0);
	all = xmalloc(n > 0 ? (size_t)n : 1);
	if (n > 0)
		n = listxattr(path.text, all, (size_t)n);
	if (n < 0)
		return -errno;
	for (char *name = all; name < all + n; name += strlen(name) + 1) {
		size_t len = strlen(name) + 1;

		if (strncmp(name, "user.", 5) != 0 || is_own_xattr(name))
			continue;
		if (size > 0 && (size_t)kept + len > size)
			return -ERANGE;
		if (size > 0)
			memcpy(to + kept, name, len);
		kept += (ssize_t)len;
	}
	return kept;
}

static int xattr_change(struct node *node, const char *name, const void *value, size_t size,
			int flags, bool set)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	int err;

	SHARED(&f->area->lock);
	err = draft_may_change(f->area);
	if (err == 0)
		err = xattr_path(node, &path);
	if (err < 0)
		return err;
	/*
	 * What a copy from a version brings along says where it came from: accepted, and dropped.
	 */
	if (is_own_xattr(name))
		return set ? 0 : -ENODATA;
	draft_touch(f->top, node->backing);
	err = set ? setxattr(path.text, name, value, size, flags) : removexattr(path.text, name);
	return err < 0 ? -errno : 0;
}

static int xattr_set(struct vfs *vfs, struct node *node, const char *name, const void *value,
		     size_t size, int flags)
{
	(void)vfs;
	return xattr_change(node, name, value, size, flags, true);
}

static int xattr_remove(struct vfs *vfs, struct node *node, const char *name)
{
	(void)vfs;
	return xattr_change(node, name, NULL, 0, 0, false);
}

const struct node_xattrs draft_xattrs = {
	.get = xattr_get,
	.list = xattr_list,
	.set = xattr_set,
	.remove = xattr_remove,
};
