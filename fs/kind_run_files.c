/*
 * kind_run_files.c - what stands in /runs/<run>/ beside what the run does: its job type, tags, JSON
 * texts, rerun.sh, and console.log.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document.h"
#include "core/rerun.h"
#include "core/run_note.h"

#include <fcntl.h>

static int note_attr(struct vfs *vfs, struct node *node, mode_t mask, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_stat(vfs, node, &run, st);

	st->st_mode &= mask;
	return err;
}

/* Writable also after the end. */
int run_note_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	return note_attr(vfs, node, node->kind->type == S_IFDIR ? 0777 : 0666, st);
}

int job_type_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, node->a, &run);

	if (err == 0 && run.job_type[0])
		buf_printf(ret, "%s\n", run.job_type);
	return err;
}

int job_type_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		    struct slice text)
{
	(void)call;
	return run_set_job_type(vfs->store, node->a, text);
}

/* ---- config.json, metadata.json ---- */

static int json_render(struct vfs *vfs, struct node *node, enum run_text which, struct buf *ret)
{
	int err = run_text_read(vfs->store, node->a, which, ret);

	if (err == 0 && ret->len == 0)
		buf_add_str(ret, "{}\n");
	return err;
}

int config_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return json_render(vfs, node, RUN_CONFIG, ret);
}

int metadata_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return json_render(vfs, node, RUN_METADATA, ret);
}

static bool is_blank(struct slice text)
{
	const char *p = text.data;
	size_t i = 0;

	while (i < text.len && strchr(" \t\r\n", p[i]) && p[i])
		i++;
	return i == text.len;
}

/*
 * A shell that redirects truncates, and flushes, before it writes: an empty text is no JSON, and
 * changes nothing.
 */
static int json_accept(struct vfs *vfs, struct node *node, enum run_text which, struct slice text)
{
	AUTO(buf_release) struct buf why = BUF_INIT, line = BUF_INIT;

	if (is_blank(text))
		return 0;
	if (document_check(text, which == RUN_METADATA, &why) == 0)
		return run_text_write(vfs->store, node->a, which, text);
	buf_printf(&line, "error: EINVAL: %s: %s\n", node->kind->name, buf_str(&why));
	run_log_write(vfs->store, node->a, buf_slice(&line));
	return -EINVAL;
}

int config_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		  struct slice text)
{
	(void)call;
	return json_accept(vfs, node, RUN_CONFIG, text);
}

int metadata_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		    struct slice text)
{
	(void)call;
	return json_accept(vfs, node, RUN_METADATA, text);
}

bool json_unfinished(struct slice text)
{
	AUTO(buf_release) struct buf why = BUF_INIT;

	return is_blank(text) || document_check(text, false, &why) == -EAGAIN;
}

/* ---- rerun.sh ---- */

int rerun_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	return note_attr(vfs, node, 0555, st);
}

int rerun_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, node->a, &run);

	return err < 0 ? err : rerun_script(vfs->store, &run, ret);
}

/* ---- tags ---- */

static void tag_node(uint32_t run, uint32_t slot, const char *name, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids(INO_RUN_TAG, run, slot),
		.kind = &kind_run_tag,
		.a = run,
		.b = slot,
		.name = xstrdup(name),
	};
}

int run_tags_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *child, struct node *ret)
{
	struct tag tag;
	int err = run_tag_find(vfs->store, dir->a, slice_str(child), &tag);

	(void)call;
	if (err == 0)
		tag_node(dir->a, tag.slot, child, ret);
	return err;
}

int run_tags_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		  struct node *ret)
{
	struct tag tag;
	int more = run_tag_next(vfs->store, dir->a, slice_str(after), &tag, ret_name);

	if (more > 0)
		tag_node(dir->a, tag.slot, buf_str(ret_name), ret);
	return more;
}

int run_tag_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct tag tag;
	int err = note_attr(vfs, node, 0666, st);

	if (err == 0 && run_tag_find(vfs->store, node->a, slice_str(node->name), &tag) == 0)
		st->st_mtim = timespec_of_ns(tag.created);
	st->st_size = 0;
	return err;
}

int run_tag_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	(void)vfs;
	(void)node;
	(void)ret;
	return 0;
}

/* A tag is its name: there is nothing to write into it. */
int run_tag_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		   struct slice text)
{
	(void)vfs;
	(void)call;
	(void)node;
	return text.len == 0 ? 0 : -EINVAL;
}

static int tags_mknod(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name, mode_t mode, struct node *ret)
{
	int err;

	if (!S_ISREG(mode))
		return -EPERM;
	err = run_tag_add(vfs->store, dir->a, slice_str(name));
	return err < 0 ? err : run_tags_find(vfs, call, dir, name, ret);
}

static int tags_create(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, mode_t mode, int flags, struct vfs_open *ret)
{
	struct node spec, *node;
	int err = run_tag_add(vfs->store, dir->a, slice_str(name));

	(void)mode;
	if (err == -EEXIST && !(flags & O_EXCL))
		err = 0;
	if (err == 0)
		err = run_tags_find(vfs, call, dir, name, &spec);
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

static int tags_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name)
{
	(void)call;
	return run_tag_remove(vfs->store, dir->a, slice_str(name));
}

const struct node_edit run_tags_edit = {
	.create = tags_create,
	.mknod = tags_mknod,
	.unlink = tags_unlink,
};
