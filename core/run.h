/*
 * run.h - runs: their records, states, declared inputs and the text of their `log`.
 *
 * What ends a run and logs its drafts is in core/publish.h; the drafts' files are core/draft.h's.
 */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "artifact.h"
#include "edge.h"

/* `log` keeps so much of its last results. */
#define RUN_LOG_MAX (64u << 10)

/* -ENOENT. */
int run_find(struct store *store, struct slice name, struct run *ret);
int run_get(struct store *store, uint32_t id, struct run *ret);
/* The first run whose name is greater than after: 1, 0 at the end, -errno. */
int run_next(struct store *store, struct slice after, uint32_t *ret_id, struct buf *ret_name);

/*
 * Starts a run; parent is the one that started it, 0: none. -EINVAL bad name, -EEXIST. Durable when
 * it returns.
 */
int run_create(struct store *store, struct slice name, uid_t uid, gid_t gid, mode_t mode,
	       uint32_t parent, uint32_t *ret_id);
/* -ENOTEMPTY: it has inputs, outputs or drafts. Its notes and console go with it. */
int run_remove(struct store *store, struct slice name);
/* As collection_set_owner(). */
int run_set_owner(struct store *store, uint32_t id, uid_t uid, gid_t gid, mode_t mode);

/* "running", ...; parse: -EINVAL. */
const char *run_state_name(enum run_state state);
int run_state_parse(struct slice text, enum run_state *ret);

/* How a run ended, as far as it is known. */
struct run_end {
	bool has_exit_code;
	int exit_code;	    /* 0 to 255 */
	int signal;	    /* 0: none */
	const char *reason; /* why it is crashed; NULL or "": not said */
};

/* exit_code=N, signal=N, signal=KILL, signal=SIGKILL; -EINVAL. */
int run_end_parse(struct slice word, struct run_end *ret);
/* Puts it into the record, for a transaction that ends the run; NULL: nothing is known. */
void run_end_apply(struct run *run, const struct run_end *end);
/* "SIGKILL", "SIGRTMIN+3", "signal 99". */
void run_signal_name(int signal, struct buf *ret);

/*
 * Changes the state without logging anything: running to failed or crashed, those to running, which
 * forgets how the run had ended; crashed to failed as well if it is known how. end may be NULL.
 * -EROFS: the run has finished. -EINVAL: not such a change.
 */
int run_set_ended(struct store *store, uint32_t id, enum run_state state,
		  const struct run_end *end);
int run_set_state(struct store *store, uint32_t id, enum run_state state);

/* Adds the text to ret; nothing was logged yet: adds nothing. */
int run_log_read(struct store *store, uint32_t id, struct buf *ret);
/* On failure the text is what the log says all the same, until the store is closed. */
int run_log_write(struct store *store, uint32_t id, struct slice text);
/* A text was put by a transaction: it is what the log says. */
void run_log_said(struct store *store, uint32_t id);
void run_logs_release(struct store *store);

/* In a transaction. */
int run_read(struct kv_txn *txn, uint32_t id, struct run *ret);
int run_write(struct kv_txn *txn, const struct run *run);
/* Whoever ends a run no longer waits for its processes (core/watch.h). */
int run_unwatch(struct kv_txn *txn, uint32_t id);
int run_log_put(struct kv_txn *txn, uint32_t id, struct slice text);
/*
 * The first entry from a key on whose name, after its prefix, is not `after`: 1, 0, -errno. Runs,
 * roles, drafts and tags are all listed by name like this.
 */
int run_next_named(struct kv_txn *txn, struct key prefix, struct slice from, struct slice after,
		   struct buf *ret_name, struct buf *ret_value);

/*
 * Declares an input: role -> what the reference names now. -EINVAL: bad role or not a reference,
 * or the run has logged that version itself, as its log says then; -ENOENT: names nothing; -EACCES:
 * cred may not read that version; -EEXIST: there is such a role; -EROFS: the run is not running.
 */
int run_declare_input(struct store *store, uint32_t id, struct slice role, struct slice reference,
		      const struct cred *cred);
/*
 * The same; unless keep, in the place of the role of that name, whose edge goes if no other role
 * declares it.
 */
int run_set_input(struct store *store, uint32_t id, struct slice role, struct slice reference,
		  bool keep, const struct cred *cred);
/* What would be declared: the version, and the path below its files/ from its slash on, or "". */
int run_input_resolve(struct store *store, uint32_t id, struct slice reference,
		      const struct cred *cred, struct version *ret, struct buf *ret_path);
/* -ENOENT, -EROFS. The edge goes with the last role that declared it. */
int run_remove_input(struct store *store, uint32_t id, struct slice role);
/* Replaces new_role if that exists, unless keep: -EEXIST. */
int run_rename_input(struct store *store, uint32_t id, struct slice role, struct slice new_role,
		     bool keep);
int run_input_find(struct store *store, uint32_t id, struct slice role, struct input *ret);
/* The first input whose role is greater than after: 1, 0, -errno. */
int run_input_next(struct store *store, uint32_t id, struct slice after, struct input *ret,
		   struct buf *ret_role);

/* What is known of a draft that was logged. */
int run_draft_find(struct store *store, uint32_t id, struct slice name, struct draft *ret);
int run_draft_next(struct store *store, uint32_t id, struct slice after, struct draft *ret,
		   struct buf *ret_name);

#endif
