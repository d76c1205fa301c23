#include "vfs_private.h"

#include "temporary.h"
#include "tree.h"

#include "core/log.h"
#include "core/process.h"
#include "core/removal.h"
#include "core/run_process.h"
#include "core/watch.h"

#include <fcntl.h>

/* How long the kernel keeps what others than itself change, seconds. */
#define SHORT 1.0

static void on_run_changed(void *arg, uint32_t run)
{
	run_state_changed(arg, run);
}

int vfs_new(struct store *store, struct vfs **ret)
{
	struct vfs *vfs = xcalloc(1, sizeof(*vfs));
	struct node root = { .ino = VFS_ROOT, .kind = &kind_root };

	vfs->store = store;
	vfs->nodes = node_table_new();
	vfs->backings = backings_new();
	vfs->beside = beside_new();
	draft_directories_init(&vfs->draft_directories);
	temporary_links_init(&vfs->temporary_links);
	vfs->owner = geteuid();
	vfs->owner_group = getegid();
	watch_on_change(store->watch, on_run_changed, vfs);
	version_on_change(store, trash_version_changed, vfs);
	/* The kernel never looks the root up: its first lookup is never given back. */
	node_put(vfs->nodes, node_intern(vfs->nodes, &root));
	*ret = vfs;
	return 0;
}

void vfs_set_notify(struct vfs *vfs, const struct vfs_notify *notify)
{
	vfs->notify = *notify;
}

void vfs_set_backing(struct vfs *vfs, const struct vfs_backing *backing, const char *why)
{
	vfs->backing = *backing;
	vfs->store->passthrough = backing->open != NULL;
	vfs->store->no_passthrough_because = why;
}

int vfs_probe_fd(const struct vfs *vfs)
{
	return vfs->store->lock;
}

void vfs_free(struct vfs *vfs)
{
	watch_on_change(vfs->store->watch, NULL, NULL);
	version_on_change(vfs->store, NULL, NULL);
	node_table_free(vfs->nodes);
	backings_free(vfs->backings);
	beside_free(vfs->beside);
	draft_directories_release(&vfs->draft_directories);
	temporary_links_release(&vfs->temporary_links);
	free(vfs);
}

void vfs_forget_name(struct vfs *vfs, uint64_t parent, const char *name)
{
	if (vfs->notify.entry)
		vfs->notify.entry(vfs->notify.arg, parent, name);
}

void vfs_forget_cached(struct vfs *vfs, uint64_t ino)
{
	if (vfs->notify.inode)
		vfs->notify.inode(vfs->notify.arg, ino);
}

void vfs_settle(struct vfs *vfs)
{
	if (vfs->notify.settle)
		vfs->notify.settle(vfs->notify.arg);
}

struct cred vfs_cred(const struct vfs_call *call)
{
	return (struct cred){ .uid = call->uid, .gid = call->gid, .in_group = cred_in_group,
			      .pid = call->pid };
}

int vfs_caller(struct vfs *vfs, const struct vfs_call *call, struct caller *ret)
{
	struct cred cred = vfs_cred(call);

	if (call->patient)
		caller_find(vfs->store, &cred, ret);
	else if (!caller_known(vfs->store, &cred, ret))
		return VFS_PATIENCE;
	return 0;
}

uint32_t vfs_caller_run(struct vfs *vfs, const struct vfs_call *call)
{
	struct caller caller;
	struct cred cred;

	if (!call)
		return 0;
	cred = vfs_cred(call);
	return caller_known(vfs->store, &cred, &caller) ? caller.run : 0;
}

static uint32_t first_slot(const struct node_kind *kind)
{
	return kind->first_slot ? kind->first_slot : 2;
}

void node_fixed_child(const struct node *dir, size_t index, struct node *ret)
{
	enum ino_class class = (enum ino_class)(dir->ino >> INO_NUMBER_BITS);
	uint32_t slot = first_slot(dir->kind) + (uint32_t)index;

	*ret = (struct node){
		.ino = ino_of_ids(class, dir->a, slot),
		.kind = dir->kind->fixed[index].kind,
		.a = dir->a,
		.b = slot,
	};
}

uint64_t node_fixed_number(const struct node_kind *dir, enum ino_class class, uint32_t id,
			   const struct node_kind *child)
{
	uint32_t i = 0;

	while (dir->fixed[i].kind != child)
		i++;
	return ino_of_ids(class, id, first_slot(dir) + i);
}

uint64_t node_parent_number(struct vfs *vfs, const struct node *dir)
{
	enum ino_class class = (enum ino_class)(dir->ino >> INO_NUMBER_BITS);
	bool fixed = class == INO_COLLECTION || class == INO_VERSION || class == INO_RUN;

	if (dir->kind->parent)
		return dir->kind->parent(vfs, dir);
	return fixed && dir->b >= 2 ? ino_of_ids(class, dir->a, 0) : VFS_ROOT;
}

int vfs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
	     struct node *ret)
{
	const struct node_kind *kind = dir->kind;
	int err = kind->type == S_IFDIR ? -ENOENT : -ENOTDIR;

	for (size_t i = 0; kind->fixed && kind->fixed[i].name; i++) {
		if (!strcmp(kind->fixed[i].name, name)) {
			node_fixed_child(dir, i, ret);
			return kind->texts && beside_hides(vfs, ret->ino) ? -ENOENT : 0;
		}
	}
	if (kind->find)
		err = kind->find(vfs, call, dir, name, ret);
	return err == -ENOENT && kind->texts ? beside_find(vfs, dir, name, ret) : err;
}

/* The size of what has no file behind it is that of its text. */
static int text_size(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		     struct stat *st)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int err = 0;

	if (node->kind->target)
		err = node->kind->target(vfs, call, node, &text);
	else if (node->kind->render)
		err = node->kind->render(vfs, node, &text);
	st->st_size = (off_t)text.len;
	return err;
}

/*
 * How long the kernel may keep attributes. Those of our directories change through the kernel, or
 * with the state of a run, which tells the kernel; every step of a path asks for them. Texts and
 * links that change are as long as they are at this moment.
 */
static double attr_ttl(const struct node_kind *kind)
{
	if (kind->volatile_attr)
		return 0;
	if (kind->volatile_times)
		return SHORT;
	if (kind->sealed || kind->type == S_IFDIR)
		return VFS_FOREVER;
	return kind->type == 0 ? SHORT : 0;
}

int vfs_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct stat *ret,
	     double *ret_ttl)
{
	const struct node_kind *kind = node->kind;
	struct stat st = {
		.st_mode = kind->type,
		.st_nlink = 1,
		.st_uid = vfs->owner,
		.st_gid = vfs->owner_group,
		.st_size = -1,
		.st_blksize = 4096,
		.st_mtim = { .tv_sec = (time_t)vfs->store->opened_at },
	};
	int err = kind->attr(vfs, node, &st);

	if (err == 0 && st.st_size < 0)
		err = kind->type == S_IFDIR ? (st.st_size = 0) : text_size(vfs, call, node, &st);
	if (err < 0)
		return err;
	if (kind->type != 0) {
		st.st_ctim = st.st_mtim;
		if (st.st_atim.tv_sec == 0)
			st.st_atim = st.st_mtim;
		st.st_blocks = (st.st_size + 511) / 512;
		st.st_mode |= kind->type;
	}
	st.st_ino = node->ino;
	*ret = st;
	if (ret_ttl)
		*ret_ttl = backing_is_used(vfs, node->ino) && !kind->sealed ? 0 : attr_ttl(kind);
	return 0;
}

/* The entry of a node that is in the table; takes its lookup back on failure. */
static int fill_entry(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct vfs_entry *ret)
{
	int err = vfs_attr(vfs, call, node, &ret->attr, &ret->attr_ttl);

	ret->generation = node->generation;
	ret->entry_ttl = node->kind->volatile_name ? 0 : VFS_FOREVER;
	if (err < 0)
		node_forget(vfs->nodes, node->ino, 1);
	node_put(vfs->nodes, node);
	return err;
}

int vfs_enter(struct vfs *vfs, const struct vfs_call *call, struct node *spec,
	      struct vfs_entry *ret)
{
	return fill_entry(vfs, call, node_intern(vfs->nodes, spec), ret);
}

/* A node for the time of a call. */
struct use {
	struct vfs *vfs;
	struct node *node;
};

static void use_end(struct use *u)
{
	if (u->node)
		node_put(u->vfs->nodes, u->node);
}

static struct use use_begin(struct vfs *vfs, uint64_t ino)
{
	struct use u = { vfs, node_get(vfs->nodes, ino) };

	if (u.node)
		draft_directories_trim(vfs, u.node);
	return u;
}

#define USE(name, vfs, ino) AUTO(use_end) struct use name = use_begin(vfs, ino)

int vfs_lookup(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       struct vfs_entry *ret)
{
	USE(dir, vfs, parent);
	struct node spec;
	int err;

	if (!dir.node)
		return -ESTALE;
	err = vfs_find(vfs, call, dir.node, name, &spec);
	if (err == -ENOENT && dir.node->kind->final_names) {
		*ret = (struct vfs_entry){ .entry_ttl = VFS_FOREVER };
		return 0;
	}
	if (err == 0)
		err = vfs_enter(vfs, call, &spec, ret);
	if (err == 0 && dir.node->kind->volatile_names)
		ret->entry_ttl = 0;
	return err;
}

void vfs_forget(struct vfs *vfs, uint64_t ino, uint64_t lookups)
{
	if (ino != VFS_ROOT)
		node_forget(vfs->nodes, ino, lookups);
}

int vfs_getattr(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct handle *handle,
		struct stat *ret, double *ret_ttl)
{
	USE(use, vfs, ino);

	(void)handle;
	return use.node ? vfs_attr(vfs, call, use.node, ret, ret_ttl) : -ESTALE;
}

/* Tools that make a text anew give it the mode and owner that it had, and has. */
static bool owner_stays(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			const struct stat *set, unsigned what)
{
	struct stat st;

	if (beside_makes(vfs, node->ino))
		return true;
	if (!node->kind->empty || vfs_attr(vfs, call, node, &st, NULL) < 0)
		return false;
	return (!(what & VFS_SET_MODE) || (set->st_mode & 07777) == (st.st_mode & 07777)) &&
	       (!(what & VFS_SET_UID) || set->st_uid == st.st_uid) &&
	       (!(what & VFS_SET_GID) || set->st_gid == st.st_gid);
}

/*
 * What chmod, touch and `>` mean for what has no hook: a text that is written anyway has no times.
 */
static int set_text_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			 struct handle *handle, const struct stat *set, unsigned what)
{
	unsigned owner = what & (VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID);

	if (!node->kind->accept || (owner && !owner_stays(vfs, call, node, set, what)))
		return node_refuse(node);
	return what & VFS_SET_SIZE ? handle_resize_text(vfs, call, node, handle, set->st_size) : 0;
}

int vfs_setattr(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct handle *handle,
		const struct stat *set, unsigned what, struct stat *ret, double *ret_ttl)
{
	ACTING_FOR(call);
	USE(use, vfs, ino);
	int err;

	if (!use.node)
		return -ESTALE;
	if (use.node->kind->set_attr)
		err = use.node->kind->set_attr(vfs, call, use.node, handle, set, what);
	else
		err = set_text_attr(vfs, call, use.node, handle, set, what);
	return err < 0 ? err : vfs_attr(vfs, call, use.node, ret, ret_ttl);
}

int vfs_readlink(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct buf *ret)
{
	ACTING_FOR(call);
	USE(use, vfs, ino);
	struct vfs_call follow = *call;

	follow.follows = true;
	if (!use.node)
		return -ESTALE;
	if (!use.node->kind->target)
		return -EINVAL;
	return use.node->kind->target(vfs, &follow, use.node, ret);
}

/* The hook of a directory's edits, or its refusal. */
#define EDIT(dir, hook) ((dir)->kind->edit ? (dir)->kind->edit->hook : NULL)

/* Is there a fixed child of this name? Those cannot be made, removed or renamed. */
static bool is_fixed(const struct node *dir, const char *name)
{
	const struct node_fixed *fixed = dir->kind->fixed;

	for (size_t i = 0; fixed && fixed[i].name; i++)
		if (!strcmp(fixed[i].name, name))
			return true;
	return false;
}

static int enter_if(struct vfs *vfs, const struct vfs_call *call, int err, struct node *spec,
		    struct vfs_entry *ret)
{
	return err < 0 ? err : vfs_enter(vfs, call, spec, ret);
}

int vfs_mknod(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	      mode_t mode, dev_t rdev, struct vfs_entry *ret)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	struct node spec;

	(void)rdev;
	if (!dir.node)
		return -ESTALE;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return -EPERM;
	if (dir.node->kind->texts)
		return enter_if(vfs, call, beside_mknod(vfs, call, dir.node, name, mode, &spec),
				&spec, ret);
	if (!EDIT(dir.node, mknod))
		return node_refuse(dir.node);
	return enter_if(vfs, call, EDIT(dir.node, mknod)(vfs, call, dir.node, name, mode, &spec),
			&spec, ret);
}

int vfs_mkdir(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	      mode_t mode, struct vfs_entry *ret)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	struct node spec;

	if (!dir.node)
		return -ESTALE;
	if (!EDIT(dir.node, mkdir))
		return node_refuse(dir.node);
	return enter_if(vfs, call, EDIT(dir.node, mkdir)(vfs, call, dir.node, name, mode, &spec),
			&spec, ret);
}

int vfs_symlink(struct vfs *vfs, const struct vfs_call *call, const char *target, uint64_t parent,
		const char *name, struct vfs_entry *ret)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	struct node spec;

	if (!dir.node)
		return -ESTALE;
	if (!EDIT(dir.node, symlink))
		return node_refuse(dir.node);
	/* The kernel knows, but of a text that is hidden. */
	if (is_fixed(dir.node, name))
		return -EEXIST;
	return enter_if(vfs, call,
			EDIT(dir.node, symlink)(vfs, call, dir.node, name, target, &spec), &spec,
			ret);
}

int vfs_link(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, uint64_t parent,
	     const char *name, struct vfs_entry *ret)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	USE(use, vfs, ino);
	struct node spec;

	if (!dir.node || !use.node)
		return -ESTALE;
	if (!EDIT(dir.node, link))
		return node_refuse(dir.node);
	return enter_if(vfs, call,
			EDIT(dir.node, link)(vfs, call, use.node, dir.node, name, &spec), &spec,
			ret);
}

static int remove_name(struct vfs *vfs, const struct vfs_call *call, uint64_t parent,
		       const char *name, bool directory)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	int (*hook)(struct vfs *, const struct vfs_call *, struct node *, const char *);

	if (!dir.node)
		return -ESTALE;
	if (!directory && dir.node->kind->texts) {
		int err = beside_unlink(vfs, call, dir.node, name);

		if (err != BESIDE_ELSEWHERE)
			return err;
	}
	hook = directory ? EDIT(dir.node, rmdir) : EDIT(dir.node, unlink);
	if (!hook || is_fixed(dir.node, name))
		return node_refuse(dir.node);
	return hook(vfs, call, dir.node, name);
}

int vfs_unlink(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name)
{
	return remove_name(vfs, call, parent, name, false);
}

int vfs_rmdir(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name)
{
	return remove_name(vfs, call, parent, name, true);
}

int vfs_rename(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       uint64_t new_parent, const char *new_name, unsigned flags)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	USE(to, vfs, new_parent);

	if (!dir.node || !to.node)
		return -ESTALE;
	if (dir.node->kind->texts || to.node->kind->texts) {
		int err = beside_rename(vfs, call, dir.node, name, to.node, new_name, flags);

		if (err != BESIDE_ELSEWHERE)
			return err;
	}
	if (!EDIT(dir.node, rename) || is_fixed(dir.node, name))
		return node_refuse(dir.node);
	if (!EDIT(to.node, rename) || is_fixed(to.node, new_name))
		return node_refuse(to.node);
	if (EDIT(dir.node, rename) != EDIT(to.node, rename))
		return -EXDEV;
	return EDIT(dir.node, rename)(vfs, call, dir.node, name, to.node, new_name, flags);
}

int vfs_create(struct vfs *vfs, const struct vfs_call *call, uint64_t parent, const char *name,
	       mode_t mode, int flags, struct vfs_entry *ret, struct vfs_open *ret_open)
{
	ACTING_FOR(call);
	USE(dir, vfs, parent);
	struct vfs_open open = { 0 };
	struct node *node;
	int err;

	if (!dir.node)
		return -ESTALE;
	if (dir.node->kind->texts)
		err = beside_create(vfs, call, dir.node, name, mode, flags, &open);
	else if (EDIT(dir.node, create))
		err = EDIT(dir.node, create)(vfs, call, dir.node, name, mode, flags, &open);
	else
		return node_refuse(dir.node);
	if (err < 0)
		return err;
	node = open.handle->node;
	node_hold(vfs->nodes, node);
	err = fill_entry(vfs, call, node, ret);
	if (err < 0) {
		vfs_release(open.handle);
		return err;
	}
	*ret_open = open;
	return 0;
}

int vfs_open(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, int flags,
	     struct vfs_open *ret)
{
	ACTING_FOR(call);
	USE(use, vfs, ino);
	int err;

	if (!use.node)
		return -ESTALE;
	if (use.node->kind->open)
		err = use.node->kind->open(vfs, call, use.node, flags, ret);
	else if (use.node->kind->render)
		err = handle_open_text(vfs, call, use.node, flags, ret);
	else
		err = use.node->kind->type == S_IFDIR ? -EISDIR : -ENXIO;
	if (err == 0)
		use.node = NULL; /* the handle keeps the reference */
	return err;
}

ssize_t vfs_read(struct handle *handle, void *to, size_t len, off_t offset)
{
	return handle->ops->read ? handle->ops->read(handle, to, len, offset) : -EBADF;
}

bool vfs_write_is_slow(const struct handle *handle)
{
	return handle->node->kind->slow;
}

ssize_t vfs_write(struct handle *handle, const struct vfs_call *call, const void *from, size_t len,
		  off_t offset)
{
	ACTING_FOR(call);
	return handle->ops->write ? handle->ops->write(handle, call, from, len, offset) : -EBADF;
}

int vfs_flush(struct handle *handle, const struct vfs_call *call)
{
	ACTING_FOR(call);
	return handle->ops->flush ? handle->ops->flush(handle, call) : 0;
}

int vfs_fsync(struct handle *handle, bool data_only)
{
	return handle->ops->fsync ? handle->ops->fsync(handle, data_only) : 0;
}

static int handle_fd(struct handle *handle)
{
	return handle->ops->fd ? handle->ops->fd(handle) : -1;
}

static int begin_change(struct handle *handle)
{
	return handle->ops->begin_change ? handle->ops->begin_change(handle) : 0;
}

static void end_change(struct handle *handle)
{
	if (handle->ops->end_change)
		handle->ops->end_change(handle);
}

int vfs_fallocate(struct handle *handle, int mode, off_t offset, off_t len)
{
	int err, fd = handle_fd(handle);

	if (fd < 0)
		return -EOPNOTSUPP;
	err = begin_change(handle);
	if (err < 0)
		return err;
	err = fallocate(fd, mode, offset, len) < 0 ? -errno : 0;
	end_change(handle);
	return err;
}

ssize_t vfs_copy_file_range(struct handle *from, off_t from_offset, struct handle *to,
			    off_t to_offset, size_t len, unsigned flags)
{
	int in = handle_fd(from), out = handle_fd(to);
	ssize_t n;

	/* The kernel then copies by reading and writing. */
	if (in < 0 || out < 0)
		return -EOPNOTSUPP;
	n = begin_change(to);
	if (n < 0)
		return n;
	n = copy_file_range(in, &from_offset, out, &to_offset, len, flags);
	if (n < 0)
		n = -errno;
	end_change(to);
	return n;
}

off_t vfs_lseek(struct handle *handle, off_t offset, int whence)
{
	struct stat st;
	int fd = handle_fd(handle);
	off_t at;

	if (fd >= 0) {
		at = lseek(fd, offset, whence);
		return at < 0 ? -errno : at;
	}
	/* No holes: all is data up to the end. */
	if (vfs_attr(handle->vfs, NULL, handle->node, &st, NULL) < 0 || offset < 0 ||
	    offset >= st.st_size)
		return -ENXIO;
	return whence == SEEK_HOLE ? st.st_size : offset;
}

void vfs_release(struct handle *handle)
{
	struct vfs *vfs = handle->vfs;
	struct node *node = handle->node;

	handle->ops->release(handle);
	node_put(vfs->nodes, node);
}

int vfs_opendir(struct vfs *vfs, const struct vfs_call *call, uint64_t ino, struct vfs_open *ret)
{
	USE(use, vfs, ino);
	int err;

	if (!use.node)
		return -ESTALE;
	err = handle_open_directory(vfs, call, use.node, ret);
	if (err == 0)
		use.node = NULL; /* the handle keeps the reference */
	return err;
}

int vfs_readdir(struct handle *handle, const struct vfs_call *call, off_t offset, bool plus,
		vfs_fill *fill, void *arg)
{
	return handle_read_directory(handle, call, offset, plus, fill, arg);
}

int vfs_fsyncdir(struct handle *handle, bool data_only)
{
	return handle_sync_directory(handle, data_only);
}

int vfs_statfs(struct vfs *vfs, struct statvfs *ret)
{
	if (fstatvfs(vfs->store->drafts, ret) < 0)
		return log_errno(-errno, "asking the store's filesystem for its size");
	ret->f_namemax = 255;
	return 0;
}

#define XATTR(node, hook) ((node)->kind->xattrs ? (node)->kind->xattrs->hook : NULL)

ssize_t vfs_getxattr(struct vfs *vfs, uint64_t ino, const char *name, void *to, size_t size)
{
	USE(use, vfs, ino);

	if (!use.node)
		return -ESTALE;
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	return XATTR(use.node, get) ? XATTR(use.node, get)(vfs, use.node, name, to, size) :
				      -ENODATA;
}

ssize_t vfs_listxattr(struct vfs *vfs, uint64_t ino, char *to, size_t size)
{
	USE(use, vfs, ino);

	if (!use.node)
		return -ESTALE;
	return XATTR(use.node, list) ? XATTR(use.node, list)(vfs, use.node, to, size) : 0;
}

int vfs_setxattr(struct vfs *vfs, uint64_t ino, const char *name, const void *value, size_t size,
		 int flags)
{
	USE(use, vfs, ino);

	if (!use.node)
		return -ESTALE;
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	if (!XATTR(use.node, set))
		return node_refuse(use.node);
	return XATTR(use.node, set)(vfs, use.node, name, value, size, flags);
}

int vfs_removexattr(struct vfs *vfs, uint64_t ino, const char *name)
{
	USE(use, vfs, ino);

	if (!use.node)
		return -ESTALE;
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	if (!XATTR(use.node, remove))
		return node_refuse(use.node);
	return XATTR(use.node, remove)(vfs, use.node, name);
}
