/* check_private.h - what the files of core/check.h share: each knows some kinds of rows. */
#ifndef CORE_CHECK_PRIVATE_H
#define CORE_CHECK_PRIVATE_H

#include "check.h"

#define CHECK_KNOWN 4096 /* a power of two */

struct check {
	struct store *store;
	const struct check_options *options;
	const bool *stop;
	struct check_cursor *cursor;
	struct check_report *report;
	struct kv_txn *txn;
	/* The transaction is one that writes: what is wrong is put right in it. */
	bool fixing;
	int err; /* of a read or write in it: nothing that was seen counts */
	/* Runs and versions that are there: what was found out in this instant. 0: unknown. */
	uint32_t runs[CHECK_KNOWN], versions[CHECK_KNOWN];
	/* Generations of bytes that logs put at this instant, sorted. NULL: not looked up yet. */
	uint64_t *under_way;
	size_t under_way_count;
};

/* Adds a problem. True: the caller puts it right, in c->txn. */
bool check_wrong(struct check *c, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Putting it right: these say so of the last problem. */
void check_put(struct check *c, struct slice key, struct slice value);
/* The row becomes one of the kind Z. */
void check_set_aside(struct check *c, struct slice key);
/* Something else has put it right, with this result. */
void check_done(struct check *c, int err, enum check_outcome outcome);

bool check_has(struct check *c, struct slice key);
bool check_get(struct check *c, struct slice key, struct buf *ret);
bool check_number(struct check *c, struct slice key, uint64_t *ret);
bool check_any(struct check *c, struct key prefix);
/* Is there such a run, version (its id)? */
bool check_run_there(struct check *c, uint32_t run);
bool check_version_there(struct check *c, uint32_t version);
/* What -errno of a read means: 1 it is there, 0 it is not; else remembered. */
bool check_read(struct check *c, int err);
bool check_stopped(const struct check *c);

/* "model:v3", "run train-1", for messages. */
struct check_label {
	char text[2 * NAME_MAX_BYTES];
};
struct check_label check_label_version(struct check *c, uint32_t version);
struct check_label check_label_run(struct check *c, uint32_t run);
#define VERSION_LABEL(c, id) (check_label_version(c, id).text)
#define RUN_LABEL(c, id) (check_label_run(c, id).text)

struct check_hex {
	char text[DIGEST_HEX_SIZE + 1];
};
struct check_hex check_hex(const struct digest *d);
#define HEX(d) (check_hex(d).text)
#define U(n) ((unsigned long long)(n))

/* The directory quarantine/, made; a descriptor, or -errno. */
int check_quarantine(struct check *c);
/* A second name there for the bytes of a blob, or a copy of them. */
int check_copy_out(struct check *c, const struct blob_id *id, uint64_t size);
/* Moves something there. */
int check_move_out(struct check *c, int directory, const char *name);

/* Looks at a row, and mends in a transaction if it is one that writes. */
typedef void check_row(struct check *c, struct slice key, struct slice value);

/* check_version.c: collections, versions, aliases, and what is said of versions */
check_row check_collection, check_collection_name, check_version, check_version_id, check_equal;
check_row check_alias, check_alias_of, check_of_version, check_version_note, check_version_tag;
check_row check_last_use, check_unseen, check_reference;
/* check_run.c: runs and what is said of them */
check_row check_run, check_run_name, check_of_run, check_known, check_draft, check_run_tag;
check_row check_input, check_process, check_watched, check_pin, check_view;
/* check_edge.c */
check_row check_edge, check_peek;
/* check_index.c: rows that find something by type, job type, tag */
check_row check_tagged, check_of_type, check_of_job;
/* check_page.c */
check_row check_page, check_page_kept, check_page_digest, check_page_ref, check_borrowed;
bool check_page_is_lost(struct check *c, uint64_t page);
/* Is it there, and of this digest? Its nodes then. */
bool check_root_page(struct check *c, uint64_t page, const struct digest *digest,
		     uint64_t *ret_nodes);
/* check_blob.c; mend_blob: what cannot be done in a transaction */
check_row check_blob, check_blob_ref, check_damaged, mend_blob;
int check_bytes(struct check *c);
int check_hashes(struct check *c, int64_t until);
/* check_intent.c */
check_row check_intent, check_intent_part, check_doomed, mend_intent;
/* Is a log putting bytes of this generation, at the instant of c->txn? */
bool check_is_under_way(struct check *c, uint64_t generation);
/* c->txn is going to be another one. */
void check_next_instant(struct check *c);
/* check_journal.c */
check_row check_event, check_line;
void check_journal_head(struct check *c);
/* check_file.c: drafts/, consoles/ and the store's directory itself */
int check_files(struct check *c);

#endif
