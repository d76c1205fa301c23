/*
 * kv_mem.h - the key-value store in memory, with faults on demand. For tests.
 *
 * A kv_disk is what outlives kv_close(): open, close and open again on one disk, as on a directory.
 * Its knobs may be turned at any time between calls; each is read once a call.
 */
#ifndef TESTS_FAKE_KV_MEM_H
#define TESTS_FAKE_KV_MEM_H

#include "core/kv.h"

struct kv_disk;

struct kv_disk *kv_disk_new(void);
/* No store is open on it. */
void kv_disk_free(struct kv_disk *disk);

/* -EBUSY while a store is open on the disk. */
int kv_mem_open(struct kv_disk *disk, struct kv **ret);

/*
 * The machine goes down: commits that no durable commit covers are gone, and whatever is still done
 * with the open store fails with -EIO, but for abort, done and close. Open again afterwards.
 */
void kv_disk_crash(struct kv_disk *disk);

/* Calls so far: begin, commit of a writing transaction, get, put, del, scan and next. */
uint64_t kv_disk_calls(struct kv_disk *disk);

/*
 * The n-th call from now on (1: the next) fails with err, a negative errno, and with forever every
 * one after it; n = 0 ends that. A commit that fails has no effect.
 */
void kv_disk_fail(struct kv_disk *disk, uint64_t n, int err, bool forever);

/* Every k-th commit of a writing transaction returns -EAGAIN without cause; 0: none. */
void kv_disk_conflict_every(struct kv_disk *disk, uint64_t k);

#endif
