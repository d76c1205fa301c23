/*
 * kv_sync.h - commits that are to be durable share their syncs.
 *
 * Whether a commit is to be durable is known only when it comes. So all are written unsynced, and
 * those that promise more sync the log afterwards: one thread for all that wait.
 *
 * Threads: any.
 */
#ifndef CORE_KV_SYNC_H
#define CORE_KV_SYNC_H

#include "base.h"

#include <stdatomic.h>

struct kv_sync {
	int (*sync)(struct kv_sync *sync); /* everything that is written becomes durable */
	pthread_mutex_t lock;
	pthread_cond_t done;
	atomic_uint_fast64_t written; /* commits */
	uint64_t synced; /* so many of them are known to be durable */
	bool syncing;
	atomic_int broken; /* -errno of a failed sync; nothing is promised after one */
};

void kv_sync_init(struct kv_sync *s, int (*sync)(struct kv_sync *sync));
void kv_sync_release(struct kv_sync *s);
/* A commit was written: its number. */
uint64_t kv_sync_wrote(struct kv_sync *s);
/* Waits until the commits up to this number are durable. */
int kv_sync_await(struct kv_sync *s, uint64_t number);
/* All that were written by now. */
int kv_sync_all(struct kv_sync *s);
int kv_sync_broken(const struct kv_sync *s); /* 0, -errno */

#endif
