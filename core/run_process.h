/*
 * run_process.h - the processes that were registered with a run: rows that outlive them, and the
 * mark that the run is watched (core/watch.h).
 */
#ifndef CORE_RUN_PROCESS_H
#define CORE_RUN_PROCESS_H

#include "process.h"
#include "run.h"

/* From now on the run is watched. -EROFS: it is not running; -ENOENT. Durable. */
int run_process_add(struct store *store, uint32_t run, const struct process *process);
/* The first one after slot (0: the first): 1, 0, -errno. */
int run_process_next(struct store *store, uint32_t run, uint32_t after, uint32_t *ret_slot,
		     struct process_row *ret);

/* Is cred's process in this group besides its own? For struct cred, which asks when it decides. */
bool cred_in_group(const struct cred *cred, gid_t gid);

#endif
