/*
 * text.h - texts that people write about things: how long they may be, and the event of their
 * change.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "event.h"

/* Bytes. */
#define TEXT_NOTE_MAX (64u << 10) /* a description, notes */
#define TEXT_JSON_MAX (1u << 20)

/* What JSON is that was never written. */
#define TEXT_JSON_NONE "{}\n"

/* Of a run, or of object; all is borrowed. */
struct text_change {
	const char *what; /* "description", "metadata.json", ... */
	const char *run;
	const char *object;
	uint32_t version; /* as in struct event */
	struct slice from, to;
	bool line; /* a newline is added where they are read, unless they are empty */
};

/*
 * In the transaction that writes the text, which has to be another one. The digests in the event
 * are those of what one reads.
 */
int text_changed(struct kv_txn *txn, struct store *store, const struct text_change *change);

#endif
