/*
 * tree.h - reading the content of a version: finding a name in a directory, listing a directory,
 * walking all of it. Pages never change, so nothing here needs a lock.
 */
#ifndef CORE_TREE_H
#define CORE_TREE_H

#include "kv.h"
#include "page.h"

/* Directories are nested at most so deep: each level costs its readers stack. */
#define TREE_DEPTH_MAX 2000

/* An entry that was found. */
struct tree_entry {
	enum entry_type type;
	bool executable;
	uint64_t size;
	struct timespec mtime;
	struct digest digest;
	uint64_t page;	 /* directories */
	uint64_t nodes;
	uint64_t number; /* in its directory: from 1 (core/page.h) */
	char *target;	 /* links; owned */
};

void tree_entry_release(struct tree_entry *e);

/* -ENOENT: no such name in the directory whose root page this is. */
int tree_find(struct kv *kv, uint64_t page, struct slice name, struct tree_entry *ret);

/* Listing a directory in byte order. Holds a page a level in memory, no transaction. */
struct tree_cursor;

/* Starts after a name; an empty one starts at the beginning. */
int tree_cursor_open(struct kv *kv, uint64_t page, struct slice after, struct tree_cursor **ret);
/* 1 and the next entry with its number, borrowed until the next call; 0 at the end; -errno. */
int tree_cursor_next(struct tree_cursor *c, struct page_entry *ret, uint64_t *ret_number);
void tree_cursor_close(struct tree_cursor *c);

static inline void tree_cursor_closep(struct tree_cursor **c)
{
	tree_cursor_close(*c);
}

/*
 * Calls visit for every entry below a directory, a directory before what is in it, with its path
 * relative to the start (no leading slash). A result that is not 0 ends the walk.
 */
typedef int tree_visit(void *arg, struct slice path, const struct page_entry *entry);
int tree_walk(struct kv *kv, uint64_t page, tree_visit *visit, void *arg);

/*
 * The entry at a path below a directory ("a/b/c", no leading slash; not empty). -ENOENT, -ENOTDIR.
 */
int tree_find_path(struct kv *kv, uint64_t page, struct slice path, struct tree_entry *ret);

/* The line of SHA256SUMS for a file, as GNU sha256sum writes it, escapes included. */
void tree_sums_line(struct buf *b, struct slice path, const struct digest *digest);
/* Its length in bytes. */
uint64_t tree_sums_length(struct slice path);
/* All lines of a version's content. */
int tree_sums(struct kv *kv, uint64_t page, struct buf *ret);

#endif
