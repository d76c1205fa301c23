/*
 * jobs.h - work that may take long (hashing, waiting for a file to be released), each piece on a
 * detached thread of its own, so that the threads that serve other requests stay free.
 */
#ifndef FS_JOBS_H
#define FS_JOBS_H

#include "core/base.h"

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct job *first;
};

/* Embedded as the first member of what was allocated by malloc(). */
struct job {
	struct job *next, **link;
	struct jobs *jobs;
	void (*run)(struct job *job);
	bool interrupted; /* somebody no longer wants it done: read and written atomically */
};

void jobs_init(struct jobs *jobs);
void jobs_release(struct jobs *jobs); /* after jobs_finish() */

/* Runs job and frees it. Without threads to be had, before this returns. */
void jobs_start(struct jobs *jobs, struct job *job, void (*run)(struct job *job));
void job_interrupt(struct job *job);
/* Interrupts all jobs and waits for their end. None may be started any more. */
void jobs_finish(struct jobs *jobs);

#endif
