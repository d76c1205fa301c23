#include "stage.h"

#include "log.h"
#include "reap.h"

/* A batch is put when it has so much of anything. */
#define BATCH_BYTES (4u << 20)
#define BATCH_BLOBS 1024
#define BATCH_PAGES 512
#define BATCH_LARGE 32
/* Of the hash table that finds a batch's blobs; a power of two, some times BATCH_BLOBS. */
#define SLOTS (4 * BATCH_BLOBS)

struct staged_blob {
	struct blob_id id;
	uint64_t size;
	size_t offset; /* small: in stage.bytes */
	int fd;	       /* large, else -1 */
	struct draft_top *top; /* large: with a reference */
	uint64_t since;
	bool fresh; /* its row was made by the transaction of the batch */
};

struct staged_page {
	uint64_t id;
	struct digest digest;
	bool reused;  /* it was there: only a reference is added */
	size_t offset, len; /* in stage.page_bytes */
};

struct stage {
	struct store *store;
	uint64_t intent;
	uint32_t part;
	struct buf bytes, page_bytes;
	struct staged_blob blobs[BATCH_BLOBS];
	struct staged_page pages[BATCH_PAGES];
	size_t blob_count, page_count, large_count;
	uint16_t slots[SLOTS]; /* of blobs by digest: place + 1; 0: free */
	bool twins; /* other logs put some of the same bytes first: ours are doomed */
	bool batch_twins; /* the same of this batch, until it is committed */
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
	*ret = s;
	return 0;
}

uint64_t stage_intent(const struct stage *s)
{
	return s->intent;
}

/* Where the blob is in the table of this batch, or would be. */
static uint16_t *slot_of(struct stage *s, const struct digest *digest)
{
	uint32_t hash;

	memcpy(&hash, digest->bytes, sizeof(hash));
	while (s->slots[hash % SLOTS] != 0 &&
	       !digest_equal(&s->blobs[s->slots[hash % SLOTS] - 1].id.digest, digest))
		hash++;
	return &s->slots[hash % SLOTS];
}

/* Is the blob present, or in this batch? */
static int is_present(struct stage *s, const struct digest *digest)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err;

	if (*slot_of(s, digest) != 0)
		return 1;
	err = kv_get_one(s->store->kv, KV_META, KEY(blob(digest)), &b);
	return err == -ENOENT ? 0 : err < 0 ? err : 1;
}

bool stage_is_present(struct stage *s, const struct blob_id *id)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	return kv_get_one(s->store->kv, KV_META, KEY(blob(&id->digest)), &b) == 0 &&
	       decode_blob_row(buf_slice(&b), &row) == 0 && row.generation == id->generation;
}

static int add_blob(struct stage *s, const struct staged_blob *blob)
{
	struct staged_blob *b = &s->blobs[s->blob_count];
	uint64_t generation;
	int err = store_new_ids(s->store, ID_BLOB, 1, &generation);

	if (err < 0)
		return err;
	*b = *blob;
	b->id.generation = generation;
	if (b->top)
		draft_top_hold(b->top);
	*slot_of(s, &b->id.digest) = (uint16_t)(s->blob_count + 1);
	s->blob_count++;
	return 0;
}

int stage_small(struct stage *s, const struct digest *digest, struct slice bytes)
{
	struct staged_blob blob = {
		.id.digest = *digest, .size = bytes.len, .offset = s->bytes.len, .fd = -1,
	};
	int err = is_present(s, digest);

	if (err != 0)
		return err < 0 ? err : 0;
	err = add_blob(s, &blob);
	if (err < 0)
		return err;
	buf_add_slice(&s->bytes, bytes);
	if (s->blob_count == BATCH_BLOBS || s->bytes.len >= BATCH_BYTES)
		return stage_flush(s);
	return 0;
}

int stage_large(struct stage *s, struct draft_top *top, uint64_t since, int fd,
		const struct digest *digest, uint64_t size)
{
	struct staged_blob blob = {
		.id.digest = *digest, .size = size, .fd = fd, .top = top, .since = since,
	};
	int err = is_present(s, digest);

	if (err == 0)
		err = add_blob(s, &blob);
	else if (err > 0)
		close(fd);
	if (err < 0)
		close(fd);
	if (err != 0)
		return err < 0 ? err : 0;
	s->large_count++;
	if (s->blob_count == BATCH_BLOBS || s->large_count == BATCH_LARGE)
		return stage_flush(s);
	return 0;
}

/* The page of this digest, if there is one. */
static int find_page(struct stage *s, const struct digest *digest, struct staged_page *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err;

	for (size_t i = s->page_count; i-- > 0;) {
		if (digest_equal(&s->pages[i].digest, digest)) {
			*ret = s->pages[i];
			return 1;
		}
	}
	err = kv_get_one(s->store->kv, KV_META, KEY(page_digest(digest)), &b);
	if (err == 0)
		err = decode_u64(buf_slice(&b), &ret->id);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	s->pages[s->page_count++] = (struct staged_page){ .id = ret->id, .digest = *digest,
							  .reused = true };
	return 1;
}

int stage_page(void *arg, const struct page_built *page, uint64_t *ret)
{
	struct stage *s = arg;
	struct staged_page p = { .digest = page->digest, .offset = s->page_bytes.len,
				 .len = page->bytes.len };
	int err = find_page(s, &page->digest, &p);

	if (err == 0) {
		err = store_new_ids(s->store, ID_PAGE, 1, &p.id);
		if (err < 0)
			return err;
		buf_add_slice(&s->page_bytes, page->bytes);
		s->pages[s->page_count++] = p;
	}
	if (err < 0)
		return err;
	*ret = p.id;
	if (s->page_count == BATCH_PAGES || s->page_bytes.len >= BATCH_BYTES)
		return stage_flush(s);
	return 0;
}

static int part_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct stage *s = arg;

	put_u64(&b, s->blob_count);
	for (size_t i = 0; i < s->blob_count; i++) {
		put_digest(&b, &s->blobs[i].id.digest);
		put_u64(&b, s->blobs[i].id.generation);
		put_u64(&b, s->blobs[i].size);
	}
	put_u64(&b, s->page_count);
	for (size_t i = 0; i < s->page_count; i++)
		put_u64(&b, s->pages[i].id);
	return kv_put(txn, KV_META, KEY(intent_part(s->intent, s->part)), buf_slice(&b));
}

/* Is the inode the file of another blob, whose mark it needs? Only its removal ends that. */
static bool is_another_blob(struct stage *s, const struct staged_blob *b)
{
	struct blob_id other;
	struct stat st;

	return fstat(b->fd, &st) == 0 && draft_fd_is_shared(b->fd, &st, &other) &&
	       draft_is_blob(s->store, &other, &st);
}

static bool is_unchanged(const struct staged_blob *b)
{
	struct stat st;

	return fstat(b->fd, &st) == 0 && (uint64_t)st.st_size == b->size &&
	       !draft_was_touched(b->top, st.st_ino, b->since);
}

/*
 * Marks a file as about to be shared: 1; 0: it cannot be marked; -EAGAIN: somebody may have written
 * to it since it was read.
 */
static int mark(struct staged_blob *b)
{
	int err;

	EXCLUSIVE(&b->top->area->lock);
	if (!is_unchanged(b))
		return -EAGAIN;
	err = draft_mark_shared(b->fd, &b->id);
	/* No room for one more attribute, or none at all here. */
	if (err == -ENOSPC || err == -EDQUOT || err == -E2BIG || err == -EOPNOTSUPP)
		return 0;
	return err < 0 ? err : 1;
}

/* Shares a draft's file with the blob store, or copies it when it cannot be shared. */
static int put_large(struct stage *s, struct staged_blob *b)
{
	bool shared = false;
	int err, marked = 0;

	/* It was logged before, and the bytes of that are about to go. */
	if (is_another_blob(s, b))
		reap_some(s->store, REAP_AT_ONCE);
	if (!is_another_blob(s, b))
		marked = mark(b);
	if (marked < 0)
		return marked;
	err = blob_put_file(s->store->blobs, &b->id, b->fd, b->size, marked ? &shared : NULL);
	if (marked && !shared)
		draft_unmark_shared(b->fd, &b->id);
	if (err == -EIO)
		draft_mark_bad(b->fd);
	/* Nobody was kept from writing to what was copied. */
	if (err == 0 && !marked && !is_unchanged(b))
		err = -EAGAIN;
	/* The last name of the file was removed meanwhile. */
	return err == -ENOENT ? -EAGAIN : err;
}

static int put_bytes(struct stage *s)
{
	autofree struct blob_item *items = xcalloc(s->blob_count, sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < s->blob_count; i++) {
		struct staged_blob *b = &s->blobs[i];
		int err;

		if (b->fd < 0) {
			items[n].id = b->id;
			items[n++].bytes = slice(buf_str(&s->bytes) + b->offset, b->size);
			continue;
		}
		err = put_large(s, b);
		if (err < 0)
			return err;
	}
	return n ? blob_put_packed(s->store->blobs, items, n) : 0;
}

static int blob_row_body(struct kv_txn *txn, struct stage *s, struct staged_blob *b)
{
	AUTO(buf_release) struct buf row = BUF_INIT;
	struct blob_row fresh = { .size = b->size, .generation = b->id.generation };
	int there = kv_has(txn, KV_META, KEY(blob(&b->id.digest)));

	if (there < 0)
		return there;
	b->fresh = !there;
	/* Another log put the same bytes first: ours go. */
	if (there) {
		s->batch_twins = true;
		return reap_doom_bytes(txn, &b->id, b->size);
	}
	encode_blob_row(&row, &fresh);
	return kv_put(txn, KV_META, KEY(blob(&b->id.digest)), buf_slice(&row));
}

static int refer_to_blob(struct kv_txn *txn, struct stage *s, const struct digest *digest,
			 uint64_t page)
{
	uint16_t slot = *slot_of(s, digest);
	/* This transaction has seen that there was no row, so nothing that could be doomed. */
	int there = slot != 0 && s->blobs[slot - 1].fresh;

	if (!there) {
		there = kv_has(txn, KV_META, KEY(blob(digest)));
		if (there <= 0)
			return there < 0 ? there : -ESTALE;
		there = reap_spare_blob(txn, digest);
		if (there < 0)
			return there;
	}
	return kv_put(txn, KV_META, KEY(blob_ref(digest, page)), slice("", 0));
}

static int refer_to_page(struct kv_txn *txn, uint64_t page, enum referrer kind, uint64_t id)
{
	int err = reap_spare_page(txn, page);

	if (err < 0)
		return err;
	return kv_put(txn, KV_META, KEY(page_ref(page, kind, id)), slice("", 0));
}

/* References from a page to what is in it. */
static int page_refs(struct kv_txn *txn, struct stage *s, uint64_t id, struct slice bytes)
{
	struct page_reader reader;
	struct page_entry e;
	struct page_child c;
	int err = page_reader_init(&reader, bytes);

	while (err == 0) {
		int more = reader.level == 0 ? page_next_entry(&reader, &e) :
					       page_next_child(&reader, &c);

		if (more <= 0)
			return more;
		if (reader.level > 0)
			err = refer_to_page(txn, c.page, REFERRER_PAGE, id);
		else if (e.type == ENTRY_DIRECTORY)
			err = refer_to_page(txn, e.page, REFERRER_PAGE, id);
		else if (e.type == ENTRY_FILE)
			err = refer_to_blob(txn, s, &e.digest, id);
	}
	return err;
}

/* A page that was found must still be there now that it is referred to. */
static int reuse_page(struct kv_txn *txn, const struct stage *s, const struct staged_page *p)
{
	int there = kv_has(txn, KV_META, KEY(page(p->id)));

	if (there <= 0)
		return there < 0 ? there : -ESTALE;
	return refer_to_page(txn, p->id, REFERRER_INTENT, s->intent);
}

/*
 * Another log wrote the same page meanwhile: it is found by the digest, and stays as long as ours
 * does, so that ours is found from it (core/holders.h).
 */
static int refer_to_twin(struct kv_txn *txn, struct slice found, uint64_t ours)
{
	uint64_t page;
	int there = decode_u64(found, &page);

	if (there == 0)
		there = kv_has(txn, KV_META, KEY(page(page)));
	if (there <= 0)
		return there < 0 ? there : -ESTALE;
	return refer_to_page(txn, page, REFERRER_TWIN, ours);
}

static int new_page(struct kv_txn *txn, struct stage *s, const struct staged_page *p)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(buf_release) struct buf id = BUF_INIT;
	struct slice bytes = slice(buf_str(&s->page_bytes) + p->offset, p->len);
	int err;

	put_digest(&record, &p->digest);
	buf_add_slice(&record, bytes);
	err = kv_put(txn, KV_META, KEY(page(p->id)), buf_slice(&record));
	if (err == 0)
		err = kv_get(txn, KV_META, KEY(page_digest(&p->digest)), &id);
	if (err == 0) {
		err = refer_to_twin(txn, buf_slice(&id), p->id);
	} else if (err == -ENOENT) {
		encode_u64(&id, p->id);
		err = kv_put(txn, KV_META, KEY(page_digest(&p->digest)), buf_slice(&id));
	}
	if (err == 0)
		err = refer_to_page(txn, p->id, REFERRER_INTENT, s->intent);
	return err < 0 ? err : page_refs(txn, s, p->id, bytes);
}

static int rows_body(struct kv_txn *txn, void *arg)
{
	struct stage *s = arg;
	int err = 0;

	s->batch_twins = false;
	for (size_t i = 0; err == 0 && i < s->blob_count; i++)
		err = blob_row_body(txn, s, &s->blobs[i]);
	for (size_t i = 0; err == 0 && i < s->page_count; i++)
		err = s->pages[i].reused ? reuse_page(txn, s, &s->pages[i]) :
					   new_page(txn, s, &s->pages[i]);
	return err;
}

void stage_discard(struct stage *s)
{
	for (size_t i = 0; i < s->blob_count; i++) {
		if (s->blobs[i].fd >= 0)
			close(s->blobs[i].fd);
		if (s->blobs[i].top)
			draft_top_put(s->blobs[i].top);
	}
	if (s->blob_count)
		memset(s->slots, 0, sizeof(s->slots));
	s->blob_count = s->page_count = s->large_count = 0;
	buf_reset(&s->bytes);
	buf_reset(&s->page_bytes);
}

int stage_flush(struct stage *s)
{
	int err;

	if (s->blob_count == 0 && s->page_count == 0)
		return 0;
	/* The name of a large blob must be known before its link can be on disk. */
	err = kv_update(s->store->kv, s->large_count ? KV_DURABLE : KV_ORDERED, part_body, s);
	s->part++;
	if (err == 0)
		err = put_bytes(s);
	if (err == 0)
		err = kv_update(s->store->kv, KV_ORDERED, rows_body, s);
	s->twins |= err == 0 && s->batch_twins;
	stage_discard(s);
	return err == -ESTALE ? -EAGAIN : err;
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
	return more < 0 ? more : kv_update(store->kv, KV_ORDERED, forget_body, &intent);
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
	clean_up(store, &left, end != STAGE_PUBLISHED || s->twins);
	buf_release(&s->bytes);
	buf_release(&s->page_bytes);
	free(s);
}
