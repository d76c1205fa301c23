/*
 * event.h - changes, one by one: who did what, when, to what. An event is a row in the transaction
 * of its change, so there is no change without its event, and none that did not happen; no two
 * changes share a key, so they do not wait for each other. The journal (core/journal.h) takes the
 * rows afterwards, in the order of their numbers, and chains them.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "codec.h"
#include "store.h"

enum event_kind {
	EVENT_RUN_STARTED,   /* parent */
	EVENT_RUN_ENDED,     /* state, exit_code, signal, reason */
	EVENT_RUN_RESUMED,
	EVENT_RUN_REMOVED,
	EVENT_LOGGED,	     /* digest, files, size */
	EVENT_LOGGED_EQUAL,  /* digest */
	EVENT_INPUT,	     /* how: declared or observed, role, path */
	EVENT_INPUT_REMOVED, /* role */
	EVENT_INPUT_RENAMED, /* role, new_role */
	EVENT_PEEKED,	     /* of: the run whose draft was read */
	EVENT_ALIAS,	     /* alias, from and to: versions; no from: made, no to: removed */
	EVENT_TAGGED,	     /* tag */
	EVENT_UNTAGGED,	     /* tag */
	EVENT_TEXT,	     /* what: description, type, ...; from and to: digests, or a type */
	EVENT_OWNER,	     /* owner, group, mode */
	EVENT_COLLECTION_MADE,
	EVENT_COLLECTION_REMOVED,
	EVENT_REMOVED,
	EVENT_RESTORED,
	EVENT_PURGED,	     /* digest */
	EVENT_DAMAGED,	     /* digest, size, reason: bytes that are bad (core/damage.h) */
	EVENT_HEALED,	     /* digest, size */
	EVENT_KINDS
};

/* "run_started", ...: what the journal calls it. NULL: no such kind. */
const char *event_kind_name(enum event_kind kind);

#define EVENT_DETAILS 6

/* All strings are borrowed. */
struct event {
	enum event_kind kind;
	const char *run;     /* its name; NULL: none */
	const char *object;  /* "model:v3", "model", or NULL: the run itself */
	uint32_t version;    /* its id, if the object is one that may be private; else 0 */
	struct event_detail {
		const char *name; /* a constant; NULL ends the list */
		const char *value; /* NULL: left out */
	} details[EVENT_DETAILS];
};

/*
 * Who makes the changes of this thread: set around every request by fs/vfs.c. By default it is the
 * daemon itself, that is its own threads.
 */
struct actor {
	uid_t uid;
	pid_t pid; /* as the daemon sees it; 0: not visible */
};

/* Returns what was set before. */
struct actor actor_set(struct actor actor);
struct actor actor_get(void);

/* In the transaction of the change. Its time is now. */
int event_put(struct kv_txn *txn, struct store *store, const struct event *event);
/* EVENT_OWNER: of a run, or of an object. */
int event_put_owner(struct kv_txn *txn, struct store *store, const char *run, const char *object,
		    uid_t uid, gid_t gid, mode_t mode);

/* An event as its row has it; details in one array of name, value, name, value. */
struct event_record {
	enum event_kind kind;
	uint64_t time;
	struct actor actor;
	uint32_t version;
	char *run, *object; /* "" for none */
	char *details[2 * EVENT_DETAILS];
	size_t detail_count; /* pairs */
};

void event_record_release(struct event_record *r);
/* -EIO. */
int event_decode(struct slice s, struct event_record *ret);

#endif
