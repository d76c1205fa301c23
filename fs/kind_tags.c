/*
 * kind_tags.c - tags/ of runs and of versions: an empty file a tag, that touch makes and rm
 * removes.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/run_note.h"
#include "core/version_note.h"

#include <fcntl.h>

/* Of what they are tags. */
struct tagged_thing {
	enum ino_class class;
	const struct node_kind *kind; /* of a tag */
	int (*add)(struct store *store, uint32_t id, struct slice tag);
	int (*remove)(struct store *store, uint32_t id, struct slice tag);
	int (*find)(struct store *store, uint32_t id, struct slice tag, struct tag *ret);
	int (*next)(struct store *store, uint32_t id, struct slice after, struct tag *ret,
		    struct buf *ret_name);
};

static const struct tagged_thing run_thing = {
	.class = INO_RUN_TAG,
	.kind = &kind_run_tag,
	.add = run_tag_add,
	.remove = run_tag_remove,
	.find = run_tag_find,
	.next = run_tag_next,
};

static const struct tagged_thing version_thing = {
	.class = INO_VERSION_TAG,
	.kind = &kind_version_tag,
	.add = version_tag_add,
	.remove = version_tag_remove,
	.find = version_tag_find,
	.next = version_tag_next,
};

static void tag_node(const struct tagged_thing *thing, uint32_t id, uint32_t slot,
		     const char *name, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(thing->class, id, slot),
		.kind = thing->kind,
		.a = id,
		.b = slot,
		.name = xstrdup(name),
	};
}

static int find_tag(const struct tagged_thing *thing, struct vfs *vfs, struct node *dir,
		    const char *name, struct node *ret)
{
	struct tag tag;
	int err = thing->find(vfs->store, dir->a, slice_str(name), &tag);

	if (err == 0)
		tag_node(thing, dir->a, tag.slot, name, ret);
	return err;
}

static int next_tag(const struct tagged_thing *thing, struct vfs *vfs, struct node *dir,
		    const char *after, struct buf *ret_name, struct node *ret)
{
	struct tag tag;
	int more = thing->next(vfs->store, dir->a, slice_str(after), &tag, ret_name);

	if (more > 0)
		tag_node(thing, dir->a, tag.slot, buf_str(ret_name), ret);
	return more;
}

static int tag_attr(const struct tagged_thing *thing, struct vfs *vfs, struct node *node,
		    struct stat *st)
{
	struct tag tag;

	if (thing->find(vfs->store, node->a, slice_str(node->name), &tag) == 0)
		st->st_mtim = timespec_of_ns(tag.created);
	st->st_size = 0;
	return 0;
}

static int make_tag(const struct tagged_thing *thing, struct vfs *vfs, struct node *dir,
		    const char *name, mode_t mode, struct node *ret)
{
	int err;

	if (!S_ISREG(mode))
		return -EPERM;
	err = thing->add(vfs->store, dir->a, slice_str(name));
	return err < 0 ? err : find_tag(thing, vfs, dir, name, ret);
}

static int create_tag(const struct tagged_thing *thing, struct vfs *vfs,
		      const struct vfs_call *call, struct node *dir, const char *name, int flags,
		      struct vfs_open *ret)
{
	struct node spec, *node;
	int err = thing->add(vfs->store, dir->a, slice_str(name));

	if (err == -EEXIST && !(flags & O_EXCL))
		err = 0;
	if (err == 0)
		err = find_tag(thing, vfs, dir, name, &spec);
	if (err < 0)
		return err;
	node = node_intern(vfs->nodes, &spec);
	err = handle_open_text(vfs, call, node, flags & ~O_TRUNC, ret);
	if (err < 0) {
		node_forget(vfs->nodes, node->ino, 1);
		node_put(vfs->nodes, node);
	}
	return err;
}

int tag_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	(void)vfs;
	(void)node;
	(void)ret;
	return 0;
}

/* A tag is its name: there is nothing to write into it. */
int tag_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct slice text)
{
	(void)vfs;
	(void)call;
	(void)node;
	return text.len == 0 ? 0 : -EINVAL;
}

/* ---- of runs ---- */

int run_tags_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *child, struct node *ret)
{
	(void)call;
	return find_tag(&run_thing, vfs, dir, child, ret);
}

int run_tags_next(struct vfs *vfs, struct node *dir, const char *after,
		  struct buf *ret_name, struct node *ret)
{
	return next_tag(&run_thing, vfs, dir, after, ret_name, ret);
}

int run_tag_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	int err = run_note_attr(vfs, node, st);

	return err < 0 ? err : tag_attr(&run_thing, vfs, node, st);
}

static int run_tags_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name, mode_t mode, struct node *ret)
{
	(void)call;
	return make_tag(&run_thing, vfs, dir, name, mode, ret);
}

static int run_tags_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			   const char *name, mode_t mode, int flags, struct vfs_open *ret)
{
	(void)mode;
	return create_tag(&run_thing, vfs, call, dir, name, flags, ret);
}

static int run_tags_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			   const char *name)
{
	(void)call;
	return run_thing.remove(vfs->store, dir->a, slice_str(name));
}

const struct node_edit run_tags_edit = {
	.create = run_tags_create,
	.mknod = run_tags_mknod,
	.unlink = run_tags_unlink,
};

/* ---- of versions ---- */

int version_tags_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *child, struct node *ret)
{
	(void)call;
	return find_tag(&version_thing, vfs, dir, child, ret);
}

int version_tags_next(struct vfs *vfs, struct node *dir, const char *after,
		      struct buf *ret_name, struct node *ret)
{
	return next_tag(&version_thing, vfs, dir, after, ret_name, ret);
}

int version_tag_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	int err = version_note_attr(vfs, node, st);

	return err < 0 ? err : tag_attr(&version_thing, vfs, node, st);
}

static int version_tags_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			      const char *name, mode_t mode, struct node *ret)
{
	(void)call;
	return make_tag(&version_thing, vfs, dir, name, mode, ret);
}

static int version_tags_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			       const char *name, mode_t mode, int flags, struct vfs_open *ret)
{
	(void)mode;
	return create_tag(&version_thing, vfs, call, dir, name, flags, ret);
}

static int version_tags_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			       const char *name)
{
	(void)call;
	return version_thing.remove(vfs->store, dir->a, slice_str(name));
}

const struct node_edit version_tags_edit = {
	.create = version_tags_create,
	.mknod = version_tags_mknod,
	.unlink = version_tags_unlink,
};
