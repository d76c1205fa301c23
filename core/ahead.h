/*
 * ahead.h - looking at the files of a directory (core/look.h) by several threads, ahead of who
 * walks it and wants them one after another.
 *
 * One thread walks. The others start when there is something for them to do; what none of them has
 * begun when it is wanted the walker does himself. How much is read ahead is bounded: in bytes, and
 * in descriptors.
 */
#ifndef CORE_AHEAD_H
#define CORE_AHEAD_H

#include "look.h"

/* Entry of a directory, as listed. */
struct ahead_item {
	char *name;
	struct stat st;
};

struct ahead;

struct ahead *ahead_new(const struct scan *s);
void ahead_free(struct ahead *a); /* NULL is fine */

/* A directory that is being walked; those below it may be walked meanwhile. */
struct ahead_walk {
	struct ahead *ahead;
	int directory;
	const struct ahead_item *items; /* borrowed */
	size_t count, next;		/* up to next they were given to somebody */
	struct ahead_job *first, *last; /* given, not taken: in order */
};

/*
 * What there is to know of a regular file of the directory: each one in its turn. What failed ahead
 * of it was tried again. Borrowed until the next call.
 */
struct look *ahead_take(struct ahead_walk *w);
/* Waits for those that are being looked at, and forgets what was not taken. */
void ahead_end(struct ahead_walk *w);

#endif
