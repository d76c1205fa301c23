#include "draft.h"

#include "borrow.h"
#include "directory.h"
#include "log.h"
#include "reap.h"
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

/* How long a writer whose close(2) was seen may take to be released. */
#define SETTLE_SECONDS 1

static void area_name(uint32_t run, char ret[static 16])
{
	snprintf(ret, 16, "%08x", run);
}

/* Where the drafts of a run are until they are removed. */
static void gone_name(uint32_t run, char ret[static 32])
{
	snprintf(ret, 32, "gone.%08x", run);
}

static int make_directory(struct store *store, const char *name)
{
	if (mkdirat(store->drafts, name, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "making drafts/%s", name);
	return 0;
}

int draft_area_make(struct store *store, uint32_t run)
{
	char name[16];
	int err;

	area_name(run, name);
	err = make_directory(store, name);
	if (err == 0 && fsync(store->drafts) < 0)
		err = log_errno(-errno, "syncing drafts/");
	return err;
}

int draft_area_unmake(struct store *store, uint32_t run)
{
	char name[16];

	area_name(run, name);
	if (unlinkat(store->drafts, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return errno == EEXIST ? -ENOTEMPTY : -errno;
	return 0;
}

static int area_open(struct store *store, uint32_t run_id, struct draft_area **ret)
{
	AUTO(run_release) struct run run = { 0 };
	pthread_rwlockattr_t prefer;
	struct draft_area *area;
	char name[16];
	int fd, err = run_get(store, run_id, &run);

	if (err < 0 || run.state == RUN_FINISHED)
		return err < 0 ? err : -ENOENT;
	area_name(run_id, name);
	fd = openat(store->drafts, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A crash, or the sweep of a run that failed, may have taken it. */
	if (fd < 0 && errno == ENOENT) {
		err = make_directory(store, name);
		if (err < 0)
			return err;
		fd = openat(store->drafts, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return log_errno(-errno, "opening drafts/%s", name);
	area = xcalloc(1, sizeof(*area));
	area->store = store;
	area->run = run_id;
	area->fd = fd;
	area->phase = run.state == RUN_RUNNING ? DRAFT_OPEN : DRAFT_READONLY;
	/* Readers come without end while a job writes; a freeze must get its turn. */
	pthread_rwlockattr_init(&prefer);
	pthread_rwlockattr_setkind_np(&prefer, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&area->lock, &prefer);
	pthread_rwlockattr_destroy(&prefer);
	pthread_mutex_init(&area->logging, NULL);
	pthread_mutex_init(&area->mutex, NULL);
	pthread_cond_init(&area->closed, NULL);
	*ret = area;
	return 0;
}

int draft_area_get(struct store *store, uint32_t run, struct draft_area **ret)
{
	LOCKED(&store->area_lock);
	struct draft_area *area;
	int err;

	for (area = store->areas; area && area->run != run; area = area->next)
		;
	if (area && area->phase == DRAFT_GONE)
		return -ENOENT;
	if (!area) {
		err = area_open(store, run, &area);
		if (err < 0)
			return err;
		area->next = store->areas;
		store->areas = area;
	}
	area->references++;
	*ret = area;
	return 0;
}

void draft_area_hold(struct draft_area *area)
{
	LOCKED(&area->store->area_lock);
	area->references++;
}

void draft_area_put(struct draft_area *area)
{
	struct store *store = area->store;
	LOCKED(&store->area_lock);
	struct draft_area **at = &store->areas;

	if (--area->references > 0)
		return;
	while (*at != area)
		at = &(*at)->next;
	*at = area->next;
	close(area->fd);
	pthread_rwlock_destroy(&area->lock);
	pthread_mutex_destroy(&area->logging);
	pthread_mutex_destroy(&area->mutex);
	pthread_cond_destroy(&area->closed);
	free(area);
}

bool draft_progress(struct store *store, uint32_t run, uint64_t *ret_files, uint64_t *ret_bytes)
{
	LOCKED(&store->area_lock);
	struct draft_area *area;

	for (area = store->areas; area && area->run != run; area = area->next)
		;
	if (!area || !area->progress.active)
		return false;
	*ret_files = area->progress.files;
	*ret_bytes = area->progress.bytes;
	return true;
}

void draft_progress_begin(struct draft_area *area)
{
	area->progress.files = 0;
	area->progress.bytes = 0;
	area->progress.active = true;
}

void draft_progress_end(struct draft_area *area)
{
	area->progress.active = false;
}

struct draft_top *draft_top_get(struct draft_area *area, const char *name)
{
	struct draft_top *top;

	LOCKED(&area->mutex);
	for (top = area->tops; top && strcmp(top->name, name) != 0; top = top->next)
		;
	if (!top) {
		top = xcalloc(1, sizeof(*top));
		top->area = area;
		top->name = xstrdup(name);
		top->next = area->tops;
		area->tops = top;
	}
	top->references++;
	return top;
}

void draft_top_hold(struct draft_top *top)
{
	LOCKED(&top->area->mutex);
	top->references++;
}

void draft_top_put(struct draft_top *top)
{
	struct draft_area *area = top->area;
	struct draft_top **at = &area->tops;

	LOCKED(&area->mutex);
	if (--top->references > 0)
		return;
	while (*at != top)
		at = &(*at)->next;
	*at = top->next;
	free(top->touched);
	free(top->name);
	free(top);
}

/* Longer than any name may be, so that nothing in a directory is ever meant by it. */
static const char nowhere[] = {
	[0 ... 299] = '#', [300] = '\0',
};

void draft_top_rename(struct draft_area *area, const char *name, const char *new_name,
		      bool exchange)
{
	LOCKED(&area->mutex);
	for (struct draft_top *top = area->tops; top; top = top->next) {
		const char *to = NULL;

		if (!strcmp(top->name, name))
			to = new_name;
		else if (!strcmp(top->name, new_name))
			to = exchange ? name : nowhere;
		if (!to)
			continue;
		free(top->name);
		top->name = xstrdup(to);
	}
}

/* Where the inode is in the table, or would be. */
static struct draft_touched *touched_slot(const struct draft_top *top, ino_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) & (top->touched_cap - 1);

	while (top->touched[i].ino != 0 && top->touched[i].ino != ino)
		i = (i + 1) & (top->touched_cap - 1);
	return &top->touched[i];
}

static void grow_touched(struct draft_top *top)
{
	struct draft_touched *old = top->touched;
	size_t n = top->touched_cap;

	top->touched_cap = n ? n * 2 : 64;
	top->touched = xcalloc(top->touched_cap, sizeof(*old));
	for (size_t i = 0; i < n; i++)
		if (old[i].ino != 0)
			*touched_slot(top, old[i].ino) = old[i];
	free(old);
}

void draft_touch(struct draft_top *top, ino_t ino)
{
	struct draft_touched *slot;

	LOCKED(&top->area->mutex);
	top->touches++;
	if (top->watchers == 0 || ino == 0)
		return;
	if ((top->touched_count + 1) * 2 > top->touched_cap)
		grow_touched(top);
	slot = touched_slot(top, ino);
	top->touched_count += slot->ino == 0;
	*slot = (struct draft_touched){ ino, top->touches };
}

bool draft_was_touched(struct draft_top *top, ino_t ino, uint64_t since)
{
	const struct draft_touched *slot;

	LOCKED(&top->area->mutex);
	if (top->touched_count == 0)
		return false;
	slot = touched_slot(top, ino);
	return slot->ino == ino && slot->touch > since;
}

uint64_t draft_watch(struct draft_top *top)
{
	LOCKED(&top->area->mutex);
	top->watchers++;
	return top->touches;
}

void draft_unwatch(struct draft_top *top)
{
	LOCKED(&top->area->mutex);
	if (--top->watchers > 0)
		return;
	free(steal(top->touched));
	top->touched_count = top->touched_cap = 0;
}

bool draft_is_quiet(struct draft_top *top, uint64_t since)
{
	LOCKED(&top->area->mutex);
	return !top->area->writers && top->touches == since;
}

struct draft_writer *draft_writer_open(struct draft_top *top, ino_t ino)
{
	struct draft_area *area = top->area;
	struct draft_writer *w = xcalloc(1, sizeof(*w));

	draft_touch(top, ino);
	draft_top_hold(top);
	w->top = top;
	w->ino = ino;
	LOCKED(&area->mutex);
	w->next = area->writers;
	area->writers = w;
	return w;
}

void draft_writer_flush(struct draft_writer *w)
{
	LOCKED(&w->top->area->mutex);
	w->flushed = true;
}

void draft_writer_close(struct draft_writer *w)
{
	struct draft_top *top = w->top;
	struct draft_area *area = top->area;

	pthread_mutex_lock(&area->mutex);
	for (struct draft_writer **at = &area->writers; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	pthread_cond_broadcast(&area->closed);
	pthread_mutex_unlock(&area->mutex);
	free(w);
	draft_top_put(top);
}

int draft_settle(struct draft_area *area, ino_t ino)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SETTLE_SECONDS;
	LOCKED(&area->mutex);
	for (;;) {
		bool writing = false, wait = true;

		for (struct draft_writer *w = area->writers; w; w = w->next) {
			if (w->ino != ino)
				continue;
			writing = true;
			wait &= w->flushed;
		}
		if (!writing)
			return 0;
		if (!wait || pthread_cond_timedwait(&area->closed, &area->mutex, &until) != 0)
			return -EBUSY;
	}
}

size_t draft_written(struct draft_area *area, ino_t **ret)
{
	size_t count = 0, cap = 0;

	*ret = NULL;
	LOCKED(&area->mutex);
	for (const struct draft_writer *w = area->writers; w; w = w->next) {
		*ret = xgrow(*ret, &cap, count + 1, sizeof(**ret));
		(*ret)[count++] = w->ino;
	}
	return count;
}

int draft_begin_change(struct draft_area *area, bool lost)
{
	LOCKED(&area->mutex);
	if (area->phase == DRAFT_READONLY)
		return -EROFS;
	if (area->phase == DRAFT_GONE && !lost)
		return -ESTALE;
	area->changing++;
	return 0;
}

void draft_end_change(struct draft_area *area)
{
	LOCKED(&area->mutex);
	if (--area->changing == 0)
		pthread_cond_broadcast(&area->closed);
}

void draft_await_changes(struct draft_area *area)
{
	LOCKED(&area->mutex);
	while (area->changing > 0)
		pthread_cond_wait(&area->closed, &area->mutex);
}

int draft_leased_out(int fd)
{
	/* A read lease is refused exactly while somebody could write; it is not kept. */
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		if (errno == EAGAIN)
			return 1;
		/*
		 * EACCES: another user's file and no CAP_LEASE; EINVAL: the filesystem has no
		 * leases.
		 */
		return errno == EACCES || errno == EINVAL ? 0 : -errno;
	}
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return 0;
}

void draft_area_follow(struct draft_area *area)
{
	AUTO(run_release) struct run run = { 0 };
	int err;

	if (area->phase == DRAFT_GONE)
		return;
	err = run_get(area->store, area->run, &run);
	if (err == -ENOENT)
		area->phase = DRAFT_GONE;
	else if (err == 0)
		area->phase = run.state == RUN_RUNNING ? DRAFT_OPEN : DRAFT_READONLY;
}

void draft_area_end(struct draft_area *area)
{
	struct store *store = area->store;
	char name[16], gone[32];

	area->phase = DRAFT_GONE;
	area_name(area->run, name);
	gone_name(area->run, gone);
	/* Should this fail, the next start finds the area of a finished run and removes it. */
	if (renameat(store->drafts, name, store->drafts, gone) < 0)
		log_errno(-errno, "moving drafts/%s away", name);
	LOCKED(&store->janitor_lock);
	store->ended = xgrow(store->ended, &store->ended_cap, store->ended_count + 1,
			     sizeof(*store->ended));
	store->ended[store->ended_count++] = area->run;
	pthread_cond_signal(&store->janitor_wake);
}

static bool take_ended(struct store *store, uint32_t *ret)
{
	LOCKED(&store->janitor_lock);
	if (store->ended_count == 0)
		return false;
	*ret = store->ended[--store->ended_count];
	return true;
}

void draft_remove_ended(struct store *store)
{
	char gone[32];
	uint32_t run;

	while (take_ended(store, &run)) {
		gone_name(run, gone);
		remove_tree(store->drafts, gone);
		if (borrow_forget(store, run) > 0)
			reap_soon(store);
	}
}

/* Are the drafts of this run to go: true for finished runs, and for old failed ones. */
static bool is_stale(struct store *store, uint32_t id, uint64_t keep_seconds)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(store, id, &run);
	uint64_t age;

	/*
	 * A run in the making has its directory first; before anybody makes one, it is left over.
	 */
	if (err == -ENOENT)
		return !store->janitor_started;
	if (err == 0 && run.state == RUN_FINISHED)
		return true;
	if (err < 0 || run.state == RUN_RUNNING || keep_seconds == 0)
		return false;
	age = (store_now() - run.ended) / 1000000000;
	return run.ended > 0 && age > keep_seconds;
}

/* Moves an area that is stale out of the way, while nobody can open it. */
static bool set_aside(struct store *store, uint32_t run, uint64_t keep_seconds, const char *gone,
		      bool *doomed)
{
	char name[16];

	area_name(run, name);
	LOCKED(&store->area_lock);
	for (struct draft_area *a = store->areas; a; a = a->next)
		if (a->run == run)
			return false;
	if (!is_stale(store, run, keep_seconds))
		return false;
	if (renameat(store->drafts, name, store->drafts, gone) < 0) {
		/* The end of the run may have done it since the directory was read. */
		if (errno != ENOENT)
			log_errno(-errno, "moving drafts/%s away", name);
		return false;
	}
	/* While nobody can open it again: a run that failed may go on. */
	*doomed |= borrow_forget(store, run) > 0;
	return true;
}

int draft_sweep(struct store *store, uint64_t keep_seconds)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	bool doomed = false;
	int more = directory_open(store->drafts, ".", &dir), err;

	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		char gone[32], *end;
		unsigned long id = strtoul(e->d_name, &end, 16);
		bool is_gone = !strncmp(e->d_name, "gone.", 5);

		snprintf(gone, sizeof(gone), "%s%.16s", is_gone ? "" : "gone.", e->d_name);
		if (!is_gone && (*end != '\0' || e->d_name[0] == '.' ||
				 !set_aside(store, (uint32_t)id, keep_seconds, gone,
					    &doomed)))
			continue;
		/* Opening a store does not wait for this: the janitor is about to come. */
		if (store->janitor_started)
			remove_tree(store->drafts, gone);
	}
	more = more < 0 ? log_errno(more, "reading drafts/") : 0;
	err = borrow_sweep(store, doomed);
	return more < 0 ? more : err;
}
