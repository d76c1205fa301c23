/*
 * blob_mem.h - the blob store in memory, with faults on demand. For tests.
 *
 * A blob_disk is what outlives blob_store_close(). Everything is durable at once; put_file always
 * copies.
 */
#ifndef TESTS_FAKE_BLOB_MEM_H
#define TESTS_FAKE_BLOB_MEM_H

#include "core/blob.h"

struct blob_disk;

struct blob_disk *blob_disk_new(void);
/* No store is open on it, and no blob. */
void blob_disk_free(struct blob_disk *disk);

/* -EBUSY while a store is open on the disk. */
int blob_mem_open(struct blob_disk *disk, struct blob_store **ret);

/* Blobs that are there, and the sum of their sizes. */
uint64_t blob_disk_count(struct blob_disk *disk, uint64_t *ret_bytes);

/*
 * Calls so far: put_packed, put_file, has, open, pread, remove and each. A put_packed of n items is
 * n calls, so that it can fail after some of them.
 */
uint64_t blob_disk_calls(struct blob_disk *disk);

/*
 * The n-th call from now on (1: the next) fails with err, a negative errno, and with forever every
 * one after it; n = 0 ends that.
 */
void blob_disk_fail(struct blob_disk *disk, uint64_t n, int err, bool forever);

#endif
