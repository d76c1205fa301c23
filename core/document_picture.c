#include "document_picture.h"

#include <errno.h>
#include <jansson.h>

static const char *const kind_words[] = {
	[PICTURE_USED] = "used",
	[PICTURE_LOGGED] = "logged",
	[PICTURE_REPRODUCED] = "reproduced",
	[PICTURE_READ_DRAFT] = "read_draft",
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int parse_nodes(struct picture *p, const json_t *nodes, json_t *places)
{
	p->nodes = xcalloc(json_array_size(nodes) + 1, sizeof(*p->nodes));
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *item = json_array_get(nodes, i);
		bool run = !strcmp(text_of(item, "kind"), "run");

		if (!text_of(item, "id")[0])
			return -EINVAL;
		p->nodes[p->node_count++] = (struct picture_node){
			.id = text_of(item, "id"),
			.type = text_of(item, run ? "job_type" : "type"),
			.state = text_of(item, "state"),
			.run = run,
			.private = json_is_true(json_object_get(item, "private")),
			.json = item,
		};
		json_object_set_new(places, text_of(item, "id"), json_integer((json_int_t)i));
	}
	return 0;
}

static bool find_place(const json_t *places, const char *id, uint32_t *ret)
{
	const json_t *place = json_object_get(places, id);

	if (place)
		*ret = (uint32_t)json_integer_value(place);
	return place;
}

static int parse_edges(struct picture *p, const json_t *edges, const json_t *places)
{
	p->edges = xcalloc(json_array_size(edges) + 1, sizeof(*p->edges));
	for (size_t i = 0; i < json_array_size(edges); i++) {
		const json_t *item = json_array_get(edges, i);
		struct picture_edge edge = { .json = item };
		const char *kind = text_of(item, "kind");
		size_t k = 0;

		while (k < ARRAY_SIZE(kind_words) && strcmp(kind, kind_words[k]) != 0)
			k++;
		/* A kind that a later version may have. */
		if (k == ARRAY_SIZE(kind_words))
			continue;
		edge.kind = (enum picture_edge_kind)k;
		if (!find_place(places, text_of(item, "from"), &edge.from) ||
		    !find_place(places, text_of(item, "to"), &edge.to))
			return -EINVAL;
		p->edges[p->edge_count++] = edge;
	}
	return 0;
}

int picture_parse(struct slice text, struct picture *ret)
{
	json_t *root = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
	struct picture p = { .json = root };
	json_t *places = json_object();
	const char *truncated = text_of(root, "truncated");
	int err = parse_nodes(&p, json_object_get(root, "nodes"), places);

	if (err == 0)
		err = parse_edges(&p, json_object_get(root, "edges"), places);
	if (err == 0 && !find_place(places, text_of(root, "root"), &p.root))
		err = -EINVAL;
	json_decref(places);
	if (err < 0) {
		picture_release(&p);
		return err;
	}
	p.truncated = truncated[0] ? truncated : NULL;
	*ret = p;
	return 0;
}

void picture_release(struct picture *p)
{
	free(p->nodes);
	free(p->edges);
	json_decref(p->json);
	*p = PICTURE_INIT;
}

void picture_aliases(const struct picture_node *node, struct buf *ret)
{
	const json_t *list = json_object_get(node->json, "aliases");

	for (size_t i = 0; i < json_array_size(list); i++)
		buf_printf(ret, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
}

static void write_value(const json_t *value, const char *before, struct buf *ret)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	buf_add_str(ret, before);
	buf_add_str(ret, text ? text : "null");
	free(text);
}

static void write_edges(const struct picture *p, const bool *keep, struct buf *ret)
{
	const char *before = "\n  ";

	for (size_t i = 0; i < p->edge_count; i++) {
		const struct picture_edge *e = &p->edges[i];

		if (!keep[e->from] || !keep[e->to])
			continue;
		write_value(e->json, before, ret);
		before = ",\n  ";
	}
}

static void write_shortcuts(const struct picture *p, const struct picture_shortcut *list,
			    size_t count, struct buf *ret)
{
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_pack("{s:s,s:s,s:s,s:I}", "from", p->nodes[list[i].from].id,
					 "to", p->nodes[list[i].to].id, "kind", "between",
					 "others", (json_int_t)list[i].others);

		write_value(item, i ? ",\n  " : "\n  ", ret);
		json_decref(item);
	}
}

void picture_write(const struct picture *p, const bool *keep,
		   const struct picture_shortcut *shortcuts, size_t count, struct buf *ret)
{
	static const char *const members[] = { "format", "root", "store", "truncated" };
	const char *before = "\n  ";

	buf_add_str(ret, "{\n");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		buf_printf(ret, " \"%s\": ", members[i]);
		write_value(json_object_get(p->json, members[i]), "", ret);
		buf_add_str(ret, ",\n");
	}
	buf_add_str(ret, " \"nodes\": [");
	for (size_t i = 0; i < p->node_count; i++) {
		if (!keep[i])
			continue;
		write_value(p->nodes[i].json, before, ret);
		before = ",\n  ";
	}
	buf_add_str(ret, "\n ],\n \"edges\": [");
	if (shortcuts)
		write_shortcuts(p, shortcuts, count, ret);
	else
		write_edges(p, keep, ret);
	buf_add_str(ret, "\n ]\n}\n");
}
