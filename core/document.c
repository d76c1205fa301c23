#include "damage.h"
#include "document_private.h"
#include "scrub.h"

#include "alias.h"
#include "journal.h"
#include "lineage.h"
#include "observe.h"
#include "version_note.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

/* RFC 3339, UTC, milliseconds: "2026-11-24T04:05:06.789Z" */
json_t *json_time(uint64_t ns)
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

json_t *json_number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *json_digest(const struct digest *d)
{
	char hex[DIGEST_HEX_SIZE + 1];

	digest_to_hex(d, hex);
	return json_sprintf("sha256:%s", hex);
}

json_t *json_label(struct store *store, const struct version *v)
{
	autofree char *name = version_collection_name(store, v);
	AUTO(buf_release) struct buf b = BUF_INIT;

	version_label(&b, name, v->number);
	return json_string(buf_str(&b));
}

json_t *json_aliases(struct store *store, const struct collection *c, const struct version *v)
{
	AUTO(buf_release) struct buf alias = BUF_INIT;
	json_t *list = json_array();

	if (c->latest == v->number)
		json_array_append_new(list, json_string("latest"));
	while (alias_of_version_next(store, v->id, buf_slice(&alias), &alias) > 0)
		json_array_append_new(list, json_string(buf_str(&alias)));
	return list;
}

json_t *json_tags(struct store *store, uint32_t version)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	json_t *list = json_array();
	struct tag tag;

	while (version_tag_next(store, version, buf_slice(&name), &tag, &name) > 0)
		json_array_append_new(list, json_string(buf_str(&name)));
	return list;
}

json_t *json_said(const struct buf *text)
{
	json_t *said = text->len ? json_stringn(text->data, text->len) : NULL;

	return said ? said : json_null();
}

json_t *json_of_text(const struct buf *text)
{
	json_t *value = json_loadb(buf_str(text), text->len, JSON_DECODE_ANY, NULL);

	return value ? value : json_object();
}

void json_finish(json_t *root, struct buf *ret)
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
	AUTO(buf_release) struct buf description = BUF_INIT, metadata = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	uint64_t unseen = 0;
	json_t *root;
	int err = collection_get(store, v->collection, &c);

	if (err == 0)
		err = observe_count_unseen(store, v->id, &unseen);
	if (err == 0)
		err = version_text_read(store, v->id, VERSION_DESCRIPTION, &description);
	if (err == 0)
		err = version_text_read(store, v->id, VERSION_METADATA, &metadata);
	if (err < 0)
		return err;
	if (run_get(store, v->run, &run) < 0)
		run.name = xstrdup("");
	root = json_object();
	json_object_set_new(root, "name", json_string(c.name));
	json_object_set_new(root, "version", json_sprintf("v%u", v->number));
	json_object_set_new(root, "type", json_string(c.type));
	json_object_set_new(root, "aliases", json_aliases(store, &c, v));
	json_object_set_new(root, "tags", json_tags(store, v->id));
	json_object_set_new(root, "description", json_said(&description));
	json_object_set_new(root, "metadata", json_of_text(&metadata));
	json_object_set_new(root, "digest", json_digest(&v->digest));
	json_object_set_new(root, "size", json_number(v->bytes));
	json_object_set_new(root, "files", json_number(v->files));
	json_object_set_new(root, "created_at", json_time(v->created));
	json_object_set_new(root, "state", json_string(version_state_name(v)));
	if (v->removed)
		json_object_set_new(root, "removed_at", json_time(v->removed));
	if (v->purged)
		json_object_set_new(root, "purged_at", json_time(v->purged));
	json_object_set_new(root, "run", json_string(run.name));
	json_object_set_new(root, "producers", runs_of(store, EDGE_VERSION_LOGGED_BY, v->id));
	json_object_set_new(root, "consumers", runs_of(store, EDGE_VERSION_USED_BY, v->id));
	json_object_set_new(root, "unseen_opens", json_number(unseen));
	err = json_add_references(store, v->id, root);
	if (err == 0)
		err = json_add_damage(store, v, root);
	json_finish(root, ret);
	return err;
}

static void add_stat(void *arg, const char *name, uint64_t n)
{
	json_object_set_new(arg, name, json_number(n));
}

static json_t *events_of(struct store *store)
{
	json_t *events = json_object();
	struct journal_head head;

	journal_end(store, &head);
	json_object_set_new(events, "count", json_number(head.count));
	json_object_set_new(events, "bytes", json_number(head.bytes));
	json_object_set_new(events, "head",
			    head.count ? json_digest(&head.digest) : json_null());
	json_object_set_new(events, "broken", json_boolean(head.broken));
	if (head.broken)
		json_object_set_new(events, "broken_since", json_number(head.broken));
	return events;
}

static json_t *scrub_of(struct store *store)
{
	json_t *scrub = json_object();
	struct scrub_state state = { 0 };

	scrub_state(store, &state);
	json_object_set_new(scrub, "bytes_a_second", json_number(store->options.scrub_bytes));
	json_object_set_new(scrub, "round_started_at", json_time(state.started));
	json_object_set_new(scrub, "round_ended_at", json_time(state.ended));
	json_object_set_new(scrub, "round_bytes", json_number(state.bytes));
	return scrub;
}

int document_status(struct store *store, struct buf *ret)
{
	json_t *root = json_object(), *kv = json_object(), *graph = json_object();
	struct statvfs disk;

	json_object_set_new(root, "version", json_string(LINEAGEFS_VERSION));
	json_object_set_new(root, "schema", json_number(STORE_SCHEMA));
	json_object_set_new(root, "store", json_string(store->path));
	json_object_set_new(root, "store_id", json_string(store->id));
	json_object_set_new(root, "pid", json_number((uint64_t)getpid()));
	json_object_set_new(root, "started_at", json_time(store->opened_at * 1000000000));
	if (fstatvfs(store->drafts, &disk) == 0) {
		json_object_set_new(root, "disk_free_bytes",
				    json_number((uint64_t)disk.f_bavail * disk.f_frsize));
		json_object_set_new(root, "disk_total_bytes",
				    json_number((uint64_t)disk.f_blocks * disk.f_frsize));
	}
	json_object_set_new(root, "passthrough", json_boolean(store->passthrough));
	if (store->no_passthrough_because)
		json_object_set_new(root, "no_passthrough_because",
				    json_string(store->no_passthrough_because));
	if (store->kv->ops->stats)
		store->kv->ops->stats(store->kv, add_stat, kv);
	json_object_set_new(root, "key_value_store", kv);
	lineage_stats(store, add_stat, graph);
	json_object_set_new(root, "lineage_graph", graph);
	json_object_set_new(root, "events", events_of(store));
	json_object_set_new(root, "damaged_blobs", json_number(damage_count(store)));
	json_object_set_new(root, "scrub", scrub_of(store));
	json_finish(root, ret);
	return 0;
}

int document_store_id(struct slice status, struct buf *ret)
{
	json_t *root = json_loadb(status.data ? status.data : "", status.len, 0, NULL);
	const char *id = json_string_value(json_object_get(root, "store_id"));

	if (id)
		buf_add_str(ret, id);
	json_decref(root);
	return id ? 0 : -EINVAL;
}
