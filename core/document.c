#include "document.h"

#include "observe.h"
#include "watch.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#ifndef LINEAGEFS_VERSION
#define LINEAGEFS_VERSION "0.1"
#endif

/* RFC 3339, UTC, milliseconds: "2026-11-24T04:05:06.789Z" */
static json_t *json_time(uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char date[32], text[48];
	struct tm tm;

	if (ns == 0)
		return json_null();
	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03uZ", date, (unsigned)(ns / 1000000 % 1000));
	return json_string(text);
}

static json_t *json_number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Text from outside, which need not be UTF-8: what is not is shown as "?". */
static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	autofree char *safe = NULL;

	if (string)
		return string;
	safe = xstrdup(text);
	for (char *p = safe; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(safe);
}

static json_t *json_digest(const struct digest *d)
{
	char hex[DIGEST_HEX_SIZE + 1];

	digest_to_hex(d, hex);
	return json_sprintf("sha256:%s", hex);
}

static json_t *json_label(struct store *store, const struct version *v)
{
	autofree char *name = version_collection_name(store, v);
	AUTO(buf_release) struct buf b = BUF_INIT;

	version_label(&b, name, v->number);
	return json_string(buf_str(&b));
}

static void finish(json_t *root, struct buf *ret)
{
	char *text = json_dumps(root, JSON_INDENT(2));

	buf_add_str(ret, text ? text : "{}");
	buf_add_char(ret, '\n');
	free(text);
	json_decref(root);
}

/* The names of the runs at the other end of a version's edges. */
static json_t *runs_of(struct store *store, enum edge_side side, uint32_t version)
{
	json_t *list = json_array();
	uint32_t id = 0;

	while (edge_next(store->kv, side, version, id, &id, NULL) > 0) {
		AUTO(run_release) struct run run = { 0 };

		if (run_get(store, id, &run) == 0)
			json_array_append_new(list, json_string(run.name));
	}
	return list;
}

int document_version(struct store *store, const struct version *v, struct buf *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(run_release) struct run run = { 0 };
	uint64_t unseen = 0;
	json_t *root;
	int err = collection_get(store, v->collection, &c);

	if (err == 0)
		err = observe_count_unseen(store, v->id, &unseen);
	if (err < 0)
		return err;
	if (run_get(store, v->run, &run) < 0)
		run.name = xstrdup("");
	root = json_object();
	json_object_set_new(root, "name", json_string(c.name));
	json_object_set_new(root, "version", json_sprintf("v%u", v->number));
	json_object_set_new(root, "type", json_string(c.type));
	json_object_set_new(root, "digest", json_digest(&v->digest));
	json_object_set_new(root, "size", json_number(v->bytes));
	json_object_set_new(root, "files", json_number(v->files));
	json_object_set_new(root, "created_at", json_time(v->created));
	json_object_set_new(root, "run", json_string(run.name));
	json_object_set_new(root, "producers", runs_of(store, EDGE_VERSION_LOGGED_BY, v->id));
	json_object_set_new(root, "consumers", runs_of(store, EDGE_VERSION_USED_BY, v->id));
	json_object_set_new(root, "unseen_opens", json_number(unseen));
	finish(root, ret);
	return 0;
}

/* The roles under which a run declared a version. */
static json_t *roles_of(struct store *store, uint32_t run, uint32_t version)
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

static void add_use(struct store *store, uint32_t run, uint32_t version, const struct edge *edge,
		    json_t *item)
{
	json_object_set_new(item, "last_used_at", json_time(edge->last));
	json_object_set_new(item, "roles", roles_of(store, run, version));
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

/* Processes that were registered, living or not. */
static json_t *processes_of(struct store *store, uint32_t run)
{
	json_t *list = json_array();
	uint32_t slot = 0;

	for (;;) {
		AUTO(process_row_release) struct process_row row = { 0 };
		json_t *item;

		if (watch_row_next(store, run, slot, &slot, &row) <= 0)
			return list;
		item = json_object();
		json_object_set_new(item, "pid", json_number(row.pid));
		json_object_set_new(item, "command", json_text(row.command));
		json_object_set_new(item, "user_id", json_number(row.uid));
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

int document_run(struct store *store, const struct run *run, struct buf *ret)
{
	json_t *root, *inputs;
	int err = observe_flush(store);

	if (err < 0)
		return err;
	root = json_object();

	json_object_set_new(root, "id", json_string(run->name));
	json_object_set_new(root, "state", json_string(run_state_name(run->state)));
	json_object_set_new(root, "user", json_number(run->uid));
	json_object_set_new(root, "group", json_number(run->gid));
	json_object_set_new(root, "host", json_string(run->host));
	json_object_set_new(root, "created_at", json_time(run->created));
	json_object_set_new(root, "ended_at", json_time(run->ended));
	json_object_set_new(root, "processes", processes_of(store, run->id));
	inputs = versions_of(store, EDGE_RUN_USES, run->id);
	add_peeks(store, run->id, inputs);
	json_object_set_new(root, "inputs", inputs);
	json_object_set_new(root, "outputs", versions_of(store, EDGE_RUN_LOGGED, run->id));
	finish(root, ret);
	return 0;
}

static void add_stat(void *arg, const char *name, uint64_t n)
{
	json_object_set_new(arg, name, json_number(n));
}

int document_status(struct store *store, struct buf *ret)
{
	json_t *root = json_object(), *kv = json_object();
	struct statvfs disk;

	json_object_set_new(root, "version", json_string(LINEAGEFS_VERSION));
	json_object_set_new(root, "schema", json_number(STORE_SCHEMA));
	json_object_set_new(root, "store", json_string(store->path));
	json_object_set_new(root, "pid", json_number((uint64_t)getpid()));
	json_object_set_new(root, "started_at", json_time(store->opened_at * 1000000000));
	if (fstatvfs(store->drafts, &disk) == 0) {
		json_object_set_new(root, "disk_free_bytes",
				    json_number((uint64_t)disk.f_bavail * disk.f_frsize));
		json_object_set_new(root, "disk_total_bytes",
				    json_number((uint64_t)disk.f_blocks * disk.f_frsize));
	}
	json_object_set_new(root, "passthrough", json_false());
	if (store->kv->ops->stats)
		store->kv->ops->stats(store->kv, add_stat, kv);
	json_object_set_new(root, "key_value_store", kv);
	finish(root, ret);
	return 0;
}
