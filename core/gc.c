#include "gc.h"

#include "alias.h"
#include "edge.h"
#include "log.h"
#include "reap.h"
#include "removal.h"
#include "run.h"

/* Versions that are looked at together, and doomed things. */
#define BATCH 64
#define BATCH_MAX 4096
#define REAP_BATCH 2048
/* While somebody else takes things away. */
#define WAIT_NS 5000000

static bool stopped(const bool *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

static uint64_t ago(uint64_t seconds)
{
	uint64_t now = store_now();

	return seconds < now / 1000000000 ? now - seconds * 1000000000 : 0;
}

/* ---- who needs a version ---- */

/* Versions that running runs see behind an alias. */
struct pinned {
	uint32_t *versions;
	size_t count, cap;
};

static void pinned_release(struct pinned *p)
{
	free(p->versions);
	*p = (struct pinned){ 0 };
}

static int is_running(struct kv_txn *txn, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, id, &run);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return run.state == RUN_RUNNING;
}

static int read_pinned(struct kv_txn *txn, struct pinned *ret)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	uint32_t run = 0;
	uint64_t version;
	int running = 0, more;

	pinned_release(ret);
	more = kv_scan(txn, KV_META, KEY(prefix('k')), slice("", 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (key_u32_at(key, 1) != run) {
			run = key_u32_at(key, 1);
			running = is_running(txn, run);
			if (running < 0)
				return running;
		}
		if (!running)
			continue;
		if (decode_u64(value, &version) < 0)
			return -EIO;
		ret->versions = xgrow(ret->versions, &ret->cap, ret->count + 1,
				      sizeof(*ret->versions));
		ret->versions[ret->count++] = (uint32_t)version;
	}
	return more;
}

/* Does a running run use it, or has one logged it? at: the last time that a run logged it. */
static int has_running(struct kv_txn *txn, char kind, uint32_t version, uint64_t *at)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	struct edge edge;
	int running, more = kv_scan(txn, KV_META, KEY(prefix_id(kind, version)), slice("", 0),
				    &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		running = is_running(txn, key_u32_at(key, 5));
		if (running != 0)
			return running;
		if (decode_edge(value, &edge) < 0)
			return -EIO;
		if (edge.last > *at)
			*at = edge.last;
	}
	return more;
}

static int has_name(struct kv_txn *txn, const struct version *v)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_read(txn, v->collection, &c);

	if (err < 0 || c.latest == (int64_t)v->number)
		return err < 0 ? err : 1;
	return alias_of_version_any(txn, v->id);
}

/* 1, 0, -errno. used: the last time that a run had to do with it. */
static int is_needed(struct kv_txn *txn, const struct pinned *pinned, const struct version *v,
		     uint64_t *used)
{
	int err;

	*used = 0;
	for (size_t i = 0; i < pinned->count; i++)
		if (pinned->versions[i] == v->id)
			return 1;
	err = has_name(txn, v);
	if (err == 0)
		err = has_running(txn, 'u', v->id, used);
	return err != 0 ? err : has_running(txn, 'p', v->id, used);
}

/* ---- what is selected ---- */

/* The versions of a collection that may be among its last ones. */
struct window {
	struct version *list;
	size_t first, count, cap;
};

static void window_release(struct window *w)
{
	free(w->list);
}

static void window_push(struct window *w, const struct version *v)
{
	/* The room before the first is used again once it is half of all. */
	if (w->first > BATCH && 2 * w->first > w->first + w->count) {
		memmove(w->list, w->list + w->first, w->count * sizeof(*w->list));
		w->first = 0;
	}
	w->list = xgrow(w->list, &w->cap, w->first + w->count + 1, sizeof(*w->list));
	w->list[w->first + w->count++] = *v;
}

static struct version window_pop(struct window *w)
{
	w->count--;
	return w->list[w->first++];
}

struct batch {
	struct version versions[BATCH_MAX];
	size_t count, most;
	struct pinned pinned;
};

static struct batch *batch_new(const struct gc_policy *policy)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	size_t keep = policy->has_keep_last ? policy->keep_last : 0;

	/* What is kept is read again for each batch: that is to be no more than the batch. */
	b->most = keep < BATCH ? BATCH : keep < BATCH_MAX ? keep : BATCH_MAX;
	return b;
}

static void batch_freep(struct batch **b)
{
	pinned_release(&(*b)->pinned);
	free(*b);
}

/* Is a version that is not among the last ones selected? 1, 0, -errno. */
static int selects(struct kv_txn *txn, const struct gc_policy *policy, const struct batch *b,
		   const struct version *v)
{
	uint64_t before = ago((uint64_t)policy->unused_days * 86400), logged, used = 0;
	AUTO(buf_release) struct buf last = BUF_INIT;
	int err;

	if (policy->has_unused && v->created >= before)
		return 0;
	err = is_needed(txn, &b->pinned, v, &logged);
	if (err != 0 || !policy->has_unused)
		return err < 0 ? err : !err;
	/* Also of runs that are gone, or took their declaration back. */
	err = kv_get(txn, KV_META, KEY(last_use(v->id)), &last);
	if (err == 0)
		err = decode_u64(buf_slice(&last), &used);
	if (err < 0 && err != -ENOENT)
		return err;
	return logged < before && used < before;
}

/*
 * Live versions from the cursor on: those that are selected, and the cursor behind what was looked
 * at. 1: there may be more.
 */
static int select_versions(struct store *store, const struct gc_policy *policy,
			   struct gc_cursor *cursor, struct batch *b)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	AUTO(window_release) struct window window = { 0 };
	size_t keep = policy->has_keep_last ? policy->keep_last : 0, looked = 0;
	struct slice key, value;
	struct version v;
	int more = kv_begin(store->kv, KV_READ, &txn);

	b->count = 0;
	if (more == 0)
		more = read_pinned(txn, &b->pinned);
	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('V')),
			       KEY(version(cursor->collection, cursor->number)), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (decode_version(value, &v) < 0)
			return -EIO;
		if (window.count > 0 && window.list[window.first].collection != v.collection)
			window.count = window.first = 0;
		window_push(&window, &v);
		if (window.count <= keep)
			continue;
		v = window_pop(&window);
		more = selects(txn, policy, b, &v);
		if (more < 0)
			return more;
		if (more > 0)
			b->versions[b->count++] = v;
		cursor->collection = v.collection;
		cursor->number = v.number + 1;
		if (b->count == b->most || ++looked == BATCH_MAX)
			return 1;
	}
	return more;
}

/* The same for what is in the trash. */
static int select_removed(struct store *store, const struct gc_policy *policy,
			  struct gc_cursor *cursor, struct batch *b)
{
	uint64_t before = ago(store->options.trash_seconds);
	struct version v;

	b->count = 0;
	for (size_t looked = 0; looked < BATCH_MAX && b->count < b->most; looked++) {
		int more = version_removed_next(store, cursor->collection,
						(int64_t)cursor->number - 1, &v);

		if (more <= 0)
			return more;
		cursor->collection = v.collection;
		cursor->number = v.number + 1;
		if (policy->empty_trash || v.removed < before)
			b->versions[b->count++] = v;
	}
	return 1;
}

static bool has_policy(const struct gc_policy *policy)
{
	return policy->has_keep_last || policy->has_unused;
}

/* The next phase that has something to do. */
static void next_phase(const struct gc_policy *policy, struct gc_cursor *cursor)
{
	enum gc_phase phase = cursor->phase + 1;

	if (phase == GC_VERSIONS && !has_policy(policy))
		phase++;
	*cursor = (struct gc_cursor){ .phase = phase };
}

static int select_batch(struct store *store, const struct gc_policy *policy,
			struct gc_cursor *cursor, struct batch *b)
{
	int more = cursor->phase == GC_TRASH ? select_removed(store, policy, cursor, b) :
					       select_versions(store, policy, cursor, b);

	if (more == 0)
		next_phase(policy, cursor);
	return more;
}

int gc_select(struct store *store, const struct gc_policy *policy, const bool *stop,
	      struct usage_set *ret)
{
	AUTO(batch_freep) struct batch *b = batch_new(policy);
	struct gc_cursor cursor = { 0 };

	while (cursor.phase < GC_REAP) {
		int err = stopped(stop) ? -EINTR : select_batch(store, policy, &cursor, b);

		if (err < 0)
			return err;
		for (size_t i = 0; i < b->count; i++)
			usage_set_add(ret, b->versions[i].id);
	}
	return 0;
}

/* ---- doing it ---- */

/* What was discarded is looked at again: did somebody begin to need it just before? */
static int look_again(struct store *store, struct batch *b)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	size_t kept = 0;
	int err = kv_begin(store->kv, KV_READ, &txn);

	if (err == 0)
		err = read_pinned(txn, &b->pinned);
	for (size_t i = 0; err >= 0 && i < b->count; i++) {
		const struct version v = b->versions[i];
		uint64_t used;

		err = is_needed(txn, &b->pinned, &v, &used);
		if (err == 0)
			b->versions[kept++] = v;
		else if (err > 0)
			err = version_restore(store, v.id);
		/* Somebody else was quicker. */
		if (err == -ENOENT)
			err = 0;
	}
	b->count = kept;
	return err < 0 ? err : 0;
}

static int discard(struct store *store, struct batch *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->count; i++) {
		int err = version_discard(store, b->versions[i].id);

		if (err == 0)
			b->versions[kept++] = b->versions[i];
		else if (err != -EBUSY && err != -ENOENT)
			return err;
	}
	b->count = kept;
	return look_again(store, b);
}

/* What the trash has of versions that were discarded and not looked at again. */
static int look_at_discarded(struct store *store, struct batch *b)
{
	AUTO(batch_freep) struct batch *again = xcalloc(1, sizeof(*again));
	size_t kept = 0;
	int err;

	for (size_t i = 0; i < b->count; i++) {
		struct batch *to = version_is_discarded(&b->versions[i]) ? again : b;
		size_t *at = to == again ? &again->count : &kept;

		to->versions[(*at)++] = b->versions[i];
	}
	b->count = kept;
	err = again->count ? look_again(store, again) : 0;
	for (size_t i = 0; err == 0 && i < again->count; i++)
		b->versions[b->count++] = again->versions[i];
	return err;
}

static int purge_batch(struct store *store, struct gc_cursor *cursor, struct batch *b,
		       const struct gc_policy *policy, uint64_t *purged)
{
	struct gc_cursor next = *cursor;
	int err = select_batch(store, policy, &next, b);

	if (err >= 0)
		err = cursor->phase == GC_TRASH ? look_at_discarded(store, b) : discard(store, b);
	for (size_t i = 0; err >= 0 && i < b->count; i++) {
		err = version_purge(store, b->versions[i].id);
		if (err == 0)
			++*purged;
		/* It came back, because somebody logged the same content, or for good reason. */
		if (err == -ENOENT)
			err = 0;
	}
	if (err < 0)
		return err;
	*cursor = next;
	return 0;
}

static int reap_batch(struct store *store, struct gc_cursor *cursor)
{
	int more = reap_some(store, REAP_BATCH);

	if (more == 0)
		cursor->phase = GC_DONE;
	else if (more > 0 && pthread_mutex_trylock(&store->reap_lock) == 0)
		pthread_mutex_unlock(&store->reap_lock);
	else if (more > 0)
		nanosleep(&(struct timespec){ .tv_nsec = WAIT_NS }, NULL);
	return more < 0 ? more : 0;
}

int gc_step(struct store *store, const struct gc_policy *policy, unsigned ms, const bool *stop,
	    struct gc_cursor *cursor, uint64_t *purged)
{
	AUTO(batch_freep) struct batch *b = batch_new(policy);
	int64_t until = monotonic_ms() + ms;
	int err = 0;

	while (err == 0 && cursor->phase < GC_DONE) {
		if (stopped(stop))
			return -EINTR;
		err = cursor->phase == GC_REAP ? reap_batch(store, cursor) :
						 purge_batch(store, cursor, b, policy, purged);
		if (monotonic_ms() >= until)
			break;
	}
	return err < 0 ? err : cursor->phase < GC_DONE;
}
