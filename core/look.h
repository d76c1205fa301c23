/*
 * look.h - what a file of a draft holds: the part of reading a draft (core/scan.h) that any thread
 * may do, in any order.
 */
#ifndef CORE_LOOK_H
#define CORE_LOOK_H

#include "scan.h"

/* What a thread looks with. */
struct looker {
	const struct scan *scan;
	struct hasher *hasher;
};

struct look {
	/* In */
	int directory;
	const char *name; /* in it */
	struct stat st;	  /* of a regular file; afterwards, with nobody writing */

	/* Out */
	int err; /* -EAGAIN: it changed meanwhile */
	const char *why; /* a constant; NULL: what strerror() says */
	int torn;	 /* signal that killed its writer, if that is why */
	struct digest digest;
	uint64_t size;
	bool lasting;	  /* stat and digest may be remembered (core/known.c) */
	bool staged;	  /* its bytes are present already, as far as is known */
	struct buf bytes; /* of a small file that is to be staged */
	int fd;		  /* of a large one, else -1 */
	uint64_t counted; /* in the progress, until it is taken */
};

void looker_init(struct looker *l, const struct scan *s);
void looker_release(struct looker *l);

void look_at(struct looker *l, struct look *look);
/* Before another look at what could not be found out, or was not looked at. */
void look_again(struct look *look);
/* The progress goes back by what was not taken. */
void look_release(const struct scan *s, struct look *look);

#endif
