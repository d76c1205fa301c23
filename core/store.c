#include "store.h"

#include "codec.h"
#include "log.h"

#include <assert.h>
#include <time.h>

/* So many ids are taken at once: what a crash leaves unused is lost, so scarce ids go in few. */
static const uint64_t strides[ID_KINDS] = {
	[ID_COLLECTION] = 8,  [ID_VERSION] = 64,	   [ID_RUN] = 16,
	[ID_PAGE] = 4096,     [ID_BLOB] = 4096,		   [ID_INTENT] = 64,
	[ID_CONTENT_INO] = 1 << 16, [ID_SEQUENCE] = 4096, [ID_EVENT] = 4096,
	[ID_ALIAS] = 16,
};

static const uint64_t limits[ID_KINDS] = {
	[ID_COLLECTION] = ID_LIMIT, [ID_VERSION] = ID_LIMIT, [ID_RUN] = ID_LIMIT,
	[ID_PAGE] = UINT64_MAX / 2, [ID_BLOB] = UINT64_MAX / 2, [ID_INTENT] = UINT64_MAX / 2,
	[ID_CONTENT_INO] = 1ull << 58, [ID_SEQUENCE] = UINT64_MAX / 2,
	[ID_EVENT] = UINT64_MAX / 2, [ID_ALIAS] = ID_LIMIT,
};

struct take {
	enum store_id kind;
	uint64_t n, first;
};

static int take_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct take *take = arg;
	uint64_t next = 1;
	int err = kv_get(txn, KV_META, KEY(next_id((uint8_t)take->kind)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &next);
	if (err < 0 && err != -ENOENT)
		return err;
	if (take->n > limits[take->kind] || next > limits[take->kind] - take->n)
		return -EOVERFLOW;
	buf_reset(&b);
	encode_u64(&b, next + take->n);
	take->first = next;
	return kv_put(txn, KV_META, KEY(next_id((uint8_t)take->kind)), buf_slice(&b));
}

int store_new_ids(struct store *store, enum store_id kind, uint64_t n, uint64_t *ret)
{
	LOCKED(&store->id_lock);
	struct store_range *range = &store->ranges[kind];
	struct take take = { .kind = kind, .n = n > strides[kind] ? n : strides[kind] };
	int err;

	assert(n > 0);
	if (range->end - range->next < n) {
		/* Ordered is enough: what uses the ids is committed later. */
		err = kv_update(store->kv, KV_ORDERED, take_body, &take);
		if (err < 0)
			return log_errno(err, "taking new ids of kind %d", kind);
		if (take.n == n) {
			/* All of it is wanted; what was left of the old range stays good. */
			*ret = take.first;
			return 0;
		}
		range->next = take.first;
		range->end = take.first + take.n;
	}
	*ret = range->next;
	range->next += n;
	return 0;
}

uint64_t store_ids_given(struct store *store, enum store_id kind)
{
	LOCKED(&store->id_lock);
	return store->ranges[kind].next;
}

uint64_t store_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void store_wake_janitor(struct store *store)
{
	LOCKED(&store->janitor_lock);
	store->janitor_asked = true;
	pthread_cond_signal(&store->janitor_wake);
}
