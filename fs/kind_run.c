/*
 * kind_run.c - /runs, the runs in it, and their texts.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document.h"
#include "core/draft.h"
#include "core/publish.h"
#include "core/run.h"
#include "core/watch.h"

#include <stdio.h>

static void run_node(uint32_t id, struct node *ret)
{
	*ret = (struct node){ .ino = ino_of_ids(INO_RUN, id, 0), .kind = &kind_run, .a = id };
}

int runs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
	      struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_find(vfs->store, slice_str(child), &run);

	(void)call;
	(void)dir;
	if (err == 0)
		run_node(run.id, ret);
	return err;
}

int runs_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
	      struct node *ret)
{
	uint32_t id;
	int more = run_next(vfs->store, slice_str(after), &id, ret_name);

	(void)dir;
	if (more > 0)
		run_node(id, ret);
	return more;
}

int runs_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 01777;
	return 0;
}

static int runs_mkdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name, mode_t mode, struct node *ret)
{
	uint32_t id;
	struct caller caller;
	/* A run that is started from inside another is its child. */
	int err = vfs_caller(vfs, call, &caller);

	(void)dir;
	if (err == 0)
		err = run_create(vfs->store, slice_str(name), call->uid, call->gid, mode,
				 caller.run, &id);
	if (err == 0)
		run_node(id, ret);
	return err;
}

static int runs_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name)
{
	int err = run_remove(vfs->store, slice_str(name));

	(void)call;
	(void)dir;
	if (err == 0)
		vfs_forget_name(vfs, node_fixed_number(&kind_root, INO_FIXED, 0, &kind_views),
				name);
	return err;
}

const struct node_edit runs_edit = {
	.mkdir = runs_mkdir,
	.rmdir = runs_rmdir,
};

int run_stat(struct vfs *vfs, struct node *node, struct run *run, struct stat *st)
{
	uint64_t at;
	int err = run_get(vfs->store, node->a, run);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	at = run->ended ? run->ended : run->created;
	st->st_uid = run->uid;
	st->st_gid = run->gid;
	st->st_mtim = timespec_of_ns(at);
	st->st_mode = run->mode;
	return 0;
}

uint64_t run_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	(void)dir;
	return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_runs);
}

int run_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_stat(vfs, node, &run, st);

	if (err == 0 && run.state == RUN_FINISHED && node->kind != &kind_run)
		st->st_mode &= 0555;
	return err;
}

static uint64_t child_ino(uint32_t run, const struct node_kind *kind)
{
	return node_fixed_number(&kind_run, INO_RUN, run, kind);
}

int run_set_attr(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		 struct handle *handle, const struct stat *set, unsigned what)
{
	int err;

	(void)call;
	(void)handle;
	if (!(what & (VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID)))
		return -EPERM;
	err = run_set_owner(vfs->store, node->a, what & VFS_SET_UID ? set->st_uid : (uid_t)-1,
			    what & VFS_SET_GID ? set->st_gid : (gid_t)-1,
			    what & VFS_SET_MODE ? set->st_mode & 0777 : (mode_t)-1);
	if (err < 0)
		return err;
	/* The kernel decides by what it knows of the directories that are the run's as well. */
	for (const struct node_fixed *f = kind_run.fixed; f->name; f++)
		vfs_forget_cached(vfs, child_ino(node->a, f->kind));
	vfs_settle(vfs);
	return 0;
}

int run_text_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_stat(vfs, node, &run, st);

	if (err == 0)
		st->st_mode &= run.state == RUN_FINISHED || !node->kind->accept ? 0444 : 0666;
	return err;
}

int run_link_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_stat(vfs, node, &run, st);

	st->st_mode = 0777;
	return err;
}

int run_info_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, node->a, &run);

	return err < 0 ? err : document_run(vfs->store, &run, ret);
}

int run_log_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return run_log_read(vfs->store, node->a, ret);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word of a text, taken off its front; empty at the end. */
static struct slice next_word(struct slice *text)
{
	const char *p = text->data;
	size_t from = 0, to;

	while (from < text->len && is_blank(p[from]))
		from++;
	for (to = from; to < text->len && !is_blank(p[to]); to++)
		;
	*text = slice(p + to, text->len - to);
	return slice(p + from, to - from);
}

static int refuse_command(struct vfs *vfs, uint32_t run, const char *what, struct slice word)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_printf(&text, "error: EINVAL: %s: ", what);
	buf_add_visible(&text, slice(word.data, word.len < 200 ? word.len : 200));
	buf_add_char(&text, '\n');
	run_log_write(vfs->store, run, buf_slice(&text));
	return -EINVAL;
}

/* Words of a line, borrowed from it. */
struct words {
	struct slice *all;
	size_t count, cap;
};

static void words_release(struct words *w)
{
	free(w->all);
}

static void add_word(struct words *w, struct slice word)
{
	w->all = xgrow(w->all, &w->cap, w->count + 1, sizeof(word));
	w->all[w->count++] = word;
}

/* Is the word key=something? */
static bool has_key(struct slice word, const char *key, struct slice *ret_value)
{
	size_t n = strlen(key);

	if (!slice_starts(word, slice(key, n)))
		return false;
	*ret_value = slice((const char *)word.data + n, word.len - n);
	return true;
}

/* <name> [type=T] [alias=A]... [tag=T]... */
static int log_line_accept(struct vfs *vfs, const struct vfs_call *call, uint32_t run,
			   struct slice line)
{
	struct cred cred = vfs_cred(call);
	struct publish_request request = { .run = run, .cred = &cred, .stop = call->interrupted };
	AUTO(words_release) struct words aliases = { 0 }, tags = { 0 };
	struct slice word, value;

	request.name = next_word(&line);
	if (request.name.len == 0)
		return 0;
	while ((word = next_word(&line)).len > 0) {
		if (has_key(word, "alias=", &value)) {
			add_word(&aliases, value);
			continue;
		}
		if (has_key(word, "tag=", &value)) {
			add_word(&tags, value);
			continue;
		}
		if (!has_key(word, "type=", &value))
			return refuse_command(vfs, run, "not an option of log", word);
		if (request.type.len)
			return refuse_command(vfs, run, "a second type", value);
		if (!name_valid(value))
			return refuse_command(vfs, run, "not a type", value);
		request.type = value;
	}
	request.aliases = aliases.all;
	request.alias_count = aliases.count;
	request.tags = tags.all;
	request.tag_count = tags.count;
	return publish(vfs->store, &request);
}

int run_log_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		   struct slice text)
{
	const char *at = text.data, *end = at + text.len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;
		int err = log_line_accept(vfs, call, node->a, slice(at, (size_t)(stop - at)));

		if (err < 0)
			return err;
		at = newline ? newline + 1 : end;
	}
	vfs_forget_cached(vfs, node->ino);
	return 0;
}

int state_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(vfs->store, node->a, &run);

	if (err == 0)
		buf_printf(ret, "%s\n", run_state_name(run.state));
	return err;
}

/* What the kernel knows of the run's directories is of its state before; drafts became links. */
void run_state_changed(struct vfs *vfs, uint32_t run)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint64_t outputs = child_ino(run, &kind_outputs);
	struct draft draft;

	watch_run_changed(vfs->store->watch, run);
	while (run_draft_next(vfs->store, run, buf_slice(&name), &draft, &name) > 0)
		vfs_forget_name(vfs, outputs, buf_str(&name));
	/*
	 * Scratch went as well: with the name of outputs, every name below it that nobody uses
	 * goes.
	 */
	vfs_forget_name(vfs, ino_of_ids(INO_RUN, run, 0), "outputs");
	vfs_forget_cached(vfs, outputs);
	vfs_forget_cached(vfs, child_ino(run, &kind_inputs));
	vfs_forget_cached(vfs, ino_of_ids(INO_RUN, run, 0));
}

/*
 * Pages of files that are open for writing: those that are to be written are, or are refused; none
 * stays that the file below does not have.
 */
static void forget_written(struct vfs *vfs, uint32_t run)
{
	autofree ino_t *written = NULL;
	struct draft_area *area;
	size_t count;

	if (draft_area_get(vfs->store, run, &area) < 0)
		return;
	count = draft_written(area, &written);
	draft_area_put(area);
	for (size_t i = 0; i < count; i++) {
		struct node *node = node_get_backing(vfs->nodes, run, written[i]);

		if (!node)
			continue;
		vfs_forget_cached(vfs, node->ino);
		node_put(vfs->nodes, node);
	}
}

static int set_state(struct vfs *vfs, uint32_t run, enum run_state state,
		     const struct run_end *end)
{
	int err;

	/* What a mapping has had written to it so far is the draft's; the rest will not be. */
	forget_written(vfs, run);
	vfs_settle(vfs);
	err = run_set_ended(vfs->store, run, state, end);
	if (err == 0)
		forget_written(vfs, run);
	return err;
}

int state_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		 struct slice text)
{
	struct cred cred = vfs_cred(call);
	struct publish_request finish = { .run = node->a, .cred = &cred,
					  .stop = call->interrupted };
	struct slice word = next_word(&text);
	struct run_end end = { 0 };
	enum run_state state;
	bool more = false;
	int err;

	if (word.len == 0 && text.len == 0)
		return 0;
	if (run_state_parse(word, &state) < 0)
		return refuse_command(vfs, node->a, "not a state", word);
	for (; (word = next_word(&text)).len > 0; more = true)
		if (state == RUN_RUNNING || run_end_parse(word, &end) < 0)
			return refuse_command(vfs, node->a, "not how a run ends", word);
	finish.end = more ? &end : NULL;
	err = state == RUN_FINISHED ? publish(vfs->store, &finish) :
				      set_state(vfs, node->a, state, finish.end);
	if (err < 0)
		return err;
	run_state_changed(vfs, node->a);
	/* Whoever sees the new state sees what came of it. */
	vfs_settle(vfs);
	return 0;
}

int procs_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	watch_list(vfs->store->watch, node->a, ret);
	return 0;
}

/* A process a line, by the number that it has for the caller. */
int procs_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		 struct slice text)
{
	struct cred cred = vfs_cred(call);
	struct slice word;

	while ((word = next_word(&text)).len > 0) {
		autofree char *digits = xstrndup(word.data, word.len);
		char *end;
		long number = strtol(digits, &end, 10);
		int err;

		if (*end != '\0' || number <= 0 || number > INT32_MAX)
			return refuse_command(vfs, node->a, "not a process number", word);
		err = watch_register(vfs->store->watch, node->a, &cred, call->pid, (pid_t)number);
		if (err < 0)
			return err;
	}
	return 0;
}
