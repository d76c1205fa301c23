/*
 * page.h - how the content of a version is written down: pages of directory entries.
 *
 * A directory is a Merkle B-tree ("prolly tree"): its entries, in byte order of their names, are
 * cut into leaf pages where a hash of a name says so, the leaf pages are listed in index pages cut
 * by the same rule, and so on until one page, the root, is left. Where a page is cut depends on
 * names alone, so a change of one file of a directory of any size makes one new page a level, and
 * all other pages are shared by every version that has them.
 *
 * A page is named by a digest over the names, types, execute bits and digests in it; sizes and
 * times stand beside. The digest of a directory is that of its root page, so the digest of a
 * version is a function of paths, types, execute bits, link targets and contents.
 *
 * An entry's number in its directory is 1 plus the nodes of all entries before it: a file or link
 * is one node, a directory one and all below it. With the number of the directory itself that gives
 * every path of a version a number without a table (fs/node.h makes inode numbers of them).
 */
#ifndef CORE_PAGE_H
#define CORE_PAGE_H

#include "codec.h"

enum entry_type { ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_LINK };

/* One entry of a directory. Names and targets are borrowed. */
struct page_entry {
	enum entry_type type;
	bool executable;	/* files */
	struct slice name;
	uint64_t size;		/* files: bytes */
	struct timespec mtime;
	struct digest digest;	/* of a file's bytes, a directory's root page, a link's target */
	uint64_t page;		/* directories: the root page */
	uint64_t nodes;		/* numbers taken: 1, and for directories all below */
	struct slice target;	/* links */
};

/* A page below an index page. */
struct page_child {
	struct slice first; /* the first name below it */
	struct digest digest;
	uint64_t page;
	uint64_t nodes;
	uint64_t entries;
};

/* Reading a page: its level (0: leaf), then its entries or children one by one. */
struct page_reader {
	struct reader reader;
	unsigned level;
	uint64_t left; /* entries or children not read yet */
};

/* -EIO: not a page. The bytes stay the caller's and outlive the reader. */
int page_reader_init(struct page_reader *r, struct slice page);
/* The same for the value of a page's row: the digest stands before the page. */
int page_reader_of_record(struct page_reader *r, struct slice record);
/*
 * Are the names, types, execute bits and digests in a page's row those that its digest is of? 0;
 * -EIO.
 */
int page_verify(struct slice record);
/* 1 and an entry, borrowed from the page; 0 at the end; -EIO. Leaf pages only. */
int page_next_entry(struct page_reader *r, struct page_entry *ret);
/* Likewise for index pages. */
int page_next_child(struct page_reader *r, struct page_child *ret);

/* A page that was built: what the builder hands on. */
struct page_built {
	struct digest digest;
	struct slice bytes; /* the record; borrowed */
	uint64_t nodes;
	uint64_t entries;
};

/*
 * Stores a page, or finds the one of the same digest: *ret is its id. Errors end the building.
 */
typedef int page_sink(void *arg, const struct page_built *page, uint64_t *ret);

/* Builds the pages of one directory. */
struct page_builder;

struct page_builder *page_builder_new(page_sink *sink, void *arg);
void page_builder_free(struct page_builder *b);
/* Entries come in byte order of their names, each once. */
int page_builder_add(struct page_builder *b, const struct page_entry *entry);
/* The root page; nodes are those of all entries, without the directory itself. */
int page_builder_finish(struct page_builder *b, uint64_t *ret_page, struct digest *ret_digest,
			uint64_t *ret_nodes);

static inline void page_builder_freep(struct page_builder **b)
{
	page_builder_free(*b);
}

#endif
