#include "backing.h"

#include "vfs_private.h"

#include <fcntl.h>
#include <stdio.h>

#define BUCKETS 4096

struct backing {
	struct backing *next;
	uint64_t ino;
	int id; /* 0: through us */
	unsigned opens;
};

struct backings {
	pthread_mutex_t lock;
	struct backing *buckets[BUCKETS];
};

struct backings *backings_new(void)
{
	struct backings *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void backings_free(struct backings *b)
{
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* Where the node's entry is, or the end of its list. Lock held. */
static struct backing **find(struct backings *b, uint64_t ino)
{
	struct backing **at = &b->buckets[(ino * 0x9e3779b97f4a7c15u) >> 52];

	while (*at && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

/*
 * By a descriptor of its own, open for reading: a writer's would count as one until the number goes.
 */
static int make_id(struct vfs *vfs, int fd)
{
	char path[32];
	autoclose int reading = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reading = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return reading < 0 ? 0 : vfs->backing.open(vfs->backing.arg, reading);
}

int backing_begin(struct vfs *vfs, uint64_t ino, int fd, bool may_start)
{
	struct backings *b = vfs->backings;
	struct backing **at, *entry;

	LOCKED(&b->lock);
	at = find(b, ino);
	entry = *at;
	if (!entry) {
		entry = *at = xcalloc(1, sizeof(*entry));
		entry->ino = ino;
		entry->id = may_start && vfs->backing.open ? make_id(vfs, fd) : 0;
	}
	entry->opens++;
	return entry->id;
}

void backing_end(struct vfs *vfs, uint64_t ino)
{
	struct backings *b = vfs->backings;
	struct backing **at, *entry;

	LOCKED(&b->lock);
	at = find(b, ino);
	entry = *at;
	if (--entry->opens > 0)
		return;
	if (entry->id)
		vfs->backing.close(vfs->backing.arg, entry->id);
	*at = entry->next;
	free(entry);
}

bool backing_is_used(struct vfs *vfs, uint64_t ino)
{
	struct backings *b = vfs->backings;
	const struct backing *entry;

	LOCKED(&b->lock);
	entry = *find(b, ino);
	return entry && entry->id;
}
