/*
 * document_event.h - the lines of the journal, /events.ndjson: each is compact JSON and a newline,
 * and has the hash of the line before it. README.md has the fields.
 */
#ifndef CORE_DOCUMENT_EVENT_H
#define CORE_DOCUMENT_EVENT_H

#include "event.h"

/* Of whom the last line was: names are looked up once for many lines. */
struct event_user {
	bool known;
	uid_t uid;
	char *name; /* NULL: there is none */
};

void event_user_release(struct event_user *user);

/*
 * Adds the line of an event; prev: the hash of the line before, or zeros. What the row of an event
 * says is added in hexadecimal if it cannot be understood. Its time, ns.
 */
uint64_t document_event(struct slice row, uint64_t number, const struct digest *prev,
		    struct event_user *user, struct buf *ret);

/* -EINVAL: it is no such line, with its newline; why then says what is wrong with it. */
int document_event_read(struct slice line, uint64_t *ret_number, struct digest *ret_prev,
			struct buf *why);

/* What a _status.json says of the journal. -EINVAL. */
struct journal_head;
int document_event_head(struct slice status, struct journal_head *ret);

#endif
