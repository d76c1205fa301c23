/*
 * scan.h - reading a draft: its files are hashed (core/look.h) and staged, its directories become
 * pages.
 */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include "reference.h"
#include "stage.h"

/* A file that was hashed, and how to see that it is still the same. */
struct known_file {
	uint64_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
	struct digest digest;
};

/* Sorted by inode. */
struct known_files {
	struct known_file *files;
	size_t count, cap;
};

void known_files_release(struct known_files *k);
void known_files_sort(struct known_files *k);
/* By inode, for qsort and bsearch. */
int known_file_compare(const void *a, const void *b);
/* What the last log of this draft knew; nothing if there was none. */
int known_files_load(struct store *store, uint32_t run, const char *name, struct known_files *ret);
/* Replaces it, unless the run has finished meanwhile. */
int known_files_save(struct store *store, uint32_t run, const char *name,
		     const struct known_files *known);
/* In the transaction that finishes the run: forgets all of it. */
int known_files_forget(struct kv_txn *txn, uint32_t run);

struct scan {
	/* In */
	struct store *store;
	struct stage *stage;
	struct draft_top *top;
	const char *name; /* of the draft, as it was chosen */
	const bool *stop;
	bool distrust; /* hash all: something that was known to be present is gone */
	struct known_files known; /* replaced by what this scan knows */
	struct references *references; /* gets the links that lead out of the draft; may be NULL */

	/* Out: see struct version */
	struct stat st; /* of the draft's top */
	bool single;
	uint64_t page;
	struct digest digest;
	uint64_t nodes, files, bytes, sums_size;
	uint64_t beside; /* bytes of what links lead to, that were hashed */
	uint64_t touches; /* of top, all of them done, before anything was read */
	bool quiet;	  /* nobody was writing then */
	bool watching;	  /* undone by scan_release() */
	struct timespec started; /* the reading */
};

void scan_release(struct scan *s);
/* Is it no longer wanted? Any thread may ask. */
bool scan_is_stopped(const struct scan *s);

/*
 * Reads the draft. 0; -EAGAIN: it changed under the reader, scan again; -ENOENT: it is not there
 * (any more); on other errors why says which file and what is the matter. May be run again on the
 * same struct. No lock of the area is held by the caller.
 */
int scan_draft(struct scan *s, struct buf *why);

#endif
