/*
 * kind_outputs.c - /runs/<run>/outputs: the run's drafts, and links to what it has logged. Once the
 * run has finished, a logged draft's name is a link too.
 */
#include "draft_node.h"
#include "tree.h"

#include "core/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

/* The area of the run, to be put back; -EROFS when it has finished. */
static int outputs_spot(struct vfs *vfs, struct node *dir, struct draft_spot *ret)
{
	struct draft_area *area;
	int err = draft_area_get(vfs->store, dir->a, &area);

	if (err < 0)
		return err;
	*ret = (struct draft_spot){ .vfs = vfs, .area = area };
	return 0;
}

static void spot_put(struct draft_spot *spot)
{
	if (spot->area)
		draft_area_put(spot->area);
}

static void logged_node(uint32_t run, uint32_t version, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_LOGGED, run, version),
		.kind = &kind_logged,
		.a = run,
		.b = version,
	};
}

static void ended_node(uint32_t run, const struct draft *draft, const char *name,
		       struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_ENDED, run, draft->slot),
		.kind = &kind_ended,
		.a = run,
		.b = draft->slot,
		.name = xstrdup(name),
	};
}

/* <name>:v<N>, if the run has logged it. */
static int find_logged(struct vfs *vfs, uint32_t run, const char *child, struct node *ret)
{
	struct version v;
	struct edge edge;
	int err = version_find_label(vfs->store, child, &v);

	if (err == 0)
		err = edge_get(vfs->store->kv, EDGE_RUN_LOGGED, run, v.id, &edge);
	if (err == 0)
		logged_node(run, v.id, ret);
	return err;
}

static int find_draft(struct vfs *vfs, struct node *dir, const char *child, struct node *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = outputs_spot(vfs, dir, &spot);

	if (err < 0)
		return err;
	SHARED(&spot.area->lock);
	err = draft_lookup(&spot, child, ret);
	return err == -ESTALE ? -ENOENT : err;
}

static int find_ended(struct vfs *vfs, uint32_t run, const char *child, struct node *ret)
{
	struct draft draft;
	int err = run_draft_find(vfs->store, run, slice_str(child), &draft);

	if (err == 0 && !draft.ended)
		err = -ENOENT;
	if (err == 0)
		ended_node(run, &draft, child, ret);
	return err;
}

int outputs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		 const char *child, struct node *ret)
{
	int err = find_draft(vfs, dir, child, ret);

	(void)call;
	if (err == -ENOENT)
		err = find_logged(vfs, dir->a, child, ret);
	if (err == -ENOENT)
		err = find_ended(vfs, dir->a, child, ret);
	return err;
}

/* The names as they were when the listing began; a cookie is a place among them. */
struct outputs_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	struct outputs_name {
		char *name;
		uint64_t ino;
		mode_t type;
	} *names;
	size_t count, cap, place;
};

static void add_name(struct outputs_listing *l, const char *name, uint64_t ino, mode_t type)
{
	l->names = xgrow(l->names, &l->cap, l->count + 1, sizeof(*l->names));
	l->names[l->count++] = (struct outputs_name){ xstrdup(name), ino, type };
}

static int list_drafts(struct outputs_listing *l)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = outputs_spot(l->vfs, l->dir, &spot);
	struct listing *drafts;
	struct listed e;

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	SHARED(&spot.area->lock);
	if (spot.area->phase == DRAFT_GONE)
		return 0;
	err = draft_list_fd(l->vfs, l->dir, spot.area->fd, &drafts);
	if (err < 0)
		return err;
	while ((err = drafts->ops->next(drafts, &e)) > 0)
		if (strcmp(e.name, ".") != 0 && strcmp(e.name, "..") != 0)
			add_name(l, e.name, e.ino, e.type);
	drafts->ops->close(drafts);
	return err;
}

static int list_logged(struct outputs_listing *l)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint32_t run = l->dir->a, version = 0;
	int more;

	while ((more = edge_next(l->vfs->store->kv, EDGE_RUN_LOGGED, run, version, &version,
				 NULL)) > 0) {
		autofree char *collection = NULL;
		struct version v;

		more = version_get_by_id(l->vfs->store, version, &v);
		if (more < 0)
			return more;
		collection = version_collection_name(l->vfs->store, &v);
		buf_reset(&name);
		version_label(&name, collection, v.number);
		add_name(l, buf_str(&name), ino_of_ids(INO_LOGGED, run, version), S_IFLNK);
	}
	return more;
}

static int list_ended(struct outputs_listing *l)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint32_t run = l->dir->a;
	struct draft draft;
	int more;

	while ((more = run_draft_next(l->vfs->store, run, buf_slice(&name), &draft, &name)) > 0)
		if (draft.ended)
			add_name(l, buf_str(&name), ino_of_ids(INO_ENDED, run, draft.slot),
				 S_IFLNK);
	return more;
}

static void forget_names(struct outputs_listing *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->names[i].name);
	l->count = l->place = 0;
}

static int list_seek(struct listing *listing, off_t cookie)
{
	struct outputs_listing *l = container_of(listing, struct outputs_listing, listing);
	int err = 0;

	if (cookie == 0) {
		forget_names(l);
		add_name(l, ".", l->dir->ino, S_IFDIR);
		add_name(l, "..", l->dir->ino, S_IFDIR);
		err = list_drafts(l);
		if (err == 0)
			err = list_logged(l);
		if (err == 0)
			err = list_ended(l);
	}
	l->place = (size_t)cookie;
	return err;
}

static int list_next(struct listing *listing, struct listed *ret)
{
	struct outputs_listing *l = container_of(listing, struct outputs_listing, listing);
	const struct outputs_name *n;

	if (l->place >= l->count)
		return 0;
	n = &l->names[l->place++];
	*ret = (struct listed){
		.name = n->name, .ino = n->ino, .type = n->type, .cookie = (off_t)l->place,
	};
	return 1;
}

static void list_close(struct listing *listing)
{
	struct outputs_listing *l = container_of(listing, struct outputs_listing, listing);

	forget_names(l);
	free(l->names);
	free(l);
}

static const struct listing_ops outputs_listing_ops = {
	.seek = list_seek,
	.next = list_next,
	.close = list_close,
};

int outputs_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		 struct listing **ret)
{
	struct outputs_listing *l = xcalloc(1, sizeof(*l));
	int err;

	(void)call;
	l->listing.ops = &outputs_listing_ops;
	l->vfs = vfs;
	l->dir = dir;
	err = list_seek(&l->listing, 0);
	if (err < 0) {
		list_close(&l->listing);
		return err;
	}
	*ret = &l->listing;
	return 0;
}

int run_version_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		       struct buf *ret)
{
	autofree char *name = NULL;
	struct version v;
	int err = version_get_by_id(vfs->store, node->b, &v);

	(void)call;
	if (err < 0)
		return err;
	name = version_collection_name(vfs->store, &v);
	buf_add_str(ret, "../../../");
	version_path(ret, name, &v);
	buf_add_str(ret, "/files");
	return 0;
}

int ended_target(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct buf *ret)
{
	autofree char *name = NULL;
	struct draft draft;
	struct version v;
	int err = run_draft_find(vfs->store, node->a, slice_str(node->name), &draft);

	(void)call;
	if (err == 0)
		err = version_get_by_id(vfs->store, draft.version, &v);
	if (err < 0)
		return err;
	name = version_collection_name(vfs->store, &v);
	version_label(ret, name, v.number);
	/* A one-file draft was a file: its name leads to one again. */
	if (draft.single)
		buf_printf(ret, "/%s", node->name);
	return 0;
}

/* May a draft of this name be made? Scratch may have any name. */
static int check_name(struct vfs *vfs, const struct vfs_call *call, const char *name)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct cred cred = vfs_cred(call);
	int err;

	if (name[0] == '.')
		return 0;
	if (!name_valid(slice_str(name)))
		return -EINVAL;
	err = collection_find(vfs->store, slice_str(name), &c);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return cred_may(&cred, c.uid, c.gid, c.mode, 2) ? 0 : -EACCES;
}

/* The spot to make something in, after its name was checked. */
static int make_spot(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *name, struct draft_spot *ret)
{
	int err = check_name(vfs, call, name);

	if (err == 0)
		err = outputs_spot(vfs, dir, ret);
	return err == -ENOENT ? -EROFS : err;
}

/* What draft_do_*() say of a run that finishes at this moment. */
static int sealed_if_stale(int err)
{
	return err == -ESTALE ? -EROFS : err;
}

static int outputs_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name, mode_t mode, int flags, struct vfs_open *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = make_spot(vfs, call, dir, name, &spot);

	if (err == 0)
		err = draft_do_create(&spot, call, name, mode, flags, ret);
	return sealed_if_stale(err);
}

static int outputs_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name, mode_t mode, struct node *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = make_spot(vfs, call, dir, name, &spot);

	/* A draft is a directory or a file. */
	if (err == 0 && !S_ISREG(mode) && name[0] != '.')
		err = -EPERM;
	if (err == 0)
		err = draft_do_make(&spot, call, DRAFT_MAKE_NODE, name, mode, NULL, ret);
	return sealed_if_stale(err);
}

static int outputs_mkdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name, mode_t mode, struct node *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = make_spot(vfs, call, dir, name, &spot);

	if (err == 0)
		err = draft_do_make(&spot, call, DRAFT_MAKE_DIRECTORY, name, mode, NULL, ret);
	return sealed_if_stale(err);
}

static int outputs_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			   const char *name, const char *target, struct node *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = make_spot(vfs, call, dir, name, &spot);

	if (err == 0 && name[0] != '.')
		err = -EPERM;
	if (err == 0)
		err = draft_do_make(&spot, call, DRAFT_MAKE_LINK, name, 0, target, ret);
	return sealed_if_stale(err);
}

static int outputs_link(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			struct node *dir, const char *name, struct node *ret)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = node->kind->lend ? make_spot(vfs, call, dir, name, &spot) : -EXDEV;

	if (err == 0)
		err = draft_do_link(&spot, call, node, name, ret);
	return sealed_if_stale(err);
}

static int remove_draft(struct vfs *vfs, struct node *dir, const char *name, bool directory)
{
	AUTO(spot_put) struct draft_spot spot = { 0 };
	int err = outputs_spot(vfs, dir, &spot);

	if (err == 0)
		err = draft_do_remove(&spot, name, directory);
	/* What is there but is no draft is a link of ours, and stays. */
	return err == -ENOENT || err == -ESTALE ? -EROFS : err;
}

static int outputs_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name)
{
	(void)call;
	return remove_draft(vfs, dir, name, false);
}

static int outputs_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name)
{
	(void)call;
	return remove_draft(vfs, dir, name, true);
}

static int outputs_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name, struct node *new_dir, const char *new_name,
			  unsigned flags)
{
	AUTO(spot_put) struct draft_spot from = { 0 };
	AUTO(spot_put) struct draft_spot to = { 0 };
	int err;

	if (dir->a != new_dir->a)
		return -EXDEV;
	err = make_spot(vfs, call, new_dir, new_name, &to);
	if (err == 0 && flags & RENAME_EXCHANGE)
		err = check_name(vfs, call, name);
	if (err == 0)
		err = outputs_spot(vfs, dir, &from);
	if (err == 0)
		err = draft_do_rename(&from, name, &to, new_name, flags);
	return err == -ENOENT ? -EROFS : sealed_if_stale(err);
}

const struct node_edit outputs_edit = {
	.create = outputs_create,
	.mknod = outputs_mknod,
	.mkdir = outputs_mkdir,
	.symlink = outputs_symlink,
	.link = outputs_link,
	.unlink = outputs_unlink,
	.rmdir = outputs_rmdir,
	.rename = outputs_rename,
};
