/*
 * version_note.h - what people say of a version: tags, a description and metadata.json. None of it
 * is part of the version's content, and all of it may be changed by who may write in the
 * collection.
 */
#ifndef CORE_VERSION_NOTE_H
#define CORE_VERSION_NOTE_H

#include "artifact.h"

/* In a transaction: the note of a version, empty if nothing was said yet. */
int version_note_read(struct kv_txn *txn, uint32_t version, struct version_note *ret);
int version_note_write(struct kv_txn *txn, uint32_t version, const struct version_note *note);

enum version_text { VERSION_DESCRIPTION, VERSION_METADATA };

/* Adds the text to ret; when it was never written, "{}" for metadata, else nothing. */
int version_text_read(struct store *store, uint32_t version, enum version_text which,
		      struct buf *ret);
/*
 * A trailing newline of a description is dropped. -EFBIG: a description over 64 KiB, metadata over
 * 1 MiB; -EINVAL: a description with a NUL in it. Whether metadata is JSON, core/document.h says.
 */
int version_text_write(struct store *store, uint32_t version, enum version_text which,
		       struct slice text);

/*
 * In a transaction: the tag, and the row that finds the version by it. -EEXIST, -EINVAL bad name.
 * label is the version's, for the event.
 */
int version_tag_put(struct kv_txn *txn, struct store *store, uint32_t version, const char *label,
		    struct slice tag);

/* -EINVAL bad name, -EEXIST. Also for what is in the trash; -ENOENT: no such version. */
int version_tag_add(struct store *store, uint32_t version, struct slice tag);
int version_tag_remove(struct store *store, uint32_t version, struct slice tag); /* -ENOENT */
int version_tag_find(struct store *store, uint32_t version, struct slice tag, struct tag *ret);
/* The first tag greater than after: 1, 0, -errno. */
int version_tag_next(struct store *store, uint32_t version, struct slice after, struct tag *ret,
		     struct buf *ret_name);

#endif
