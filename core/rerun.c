#include "rerun.h"

#include <stdio.h>
#include <time.h>

#include "launch.h"
#include "run_note.h"
#include "view.h"

/* Words of these characters mean themselves to a shell, wherever they stand. */
static bool is_plain(const char *word)
{
	return *word && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					  "0123456789_./:=+,@%-")] == '\0';
}

static void quote(struct buf *script, const char *word)
{
	if (is_plain(word)) {
		buf_add_str(script, word);
		return;
	}
	buf_add_char(script, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			buf_add_str(script, "'\\''");
		else
			buf_add_char(script, *word);
	}
	buf_add_char(script, '\'');
}

/* Text in a comment: nothing may end it. */
static void comment(struct buf *script, const char *text)
{
	for (; *text; text++)
		buf_add_char(script, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void describe(struct buf *script, const struct run *run, const struct launch *l)
{
	static const char *const states[] = {
		[LAUNCH_DIRTY_UNKNOWN] = "",
		[LAUNCH_CLEAN] = ", without uncommitted changes",
		[LAUNCH_DIRTY] = ", with uncommitted changes, which are not kept anywhere",
	};
	time_t seconds = (time_t)(run->created / 1000000000);
	char date[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_printf(script,
		   "#!/bin/sh\n# Repeats the run %s of %s with the versions that it used.\n",
		   run->name, date);
	if (!l->commit)
		return;
	buf_add_str(script, "# Its directory was at git commit ");
	comment(script, l->commit);
	if (l->remote) {
		buf_add_str(script, " of ");
		comment(script, l->remote);
	}
	buf_printf(script, "%s.\n", states[l->dirty]);
}

static bool is_variable(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

	return n > 0 && name[n] == '\0' && (*name < '0' || *name > '9');
}

static void prepare(struct buf *script, const struct launch *l)
{
	buf_add_str(script, "set -e\n");
	if (l->directory) {
		buf_add_str(script, "cd ");
		/* Neither an option, nor the directory before, nor one found by CDPATH. */
		if (l->directory[0] == '/') {
			quote(script, l->directory);
		} else {
			autofree char *here = xasprintf("./%s", l->directory);

			quote(script, here);
		}
		buf_add_char(script, '\n');
	}
	for (size_t i = 0; i < l->env_count; i++) {
		if (!is_variable(l->env[i].name))
			continue;
		buf_printf(script, "export %s=", l->env[i].name);
		quote(script, l->env[i].value);
		buf_add_char(script, '\n');
	}
}

static void option(struct buf *script, const char *name, const char *value)
{
	buf_printf(script, " \\\n\t%s ", name);
	quote(script, value);
}

/* The version, and with it the alias behind which the run saw it: `mnist:latest:v3`. */
static void add_label(struct store *store, uint32_t run, const struct version *v,
		      struct buf *text)
{
	AUTO(buf_release) struct buf alias = BUF_INIT;
	autofree char *name = version_collection_name(store, v);
	uint32_t collection = 0, version = 0;

	while (view_pin_next(store, run, &collection, &alias, &version) > 0) {
		if (version == v->id) {
			buf_printf(text, "%s:%s:v%u", name, buf_str(&alias), v->number);
			return;
		}
	}
	version_label(text, name, v->number);
}

/* Declared inputs, each with its role; ret_versions gets their ids. */
static int add_declared(struct store *store, uint32_t run, struct buf *script,
			struct buf *ret_versions)
{
	AUTO(buf_release) struct buf role = BUF_INIT;
	struct input in = { 0 };
	int more;

	while ((more = run_input_next(store, run, buf_slice(&role), &in, &role)) > 0) {
		AUTO(buf_release) struct buf text = BUF_INIT;
		struct version v;

		if (version_get_by_id(store, in.version, &v) == 0) {
			autofree char *name = version_collection_name(store, &v);

			buf_printf(&text, "%s=", buf_str(&role));
			if (in.path[0])
				buf_printf(&text, "artifacts/%s/v%u/files%s", name, v.number,
					   in.path);
			else
				add_label(store, run, &v, &text);
			option(script, "--input", buf_str(&text));
			buf_add(ret_versions, &v.id, sizeof(v.id));
		}
		input_release(&in);
	}
	return more;
}

static int add_used(struct store *store, uint32_t run, struct buf *script,
		    const struct buf *declared)
{
	uint32_t id = 0;
	int more;

	while ((more = edge_next(store->kv, EDGE_RUN_USES, run, id, &id, NULL)) > 0) {
		const uint32_t *known = (const void *)declared->data;
		AUTO(buf_release) struct buf text = BUF_INIT;
		struct version v;
		bool seen = false;

		for (size_t i = 0; !seen && i < declared->len / sizeof(*known); i++)
			seen = known[i] == id;
		if (seen || version_get_by_id(store, id, &v) < 0)
			continue;
		add_label(store, run, &v, &text);
		option(script, "--input", buf_str(&text));
	}
	return more;
}

/*
 * Other aliases behind which the run saw versions that it used: the command may look at them again.
 * The first of a version was said with it.
 */
static int add_other_aliases(struct store *store, uint32_t run, struct buf *script)
{
	AUTO(buf_release) struct buf alias = BUF_INIT;
	uint32_t collection = 0, version = 0;
	int more;

	while ((more = view_pin_next(store, run, &collection, &alias, &version)) > 0) {
		AUTO(buf_release) struct buf text = BUF_INIT, first = BUF_INIT;
		autofree char *name = NULL;
		struct version v;
		struct edge edge;

		if (version_get_by_id(store, version, &v) < 0 ||
		    edge_get(store->kv, EDGE_RUN_USES, run, version, &edge) < 0)
			continue;
		name = version_collection_name(store, &v);
		buf_printf(&text, "%s:%s:v%u", name, buf_str(&alias), v.number);
		add_label(store, run, &v, &first);
		if (!slice_equal(buf_slice(&text), buf_slice(&first)))
			option(script, "--input", buf_str(&text));
	}
	return more;
}

static int add_command(struct store *store, const struct run *run, const struct launch *l,
		       struct buf *script)
{
	AUTO(buf_release) struct buf declared = BUF_INIT;
	int err;

	buf_add_str(script, "exec lineagefs run ${LINEAGEFS_MOUNT:+-m \"$LINEAGEFS_MOUNT\"}");
	if (run->job_type[0])
		option(script, "--job-type", run->job_type);
	err = add_declared(store, run->id, script, &declared);
	if (err == 0)
		err = add_used(store, run->id, script, &declared);
	if (err == 0)
		err = add_other_aliases(store, run->id, script);
	buf_add_str(script, " \\\n\t--");
	for (size_t i = 0; i < l->command_count; i++) {
		buf_add_char(script, ' ');
		quote(script, l->command[i]);
	}
	buf_add_char(script, '\n');
	return err;
}

int rerun_script(struct store *store, const struct run *run, struct buf *ret)
{
	AUTO(buf_release) struct buf metadata = BUF_INIT;
	AUTO(launch_release) struct launch l = { 0 };
	int err = run_text_read(store, run->id, RUN_METADATA, &metadata);

	if (err < 0)
		return err;
	launch_decode(buf_slice(&metadata), &l);
	describe(ret, run, &l);
	if (l.command_count > 0) {
		prepare(ret, &l);
		return add_command(store, run, &l, ret);
	}
	buf_printf(ret,
		   "echo 'The command of the run %s is not known: it was not started by lineagefs "
		   "run.' >&2\nexit 1\n",
		   run->name);
	return 0;
}
