/*
 * kv.c - the contract of kv.h, asserted on the way in, and the loop that runs a body again.
 */
#include "kv.h"

#include <assert.h>
#include <time.h>

#include "log.h"

/* Most conflicts are over before the next attempt reads; only a stubborn one is worth sleeping. */
#define TRIES_WITHOUT_PAUSE 8
#define PAUSE_NS_MIN 20000L
#define PAUSE_NS_MAX 5000000L
#define TRIES_TO_MENTION 1000

static void assert_key(const struct kv_txn *txn, enum kv_space space, struct slice key)
{
	assert(txn);
	assert(space < KV_SPACES);
	assert(key.len <= KV_KEY_MAX && (key.data || key.len == 0));
	(void)txn, (void)space, (void)key;
}

static void assert_value(struct slice value)
{
	assert(value.len <= KV_VALUE_MAX && (value.data || value.len == 0));
	(void)value;
}

int kv_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret)
{
	int r;

	assert(kv && ret && (mode == KV_READ || mode == KV_WRITE));
	r = kv->ops->begin(kv, mode, ret);
	assert(r <= 0 && (r || ((*ret)->kv == kv && (*ret)->mode == mode)));
	return r;
}

int kv_commit(struct kv_txn *txn, enum kv_promise promise)
{
	int r;

	assert(txn && (promise == KV_ORDERED || promise == KV_DURABLE));
	r = txn->kv->ops->commit(txn, promise);
	assert(r <= 0);
	return r;
}

void kv_abort(struct kv_txn *txn)
{
	assert(txn);
	txn->kv->ops->abort(txn);
}

int kv_get(struct kv_txn *txn, enum kv_space space, struct slice key, struct buf *ret)
{
	assert_key(txn, space, key);
	assert(ret);
	return txn->kv->ops->get(txn, space, key, ret);
}

int kv_has(struct kv_txn *txn, enum kv_space space, struct slice key)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	int r = kv_get(txn, space, key, &value);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

int kv_put(struct kv_txn *txn, enum kv_space space, struct slice key, struct slice value)
{
	assert_key(txn, space, key);
	assert(txn->mode == KV_WRITE);
	assert_value(value);
	return txn->kv->ops->put(txn, space, key, value);
}

int kv_del(struct kv_txn *txn, enum kv_space space, struct slice key)
{
	assert_key(txn, space, key);
	assert(txn->mode == KV_WRITE);
	return txn->kv->ops->del(txn, space, key);
}

int kv_put_all(struct kv *kv, enum kv_space space, const struct kv_entry *entries, size_t n)
{
	assert(kv && space < KV_SPACES && (entries || n == 0));
	for (size_t i = 0; i < n; i++) {
		assert(entries[i].key.len <= KV_KEY_MAX && entries[i].key.data);
		assert_value(entries[i].value);
	}
	return n ? kv->ops->put_all(kv, space, entries, n) : 0;
}

int kv_scan(struct kv_txn *txn, enum kv_space space, struct slice prefix, struct slice from,
	    struct kv_scan **ret)
{
	int r;

	assert_key(txn, space, prefix);
	assert_key(txn, space, from);
	assert(ret);
	r = txn->kv->ops->scan(txn, space, prefix, from, ret);
	assert(r <= 0 && (r || (*ret)->txn == txn));
	return r;
}

int kv_next(struct kv_scan *scan, struct slice *ret_key, struct slice *ret_value)
{
	int r;

	assert(scan && ret_key && ret_value);
	r = scan->txn->kv->ops->next(scan, ret_key, ret_value);
	assert(r <= 1);
	return r;
}

void kv_done(struct kv_scan *scan)
{
	assert(scan);
	scan->txn->kv->ops->done(scan);
}

void kv_stats(struct kv *kv, void (*each)(void *arg, const char *name, uint64_t n), void *arg)
{
	assert(kv && each);
	if (kv->ops->stats)
		kv->ops->stats(kv, each, arg);
}

void kv_close(struct kv *kv)
{
	if (kv)
		kv->ops->close(kv);
}

/* Twice as long each time up to a bound, and not the same for two that met. */
static void pause_before_try(unsigned int try)
{
	unsigned int doublings = try - TRIES_WITHOUT_PAUSE;
	long ns = doublings < 8 ? PAUSE_NS_MIN << doublings : PAUSE_NS_MAX;
	struct timespec now = { 0 }, pause = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	pause.tv_nsec = ns / 2 + now.tv_nsec % (ns / 2);
	nanosleep(&pause, NULL);
}

static int try_once(struct kv *kv, enum kv_promise promise, kv_body *body, void *arg)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int r = kv_begin(kv, KV_WRITE, &txn);

	if (r < 0)
		return r;
	r = body(txn, arg);
	if (r)
		return r;
	return kv_commit(steal(txn), promise);
}

int kv_update(struct kv *kv, enum kv_promise promise, kv_body *body, void *arg)
{
	unsigned int try;
	int r;

	assert(body);
	for (try = 1;; try++) {
		r = try_once(kv, promise, body, arg);
		if (r != -EAGAIN)
			return r;
		if (try % TRIES_TO_MENTION == 0)
			log_warning("a change met others %u times and goes on trying", try);
		if (try >= TRIES_WITHOUT_PAUSE)
			pause_before_try(try);
	}
}

int kv_get_one(struct kv *kv, enum kv_space space, struct slice key, struct buf *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int r = kv_begin(kv, KV_READ, &txn);

	return r < 0 ? r : kv_get(txn, space, key, ret);
}
