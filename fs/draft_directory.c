/*
 * draft_directory.c - the descriptors of drafts' directories. The kernel remembers as many
 * directories as it likes, and a descriptor for each would leave none for anybody else: those that
 * were not used lately are closed, and opened again from the nearest directory above that has one.
 *
 * A descriptor is used under a lock of its area, and closed under the exclusive one.
 */
#include "draft_node.h"
#include "tree.h"

#include <fcntl.h>
#include <sys/resource.h>

/* Of the descriptors that the process may have, one in so many; within these bounds. */
#define SHARE 4
#define LEAST 64
#define MOST 8192
/* So many are closed at a time, if they are there. */
#define BATCH 64

void draft_directories_init(struct draft_directories *d)
{
	struct rlimit limit;

	pthread_mutex_init(&d->lock, NULL);
	TAILQ_INIT(&d->list);
	d->limit = MOST;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / SHARE < MOST)
		d->limit = (size_t)limit.rlim_cur / SHARE;
	if (d->limit < LEAST)
		d->limit = LEAST;
}

void draft_directories_release(struct draft_directories *d)
{
	pthread_mutex_destroy(&d->lock);
}

/* With the list's lock held. */
static void take_off(struct draft_directories *d, struct draft_file *f)
{
	TAILQ_REMOVE(&d->list, f, in_list);
	f->listed = false;
	__atomic_store_n(&d->count, d->count - 1, __ATOMIC_RELAXED);
}

static int cached_fd(struct draft_file *f)
{
	int fd = __atomic_load_n(&f->fd, __ATOMIC_ACQUIRE);

	if (fd >= 0)
		__atomic_store_n(&f->used, true, __ATOMIC_RELAXED);
	return fd;
}

/* Downwards from the nearest directory that has one; those between get none. */
static int open_directory(struct draft_file *f)
{
	autofree const char **names = NULL;
	size_t count = 0, cap = 0;
	int from = -1, fd;

	for (; f && (from = cached_fd(f)) < 0; f = f->parent ? draft_file(f->parent) : NULL) {
		if (f->gone)
			return -ESTALE;
		names = xgrow(names, &cap, count + 1, sizeof(*names));
		names[count++] = f->name;
		if (!f->parent)
			from = f->area->fd;
	}
	fd = from;
	while (count > 0) {
		int below = openat(fd, names[--count],
				   O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int err = errno == ENOENT ? -ESTALE : -errno;

		if (fd != from)
			close(fd);
		if (below < 0)
			return err;
		fd = below;
	}
	return fd;
}

int draft_directory_fd(struct node *dir)
{
	struct draft_file *f = draft_file(dir);
	struct draft_directories *d = &f->vfs->draft_directories;
	int fd = cached_fd(f);

	if (fd >= 0)
		return fd;
	fd = open_directory(f);
	if (fd < 0)
		return fd;
	LOCKED(&d->lock);
	if (f->fd >= 0) {
		close(fd);
		return f->fd;
	}
	__atomic_store_n(&f->used, true, __ATOMIC_RELAXED);
	__atomic_store_n(&f->fd, fd, __ATOMIC_RELEASE);
	TAILQ_INSERT_HEAD(&d->list, f, in_list);
	f->listed = true;
	__atomic_store_n(&d->count, d->count + 1, __ATOMIC_RELAXED);
	return fd;
}

/* Its node goes. */
void draft_directory_close(struct draft_file *f)
{
	struct draft_directories *d = &f->vfs->draft_directories;

	if (S_ISDIR(f->type)) {
		LOCKED(&d->lock);
		if (f->listed)
			take_off(d, f);
	}
	if (f->fd >= 0)
		close(f->fd);
}

/* One of the list: true if it went. */
static bool trim_one(struct draft_directories *d, struct draft_file *f,
		     const struct draft_area *exclusive)
{
	struct draft_area *area = f->area;

	if (__atomic_exchange_n(&f->used, false, __ATOMIC_RELAXED) ||
	    (area != exclusive && pthread_rwlock_trywrlock(&area->lock) != 0)) {
		TAILQ_REMOVE(&d->list, f, in_list);
		TAILQ_INSERT_HEAD(&d->list, f, in_list);
		return false;
	}
	take_off(d, f);
	/* What was removed could not be opened again: its descriptor is all there is. */
	if (!f->gone) {
		close(f->fd);
		f->fd = -1;
	}
	if (area != exclusive)
		pthread_rwlock_unlock(&area->lock);
	return true;
}

static void trim(struct draft_directories *d, const struct draft_area *exclusive)
{
	LOCKED(&d->lock);
	/* Twice around at most: after the first nothing has been used lately. */
	for (size_t closed = 0, seen = 2 * d->count; closed < BATCH && seen > 0 && d->count; seen--)
		closed += trim_one(d, TAILQ_LAST(&d->list, draft_file_list), exclusive);
}

void draft_directories_trim(struct vfs *vfs, struct node *node)
{
	struct draft_directories *d = &vfs->draft_directories;

	if (__atomic_load_n(&d->count, __ATOMIC_RELAXED) <= d->limit)
		return;
	/* Whoever goes on to open more waits for the lock; that of others is only tried. */
	if (node->kind == &kind_draft) {
		EXCLUSIVE(&draft_file(node)->area->lock);
		trim(d, draft_file(node)->area);
	} else {
		trim(d, NULL);
	}
}
