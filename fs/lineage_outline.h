/*
 * lineage_outline.h - what is above or below the root of a picture, as an outline: each node once,
 * under the first that leads to it.
 *
 * It follows the rule of core/lineage.h: a version depends on what its producer had used by then,
 * which the order of the edges tells. A run that is met again, after it had used more, has the rest
 * below it.
 */
#ifndef FS_LINEAGE_OUTLINE_H
#define FS_LINEAGE_OUTLINE_H

#include "core/document_picture.h"

#define OUTLINE_UNBOUNDED UINT32_MAX

struct outline_line {
	uint32_t node;
	uint32_t others; /* artifacts of other types, on the way from the line above it */
	uint32_t parent; /* the line above it in the outline; OUTLINE_NONE: the root */
	unsigned depth;	 /* 0: right below the root, or below the start of a part */
	bool again;	 /* it has a line already */
	bool later;	 /* what is below it makes a part of its own */
	bool part;	 /* starts such a part; depth does not count */
	bool last;	 /* of its siblings */
};

#define OUTLINE_NONE UINT32_MAX

struct outline {
	struct outline_line *lines;
	size_t count, cap;
	bool *met; /* by node */
	size_t artifacts, runs; /* that were met, without the root */
	size_t others;		/* artifacts of other types that were met */
};

#define OUTLINE_INIT ((struct outline){ 0 })

struct outline_options {
	bool up;	  /* else down */
	uint32_t steps;	  /* between artifacts, at most, or OUTLINE_UNBOUNDED */
	const char *type; /* artifacts of it alone, and no runs; NULL: everything */
	unsigned depth;	  /* what is deeper makes parts of their own */
};

void outline_make(const struct picture *p, const struct outline_options *options,
		  struct outline *ret);
void outline_release(struct outline *o);

#endif
