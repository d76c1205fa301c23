/*
 * check_blob.c - bytes: rows of blobs, what the blob store has, and, if so wanted, every byte.
 */
#include "check_private.h"

#include "damage.h"
#include "draft.h"
#include "log.h"
#include "page.h"
#include "reap.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* ---- rows ---- */

/*
 * A file that has another name may be a draft's: its mark keeps a draft from writing to it
 * (core/draft.h). The mark comes before the name and goes after it.
 */
static bool is_unmarked(const struct blob *blob, const struct blob_id *id)
{
	int fd = blob_fd((struct blob *)blob);
	struct blob_id marked;
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 1 &&
	       (!draft_fd_is_shared(fd, &st, &marked) || memcmp(&marked, id, sizeof(*id)) != 0) &&
	       fstat(fd, &st) == 0 && st.st_nlink > 1;
}

static bool is_current(struct check *c, const struct blob_id *id)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	return kv_get_one(c->store->kv, KV_META, KEY(blob(&id->digest)), &b) == 0 &&
	       decode_blob_row(buf_slice(&b), &row) == 0 && row.generation == id->generation;
}

static int open_current(struct check *c, const struct blob_id *id, uint64_t size, struct blob **ret)
{
	int err = blob_open(c->store->blobs, id, size, ret);

	/* It may have gone since. */
	return err == -ENOENT && !is_current(c, id) ? 1 : err;
}

/*
 * Also where nothing is repaired: what is bad is not served from now on. Only the tests' check just
 * looks.
 */
static void tell_damage(struct check *c, const struct blob_id *id, const char *why)
{
	if (!c->options->at_rest)
		damage_tell(c->store, id, why);
}

static void tell_good(struct check *c, const struct blob_id *id)
{
	if (!c->options->at_rest)
		damage_heal(c->store, id);
}

void check_blob(struct check *c, struct slice key, struct slice value)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct blob_row row;
	struct blob_id id;
	int err;

	if (key_digest_at(key, 1, &id.digest) < 0 || decode_blob_row(value, &row) < 0) {
		check_wrong(c, "blob-unreadable", "a row of bytes cannot be read");
		return;
	}
	id.generation = row.generation;
	c->cursor->blob_bytes += row.size;
	if (!check_any(c, key_prefix_blob_refs(&id.digest)) &&
	    (c->options->at_rest || !check_has(c, KEY(doomed_blob(&id.digest)))) &&
	    !check_is_under_way(c, id.generation))
		check_wrong(c, "blob-unreferenced", "nobody refers to the bytes %s",
			    HEX(&id.digest));
	err = open_current(c, &id, row.size, &blob);
	if (err < 0) {
		check_wrong(c, "blob-missing", "the bytes %s are not there, or are not %llu",
			    HEX(&id.digest), U(row.size));
		tell_damage(c, &id, "they are not there");
	}
	if (err == 0 && is_unmarked(blob, &id) && is_current(c, &id))
		check_wrong(c, "blob-unmarked", "the file of %s has another name, and no mark",
			    HEX(&id.digest));
}

/* In a transaction: nobody refers to it, so its row goes, and its bytes when they may. */
static int forget_body(struct kv_txn *txn, void *arg)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct blob_id *id = arg;
	struct slice key, value;
	struct blob_row row;
	int doomed = kv_has(txn, KV_META, KEY(doomed_blob(&id->digest)));
	int err = kv_get(txn, KV_META, KEY(blob(&id->digest)), &b);

	if (doomed != 0 || err < 0)
		return doomed != 0 ? (doomed < 0 ? doomed : 0) : err == -ENOENT ? 0 : err;
	if (decode_blob_row(buf_slice(&b), &row) < 0 || row.generation != id->generation)
		return 0;
	err = kv_scan(txn, KV_META, KEY(prefix_blob_refs(&id->digest)), slice("", 0), &scan);
	if (err == 0)
		err = kv_next(scan, &key, &value);
	if (err != 0)
		return err < 0 ? err : 0;
	err = kv_del(txn, KV_META, KEY(blob(&id->digest)));
	return err < 0 ? err : reap_doom_bytes(txn, id, row.size);
}

static int set_aside(struct check *c, struct blob_id *id, uint64_t size)
{
	int err = check_copy_out(c, id, size);

	if (err == 0)
		err = kv_update(c->store->kv, KV_DURABLE, forget_body, id);
	return err < 0 ? err : reap_run(c->store);
}

void mend_blob(struct check *c, struct slice key, struct slice value)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct check_problem *last = &c->report->problems[c->report->count - 1];
	struct blob_row row;
	struct blob_id id;

	if (key_digest_at(key, 1, &id.digest) < 0 || decode_blob_row(value, &row) < 0)
		return;
	id.generation = row.generation;
	if (!strcmp(last->name, "blob-unreferenced"))
		check_done(c, set_aside(c, &id, row.size), CHECK_QUARANTINED);
	else if (!strcmp(last->name, "blob-unmarked") &&
		 blob_open(c->store->blobs, &id, row.size, &blob) == 0)
		check_done(c, draft_mark_shared(blob_fd(blob), &id), CHECK_REPAIRED);
}

/*
 * It was found to be bad, and is not read. Whether it still is only reading it can tell, which is
 * done later, if at all.
 */
void check_damaged(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct digest digest;
	struct blob_row row;
	uint64_t generation;

	if (key_digest_at(key, 1, &digest) == 0 && decode_u64(value, &generation) == 0 &&
	    check_get(c, KEY(blob(&digest)), &b) && decode_blob_row(buf_slice(&b), &row) == 0 &&
	    row.generation == generation) {
		if (!c->options->deep)
			check_wrong(c, "blob-damaged", "the bytes %s are known to be damaged",
				    HEX(&digest));
	} else if (check_wrong(c, "damage-lost", "bytes that are gone are said to be damaged")) {
		check_set_aside(c, key);
	}
}

/* Is a file of these bytes in the page? */
static bool page_has(struct check *c, uint64_t page, const struct digest *digest)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader r;
	struct page_entry e;

	if (!check_get(c, KEY(page(page)), &bytes) ||
	    page_reader_of_record(&r, buf_slice(&bytes)) < 0 || r.level)
		return false;
	while (page_next_entry(&r, &e) > 0)
		if (e.type == ENTRY_FILE && digest_equal(&e.digest, digest))
			return true;
	return false;
}

void check_blob_ref(struct check *c, struct slice key, struct slice value)
{
	struct digest digest;

	(void)value;
	if (key.len == 1 + DIGEST_SIZE + 8 && key_digest_at(key, 1, &digest) == 0 &&
	    (page_has(c, key_u64_at(key, 1 + DIGEST_SIZE), &digest) ||
	     check_page_is_lost(c, key_u64_at(key, 1 + DIGEST_SIZE))))
		return;
	if (check_wrong(c, "blob-ref-lost", "a page that is said to refer to bytes does not"))
		check_set_aside(c, key);
}

/* ---- what the blob store has ---- */

#define CANDIDATES 4096

struct listing {
	struct check *check;
	struct candidate {
		struct blob_id id;
		uint64_t size;
	} list[CANDIDATES];
	size_t count;
};

/* At this instant, is it named by a row, or waits to be removed? */
static bool is_named(struct check *c, const struct blob_id *id)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	if (check_get(c, KEY(blob(&id->digest)), &b) &&
	    decode_blob_row(buf_slice(&b), &row) == 0 && row.generation == id->generation)
		return true;
	return !c->options->at_rest && check_has(c, KEY(removed_blob(id)));
}

/* Do pages refer to bytes of this digest, and is there no row that says which these are? */
static bool is_missed(struct check *c, const struct digest *digest)
{
	return check_any(c, key_prefix_blob_refs(digest)) && !check_has(c, KEY(blob(digest)));
}

static int adopt_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct candidate *stray = arg;
	int there = kv_has(txn, KV_META, KEY(blob(&stray->id.digest)));

	if (there != 0)
		return there < 0 ? there : -EEXIST;
	encode_blob_row(&b, &(struct blob_row){ stray->size, stray->id.generation });
	return kv_put(txn, KV_META, KEY(blob(&stray->id.digest)), buf_slice(&b));
}

static int hash_one(struct check *c, const struct blob_id *id, uint64_t size);

/* The row is written again, of bytes that are the right ones. */
static void adopt(struct check *c, struct candidate *stray)
{
	int err;

	check_wrong(c, "blob-row-lost", "the bytes %s have lost their row", HEX(&stray->id.digest));
	if (!c->options->repair)
		return;
	err = hash_one(c, &stray->id, stray->size);
	if (err == 0)
		err = kv_update(c->store->kv, KV_ORDERED, adopt_body, stray);
	check_done(c, err, CHECK_REPAIRED);
}

static int remove_stray(struct check *c, const struct candidate *stray)
{
	int err = check_copy_out(c, &stray->id, stray->size);

	return err < 0 ? err : blob_remove(c->store->blobs, &stray->id, stray->size);
}

/*
 * Whether they are stray is judged by an instant after all of them were seen: what is there before
 * and after it was there at it, and then something names it: the row that it has, will have, or
 * has had.
 */
static int judge(struct listing *l)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	struct check *c = l->check;
	struct kv_txn *before = c->txn;
	int err = kv_begin(c->store->kv, KV_READ, &txn);

	if (err < 0)
		return err;
	c->txn = txn;
	check_next_instant(c);
	for (size_t i = 0; i < l->count; i++) {
		struct candidate *seen = &l->list[i];

		if (is_named(c, &seen->id))
			continue;
		if (check_is_under_way(c, seen->id.generation) || c->err < 0 ||
		    blob_has(c->store->blobs, &seen->id, seen->size) <= 0)
			continue;
		if (is_missed(c, &seen->id.digest)) {
			adopt(c, seen);
			continue;
		}
		check_wrong(c, "blob-stray", "bytes of %s (generation %llx, %llu bytes) belong to "
			    "nothing", HEX(&seen->id.digest), U(seen->id.generation),
			    U(seen->size));
		if (c->options->repair)
			check_done(c, remove_stray(c, seen), CHECK_QUARANTINED);
	}
	check_next_instant(c);
	c->txn = before;
	l->count = 0;
	return c->err;
}

static int see(void *arg, const struct blob_id *id, uint64_t size)
{
	struct listing *l = arg;

	if (check_stopped(l->check))
		return -EINTR;
	l->list[l->count++] = (struct candidate){ *id, size };
	return l->count == CANDIDATES ? judge(l) : 0;
}

static int see_stray(void *arg, int directory, const char *name)
{
	struct check *c = arg;

	check_wrong(c, "file-stray", "blobs/%s is no file of a blob", name);
	if (c->options->repair)
		check_done(c, check_move_out(c, directory, name), CHECK_QUARANTINED);
	return check_stopped(c) ? -EINTR : 0;
}

int check_bytes(struct check *c)
{
	autofree struct listing *l = xcalloc(1, sizeof(*l));
	int err;

	l->check = c;
	c->err = 0;
	err = blob_each(c->store->blobs, see, l);
	if (err == 0)
		err = judge(l);
	return err < 0 ? err : blob_each_stray(c->store->blobs, see_stray, c);
}

/* ---- every byte ---- */

/* So many blobs and bytes are shared out among the processors at once. */
#define HASH_BLOBS 512
#define HASH_BYTES (256u << 20)
#define HASH_THREADS 16
#define HASH_BLOCK (1u << 20)

struct hashing {
	struct check *check;
	struct hashed {
		struct blob_id id;
		uint64_t size;
		int err; /* -EBADMSG: other bytes */
	} list[HASH_BLOBS];
	size_t count;
	uint64_t bytes;
	atomic_size_t next;
};

static int hash_blob(struct check *c, const struct blob_id *id, uint64_t size,
		     struct hasher *hasher, char *block)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct digest digest;
	uint64_t at = 0;
	int err = blob_open(c->store->blobs, id, size, &blob);

	if (err < 0)
		return err;
	hasher_start(hasher);
	while (at < size) {
		size_t len = size - at < HASH_BLOCK ? size - at : HASH_BLOCK;
		ssize_t n = check_stopped(c) ? -EINTR : blob_pread(blob, block, len, at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		hasher_add(hasher, block, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_end(hasher, &digest);
	return digest_equal(&digest, &id->digest) ? 0 : -EBADMSG;
}

static int hash_one(struct check *c, const struct blob_id *id, uint64_t size)
{
	AUTO(hasher_freep) struct hasher *hasher = hasher_new();
	autofree char *block = xmalloc(HASH_BLOCK);

	return hash_blob(c, id, size, hasher, block);
}

static void *hash_main(void *arg)
{
	struct hashing *h = arg;
	AUTO(hasher_freep) struct hasher *hasher = hasher_new();
	autofree char *block = xmalloc(HASH_BLOCK);
	size_t i;

	while ((i = atomic_fetch_add(&h->next, 1)) < h->count)
		h->list[i].err = hash_blob(h->check, &h->list[i].id, h->list[i].size, hasher,
					   block);
	return NULL;
}

static void hash_all(struct hashing *h)
{
	pthread_t threads[HASH_THREADS];
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = 0;

	atomic_store(&h->next, 0);
	while ((long)n + 1 < processors && n < HASH_THREADS && n + 1 < h->count &&
	       pthread_create(&threads[n], NULL, hash_main, h) == 0)
		n++;
	hash_main(h);
	while (n > 0)
		pthread_join(threads[--n], NULL);
}

static int tell(struct hashing *h)
{
	struct check *c = h->check;

	hash_all(h);
	for (size_t i = 0; i < h->count; i++) {
		const struct hashed *one = &h->list[i];

		if (one->err == -EINTR)
			return -EINTR;
		c->cursor->bytes += one->size;
		if (one->err == 0)
			tell_good(c, &one->id);
		/* That it is missing is told of its row. */
		if (one->err < 0 && one->err != -ENOENT && is_current(c, &one->id)) {
			tell_damage(c, &one->id, "other bytes are there");
			check_wrong(c, "blob-bytes", "the bytes %s are damaged%s",
				    HEX(&one->id.digest),
				    one->err == -EBADMSG ? "" : ": they cannot be read");
		}
	}
	h->count = 0;
	h->bytes = 0;
	return 0;
}

int check_hashes(struct check *c, int64_t until)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	autofree struct hashing *h = xcalloc(1, sizeof(*h));
	struct check_cursor *at = c->cursor;
	struct slice key, value;
	struct blob_row row;
	int more;

	h->check = c;
	if (at->key_len > 0)
		at->key[at->key_len] = 0;
	more = kv_scan(c->txn, KV_META, KEY(prefix('B')),
		       slice(at->key, at->key_len ? at->key_len + 1 : 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		struct hashed *one = &h->list[h->count];

		if (key.len != 1 + DIGEST_SIZE || decode_blob_row(value, &row) < 0)
			continue;
		key_digest_at(key, 1, &one->id.digest);
		one->id.generation = row.generation;
		one->size = row.size;
		h->count++;
		h->bytes += row.size;
		memcpy(at->key, key.data, key.len);
		at->key_len = key.len;
		if (h->count < HASH_BLOBS && h->bytes < HASH_BYTES)
			continue;
		more = tell(h);
		if (more < 0)
			return more;
		if (monotonic_ms() >= until)
			return 1;
	}
	return more < 0 ? more : tell(h);
}
