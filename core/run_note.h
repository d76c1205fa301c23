/*
 * run_note.h - what people say of a run, beside what it does: its job type, its tags, and texts:
 * config.json, its parameters, metadata.json, how it was started, summary.json, what came out of
 * it, and notes. Every change has its event.
 *
 * This module keeps the texts as they were written; core/document.h says whether they are JSON.
 */
#ifndef CORE_RUN_NOTE_H
#define CORE_RUN_NOTE_H

#include "run.h"

enum run_text { RUN_CONFIG, RUN_METADATA, RUN_SUMMARY, RUN_NOTES };

/* A name, or empty: none; blanks at its ends do not count. -EINVAL. Also after the end. */
int run_set_job_type(struct store *store, uint32_t id, struct slice text);

/* Adds the text to ret; when it was never written, "{}" for JSON and nothing for notes. */
int run_text_read(struct store *store, uint32_t id, enum run_text which, struct buf *ret);
/*
 * -EFBIG: notes over 64 KiB, others over 1 MiB. -EROFS: the run has finished; not of summary.json
 * and notes.
 */
int run_text_write(struct store *store, uint32_t id, enum run_text which, struct slice text);

/* -EINVAL bad name, -EEXIST. Tags come and go also after the end. */
int run_tag_add(struct store *store, uint32_t id, struct slice tag);
int run_tag_remove(struct store *store, uint32_t id, struct slice tag); /* -ENOENT */
int run_tag_find(struct store *store, uint32_t id, struct slice tag, struct tag *ret);
/* The first tag greater than after: 1, 0, -errno. */
int run_tag_next(struct store *store, uint32_t id, struct slice after, struct tag *ret,
		 struct buf *ret_name);

#endif
