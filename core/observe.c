#include "observe.h"

#include "artifact.h"
#include "edge.h"
#include "log.h"
#include "run.h"
#include "run_event.h"

#include <time.h>

#define FLUSH_SECONDS 3
#define SHARDS 64
#define BUCKETS 64
/* Counts written in one transaction. */
#define BATCH 256

enum seen_kind { SEEN_VERSION, SEEN_DRAFT, SEEN_UNSEEN };

/* Something that was opened. */
struct seen {
	struct seen *next;
	enum seen_kind kind;
	uint32_t run, to; /* a version, or a run */
	unsigned generation; /* of runs when it was last found out whether there is an edge */
	bool edge;	  /* opens count */
	bool used;	  /* since the last flush */
	uint64_t opened, last;
};

struct observer {
	struct store *store;
	pthread_t thread;
	bool started;
	pthread_mutex_t flushing;
	pthread_mutex_t lock; /* of stop */
	pthread_cond_t wake;
	bool stop;
	struct seen_shard {
		pthread_mutex_t lock;
		struct seen *buckets[BUCKETS];
	} shards[SHARDS];
};

static uint32_t hash_of(enum seen_kind kind, uint32_t run, uint32_t to)
{
	return (uint32_t)(((uint64_t)run << 32 | (to ^ (uint32_t)kind << 30)) *
				  0x9e3779b97f4a7c15u >> 40);
}

/* With the shard's lock held. */
static struct seen *find(struct seen_shard *s, uint32_t hash, enum seen_kind kind, uint32_t run,
			 uint32_t to)
{
	struct seen *e = s->buckets[hash / SHARDS % BUCKETS];

	while (e && !(e->kind == kind && e->run == run && e->to == to))
		e = e->next;
	return e;
}

static void count(struct seen *e)
{
	e->used = true;
	e->opened++;
	e->last = store_now();
}

/* Counts an open of what is known; false: find out first. */
static bool count_known(struct observer *o, enum seen_kind kind, uint32_t run, uint32_t to)
{
	uint32_t hash = hash_of(kind, run, to);
	struct seen_shard *s = &o->shards[hash % SHARDS];
	struct seen *e;

	LOCKED(&s->lock);
	e = find(s, hash, kind, run, to);
	if (!e || (kind != SEEN_UNSEEN &&
		   e->generation != atomic_load(&o->store->run_generation)))
		return false;
	if (e->edge)
		count(e);
	return true;
}

/* edge: there is one. counted: this open is in it already. */
static void note(struct observer *o, enum seen_kind kind, uint32_t run, uint32_t to,
		 unsigned generation, bool edge, bool counted)
{
	uint32_t hash = hash_of(kind, run, to);
	struct seen_shard *s = &o->shards[hash % SHARDS];
	struct seen **bucket = &s->buckets[hash / SHARDS % BUCKETS];
	struct seen *e;

	LOCKED(&s->lock);
	e = find(s, hash, kind, run, to);
	if (!e) {
		e = xcalloc(1, sizeof(*e));
		e->kind = kind;
		e->run = run;
		e->to = to;
		e->next = *bucket;
		*bucket = e;
	}
	e->generation = generation;
	e->edge = edge;
	e->used = true;
	if (edge && !counted)
		count(e);
}

struct observing {
	struct store *store;
	enum seen_kind kind;
	uint32_t run, to;
	bool edge;    /* there is one now */
	bool counted; /* it was new, and has this open */
};

static enum edge_side side_of(enum seen_kind kind)
{
	return kind == SEEN_DRAFT ? EDGE_RUN_PEEKED : EDGE_RUN_USES;
}

/* Is there to be an edge? 1 and the run, 0, -errno. */
static int wants_edge(struct kv_txn *txn, const struct observing *o, struct run *ret)
{
	struct version v;
	int err = run_read(txn, o->run, ret);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (ret->state != RUN_RUNNING)
		return 0;
	if (o->kind == SEEN_DRAFT)
		return 1;
	err = edge_exists(txn, EDGE_RUN_LOGGED, o->run, o->to);
	if (err != 0)
		return err < 0 ? err : 0;
	err = version_read_by_id(txn, o->to, &v);
	return err < 0 ? err : 1;
}

static int put_event(struct kv_txn *txn, const struct observing *o, const struct run *run)
{
	AUTO(run_release) struct run other = { 0 };
	int err;

	if (o->kind == SEEN_VERSION)
		return input_event_put(txn, o->store, run, &(struct input_event){
			.kind = EVENT_INPUT, .how = "observed", .version = o->to,
		});
	err = run_read(txn, o->to, &other);
	return err < 0 ? err : event_put(txn, o->store, &(struct event){
		.kind = EVENT_PEEKED, .run = run->name, .details = { { "of", other.name } },
	});
}

static int observe_body(struct kv_txn *txn, void *arg)
{
	AUTO(run_release) struct run run = { 0 };
	struct observing *o = arg;
	struct edge edge = { .flags = EDGE_OBSERVED, .opened = 1 };
	int err = wants_edge(txn, o, &run);

	o->edge = o->counted = false;
	if (err <= 0)
		return err;
	err = edge_exists(txn, side_of(o->kind), o->run, o->to);
	if (err < 0)
		return err;
	o->edge = true;
	if (err > 0 && (unsigned)err & EDGE_OBSERVED)
		return 0;
	err = store_new_ids(o->store, ID_SEQUENCE, 1, &edge.sequence);
	if (err < 0)
		return err;
	edge.first = edge.last = store_now();
	o->counted = true;
	err = o->kind == SEEN_DRAFT ? edge_add_peek(txn, o->run, o->to, &edge) :
				      edge_add_use(txn, o->run, o->to, &edge);
	return err < 0 ? err : put_event(txn, o, &run);
}

static int observe(struct store *store, enum seen_kind kind, uint32_t run, uint32_t to)
{
	struct observing o = { .store = store, .kind = kind, .run = run, .to = to };
	unsigned generation = atomic_load(&store->run_generation);
	int err;

	if (count_known(store->observer, kind, run, to))
		return 0;
	err = kv_update(store->kv, KV_DURABLE, observe_body, &o);
	if (err < 0)
		return log_errno(err, "noting an input of run %u", run);
	if (o.counted)
		edges_changed(store, run);
	note(store->observer, kind, run, to, generation, o.edge, o.counted);
	return 0;
}

int observe_version(struct store *store, uint32_t run, uint32_t version)
{
	return observe(store, SEEN_VERSION, run, version);
}

int observe_draft(struct store *store, uint32_t run, uint32_t other)
{
	return observe(store, SEEN_DRAFT, run, other);
}

void observe_unseen(struct store *store, uint32_t version)
{
	if (!count_known(store->observer, SEEN_UNSEEN, 0, version))
		note(store->observer, SEEN_UNSEEN, 0, version, 0, true, false);
}

int observe_count_unseen(struct store *store, uint32_t version, uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = observe_flush(store);

	if (err == 0)
		err = kv_get_one(store->kv, KV_META, KEY(unseen(version)), &b);
	if (err == -ENOENT) {
		*ret = 0;
		return 0;
	}
	return err < 0 ? err : decode_u64(buf_slice(&b), ret);
}

struct batch {
	struct seen list[BATCH]; /* copies */
	size_t count;
};

static int add_unseen(struct kv_txn *txn, const struct seen *e)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t sum = 0;
	int err = kv_get(txn, KV_META, KEY(unseen(e->to)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &sum);
	if (err < 0 && err != -ENOENT)
		return err;
	buf_reset(&b);
	encode_u64(&b, sum + e->opened);
	return kv_put(txn, KV_META, KEY(unseen(e->to)), buf_slice(&b));
}

static int flush_body(struct kv_txn *txn, void *arg)
{
	const struct batch *batch = arg;
	int err = 0;

	for (size_t i = 0; err == 0 && i < batch->count; i++) {
		const struct seen *e = &batch->list[i];

		if (e->kind == SEEN_UNSEEN)
			err = add_unseen(txn, e);
		else
			err = edge_count_opens(txn, side_of(e->kind), e->run, e->to, e->opened,
					       e->last);
	}
	return err;
}

/* Writes a batch; what could not be written is counted again later. */
static int write_batch(struct observer *o, struct batch *batch)
{
	int err = batch->count ? kv_update(o->store->kv, KV_ORDERED, flush_body, batch) : 0;

	for (size_t i = 0; err < 0 && i < batch->count; i++) {
		const struct seen *e = &batch->list[i];
		uint32_t hash = hash_of(e->kind, e->run, e->to);
		struct seen_shard *s = &o->shards[hash % SHARDS];
		struct seen *there;

		LOCKED(&s->lock);
		there = find(s, hash, e->kind, e->run, e->to);
		if (there)
			there->opened += e->opened;
	}
	batch->count = 0;
	return err;
}

/* Takes the counts out of a shard; with idle, forgets what was not opened since the last time. */
static int flush_shard(struct observer *o, struct seen_shard *s, bool idle, struct batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		struct seen **at = &s->buckets[i];

		pthread_mutex_lock(&s->lock);
		while (*at) {
			struct seen *e = *at;

			if (e->opened && batch->count < BATCH) {
				batch->list[batch->count++] = *e;
				e->opened = 0;
			}
			if (idle && !e->used && e->opened == 0) {
				*at = e->next;
				free(e);
				continue;
			}
			if (idle)
				e->used = false;
			at = &e->next;
		}
		pthread_mutex_unlock(&s->lock);
		if (batch->count == BATCH) {
			int failed = write_batch(o, batch);

			err = err < 0 ? err : failed;
			i--; /* there may be more of this bucket */
		}
	}
	return err;
}

static int flush(struct observer *o, bool idle)
{
	autofree struct batch *batch = xcalloc(1, sizeof(*batch));
	int err = 0, failed;

	LOCKED(&o->flushing);
	for (size_t i = 0; err == 0 && i < SHARDS; i++)
		err = flush_shard(o, &o->shards[i], idle, batch);
	failed = write_batch(o, batch);
	return err < 0 ? err : failed;
}

int observe_flush(struct store *store)
{
	return flush(store->observer, false);
}

static void *run_observer(void *arg)
{
	struct observer *o = arg;
	struct timespec until;

	pthread_mutex_lock(&o->lock);
	while (!o->stop) {
		int waited;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += FLUSH_SECONDS;
		waited = pthread_cond_timedwait(&o->wake, &o->lock, &until);
		if (o->stop || waited != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&o->lock);
		if (flush(o, true) < 0)
			log_warning("counts of opened files could not be written");
		pthread_mutex_lock(&o->lock);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

int observer_start(struct store *store, struct observer **ret)
{
	struct observer *o = xcalloc(1, sizeof(*o));
	int err;

	o->store = store;
	pthread_mutex_init(&o->lock, NULL);
	pthread_mutex_init(&o->flushing, NULL);
	pthread_cond_init(&o->wake, NULL);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&o->shards[i].lock, NULL);
	err = -pthread_create(&o->thread, NULL, run_observer, o);
	o->started = err == 0;
	if (err < 0) {
		observer_stop(o);
		return err;
	}
	*ret = o;
	return 0;
}

void observer_stop(struct observer *o)
{
	if (!o)
		return;
	if (o->started) {
		pthread_mutex_lock(&o->lock);
		o->stop = true;
		pthread_cond_signal(&o->wake);
		pthread_mutex_unlock(&o->lock);
		pthread_join(o->thread, NULL);
	}
	if (flush(o, false) < 0)
		log_warning("counts of opened files could not be written");
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t k = 0; k < BUCKETS; k++) {
			for (struct seen *e = o->shards[i].buckets[k], *next; e; e = next) {
				next = e->next;
				free(e);
			}
		}
		pthread_mutex_destroy(&o->shards[i].lock);
	}
	pthread_mutex_destroy(&o->lock);
	pthread_mutex_destroy(&o->flushing);
	pthread_cond_destroy(&o->wake);
	free(o);
}
