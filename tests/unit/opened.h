/*
 * opened.h - the area of a run, held as the filesystem holds it, with one of its drafts.
 */
#ifndef TESTS_UNIT_OPENED_H
#define TESTS_UNIT_OPENED_H

#include "store_place.h"

/* An area with the draft `d` open, and its outputs as a directory. */
struct opened {
	struct place *place;
	uint32_t run;
	struct draft_area *area;
	struct draft_top *top;
	unsigned swaps;
	struct stat swapped;
	bool locked;
	int refuse; /* what the swap says before names are moved */
};

static inline void open_area(struct opened *o, struct place *place, const char *draft)
{
	*o = (struct opened){ .place = place, .run = make_run(place, "r") };
	assert_int_equal(draft_area_get(place->store, o->run, &o->area), 0);
	o->top = draft_top_get(o->area, draft);
}

static inline void close_area(struct opened *o)
{
	draft_top_put(o->top);
	draft_area_put(o->area);
}

#endif
