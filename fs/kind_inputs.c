/*
 * kind_inputs.c - /runs/<run>/inputs: a link for every input; those that were declared by their
 * role, those that were only observed as <name>:v<N>, which no role can be called.
 */
#include "temporary.h"
#include "tree.h"
#include "vfs_private.h"

#include "core/edge.h"
#include "core/run.h"
#include "core/view.h"

#include <stdio.h>

/* renameat2(2)'s flag, which linux/fs.h and stdio.h both have, but not together. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

static void input_node(uint32_t run, uint32_t slot, const char *role, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_INPUT, run, slot),
		.kind = &kind_input,
		.a = run,
		.b = slot,
		.name = xstrdup(role),
	};
}

static void observed_node(uint32_t run, uint32_t version, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_OBSERVED, run, version),
		.kind = &kind_observed,
		.a = run,
		.b = version,
	};
}

/* The version behind <name>:v<N> if the run was seen to use it, and did not declare it. */
static int find_observed(struct vfs *vfs, uint32_t run, const char *child, uint32_t *ret)
{
	struct version v;
	struct edge edge;
	int err = version_find_label(vfs->store, child, &v);

	if (err == 0)
		err = edge_get(vfs->store->kv, EDGE_RUN_USES, run, v.id, &edge);
	if (err == 0 && edge.flags & EDGE_DECLARED)
		err = -ENOENT;
	if (err == 0)
		*ret = v.id;
	return err;
}

/* The first version after `version` that the run was seen to use, and did not declare. */
static int next_observed(struct vfs *vfs, uint32_t run, uint32_t version, struct buf *ret_name,
			 struct node *ret)
{
	autofree char *collection = NULL;
	struct version v;
	struct edge edge;
	int more;

	do {
		more = edge_next(vfs->store->kv, EDGE_RUN_USES, run, version, &version, &edge);
	} while (more > 0 && edge.flags & EDGE_DECLARED);
	if (more <= 0)
		return more;
	more = version_get_by_id(vfs->store, version, &v);
	if (more < 0)
		return more;
	collection = version_collection_name(vfs->store, &v);
	version_label(ret_name, collection, v.number);
	observed_node(run, version, ret);
	return 1;
}

int inputs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		const char *child, struct node *ret)
{
	AUTO(input_release) struct input in = { 0 };
	uint32_t version;
	int err;

	(void)call;
	if (temporary_find(vfs, dir, child, ret) == 0)
		return 0;
	if (strchr(child, ':')) {
		err = find_observed(vfs, dir->a, child, &version);
		if (err == 0)
			observed_node(dir->a, version, ret);
		return err;
	}
	err = run_input_find(vfs->store, dir->a, slice_str(child), &in);
	if (err == 0)
		input_node(dir->a, in.slot, child, ret);
	return err;
}

/* Roles by name, then what was only observed in the order in which it was logged. */
int inputs_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		struct node *ret)
{
	AUTO(input_release) struct input in = { 0 };
	struct version v;
	int more;

	if (strchr(after, ':')) {
		more = version_find_label(vfs->store, after, &v);
		if (more < 0)
			return more == -ENOENT ? 0 : more;
		return next_observed(vfs, dir->a, v.id, ret_name, ret);
	}
	more = run_input_next(vfs->store, dir->a, slice_str(after), &in, ret_name);
	if (more == 0)
		return next_observed(vfs, dir->a, 0, ret_name, ret);
	if (more > 0)
		input_node(dir->a, in.slot, buf_str(ret_name), ret);
	return more;
}

/* The input behind a node: by its slot, since its role may have been changed. */
static int find_slot(struct vfs *vfs, struct node *node, struct input *ret)
{
	AUTO(buf_release) struct buf role = BUF_INIT;
	struct input in = { 0 };
	int err = run_input_find(vfs->store, node->a, slice_str(node->name), &in);

	if (err == 0 && in.slot == node->b) {
		*ret = in;
		return 0;
	}
	input_release(&in);
	while (run_input_next(vfs->store, node->a, buf_slice(&role), &in, &role) > 0) {
		if (in.slot == node->b) {
			*ret = in;
			return 0;
		}
		input_release(&in);
	}
	return -ENOENT;
}

static void add_target(struct vfs *vfs, const struct version *v, const char *path, struct buf *ret)
{
	autofree char *name = version_collection_name(vfs->store, v);

	buf_add_str(ret, "../../../");
	version_path(ret, name, v);
	buf_printf(ret, "/files%s", path);
}

int input_target(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct buf *ret)
{
	AUTO(input_release) struct input in = { 0 };
	struct version v;
	int err = find_slot(vfs, node, &in);

	(void)call;
	if (err == 0)
		err = version_get_by_id(vfs->store, in.version, &v);
	if (err == 0)
		add_target(vfs, &v, in.path, ret);
	return err;
}

/* Nothing is declared before the rename; but what could not be is refused. */
static int symlink_for_a_moment(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
				const char *name, const char *target, struct node *ret)
{
	AUTO(buf_release) struct buf path = BUF_INIT, shown = BUF_INIT;
	struct cred cred = vfs_cred(call);
	struct temporary_link link = { 0 };
	struct version v;
	int err = run_input_resolve(vfs->store, dir->a, slice_str(target), &cred, &v, &path);

	if (err < 0)
		return err;
	add_target(vfs, &v, buf_str(&path), &shown);
	link.version = v.id;
	link.shown = xstrdup(buf_str(&shown));
	link.meant = xstrdup(target);
	return temporary_add(vfs, call, dir, name, &link, ret);
}

static int inputs_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name, const char *target, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	int err = temporary_is_meant(call, name);

	if (err < 0)
		return err;
	if (err > 0)
		return symlink_for_a_moment(vfs, call, dir, name, target, ret);
	err = run_declare_input(vfs->store, dir->a, slice_str(name), slice_str(target), &cred);
	return err < 0 ? err : inputs_find(vfs, call, dir, name, ret);
}

static int inputs_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name)
{
	uint32_t version;

	(void)call;
	if (temporary_remove(vfs, dir, name) == 0)
		return 0;
	/* What happened cannot be taken back. */
	if (strchr(name, ':'))
		return find_observed(vfs, dir->a, name, &version) == 0 ? -EPERM : -ENOENT;
	return run_remove_input(vfs->store, dir->a, slice_str(name));
}

static int inputs_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name, struct node *new_dir, const char *new_name,
			 unsigned flags)
{
	AUTO(temporary_link_release) struct temporary_link link = { 0 };
	struct cred cred = vfs_cred(call);
	int err;

	if (dir->a != new_dir->a)
		return -EXDEV;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (temporary_get(vfs, dir, name, &link) == 0) {
		err = run_set_input(vfs->store, dir->a, slice_str(new_name), slice_str(link.meant),
				    flags & RENAME_NOREPLACE, &cred);
		if (err == 0)
			temporary_remove(vfs, dir, name);
		return err;
	}
	return run_rename_input(vfs->store, dir->a, slice_str(name), slice_str(new_name),
				flags & RENAME_NOREPLACE);
}

const struct node_edit inputs_edit = {
	.symlink = inputs_symlink,
	.unlink = inputs_unlink,
	.rename = inputs_rename,
};
