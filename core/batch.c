#include "batch.h"

#include "damage.h"
#include "reap.h"

/* Where the blob is in the table of this batch, or would be. */
static size_t slot_of(const struct batch *batch, const struct digest *digest)
{
	uint32_t hash;

	memcpy(&hash, digest->bytes, sizeof(hash));
	while (batch->slots[hash % BATCH_SLOTS] != 0 &&
	       !digest_equal(&batch->blobs[batch->slots[hash % BATCH_SLOTS] - 1].id.digest, digest))
		hash++;
	return hash % BATCH_SLOTS;
}

struct batch *batch_new(struct store *store, uint64_t intent)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));

	batch->store = store;
	batch->intent = intent;
	return batch;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	batch_reset(batch);
	buf_release(&batch->bytes);
	buf_release(&batch->page_bytes);
	free(batch);
}

bool batch_is_empty(const struct batch *batch)
{
	return batch->blob_count == 0 && batch->page_count == 0;
}

bool batch_is_full(const struct batch *batch)
{
	return batch->blob_count == BATCH_BLOBS || batch->page_count == BATCH_PAGES ||
	       batch->large_count == BATCH_LARGE || batch->bytes.len >= BATCH_BYTES ||
	       batch->page_bytes.len >= BATCH_BYTES;
}

bool batch_has_blob(const struct batch *batch, const struct digest *digest)
{
	return batch->blob_count > 0 && batch->slots[slot_of(batch, digest)] != 0;
}

const struct staged_page *batch_find_page(const struct batch *batch, const struct digest *digest)
{
	for (size_t i = batch->page_count; i-- > 0;)
		if (digest_equal(&batch->pages[i].digest, digest))
			return &batch->pages[i];
	return NULL;
}

void batch_add_blob(struct batch *batch, const struct staged_blob *blob, struct slice bytes)
{
	struct staged_blob *b = &batch->blobs[batch->blob_count++];

	*b = *blob;
	b->offset = batch->bytes.len;
	if (b->top)
		draft_top_hold(b->top);
	batch->slots[slot_of(batch, &b->id.digest)] = (uint16_t)batch->blob_count;
	if (b->fd >= 0)
		batch->large_count++;
	else
		buf_add_slice(&batch->bytes, bytes);
}

void batch_add_page(struct batch *batch, const struct staged_page *page, struct slice bytes)
{
	struct staged_page *p = &batch->pages[batch->page_count++];

	*p = *page;
	p->offset = batch->page_bytes.len;
	p->len = bytes.len;
	buf_add_slice(&batch->page_bytes, bytes);
}

void batch_reset(struct batch *batch)
{
	for (size_t i = 0; i < batch->blob_count; i++) {
		if (batch->blobs[i].fd >= 0)
			close(batch->blobs[i].fd);
		if (batch->blobs[i].top)
			draft_top_put(batch->blobs[i].top);
	}
	if (batch->blob_count)
		memset(batch->slots, 0, sizeof(batch->slots));
	batch->blob_count = batch->page_count = batch->large_count = 0;
	batch->twins = false;
	buf_reset(&batch->bytes);
	buf_reset(&batch->page_bytes);
}

static int part_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct batch *batch = arg;

	put_u64(&b, batch->blob_count);
	for (size_t i = 0; i < batch->blob_count; i++) {
		put_digest(&b, &batch->blobs[i].id.digest);
		put_u64(&b, batch->blobs[i].id.generation);
		put_u64(&b, batch->blobs[i].size);
	}
	put_u64(&b, batch->page_count);
	for (size_t i = 0; i < batch->page_count; i++)
		put_u64(&b, batch->pages[i].id);
	return kv_put(txn, KV_META, KEY(intent_part(batch->intent, batch->part)), buf_slice(&b));
}

/* Is the inode the file of another blob, whose mark it needs? Only its removal ends that. */
static bool is_another_blob(struct batch *batch, const struct staged_blob *b)
{
	struct blob_id other;
	struct stat st;

	return fstat(b->fd, &st) == 0 && draft_fd_is_shared(b->fd, &st, &other) &&
	       draft_is_blob(batch->store, &other, &st);
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
static int put_large(struct batch *batch, struct staged_blob *b)
{
	bool shared = false;
	int err, marked = 0;

	/* It was logged before, and the bytes of that are about to go. */
	if (is_another_blob(batch, b))
		reap_some(batch->store, REAP_AT_ONCE);
	if (!is_another_blob(batch, b))
		marked = mark(b);
	if (marked < 0)
		return marked;
	err = blob_put_file(batch->store->blobs, &b->id, b->fd, b->size, marked ? &shared : NULL);
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

static int put_bytes(struct batch *batch)
{
	autofree struct blob_item *items = xcalloc(batch->blob_count, sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < batch->blob_count; i++) {
		struct staged_blob *b = &batch->blobs[i];
		int err;

		if (b->fd < 0) {
			items[n].id = b->id;
			items[n++].bytes = slice(buf_str(&batch->bytes) + b->offset, b->size);
			continue;
		}
		err = put_large(batch, b);
		if (err < 0)
			return err;
	}
	return n ? blob_put_packed(batch->store->blobs, items, n) : 0;
}

/*
 * There is such a blob. If it is damaged ours takes its place: 1. Else another log put the same
 * bytes first, and ours go.
 */
static int meet_blob(struct kv_txn *txn, struct batch *batch, const struct staged_blob *b,
		     struct slice there)
{
	struct blob_id old = { .digest = b->id.digest };
	struct blob_row row;
	int err = decode_blob_row(there, &row);

	if (err < 0)
		return err;
	batch->twins = true;
	old.generation = row.generation;
	err = damage_replace(txn, batch->store, &old, row.size);
	if (err <= 0)
		return err < 0 ? err : reap_doom_bytes(txn, &b->id, b->size);
	batch->healed = true;
	err = reap_doom_bytes(txn, &old, row.size);
	return err < 0 ? err : 1;
}

static int blob_row_body(struct kv_txn *txn, struct batch *batch, struct staged_blob *b)
{
	AUTO(buf_release) struct buf row = BUF_INIT;
	struct blob_row fresh = { .size = b->size, .generation = b->id.generation };
	int there = kv_get(txn, KV_META, KEY(blob(&b->id.digest)), &row);

	if (there < 0 && there != -ENOENT)
		return there;
	b->fresh = there < 0;
	if (there == 0) {
		there = meet_blob(txn, batch, b, buf_slice(&row));
		if (there <= 0)
			return there;
	}
	buf_reset(&row);
	encode_blob_row(&row, &fresh);
	return kv_put(txn, KV_META, KEY(blob(&b->id.digest)), buf_slice(&row));
}

static int refer_to_blob(struct kv_txn *txn, struct batch *batch, const struct digest *digest,
			 uint64_t page)
{
	uint16_t slot = batch->slots[slot_of(batch, digest)];
	/* This transaction has seen that there was no row, so nothing that could be doomed. */
	int there = slot != 0 && batch->blobs[slot - 1].fresh;

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
static int page_refs(struct kv_txn *txn, struct batch *batch, uint64_t id, struct slice bytes)
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
			err = refer_to_blob(txn, batch, &e.digest, id);
	}
	return err;
}

/* A page that was found must still be there now that it is referred to. */
static int reuse_page(struct kv_txn *txn, const struct batch *batch, const struct staged_page *p)
{
	int there = kv_has(txn, KV_META, KEY(page(p->id)));

	if (there <= 0)
		return there < 0 ? there : -ESTALE;
	return refer_to_page(txn, p->id, REFERRER_INTENT, batch->intent);
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

static int new_page(struct kv_txn *txn, struct batch *batch, const struct staged_page *p)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(buf_release) struct buf id = BUF_INIT;
	struct slice bytes = slice(buf_str(&batch->page_bytes) + p->offset, p->len);
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
		err = refer_to_page(txn, p->id, REFERRER_INTENT, batch->intent);
	return err < 0 ? err : page_refs(txn, batch, p->id, bytes);
}

static int rows_body(struct kv_txn *txn, void *arg)
{
	struct batch *batch = arg;
	int err = 0;

	batch->twins = batch->healed = false;
	for (size_t i = 0; err == 0 && i < batch->blob_count; i++)
		err = blob_row_body(txn, batch, &batch->blobs[i]);
	for (size_t i = 0; err == 0 && i < batch->page_count; i++)
		err = batch->pages[i].reused ? reuse_page(txn, batch, &batch->pages[i]) :
					   new_page(txn, batch, &batch->pages[i]);
	return err;
}

int batch_put(struct batch *batch)
{
	struct kv *kv = batch->store->kv;
	int err;

	/* The name of a large blob must be known before its link can be on disk. */
	err = kv_update(kv, batch->large_count ? KV_DURABLE : KV_ORDERED, part_body, batch);
	if (err == 0)
		err = put_bytes(batch);
	if (err == 0)
		err = kv_update(kv, KV_ORDERED, rows_body, batch);
	if (err == 0 && batch->healed)
		damage_load(batch->store);
	return err == -ESTALE ? -EAGAIN : err;
}
