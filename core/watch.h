/*
 * watch.h - the processes of running runs: which are registered, which descend from them, and what
 * it means when none is left.
 *
 * A process is registered by a row of its run (struct process_row); a run that has such rows, and
 * is running, is watched. A thread of its own waits for the ends of its processes, and once a
 * second takes note of new descendants, so that those whose parents end are known too. When no
 * registered process, descendant, process with the run in its environment, open writing handle nor
 * log under way is left, the run is crashed; what it had logged and its drafts stay. A run without
 * registered processes is never watched: it runs until it is told otherwise.
 *
 * Numbers are those of this process's pid namespace. After a restart of this daemon the rows say
 * whom to watch; after one of the machine nobody lives.
 */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "artifact.h"

struct watch;

/*
 * Starts watching. changed is called after a run was found crashed, from the watch's thread; NULL:
 * nobody wants to know. watch_on_change() waits for a call under way, so changed must not call it.
 */
int watch_start(struct store *store, struct watch **ret);
void watch_stop(struct watch *watch); /* NULL is fine */
void watch_on_change(struct watch *watch, void (*changed)(void *arg, uint32_t run), void *arg);

/*
 * Registers a process with a run. tid is the caller's thread, number what it calls the process in
 * its own pid namespace. -ESRCH: no such process; -EPERM: another user's; -EROFS: the run is not
 * running.
 */
int watch_register(struct watch *watch, uint32_t run, const struct cred *cred, pid_t tid,
		   pid_t number);
/* The state of a run was changed. */
void watch_run_changed(struct watch *watch, uint32_t run);
/* The living processes of a run that are known, a number a line. */
void watch_list(struct watch *watch, uint32_t run, struct buf *ret);

/*
 * The run of the nearest registered ancestor, or of the process itself: its id, or 0. A process
 * whose ancestors are gone belongs to the run that it was seen to descend from.
 */
uint32_t watch_run_of(struct watch *watch, pid_t pid);
/* What the environment of a process says of its run: the run's id, or 0. */
uint32_t run_in_environment(struct store *store, const struct cred *cred,
			    const struct buf *environment);
/* This process has the run in its environment: while it lives, the run does. */
void watch_note(struct watch *watch, uint32_t run, pid_t pid, uint64_t start);
#endif
