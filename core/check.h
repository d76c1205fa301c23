/*
 * check.h - is a store whole? Every row is compared with those that it goes with, from both sides,
 * every blob with its row, every draft with its run; and what is wrong is put right, if so wanted.
 *
 * Work is done in steps, each over one instant of the key-value store; the state between them is
 * the cursor alone. Every change is one transaction, so between rows there is nothing that is right
 * for a moment only: a store that is in use gives no false alarm. What lies in files beside is
 * looked at again, against rows of a later instant, before it is called wrong.
 *
 * Repairing. What can be derived from something else is written again (CHECK_REPAIRED): the other
 * side of an edge, an index. What refers to nothing is set aside (CHECK_QUARANTINED), never
 * deleted: rows as rows of the kind Z, bytes and files in the store's directory quarantine/. Each
 * row is looked at again in the transaction that repairs it, so a repair that is cut short leaves a
 * store that can be repaired. Where the thing itself is lost, as a page or the record of a version,
 * the problem stays (CHECK_FOUND), and so does all that leads to it.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "codec.h"
#include "store.h"

enum check_outcome { CHECK_FOUND, CHECK_REPAIRED, CHECK_QUARANTINED, CHECK_OUTCOMES };

struct check_problem {
	char *name; /* what kind of problem: "edge-one-sided"; the same for ever */
	char *what; /* a sentence */
	enum check_outcome outcome;
};

struct check_report {
	struct check_problem *problems;
	size_t count, cap;
};

void check_report_release(struct check_report *r);
void check_report_add(struct check_report *r, const char *name, const char *what,
		      enum check_outcome outcome);
const char *check_outcome_name(enum check_outcome outcome);

struct check_options {
	bool repair;
	bool deep;    /* the bytes of all blobs are read and hashed, on all processors */
	bool at_rest; /* nothing is under way, and nothing may wait to be taken away: for tests */
};

#define CHECK_KEY_MAX 256

/* Starts as zeros. */
struct check_cursor {
	unsigned phase;
	uint8_t key[CHECK_KEY_MAX]; /* the last one that was looked at in this phase */
	size_t key_len;
	struct journal_head journal; /* of the lines so far */
	uint64_t rows;		     /* looked at so far */
	uint64_t bytes;		     /* hashed so far */
	uint64_t blob_bytes;	     /* of all blobs seen */
};

/* One step of about so many milliseconds. 1: there is more; 0: all is done; -errno, -EINTR. */
int check_step(struct store *store, const struct check_options *options, unsigned ms,
	       const bool *stop, struct check_cursor *cursor, struct check_report *report);
/* What this phase looks at: "edges". */
const char *check_phase_name(unsigned phase);

#endif
