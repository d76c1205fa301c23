/*
 * draft.h - the working copies of runs: plain directories and files below drafts/<run>/, one name
 * there for every name in the run's outputs/. This module knows who is writing to them, freezes
 * them for logging, and keeps the bytes of logged files apart from later writes.
 *
 * Sharing. A large file that was logged shares its inode with the blob (a hard link), so nothing
 * was copied. Invariant: a shared inode's bytes never change. It carries the extended attribute
 * DRAFT_SHARED_XATTR, whose value is the blob's id; the first open for writing, truncation
 * or preallocation gives the draft an inode of its own first (draft_unshare), under all its names.
 * Mode, owner, times and user xattrs of the inode are the draft's: a version has its own.
 * The attribute is set before the link to the blob is made, so at no instant is there a blob that
 * a draft could write to, and taken off after the link went; one that is left over without its link
 * does no harm but a needless copy. One inode is never two blobs: while the file of another blob,
 * whose bytes are about to go, is this inode, its mark stays, and the new blob is a copy.
 *
 * Locking, outermost first: area->logging, area->lock, store->area_lock, area->mutex. The lock of
 * the marks (mark.c) is inside all of them and of store->reap_lock.
 * - area->lock, shared: around every operation that changes names, attributes or opens for writing.
 *   Exclusive: freezing (the end of logging), the swap in draft_unshare(), the end of the run, and
 *   for a moment before a draft is read.
 * - draft_touch() is called under the shared lock, before the operation changes anything: logging
 *   sees by the count whether anything happened since it looked. An operation that was counted may
 *   still be under way, so who goes on to read takes the count under the exclusive lock.
 * - The name of a top belongs to it under either lock only; what outlasts the lock is a copy.
 */
#ifndef CORE_DRAFT_H
#define CORE_DRAFT_H

#include "store.h"

#include <sys/stat.h>

#define DRAFT_SHARED_XATTR "user.lineagefs.shared"
#define DRAFT_BAD_XATTR "user.lineagefs.bad"
#define DRAFT_TORN_XATTR "user.lineagefs.torn"
/* Extended attributes with this prefix are ours: not shown, not settable inside a draft. */
#define DRAFT_OWN_XATTRS "user.lineagefs."

enum draft_phase {
	DRAFT_OPEN,	/* the run is running */
	DRAFT_READONLY, /* failed or crashed: kept for a while */
	DRAFT_GONE,	/* finished: outputs/ has links; or the run was removed */
};

/* What one run has under outputs/. */
struct draft_area {
	struct draft_area *next;
	struct store *store;
	uint32_t run;
	unsigned references;
	int fd; /* drafts/<run> */
	_Atomic enum draft_phase phase; /* changes under the exclusive lock */
	pthread_rwlock_t lock;
	pthread_mutex_t logging; /* one log of a run at a time: outermost */
	/* Of the log under way, for those who watch it: written by the logging thread alone. */
	struct draft_progress {
		_Atomic bool active;
		_Atomic uint64_t files, bytes; /* read so far, or known */
	} progress;
	pthread_mutex_t mutex; /* of what follows */
	/* A writer went, a file got its own inode, or no change is under way. */
	pthread_cond_t closed;
	unsigned changing; /* through open files, at this moment */
	struct draft_writer *writers;
	struct draft_top *tops;
};

/* One name in outputs/: a draft, or scratch when it starts with a dot. */
struct draft_top {
	struct draft_top *next;
	struct draft_area *area;
	unsigned references;
	char *name;	   /* changes under the exclusive lock, when it is renamed */
	uint64_t touches;  /* operations that changed something */
	unsigned watchers; /* logs under way: the inodes touched are remembered */
	struct draft_touched {
		ino_t ino; /* 0: no entry */
		uint64_t touch; /* which one it was, the last time */
	} *touched; /* a hash table */
	size_t touched_count, touched_cap;
};

/* An open file description that may write. */
struct draft_writer {
	struct draft_writer *next;
	struct draft_top *top;
	ino_t ino;
	bool flushed; /* close(2) was called on a descriptor of it: its release may be on the way */
};

/* Makes drafts/<run>, durably; one that is there already is fine. */
int draft_area_make(struct store *store, uint32_t run);
/* -ENOTEMPTY; what is not there is no error. */
int draft_area_unmake(struct store *store, uint32_t run);
/* The area of a run; -ENOENT when it has finished or is not there. Its directory is there then. */
int draft_area_get(struct store *store, uint32_t run, struct draft_area **ret);
void draft_area_hold(struct draft_area *area);
void draft_area_put(struct draft_area *area);
/* Is a log of this run under way, and how far is it? */
bool draft_progress(struct store *store, uint32_t run, uint64_t *ret_files, uint64_t *ret_bytes);
void draft_progress_begin(struct draft_area *area);
void draft_progress_end(struct draft_area *area);

struct draft_top *draft_top_get(struct draft_area *area, const char *name);
void draft_top_hold(struct draft_top *top);
void draft_top_put(struct draft_top *top);
/*
 * A draft was renamed, or two exchanged. Whatever had the new name has none now. Exclusive lock
 * held.
 */
void draft_top_rename(struct draft_area *area, const char *name, const char *new_name,
		      bool exchange);

/* Counts a change to an inode of the draft, or to its names (ino 0). */
void draft_touch(struct draft_top *top, ino_t ino);
/*
 * From now on touched inodes are remembered; returns the touches so far. What they were of has
 * happened if the caller holds the exclusive lock.
 */
uint64_t draft_watch(struct draft_top *top);
/* Was this inode touched after so many touches? The caller watches. */
bool draft_was_touched(struct draft_top *top, ino_t ino, uint64_t since);
void draft_unwatch(struct draft_top *top);
/* Nobody has a file of the run open for writing; the draft was touched so many times, not more. */
bool draft_is_quiet(struct draft_top *top, uint64_t since);

/* A writing handle: opened under the shared lock, flushed at close(2), closed at release. */
struct draft_writer *draft_writer_open(struct draft_top *top, ino_t ino);
void draft_writer_flush(struct draft_writer *writer);
void draft_writer_close(struct draft_writer *writer);
/*
 * 0 when nobody writes to the inode. -EBUSY when somebody does; before that, waits up to a second
 * for writers whose close(2) was seen, since the kernel sends the release after close returned.
 */
int draft_settle(struct draft_area *area, ino_t ino);
/*
 * The same question asked of the kernel: is any descriptor or mapping open for writing? 1, 0,
 * -errno.
 */
int draft_leased_out(int fd);

/* The inodes with writers, in an array for the caller to free; returns their number. */
size_t draft_written(struct draft_area *area, ino_t **ret);

/*
 * Around a change of bytes through an open file, which takes no lock: -EROFS when the drafts are
 * read-only, -ESTALE when the run has finished, unless the file is lost: nobody's, not logged.
 * After they became that, draft_await_changes() returns when the last one is done.
 */
int draft_begin_change(struct draft_area *area, bool lost);
void draft_end_change(struct draft_area *area);
void draft_await_changes(struct draft_area *area);

/*
 * Is this file's inode marked as shared, and with which blob (ret may be NULL)? st is its stat. By
 * descriptor, or by name in a directory.
 */
bool draft_fd_is_shared(int fd, const struct stat *st, struct blob_id *ret);
bool draft_is_shared(int directory, const char *name, const struct stat *st, struct blob_id *ret);
/* By a path whose last component is not a symbolic link, or is one of /proc's. */
bool draft_path_is_shared(const char *path, const struct stat *st, struct blob_id *ret);
/* Is the file of this blob the very inode? */
bool draft_is_blob(struct store *store, const struct blob_id *id, const struct stat *st);
/*
 * Names of the inode inside the draft: the link count without the blob's. ret_st is the stat that
 * was counted by. The blob's link comes and goes without the area's lock, and its mark comes before
 * it and goes after it: never too few, but one too many if the link goes meanwhile. Path as above.
 */
int draft_count_names(struct store *store, const char *path, struct stat *ret_st, nlink_t *ret);
/* Marks an inode as about to be shared; takes the mark off again, if it is the one of this blob. */
int draft_mark_shared(int fd, const struct blob_id *id);
void draft_unmark_shared(int fd, const struct blob_id *id);

/*
 * The kernel reports a write that the disk lost once, and calls what it has clean afterwards. So
 * the file carries that: it is bad, and cannot be logged, until it is empty or another inode.
 */
void draft_mark_bad(int fd);
bool draft_is_bad(int fd);
/*
 * Whoever had the file open for writing was killed by a signal, so it may be half written: it
 * cannot be logged until somebody has written it to the end, or it is empty or another inode.
 */
void draft_mark_torn(int fd, int signal);
int draft_is_torn(int fd); /* the signal, or 0 */
void draft_mark_whole(int fd);
/* By a path like that of draft_path_is_shared(): the file was truncated to nothing. */
void draft_mark_good(const char *path);
/* fsync(2) or fdatasync(2) of a draft's file; a failure makes it bad. */
int draft_sync(int fd, bool data_only);

/*
 * Gives a draft's file an inode of its own. fd is open on the shared inode. directory and name say
 * where one of its names is; name NULL: it has none left. With truncate the new file is empty, else
 * it has the bytes, bad if they are. Mode, owner, times and xattrs are kept. The caller holds no
 * lock of the area, makes one call at a time for a file, and has opened fd since the last one: an
 * inode that was replaced keeps its mark. 0 also when it is not shared (any more); -EINTR when
 * stop, if not NULL, became true.
 *
 * Under the exclusive lock swap is called twice with a descriptor of the new inode, open for
 * reading and writing, that it may duplicate: with st NULL before the names are moved, when it may
 * fail and nothing happens; and with its stat afterwards, when it must not. That is also so when
 * only some of the names could be moved, which are those of two files then, and an error.
 */
typedef int draft_swap(void *arg, int new_fd, const struct stat *st);
int draft_unshare(struct draft_top *top, int fd, int directory, const char *name, bool truncate,
		  const bool *stop, draft_swap *swap, void *arg);

/*
 * A commit that changed the run's state was refused, or failed and may have happened all the same:
 * the phase follows the run, whose drafts stay if it seems to have finished. What is gone stays
 * gone. Exclusive lock held.
 */
void draft_area_follow(struct draft_area *area);
/* After the run has finished: takes the files away, in the background. Exclusive lock held. */
void draft_area_end(struct draft_area *area);

/* Removes the drafts of runs that have ended since it was called last. */
void draft_remove_ended(struct store *store);

/*
 * Removes what is left of finished runs and of drafts older than keep_seconds (0: no limit) of
 * failed ones. Called at start and by the store's janitor.
 */
int draft_sweep(struct store *store, uint64_t keep_seconds);

#endif
