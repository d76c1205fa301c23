/*
 * document_openlineage.c - the runs of a lineage graph as events of OpenLineage (schema 2-0-2), one
 * a line, in the order in which they happened: START, and once the run has ended COMPLETE, FAIL
 * (failed) or ABORT (crashed). What a run used and logged stands in the last of its events.
 *
 * A dataset is a collection, its version is a facet; what no standard facet has a field for (the
 * digest, the name of the run) is a tag. Edges between runs, for drafts that were read, are not
 * there: OpenLineage has no dataset for them.
 */
#include "document_private.h"

#include "graph.h"
#include "launch.h"
#include "run_note.h"

#include <ctype.h>

#define SPEC "https://openlineage.io/spec/"
/* Where it comes from, as a package URL. */
#define PRODUCER "pkg:generic/lineagefs@" LINEAGEFS_VERSION

struct event {
	uint64_t time;
	uint32_t run; /* its place in the graph */
	bool end;
};

struct writer {
	struct store *store;
	const struct graph *graph;
	struct buf *out;
	char *namespace;
	/* The edges of each run, places in the graph's edges: from first[run] to first[run + 1]. */
	uint32_t *first, *edges;
	struct event *events;
	size_t event_count;
};

static void writer_release(struct writer *w)
{
	free(w->namespace);
	free(w->first);
	free(w->edges);
	free(w->events);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void write_line(struct writer *w, json_t *event)
{
	char *text = json_dumps(event, JSON_COMPACT);

	buf_add_str(w->out, text ? text : "{}");
	buf_add_char(w->out, '\n');
	free(text);
	json_decref(event);
}

/* ---- facets ---- */

static json_t *facet(const char *version, const char *name)
{
	json_t *f = json_object();

	set_text(f, "_producer", PRODUCER);
	json_object_set_new(f, "_schemaURL",
			    json_sprintf(SPEC "facets/%s/%s.json#/$defs/%s", version, name, name));
	return f;
}

static void add_tag(json_t *tags, const char *key, const char *value, const char *source)
{
	json_array_append_new(tags, json_pack("{s:s,s:s,s:s}", "key", key, "value", value,
					      "source", source));
}

static json_t *tags_facet(const char *name, json_t *tags)
{
	json_t *f = facet("1-0-0", name);

	json_object_set_new(f, "tags", tags);
	return f;
}

/* What names a run or version for ever, and everywhere, hashed. */
static void hash_id(const struct store *store, const char *what, uint32_t id, struct digest *ret)
{
	autofree char *text = xasprintf("lineagefs %s %s %u", what, store->id, id);

	digest_of(slice_str(text), ret);
}

/* A UUID of version 8 (RFC 9562). */
static json_t *run_uuid(const struct store *store, uint32_t run)
{
	char hex[DIGEST_HEX_SIZE + 1];
	struct digest d;

	hash_id(store, "run", run, &d);
	d.bytes[6] = (uint8_t)(0x80 | (d.bytes[6] & 0x0f));
	d.bytes[8] = (uint8_t)(0x80 | (d.bytes[8] & 0x3f));
	digest_to_hex(&d, hex);
	return json_sprintf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
			    hex + 20);
}

static json_t *job_of(const struct writer *w, const struct run *run)
{
	return json_pack("{s:s,s:s}", "namespace", w->namespace, "name",
			 run->job_type[0] ? run->job_type : run->name);
}

static json_t *parent_facet(const struct writer *w, uint32_t id)
{
	AUTO(run_release) struct run parent = { 0 };
	json_t *f;

	if (id == 0 || run_get(w->store, id, &parent) < 0)
		return NULL;
	f = facet("1-1-0", "ParentRunFacet");
	json_object_set_new(f, "run", json_pack("{s:o}", "runId", run_uuid(w->store, id)));
	json_object_set_new(f, "job", job_of(w, &parent));
	return f;
}

static json_t *error_facet(const struct run *run)
{
	AUTO(buf_release) struct buf message = BUF_INIT, signal = BUF_INIT;
	json_t *f = facet("1-0-1", "ErrorMessageRunFacet");

	if (run->reason && run->reason[0]) {
		buf_add_str(&message, run->reason);
	} else if (run->signal) {
		run_signal_name(run->signal, &signal);
		buf_printf(&message, "killed by %s", buf_str(&signal));
	} else if (run->has_exit_code) {
		buf_printf(&message, "exit code %d", run->exit_code);
	} else {
		buf_add_str(&message, run_state_name(run->state));
	}
	set_text(f, "message", buf_str(&message));
	/* The facet must have it. */
	set_text(f, "programmingLanguage", "UNKNOWN");
	return f;
}

static json_t *run_tags_facet(const struct writer *w, const struct run *run,
			      const struct launch *launch)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	json_t *tags = json_array();
	struct tag tag;

	add_tag(tags, "run", run->name, "lineagefs");
	if (launch->dirty == LAUNCH_DIRTY)
		add_tag(tags, "git_dirty", "true", "lineagefs");
	while (run_tag_next(w->store, run->id, buf_slice(&name), &tag, &name) > 0)
		add_tag(tags, buf_str(&name), "true", "USER");
	return tags_facet("TagsRunFacet", tags);
}

/* What of a git remote can be a URI: with a scheme, host:path as ssh has it, an absolute path. */
static bool git_uri(const char *remote, struct buf *ret)
{
	const char *colon = strchr(remote, ':'), *slash = strchr(remote, '/');
	const char *path = remote;

	if (strstr(remote, "://")) {
		path = strchr(strstr(remote, "://") + 3, '/');
		path = path ? path : remote + strlen(remote);
		buf_add(ret, remote, (size_t)(path - remote));
	} else if (colon && (!slash || colon < slash)) {
		buf_printf(ret, "ssh://%.*s/", (int)(colon - remote), remote);
		path = colon[1] == '/' ? colon + 2 : colon + 1;
	} else if (remote[0] == '/') {
		buf_add_str(ret, "file://");
	} else {
		return false;
	}
	for (const char *p = buf_str(ret); *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("\"<>\\^`{|}", *p))
			return false;
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if ((isascii(c) && isalnum(c)) || strchr("-._~/?:@!$&'()*+,;=%", c))
			buf_add_char(ret, (char)c);
		else
			buf_printf(ret, "%%%02X", c);
	}
	return true;
}

static json_t *source_facet(const struct launch *launch)
{
	AUTO(buf_release) struct buf uri = BUF_INIT;
	json_t *f;

	if (!launch->commit || !launch->remote || !git_uri(launch->remote, &uri))
		return NULL;
	f = facet("1-0-1", "SourceCodeLocationJobFacet");
	set_text(f, "type", "git");
	set_text(f, "url", buf_str(&uri));
	set_text(f, "repoUrl", launch->remote);
	set_text(f, "version", launch->commit);
	return f;
}

static json_t *job_type_facet(const struct run *run)
{
	json_t *f = facet("2-0-3", "JobTypeJobFacet");

	set_text(f, "processingType", "BATCH");
	set_text(f, "integration", "LINEAGEFS");
	set_text(f, "jobType", run->job_type[0] ? run->job_type : "RUN");
	return f;
}

/* ---- datasets ---- */

static json_t *type_facet(const char *type)
{
	json_t *f = facet("1-0-0", "DatasetTypeDatasetFacet");

	set_text(f, "datasetType", strcmp(type, "model") ? "FILE" : "MODEL");
	if (type[0])
		set_text(f, "subType", type);
	return f;
}

static json_t *version_facets(const struct version *v, const struct collection *c, bool reproduced)
{
	json_t *facets = json_object(), *version = facet("1-0-1", "DatasetVersionDatasetFacet");
	json_t *tags = json_array(), *digest = json_digest(&v->digest);

	json_object_set_new(version, "datasetVersion", json_sprintf("v%u", v->number));
	add_tag(tags, "digest", json_string_value(digest), "lineagefs");
	json_decref(digest);
	/* Of now: no run dropped it, as the facet lifecycleStateChange would say. */
	if (v->removed)
		add_tag(tags, "state", version_state_name(v), "lineagefs");
	if (reproduced)
		add_tag(tags, "reproduced", "true", "lineagefs");
	json_object_set_new(facets, "version", version);
	json_object_set_new(facets, "datasetType", type_facet(c->type));
	json_object_set_new(facets, "tags", tags_facet("TagsDatasetFacet", tags));
	return facets;
}

static json_t *statistics_facets(const struct version *v)
{
	json_t *f = facet("1-0-2", "OutputStatisticsOutputDatasetFacet");

	json_object_set_new(f, "size", json_number(v->bytes));
	json_object_set_new(f, "fileCount", json_number(v->files));
	return json_pack("{s:o}", "outputStatistics", f);
}

/* The same in every document, so that those who collect them see one dataset. */
static json_t *private_name(const struct store *store, uint32_t version)
{
	char hex[DIGEST_HEX_SIZE + 1];
	struct digest d;

	hash_id(store, "version", version, &d);
	digest_to_hex(&d, hex);
	return json_sprintf("private-%.12s", hex);
}

/* The version at a place in the graph. */
static int dataset(const struct writer *w, uint32_t place, enum graph_edge_kind kind, json_t **ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	json_t *item;
	int err = version_get_by_id(w->store, w->graph->nodes[place].node.id, &v);

	if (err == 0)
		err = collection_get(w->store, v.collection, &c);
	if (err < 0)
		return err;
	item = json_object();
	set_text(item, "namespace", w->namespace);
	if (json_is_public(v.mode)) {
		set_text(item, "name", c.name);
		json_object_set_new(item, "facets",
				    version_facets(&v, &c, kind == GRAPH_REPRODUCED));
		if (kind != GRAPH_USED)
			json_object_set_new(item, "outputFacets", statistics_facets(&v));
	} else {
		json_object_set_new(item, "name", private_name(w->store, v.id));
	}
	*ret = item;
	return 0;
}

static int add_datasets(const struct writer *w, uint32_t run, json_t *inputs, json_t *outputs)
{
	for (uint32_t i = w->first[run]; i < w->first[run + 1]; i++) {
		const struct graph_edge *e = &w->graph->edges[w->edges[i]];
		bool used = e->kind == GRAPH_USED;
		json_t *item;
		int err = dataset(w, used ? e->from : e->to, e->kind, &item);

		if (err == 0)
			json_array_append_new(used ? inputs : outputs, item);
		else if (err != -ENOENT)
			return err;
	}
	return 0;
}

/* ---- events ---- */

static const char *event_type(const struct event *event, const struct run *run)
{
	if (!event->end)
		return "START";
	switch (run->state) {
	case RUN_FAILED:
		return "FAIL";
	case RUN_CRASHED:
		return "ABORT";
	default:
		return "COMPLETE";
	}
}

static void set_facet(json_t *facets, const char *name, json_t *value)
{
	if (value)
		json_object_set_new(facets, name, value);
}

static json_t *event_run(const struct writer *w, const struct event *event, const struct run *run,
			 const struct launch *launch)
{
	json_t *facets = json_object();

	set_facet(facets, "parent", parent_facet(w, run->parent));
	set_facet(facets, "tags", run_tags_facet(w, run, launch));
	if (event->end && run->state != RUN_FINISHED)
		set_facet(facets, "errorMessage", error_facet(run));
	return json_pack("{s:o,s:o}", "runId", run_uuid(w->store, run->id), "facets", facets);
}

static json_t *event_job(const struct writer *w, const struct run *run,
			 const struct launch *launch)
{
	json_t *job = job_of(w, run), *facets = json_object();

	set_facet(facets, "jobType", job_type_facet(run));
	set_facet(facets, "sourceCodeLocation", source_facet(launch));
	json_object_set_new(job, "facets", facets);
	return job;
}

static int write_event(struct writer *w, const struct event *event)
{
	AUTO(launch_release) struct launch launch = { 0 };
	AUTO(run_release) struct run run = { 0 };
	AUTO(buf_release) struct buf metadata = BUF_INIT;
	json_t *item, *inputs = json_array(), *outputs = json_array();
	int err = run_get(w->store, w->graph->nodes[event->run].node.id, &run);

	if (err == 0)
		err = run_text_read(w->store, run.id, RUN_METADATA, &metadata);
	/* It goes on or was resumed meanwhile: then its end is not to be told of. */
	if (err == 0 && event->end && run.state == RUN_RUNNING)
		err = -ENOENT;
	if (err == 0 && (event->end || run.state == RUN_RUNNING))
		err = add_datasets(w, event->run, inputs, outputs);
	if (err < 0) {
		json_decref(inputs);
		json_decref(outputs);
		return err == -ENOENT ? 0 : err;
	}
	launch_decode(buf_slice(&metadata), &launch);
	item = json_object();
	set_text(item, "eventType", event_type(event, &run));
	json_object_set_new(item, "eventTime", json_time(event->time));
	json_object_set_new(item, "run", event_run(w, event, &run, &launch));
	json_object_set_new(item, "job", event_job(w, &run, &launch));
	json_object_set_new(item, "inputs", inputs);
	json_object_set_new(item, "outputs", outputs);
	set_text(item, "producer", PRODUCER);
	set_text(item, "schemaURL", SPEC "2-0-2/OpenLineage.json#/$defs/RunEvent");
	write_line(w, item);
	return 0;
}

/* No event of a run, since it is of none: what is known of a job of that name. */
static void write_truncated(struct writer *w)
{
	uint64_t time = w->event_count ? w->events[0].time : w->store->opened_at * 1000000000;
	json_t *f = facet("1-1-0", "DocumentationJobFacet"), *item = json_object();

	json_object_set_new(f, "description",
			    json_sprintf("TRUNCATED: cut at %zu nodes (option document_nodes)",
					 w->store->options.document_nodes));
	json_object_set_new(item, "eventTime", json_time(time));
	json_object_set_new(item, "job",
			    json_pack("{s:s,s:s,s:{s:o}}", "namespace", w->namespace, "name",
				      "TRUNCATED", "facets", "documentation", f));
	set_text(item, "producer", PRODUCER);
	set_text(item, "schemaURL", SPEC "2-0-2/OpenLineage.json#/$defs/JobEvent");
	write_line(w, item);
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	return x->end - y->end;
}

static int collect_events(struct writer *w)
{
	size_t count = w->graph->run_count;

	w->events = xcalloc(2 * count + 1, sizeof(*w->events));
	for (uint32_t i = 0; i < count; i++) {
		AUTO(run_release) struct run run = { 0 };
		int err = run_get(w->store, w->graph->nodes[i].node.id, &run);

		if (err == -ENOENT)
			continue;
		if (err < 0)
			return err;
		w->events[w->event_count++] = (struct event){ run.created, i, false };
		if (run.state == RUN_RUNNING)
			continue;
		/* Clocks go back; ends still come after starts. */
		w->events[w->event_count++] = (struct event){
			run.ended > run.created ? run.ended : run.created, i, true,
		};
	}
	if (w->event_count)
		qsort(w->events, w->event_count, sizeof(*w->events), by_time);
	return 0;
}

/* The place of the run that an edge to or from a version is of; -1: it is between runs. */
static int64_t run_of_edge(const struct graph_edge *e)
{
	if (e->kind == GRAPH_READ_DRAFT)
		return -1;
	return e->kind == GRAPH_USED ? e->to : e->from;
}

static void sort_edges(struct writer *w)
{
	const struct graph *g = w->graph;

	w->first = xcalloc(g->run_count + 2, sizeof(*w->first));
	w->edges = xcalloc(g->edge_count + 1, sizeof(*w->edges));
	/* Counted two places on and added up: then one place on is where a run's next one goes. */
	for (size_t i = 0; i < g->edge_count; i++)
		if (run_of_edge(&g->edges[i]) >= 0)
			w->first[run_of_edge(&g->edges[i]) + 2]++;
	for (size_t i = 2; i < g->run_count + 2; i++)
		w->first[i] += w->first[i - 1];
	for (size_t i = 0; i < g->edge_count; i++)
		if (run_of_edge(&g->edges[i]) >= 0)
			w->edges[w->first[run_of_edge(&g->edges[i]) + 1]++] = (uint32_t)i;
}

int document_openlineage(struct store *store, const struct lineage_node *of, struct buf *ret)
{
	AUTO(graph_release) struct graph graph = GRAPH_INIT;
	AUTO(writer_release) struct writer w = { .store = store, .graph = &graph, .out = ret };
	int err = graph_collect(store, of, &graph);

	if (err < 0)
		return err;
	w.namespace = xasprintf("lineagefs://%s", store->id);
	sort_edges(&w);
	err = collect_events(&w);
	if (err == 0 && graph.truncated)
		write_truncated(&w);
	for (size_t i = 0; err == 0 && i < w.event_count; i++)
		err = write_event(&w, &w.events[i]);
	return err;
}
