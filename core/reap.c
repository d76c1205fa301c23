#include "reap.h"

#include "draft.h"
#include "log.h"
#include "page.h"

int reap_doom_page(struct kv_txn *txn, uint64_t page)
{
	return kv_put(txn, KV_META, KEY(doomed_page(page)), slice("", 0));
}

int reap_doom_blob(struct kv_txn *txn, const struct digest *digest)
{
	return kv_put(txn, KV_META, KEY(doomed_blob(digest)), slice("", 0));
}

int reap_doom_bytes(struct kv_txn *txn, const struct blob_id *id, uint64_t size)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_u64(&b, size);
	return kv_put(txn, KV_META, KEY(removed_blob(id)), buf_slice(&b));
}

/* Reading the entry, found or not, is what makes a look at the same time run again. */
static int spare(struct kv_txn *txn, struct slice key)
{
	int there = kv_has(txn, KV_META, key);

	return there > 0 ? kv_del(txn, KV_META, key) : there;
}

int reap_spare_page(struct kv_txn *txn, uint64_t page)
{
	return spare(txn, KEY(doomed_page(page)));
}

int reap_spare_blob(struct kv_txn *txn, const struct digest *digest)
{
	return spare(txn, KEY(doomed_blob(digest)));
}

static int has_any(struct kv_txn *txn, struct key prefix)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);

	return more < 0 ? more : kv_next(scan, &key, &value);
}

/* Reading the entry makes this run again when the last other reference goes meanwhile. */
int reap_release_page(struct kv_txn *txn, uint64_t page)
{
	int doomed = kv_has(txn, KV_META, KEY(doomed_page(page)));
	int used = doomed == 0 ? has_any(txn, key_prefix_page_refs(page)) : 0;

	if (doomed < 0 || used != 0)
		return doomed < 0 ? doomed : used < 0 ? used : 0;
	return reap_doom_page(txn, page);
}

/*
 * Is the thing still doomed, and has nobody referred to it since? 1: it goes; 0: it stays, off the
 * list.
 */
static int look(struct kv_txn *txn, struct slice entry, struct key references)
{
	int more = kv_has(txn, KV_META, entry);

	if (more <= 0)
		return more;
	more = has_any(txn, references);
	if (more < 0)
		return more;
	if (more > 0)
		return kv_del(txn, KV_META, entry);
	more = kv_del(txn, KV_META, entry);
	return more < 0 ? more : 1;
}

static int drop_entries(struct kv_txn *txn, uint64_t page, struct page_reader *reader)
{
	struct page_entry e;
	int more, err = 0;

	while (err == 0 && (more = page_next_entry(reader, &e)) != 0) {
		if (more < 0)
			return more;
		if (e.type == ENTRY_FILE) {
			err = kv_del(txn, KV_META, KEY(blob_ref(&e.digest, page)));
			if (err == 0)
				err = reap_doom_blob(txn, &e.digest);
		} else if (e.type == ENTRY_DIRECTORY) {
			err = kv_del(txn, KV_META, KEY(page_ref(e.page, REFERRER_PAGE, page)));
			if (err == 0)
				err = reap_doom_page(txn, e.page);
		}
	}
	return err;
}

static int drop_children(struct kv_txn *txn, uint64_t page, struct page_reader *reader)
{
	struct page_child c;
	int more, err = 0;

	while (err == 0 && (more = page_next_child(reader, &c)) != 0) {
		if (more < 0)
			return more;
		err = kv_del(txn, KV_META, KEY(page_ref(c.page, REFERRER_PAGE, page)));
		if (err == 0)
			err = reap_doom_page(txn, c.page);
	}
	return err;
}

/* The row that leads from the digest to the page; where it leads to its twin, that one's row. */
static int drop_digest(struct kv_txn *txn, uint64_t page, const struct digest *digest)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t named;
	int err = kv_get(txn, KV_META, KEY(page_digest(digest)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &named);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (named == page)
		return kv_del(txn, KV_META, KEY(page_digest(digest)));
	err = kv_del(txn, KV_META, KEY(page_ref(named, REFERRER_TWIN, page)));
	return err < 0 ? err : reap_doom_page(txn, named);
}

static int reap_page_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct page_reader reader;
	struct digest digest;
	uint64_t page = *(uint64_t *)arg;
	int err = look(txn, KEY(doomed_page(page)), key_prefix_page_refs(page));

	if (err <= 0)
		return err;
	err = kv_get(txn, KV_META, KEY(page(page)), &record);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = page_reader_of_record(&reader, buf_slice(&record));
	if (err < 0)
		return err;
	err = reader.level == 0 ? drop_entries(txn, page, &reader) :
				  drop_children(txn, page, &reader);
	memcpy(digest.bytes, record.data, DIGEST_SIZE);
	if (err == 0)
		err = drop_digest(txn, page, &digest);
	return err < 0 ? err : kv_del(txn, KV_META, KEY(page(page)));
}

static int reap_blob_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	const struct digest *digest = arg;
	struct blob_row row;
	int err = look(txn, KEY(doomed_blob(digest)), key_prefix_blob_refs(digest));

	if (err <= 0)
		return err;
	err = kv_get(txn, KV_META, KEY(blob(digest)), &record);
	if (err == 0)
		err = decode_blob_row(buf_slice(&record), &row);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = kv_del(txn, KV_META, KEY(blob(digest)));
	if (err < 0)
		return err;
	return reap_doom_bytes(txn, &(struct blob_id){ *digest, row.generation }, row.size);
}

static int forget_bytes_body(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, KV_META, KEY(removed_blob(arg)));
}

/* The first key of a kind from `from` on: 1, 0, -errno. */
static int first_key(struct store *store, char kind, struct slice from, struct buf *ret_key,
		     struct buf *ret_value)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix(kind)), from, &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more <= 0)
		return more;
	buf_reset(ret_key);
	buf_add_slice(ret_key, key);
	buf_reset(ret_value);
	buf_add_slice(ret_value, value);
	return 1;
}

/*
 * A draft that shares its file with the blob has it for itself again: once the link is gone, so
 * that the mark tells of it as long as it is there.
 */
static int remove_file(struct store *store, const struct blob_id *id, uint64_t size)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	bool shared = size > BLOB_PACK_MAX &&
		      blob_open(store->blobs, id, size, &blob) == 0 && blob_fd(blob) >= 0;
	int err = blob_remove(store->blobs, id, size);

	if (err == 0)
		atomic_fetch_add(&store->freed_bytes, size);
	if (err == 0 && shared)
		draft_unmark_shared(blob_fd(blob), id);
	return err;
}

static int nothing_body(struct kv_txn *txn, void *arg)
{
	(void)txn, (void)arg;
	return 0;
}

struct reaping {
	struct store *store;
	const bool *stop;
	size_t left; /* so many more, then it is for others */
	bool settled;
	int first; /* error */
};

/*
 * Files do not wait for a commit to be on disk as rows do: what says that nobody needs one must be
 * there before it goes.
 */
static int settle(struct reaping *r)
{
	int err = r->settled ? 0 : kv_update(r->store->kv, KV_DURABLE, nothing_body, NULL);

	r->settled |= err == 0;
	return err;
}

static int reap_one(struct reaping *r, struct slice key, struct slice value)
{
	struct store *store = r->store;
	const char *kind = key.data;
	struct blob_id id;
	uint64_t page, size;
	int err;

	if (*kind == 'x') {
		page = key_u64_at(key, 1);
		return kv_update(store->kv, KV_ORDERED, reap_page_body, &page);
	}
	err = key_digest_at(key, 1, &id.digest);
	if (err < 0)
		return err;
	if (*kind == 'y')
		return kv_update(store->kv, KV_ORDERED, reap_blob_body, &id.digest);
	id.generation = key_u64_at(key, 1 + DIGEST_SIZE);
	err = decode_u64(value, &size);
	if (err == 0 && size > BLOB_PACK_MAX)
		err = settle(r);
	if (err == 0)
		err = remove_file(store, &id, size);
	return err < 0 ? err : kv_update(store->kv, KV_ORDERED, forget_bytes_body, &id);
}

static bool must_stop(const struct reaping *r)
{
	return r->left == 0 || (r->stop && __atomic_load_n(r->stop, __ATOMIC_RELAXED));
}

/* One round over a list. Whether anything was taken off it: 1, 0; -errno: it cannot be read. */
static int reap_round(struct reaping *r, char kind)
{
	AUTO(buf_release) struct buf key = BUF_INIT, value = BUF_INIT;
	int more, done = 0;

	while ((more = first_key(r->store, kind, buf_slice(&key), &key, &value)) > 0) {
		int err;

		if (must_stop(r))
			return -EINTR;
		r->left--;
		err = reap_one(r, buf_slice(&key), buf_slice(&value));
		if (err < 0) {
			if (r->first == 0)
				r->first = log_errno(err, "removing what nobody refers to");
			buf_add_char(&key, '\0'); /* skip it */
		} else {
			done = 1;
		}
	}
	return more < 0 ? more : done;
}

/* Lock held. */
static int reap(struct reaping *r)
{
	static const char kinds[] = { 'x', 'y', 'z' };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int done;

		/* Pages doom pages with lower numbers: again until a round does nothing. */
		do {
			done = reap_round(r, kinds[i]);
		} while (done > 0 && kinds[i] == 'x');
		if (done < 0)
			return done;
	}
	return r->first;
}

int reap_until(struct store *store, const bool *stop)
{
	struct reaping r = { .store = store, .stop = stop, .left = SIZE_MAX };

	LOCKED(&store->reap_lock);
	return reap(&r);
}

int reap_run(struct store *store)
{
	return reap_until(store, NULL);
}

int reap_some(struct store *store, size_t most)
{
	struct reaping r = { .store = store, .left = most };
	int err;

	if (pthread_mutex_trylock(&store->reap_lock) != 0)
		return 1;
	err = reap(&r);
	pthread_mutex_unlock(&store->reap_lock);
	return err == -EINTR ? 1 : err;
}

void reap_soon(struct store *store)
{
	{
		LOCKED(&store->janitor_lock);
		store->reap_again = true;
	}
	store_wake_janitor(store);
}

uint64_t reap_freed(const struct store *store)
{
	return atomic_load(&store->freed_bytes);
}
