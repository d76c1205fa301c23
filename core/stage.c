#include "stage.h"

#include "batch.h"
#include "damage.h"
#include "log.h"
#include "reap.h"

/*
 * While one batch is filled another is put, by a thread that starts with the first one that is
 * full: a small log does without.
 */
struct stage {
	struct store *store;
	uint64_t intent;
	uint32_t part;
	bool twins; /* other logs put some of the same bytes first: ours are doomed */
	struct batch *filling, *putting; /* the second is NULL until there is a thread */
	struct kv_txn *look; /* sees what is present; as old as the batch, at most */

	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t turn;
	bool busy, ended;
	int result; /* of putting, until settle() */
};

struct open_intent {
	uint64_t id;
	struct intent intent;
};

static int open_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct open_intent *open = arg;

	encode_intent(&b, &open->intent);
	return kv_put(txn, KV_META, KEY(intent(open->id)), buf_slice(&b));
}

int stage_open(struct store *store, uint32_t run, struct stage **ret)
{
	struct open_intent open = { .intent = { .run = run, .created = store_now() } };
	struct stage *s;
	int err = store_new_ids(store, ID_INTENT, 1, &open.id);

	if (err == 0)
		err = kv_update(store->kv, KV_ORDERED, open_body, &open);
	if (err < 0)
		return err;
	s = xcalloc(1, sizeof(*s));
	s->store = store;
	s->intent = open.id;
	s->filling = batch_new(store, s->intent);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->turn, NULL);
	*ret = s;
	return 0;
}

uint64_t stage_intent(const struct stage *s)
{
	return s->intent;
}

/* Looks for a row; what was put since the first look of this batch need not be seen. */
static int look_up(struct stage *s, struct slice key, struct buf *ret)
{
	int err = s->look ? 0 : kv_begin(s->store->kv, KV_READ, &s->look);

	return err < 0 ? err : kv_get(s->look, KV_META, key, ret);
}

static void look_away(struct stage *s)
{
	if (s->look)
		kv_abort(steal(s->look));
}

/* Is the blob present, or about to be? */
static int is_present(struct stage *s, const struct digest *digest)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err;

	if (batch_has_blob(s->filling, digest) ||
	    (s->putting && batch_has_blob(s->putting, digest)))
		return 1;
	err = look_up(s, KEY(blob(digest)), &b);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return !damage_is(s->store, digest);
}

bool stage_is_present(struct stage *s, const struct blob_id *id)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	return kv_get_one(s->store->kv, KV_META, KEY(blob(&id->digest)), &b) == 0 &&
	       decode_blob_row(buf_slice(&b), &row) == 0 && row.generation == id->generation &&
	       !damage_is(s->store, &id->digest);
}

/* Waits until the thread is done with its batch. */
static int settle(struct stage *s)
{
	int err;

	if (!s->started)
		return 0;
	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->turn, &s->lock);
	err = s->result;
	s->result = 0;
	pthread_mutex_unlock(&s->lock);
	s->twins |= err == 0 && s->putting->twins;
	batch_reset(s->putting);
	return err;
}

static void *put_batches(void *arg)
{
	struct stage *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		int err;

		while (!s->busy && !s->ended)
			pthread_cond_wait(&s->turn, &s->lock);
		if (!s->busy)
			break;
		pthread_mutex_unlock(&s->lock);
		err = batch_put(s->putting);
		pthread_mutex_lock(&s->lock);
		s->result = err;
		s->busy = false;
		pthread_cond_signal(&s->turn);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* With the thread at rest. */
static int put_here(struct stage *s)
{
	int err = 0;

	s->filling->part = s->part;
	if (!batch_is_empty(s->filling)) {
		s->part++;
		err = batch_put(s->filling);
	}
	s->twins |= err == 0 && s->filling->twins;
	batch_reset(s->filling);
	return err;
}

/* Has the full batch put, and begins another. */
static int hand_over(struct stage *s)
{
	struct batch *full = s->filling;
	int err = settle(s);

	look_away(s);
	if (err < 0)
		return err;
	if (!s->started && pthread_create(&s->thread, NULL, put_batches, s) != 0)
		return put_here(s);
	s->started = true;
	if (!s->putting)
		s->putting = batch_new(s->store, s->intent);
	LOCKED(&s->lock);
	s->filling = s->putting;
	s->putting = full;
	full->part = s->part++;
	s->busy = true;
	pthread_cond_signal(&s->turn);
	return 0;
}

/* Takes the descriptor. */
static int add_blob(struct stage *s, struct staged_blob *blob, struct slice bytes)
{
	int err = store_new_ids(s->store, ID_BLOB, 1, &blob->id.generation);

	if (err < 0) {
		if (blob->fd >= 0)
			close(blob->fd);
		return err;
	}
	batch_add_blob(s->filling, blob, bytes);
	return batch_is_full(s->filling) ? hand_over(s) : 0;
}

int stage_small(struct stage *s, const struct digest *digest, struct slice bytes)
{
	struct staged_blob blob = { .id.digest = *digest, .size = bytes.len, .fd = -1 };
	int there = is_present(s, digest);

	return there < 0 ? there : there ? 0 : add_blob(s, &blob, bytes);
}

int stage_large(struct stage *s, struct draft_top *top, uint64_t since, int fd,
		const struct digest *digest, uint64_t size)
{
	struct staged_blob blob = {
		.id.digest = *digest, .size = size, .fd = fd, .top = top, .since = since,
	};
	int err;

	/* It took long to read. */
	look_away(s);
	err = is_present(s, digest);
	if (err == 0)
		return add_blob(s, &blob, slice("", 0));
	close(fd);
	return err < 0 ? err : 0;
}

/* The page of this digest, if there is one. */
static int find_page(struct stage *s, const struct digest *digest, uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct staged_page *staged = batch_find_page(s->filling, digest);
	struct staged_page page = { .digest = *digest, .reused = true };
	int err;

	if (!staged && s->putting)
		staged = batch_find_page(s->putting, digest);
	if (staged) {
		*ret = staged->id;
		return 1;
	}
	err = look_up(s, KEY(page_digest(digest)), &b);
	if (err == 0)
		err = decode_u64(buf_slice(&b), &page.id);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	batch_add_page(s->filling, &page, slice("", 0));
	*ret = page.id;
	return 1;
}

int stage_page(void *arg, const struct page_built *page, uint64_t *ret)
{
	struct stage *s = arg;
	struct staged_page p = { .digest = page->digest };
	int err = find_page(s, &page->digest, &p.id);

	if (err == 0) {
		err = store_new_ids(s->store, ID_PAGE, 1, &p.id);
		if (err < 0)
			return err;
		batch_add_page(s->filling, &p, page->bytes);
	}
	if (err < 0)
		return err;
	*ret = p.id;
	return batch_is_full(s->filling) ? hand_over(s) : 0;
}

void stage_discard(struct stage *s)
{
	settle(s);
	look_away(s);
	batch_reset(s->filling);
}

int stage_flush(struct stage *s)
{
	int err = settle(s);

	look_away(s);
	return err < 0 ? err : put_here(s);
}

/*
 * One part of an intent is dropped. With doom, what it put or refers to is doomed, and stays if it
 * is in use; without, all of it is known to be in use.
 */
struct drop {
	uint64_t intent;
	uint32_t part;
	bool doom;
};

int stage_part_blob(struct reader *r, struct blob_id *ret_id, uint64_t *ret_size)
{
	get_digest(r, &ret_id->digest);
	ret_id->generation = get_u64(r);
	*ret_size = get_u64(r);
	return r->bad ? -EIO : 0;
}

static int drop_blob(struct kv_txn *txn, struct reader *r, bool doom)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row = { 0 };
	struct blob_id id;
	uint64_t size;
	int err = stage_part_blob(r, &id, &size);

	if (err < 0 || !doom)
		return err;
	err = kv_get(txn, KV_META, KEY(blob(&id.digest)), &b);
	if (err == 0)
		err = decode_blob_row(buf_slice(&b), &row);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0 && row.generation == id.generation)
		return reap_doom_blob(txn, &id.digest);
	return reap_doom_bytes(txn, &id, size);
}

static int drop_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct drop *drop = arg;
	struct reader r;
	int err = kv_get(txn, KV_META, KEY(intent_part(drop->intent, drop->part)), &b);

	if (err < 0)
		return err;
	r = reader_of(buf_slice(&b));
	for (uint64_t n = get_u64(&r); err == 0 && n > 0; n--)
		err = drop_blob(txn, &r, drop->doom);
	for (uint64_t n = err < 0 ? 0 : get_u64(&r); err == 0 && n > 0 && !r.bad; n--) {
		uint64_t page = get_u64(&r);

		err = kv_del(txn, KV_META, KEY(page_ref(page, REFERRER_INTENT, drop->intent)));
		if (err == 0)
			err = drop->doom ? reap_doom_page(txn, page) :
					   reap_release_page(txn, page);
	}
	if (err == 0)
		err = reader_end(&r);
	if (err < 0)
		return err;
	return kv_del(txn, KV_META, KEY(intent_part(drop->intent, drop->part)));
}

static int forget_body(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, KV_META, KEY(intent(*(uint64_t *)arg)));
}

/* The first part that is left: 1, 0, -errno. */
static int first_part(struct store *store, uint64_t intent, uint32_t *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix_intent_parts(intent)), slice("", 0), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more > 0)
		*ret = key_u32_at(key, 9);
	return more;
}

static int drop_all(struct store *store, uint64_t intent, bool doom)
{
	struct drop drop = { .intent = intent, .doom = doom };
	int more;

	while ((more = first_part(store, intent, &drop.part)) > 0) {
		int err = kv_update(store->kv, KV_ORDERED, drop_body, &drop);

		if (err < 0)
			return log_errno(err, "dropping part %u of an intent", drop.part);
	}
	/* What published has deleted the row. */
	if (more < 0 || !doom)
		return more;
	return kv_update(store->kv, KV_ORDERED, forget_body, &intent);
}

int stage_drop(struct store *store, uint64_t intent)
{
	return drop_all(store, intent, true);
}

/* What fails is left to the janitor, or to recovery at the next start. */
static void leave(struct store *store, const struct store_leftover *left, bool reap)
{
	LOCKED(&store->janitor_lock);
	if (left) {
		store->leftovers = xgrow(store->leftovers, &store->leftover_cap,
					 store->leftover_count + 1, sizeof(*left));
		store->leftovers[store->leftover_count++] = *left;
	}
	store->reap_again |= reap;
	/* It comes back sooner. */
	pthread_cond_signal(&store->janitor_wake);
}

/* Takes an intent away, and then what nobody refers to if so wanted. */
static bool clean_up(struct store *store, const struct store_leftover *left, bool reap)
{
	int left_over;

	if (drop_all(store, left->intent, left->doom) < 0) {
		leave(store, left, reap);
		return false;
	}
	left_over = reap ? reap_some(store, REAP_AT_ONCE) : 0;
	if (left_over > 0)
		reap_soon(store);
	else if (left_over < 0)
		leave(store, NULL, true);
	return left_over == 0;
}

static bool take_leftover(struct store *store, struct store_leftover *ret)
{
	LOCKED(&store->janitor_lock);
	if (store->leftover_count == 0)
		return false;
	*ret = store->leftovers[--store->leftover_count];
	return true;
}

void stage_clean(struct store *store)
{
	struct store_leftover left;
	bool reap;

	while (take_leftover(store, &left))
		if (!clean_up(store, &left, false))
			return;
	{
		LOCKED(&store->janitor_lock);
		reap = store->reap_again;
		store->reap_again = false;
	}
	if (reap && reap_until(store, &store->janitor_stop) < 0)
		leave(store, NULL, true);
}

void stage_close(struct stage *s, enum stage_end end)
{
	struct store *store = s->store;
	struct store_leftover left = { s->intent, end != STAGE_PUBLISHED };

	stage_discard(s);
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->ended = true;
		pthread_cond_signal(&s->turn);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	clean_up(store, &left, end != STAGE_PUBLISHED || s->twins);
	batch_free(s->filling);
	batch_free(s->putting);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->turn);
	free(s);
}
