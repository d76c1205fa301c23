#include "beside.h"

#include "core/artifact.h"
#include "core/log.h"
#include "handle.h"
#include "tree.h"
#include "vfs_private.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

struct beside_file {
	struct beside *home;
	TAILQ_ENTRY(beside_file) link;
	unsigned references; /* the list, nodes, handles, calls under way */
	uint64_t ino;
	uint64_t dir; /* number of the directory */
	char *name;   /* NULL: removed */
	uid_t uid;
	gid_t gid;
	mode_t mode;
	struct timespec mtime;
	struct buf text;
};

/* Of nodes, in order. Most mounts have none: who looks then takes no lock. */
struct numbers {
	uint64_t *all;
	size_t count, cap;
	atomic_bool any;
};

struct beside {
	pthread_mutex_t lock; /* of all of this, and of all files */
	TAILQ_HEAD(, beside_file) files; /* those that have a name */
	size_t count, bytes; /* also of files that are only open */
	uint64_t last_ino;
	struct numbers hidden, made; /* texts */
	atomic_bool any_file;
};

struct beside *beside_new(void)
{
	struct beside *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	TAILQ_INIT(&b->files);
	return b;
}

/* The lock is held. */
static void unref(struct beside_file *f)
{
	if (--f->references > 0)
		return;
	f->home->count--;
	f->home->bytes -= f->text.len;
	buf_release(&f->text);
	free(f->name);
	free(f);
}

static void drop_name(struct beside_file *f)
{
	if (!f->name)
		return;
	TAILQ_REMOVE(&f->home->files, f, link);
	free(f->name);
	f->name = NULL;
	atomic_store(&f->home->any_file, !TAILQ_EMPTY(&f->home->files));
	unref(f);
}

void beside_free(struct beside *b)
{
	if (b->count)
		log_info("%zu files in memory beside texts go with the mount", b->count);
	while (!TAILQ_EMPTY(&b->files))
		drop_name(TAILQ_FIRST(&b->files));
	pthread_mutex_destroy(&b->lock);
	free(b->hidden.all);
	free(b->made.all);
	free(b);
}

/* ---- hidden texts, and those that are being made ---- */

/* Where a number is, or belongs. */
static size_t place_in(const struct numbers *set, uint64_t ino)
{
	size_t from = 0, to = set->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (set->all[middle] < ino)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool has_number(struct beside *b, struct numbers *set, uint64_t ino)
{
	size_t i;

	if (!atomic_load(&set->any))
		return false;
	LOCKED(&b->lock);
	i = place_in(set, ino);
	return i < set->count && set->all[i] == ino;
}

static void set_number(struct beside *b, struct numbers *set, uint64_t ino, bool in)
{
	LOCKED(&b->lock);
	size_t i = place_in(set, ino);
	bool is = i < set->count && set->all[i] == ino;

	if (is == in)
		return;
	if (in) {
		set->all = xgrow(set->all, &set->cap, set->count + 1, sizeof(*set->all));
		memmove(set->all + i + 1, set->all + i, (set->count - i) * sizeof(*set->all));
		set->all[i] = ino;
		set->count++;
	} else {
		set->count--;
		memmove(set->all + i, set->all + i + 1, (set->count - i) * sizeof(*set->all));
	}
	atomic_store(&set->any, set->count > 0);
}

bool beside_hides(struct vfs *vfs, uint64_t ino)
{
	return has_number(vfs->beside, &vfs->beside->hidden, ino);
}

static void set_hidden(struct vfs *vfs, uint64_t ino, bool hide)
{
	set_number(vfs->beside, &vfs->beside->hidden, ino, hide);
}

bool beside_makes(struct vfs *vfs, uint64_t ino)
{
	return has_number(vfs->beside, &vfs->beside->made, ino);
}

void beside_made(struct vfs *vfs, uint64_t ino)
{
	set_number(vfs->beside, &vfs->beside->made, ino, false);
}

/* ---- files ---- */

/* The lock is held. */
static struct beside_file *named(struct beside *b, uint64_t dir, const char *name)
{
	struct beside_file *f;

	TAILQ_FOREACH(f, &b->files, link)
		if (f->dir == dir && !strcmp(f->name, name))
			return f;
	return NULL;
}

/* With a reference, or NULL. */
static struct beside_file *get_named(struct vfs *vfs, struct node *dir, const char *name)
{
	struct beside_file *f;

	if (!atomic_load(&vfs->beside->any_file))
		return NULL;
	LOCKED(&vfs->beside->lock);
	f = named(vfs->beside, dir->ino, name);
	if (f)
		f->references++;
	return f;
}

static void put_file(struct beside_file *f)
{
	if (!f)
		return;
	LOCKED(&f->home->lock);
	unref(f);
}

static void put_filep(struct beside_file **f)
{
	put_file(*f);
}

/* The node of a file, whose reference it takes. */
static void file_node(struct beside_file *f, struct node *ret)
{
	*ret = (struct node){ .ino = f->ino, .kind = &kind_beside, .data = f };
}

void beside_release(struct node *node)
{
	put_file(node->data);
}

/* Has a name that leads to something else; find of a kind is asked before the files beside. */
static bool is_other(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *name)
{
	struct node spec;

	if (!dir->kind->find || dir->kind->find(vfs, call, dir, name, &spec) < 0)
		return false;
	node_spec_release(&spec);
	return true;
}

int beside_find(struct vfs *vfs, struct node *dir, const char *name, struct node *ret)
{
	struct beside_file *f = get_named(vfs, dir, name);

	if (!f)
		return -ENOENT;
	file_node(f, ret);
	return 0;
}

static struct beside_file *next_file(struct vfs *vfs, struct node *dir, const char *after,
				     struct buf *ret_name)
{
	struct beside_file *f, *first = NULL;

	LOCKED(&vfs->beside->lock);
	TAILQ_FOREACH(f, &vfs->beside->files, link)
		if (f->dir == dir->ino && strcmp(f->name, after) > 0 &&
		    (!first || strcmp(f->name, first->name) < 0))
			first = f;
	if (first) {
		first->references++;
		buf_reset(ret_name);
		buf_add_str(ret_name, first->name);
	}
	return first;
}

int beside_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		struct node *ret)
{
	AUTO(buf_release) struct buf last = BUF_INIT;
	struct beside_file *f;

	if (!atomic_load(&vfs->beside->any_file))
		return 0;
	buf_add_str(&last, after);
	while ((f = next_file(vfs, dir, buf_str(&last), ret_name))) {
		if (!is_other(vfs, NULL, dir, buf_str(ret_name))) {
			file_node(f, ret);
			return 1;
		}
		put_file(f);
		buf_reset(&last);
		buf_add_slice(&last, buf_slice(ret_name));
	}
	return 0;
}

static int check_name(const char *name)
{
	uint32_t number;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	/* Names of what may come to be there. */
	if (version_name_parse(slice_str(name), &number) == 0 || !strcmp(name, "latest"))
		return -EINVAL;
	return 0;
}

/* A new file, with a reference for the caller. The lock is held. -ENOSPC. */
static int make(struct beside *b, struct node *dir, const char *name, uid_t uid, gid_t gid,
		mode_t mode, struct beside_file **ret)
{
	struct beside_file *f;
	int err = check_name(name);

	if (err < 0)
		return err;
	if (b->count >= BESIDE_FILES_MAX)
		return -ENOSPC;
	b->count++;
	f = xcalloc(1, sizeof(*f));
	*f = (struct beside_file){
		.home = b,
		.references = 2,
		.ino = ino_of_number(INO_BESIDE, ++b->last_ino),
		.dir = dir->ino,
		.name = xstrdup(name),
		.uid = uid,
		.gid = gid,
		.mode = mode & 0777,
		.mtime = timespec_of_ns(store_now()),
	};
	TAILQ_INSERT_TAIL(&b->files, f, link);
	atomic_store(&b->any_file, true);
	*ret = f;
	return 0;
}

/* The lock is held. */
static int resize(struct beside_file *f, size_t size)
{
	struct beside *b = f->home;
	size_t old = f->text.len;

	if (size > BESIDE_FILE_MAX)
		return -EFBIG;
	if (size > old && b->bytes + (size - old) > BESIDE_BYTES_MAX)
		return -ENOSPC;
	if (size > old)
		memset(buf_reserve(&f->text, size - old), 0, size - old);
	b->bytes += size - old;
	f->text.len = size;
	if (size == 0)
		buf_release(&f->text);
	f->mtime = timespec_of_ns(store_now());
	return 0;
}

int beside_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	const struct beside_file *f = node->data;

	LOCKED(&vfs->beside->lock);
	st->st_mode = f->mode;
	st->st_uid = f->uid;
	st->st_gid = f->gid;
	st->st_nlink = f->name ? 1 : 0;
	st->st_size = (off_t)f->text.len;
	st->st_mtim = f->mtime;
	return 0;
}

int beside_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		    struct handle *handle, const struct stat *set, unsigned what)
{
	struct beside_file *f = node->data;
	int err = 0;

	(void)call;
	(void)handle;
	LOCKED(&vfs->beside->lock);
	if (what & VFS_SET_SIZE)
		err = resize(f, (size_t)set->st_size);
	if (err < 0)
		return err;
	if (what & VFS_SET_MODE)
		f->mode = set->st_mode & 0777;
	if (what & VFS_SET_UID)
		f->uid = set->st_uid;
	if (what & VFS_SET_GID)
		f->gid = set->st_gid;
	if (what & VFS_SET_MTIME_NOW)
		f->mtime = timespec_of_ns(store_now());
	else if (what & VFS_SET_MTIME)
		f->mtime = set->st_mtim;
	return 0;
}

/* ---- open files ---- */

struct beside_handle {
	struct handle handle;
	struct beside_file *file; /* of the node, which the handle keeps */
	bool append;
};

static struct beside_handle *handle_of(struct handle *h)
{
	return container_of(h, struct beside_handle, handle);
}

static ssize_t read_file(struct handle *h, void *to, size_t len, off_t offset)
{
	struct beside_file *f = handle_of(h)->file;

	LOCKED(&f->home->lock);
	if (offset < 0 || (size_t)offset >= f->text.len)
		return 0;
	if (len > f->text.len - (size_t)offset)
		len = f->text.len - (size_t)offset;
	memcpy(to, f->text.data + offset, len);
	return (ssize_t)len;
}

static ssize_t write_file(struct handle *h, const struct vfs_call *call, const void *from,
			  size_t len, off_t offset)
{
	struct beside_file *f = handle_of(h)->file;
	size_t at = (size_t)offset;
	int err;

	(void)call;
	LOCKED(&f->home->lock);
	if (handle_of(h)->append)
		at = f->text.len;
	if (len == 0)
		return 0;
	if (at > BESIDE_FILE_MAX || len > BESIDE_FILE_MAX - at)
		return -EFBIG;
	err = resize(f, at + len > f->text.len ? at + len : f->text.len);
	if (err < 0)
		return err;
	memcpy(f->text.data + at, from, len);
	return (ssize_t)len;
}

static void release_file(struct handle *h)
{
	free(handle_of(h));
}

static const struct handle_ops file_ops = {
	.read = read_file,
	.write = write_file,
	.release = release_file,
};

int beside_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		struct vfs_open *ret)
{
	struct beside_handle *h;

	(void)call;
	if (flags & O_TRUNC) {
		LOCKED(&vfs->beside->lock);
		resize(node->data, 0);
	}
	h = xcalloc(1, sizeof(*h));
	h->handle = (struct handle){ &file_ops, vfs, node };
	h->file = node->data;
	h->append = flags & O_APPEND;
	*ret = (struct vfs_open){ .handle = &h->handle, .direct_io = true };
	return 0;
}

/* Tools carry attributes over if they can. */
static int no_xattr_set(struct vfs *vfs, struct node *node, const char *name, const void *value,
			size_t size, int flags)
{
	(void)vfs, (void)node, (void)name, (void)value, (void)size, (void)flags;
	return -EOPNOTSUPP;
}

static int no_xattr_remove(struct vfs *vfs, struct node *node, const char *name)
{
	(void)vfs, (void)node, (void)name;
	return -ENODATA;
}

const struct node_xattrs beside_xattrs = { .set = no_xattr_set, .remove = no_xattr_remove };

/* ---- names ---- */

/* What a name in a directory with texts is. */
struct place {
	struct node *dir;
	const char *name;
	struct node text; /* kind NULL: none of that name */
	bool hidden;	  /* the text is */
	bool other;	  /* something that this file knows nothing of */
	struct beside_file *file; /* with a reference */
};

static void place_release(struct place *p)
{
	put_file(p->file);
}

static struct place place_of(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			     const char *name)
{
	const struct node_fixed *fixed = dir->kind->fixed;
	struct place p = { .dir = dir, .name = name };

	for (size_t i = 0; fixed && fixed[i].name; i++) {
		if (strcmp(fixed[i].name, name) != 0)
			continue;
		p.other = !fixed[i].kind->empty;
		if (!p.other) {
			node_fixed_child(dir, i, &p.text);
			p.hidden = beside_hides(vfs, p.text.ino);
		}
		return p;
	}
	p.other = is_other(vfs, call, dir, name);
	if (!p.other && dir->kind->texts)
		p.file = get_named(vfs, dir, name);
	return p;
}

static bool is_text(const struct place *p)
{
	return p->text.kind != NULL;
}

static bool is_there(const struct place *p)
{
	return p->other || p->file || (is_text(p) && !p->hidden);
}

static int write_whole(struct vfs *vfs, const struct vfs_call *call, struct place *p,
		       struct slice text)
{
	return p->text.kind->accept(vfs, call, &p->text, text);
}

static int open_node(struct vfs *vfs, const struct vfs_call *call, struct node *spec, int flags,
		     struct vfs_open *ret)
{
	struct node *node = node_intern(vfs->nodes, spec);
	int err = node->kind->open ? node->kind->open(vfs, call, node, flags, ret) :
				     handle_open_text(vfs, call, node, flags, ret);

	if (err < 0) {
		node_forget(vfs->nodes, node->ino, 1);
		node_put(vfs->nodes, node);
	}
	return err;
}

int beside_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  mode_t mode, int flags, struct vfs_open *ret)
{
	AUTO(place_release) struct place p = place_of(vfs, call, dir, name);
	struct node spec;
	uint64_t ino;
	int err;

	if (is_there(&p) && (p.other || (flags & O_EXCL)))
		return -EEXIST;
	if (is_text(&p)) {
		ino = p.text.ino;
		err = open_node(vfs, call, &p.text, p.hidden ? flags | O_TRUNC : flags, ret);
		if (err == 0 && p.hidden) {
			set_hidden(vfs, ino, false);
			set_number(vfs->beside, &vfs->beside->made, ino, true);
			handle_text_is_made(ret->handle);
		}
		return err;
	}
	if (!p.file) {
		LOCKED(&vfs->beside->lock);
		err = named(vfs->beside, dir->ino, name) ?
			      -EEXIST :
			      make(vfs->beside, dir, name, call->uid, call->gid, mode, &p.file);
		if (err < 0)
			return err;
	}
	file_node(steal(p.file), &spec);
	return open_node(vfs, call, &spec, flags, ret);
}

int beside_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		 mode_t mode, struct node *ret)
{
	struct vfs_open open;
	int err;

	if (!S_ISREG(mode))
		return node_refuse(dir);
	err = beside_create(vfs, call, dir, name, mode, O_WRONLY | O_EXCL, &open);
	if (err < 0)
		return err;
	*ret = (struct node){ .interned = open.handle->node };
	open.handle->ops->release(open.handle);
	return 0;
}

int beside_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name)
{
	AUTO(place_release) struct place p = place_of(vfs, call, dir, name);
	int err;

	if (p.other || !is_there(&p))
		return p.other ? BESIDE_ELSEWHERE : -ENOENT;
	if (is_text(&p)) {
		err = write_whole(vfs, call, &p, slice_str(p.text.kind->empty));
		if (err == 0)
			set_hidden(vfs, p.text.ino, true);
		return err;
	}
	LOCKED(&vfs->beside->lock);
	drop_name(p.file);
	return 0;
}

/* What is at a place, and whether it may be taken away from there. */
static int content_of(struct vfs *vfs, const struct vfs_call *call, struct place *p,
		      struct buf *ret)
{
	int err;

	if (p->file) {
		LOCKED(&vfs->beside->lock);
		buf_add_slice(ret, buf_slice(&p->file->text));
		return 0;
	}
	err = p->text.kind->render(vfs, &p->text, ret);
	/* What may not be written may not go either. It is the same text, so nothing changes. */
	return err < 0 ? err : p->text.kind->accept(vfs, call, &p->text, buf_slice(ret));
}

/* Renames a file; what had the name goes. */
static int move_file(struct vfs *vfs, struct place *from, struct place *to)
{
	struct beside_file *f = from->file;
	int err = check_name(to->name);

	LOCKED(&vfs->beside->lock);
	if (err < 0 || !f->name)
		return err;
	if (to->file)
		drop_name(to->file);
	free(f->name);
	f->name = xstrdup(to->name);
	f->dir = to->dir->ino;
	return 0;
}

/* A text gets the name of a file: a backup. */
static int copy_text(struct vfs *vfs, struct place *from, struct place *to, struct slice text)
{
	AUTO(put_filep) struct beside_file *f = NULL;
	struct stat st = { .st_uid = vfs->owner, .st_gid = vfs->owner_group };
	int err = from->text.kind->attr(vfs, &from->text, &st);

	if (err < 0)
		return err;
	{
		LOCKED(&vfs->beside->lock);
		err = make(vfs->beside, to->dir, to->name, st.st_uid, st.st_gid, st.st_mode, &f);
		if (err == 0)
			err = resize(f, text.len);
		if (err == 0 && text.len)
			memcpy(f->text.data, text.data, text.len);
		if (err == 0 && to->file)
			drop_name(to->file);
		if (err < 0 && f)
			drop_name(f);
	}
	return err;
}

int beside_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  struct node *new_dir, const char *new_name, unsigned flags)
{
	AUTO(place_release) struct place from = place_of(vfs, call, dir, name);
	AUTO(place_release) struct place to = place_of(vfs, call, new_dir, new_name);
	AUTO(buf_release) struct buf text = BUF_INIT;
	int err;

	if (from.other || !is_there(&from))
		return to.file ? -EINVAL : from.other ? BESIDE_ELSEWHERE : -ENOENT;
	if (!new_dir->kind->texts)
		return -EXDEV;
	if (to.other)
		return new_dir->kind->find && is_other(vfs, call, new_dir, new_name) ?
			       -EINVAL : BESIDE_ELSEWHERE;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if ((flags & RENAME_NOREPLACE) && is_there(&to))
		return -EEXIST;
	if (from.file && !is_text(&to))
		return move_file(vfs, &from, &to);
	err = content_of(vfs, call, &from, &text);
	if (err == 0)
		err = is_text(&to) ? write_whole(vfs, call, &to, buf_slice(&text)) :
				     copy_text(vfs, &from, &to, buf_slice(&text));
	if (err < 0)
		return err;
	if (is_text(&to))
		set_hidden(vfs, to.text.ino, false);
	if (is_text(&from)) {
		set_hidden(vfs, from.text.ino, true);
		return 0;
	}
	LOCKED(&vfs->beside->lock);
	drop_name(from.file);
	return 0;
}
