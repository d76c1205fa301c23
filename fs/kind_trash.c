/*
 * kind_trash.c - /trash: versions that were removed, until they are purged; and the ways into it,
 * out of it and to the end. A version is the same directory here as in its collection.
 *
 * /trash itself is everybody's, so what the kernel checks for a collection (who may write in it may
 * remove its versions) is checked here.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/reap.h"
#include "core/removal.h"

#include <stdio.h>

void version_top_node(const struct version *v, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_VERSION, v->id, 0),
		.kind = &kind_version,
		.a = v->id,
	};
}

int trash_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0777;
	return 0;
}

static int find_removed(struct vfs *vfs, const char *label, struct version *ret)
{
	int err = version_find_label(vfs->store, label, ret);

	return err == 0 && !version_in_trash(ret) ? -ENOENT : err;
}

static bool may_write_in(const struct vfs_call *call, const struct collection *c)
{
	struct cred cred = vfs_cred(call);

	return cred_may(&cred, c->uid, c->gid, c->mode, 2);
}

/* Who may write in its collection; or who may enter that and read the version. */
static bool may_see(const struct vfs_call *call, const struct collection *c,
		    const struct version *v)
{
	struct cred cred = vfs_cred(call);

	return may_write_in(call, c) ||
	       (cred_may(&cred, c->uid, c->gid, c->mode, 1) &&
		cred_may(&cred, v->uid, v->gid, version_directory_mode(v), 4));
}

/* The kernel asks each time, for each caller: what is there is found by those who may see it. */
int trash_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
	       struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	int err = find_removed(vfs, child, &v);

	(void)dir;
	if (err == 0)
		err = collection_get(vfs->store, v.collection, &c);
	if (err == 0 && !may_see(call, &c, &v))
		err = -ENOENT;
	if (err == 0)
		version_top_node(&v, ret);
	return err;
}

/* ---- listing ---- */

/* A cookie is collection and number of the entry, so that it holds while others go. */
#define FIRST_COOKIE 2

struct trash_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	struct vfs_call who; /* lists */
	unsigned dots;	     /* of "." and ".." that were listed */
	uint32_t collection;
	int64_t number;
	struct collection of; /* the collection of the last entry */
	struct buf name;
};

/* 1: named; 0: not for who lists. */
static int name_entry(struct trash_listing *l, const struct version *v)
{
	if (l->of.id != v->collection) {
		struct collection c = { 0 };
		int err = collection_get(l->vfs->store, v->collection, &c);

		if (err < 0)
			return err;
		collection_release(&l->of);
		l->of = c;
	}
	if (!may_see(&l->who, &l->of, v))
		return 0;
	version_label(&l->name, l->of.name, v->number);
	return 1;
}

static int trash_next(struct listing *listing, struct listed *ret)
{
	struct trash_listing *l = container_of(listing, struct trash_listing, listing);
	struct version v;
	int more = 0;

	*ret = (struct listed){ .type = S_IFDIR };
	if (l->dots < FIRST_COOKIE) {
		ret->name = l->dots++ == 0 ? "." : "..";
		ret->ino = l->dir->ino;
		ret->cookie = l->dots;
		return 1;
	}
	buf_reset(&l->name);
	while (more == 0) {
		more = version_removed_next(l->vfs->store, l->collection, l->number, &v);
		if (more <= 0)
			return more;
		l->collection = v.collection;
		l->number = v.number;
		more = name_entry(l, &v);
	}
	ret->name = buf_str(&l->name);
	ret->ino = ino_of_ids(INO_VERSION, v.id, 0);
	ret->bare = true;
	ret->cookie = ((off_t)v.collection << INO_ID_BITS | v.number) + FIRST_COOKIE;
	return more;
}

static int trash_seek(struct listing *listing, off_t cookie)
{
	struct trash_listing *l = container_of(listing, struct trash_listing, listing);
	uint64_t at = (uint64_t)(cookie - FIRST_COOKIE);

	l->dots = cookie < FIRST_COOKIE ? (unsigned)cookie : FIRST_COOKIE;
	l->collection = 0;
	l->number = -1;
	if (cookie > FIRST_COOKIE) {
		l->collection = (uint32_t)(at >> INO_ID_BITS);
		l->number = (int64_t)(at & ((1u << INO_ID_BITS) - 1));
	}
	return 0;
}

static void trash_close(struct listing *listing)
{
	struct trash_listing *l = container_of(listing, struct trash_listing, listing);

	collection_release(&l->of);
	buf_release(&l->name);
	free(l);
}

static const struct listing_ops trash_listing_ops = {
	.seek = trash_seek,
	.next = trash_next,
	.close = trash_close,
};

int trash_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
	       struct listing **ret)
{
	struct trash_listing *l = xcalloc(1, sizeof(*l));

	l->listing.ops = &trash_listing_ops;
	l->vfs = vfs;
	l->dir = dir;
	l->who = *call;
	l->who.interrupted = NULL;
	trash_seek(&l->listing, 0);
	*ret = &l->listing;
	return 0;
}

/* ---- changes ---- */

/*
 * The kernel removed a directory, and what is left of it in its cache stays a dead one: the next
 * that it finds under this number is another.
 */
static void renew(struct vfs *vfs, uint32_t version)
{
	node_renew(vfs->nodes, ino_of_ids(INO_VERSION, version, 0));
}

static int find_live(struct vfs *vfs, uint32_t collection, const char *name, struct version *ret)
{
	uint32_t number;
	int err = version_name_parse(slice_str(name), &number);

	return err < 0 ? err : version_get(vfs->store, collection, number, ret);
}

/* artifacts/<name>/v<N>; what is no version is no directory. */
int version_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *name)
{
	struct version v;
	struct node found;
	int err = find_live(vfs, dir->a, name, &v);

	if (err < 0 && vfs_find(vfs, call, dir, name, &found) == 0) {
		node_spec_release(&found);
		return -ENOTDIR;
	}
	if (err == 0)
		err = version_remove(vfs->store, v.id);
	if (err == 0)
		renew(vfs, v.id);
	return err;
}

static int trash_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	int err = find_removed(vfs, name, &v);

	(void)dir;
	if (err == 0)
		err = collection_get(vfs->store, v.collection, &c);
	if (err == 0 && !may_write_in(call, &c))
		err = -EACCES;
	if (err == 0)
		err = version_purge(vfs->store, v.id);
	if (err < 0)
		return err;
	renew(vfs, v.id);
	reap_soon(vfs->store);
	return 0;
}

static int throw_away(struct vfs *vfs, struct node *dir, const char *name, const char *new_name)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf label = BUF_INIT;
	struct version v;
	uint32_t number;
	int err;

	/* Nothing else goes to the trash. */
	if (version_name_parse(slice_str(name), &number) < 0)
		return -EINVAL;
	err = find_live(vfs, dir->a, name, &v);
	if (err == 0)
		err = collection_get(vfs->store, dir->a, &c);
	if (err < 0)
		return err;
	version_label(&label, c.name, v.number);
	return strcmp(buf_str(&label), new_name) ? -EINVAL : version_remove(vfs->store, v.id);
}

static int bring_back(struct vfs *vfs, const char *name, struct node *dir, const char *new_name)
{
	struct version v, live;
	uint32_t number;
	int err = find_removed(vfs, name, &v);

	if (err < 0)
		return err;
	if (find_live(vfs, dir->a, new_name, &live) == 0)
		return -ENOTEMPTY;
	if (v.collection != dir->a || version_name_parse(slice_str(new_name), &number) < 0 ||
	    number != v.number)
		return -EINVAL;
	return version_restore(vfs->store, v.id);
}

/* A version has one name in its collection and one in the trash; what moves within is an alias. */
int version_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		   const char *name, struct node *new_dir, const char *new_name, unsigned flags)
{
	bool from_trash = dir->kind == &kind_trash, to_trash = new_dir->kind == &kind_trash;

	if (!from_trash && !to_trash)
		return alias_rename_child(vfs, call, dir, name, new_dir, new_name, flags);
	if (flags & ~1u) /* RENAME_NOREPLACE: nothing is replaced */
		return -EINVAL;
	if (!from_trash)
		return throw_away(vfs, dir, name, new_name);
	return to_trash ? -EINVAL : bring_back(vfs, name, new_dir, new_name);
}

const struct node_edit trash_edit = {
	.rmdir = trash_rmdir,
	.rename = version_rename,
};

/* ---- what the kernel knows ---- */

void trash_version_changed(void *arg, const struct version *v)
{
	AUTO(collection_release) struct collection c = { 0 };
	uint64_t collection = ino_of_ids(INO_COLLECTION, v->collection, 0);
	uint64_t trash = node_fixed_number(&kind_root, INO_FIXED, 0, &kind_trash);
	struct vfs *vfs = arg;
	AUTO(buf_release) struct buf label = BUF_INIT;
	char name[16];

	if (collection_get(vfs->store, v->collection, &c) < 0)
		return;
	snprintf(name, sizeof(name), "v%u", v->number);
	version_label(&label, c.name, v->number);
	/* Some of this it knows, where it made the change itself. */
	if (version_in_trash(v))
		vfs_forget_name(vfs, collection, name);
	else
		vfs_forget_name(vfs, trash, buf_str(&label));
	if (c.latest < 0)
		vfs_forget_name(vfs, collection, "latest");
	vfs_forget_cached(vfs, ino_of_ids(INO_VERSION, v->id, 0));
}
