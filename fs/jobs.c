#include "jobs.h"

#include "core/log.h"

void jobs_init(struct jobs *jobs)
{
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->idle, NULL);
	jobs->first = NULL;
}

void jobs_release(struct jobs *jobs)
{
	pthread_cond_destroy(&jobs->idle);
	pthread_mutex_destroy(&jobs->lock);
}

static void end(struct job *job)
{
	struct jobs *jobs = job->jobs;

	LOCKED(&jobs->lock);
	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	free(job);
	if (!jobs->first)
		pthread_cond_broadcast(&jobs->idle);
}

static void *run(void *arg)
{
	struct job *job = arg;

	job->run(job);
	end(job);
	return NULL;
}

void jobs_start(struct jobs *jobs, struct job *job, void (*work)(struct job *job))
{
	pthread_attr_t detached;
	pthread_t thread;
	int err;

	job->jobs = jobs;
	job->run = work;
	job->interrupted = false;
	job->link = &jobs->first;
	pthread_mutex_lock(&jobs->lock);
	job->next = jobs->first;
	if (job->next)
		job->next->link = &job->next;
	jobs->first = job;
	pthread_mutex_unlock(&jobs->lock);

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &detached, run, job);
	pthread_attr_destroy(&detached);
	if (err) {
		log_errno(-err, "no thread for a slow request");
		run(job);
	}
}

void job_interrupt(struct job *job)
{
	__atomic_store_n(&job->interrupted, true, __ATOMIC_RELAXED);
}

void jobs_finish(struct jobs *jobs)
{
	LOCKED(&jobs->lock);
	for (struct job *job = jobs->first; job; job = job->next)
		job_interrupt(job);
	while (jobs->first)
		pthread_cond_wait(&jobs->idle, &jobs->lock);
}
