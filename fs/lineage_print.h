/*
 * lineage_print.h - outlines as text that people read.
 */
#ifndef FS_LINEAGE_PRINT_H
#define FS_LINEAGE_PRINT_H

#include "lineage_outline.h"

struct lineage_style {
	bool colours;
	bool links; /* names as hyperlinks (OSC 8) */
	bool utf8;  /* lines of the tree, else of ASCII */
	const char *mount;
};

/* For standard output, as its terminal, NO_COLOR and the locale have it. */
void lineage_style_init(struct lineage_style *s, const char *mount);

/* A node by itself, on a line. */
void lineage_print_node(const struct lineage_style *s, const struct picture *p, uint32_t node,
			struct buf *ret);
/* A heading that says how much there is, then the outline. */
void lineage_print_outline(const struct lineage_style *s, const struct picture *p,
			   const struct outline_options *options, const struct outline *o,
			   struct buf *ret);

#endif
