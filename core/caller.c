#include "caller.h"

#include "process.h"
#include "watch.h"

#include <sys/resource.h>

#define SHARDS 64
/* Remembered callers in a shard, at most; each has two descriptors. */
#define SHARD_MAX 64

struct remembered {
	pid_t tid; /* 0: free */
	uid_t uid;
	gid_t gid;
	unsigned generation;
	struct process_mark mark;
	struct caller caller;
};

struct callers {
	size_t per_shard;
	struct shard {
		pthread_mutex_t lock;
		size_t hand; /* the next to go */
		struct remembered list[SHARD_MAX];
	} shards[SHARDS];
};

struct callers *callers_new(void)
{
	struct callers *c = xcalloc(1, sizeof(*c));
	struct rlimit limit = { .rlim_cur = 1024 };

	getrlimit(RLIMIT_NOFILE, &limit);
	/* A quarter of the descriptors there are. */
	c->per_shard = limit.rlim_cur / 4 / 2 / SHARDS;
	if (c->per_shard > SHARD_MAX)
		c->per_shard = SHARD_MAX;
	if (c->per_shard == 0)
		c->per_shard = 1;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	return c;
}

void callers_free(struct callers *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t k = 0; k < c->per_shard; k++)
			if (c->shards[i].list[k].tid)
				process_mark_release(&c->shards[i].list[k].mark);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct shard *shard_of(struct callers *c, pid_t tid)
{
	return &c->shards[(unsigned)tid % SHARDS];
}

static struct remembered *find(struct callers *c, struct shard *s, pid_t tid)
{
	for (size_t i = 0; i < c->per_shard; i++)
		if (s->list[i].tid == tid)
			return &s->list[i];
	return NULL;
}

bool caller_known(struct store *store, const struct cred *cred, struct caller *ret)
{
	struct callers *c = store->callers;
	struct shard *s = shard_of(c, cred->pid);
	const struct remembered *r;

	if (cred->pid <= 0) {
		*ret = (struct caller){ .unseen = true };
		return true;
	}
	LOCKED(&s->lock);
	r = find(c, s, cred->pid);
	if (!r || r->uid != cred->uid || r->gid != cred->gid ||
	    r->generation != atomic_load(&store->run_generation) || !process_is_marked(&r->mark))
		return false;
	*ret = r->caller;
	return true;
}

/* A free place, that of somebody who is gone, or the next in turn. */
static struct remembered *make_room(struct callers *c, struct shard *s)
{
	struct remembered *r = find(c, s, 0);

	for (size_t i = 0; !r && i < c->per_shard; i++)
		if (!process_is_marked(&s->list[i].mark))
			r = &s->list[i];
	if (!r) {
		r = &s->list[s->hand];
		s->hand = (s->hand + 1) % c->per_shard;
	}
	if (r->tid)
		process_mark_release(&r->mark);
	return r;
}

static void remember(struct store *store, const struct remembered *fresh)
{
	struct callers *c = store->callers;
	struct shard *s = shard_of(c, fresh->tid);
	struct remembered *r;

	LOCKED(&s->lock);
	r = find(c, s, fresh->tid);
	if (r)
		process_mark_release(&r->mark);
	else
		r = make_room(c, s);
	*r = *fresh;
}

/* The run, by the rules. */
static uint32_t run_of(struct store *store, const struct cred *cred, const struct process *p)
{
	AUTO(buf_release) struct buf environment = BUF_INIT;
	uint32_t run = 0;

	if (process_environment(cred->pid, &environment) == 0)
		run = run_in_environment(store, cred, &environment);
	if (run == 0)
		return watch_run_of(store->watch, p->pid);
	watch_note(store->watch, run, p->pid, p->start);
	return run;
}

void caller_find(struct store *store, const struct cred *cred, struct caller *ret)
{
	struct remembered fresh = { .tid = cred->pid, .uid = cred->uid, .gid = cred->gid };
	struct process p;
	bool marked;

	if (caller_known(store, cred, ret))
		return;
	/* Both before anything is read: what changes meanwhile makes the answer old. */
	fresh.generation = atomic_load(&store->run_generation);
	marked = process_mark(cred->pid, &fresh.mark) == 0;
	if (process_read(cred->pid, &p) < 0) {
		if (marked)
			process_mark_release(&fresh.mark);
		*ret = (struct caller){ .unseen = true };
		return;
	}
	fresh.caller = (struct caller){
		.run = run_of(store, cred, &p),
		.pid = p.pid,
		.start = p.start,
	};
	*ret = fresh.caller;
	if (marked)
		remember(store, &fresh);
}

int caller_killed_by(const struct cred *cred, const struct caller *process)
{
	struct process p;

	/*
	 * That its memory is still there says nothing: who reads the process's /proc/<pid>/smaps
	 * or environ keeps it while the files go.
	 */
	if (process->pid == 0 || process_read(cred->pid, &p) < 0)
		return 0;
	if (!p.exiting || p.pid != process->pid || p.start != process->start)
		return 0;
	return p.exit_status & 0x7f;
}
