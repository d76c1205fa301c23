/*
 * disturb.h - what happens while a draft is being logged: an act in the middle of the log, at its
 * next put of bytes, and logs in a thread of their own.
 */
#ifndef TESTS_UNIT_DISTURB_H
#define TESTS_UNIT_DISTURB_H

#include "store_place.h"

struct disturbance {
	struct place *place;
	uint32_t run;
	unsigned times; /* so often, then no more */
	void (*act)(struct disturbance *d);
	int result; /* of the put that was disturbed, unless 0 */
};

static inline int disturb(struct blob_hook *hook, enum blob_call call)
{
	struct disturbance *d = hook->arg;

	if ((call != BLOB_PUT_PACKED && call != BLOB_PUT_FILE) || d->times == 0)
		return 0;
	d->times--;
	d->act(d);
	return d->result;
}

static inline void set_disturbance(struct place *place, struct disturbance *d)
{
	place->hook.arg = d;
	place->hook.before = disturb;
}

/* What the filesystem does to rename a draft. */
static inline void rename_draft(struct place *place, uint32_t run, const char *from, const char *to)
{
	autofree char *old = draft_path(place, run, from), *new = draft_path(place, run, to);
	struct draft_area *area;

	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	{
		EXCLUSIVE(&area->lock);
		touch(place, run, from, 0);
		touch(place, run, to, 0);
		touch(place, run, "", 0);
		assert_int_equal(rename(old, new), 0);
		draft_top_rename(area, from, to, false);
	}
	draft_area_put(area);
}

/* A log in its own thread; name empty: finishing. */
struct background {
	struct place *place;
	uint32_t run;
	const char *name;
	int result;
	pthread_t thread;
};

static inline void *background_main(void *arg)
{
	struct background *b = arg;

	b->result = log_as(b->place, b->run, b->name, "", &root_cred);
	return NULL;
}

static inline void background_start(struct background *b)
{
	assert_int_equal(pthread_create(&b->thread, NULL, background_main, b), 0);
}

static inline int background_wait(struct background *b)
{
	pthread_join(b->thread, NULL);
	return b->result;
}

/* The caller has the shared lock: until another thread waits for the exclusive one. */
static inline void await_exclusive(struct draft_area *area)
{
	while (pthread_rwlock_tryrdlock(&area->lock) == 0) {
		pthread_rwlock_unlock(&area->lock);
		usleep(1000);
	}
}

#endif
