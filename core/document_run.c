/*
 * document_run.c - info.json of a run, and the JSON that people write about it.
 */
#include "document_private.h"

#include <pwd.h>

#include "console.h"
#include "draft.h"
#include "observe.h"
#include "run_note.h"
#include "run_process.h"

/* Longest token that a write may cut in two: two escapes, of one character. */
#define TOKEN_MAX 12

json_t *json_roles(struct store *store, uint32_t run, uint32_t version)
{
	AUTO(buf_release) struct buf role = BUF_INIT;
	json_t *list = json_array();
	struct input in = { 0 };

	while (run_input_next(store, run, buf_slice(&role), &in, &role) > 0) {
		if (in.version == version)
			json_array_append_new(list, json_string(buf_str(&role)));
		input_release(&in);
	}
	return list;
}

/* How a run used a version. */
static void add_use(struct store *store, uint32_t run, uint32_t version, const struct edge *edge,
		    json_t *item)
{
	json_object_set_new(item, "last_used_at", json_time(edge->last));
	json_object_set_new(item, "roles", json_roles(store, run, version));
	json_object_set_new(item, "declared", json_boolean(edge->flags & EDGE_DECLARED));
	json_object_set_new(item, "observed", json_boolean(edge->flags & EDGE_OBSERVED));
	json_object_set_new(item, "opens", json_number(edge->opened));
}

/* Runs of which this one read a draft that was not logged. */
static void add_peeks(struct store *store, uint32_t run, json_t *inputs)
{
	struct edge edge;
	uint32_t id = 0;

	while (edge_next(store->kv, EDGE_RUN_PEEKED, run, id, &id, &edge) > 0) {
		AUTO(run_release) struct run other = { 0 };
		json_t *item;

		if (run_get(store, id, &other) < 0)
			continue;
		item = json_object();
		json_object_set_new(item, "run", json_string(other.name));
		json_object_set_new(item, "unlogged", json_true());
		json_object_set_new(item, "used_at", json_time(edge.first));
		json_object_set_new(item, "last_used_at", json_time(edge.last));
		json_object_set_new(item, "opens", json_number(edge.opened));
		json_array_append_new(inputs, item);
	}
}

/* Bytes that need not be UTF-8, which JSON is: then what is not ASCII is shown as "?". */
static json_t *json_bytes(const char *bytes)
{
	json_t *string = json_string(bytes);
	autofree char *ascii = string ? NULL : xstrdup(bytes);

	if (string)
		return string;
	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

/* Processes that were registered, living or not. */
static json_t *processes_of(struct store *store, uint32_t run)
{
	json_t *list = json_array();
	uint32_t slot = 0;

	for (;;) {
		AUTO(process_row_release) struct process_row row = { 0 };
		json_t *item;

		if (run_process_next(store, run, slot, &slot, &row) <= 0)
			return list;
		item = json_object();
		json_object_set_new(item, "pid", json_number(row.pid));
		json_object_set_new(item, "command", json_bytes(row.command));
		json_object_set_new(item, "uid", json_number(row.uid));
		json_object_set_new(item, "boot_id", json_string(row.boot));
		json_object_set_new(item, "registered_at", json_time(row.registered));
		json_array_append_new(list, item);
	}
}

static json_t *versions_of(struct store *store, enum edge_side side, uint32_t run)
{
	json_t *list = json_array();
	struct edge edge;
	uint32_t id = 0;

	while (edge_next(store->kv, side, run, id, &id, &edge) > 0) {
		struct version v;
		json_t *item;

		if (version_get_by_id(store, id, &v) < 0)
			continue;
		item = json_object();
		json_object_set_new(item, "artifact", json_label(store, &v));
		json_object_set_new(item, "digest", json_digest(&v.digest));
		json_object_set_new(item, side == EDGE_RUN_USES ? "used_at" : "logged_at",
				    json_time(edge.first));
		if (side == EDGE_RUN_USES)
			add_use(store, run, id, &edge, item);
		else
			json_object_set_new(item, "equal", json_boolean(edge.flags & EDGE_EQUAL));
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *json_text(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

json_t *json_user(uid_t uid)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found) {
		json_t *name = json_string(found->pw_name);

		if (name)
			return name;
	}
	return json_sprintf("%u", (unsigned)uid);
}

static json_t *tags_of(struct store *store, uint32_t run)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	json_t *list = json_array();
	struct tag tag;

	while (run_tag_next(store, run, buf_slice(&name), &tag, &name) > 0)
		json_array_append_new(list, json_string(buf_str(&name)));
	return list;
}

static json_t *parent_of(struct store *store, uint32_t id)
{
	AUTO(run_release) struct run parent = { 0 };

	return id != 0 && run_get(store, id, &parent) == 0 ? json_string(parent.name) : json_null();
}

/* How it was started, as far as metadata.json says; null where it does not. */
static void add_launch(json_t *root, struct store *store, uint32_t run)
{
	static const char *const fields[] = { "command", "executable", "directory", "git", "env" };
	AUTO(buf_release) struct buf text = BUF_INIT;
	json_t *metadata = NULL;

	if (run_text_read(store, run, RUN_METADATA, &text) == 0 && text.len > 0)
		metadata = json_loadb(text.data, text.len, 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_t *value = json_object_get(metadata, fields[i]);

		if (value)
			json_object_set(root, fields[i], value);
		else
			json_object_set_new(root, fields[i], json_null());
	}
	json_decref(metadata);
}

static void add_end(json_t *root, const struct run *run)
{
	AUTO(buf_release) struct buf name = BUF_INIT;

	if (run->signal)
		run_signal_name(run->signal, &name);
	json_object_set_new(root, "exit_code",
			    run->has_exit_code ? json_integer(run->exit_code) : json_null());
	json_object_set_new(root, "signal", json_text(buf_str(&name)));
	json_object_set_new(root, "crashed_because", json_text(run->reason));
}

/* What people say of it, by the names that W&B has for that. */
static void add_texts(json_t *root, struct store *store, uint32_t run)
{
	AUTO(buf_release) struct buf notes = BUF_INIT, config = BUF_INIT, summary = BUF_INIT;

	run_text_read(store, run, RUN_NOTES, &notes);
	run_text_read(store, run, RUN_CONFIG, &config);
	run_text_read(store, run, RUN_SUMMARY, &summary);
	json_object_set_new(root, "notes", json_said(&notes));
	json_object_set_new(root, "config", json_of_text(&config));
	json_object_set_new(root, "summary", json_of_text(&summary));
}

int document_run(struct store *store, const struct run *run, struct buf *ret)
{
	json_t *root, *inputs;
	uint64_t files, bytes;
	struct stat console;
	int err = observe_flush(store);

	if (err < 0)
		return err;
	root = json_object();
	inputs = versions_of(store, EDGE_RUN_USES, run->id);
	add_peeks(store, run->id, inputs);

	json_object_set_new(root, "id", json_string(run->name));
	json_object_set_new(root, "state", json_string(run_state_name(run->state)));
	json_object_set_new(root, "job_type", json_text(run->job_type));
	json_object_set_new(root, "tags", tags_of(store, run->id));
	add_texts(root, store, run->id);
	add_launch(root, store, run->id);
	json_object_set_new(root, "host", json_string(run->host));
	json_object_set_new(root, "user", json_user(run->uid));
	json_object_set_new(root, "uid", json_number(run->uid));
	json_object_set_new(root, "gid", json_number(run->gid));
	json_object_set_new(root, "created_at", json_time(run->created));
	json_object_set_new(root, "ended_at", json_time(run->ended));
	add_end(root, run);
	json_object_set_new(root, "parent_run", parent_of(store, run->parent));
	json_object_set_new(root, "processes", processes_of(store, run->id));
	json_object_set_new(root, "inputs", inputs);
	json_object_set_new(root, "outputs", versions_of(store, EDGE_RUN_LOGGED, run->id));
	if (console_stat(store, run->id, &console) < 0)
		console.st_size = 0;
	json_object_set_new(root, "console_bytes", json_number((uint64_t)console.st_size));
	if (draft_progress(store, run->id, &files, &bytes))
		json_object_set_new(root, "logging",
				    json_pack("{s:I,s:I}", "files", (json_int_t)files, "bytes",
					      (json_int_t)bytes));
	json_finish(root, ret);
	return 0;
}

bool document_progress(struct slice info, uint64_t *ret_files, uint64_t *ret_bytes)
{
	json_t *root = json_loadb(info.data ? info.data : "", info.len, 0, NULL);
	json_int_t files = 0, bytes = 0;
	bool found = json_unpack(root, "{s:{s:I,s:I}}", "logging", "files", &files, "bytes",
				 &bytes) == 0;

	json_decref(root);
	if (found) {
		*ret_files = (uint64_t)files;
		*ret_bytes = (uint64_t)bytes;
	}
	return found;
}

/* Is a string, an object or an array still open at the end? */
static bool is_open(struct slice text)
{
	const char *p = text.data;
	bool string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (string && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			string = !string;
		else if (!string && (p[i] == '{' || p[i] == '['))
			depth++;
		else if (!string && (p[i] == '}' || p[i] == ']') && depth > 0)
			depth--;
	}
	return string || depth > 0;
}

int document_check(struct slice text, bool object, struct buf *why)
{
	json_error_t error;
	json_t *root = json_loadb(text.data ? text.data : "", text.len,
				  object ? 0 : JSON_DECODE_ANY, &error);
	bool fits = root && (!object || json_is_object(root));
	bool cut = !root && is_open(text) &&
		   (json_error_code(&error) == json_error_premature_end_of_input ||
		    (size_t)error.position + TOKEN_MAX >= text.len);

	json_decref(root);
	if (fits)
		return 0;
	if (root)
		buf_printf(why, "not a JSON object");
	else
		buf_printf(why, "line %d, column %d: %s", error.line, error.column, error.text);
	return cut ? -EAGAIN : -EINVAL;
}
