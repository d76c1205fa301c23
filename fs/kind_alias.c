/*
 * kind_alias.c - aliases in /artifacts/<name> and in /view/<run>/<name>: links to versions.
 */
#include "refused.h"
#include "temporary.h"
#include "tree.h"
#include "vfs_private.h"

#include "core/alias.h"
#include "core/view.h"

#include <stdio.h>

/* renameat2(2)'s flag, which linux/fs.h and stdio.h both have, but not together. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

static void alias_node(uint32_t collection, const struct alias *a, const char *name,
		       struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_number(INO_ALIAS, a->slot),
		.kind = &kind_alias,
		.a = collection,
		.b = a->slot,
		.name = xstrdup(name),
	};
}

static void view_alias_node(uint32_t run, uint32_t collection, const struct alias *a,
			    const char *name, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_VIEW_ALIAS, run, a->slot),
		.kind = &kind_view_alias,
		.a = run,
		.b = collection,
		.name = xstrdup(name),
	};
}

int alias_find_child(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *child, struct node *ret)
{
	struct alias a;
	int err = temporary_find(vfs, dir, child, ret);

	(void)call;
	if (err != -ENOENT)
		return err;
	err = alias_find(vfs->store, dir->a, slice_str(child), &a);
	if (err == 0)
		alias_node(dir->a, &a, child, ret);
	return err;
}

int alias_next_child(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		     struct node *ret)
{
	struct alias a;
	int more = alias_next(vfs->store, dir->a, slice_str(after), &a, ret_name);

	if (more > 0)
		alias_node(dir->a, &a, buf_str(ret_name), ret);
	return more;
}

int view_alias_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		    const char *child, struct node *ret)
{
	struct alias a;
	int err = alias_find(vfs->store, dir->b, slice_str(child), &a);

	(void)call;
	if (err == 0)
		view_alias_node(dir->a, dir->b, &a, child, ret);
	return err;
}

int view_alias_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		    struct node *ret)
{
	struct alias a;
	int more = alias_next(vfs->store, dir->b, slice_str(after), &a, ret_name);

	if (more > 0)
		view_alias_node(dir->a, dir->b, &a, buf_str(ret_name), ret);
	return more;
}

/* The name of an alias, by its slot, since that may have got another. -ENOENT: it is gone. */
static int name_of(struct vfs *vfs, uint32_t collection, uint32_t slot, const char *known,
		   struct alias *ret, struct buf *ret_name)
{
	struct alias a;
	int more = alias_find(vfs->store, collection, slice_str(known), &a);

	if (more == 0 && a.slot == slot) {
		buf_add_str(ret_name, known);
		*ret = a;
		return 0;
	}
	while ((more = alias_next(vfs->store, collection, buf_slice(ret_name), &a, ret_name)) > 0) {
		if (a.slot == slot) {
			*ret = a;
			return 0;
		}
	}
	return more < 0 ? more : -ENOENT;
}

static int stat_alias(struct vfs *vfs, uint32_t collection, uint32_t slot, const char *known,
		      struct stat *st)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct alias a;
	int err = collection_get(vfs->store, collection, &c);

	if (err == 0)
		err = name_of(vfs, collection, slot, known, &a, &name);
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_mode = 0777;
	st->st_uid = c.uid;
	st->st_gid = c.gid;
	st->st_mtim = timespec_of_ns(a.moved);
	return 0;
}

int alias_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	return stat_alias(vfs, node->a, node->b, node->name, st);
}

/* A run may see a version that is in the trash by now. */
static void show_version(struct vfs *vfs, const struct version *v, struct buf *ret)
{
	autofree char *name = NULL;

	if (!version_in_trash(v)) {
		buf_printf(ret, "v%u", v->number);
		return;
	}
	name = version_collection_name(vfs->store, v);
	buf_add_str(ret, "../../");
	version_path(ret, name, v);
}

int alias_show(struct vfs *vfs, const struct vfs_call *call, uint32_t collection,
	       const char *alias, struct buf *ret)
{
	struct caller caller = { .run = vfs_caller_run(vfs, call) };
	struct version v;
	int err = 0;

	/* A caller that only wants to know how long it is does not wait. */
	if (call && call->follows)
		err = vfs_caller(vfs, call, &caller);
	if (err == 0)
		err = view_resolve(vfs->store, caller.run, collection, slice_str(alias), &v);
	if (err == 0)
		show_version(vfs, &v, ret);
	return err;
}

int alias_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		 struct buf *ret)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct alias a;
	int err = name_of(vfs, node->a, node->b, node->name, &a, &name);

	return err < 0 ? err : alias_show(vfs, call, node->a, buf_str(&name), ret);
}

static uint32_t slot_of(const struct node *node)
{
	return (uint32_t)(node->ino & ((1u << INO_ID_BITS) - 1));
}

int view_alias_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	return stat_alias(vfs, node->b, slot_of(node), node->name, st);
}

int view_alias_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct buf *ret)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct version v;
	struct alias a;
	int err = name_of(vfs, node->b, slot_of(node), node->name, &a, &name);

	(void)call;
	if (err == 0)
		err = view_resolve(vfs->store, node->a, node->b, buf_slice(&name), &v);
	if (err == 0)
		buf_printf(ret, "v%u", v.number);
	return err;
}

/* ---- changes ---- */

/* EPERM alone does not say why. */
static int explain(struct vfs *vfs, const struct vfs_call *call, const char *name, int err)
{
	if (err == -EPERM && !strcmp(name, "latest"))
		refused_because("latest moves by itself");
	else if (err == -EPERM && !alias_may_change(vfs->store, slice_str(name), call->uid))
		refused_because("a protected alias");
	return err;
}

/* The version that the caller means by the target of a link. */
static int resolve(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		   const char *target, struct version *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct caller caller;
	int err = vfs_caller(vfs, call, &caller);

	if (err == 0)
		err = collection_get(vfs->store, dir->a, &c);
	return err < 0 ? err :
			 alias_resolve(vfs->store, caller.run, &c, slice_str(target), ret);
}

int alias_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *name, const char *target, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	int temporary = temporary_is_meant(call, name);
	struct temporary_link link = { 0 };
	struct version v;
	int err;

	if (temporary < 0)
		return temporary;
	/* Of two reasons the name's is the one to be said. */
	err = temporary ? 0 : alias_name_check(slice_str(name));
	if (err == 0)
		err = resolve(vfs, call, dir, target, &v);
	if (err < 0)
		return explain(vfs, call, name, err);
	if (temporary) {
		link.version = v.id;
		link.shown = xasprintf("v%u", v.number);
		link.meant = xstrdup(target);
		return temporary_add(vfs, call, dir, name, &link, ret);
	}
	err = alias_set(vfs->store, dir->a, slice_str(name), v.id, true, &cred);
	if (err < 0)
		return explain(vfs, call, name, err);
	return alias_find_child(vfs, call, dir, name, ret);
}

int alias_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name)
{
	struct cred cred = vfs_cred(call);

	if (temporary_remove(vfs, dir, name) == 0)
		return 0;
	return explain(vfs, call, name,
		       alias_remove(vfs->store, dir->a, slice_str(name), &cred));
}

int alias_rename_child(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, struct node *new_dir, const char *new_name,
		       unsigned flags)
{
	AUTO(temporary_link_release) struct temporary_link link = { 0 };
	struct cred cred = vfs_cred(call);
	bool keep = flags & RENAME_NOREPLACE;
	uint32_t number;
	int err;

	/* An alias of another collection's version would not be the same: no copy is to be made. */
	if (flags & ~(unsigned)RENAME_NOREPLACE || dir->a != new_dir->a)
		return -EINVAL;
	if (version_name_parse(slice_str(name), &number) == 0)
		return -EPERM;
	err = temporary_get(vfs, dir, name, &link);
	if (err == -ENOENT) {
		err = alias_rename(vfs->store, dir->a, slice_str(name), slice_str(new_name), keep,
				   &cred);
		err = explain(vfs, call, name, err);
		return explain(vfs, call, new_name, err);
	}
	err = alias_set(vfs->store, dir->a, slice_str(new_name), link.version, keep, &cred);
	if (err == 0)
		temporary_remove(vfs, dir, name);
	return explain(vfs, call, new_name, err);
}
