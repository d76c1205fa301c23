/*
 * kind_artifact.c - /artifacts, the collections in it, and the versions' names in those.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/view.h"

#include <stdio.h>

static void collection_node(uint32_t id, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_COLLECTION, id, 0),
		.kind = &kind_collection,
		.a = id,
	};
}

int collections_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *child, struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_find(vfs->store, slice_str(child), &c);

	(void)call;
	(void)dir;
	if (err == 0)
		collection_node(c.id, ret);
	return err;
}

int collections_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		     struct node *ret)
{
	uint32_t id;
	int more = collection_next(vfs->store, slice_str(after), &id, ret_name);

	(void)dir;
	if (more > 0)
		collection_node(id, ret);
	return more;
}

int collections_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	/* Anybody may make a collection, and remove only their own. */
	st->st_mode = 01777;
	return 0;
}

static int collections_mkdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			     const char *name, mode_t mode, struct node *ret)
{
	uint32_t id;
	int err = collection_create(vfs->store, slice_str(name), call->uid, call->gid, mode, &id);

	(void)dir;
	if (err == 0)
		collection_node(id, ret);
	return err;
}

static int collections_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			     const char *name)
{
	(void)call;
	(void)dir;
	return collection_remove(vfs->store, slice_str(name));
}

const struct node_edit collections_edit = {
	.mkdir = collections_mkdir,
	.rmdir = collections_rmdir,
};

static void latest_node(uint32_t collection, struct node *ret)
{
	/* Slots of fixed children start at 2: 1 is free. */
	*ret = (struct node){
		.ino = ino_of_ids(INO_COLLECTION, collection, 1),
		.kind = &kind_latest,
		.a = collection,
	};
}

int collection_find_child(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *child, struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	uint32_t number;
	int err;

	(void)call;
	if (!strcmp(child, "latest")) {
		err = collection_get(vfs->store, dir->a, &c);
		if (err == 0 && c.latest < 0)
			err = -ENOENT;
		if (err == 0)
			latest_node(dir->a, ret);
		return err;
	}
	if (version_name_parse(slice_str(child), &number) < 0)
		return alias_find_child(vfs, call, dir, child, ret);
	err = version_get(vfs->store, dir->a, number, &v);
	if (err == 0)
		version_top_node(&v, ret);
	return err;
}

static void add_child(struct node_batch *b, char *name, const struct node *node)
{
	b->items[b->count++] = (struct node_named){ .name = name, .node = *node };
}

/* latest, then the aliases by name. 1, 0, -errno. */
static int next_alias(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		      struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err;

	if (after[0] != '\0')
		return alias_next_child(vfs, dir, strcmp(after, "latest") ? after : "", ret_name,
					ret);
	err = collection_get(vfs->store, dir->a, &c);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (c.latest < 0)
		return alias_next_child(vfs, dir, "", ret_name, ret);
	buf_add_str(ret_name, "latest");
	latest_node(dir->a, ret);
	return 1;
}

/* What names versions, then the versions by number. */
int collection_next_children(struct vfs *vfs, struct node *dir, const char *after,
			     struct node_batch *ret)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	autofree struct version *versions = NULL;
	struct node node;
	uint32_t number;
	int64_t last = -1;
	int n;

	if (version_name_parse(slice_str(after), &number) == 0) {
		last = number;
	} else {
		n = next_alias(vfs, dir, after, &name, &node);
		if (n > 0)
			add_child(ret, xstrdup(buf_str(&name)), &node);
		if (n != 0)
			return n;
	}
	versions = xcalloc(NODE_BATCH, sizeof(*versions));
	n = version_next_many(vfs->store, dir->a, last, versions, NODE_BATCH);
	for (int i = 0; i < n; i++) {
		version_top_node(&versions[i], &node);
		add_child(ret, xasprintf("v%u", versions[i].number), &node);
	}
	return n < 0 ? n : n > 0;
}

uint64_t collection_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	(void)dir;
	return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_collections);
}

int collection_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_get(vfs->store, node->a, &c);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_mode = c.mode;
	st->st_uid = c.uid;
	st->st_gid = c.gid;
	st->st_mtim = timespec_of_ns(c.created);
	return 0;
}

/* The kernel decides by what it knows of directories in versions, whose mode is of it. */
static void forget_places(struct vfs *vfs, uint32_t collection)
{
	struct version v;

	for (int64_t n = -1; version_next(vfs->store, collection, n, &v) > 0; n = v.number) {
		uint64_t inos[] = {
			ino_of_ids(INO_VERSION, v.id, 0),
			node_fixed_number(&kind_version, INO_VERSION, v.id, &kind_version_tags),
		};

		for (size_t i = 0; i < ARRAY_SIZE(inos); i++) {
			struct node *known = node_get(vfs->nodes, inos[i]);

			if (!known)
				continue;
			vfs_forget_cached(vfs, known->ino);
			node_put(vfs->nodes, known);
		}
	}
	vfs_settle(vfs);
}

int collection_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			struct handle *handle, const struct stat *set, unsigned what)
{
	unsigned owner = what & (VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID);
	int err;

	(void)call;
	(void)handle;
	if (!owner)
		return -EPERM;
	err = collection_set_owner(vfs->store, node->a,
				   what & VFS_SET_UID ? set->st_uid : (uid_t)-1,
				   what & VFS_SET_GID ? set->st_gid : (gid_t)-1,
				   what & VFS_SET_MODE ? set->st_mode & 0777 : (mode_t)-1);
	if (err == 0)
		forget_places(vfs, node->a);
	return err;
}

int collection_text_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	int err = collection_attr(vfs, node, st);

	st->st_mode &= 0666;
	return err;
}

static int render_text(struct vfs *vfs, struct node *node, enum collection_text which,
		       struct buf *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	const char *text;
	int err = collection_get(vfs->store, node->a, &c);

	if (err < 0)
		return err;
	text = which == COLLECTION_TYPE ? c.type : c.description;
	buf_add_str(ret, text);
	if (*text)
		buf_add_char(ret, '\n');
	return 0;
}

int collection_type_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return render_text(vfs, node, COLLECTION_TYPE, ret);
}

int collection_type_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			   struct slice text)
{
	(void)call;
	return collection_set_text(vfs->store, node->a, COLLECTION_TYPE, text);
}

int collection_description_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return render_text(vfs, node, COLLECTION_DESCRIPTION, ret);
}

int collection_description_accept(struct vfs *vfs, const struct vfs_call *call,
				  struct node *node, struct slice text)
{
	(void)call;
	return collection_set_text(vfs->store, node->a, COLLECTION_DESCRIPTION, text);
}

int latest_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	int err = collection_attr(vfs, node, st);

	st->st_mode = 0777;
	return err;
}

int latest_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		  struct buf *ret)
{
	return alias_show(vfs, call, node->a, "latest", ret);
}

const struct node_edit collection_edit = {
	.symlink = alias_symlink,
	.unlink = alias_unlink,
	.rmdir = version_rmdir,
	.rename = version_rename,
};
