/*
 * kind_run_files.c - what stands in /runs/<run>/ beside what the run does: its job type, notes,
 * JSON texts, and rerun.sh.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document.h"
#include "core/rerun.h"
#include "core/run_note.h"

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

/* ---- notes, and JSON ---- */

int notes_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return run_text_read(vfs->store, node->a, RUN_NOTES, ret);
}

int notes_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		 struct slice text)
{
	(void)call;
	return run_text_write(vfs->store, node->a, RUN_NOTES, text);
}

int config_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return run_text_read(vfs->store, node->a, RUN_CONFIG, ret);
}

int metadata_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return run_text_read(vfs->store, node->a, RUN_METADATA, ret);
}

int summary_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return run_text_read(vfs->store, node->a, RUN_SUMMARY, ret);
}

static int json_accept(struct vfs *vfs, struct node *node, enum run_text which, struct slice text)
{
	AUTO(buf_release) struct buf why = BUF_INIT, line = BUF_INIT;

	if (document_check(text, which != RUN_CONFIG, &why) == 0)
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

int summary_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		   struct slice text)
{
	(void)call;
	return json_accept(vfs, node, RUN_SUMMARY, text);
}

bool json_unfinished(struct slice text)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	const char *p = text.data;
	size_t i = 0;

	while (i < text.len && p[i] && strchr(" \t\r\n", p[i]))
		i++;
	return i == text.len || document_check(text, false, &why) == -EAGAIN;
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
