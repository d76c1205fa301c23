#include "notify.h"

#include <semaphore.h>

#include "core/buf.h"
#include "core/log.h"

#define BUCKETS 1024
/* Should the kernel itself be waiting for something, who waits for it goes on without. */
#define SETTLE_NS 5000000000

/* A change the kernel is to hear of; name is empty when it is the node itself. */
struct change {
	struct change *next;	  /* in the queue */
	struct change *same_hash; /* in the bucket */
	uint64_t ino;
	char name[];
};

struct notifier {
	const struct notifier_ops *ops;
	void *arg;
	pthread_t thread;
	sem_t wake; /* something is queued, or stopping became true */
	bool stopping;
	bool joined;
	pthread_mutex_t lock;
	pthread_cond_t told_one; /* or ended */
	uint64_t queued, told;	 /* changes so far */
	bool ended;
	struct change *first, **last;
	struct change *bucket[BUCKETS];
};

static struct change **bucket_of(struct notifier *notifier, uint64_t ino, const char *name)
{
	uint64_t hash = ino * 0x9e3779b97f4a7c15;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	return &notifier->bucket[(hash >> 32) % BUCKETS];
}

static void add(struct notifier *notifier, uint64_t ino, const char *name)
{
	struct change **bucket = bucket_of(notifier, ino, name);
	struct change *change;
	size_t len = strlen(name);

	LOCKED(&notifier->lock);
	for (change = *bucket; change; change = change->same_hash)
		if (change->ino == ino && !strcmp(change->name, name))
			return;
	change = xmalloc(sizeof(*change) + len + 1);
	*change = (struct change){ .same_hash = *bucket, .ino = ino };
	memcpy(change->name, name, len + 1);
	*bucket = change;
	if (!notifier->first)
		sem_post(&notifier->wake);
	notifier->queued++;
	*notifier->last = change;
	notifier->last = &change->next;
}

/* Out of the queue before the kernel is told: a change after this moment is told again. */
static struct change *take(struct notifier *notifier)
{
	struct change *change, **at;

	LOCKED(&notifier->lock);
	change = notifier->first;
	if (!change)
		return NULL;
	notifier->first = change->next;
	if (!notifier->first)
		notifier->last = &notifier->first;
	at = bucket_of(notifier, change->ino, change->name);
	while (*at != change)
		at = &(*at)->same_hash;
	*at = change->same_hash;
	return change;
}

static bool stopping(const struct notifier *notifier)
{
	return __atomic_load_n(&notifier->stopping, __ATOMIC_ACQUIRE);
}

static void tell_all(struct notifier *notifier)
{
	struct change *change;

	while (!stopping(notifier) && (change = take(notifier))) {
		if (change->name[0])
			notifier->ops->entry(notifier->arg, change->ino, change->name);
		else
			notifier->ops->inode(notifier->arg, change->ino);
		free(change);
		LOCKED(&notifier->lock);
		notifier->told++;
		pthread_cond_broadcast(&notifier->told_one);
	}
}

static void *run(void *arg)
{
	struct notifier *notifier = arg;

	notifier->ops->begin(notifier->arg);
	while (!stopping(notifier)) {
		while (sem_wait(&notifier->wake) != 0)
			;
		tell_all(notifier);
	}
	{
		LOCKED(&notifier->lock);
		notifier->ended = true;
		pthread_cond_broadcast(&notifier->told_one);
	}
	notifier->ops->end(notifier->arg);
	return NULL;
}

int notifier_new(const struct notifier_ops *ops, void *arg, struct notifier **ret)
{
	struct notifier *notifier = xcalloc(1, sizeof(*notifier));
	int err;

	notifier->ops = ops;
	notifier->arg = arg;
	notifier->last = &notifier->first;
	sem_init(&notifier->wake, 0, 0);
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_cond_init(&notifier->told_one, NULL);
	err = pthread_create(&notifier->thread, NULL, run, notifier);
	if (err) {
		pthread_cond_destroy(&notifier->told_one);
		pthread_mutex_destroy(&notifier->lock);
		sem_destroy(&notifier->wake);
		free(notifier);
		return log_errno(-err, "no thread to notify the kernel");
	}
	*ret = notifier;
	return 0;
}

void notifier_join(struct notifier *notifier)
{
	if (notifier->joined)
		return;
	notifier_stop(notifier);
	pthread_join(notifier->thread, NULL);
	notifier->joined = true;
}

void notifier_free(struct notifier *notifier)
{
	struct change *change;

	if (!notifier)
		return;
	notifier_join(notifier);
	while ((change = take(notifier)))
		free(change);
	pthread_cond_destroy(&notifier->told_one);
	pthread_mutex_destroy(&notifier->lock);
	sem_destroy(&notifier->wake);
	free(notifier);
}

void notifier_settle(struct notifier *notifier)
{
	struct timespec until = moment_after(SETTLE_NS);
	uint64_t target;

	LOCKED(&notifier->lock);
	target = notifier->queued;
	while (!notifier->ended && notifier->told < target)
		if (pthread_cond_timedwait(&notifier->told_one, &notifier->lock, &until) != 0)
			return;
}

void notifier_entry(struct notifier *notifier, uint64_t parent, const char *name)
{
	add(notifier, parent, name);
}

void notifier_inode(struct notifier *notifier, uint64_t ino)
{
	add(notifier, ino, "");
}

void notifier_stop(struct notifier *notifier)
{
	__atomic_store_n(&notifier->stopping, true, __ATOMIC_RELEASE);
	sem_post(&notifier->wake);
}
