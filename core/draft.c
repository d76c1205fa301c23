#include "draft.h"

#include "log.h"
#include "run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <time.h>

/* How long a writer whose close(2) was seen may take to be released. */
#define SETTLE_SECONDS 1

static void area_name(uint32_t run, char ret[static 16])
{
	snprintf(ret, 16, "%08x", run);
}

int draft_area_make(struct store *store, uint32_t run)
{
	char name[16];

	area_name(run, name);
	if (mkdirat(store->drafts, name, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "making drafts/%s", name);
	return 0;
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
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : log_errno(-errno, "opening drafts/%s", name);
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
	pthread_mutex_init(&area->unshare, NULL);
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
	pthread_mutex_destroy(&area->unshare);
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

void draft_touch(struct draft_top *top, ino_t ino)
{
	LOCKED(&top->area->mutex);
	top->touches++;
	if (top->watchers == 0 || ino == 0)
		return;
	top->touched = xgrow(top->touched, &top->touched_cap, top->touched_count + 1,
			     sizeof(*top->touched));
	top->touched[top->touched_count++] = (struct draft_touched){ ino, top->touches };
}

bool draft_was_touched(struct draft_top *top, ino_t ino, uint64_t since)
{
	LOCKED(&top->area->mutex);
	for (size_t i = 0; i < top->touched_count; i++)
		if (top->touched[i].ino == ino && top->touched[i].touch > since)
			return true;
	return false;
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
	if (--top->watchers == 0)
		top->touched_count = 0;
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

static bool may_be_shared(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size > BLOB_PACK_MAX;
}

bool draft_fd_is_shared(int fd, const struct stat *st, struct blob_id *ret)
{
	struct blob_id d;

	if (!may_be_shared(st) ||
	    fgetxattr(fd, DRAFT_SHARED_XATTR, &d, sizeof(d)) != (ssize_t)sizeof(d))
		return false;
	if (ret)
		*ret = d;
	return true;
}

bool draft_is_shared(int directory, const char *name, const struct stat *st, struct blob_id *ret)
{
	char path[32 + NAME_MAX + 1];
	struct blob_id d;

	/* A blob is one more link, so most files are told without asking. */
	if (!may_be_shared(st) || st->st_nlink < 2)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	if (lgetxattr(path, DRAFT_SHARED_XATTR, &d, sizeof(d)) != (ssize_t)sizeof(d))
		return false;
	if (ret)
		*ret = d;
	return true;
}

bool draft_path_is_shared(const char *path, const struct stat *st)
{
	struct blob_id d;

	return may_be_shared(st) &&
	       getxattr(path, DRAFT_SHARED_XATTR, &d, sizeof(d)) == (ssize_t)sizeof(d);
}

nlink_t draft_names(const struct stat *st, bool shared)
{
	return shared && st->st_nlink > 1 ? st->st_nlink - 1 : st->st_nlink;
}

int draft_mark_shared(int fd, const struct blob_id *id)
{
	struct stat st;
	int err = 0;

	if (fsetxattr(fd, DRAFT_SHARED_XATTR, id, sizeof(*id), 0) == 0)
		return 0;
	if (errno != EACCES || fstat(fd, &st) < 0)
		return -errno;
	/* The owner of a read-only file may change its mode, but not its xattrs. */
	if (fchmod(fd, st.st_mode | S_IWUSR) < 0)
		return -errno;
	if (fsetxattr(fd, DRAFT_SHARED_XATTR, id, sizeof(*id), 0) < 0)
		err = -errno;
	fchmod(fd, st.st_mode & 07777);
	return err;
}

void draft_unmark_shared(int fd, const struct blob_id *id)
{
	struct blob_id there;

	if (fgetxattr(fd, DRAFT_SHARED_XATTR, &there, sizeof(there)) == (ssize_t)sizeof(there) &&
	    memcmp(&there, id, sizeof(there)) == 0)
		fremovexattr(fd, DRAFT_SHARED_XATTR);
}

void draft_area_end(struct draft_area *area)
{
	char name[16], gone[32];

	area->phase = DRAFT_GONE;
	area_name(area->run, name);
	snprintf(gone, sizeof(gone), "gone.%s", name);
	/* Should this fail, the next start finds the area of a finished run and removes it. */
	if (renameat(area->store->drafts, name, area->store->drafts, gone) < 0)
		log_errno(-errno, "moving drafts/%s away", name);
	store_wake_janitor(area->store);
}

int remove_tree(int directory, const char *name)
{
	int first = 0, fd;
	DIR *dir;

	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		if (fchmodat(directory, name, 0700, 0) == 0)
			fd = openat(directory, name,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (struct dirent *e; (e = readdir(dir));) {
		int err;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		err = remove_tree(fd, e->d_name);
		if (err == -EACCES && fchmod(fd, 0700) == 0)
			err = remove_tree(fd, e->d_name);
		if (err < 0 && first == 0)
			first = err;
	}
	closedir(dir);
	if (unlinkat(directory, name, AT_REMOVEDIR) < 0 && first == 0)
		first = -errno;
	return first;
}

/* Are the drafts of this run to go: true for finished runs, and for old failed ones. */
static bool is_stale(struct store *store, uint32_t id, uint64_t keep_seconds, bool *ret_keep_empty)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(store, id, &run);
	uint64_t age;

	*ret_keep_empty = false;
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
	*ret_keep_empty = true;
	return run.ended > 0 && age > keep_seconds;
}

/* Moves an area that is stale out of the way, while nobody can open it. */
static bool set_aside(struct store *store, uint32_t run, uint64_t keep_seconds, const char *gone)
{
	bool keep_empty;
	char name[16];

	area_name(run, name);
	LOCKED(&store->area_lock);
	for (struct draft_area *a = store->areas; a; a = a->next)
		if (a->run == run)
			return false;
	if (!is_stale(store, run, keep_seconds, &keep_empty))
		return false;
	if (renameat(store->drafts, name, store->drafts, gone) < 0) {
		/* The end of the run may have done it since the directory was read. */
		if (errno != ENOENT)
			log_errno(-errno, "moving drafts/%s away", name);
		return false;
	}
	if (keep_empty)
		draft_area_make(store, run);
	return true;
}

int draft_sweep(struct store *store, uint64_t keep_seconds)
{
	int fd = openat(store->drafts, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return log_errno(-errno, "reading drafts/");
	for (struct dirent *e; (e = readdir(dir));) {
		char gone[32], *end;
		unsigned long id = strtoul(e->d_name, &end, 16);
		bool is_gone = !strncmp(e->d_name, "gone.", 5);

		snprintf(gone, sizeof(gone), "%s%.16s", is_gone ? "" : "gone.", e->d_name);
		if (!is_gone && (*end != '\0' || e->d_name[0] == '.' ||
				 !set_aside(store, (uint32_t)id, keep_seconds, gone)))
			continue;
		/* Opening a store does not wait for this: the janitor is about to come. */
		if (store->janitor_started)
			remove_tree(store->drafts, gone);
	}
	closedir(dir);
	return 0;
}
