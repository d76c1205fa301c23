/*
 * draft_edit.c - changing names and attributes in a draft, as the local filesystem below it does.
 */
#include "as_caller.h"
#include "draft_node.h"
#include "tree.h"

#include "core/borrow.h"
#include "core/observe.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define SET_ID (S_ISUID | S_ISGID)

/* The descriptor of the directory a change is made in. */
static int change_fd(const struct draft_spot *spot)
{
	int err = draft_may_change(spot->area);

	return err < 0 ? err : draft_spot_fd(spot);
}

/* A name appeared or went: drafts themselves, at the top, are a set that logging looks at. */
static void touch_name(const struct draft_spot *spot, const char *name)
{
	struct draft_top *top = draft_spot_top(spot, name);

	draft_touch(top, 0);
	draft_top_put(top);
	if (spot->parent)
		return;
	top = draft_top_get(spot->area, "");
	draft_touch(top, 0);
	draft_top_put(top);
}

static int make(enum draft_make what, int fd, const char *name, mode_t mode, const char *target)
{
	switch (what) {
	case DRAFT_MAKE_NODE:
		return mknodat(fd, name, mode, 0);
	case DRAFT_MAKE_DIRECTORY:
		return mkdirat(fd, name, mode & 07777);
	case DRAFT_MAKE_LINK:
		break;
	}
	return symlinkat(target, fd, name);
}

int draft_do_make(const struct draft_spot *spot, const struct vfs_call *call,
		  enum draft_make what, const char *name, mode_t mode, const char *target,
		  struct node *ret)
{
	int fd;

	if (what == DRAFT_MAKE_NODE && (mode & SET_ID))
		return -EPERM;
	SHARED(&spot->area->lock);
	fd = change_fd(spot);
	if (fd < 0)
		return fd;
	touch_name(spot, name);
	{
		AS_CALLER(call);

		if (make(what, fd, name, mode, target) < 0)
			return -errno;
	}
	return draft_lookup(spot, name, ret);
}

/* Makes the file, or finds it made by somebody else, and opens it. */
static int create_locked(const struct draft_spot *spot, const struct vfs_call *call,
			 const struct caller *caller, const char *name, mode_t mode, int flags,
			 struct vfs_open *ret)
{
	struct stat st;
	int fd, dir = change_fd(spot);

	if (dir < 0)
		return dir;
	touch_name(spot, name);
	{
		AS_CALLER(call);

		fd = openat(dir, name, draft_open_flags(flags) | O_CREAT | O_EXCL, mode & 07777);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret = draft_handle_new(draft_intern(spot, name, &st), fd, flags, st.st_ino, caller);
	return 0;
}

int draft_do_create(const struct draft_spot *spot, const struct vfs_call *call, const char *name,
		    mode_t mode, int flags, struct vfs_open *ret)
{
	struct node spec, *node;
	struct caller caller;
	int err;

	if (mode & SET_ID)
		return -EPERM;
	err = vfs_caller(spot->vfs, call, &caller);
	if (err < 0)
		return err;
	{
		SHARED(&spot->area->lock);
		err = create_locked(spot, call, &caller, name, mode, flags, ret);
	}
	if (err != -EEXIST || (flags & O_EXCL))
		return err;
	{
		SHARED(&spot->area->lock);
		err = draft_lookup(spot, name, &spec);
	}
	if (err < 0)
		return err;
	node = node_intern(spot->vfs->nodes, &spec);
	err = draft_open(spot->vfs, call, node, flags & ~O_CREAT, ret);
	if (err < 0) {
		node_forget(spot->vfs->nodes, node->ino, 1);
		node_put(spot->vfs->nodes, node);
	}
	return err;
}

/* May the caller read it? The kernel has not asked. */
static int check_lent(const struct vfs_call *call, const struct node_lent *lent)
{
	struct cred cred = vfs_cred(call);

	if (S_ISLNK(lent->mode) || cred_may(&cred, lent->uid, lent->gid, lent->mode, 4))
		return 0;
	return -EACCES;
}

/* The run uses the version, before it has anything of it; so does the run in whose view it is. */
static int observe_lent(const struct draft_spot *spot, const struct node_lent *lent)
{
	int err = observe_version(spot->vfs->store, spot->area->run, lent->version);

	if (err == 0 && lent->run && lent->run != spot->area->run)
		err = observe_version(spot->vfs->store, lent->run, lent->version);
	return err;
}

static int make_lent(const struct draft_spot *spot, const struct node_lent *lent, int dir,
		     const char *name)
{
	/* Its owner may write to it: that is what a draft is for. */
	const struct borrowing b = {
		.digest = *lent->digest,
		.size = lent->size,
		.mode = (lent->mode & 0777) | S_IWUSR,
		.mtime = lent->mtime,
	};
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, lent->mtime };

	if (S_ISREG(lent->mode))
		return borrow_make(spot->vfs->store, &b, dir, name);
	if (symlinkat(lent->target, dir, name) < 0)
		return -errno;
	utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/*
 * A link to a file of a version: as large ones borrow their bytes, none is copied; it is the
 * caller's, with the times and the mode that the version shows.
 */
static int link_lent(const struct draft_spot *spot, const struct vfs_call *call,
		     const struct node_lent *lent, const char *name, struct node *ret)
{
	int fd, err = check_lent(call, lent);

	/* A draft is a directory or a file. */
	if (err == 0 && !spot->parent && name[0] != '.' && !S_ISREG(lent->mode))
		err = -EPERM;
	if (err == 0)
		err = observe_lent(spot, lent);
	if (err == 0 && S_ISREG(lent->mode) && lent->size > BLOB_PACK_MAX)
		err = borrow_keep(spot->vfs->store, spot->area->run, lent->version);
	if (err < 0)
		return err;
	SHARED(&spot->area->lock);
	fd = change_fd(spot);
	if (fd < 0)
		return fd;
	touch_name(spot, name);
	{
		AS_CALLER(call);

		err = make_lent(spot, lent, fd, name);
	}
	return err < 0 ? err : draft_lookup(spot, name, ret);
}

int draft_do_link(const struct draft_spot *spot, const struct vfs_call *call, struct node *node,
		  const char *name, struct node *ret)
{
	struct draft_file *f = node->kind == &kind_draft ? draft_file(node) : NULL;
	struct draft_path path;
	struct node_lent lent;
	int fd, err;

	if (node->kind->lend) {
		node->kind->lend(node, &lent);
		return link_lent(spot, call, &lent, name, ret);
	}
	/*
	 * Each draft is a filesystem of its own here; /proc's magic links lead to the inode
	 * itself.
	 */
	if (!f || f->top != spot->top || !spot->parent)
		return -EXDEV;
	SHARED(&spot->area->lock);
	fd = change_fd(spot);
	if (fd < 0)
		return fd;
	/* The blob may be a link of its own. */
	err = f->gone ? -ENOENT : draft_node_path(node, &path);
	if (err < 0)
		return err;
	draft_touch(f->top, node->backing);
	if (linkat(AT_FDCWD, path.text, fd, name, f->fd >= 0 ? AT_SYMLINK_FOLLOW : 0) < 0)
		return -errno;
	node_again(spot->vfs->nodes, node);
	*ret = (struct node){ .interned = node };
	return 0;
}

static bool is_known_as(const struct draft_file *f, const struct node *parent, const char *name)
{
	return f->fd < 0 && f->parent == parent && !strcmp(f->name, name);
}

/* What is known of an inode of which a name is about to go. */
struct victim {
	struct node *node; /* with a reference, if the kernel knows it */
	bool pinned;	   /* a descriptor was opened to take the name's place */
};

/* If the kernel knows the inode, its node keeps it by descriptor. */
static int pin_victim(const struct draft_spot *spot, int dir, const char *name,
		      struct victim *ret)
{
	struct victim v = { 0 };
	struct draft_file *f;
	struct stat st;

	*ret = v;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	v.node = node_get_backing(spot->vfs->nodes, spot->area->run, st.st_ino);
	if (!v.node)
		return 0;
	f = draft_file(v.node);
	if (is_known_as(f, spot->parent, name)) {
		f->fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		v.pinned = f->fd >= 0;
		if (!v.pinned) {
			int err = -errno;

			node_put(spot->vfs->nodes, v.node);
			return err;
		}
	}
	*ret = v;
	return 0;
}

/* With a name gone: has it another, besides the link of a blob? */
static bool has_name(const struct draft_file *f)
{
	char path[32];
	struct stat st;
	nlink_t names;

	if (S_ISDIR(f->type))
		return false;
	/* No descriptor: it was another name of it that went. */
	if (f->fd < 0)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	return draft_count_names(f->area->store, path, &st, &names) < 0 || names > 0;
}

/* The name went, or it did not. */
static void settle_victim(const struct draft_spot *spot, struct victim *v, bool went)
{
	struct draft_file *f;

	if (!v->node)
		return;
	f = draft_file(v->node);
	if (went && !has_name(f))
		f->gone = true;
	if (!went && v->pinned) {
		close(f->fd);
		f->fd = -1;
	}
	node_put(spot->vfs->nodes, v->node);
}

int draft_do_remove(const struct draft_spot *spot, const char *name, bool directory)
{
	struct victim victim;
	int err, dir;

	EXCLUSIVE(&spot->area->lock);
	dir = change_fd(spot);
	if (dir < 0)
		return dir;
	err = pin_victim(spot, dir, name, &victim);
	if (err < 0)
		return err;
	touch_name(spot, name);
	err = unlinkat(dir, name, directory ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
	settle_victim(spot, &victim, err == 0);
	return err;
}

/* The node that the name is moved of learns its new name. */
static void move_node(const struct draft_spot *from, const char *name,
		      const struct draft_spot *to, const char *new_name, struct node *node)
{
	struct node_table *nodes = from->vfs->nodes;
	struct draft_file *f = draft_file(node);
	struct node *old = f->parent;

	if (f->parent != from->parent || strcmp(f->name, name) != 0)
		return;
	if (to->parent)
		node_hold(nodes, to->parent);
	f->parent = to->parent;
	free(f->name);
	f->name = xstrdup(new_name);
	if (old)
		node_put(nodes, old);
}

/* The node of a name, if the kernel knows one, with a reference. */
static struct node *node_at(const struct draft_spot *spot, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	return node_get_backing(spot->vfs->nodes, spot->area->run, st.st_ino);
}

static int rename_locked(const struct draft_spot *from, int dir, const char *name,
			 const struct draft_spot *to, int to_dir, const char *new_name,
			 unsigned flags)
{
	struct node *moved = node_at(from, dir, name);
	struct victim other = { .node = node_at(to, to_dir, new_name) };
	bool exchange = flags & RENAME_EXCHANGE;
	int err = 0;

	/* Two names of one inode: rename(2) does nothing, and nothing must be forgotten. */
	if (other.node && !exchange && other.node != moved) {
		node_put(to->vfs->nodes, other.node);
		err = pin_victim(to, to_dir, new_name, &other);
	}
	if (err == 0)
		err = renameat2(dir, name, to_dir, new_name, flags) < 0 ? -errno : 0;
	if (err == 0 && moved && moved != other.node)
		move_node(from, name, to, new_name, moved);
	if (err == 0 && exchange && other.node && moved != other.node)
		move_node(to, new_name, from, name, other.node);
	if (err == 0 && !from->parent)
		draft_top_rename(from->area, name, new_name, exchange);
	settle_victim(to, &other, err == 0 && !exchange && other.node != moved);
	if (moved)
		node_put(from->vfs->nodes, moved);
	return err;
}

/* In outputs/: what becomes a draft is a directory or a file, as what is made there. */
static int check_draft_type(int dir, const char *name, const char *new_name)
{
	struct stat st;

	if (new_name[0] == '.')
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) ? 0 : -EPERM;
}

int draft_do_rename(const struct draft_spot *from, const char *name, const struct draft_spot *to,
		    const char *new_name, unsigned flags)
{
	int dir, to_dir, err = 0;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	/* Drafts are moved among themselves; inside a draft, what is in it. */
	if (from->area != to->area || (from->parent == NULL) != (to->parent == NULL) ||
	    (from->parent && from->top != to->top))
		return -EXDEV;
	EXCLUSIVE(&from->area->lock);
	dir = change_fd(from);
	to_dir = dir < 0 ? dir : change_fd(to);
	if (to_dir < 0)
		return to_dir;
	if (!from->parent)
		err = check_draft_type(dir, name, new_name);
	if (err == 0 && !from->parent && flags & RENAME_EXCHANGE)
		err = check_draft_type(to_dir, new_name, name);
	if (err < 0)
		return err;
	touch_name(from, name);
	touch_name(to, new_name);
	return rename_locked(from, dir, name, to, to_dir, new_name, flags);
}

static int draft_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			const char *name, mode_t mode, int flags, struct vfs_open *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	return draft_do_create(&spot, call, name, mode, flags, ret);
}

static int draft_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, mode_t mode, struct node *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	return draft_do_make(&spot, call, DRAFT_MAKE_NODE, name, mode, NULL, ret);
}

static int draft_mkdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, mode_t mode, struct node *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	return draft_do_make(&spot, call, DRAFT_MAKE_DIRECTORY, name, mode, NULL, ret);
}

static int draft_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name, const char *target, struct node *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	return draft_do_make(&spot, call, DRAFT_MAKE_LINK, name, 0, target, ret);
}

static int draft_link(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct node *dir, const char *name, struct node *ret)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	return draft_do_link(&spot, call, node, name, ret);
}

static int draft_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			const char *name)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	(void)call;
	return draft_do_remove(&spot, name, false);
}

static int draft_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name)
{
	struct draft_spot spot = draft_spot_of(dir);

	(void)vfs;
	(void)call;
	return draft_do_remove(&spot, name, true);
}

/*
 * Directories of drafts and outputs/ itself are renamed between by one hook each: see
 * vfs_rename().
 */
static int draft_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			const char *name, struct node *new_dir, const char *new_name,
			unsigned flags)
{
	struct draft_spot from = draft_spot_of(dir), to = draft_spot_of(new_dir);

	(void)vfs;
	(void)call;
	return draft_do_rename(&from, name, &to, new_name, flags);
}

const struct node_edit draft_edit = {
	.create = draft_create,
	.mknod = draft_mknod,
	.mkdir = draft_mkdir,
	.symlink = draft_symlink,
	.link = draft_link,
	.unlink = draft_unlink,
	.rmdir = draft_rmdir,
	.rename = draft_rename,
};

static int set_owner(struct node *node, const struct draft_path *path, const struct stat *set,
		     unsigned what)
{
	int flags = draft_file(node)->fd >= 0 ? 0 : AT_SYMLINK_NOFOLLOW;

	if (what & (VFS_SET_UID | VFS_SET_GID) &&
	    fchownat(AT_FDCWD, path->text, what & VFS_SET_UID ? set->st_uid : (uid_t)-1,
		     what & VFS_SET_GID ? set->st_gid : (gid_t)-1, flags) < 0)
		return -errno;
	if (what & VFS_SET_MODE && fchmodat(AT_FDCWD, path->text, set->st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

static struct timespec new_time(const struct timespec *given, unsigned what, unsigned set,
				unsigned now)
{
	if (what & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return what & set ? *given : (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(struct node *node, const struct draft_path *path, const struct stat *set,
		     unsigned what)
{
	struct timespec times[2] = {
		new_time(&set->st_atim, what, VFS_SET_ATIME, VFS_SET_ATIME_NOW),
		new_time(&set->st_mtim, what, VFS_SET_MTIME, VFS_SET_MTIME_NOW),
	};
	int flags = draft_file(node)->fd >= 0 ? 0 : AT_SYMLINK_NOFOLLOW;

	if (!(what & (VFS_SET_ATIME | VFS_SET_MTIME | VFS_SET_ATIME_NOW | VFS_SET_MTIME_NOW)))
		return 0;
	return utimensat(AT_FDCWD, path->text, times, flags) < 0 ? -errno : 0;
}

/* -EAGAIN: own says that the file must have an inode of its own for this, and it has not. */
static int set_attr_locked(struct node *node, const struct stat *set, unsigned what, bool own)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	struct stat st;
	int err = draft_may_change(f->area);

	if (err == 0)
		err = draft_node_path(node, &path);
	if (err == 0 && own)
		err = draft_node_stat(node, &st);
	if (err < 0)
		return err;
	if (own && (draft_path_is_shared(path.text, &st, NULL) ||
		    borrow_path_is(path.text, &st, NULL)))
		return -EAGAIN;
	draft_touch(f->top, node->backing);
	if (what & VFS_SET_SIZE && truncate(path.text, set->st_size) < 0)
		return -errno;
	if (what & VFS_SET_SIZE && set->st_size == 0)
		draft_mark_good(path.text);
	err = set_owner(node, &path, set, what);
	return err < 0 ? err : set_times(node, &path, set, what);
}

int draft_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		   struct handle *handle, const struct stat *set, unsigned what)
{
	struct draft_file *f = draft_file(node);
	/* A daemon that is not root could no longer read the version's bytes either. */
	bool unreadable = what & VFS_SET_MODE && !(set->st_mode & S_IRUSR) && vfs->owner != 0;
	bool own = what & VFS_SET_SIZE || unreadable;

	(void)handle;
	/* truncate(2) and, before Linux 6.6, fchmodat(2) would follow a link. */
	if (what & VFS_SET_MODE && S_ISLNK(f->type))
		return -EOPNOTSUPP;
	if (what & VFS_SET_SIZE && !S_ISREG(f->type))
		return S_ISDIR(f->type) ? -EISDIR : -EINVAL;
	if (what & VFS_SET_MODE && !S_ISDIR(f->type) && set->st_mode & SET_ID)
		return -EPERM;
	for (unsigned i = 0; i < DRAFT_TRIES; i++) {
		int err;

		{
			SHARED(&f->area->lock);
			err = set_attr_locked(node, set, what, own);
		}
		if (err != -EAGAIN)
			return err;
		err = draft_node_unshare(node, call, what & VFS_SET_SIZE && set->st_size == 0);
		if (err < 0)
			return err;
	}
	return -EAGAIN;
}
