/*
 * document.h - the JSON documents of the mount: info.json of versions and runs, _status.json. The
 * only user of jansson. Field names are W&B's where it has one. Every document ends with a newline.
 */
#ifndef CORE_DOCUMENT_H
#define CORE_DOCUMENT_H

#include "run.h"

int document_version(struct store *store, const struct version *v, struct buf *ret);
int document_run(struct store *store, const struct run *run, struct buf *ret);
int document_status(struct store *store, struct buf *ret);

#endif
