/*
 * run_event.h - the events of runs and of their inputs (core/event.h), each in the transaction of
 * its change.
 */
#ifndef CORE_RUN_EVENT_H
#define CORE_RUN_EVENT_H

#include "event.h"
#include "run.h"

/*
 * EVENT_RUN_STARTED, _RESUMED, _REMOVED; EVENT_RUN_ENDED with the state and how, as the record says
 * them now.
 */
int run_event_put(struct kv_txn *txn, struct store *store, const struct run *run,
		  enum event_kind kind);

struct input_event {
	enum event_kind kind; /* EVENT_INPUT, _REMOVED, _RENAMED */
	const char *how;      /* "declared", "observed" */
	struct slice role, new_role;
	const char *path;     /* below files/, from its slash on */
	uint32_t version;
};

int input_event_put(struct kv_txn *txn, struct store *store, const struct run *run,
		    const struct input_event *event);

#endif
