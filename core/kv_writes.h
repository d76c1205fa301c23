/*
 * kv_writes.h - what a transaction has written and not committed yet: found by key, and listed in
 * order. One thread.
 */
#ifndef CORE_KV_WRITES_H
#define CORE_KV_WRITES_H

#include "kv.h"

struct kv_writes {
	struct buf bytes; /* keys and values, one after another */
	struct kv_written {
		enum kv_space space;
		bool deleted;
		uint64_t hash; /* kv_conflict_hash() */
		size_t key_at, key_len, value_at, value_len; /* in bytes */
	} *list; /* each key once, in the order in which they came */
	size_t count, cap;
	uint32_t *slots; /* by hash: place in the list + 1; 0: free */
	size_t slot_count;
};

void kv_writes_release(struct kv_writes *w);
/* A value for the key from now on, or none. */
void kv_writes_put(struct kv_writes *w, enum kv_space space, struct slice key, struct slice value);
void kv_writes_del(struct kv_writes *w, enum kv_space space, struct slice key);
/* NULL: it says nothing of the key. */
const struct kv_written *kv_writes_find(const struct kv_writes *w, enum kv_space space,
					struct slice key);
/* Borrowed until the next write. */
struct slice kv_written_key(const struct kv_writes *w, const struct kv_written *e);
struct slice kv_written_value(const struct kv_writes *w, const struct kv_written *e);

/*
 * Places in the list of what is of a space, starts with a prefix and is not before from: in order,
 * in an array for the caller to free. Returns their number.
 */
size_t kv_writes_sorted(const struct kv_writes *w, enum kv_space space, struct slice prefix,
			struct slice from, uint32_t **ret);

#endif
