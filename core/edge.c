#include "edge.h"

/* Of runs that changed: when they are more, all of them are taken as changed. */
#define CHANGED_MAX 65536

void edges_changed(struct store *store, uint32_t run)
{
	struct store_changes *c = &store->changes;

	LOCKED(&c->lock);
	if (!c->recording || (c->count > 0 && c->runs[c->count - 1] == run))
		return;
	atomic_store(&c->any, true);
	if (c->count == CHANGED_MAX) {
		c->lost = true;
		return;
	}
	c->runs = xgrow(c->runs, &c->cap, c->count + 1, sizeof(*c->runs));
	c->runs[c->count++] = run;
}

bool edges_have_changed(struct store *store)
{
	return atomic_load(&store->changes.any);
}

bool edges_take_changed(struct store *store, uint32_t **ret_runs, size_t *ret_count)
{
	struct store_changes *c = &store->changes;
	bool whole;

	LOCKED(&c->lock);
	whole = c->recording && !c->lost;
	*ret_runs = steal(c->runs);
	*ret_count = c->count;
	c->count = c->cap = 0;
	c->lost = false;
	c->recording = true;
	atomic_store(&c->any, false);
	return whole;
}

static struct key edge_key(enum edge_side side, uint32_t from, uint32_t to)
{
	switch (side) {
	case EDGE_RUN_USES:
		return key_use(from, to);
	case EDGE_VERSION_USED_BY:
		return key_used_by(from, to);
	case EDGE_RUN_LOGGED:
		return key_logged(from, to);
	case EDGE_RUN_PEEKED:
		return key_peeked(from, to);
	case EDGE_RUN_PEEKED_BY:
		return key_peeked_by(from, to);
	case EDGE_VERSION_LOGGED_BY:
		break;
	}
	return key_logged_by(from, to);
}

static int read_edge(struct kv_txn *txn, enum edge_side side, uint32_t from, uint32_t to,
		     struct edge *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct key key = edge_key(side, from, to);
	int err = kv_get(txn, KV_META, key_slice(&key), &b);

	return err < 0 ? err : decode_edge(buf_slice(&b), ret);
}

/* The side from which the same edge is seen from its other end. */
static enum edge_side reverse(enum edge_side side)
{
	switch (side) {
	case EDGE_RUN_USES:
		return EDGE_VERSION_USED_BY;
	case EDGE_RUN_PEEKED:
		return EDGE_RUN_PEEKED_BY;
	default:
		return EDGE_VERSION_LOGGED_BY;
	}
}

static int write_both(struct kv_txn *txn, enum edge_side run_side, uint32_t run, uint32_t version,
		      const struct edge *edge)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct key near = edge_key(run_side, run, version);
	struct key far = edge_key(reverse(run_side), version, run);
	int err;

	encode_edge(&b, edge);
	err = kv_put(txn, KV_META, key_slice(&near), buf_slice(&b));
	return err < 0 ? err : kv_put(txn, KV_META, key_slice(&far), buf_slice(&b));
}

/* Adds an edge from a run, or to one: first time and sequence stay, flags and counts add up. */
static int add_up(struct kv_txn *txn, enum edge_side side, uint32_t run, uint32_t to,
		  const struct edge *edge)
{
	struct edge sum = *edge, old;
	int err = read_edge(txn, side, run, to, &old);

	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0) {
		sum.first = old.first;
		sum.sequence = old.sequence;
		sum.flags |= old.flags;
		sum.opened += old.opened;
	}
	return write_both(txn, side, run, to, &sum);
}

static int read_last_use(struct kv_txn *txn, uint32_t version, uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(last_use(version)), &b);

	if (err == -ENOENT) {
		*ret = 0;
		return 0;
	}
	return err < 0 ? err : decode_u64(buf_slice(&b), ret);
}

int edge_last_use(struct kv *kv, uint32_t version, uint64_t *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(kv, KV_READ, &txn);

	return err < 0 ? err : read_last_use(txn, version, ret);
}

/* All runs that use a version write this row: only now and then, or they would meet too often. */
static int note_use(struct kv_txn *txn, uint32_t version, uint64_t at)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t last;
	int err = read_last_use(txn, version, &last);

	if (err < 0 || (last > 0 && at < last + EDGE_LAST_USE_STEP))
		return err;
	encode_u64(&b, at);
	return kv_put(txn, KV_META, KEY(last_use(version)), buf_slice(&b));
}

int edge_add_use(struct kv_txn *txn, uint32_t run, uint32_t version, const struct edge *edge)
{
	int err = add_up(txn, EDGE_RUN_USES, run, version, edge);

	return err < 0 ? err : note_use(txn, version, edge->last);
}

int edge_count_opens(struct kv_txn *txn, enum edge_side side, uint32_t run, uint32_t to,
		     uint64_t opened, uint64_t last)
{
	struct edge edge;
	int err = read_edge(txn, side, run, to, &edge);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	edge.opened += opened;
	if (last > edge.last)
		edge.last = last;
	err = write_both(txn, side, run, to, &edge);
	return err < 0 || side != EDGE_RUN_USES ? err : note_use(txn, to, last);
}

int edge_add_peek(struct kv_txn *txn, uint32_t run, uint32_t other, const struct edge *edge)
{
	return add_up(txn, EDGE_RUN_PEEKED, run, other, edge);
}

int edge_remove_declared(struct kv_txn *txn, uint32_t run, uint32_t version)
{
	struct edge old;
	int err = read_edge(txn, EDGE_RUN_USES, run, version, &old);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	old.flags &= ~(unsigned)EDGE_DECLARED;
	if (old.flags & EDGE_OBSERVED)
		return write_both(txn, EDGE_RUN_USES, run, version, &old);
	err = kv_del(txn, KV_META, KEY(use(run, version)));
	return err < 0 ? err : kv_del(txn, KV_META, KEY(used_by(version, run)));
}

int edge_add_logged(struct kv_txn *txn, uint32_t run, uint32_t version, const struct edge *edge)
{
	int there = kv_has(txn, KV_META, KEY(logged(run, version)));

	if (there != 0)
		return there < 0 ? there : 0;
	return write_both(txn, EDGE_RUN_LOGGED, run, version, edge);
}

int edge_exists(struct kv_txn *txn, enum edge_side side, uint32_t from, uint32_t to)
{
	struct edge edge;
	int err = read_edge(txn, side, from, to, &edge);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return EDGE_THERE | (int)edge.flags;
}

int edge_get(struct kv *kv, enum edge_side side, uint32_t from, uint32_t to, struct edge *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct key key = edge_key(side, from, to);
	int err = kv_get_one(kv, KV_META, key_slice(&key), &b);

	return err < 0 ? err : decode_edge(buf_slice(&b), ret);
}

int edge_next(struct kv *kv, enum edge_side side, uint32_t from, uint32_t after, uint32_t *ret_to,
	      struct edge *ret_edge)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key start = edge_key(side, from, after + 1);
	struct slice prefix = slice(start.bytes, 5), key, value;
	int more = kv_begin(kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, prefix, key_slice(&start), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more <= 0)
		return more;
	if (ret_edge) {
		int err = decode_edge(value, ret_edge);

		if (err < 0)
			return err;
	}
	*ret_to = key_u32_at(key, 5);
	return 1;
}
