#include "watch.h"

#include "draft.h"
#include "log.h"
#include "process.h"
#include "run_process.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

/* Which run a process belongs to, and of which store that is, if it says so. */
#define RUN_VARIABLE "LINEAGEFS_RUN"
#define STORE_VARIABLE "LINEAGEFS_STORE"

/* How often new descendants are looked for, and a run without processes is looked at again. */
#define ROUND_MS 1000
/* After nobody was found, once more: a fork may have been under way. */
#define AGAIN_MS 200
#define BUCKETS 1024
/* Ancestors that are asked for, at most. */
#define CHAIN_MAX 256

struct member {
	struct member *next;	 /* of its run */
	struct member *next_pid; /* in watch.by_pid */
	struct watched *run;
	pid_t pid;
	uint64_t start;
	int fd; /* a pidfd: readable at its end; -1: looked at every round */
	bool registered;
	bool descends; /* from a registered one; else it was seen with the run in its environment */
};

struct watched {
	struct watched *next;
	uint32_t run;
	struct member *members;
	unsigned empty; /* times in a row that nobody was found */
	bool rebooted;	/* it has processes of before the machine was started */
	pid_t last;	/* the process that went last; 0: none was here since the store is open */
};

struct watch {
	struct store *store;
	pthread_t thread;
	bool started;
	/*
	 * Held while a process becomes a member of a run, and while a run without any is set
	 * crashed: one of the two is first. Outside all other locks.
	 */
	pthread_mutex_t joining;
	int epoll, wake;
	int64_t searched; /* when, the last time, in ms: of the thread */
	pthread_mutex_t lock; /* of what follows; no environment is read under it */
	struct watched *runs;
	struct member *by_pid[BUCKETS];
	bool stop;
	pthread_mutex_t telling; /* of what follows; held while it is called, without any other */
	void (*changed)(void *arg, uint32_t run);
	void *changed_arg;
};

static void wake(struct watch *w)
{
	uint64_t one = 1;

	if (write(w->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_errno(-errno, "waking the watch over processes");
}

static struct watched *find_run(struct watch *w, uint32_t run)
{
	struct watched *r = w->runs;

	while (r && r->run != run)
		r = r->next;
	return r;
}

static struct member **bucket(struct watch *w, pid_t pid)
{
	return &w->by_pid[(unsigned)pid % BUCKETS];
}

static struct member *find_member(struct watch *w, const struct watched *r, pid_t pid,
				  uint64_t start)
{
	struct member *m = *bucket(w, pid);

	while (m && !(m->run == r && m->pid == pid && m->start == start))
		m = m->next_pid;
	return m;
}

/* Its links to the run are the caller's. */
static void member_free(struct watch *w, struct member *m)
{
	struct member **at = bucket(w, m->pid);

	while (*at != m)
		at = &(*at)->next_pid;
	*at = m->next_pid;
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

static int open_pidfd(struct watch *w, pid_t pid, uint64_t start)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -1;
	/* Of another process, if ours has ended since it was read. */
	if (!process_lives(pid, start) || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* With the lock held. What is known already only learns more of itself. */
static void add_member(struct watch *w, struct watched *r, const struct process *p,
		       bool registered, bool descends)
{
	struct member *m = find_member(w, r, p->pid, p->start);

	if (!m) {
		m = xcalloc(1, sizeof(*m));
		m->run = r;
		m->pid = p->pid;
		m->start = p->start;
		m->fd = open_pidfd(w, p->pid, p->start);
		m->next = r->members;
		r->members = m;
		m->next_pid = *bucket(w, p->pid);
		*bucket(w, p->pid) = m;
	}
	m->registered |= registered;
	m->descends |= descends;
	r->empty = 0;
}

static void drop_run(struct watch *w, uint32_t run)
{
	struct watched **at = &w->runs;

	while (*at && (*at)->run != run)
		at = &(*at)->next;
	if (*at) {
		struct watched *r = *at;

		*at = r->next;
		for (struct member *m = r->members, *next; m; m = next) {
			next = m->next;
			member_free(w, m);
		}
		free(r);
	}
}

static struct watched *add_run(struct watch *w, uint32_t run)
{
	struct watched *r = find_run(w, run);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->run = run;
		r->next = w->runs;
		w->runs = r;
	}
	return r;
}

static bool member_lives(const struct member *m)
{
	struct pollfd poll_fd = { .fd = m->fd, .events = POLLIN };

	if (m->fd >= 0)
		return poll(&poll_fd, 1, 0) == 0;
	return process_lives(m->pid, m->start);
}

/* Forgets the dead; is anybody left? With the lock held. */
static bool prune(struct watch *w, struct watched *r)
{
	struct member **at = &r->members;

	while (*at) {
		struct member *m = *at;

		if (member_lives(m)) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		r->last = m->pid;
		member_free(w, m);
	}
	return r->members != NULL;
}

/* One look at all processes of the machine: who descends from whom. */
struct census {
	struct process *list;
	size_t count, cap;
};

static int count_process(void *arg, pid_t pid)
{
	struct census *c = arg;
	struct process p;

	if (process_read(pid, &p) < 0 || p.zombie)
		return 0;
	c->list = xgrow(c->list, &c->cap, c->count + 1, sizeof(p));
	c->list[c->count++] = p;
	return 0;
}

static void census_release(struct census *c)
{
	free(c->list);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;

	return (x > y) - (x < y);
}

static const struct process *find_process(const struct census *c, pid_t pid)
{
	struct process key = { .pid = pid };

	return bsearch(&key, c->list, c->count, sizeof(key), by_pid);
}

/* The nearest ancestor that is a member hands its runs on. With the lock held. */
static void adopt(struct watch *w, const struct census *c, const struct process *p)
{
	const struct process *up = p;
	bool found = false;

	for (unsigned depth = 0; !found && depth < CHAIN_MAX; depth++) {
		up = up->parent > 1 ? find_process(c, up->parent) : NULL;
		if (!up)
			return;
		for (struct member *m = *bucket(w, up->pid); m; m = m->next_pid) {
			if (m->pid != up->pid || m->start != up->start ||
			    !(m->registered || m->descends))
				continue;
			found = true;
			add_member(w, m->run, p, false, true);
		}
	}
}

static void take_census(struct watch *w)
{
	AUTO(census_release) struct census c = { 0 };

	process_each(count_process, &c);
	if (c.count)
		qsort(c.list, c.count, sizeof(*c.list), by_pid);
	LOCKED(&w->lock);
	for (size_t i = 0; i < c.count; i++)
		adopt(w, &c, &c.list[i]);
}

uint32_t run_in_environment(struct store *store, const struct cred *cred,
			    const struct buf *environment)
{
	AUTO(run_release) struct run run = { 0 };
	const char *name = environment_value(environment, RUN_VARIABLE);
	const char *of = environment_value(environment, STORE_VARIABLE);

	if (!name || (of && strcmp(of, store->id) != 0) ||
	    run_find(store, slice_str(name), &run) < 0 ||
	    !cred_may(cred, run.uid, run.gid, run.mode, 2))
		return 0;
	return run.id;
}

/* Processes that have one of the runs in their environment become members. */
struct search {
	struct watch *watch;
	const uint32_t *runs;
	size_t count;
};

static int look_at(void *arg, pid_t pid)
{
	AUTO(buf_release) struct buf environment = BUF_INIT;
	struct search *s = arg;
	struct cred cred = { .pid = pid, .in_group = cred_in_group };
	struct process p;
	uint32_t run;

	if (process_environment(pid, &environment) < 0 || process_read(pid, &p) < 0 || p.zombie)
		return 0;
	cred.uid = p.uid;
	cred.gid = p.gid;
	run = run_in_environment(s->watch->store, &cred, &environment);
	for (size_t i = 0; i < s->count; i++)
		if (s->runs[i] == run)
			watch_note(s->watch, run, p.pid, p.start);
	return 0;
}

/* By open handles, or by a log under way, which may be that of its finish. */
static bool is_written(struct store *store, uint32_t run)
{
	struct draft_area *area;
	bool any;

	if (draft_area_get(store, run, &area) < 0)
		return false;
	pthread_mutex_lock(&area->mutex);
	any = area->writers != NULL || area->progress.active;
	pthread_mutex_unlock(&area->mutex);
	draft_area_put(area);
	return any;
}

/* Owned. */
static char *why_crashed(pid_t last, bool rebooted)
{
	if (last)
		return xasprintf("its last process, %d, ended without saying how", (int)last);
	return xstrdup(rebooted ? "the machine was restarted" :
				  "its processes ended while the store was not open");
}

static bool is_alone(struct watch *w, uint32_t run)
{
	LOCKED(&w->lock);
	const struct watched *r = find_run(w, run);

	return r && !r->members;
}

/* -ECANCELED: somebody has joined it, or it is not watched any more. */
static int end_alone(struct watch *w, uint32_t run, const struct run_end *end)
{
	LOCKED(&w->joining);
	return is_alone(w, run) ? run_set_ended(w->store, run, RUN_CRASHED, end) : -ECANCELED;
}

static void tell(struct watch *w, uint32_t run)
{
	LOCKED(&w->telling);
	if (w->changed)
		w->changed(w->changed_arg, run);
}

static void crash(struct watch *w, const struct run *run, pid_t last, bool rebooted)
{
	autofree char *reason = why_crashed(last, rebooted);
	const struct run_end end = { .reason = reason };
	int err = end_alone(w, run->id, &end);

	if (err == -ECANCELED)
		return;
	if (err < 0 && err != -EROFS && err != -EINVAL) {
		log_errno(err, "marking run %s as crashed", run->name);
		return;
	}
	if (err == 0)
		log_info("run %s crashed: %s", run->name, reason);
	pthread_mutex_lock(&w->lock);
	drop_run(w, run->id);
	pthread_mutex_unlock(&w->lock);
	if (err == 0)
		tell(w, run->id);
}

/* Does a run whose known processes are all gone need a search? */
static bool may_be_crashed(struct watch *w, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };

	if (run_get(w->store, id, &run) == 0 && run.state == RUN_RUNNING)
		return !is_written(w->store, id);
	LOCKED(&w->lock);
	drop_run(w, id);
	return false;
}

/* After a search: is the run crashed? True: look again soon. */
static bool judge(struct watch *w, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };
	struct watched *r;
	unsigned empty = 0;
	bool rebooted = false;
	pid_t last = 0;

	/* Asked again: who was found last may have opened a file. */
	if (run_get(w->store, id, &run) < 0 || is_written(w->store, id))
		return false;
	pthread_mutex_lock(&w->lock);
	r = find_run(w, id);
	if (r && !r->members) {
		empty = ++r->empty;
		last = r->last;
		rebooted = r->rebooted;
	}
	pthread_mutex_unlock(&w->lock);
	if (empty > 1)
		crash(w, &run, last, rebooted);
	return empty == 1;
}

/*
 * Looks at every run that has nobody left. Milliseconds until the next look. Environments are read
 * once for all of them, and not again for AGAIN_MS, however many processes end.
 */
static int round_of(struct watch *w)
{
	autofree uint32_t *alone = NULL;
	struct search search = { .watch = w };
	size_t count = 0, cap = 0;
	int64_t elapsed;
	bool soon = false, any;

	pthread_mutex_lock(&w->lock);
	for (struct watched *r = w->runs; r; r = r->next) {
		if (prune(w, r))
			continue;
		alone = xgrow(alone, &cap, count + 1, sizeof(*alone));
		alone[count++] = r->run;
	}
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < count; i++)
		if (may_be_crashed(w, alone[i]))
			alone[search.count++] = alone[i];
	elapsed = monotonic_ms() - w->searched;
	if (search.count && elapsed < AGAIN_MS)
		return (int)(AGAIN_MS - elapsed);
	if (search.count) {
		search.runs = alone;
		w->searched = monotonic_ms();
		process_each(look_at, &search);
	}
	for (size_t i = 0; i < search.count; i++)
		soon |= judge(w, alone[i]);
	LOCKED(&w->lock);
	any = w->runs != NULL;
	return soon ? AGAIN_MS : any ? ROUND_MS : -1;
}

static void *run_watch(void *arg)
{
	struct watch *w = arg;
	int64_t last = 0;
	int timeout = 0;

	for (;;) {
		struct epoll_event events[16];
		uint64_t count;

		if (epoll_wait(w->epoll, events, ARRAY_SIZE(events), timeout) < 0 && errno != EINTR)
			return NULL;
		if (read(w->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
			return NULL;
		pthread_mutex_lock(&w->lock);
		if (w->stop)
			break;
		pthread_mutex_unlock(&w->lock);
		timeout = round_of(w);
		if (timeout >= 0 && monotonic_ms() - last >= ROUND_MS) {
			last = monotonic_ms();
			take_census(w);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* The rows of a run from a slot on: whoever of them lives is a member. */
static int load_members(struct watch *w, uint32_t run, uint32_t from)
{
	uint32_t slot = from - 1;
	int more;

	for (;;) {
		AUTO(process_row_release) struct process_row row = { 0 };
		struct process p;

		more = run_process_next(w->store, run, slot, &slot, &row);
		if (more <= 0)
			return more;
		if (strcmp(row.boot, process_boot_id()) != 0) {
			LOCKED(&w->lock);
			add_run(w, run)->rebooted = true;
			continue;
		}
		if (row.space != process_namespace() ||
		    process_read((pid_t)row.pid, &p) < 0 || p.pid != (pid_t)row.pid ||
		    p.start != row.start || p.zombie)
			continue;
		LOCKED(&w->lock);
		add_member(w, add_run(w, run), &p, true, true);
	}
}

/* Runs that were watched when the store was last open. */
static int load(struct watch *w)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(w->store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('Q')), slice("", 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint32_t run = key_u32_at(key, 1);
		uint64_t slot;

		if (decode_u64(value, &slot) < 0)
			return -EIO;
		add_run(w, run);
		more = load_members(w, run, (uint32_t)slot);
	}
	return more;
}

int watch_start(struct store *store, struct watch **ret)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	struct epoll_event event = { .events = EPOLLIN };
	int err = 0;

	w->store = store;
	pthread_mutex_init(&w->joining, NULL);
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->telling, NULL);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->wake < 0 ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &event) < 0)
		err = log_errno(-errno, "watching processes");
	if (err == 0)
		err = load(w);
	if (err == 0)
		err = -pthread_create(&w->thread, NULL, run_watch, w);
	w->started = err == 0;
	if (err < 0) {
		watch_stop(w);
		return err;
	}
	*ret = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_mutex_unlock(&w->lock);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	while (w->runs)
		drop_run(w, w->runs->run);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->wake >= 0)
		close(w->wake);
	pthread_mutex_destroy(&w->telling);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->joining);
	free(w);
}

void watch_on_change(struct watch *w, void (*changed)(void *arg, uint32_t run), void *arg)
{
	LOCKED(&w->telling);
	w->changed = changed;
	w->changed_arg = arg;
}

static int join_run(struct watch *w, uint32_t run, const struct process *p)
{
	LOCKED(&w->joining);
	int err = run_process_add(w->store, run, p);

	if (err < 0)
		return err;
	pthread_mutex_lock(&w->lock);
	add_member(w, add_run(w, run), p, true, true);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

int watch_register(struct watch *w, uint32_t run, const struct cred *cred, pid_t tid,
		   pid_t number)
{
	struct process p;
	pid_t pid;
	int err = process_translate(tid, number, &pid);

	if (err == 0)
		err = process_read(pid, &p);
	if (err == 0 && (p.pid != pid || p.zombie))
		err = -ESRCH;
	if (err == 0 && cred->uid != 0 && cred->uid != p.uid)
		err = -EPERM;
	if (err == 0)
		err = join_run(w, run, &p);
	if (err < 0)
		return err;
	atomic_fetch_add(&w->store->run_generation, 1);
	wake(w);
	return 0;
}

void watch_run_changed(struct watch *w, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };
	bool running = run_get(w->store, id, &run) == 0 && run.state == RUN_RUNNING;

	LOCKED(&w->lock);
	if (!running)
		drop_run(w, id);
}

void watch_list(struct watch *w, uint32_t run, struct buf *ret)
{
	LOCKED(&w->lock);
	struct watched *r = find_run(w, run);

	for (struct member *m = r ? r->members : NULL; m; m = m->next)
		if (member_lives(m))
			buf_printf(ret, "%d\n", (int)m->pid);
}

/*
 * The run that the process was registered with, or else was seen to descend from: the latest, which
 * is the innermost. With the lock held.
 */
static uint32_t run_of_member(struct watch *w, const struct process *p, bool registered)
{
	uint32_t found = 0;

	for (const struct member *m = *bucket(w, p->pid); m; m = m->next_pid)
		if (m->pid == p->pid && m->start == p->start &&
		    (registered ? m->registered : m->descends) && m->run->run > found)
			found = m->run->run;
	return found;
}

static bool watches_anything(struct watch *w)
{
	LOCKED(&w->lock);
	return w->runs != NULL;
}

uint32_t watch_run_of(struct watch *w, pid_t pid)
{
	struct process chain[CHAIN_MAX];
	size_t count = 0;
	uint32_t found = 0;

	if (!watches_anything(w))
		return 0;
	while (count < ARRAY_SIZE(chain) && pid > 1 && process_read(pid, &chain[count]) == 0)
		pid = chain[count++].parent;
	LOCKED(&w->lock);
	for (size_t i = 0; found == 0 && i < count; i++)
		found = run_of_member(w, &chain[i], true);
	for (size_t i = 0; found == 0 && i < count; i++)
		found = run_of_member(w, &chain[i], false);
	return found;
}

void watch_note(struct watch *w, uint32_t run, pid_t pid, uint64_t start)
{
	struct process p = { .pid = pid, .start = start };
	struct watched *r;

	LOCKED(&w->lock);
	r = find_run(w, run);
	if (r)
		add_member(w, r, &p, false, false);
}
