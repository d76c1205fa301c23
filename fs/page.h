/*
 * page.h - fs/graph.html, the page that shows a lineage graph, as part of the program.
 */
#ifndef FS_PAGE_H
#define FS_PAGE_H

#include "core/base.h"
#include "core/buf.h"

/* The page with this graph.json in it; "<" in it must be escaped. */
void page_write(struct slice graph, struct buf *ret);

#endif
