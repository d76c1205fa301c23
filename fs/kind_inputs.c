/*
 * kind_inputs.c - /runs/<run>/inputs: a link for every input that was declared.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/run.h"

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

int inputs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		const char *child, struct node *ret)
{
	AUTO(input_release) struct input in = { 0 };
	int err = run_input_find(vfs->store, dir->a, slice_str(child), &in);

	(void)call;
	if (err == 0)
		input_node(dir->a, in.slot, child, ret);
	return err;
}

int inputs_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		struct node *ret)
{
	AUTO(input_release) struct input in = { 0 };
	int more = run_input_next(vfs->store, dir->a, slice_str(after), &in, ret_name);

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

int input_target(struct vfs *vfs, const struct vfs_call *call, struct node *node, struct buf *ret)
{
	AUTO(input_release) struct input in = { 0 };
	autofree char *name = NULL;
	struct version v;
	int err = find_slot(vfs, node, &in);

	(void)call;
	if (err == 0)
		err = version_get_by_id(vfs->store, in.version, &v);
	if (err < 0)
		return err;
	name = version_collection_name(vfs->store, &v);
	buf_printf(ret, "../../../artifacts/%s/v%u/files%s", name, v.number, in.path);
	return 0;
}

static int inputs_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			  const char *name, const char *target, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	int err = run_declare_input(vfs->store, dir->a, slice_str(name), slice_str(target), &cred);

	return err < 0 ? err : inputs_find(vfs, call, dir, name, ret);
}

static int inputs_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name)
{
	(void)call;
	return run_remove_input(vfs->store, dir->a, slice_str(name));
}

/* `ln -sfn` makes a link under a temporary name and renames it: a role may be replaced. */
static int inputs_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			 const char *name, struct node *new_dir, const char *new_name,
			 unsigned flags)
{
	(void)call;
	if (dir->a != new_dir->a)
		return -EXDEV;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	return run_rename_input(vfs->store, dir->a, slice_str(name), slice_str(new_name),
				flags & RENAME_NOREPLACE);
}

const struct node_edit inputs_edit = {
	.symlink = inputs_symlink,
	.unlink = inputs_unlink,
	.rename = inputs_rename,
};
