#include "run_event.h"

#include <stdio.h>

/* How it ended, as far as that is known. */
struct ending {
	char code[16];
	struct buf signal;
};

static void put_started(const struct run *run, const struct run *parent, struct event *e)
{
	e->details[0] = (struct event_detail){ "parent", run->parent ? parent->name : NULL };
}

static void put_ended(const struct run *run, struct ending *ending, struct event *e)
{
	snprintf(ending->code, sizeof(ending->code), "%d", run->exit_code);
	if (run->signal)
		run_signal_name(run->signal, &ending->signal);
	e->details[0] = (struct event_detail){ "state", run_state_name(run->state) };
	e->details[1] = (struct event_detail){ "exit_code",
					       run->has_exit_code ? ending->code : NULL };
	e->details[2] = (struct event_detail){ "signal",
					       run->signal ? buf_str(&ending->signal) : NULL };
	e->details[3] = (struct event_detail){ "reason", run->reason[0] ? run->reason : NULL };
}

int run_event_put(struct kv_txn *txn, struct store *store, const struct run *run,
		  enum event_kind kind)
{
	AUTO(run_release) struct run parent = { 0 };
	struct ending ending = { .signal = BUF_INIT };
	struct event e = { .kind = kind, .run = run->name };
	int err = 0;

	if (kind == EVENT_RUN_STARTED) {
		if (run->parent)
			err = run_read(txn, run->parent, &parent);
		/* It may have been removed: then its child started without it. */
		if (err < 0 && err != -ENOENT)
			return err;
		put_started(run, &parent, &e);
	} else if (kind == EVENT_RUN_ENDED) {
		put_ended(run, &ending, &e);
	}
	err = event_put(txn, store, &e);
	buf_release(&ending.signal);
	return err;
}

int input_event_put(struct kv_txn *txn, struct store *store, const struct run *run,
		    const struct input_event *event)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf label = BUF_INIT;
	autofree char *role = xstrndup(event->role.data, event->role.len);
	autofree char *new_role = xstrndup(event->new_role.data, event->new_role.len);
	struct version v;
	int err = version_read_by_id(txn, event->version, &v);

	if (err == 0)
		err = collection_read(txn, v.collection, &c);
	if (err < 0)
		return err;
	version_label(&label, c.name, v.number);
	return event_put(txn, store, &(struct event){
		.kind = event->kind,
		.run = run->name,
		.object = buf_str(&label),
		.version = v.id,
		.details = {
			{ "how", event->how },
			{ "role", event->role.len ? role : NULL },
			{ "new_role", event->new_role.len ? new_role : NULL },
			{ "path", event->path && event->path[0] ? event->path : NULL },
		},
	});
}
