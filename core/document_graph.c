/*
 * document_graph.c - the lineage graph as JSON and in Graphviz's language. The format of graph.json
 * is described in README.md. Nodes and edges are written one by one: a document of a
 * hundred thousand nodes is no tree of a hundred thousand objects first.
 */
#include "document_private.h"

#include "graph.h"
#include "run_note.h"

struct writer {
	struct store *store;
	const struct graph *graph;
	struct buf *out;
	char **names; /* of the nodes; owned */
	bool first;   /* of an array */
};

static void add_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text ? text : ""));
}

/* Writes a value, and frees it. In a page "</script>" must not occur, so no "<" does. */
static void write_value(struct writer *w, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	for (const char *p = text ? text : "null"; *p; p++) {
		if (*p == '<')
			buf_add_str(w->out, "\\u003c");
		else
			buf_add_char(w->out, *p);
	}
	free(text);
	json_decref(value);
}

static void write_item(struct writer *w, json_t *item)
{
	buf_add_str(w->out, w->first ? "\n  " : ",\n  ");
	w->first = false;
	write_value(w, item);
}

static json_t *private_node(struct writer *w, size_t i, const char *kind)
{
	json_t *item = json_object();

	w->names[i] = xasprintf("private-%zu", i);
	add_text(item, "id", w->names[i]);
	add_text(item, "kind", kind);
	json_object_set_new(item, "private", json_true());
	return item;
}

static int run_node(struct writer *w, size_t i, json_t **ret)
{
	AUTO(run_release) struct run run = { 0 };
	AUTO(buf_release) struct buf tag = BUF_INIT;
	struct tag row;
	json_t *item, *tags = json_array();
	int err = run_get(w->store, w->graph->nodes[i].node.id, &run);

	if (err < 0) {
		json_decref(tags);
		return err;
	}
	while (run_tag_next(w->store, run.id, buf_slice(&tag), &row, &tag) > 0)
		json_array_append_new(tags, json_string(buf_str(&tag)));
	item = json_object();
	w->names[i] = xstrdup(run.name);
	add_text(item, "id", run.name);
	add_text(item, "kind", "run");
	add_text(item, "job_type", run.job_type);
	add_text(item, "state", run_state_name(run.state));
	json_object_set_new(item, "created_at", json_time(run.created));
	json_object_set_new(item, "ended_at", json_time(run.ended));
	json_object_set_new(item, "user", json_user(run.uid));
	json_object_set_new(item, "tags", tags);
	*ret = item;
	return 0;
}

static int version_node(struct writer *w, size_t i, json_t **ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf label = BUF_INIT;
	struct version v;
	json_t *item;
	int err = version_get_by_id(w->store, w->graph->nodes[i].node.id, &v);

	if (err == 0)
		err = collection_get(w->store, v.collection, &c);
	if (err < 0)
		return err;
	if (!json_is_public(v.mode)) {
		*ret = private_node(w, i, "artifact");
		return 0;
	}
	version_label(&label, c.name, v.number);
	item = json_object();
	w->names[i] = xstrdup(buf_str(&label));
	add_text(item, "id", buf_str(&label));
	add_text(item, "kind", "artifact");
	add_text(item, "name", c.name);
	json_object_set_new(item, "version", json_sprintf("v%u", v.number));
	add_text(item, "type", c.type);
	json_object_set_new(item, "created_at", json_time(v.created));
	json_object_set_new(item, "size", json_number(v.bytes));
	json_object_set_new(item, "files", json_number(v.files));
	json_object_set_new(item, "digest", json_digest(&v.digest));
	json_object_set_new(item, "aliases", json_aliases(w->store, &c, &v));
	json_object_set_new(item, "tags", json_tags(w->store, v.id));
	add_text(item, "state", version_state_name(&v));
	*ret = item;
	return 0;
}

static int write_nodes(struct writer *w)
{
	buf_add_str(w->out, " \"nodes\": [");
	w->first = true;
	for (size_t i = 0; i < w->graph->node_count; i++) {
		const struct graph_node *n = &w->graph->nodes[i];
		json_t *item = NULL;
		int err = n->node.kind == LINEAGE_RUN ? run_node(w, i, &item) :
							version_node(w, i, &item);

		/* It went meanwhile. */
		if (err == -ENOENT)
			continue;
		if (err < 0)
			return err;
		json_object_set_new(item, "level", json_integer(n->level));
		write_item(w, item);
	}
	buf_add_str(w->out, "\n ],\n");
	return 0;
}

static const char *const edge_words[] = {
	[GRAPH_USED] = "used",
	[GRAPH_LOGGED] = "logged",
	[GRAPH_REPRODUCED] = "reproduced",
	[GRAPH_READ_DRAFT] = "read_draft",
};

static void write_edges(struct writer *w)
{
	buf_add_str(w->out, " \"edges\": [");
	w->first = true;
	for (size_t i = 0; i < w->graph->edge_count; i++) {
		const struct graph_edge *e = &w->graph->edges[i];
		json_t *item;

		if (!w->names[e->from] || !w->names[e->to])
			continue;
		item = json_object();
		add_text(item, "from", w->names[e->from]);
		add_text(item, "to", w->names[e->to]);
		add_text(item, "kind", edge_words[e->kind]);
		json_object_set_new(item, "seq", json_number(e->sequence));
		if (e->kind == GRAPH_USED)
			json_object_set_new(item, "roles",
					    json_roles(w->store, w->graph->nodes[e->to].node.id,
						       w->graph->nodes[e->from].node.id));
		write_item(w, item);
	}
	buf_add_str(w->out, "\n ]\n");
}

static void write_member(struct writer *w, const char *key, json_t *value)
{
	buf_printf(w->out, " \"%s\": ", key);
	write_value(w, value);
	buf_add_str(w->out, ",\n");
}

static void release_names(struct writer *w)
{
	for (size_t i = 0; i < w->graph->node_count; i++)
		free(w->names[i]);
	free(w->names);
}

/* The place of the node that the graph is of; -1: the graph is of a whole store. */
static int64_t place_of_root(const struct graph *g, const struct lineage_node *of)
{
	for (size_t i = 0; of && i < g->node_count; i++)
		if (g->nodes[i].node.kind == of->kind && g->nodes[i].node.id == of->id)
			return (int64_t)i;
	return -1;
}

static char *truncated_text(const struct store *store)
{
	return xasprintf("cut at %zu nodes (option document_nodes)", store->options.document_nodes);
}

int document_graph(struct store *store, const struct lineage_node *of, struct buf *ret)
{
	AUTO(graph_release) struct graph graph = GRAPH_INIT;
	AUTO(buf_release) struct buf nodes = BUF_INIT;
	struct writer w = { .store = store, .graph = &graph, .out = &nodes };
	autofree char *truncated = truncated_text(store);
	int64_t root;
	int err = graph_collect(store, of, &graph);

	if (err < 0)
		return err;
	w.names = xcalloc(graph.node_count + 1, sizeof(*w.names));
	/* First the nodes: they give the root its name. */
	err = write_nodes(&w);
	root = place_of_root(&graph, of);
	w.out = ret;
	if (err == 0) {
		buf_add_str(ret, "{\n");
		write_member(&w, "format", json_string("lineagefs-graph-1"));
		write_member(&w, "root", root < 0 || !w.names[root] ? json_null() :
								       json_string(w.names[root]));
		write_member(&w, "store", json_string(store->path));
		write_member(&w, "truncated",
			     graph.truncated ? json_string(truncated) : json_false());
		buf_add_slice(ret, buf_slice(&nodes));
		write_edges(&w);
		buf_add_str(ret, "}\n");
	}
	release_names(&w);
	return err;
}

/* ---- Graphviz ---- */

/* A quoted string of the language: a backslash begins an escape, "\n" is a new line. */
static void dot_string(struct buf *out, const char *type, const char *name)
{
	buf_add_char(out, '"');
	for (const char *part = type; part; part = part == type ? name : NULL) {
		for (const char *p = part; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, *p);
		}
		if (part == type && *type)
			buf_add_str(out, "\\n");
	}
	buf_add_char(out, '"');
}

static void dot_node(struct buf *out, size_t place, const char *type, const char *name,
		     const char *style, const char *colour)
{
	buf_printf(out, "\tn%zu [label=", place);
	dot_string(out, type, name);
	buf_printf(out, ", shape=box, style=\"%s\", fillcolor=\"%s\"];\n", style, colour);
}

static void dot_run(struct buf *out, size_t place, const struct run *run)
{
	dot_node(out, place, run->job_type, run->name, "filled", "#c8e6c9");
}

/* What is removed, or gone for good, is drawn with a dashed line. */
static void dot_version(struct buf *out, size_t place, const struct version *v,
			const struct collection *c)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	bool public = json_is_public(v->mode);

	if (public)
		version_label(&label, c->name, v->number);
	dot_node(out, place, public ? c->type : "", public ? buf_str(&label) : "private",
		 v->removed ? "filled,rounded,dashed" : "filled,rounded",
		 v->removed ? "#eceff1" : "#bbdefb");
}

/* Types and names are names, and need no escape; but who knows what a later version stores. */
static int dot_nodes(struct store *store, const struct graph *g, struct buf *out)
{
	for (size_t i = 0; i < g->node_count; i++) {
		AUTO(run_release) struct run run = { 0 };
		AUTO(collection_release) struct collection c = { 0 };
		struct version v;
		int err;

		if (g->nodes[i].node.kind == LINEAGE_RUN) {
			err = run_get(store, g->nodes[i].node.id, &run);
			if (err == 0)
				dot_run(out, i, &run);
		} else {
			err = version_get_by_id(store, g->nodes[i].node.id, &v);
			if (err == 0)
				err = collection_get(store, v.collection, &c);
			if (err == 0)
				dot_version(out, i, &v, &c);
		}
		if (err < 0 && err != -ENOENT)
			return err;
	}
	return 0;
}

int document_dot(struct store *store, const struct lineage_node *of, struct buf *ret)
{
	AUTO(graph_release) struct graph graph = GRAPH_INIT;
	int err = graph_collect(store, of, &graph);

	if (err < 0)
		return err;
	if (graph.truncated) {
		autofree char *text = truncated_text(store);

		buf_printf(ret, "// TRUNCATED: %s\n", text);
	}
	buf_add_str(ret, "digraph lineage {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n");
	err = dot_nodes(store, &graph, ret);
	for (size_t i = 0; i < graph.edge_count; i++) {
		const struct graph_edge *e = &graph.edges[i];
		bool dashed = e->kind == GRAPH_REPRODUCED || e->kind == GRAPH_READ_DRAFT;

		buf_printf(ret, "\tn%u -> n%u%s;\n", e->from, e->to,
			   dashed ? " [style=dashed]" : "");
	}
	buf_add_str(ret, "}\n");
	return err;
}
