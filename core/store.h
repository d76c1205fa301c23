/*
 * store.h - an open store: the key-value store, the blobs, the drafts' directory and the id ranges.
 *
 * On disk, below the store's directory (mode 0700):
 *   lineagefs-store   one line, "lineagefs store <schema>"; what makes a directory a store. It
 *                     comes first, and says 0 until the store has been made
 *   lock              flock(2)ed while a daemon has the store
 *   kv/               RocksDB
 *   blobs/            large blobs (core/blob.h)
 *   drafts/<run id>/  what runs have under outputs/, as plain directories and files
 *   consoles/<run id> what their commands wrote to the terminal (core/console.h)
 */
#ifndef CORE_STORE_H
#define CORE_STORE_H

#include "blob.h"
#include "kv.h"

#include <stdatomic.h>

#define STORE_SCHEMA 3
#define STORE_ID_SIZE 33 /* hexadecimal digits, terminated */

/*
 * Kinds of ids; each counts up from 1 (commit sequences and inode ranges too), none is used twice.
 */
enum store_id { ID_COLLECTION, ID_VERSION, ID_RUN, ID_PAGE, ID_BLOB, ID_INTENT, ID_CONTENT_INO,
		ID_SEQUENCE, ID_EVENT, ID_ALIAS, ID_KINDS };

struct store_options {
	size_t cache_bytes;
	bool latest_on_equal;
	const char *protected_aliases; /* names, divided by spaces; borrowed, may be NULL */
	uint64_t keep_drafts_seconds; /* of failed runs; 0: for ever */
	/* Who opens the store checks it: recovery that fails does not keep him from it. */
	bool salvage;
	bool idle; /* the janitor waits: who opens the store just looks, or does it himself */
	uint64_t trash_seconds;	      /* that removed versions are kept; 0: no time */
	size_t lineage_bytes;	      /* of memory for edges; a larger graph is walked on disk */
	size_t lineage_nodes;	      /* of a closure, at most */
	size_t document_nodes;	      /* of a document of the graph, at most */
	uint64_t reference_hash_bytes; /* files that links lead to are hashed up to this size */
	uint64_t scrub_bytes; /* of large blobs read a second, to see whether they are whole; 0: none */
	unsigned journal_ms; /* so often the journal looks for events; 0: only when it is asked */
};

struct draft_area;
struct watch;
struct callers;
struct observer;
struct lineage;
struct journal;
struct version;
struct holders_cache;
struct scrub;

struct store {
	struct kv *kv;
	struct blob_store *blobs;
	struct store_options options;
	int root;   /* the store's directory */
	int drafts; /* drafts/ in it */
	int lock;   /* the lock file */
	char *path; /* absolute, for messages */
	const char *mountpoint; /* absolute and tidy, borrowed; NULL: not mounted */
	char id[STORE_ID_SIZE]; /* random, for ever; tells stores apart in environments */
	uint64_t opened_at; /* seconds since the epoch */
	char boot[40]; /* id of this boot of the machine; empty when it cannot be read */

	/* Set by who mounts it, for the status: does the kernel read and write files by itself? */
	bool passthrough;
	const char *no_passthrough_because; /* a constant; NULL: it does, or nobody has tried */

	/* Grows when a run appears, changes its state or owner, or gets a process. */
	atomic_uint run_generation;
	/* What running runs do; NULL while the store is not whole. */
	struct watch *watch;	   /* core/watch.h */
	struct callers *callers;   /* core/caller.h */
	struct observer *observer; /* core/observe.h */
	struct lineage *lineage;   /* core/lineage.h */
	struct journal *journal;   /* core/journal.h */
	struct holders_cache *holders; /* core/holders.h */
	struct scrub *scrub;	   /* core/scrub.h */
	atomic_uint_fast64_t damaged; /* blobs that are known to be bad (core/damage.h) */
	atomic_bool events_put;	   /* since the journal looked (core/event.h) */

	/* Runs whose edges changed since somebody asked (core/edge.h). */
	struct store_changes {
		pthread_mutex_t lock;
		bool recording, lost;
		uint32_t *runs;
		size_t count, cap;
		atomic_bool any;
	} changes;

	/* Those from these numbers on were made since the store was opened (core/check.h). */
	uint64_t first_intent;
	uint32_t first_run;
	int recovered; /* 0, or why not: only if that was no reason not to open it */

	pthread_mutex_t id_lock;
	struct store_range {
		uint64_t next, end;
	} ranges[ID_KINDS];

	pthread_mutex_t area_lock; /* core/draft.c */
	struct draft_area *areas;

	pthread_mutex_t reap_lock; /* core/reap.c */
	atomic_uint_fast64_t freed_bytes;
	atomic_bool purges; /* something was purged since the store was opened */

	struct store_listener { /* core/removal.c */
		pthread_rwlock_t lock;
		void (*changed)(void *arg, const struct version *v);
		void *arg;
	} listener;

	pthread_mutex_t unsaid_lock; /* core/run_log.c */
	struct store_unsaid *unsaid;

	/*
	 * A thread that removes files of ended runs, on request and once an hour; and what failed
	 * logs could not take away themselves (core/stage.c), again and again.
	 */
	pthread_t janitor;
	pthread_mutex_t janitor_lock;
	pthread_cond_t janitor_wake;
	bool janitor_started, janitor_asked, janitor_stop;
	_Atomic unsigned janitor_rounds; /* so often it was through */
	uint32_t *ended; /* runs whose drafts are to be removed, which is no round of its own */
	size_t ended_count, ended_cap;
	struct store_leftover {
		uint64_t intent;
		bool doom;
	} *leftovers;
	size_t leftover_count, leftover_cap;
	bool reap_again;
};

/*
 * Opens a store, creating it when path is missing or an empty directory; then recovers: what a
 * crash left half done is undone before this returns. On failure adds a plain sentence to why.
 * -EBUSY in use, -EINVAL not a store, -EPROTO another schema, -EACCES, ...
 */
int store_open(const char *path, const struct store_options *options, struct buf *why,
	       struct store **ret);

/*
 * The same over any backends and a directory that has or gets drafts/; the store owns all three
 * afterwards, also on failure. For tests.
 */
int store_open_with(struct kv *kv, struct blob_store *blobs, int root,
		    const struct store_options *options, struct store **ret);
void store_close(struct store *store); /* NULL is fine */

/* n consecutive new ids, the first of which is *ret. Touches the disk once in many calls. */
int store_new_ids(struct store *store, enum store_id kind, uint64_t n, uint64_t *ret);

/*
 * Ids of a kind that were given out since the store was opened are less than this; they have no
 * gaps, if all were taken one by one. 0: none was.
 */
uint64_t store_ids_given(struct store *store, enum store_id kind);

/* There is something to sweep away. */
void store_wake_janitor(struct store *store);

/* Now, in nanoseconds since the epoch. */
uint64_t store_now(void);

#endif
