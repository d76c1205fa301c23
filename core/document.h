/*
 * document.h - the JSON documents of the mount: info.json of versions and runs, _status.json; and
 * whether what people write is JSON. jansson is used by document*.c and launch.c alone. Field names
 * are W&B's where it has one. Every document ends with a newline.
 */
#ifndef CORE_DOCUMENT_H
#define CORE_DOCUMENT_H

#include "run.h"

int document_version(struct store *store, const struct version *v, struct buf *ret);
int document_run(struct store *store, const struct run *run, struct buf *ret);
int document_status(struct store *store, struct buf *ret);

/*
 * The lineage graph around a node, or of the whole store when of is NULL: graph.json, its format in
 * README.md; the same for Graphviz; its runs as events of OpenLineage, one a line. Versions that
 * not everybody may read have no name there. -ENOENT.
 */
struct lineage_node;
int document_graph(struct store *store, const struct lineage_node *of, struct buf *ret);
int document_dot(struct store *store, const struct lineage_node *of, struct buf *ret);
int document_openlineage(struct store *store, const struct lineage_node *of, struct buf *ret);

/* The id of the store that a _status.json is of. -EINVAL. */
int document_store_id(struct slice status, struct buf *ret);
/* How far the log under way is, in a run's info.json; false: there is none. */
bool document_progress(struct slice info, uint64_t *ret_files, uint64_t *ret_bytes);

/*
 * Is a text JSON, and an object if it has to be? 0; -EINVAL: no; -EAGAIN: no, but it may be the
 * start of one. why then says where and what.
 */
int document_check(struct slice text, bool object, struct buf *why);

#endif
