#include "kv_sync.h"

void kv_sync_init(struct kv_sync *s, int (*sync)(struct kv_sync *sync))
{
	*s = (struct kv_sync){ .sync = sync };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->done, NULL);
}

void kv_sync_release(struct kv_sync *s)
{
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
}

uint64_t kv_sync_wrote(struct kv_sync *s)
{
	return atomic_fetch_add(&s->written, 1) + 1;
}

int kv_sync_await(struct kv_sync *s, uint64_t number)
{
	LOCKED(&s->lock);
	while (s->synced < number && !s->broken) {
		uint64_t target;
		int r;

		if (s->syncing) {
			pthread_cond_wait(&s->done, &s->lock);
			continue;
		}
		s->syncing = true;
		target = s->written;
		pthread_mutex_unlock(&s->lock);
		r = s->sync(s);
		pthread_mutex_lock(&s->lock);
		s->syncing = false;
		/*
		 * The kernel reports lost pages once and then calls them clean: a second sync that
		 * succeeds would prove nothing. So the first failure holds until the next open.
		 */
		if (r < 0)
			s->broken = r;
		else
			s->synced = target;
		pthread_cond_broadcast(&s->done);
	}
	return s->synced < number ? s->broken : 0;
}

int kv_sync_all(struct kv_sync *s)
{
	return kv_sync_await(s, s->written);
}

int kv_sync_broken(const struct kv_sync *s)
{
	return s->broken;
}
