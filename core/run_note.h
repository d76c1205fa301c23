/*
 * run_note.h - what people say of a run, beside what it does: its job type, its tags, and two JSON
 * texts: config.json, its parameters, and metadata.json, how it was started.
 *
 * This module keeps the texts as they were written; core/document.h says whether they are JSON.
 */
#ifndef CORE_RUN_NOTE_H
#define CORE_RUN_NOTE_H

#include "run.h"

enum run_json { RUN_CONFIG, RUN_METADATA };

/* A name, or empty: none; blanks at its ends do not count. -EINVAL. Also after the end. */
int run_set_job_type(struct store *store, uint32_t id, struct slice text);

/* Adds the text to ret; nothing when it was never written. */
int run_json_read(struct store *store, uint32_t id, enum run_json which, struct buf *ret);
/* -EROFS: the run has finished. */
int run_json_write(struct store *store, uint32_t id, enum run_json which, struct slice text);

/* -EINVAL bad name, -EEXIST. Tags come and go also after the end. */
int run_tag_add(struct store *store, uint32_t id, struct slice tag);
int run_tag_remove(struct store *store, uint32_t id, struct slice tag); /* -ENOENT */
int run_tag_find(struct store *store, uint32_t id, struct slice tag, struct tag *ret);
/* The first tag greater than after: 1, 0, -errno. */
int run_tag_next(struct store *store, uint32_t id, struct slice after, struct tag *ret,
		 struct buf *ret_name);

#endif
