#include "ahead.h"

#include <assert.h>
#include <unistd.h>

/* What one thread takes at once: worth waking it, not worth waiting for. */
#define JOB_FILES 32
#define JOB_BYTES (1u << 20)
/* So many jobs, begun or done, before the one that is wanted. */
#define JOBS_AHEAD 16
#define THREADS_MAX 15

struct ahead_job {
	struct ahead_job *next;	  /* of the same directory */
	struct ahead_job *behind; /* in the queue */
	enum { JOB_QUEUED, JOB_BEGUN, JOB_DONE } state;
	size_t count, taken;
	size_t looked; /* so many were found out about; the next one, if any, failed */
	struct look looks[JOB_FILES];
};

struct ahead {
	const struct scan *scan;
	struct looker looker; /* the walker's */
	size_t given; /* jobs that are not taken */
	pthread_t threads[THREADS_MAX];
	unsigned wanted, started; /* threads */

	pthread_mutex_t lock; /* of what follows, and of the states of jobs */
	pthread_cond_t work, done;
	struct ahead_job *queue, **queue_end;
	bool ended;
};

/* Asked for once: the answer is in a file of /sys. */
static long cores;
static pthread_once_t cores_once = PTHREAD_ONCE_INIT;

static void count_cores(void)
{
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (cores < 1)
		cores = 1;
}

struct ahead *ahead_new(const struct scan *s)
{
	struct ahead *a = xcalloc(1, sizeof(*a));

	a->scan = s;
	looker_init(&a->looker, s);
	pthread_once(&cores_once, count_cores);
	a->wanted = cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores - 1;
	a->queue_end = &a->queue;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->done, NULL);
	return a;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	assert(a->given == 0);
	pthread_mutex_lock(&a->lock);
	a->ended = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->started; i++)
		pthread_join(a->threads[i], NULL);
	looker_release(&a->looker);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->done);
	free(a);
}

/* Up to the first failure: after it nothing may be wanted any more. */
static void do_job(struct looker *l, struct ahead_job *job)
{
	for (; job->looked < job->count; job->looked++) {
		look_at(l, &job->looks[job->looked]);
		if (job->looks[job->looked].err < 0)
			break;
	}
}

/* Lock held. */
static void begin_job(struct ahead *a, struct ahead_job *job)
{
	struct ahead_job **at = &a->queue;

	while (*at != job)
		at = &(*at)->behind;
	*at = job->behind;
	if (!*at)
		a->queue_end = at;
	job->state = JOB_BEGUN;
}

static void *work(void *arg)
{
	struct ahead *a = arg;
	struct looker looker;

	looker_init(&looker, a->scan);
	pthread_mutex_lock(&a->lock);
	for (;;) {
		struct ahead_job *job;

		while (!a->queue && !a->ended)
			pthread_cond_wait(&a->work, &a->lock);
		if (a->ended)
			break;
		job = a->queue;
		begin_job(a, job);
		pthread_mutex_unlock(&a->lock);
		do_job(&looker, job);
		pthread_mutex_lock(&a->lock);
		job->state = JOB_DONE;
		pthread_cond_signal(&a->done);
	}
	pthread_mutex_unlock(&a->lock);
	looker_release(&looker);
	return NULL;
}

static void start_threads(struct ahead *a)
{
	while (a->started < a->wanted) {
		if (pthread_create(&a->threads[a->started], NULL, work, a) != 0) {
			a->wanted = a->started;
			return;
		}
		a->started++;
	}
}

/* The next files of a directory; NULL: there are no more. */
static struct ahead_job *next_job(struct ahead_walk *w)
{
	struct ahead_job *job = NULL;
	uint64_t bytes = 0;

	for (; w->next < w->count; w->next++) {
		const struct ahead_item *item = &w->items[w->next];

		if (!S_ISREG(item->st.st_mode))
			continue;
		if (job && (job->count == JOB_FILES || bytes >= JOB_BYTES))
			break;
		if (!job)
			job = xcalloc(1, sizeof(*job));
		job->looks[job->count++] = (struct look){
			.directory = w->directory, .name = item->name, .st = item->st, .fd = -1,
		};
		bytes += (uint64_t)item->st.st_size;
	}
	return job;
}

/* Gives to others what the bound allows, and to nobody what is wanted now. */
static void give_jobs(struct ahead_walk *w)
{
	struct ahead *a = w->ahead;

	while (!w->first || (a->wanted > 0 && a->given < JOBS_AHEAD)) {
		struct ahead_job *job = next_job(w);

		if (!job)
			return;
		if (w->first)
			w->last->next = job;
		else
			w->first = job;
		w->last = job;
		a->given++;
		if (w->first != job)
			start_threads(a);
		LOCKED(&a->lock);
		*a->queue_end = job;
		a->queue_end = &job->behind;
		if (w->first != job)
			pthread_cond_signal(&a->work);
	}
}

/* Done by others, or by nobody: then it is the walker's. */
static void await_job(struct ahead *a, struct ahead_job *job)
{
	bool mine;

	pthread_mutex_lock(&a->lock);
	mine = job->state == JOB_QUEUED;
	if (mine)
		begin_job(a, job);
	while (!mine && job->state != JOB_DONE)
		pthread_cond_wait(&a->done, &a->lock);
	pthread_mutex_unlock(&a->lock);
	job->state = JOB_DONE;
}

static void drop_first(struct ahead_walk *w)
{
	struct ahead_job *job = w->first;

	for (size_t i = 0; i < job->count; i++)
		look_release(w->ahead->scan, &job->looks[i]);
	w->first = job->next;
	w->ahead->given--;
	free(job);
}

struct look *ahead_take(struct ahead_walk *w)
{
	struct look *look;

	if (w->first && w->first->taken == w->first->count)
		drop_first(w);
	give_jobs(w);
	assert(w->first);
	await_job(w->ahead, w->first);
	look = &w->first->looks[w->first->taken];
	/* What failed ahead of its turn may be well now: a writer has closed it. */
	if (w->first->taken == w->first->looked) {
		look_again(look);
		do_job(&w->ahead->looker, w->first);
	}
	w->first->taken++;
	look->counted = 0;
	return look;
}

void ahead_end(struct ahead_walk *w)
{
	while (w->first) {
		await_job(w->ahead, w->first);
		drop_first(w);
	}
}
