/*
 * kind_view.c - /view/<run>: /artifacts as a run sees it. Files are opened in the run's name,
 * whoever opens them, so a container that has nothing else mounted leaves complete lineage; aliases
 * lead where they lead for the run. What is below files/ is kind_content.c's.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/run.h"
#include "core/view.h"

int views_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
	       struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_find(vfs->store, slice_str(child), &run);

	(void)call;
	(void)dir;
	if (err == 0)
		*ret = (struct node){
			.ino = ino_of_ids(INO_VIEW, run.id, 0),
			.kind = &kind_view,
			.a = run.id,
		};
	return err;
}

int views_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0555;
	return 0;
}

/* Reading here writes in the run, so it takes what writing takes. */
int view_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, node->a, &run);
	mode_t writable = run.mode & 0222;

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_uid = run.uid;
	st->st_gid = run.gid;
	st->st_mode = writable << 1 | writable >> 1;
	return 0;
}

uint64_t view_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	(void)dir;
	return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_views);
}

uint64_t view_collection_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	return ino_of_ids(INO_VIEW, dir->a, 0);
}

uint64_t view_version_parent(struct vfs *vfs, const struct node *dir)
{
	struct version v;

	if (version_get_by_id(vfs->store, dir->a, &v) < 0)
		return VFS_ROOT;
	return ino_of_ids(INO_VIEW_COLLECTION, dir->b, v.collection);
}

static void collection_node(uint32_t run, uint32_t collection, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_VIEW_COLLECTION, run, collection),
		.kind = &kind_view_collection,
		.a = run,
		.b = collection,
	};
}

int view_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
	      struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_find(vfs->store, slice_str(child), &c);

	(void)call;
	if (err == 0)
		collection_node(dir->a, c.id, ret);
	return err;
}

int view_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
	      struct node *ret)
{
	uint32_t id;
	int more = collection_next(vfs->store, slice_str(after), &id, ret_name);

	if (more > 0)
		collection_node(dir->a, id, ret);
	return more;
}

int view_collection_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_get(vfs->store, node->b, &c);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_mode = c.mode & 0555;
	st->st_uid = c.uid;
	st->st_gid = c.gid;
	return 0;
}

static void latest_node(const struct node *dir, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_VIEW_LATEST, dir->a, dir->b),
		.kind = &kind_view_latest,
		.a = dir->a,
		.b = dir->b,
	};
}

static void version_node(const struct node *dir, const struct version *v, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_VIEW_VERSION, dir->a, v->id),
		.kind = &kind_view_version,
		.a = v->id,
		.b = dir->a,
	};
}

/* Has the collection a latest version? 1, 0, -errno. */
static int has_latest(struct vfs *vfs, uint32_t collection)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_get(vfs->store, collection, &c);

	return err < 0 ? err : c.latest >= 0;
}

/* One that is in the trash is found by a run that knows it already, until it is purged. */
static int find_version(struct vfs *vfs, const struct node *dir, uint32_t number,
			struct version *ret)
{
	int err = version_get_any(vfs->store, dir->b, number, ret);
	int knows = 1;

	if (err == 0 && ret->removed)
		knows = ret->purged ? 0 : view_knows(vfs->store, dir->a, ret);
	return err < 0 ? err : knows < 0 ? knows : knows ? 0 : -ENOENT;
}

int view_collection_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *child, struct node *ret)
{
	struct version v;
	uint32_t number;
	int err;

	(void)call;
	if (!strcmp(child, "latest")) {
		err = has_latest(vfs, dir->b);
		if (err > 0)
			latest_node(dir, ret);
		return err > 0 ? 0 : err < 0 ? err : -ENOENT;
	}
	if (version_name_parse(slice_str(child), &number) < 0)
		return view_alias_find(vfs, call, dir, child, ret);
	err = find_version(vfs, dir, number, &v);
	if (err == 0)
		version_node(dir, &v, ret);
	return err;
}

/* latest first, then the aliases by name, then the versions by number. */
int view_collection_next(struct vfs *vfs, struct node *dir, const char *after,
			 struct buf *ret_name, struct node *ret)
{
	struct version v;
	uint32_t number;
	int64_t last = -1;
	int more;

	if (after[0] == '\0') {
		more = has_latest(vfs, dir->b);
		if (more > 0) {
			buf_add_str(ret_name, "latest");
			latest_node(dir, ret);
		}
		if (more != 0)
			return more;
	}
	if (version_name_parse(slice_str(after), &number) == 0) {
		last = number;
	} else {
		more = view_alias_next(vfs, dir, strcmp(after, "latest") ? after : "", ret_name,
				       ret);
		if (more != 0)
			return more;
	}
	more = version_next(vfs->store, dir->b, last, &v);
	if (more > 0) {
		buf_printf(ret_name, "v%u", v.number);
		version_node(dir, &v, ret);
	}
	return more;
}

int view_latest_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	int err = view_collection_attr(vfs, node, st);

	st->st_mode = 0777;
	return err;
}

int view_latest_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		       struct buf *ret)
{
	struct version v;
	int err = view_resolve(vfs->store, node->a, node->b, slice_str("latest"), &v);

	(void)call;
	if (err == 0)
		buf_printf(ret, "v%u", v.number);
	return err;
}

static const struct {
	const char *name;
	enum ino_class class;
	const struct node_kind *kind;
} children[] = {
	{ "SHA256SUMS", INO_VIEW_SUMS, &kind_view_sums },
	{ "files", INO_CONTENT, &kind_content_root },
	{ "info.json", INO_VIEW_INFO, &kind_view_info },
};

static int child_node(struct vfs *vfs, const struct node *dir, size_t i, struct node *ret)
{
	struct version v;
	uint64_t first;
	int err;

	*ret = (struct node){
		.ino = ino_of_ids(children[i].class, dir->b, dir->a),
		.kind = children[i].kind,
		.a = dir->a,
		.b = dir->b,
	};
	if (children[i].class != INO_CONTENT)
		return 0;
	err = version_get_by_id(vfs->store, dir->a, &v);
	if (err == 0)
		err = view_first_ino(vfs->store, dir->b, &v, &first);
	if (err == 0)
		ret->ino = ino_of_number(INO_CONTENT, first);
	return err;
}

int view_version_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *child, struct node *ret)
{
	(void)call;
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		if (!strcmp(children[i].name, child))
			return child_node(vfs, dir, i, ret);
	return -ENOENT;
}

int view_version_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		      struct node *ret)
{
	size_t i = 0;
	int err;

	while (i < ARRAY_SIZE(children) && strcmp(children[i].name, after) <= 0)
		i++;
	if (i == ARRAY_SIZE(children))
		return 0;
	buf_add_str(ret_name, children[i].name);
	err = child_node(vfs, dir, i, ret);
	return err < 0 ? err : 1;
}
