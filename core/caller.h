/*
 * caller.h - which run whoever calls belongs to.
 *
 * A process belongs to one run: the one in its environment, if it may write in that run, else that
 * of its nearest registered ancestor (core/watch.h); else to none. The answer is remembered for as
 * long as the thread runs the same program and no run or registration changed; that costs two small
 * system calls to see. Everything else reads /proc, including memory of the caller's, and so must
 * not be done by a thread that other requests wait for.
 */
#ifndef CORE_CALLER_H
#define CORE_CALLER_H

#include "artifact.h"

struct caller {
	uint32_t run;	/* 0: none */
	bool unseen;	/* not visible in our pid namespace */
	pid_t pid;	/* of the process, 0 when unseen or gone */
	uint64_t start; /* of the process, clock ticks after boot */
};

struct callers *callers_new(void);
void callers_free(struct callers *callers); /* NULL is fine */

/* The answer, if it is known without reading /proc. cred->pid is the thread. */
bool caller_known(struct store *store, const struct cred *cred, struct caller *ret);
/*
 * Does the calling thread close its files because its process is being killed, and is that this
 * one? The signal, or 0.
 */
int caller_killed_by(const struct cred *cred, const struct caller *process);
/* The answer. */
void caller_find(struct store *store, const struct cred *cred, struct caller *ret);

#endif
