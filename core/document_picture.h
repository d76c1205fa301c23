/*
 * document_picture.h - graph.json read back, for commands that see the graph through the mount.
 */
#ifndef CORE_DOCUMENT_PICTURE_H
#define CORE_DOCUMENT_PICTURE_H

#include "buf.h"

/* Everything is borrowed from the picture. */
struct picture_node {
	const char *id;
	const char *type; /* a run's: its job type; "": none */
	const char *state;
	bool run;
	bool private; /* its id is no name */
	const void *json;
};

enum picture_edge_kind { PICTURE_USED, PICTURE_LOGGED, PICTURE_REPRODUCED, PICTURE_READ_DRAFT };

/* In the direction in which things flow. */
struct picture_edge {
	enum picture_edge_kind kind;
	uint32_t from, to; /* places in nodes */
	const void *json;
};

struct picture {
	struct picture_node *nodes;
	size_t node_count;
	struct picture_edge *edges; /* in the order of their commits */
	size_t edge_count;
	uint32_t root;
	const char *truncated; /* says so; NULL: it is whole */
	void *json;	       /* owned */
};

#define PICTURE_INIT ((struct picture){ 0 })

/* -EINVAL: not a graph.json of a node. */
int picture_parse(struct slice text, struct picture *ret);
void picture_release(struct picture *p);

/* The aliases of a node, with a comma and a blank between them; nothing when it has none. */
void picture_aliases(const struct picture_node *node, struct buf *ret);

/* Stands for a way over other artifacts that are not shown. */
struct picture_shortcut {
	uint32_t from, to;
	uint32_t others;
};

/*
 * The document with these nodes alone, keep[place]; the edges between them, or shortcuts in their
 * place if there are any given.
 */
void picture_write(const struct picture *p, const bool *keep,
		   const struct picture_shortcut *shortcuts, size_t count, struct buf *ret);

#endif
