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

/* Starts a run. -EINVAL bad name, -EEXIST. Durable when it returns. */
int run_create(struct store *store, struct slice name, uid_t uid, gid_t gid, mode_t mode,
	       uint32_t *ret_id);
/* -ENOTEMPTY: it has inputs, outputs or drafts. */
int run_remove(struct store *store, struct slice name);
/* As collection_set_owner(). */
int run_set_owner(struct store *store, uint32_t id, uid_t uid, gid_t gid, mode_t mode);

/* "running", ...; parse: -EINVAL. */
const char *run_state_name(enum run_state state);
int run_state_parse(struct slice text, enum run_state *ret);

/*
 * Changes the state without logging anything: running to failed or crashed, those to running.
 * -EROFS: the run has finished. -EINVAL: not such a change.
 */
int run_set_state(struct store *store, uint32_t id, enum run_state state);

/* Adds the text to ret; nothing was logged yet: adds nothing. */
int run_log_read(struct store *store, uint32_t id, struct buf *ret);
int run_log_write(struct store *store, uint32_t id, struct slice text);

/* In a transaction. */
int run_read(struct kv_txn *txn, uint32_t id, struct run *ret);
int run_write(struct kv_txn *txn, const struct run *run);
/* Whoever ends a run no longer waits for its processes (core/watch.h). */
int run_unwatch(struct kv_txn *txn, uint32_t id);
int run_log_put(struct kv_txn *txn, uint32_t id, struct slice text);

/*
 * Declares an input: role -> what the reference names now. -EINVAL: bad role or not a reference;
 * -ENOENT: names nothing; -EACCES: cred may not read that version; -EEXIST: there is such a role;
 * -EROFS: the run is not running.
 */
int run_declare_input(struct store *store, uint32_t id, struct slice role, struct slice reference,
		      const struct cred *cred);
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
