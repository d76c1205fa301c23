/*
 * kind_version.c - what stands in artifacts/<name>/v<N>/ beside its files.
 */
#include "provenance.h"
#include "tree.h"
#include "vfs_private.h"

#include "core/artifact.h"
#include "core/document.h"
#include "core/edge.h"
#include "core/run.h"
#include "core/tree.h"

static int version_stat(struct vfs *vfs, uint32_t id, struct version *v, struct stat *st)
{
	int err = version_get_by_id(vfs->store, id, v);

	if (err == 0 && v->purged)
		err = -ESTALE;
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_uid = v->uid;
	st->st_gid = v->gid;
	st->st_mtim = timespec_of_ns(v->created);
	return 0;
}

uint64_t version_parent(struct vfs *vfs, const struct node *dir)
{
	struct version v;

	/* A version that has gone is in no directory any more. */
	if (version_get_by_id(vfs->store, dir->a, &v) < 0 || v.purged)
		return VFS_ROOT;
	if (v.removed)
		return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_trash);
	return ino_of_ids(INO_COLLECTION, v.collection, 0);
}

int version_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v = { 0 };
	int err = version_stat(vfs, node->a, &v, st);

	st->st_mode = version_directory_mode(&v);
	return err;
}

static int provenance(struct vfs *vfs, const struct node *node, struct provenance *ret)
{
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	if (err == 0)
		*ret = provenance_of(&v);
	return err == -ENOENT ? -ESTALE : err;
}

static ssize_t xattr_get(struct vfs *vfs, struct node *node, const char *name, void *to,
			 size_t size)
{
	struct provenance p;
	int err = provenance(vfs, node, &p);

	return err < 0 ? err : provenance_get(vfs->store, &p, name, to, size);
}

static ssize_t xattr_list(struct vfs *vfs, struct node *node, char *to, size_t size)
{
	struct provenance p;
	int err = provenance(vfs, node, &p);

	return err < 0 ? err : provenance_list(vfs->store, &p, to, size);
}

const struct node_xattrs version_xattrs = { .get = xattr_get, .list = xattr_list };

/*
 * The directory itself: its access time is its last use by a run, and nothing else. In the trash
 * its times are those of its removal, and who logged it may move it out, if he may write where it
 * was.
 */
int version_top_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v = { 0 };
	uint64_t used = 0;
	int err = version_stat(vfs, node->a, &v, st);

	st->st_mode = version_directory_mode(&v);
	if (v.removed) {
		st->st_mtim = timespec_of_ns(v.removed);
		st->st_mode |= 0200;
	}
	if (err == 0)
		err = edge_last_use(vfs->store->kv, node->a, &used);
	st->st_atim = timespec_of_ns(used);
	return err;
}

int version_text_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v = { 0 };
	int err = version_stat(vfs, node->a, &v, st);

	st->st_mode = version_file_mode(&v, false);
	return err;
}

int version_link_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v = { 0 };
	int err = version_stat(vfs, node->a, &v, st);

	st->st_mode = 0777;
	return err;
}

int sums_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v = { 0 };
	int err = version_stat(vfs, node->a, &v, st);

	st->st_mode = version_file_mode(&v, false);
	st->st_size = (off_t)v.sums_size;
	return err;
}

int sums_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	if (err == 0 && v.purged)
		err = -ESTALE;
	if (err < 0)
		return err;
	buf_reserve(ret, v.sums_size);
	return tree_sums(vfs->store->kv, v.page, ret);
}

int version_info_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	return err < 0 ? err : document_version(vfs->store, &v, ret);
}

/* From the version's directory. */
static const char *to_root(const struct version *v)
{
	return version_in_trash(v) ? "../" : "../../";
}

int producer_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		    struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	(void)call;
	if (err == 0)
		err = run_get(vfs->store, v.run, &run);
	if (err == 0)
		buf_printf(ret, "%s../runs/%s", to_root(&v), run.name);
	return err;
}

int version_run_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		       struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	(void)call;
	if (err == 0)
		err = run_get(vfs->store, node->b, &run);
	if (err == 0)
		buf_printf(ret, "../%s../runs/%s", to_root(&v), run.name);
	return err;
}

static void run_link_node(enum edge_side side, uint32_t version, uint32_t run, struct node *ret)
{
	bool producer = side == EDGE_VERSION_LOGGED_BY;

	*ret = (struct node){
		.ino = ino_of_ids(producer ? INO_PRODUCER : INO_CONSUMER, version, run),
		.kind = producer ? &kind_producers_run : &kind_consumers_run,
		.a = version,
		.b = run,
	};
}

static int find_run_link(struct vfs *vfs, enum edge_side side, struct node *dir,
			 const char *child, struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	struct edge edge;
	int err = run_find(vfs->store, slice_str(child), &run);

	if (err == 0)
		err = edge_get(vfs->store->kv, side, dir->a, run.id, &edge);
	if (err == 0)
		run_link_node(side, dir->a, run.id, ret);
	return err;
}

/* In the order of the runs' ids, which is that of their starts. */
static int next_run_link(struct vfs *vfs, enum edge_side side, struct node *dir,
			 const char *after, struct buf *ret_name, struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = 0;
	int more;

	if (after[0] != '\0') {
		int err = run_find(vfs->store, slice_str(after), &run);

		if (err < 0)
			return err == -ENOENT ? 0 : err;
		id = run.id;
		run_release(&run);
	}
	more = edge_next(vfs->store->kv, side, dir->a, id, &id, NULL);
	if (more <= 0)
		return more;
	more = run_get(vfs->store, id, &run);
	if (more < 0)
		return more;
	buf_add_str(ret_name, run.name);
	run_link_node(side, dir->a, id, ret);
	return 1;
}

int producers_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		   const char *child, struct node *ret)
{
	(void)call;
	return find_run_link(vfs, EDGE_VERSION_LOGGED_BY, dir, child, ret);
}

int producers_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		   struct node *ret)
{
	return next_run_link(vfs, EDGE_VERSION_LOGGED_BY, dir, after, ret_name, ret);
}

int consumers_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		   const char *child, struct node *ret)
{
	(void)call;
	return find_run_link(vfs, EDGE_VERSION_USED_BY, dir, child, ret);
}

int consumers_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		   struct node *ret)
{
	return next_run_link(vfs, EDGE_VERSION_USED_BY, dir, after, ret_name, ret);
}
