#include "usage.h"

#include "log.h"
#include "page.h"

/* Between two looks at *stop. */
#define STOP_EVERY 64
/* So many rows are read over before a scan is begun anew. */
#define CLOSE 16

void usage_set_add(struct usage_set *set, uint32_t version)
{
	set->ids = xgrow(set->ids, &set->cap, set->count + 1, sizeof(*set->ids));
	set->ids[set->count++] = version;
}

void usage_set_release(struct usage_set *set)
{
	free(set->ids);
	*set = (struct usage_set){ 0 };
}

/* ---- what is known of pages and blobs ---- */

/*
 * referrers are those that are known to go; from: the last that was counted, since one may refer
 * twice, and has one row.
 */
struct seen_page {
	uint64_t page; /* 0: the place is free */
	uint64_t from;
	uint32_t referrers;
	bool in_set; /* below a version of the set, not just below what is gone */
};

struct seen_blob {
	struct digest digest;
	uint64_t size;
	uint64_t from; /* 0: the place is free; UINT64_MAX: no page */
	uint32_t referrers;
	bool in_set;
	bool stays; /* a page that has it stays */
};

struct walk {
	struct kv_txn *txn;
	const bool *stop;
	struct seen_page *pages;
	struct seen_blob *blobs;
	size_t page_places, page_count, blob_places, blob_count;
	/*
	 * Pages to look at, the highest number first: a page has a higher one than all below it, so
	 * whatever refers to a page was looked at before it.
	 */
	uint64_t *heap;
	size_t heap_count, heap_cap;
};

static void walk_release(struct walk *w)
{
	free(w->pages);
	free(w->blobs);
	free(w->heap);
}

static size_t place_of_number(uint64_t n, size_t places)
{
	return (size_t)((n * 0x9e3779b97f4a7c15u) >> 20) & (places - 1);
}

static size_t place_of_digest(const struct digest *d, size_t places)
{
	uint64_t n;

	memcpy(&n, d->bytes, sizeof(n));
	return (size_t)n & (places - 1);
}

static struct seen_page *place_of_page(struct walk *w, uint64_t page)
{
	size_t i = place_of_number(page, w->page_places);

	while (w->pages[i].page && w->pages[i].page != page)
		i = (i + 1) & (w->page_places - 1);
	return &w->pages[i];
}

static struct seen_blob *place_of_blob(struct walk *w, const struct digest *digest)
{
	size_t i = place_of_digest(digest, w->blob_places);

	while (w->blobs[i].from && !digest_equal(&w->blobs[i].digest, digest))
		i = (i + 1) & (w->blob_places - 1);
	return &w->blobs[i];
}

static void grow_pages(struct walk *w)
{
	struct seen_page *old = w->pages;
	size_t n = w->page_places;

	w->page_places = n ? 2 * n : 1024;
	w->pages = xcalloc(w->page_places, sizeof(*w->pages));
	for (size_t i = 0; i < n; i++)
		if (old[i].page)
			*place_of_page(w, old[i].page) = old[i];
	free(old);
}

static void grow_blobs(struct walk *w)
{
	struct seen_blob *old = w->blobs;
	size_t n = w->blob_places;

	w->blob_places = n ? 2 * n : 1024;
	w->blobs = xcalloc(w->blob_places, sizeof(*w->blobs));
	for (size_t i = 0; i < n; i++)
		if (old[i].from)
			*place_of_blob(w, &old[i].digest) = old[i];
	free(old);
}

static void push(struct walk *w, uint64_t page)
{
	size_t i = w->heap_count++;

	w->heap = xgrow(w->heap, &w->heap_cap, w->heap_count, sizeof(*w->heap));
	for (; i > 0 && w->heap[(i - 1) / 2] < page; i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = page;
}

static uint64_t pop(struct walk *w)
{
	uint64_t top = w->heap[0], last = w->heap[--w->heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->heap_count) {
		if (child + 1 < w->heap_count && w->heap[child + 1] > w->heap[child])
			child++;
		if (w->heap[child] <= last)
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	if (w->heap_count > 0)
		w->heap[i] = last;
	return top;
}

/* The page, to be looked at when it is new. */
static struct seen_page *meet_page(struct walk *w, uint64_t page)
{
	struct seen_page *p;

	if (2 * w->page_count >= w->page_places)
		grow_pages(w);
	p = place_of_page(w, page);
	if (!p->page) {
		p->page = page;
		w->page_count++;
		push(w, page);
	}
	return p;
}

static struct seen_blob *meet_blob(struct walk *w, const struct digest *digest, uint64_t size)
{
	struct seen_blob *b;

	if (2 * w->blob_count >= w->blob_places)
		grow_blobs(w);
	b = place_of_blob(w, digest);
	if (!b->from) {
		b->digest = *digest;
		b->size = size;
		b->from = UINT64_MAX;
		w->blob_count++;
	}
	return b;
}

/* ---- the walk ---- */

/* Are there exactly n rows below a prefix? 1, 0, -errno. Reads at most one more. */
static int has_exactly(struct kv_txn *txn, struct key prefix, uint32_t n)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);

	for (uint64_t found = 0; more >= 0; found++) {
		more = kv_next(scan, &key, &value);
		if (more == 0)
			return found == n;
		if (found == n)
			return 0;
	}
	return more;
}

static void meet_child(struct walk *w, uint64_t page, uint64_t from, bool goes, bool in_set)
{
	struct seen_page *p = meet_page(w, page);

	if (goes && p->from != from)
		p->referrers++;
	p->from = from;
	p->in_set |= in_set;
}

static void meet_file(struct walk *w, const struct page_entry *e, uint64_t from, bool goes,
		      bool in_set)
{
	struct seen_blob *b = meet_blob(w, &e->digest, e->size);

	if (goes && b->from != from)
		b->referrers++;
	b->from = from;
	b->stays |= !goes;
	b->in_set |= in_set;
}

static int meet_all(struct walk *w, struct page_reader *reader, uint64_t page, bool goes,
		    bool in_set)
{
	struct page_entry e;
	struct page_child c;
	int more;

	while (reader->level > 0 && (more = page_next_child(reader, &c)) != 0) {
		if (more < 0)
			return more;
		meet_child(w, c.page, page, goes, in_set);
	}
	while (reader->level == 0 && (more = page_next_entry(reader, &e)) != 0) {
		if (more < 0)
			return more;
		if (e.type == ENTRY_DIRECTORY)
			meet_child(w, e.page, page, goes, in_set);
		else if (e.type == ENTRY_FILE)
			meet_file(w, &e, page, goes, in_set);
	}
	return 0;
}

static int look_at(struct walk *w, uint64_t page)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	const struct seen_page seen = *place_of_page(w, page);
	struct page_reader reader;
	int goes = has_exactly(w->txn, key_prefix_page_refs(page), seen.referrers), err;

	if (goes < 0 || (!goes && !seen.in_set))
		return goes;
	err = kv_get(w->txn, KV_META, KEY(page(page)), &record);
	if (err == 0)
		err = page_reader_of_record(&reader, buf_slice(&record));
	if (err == 0)
		err = meet_all(w, &reader, page, goes, seen.in_set);
	return err < 0 ? log_errno(-EIO, "page %llu cannot be read", (unsigned long long)page) : 0;
}

static int check_stop(const struct walk *w)
{
	return w->stop && __atomic_load_n(w->stop, __ATOMIC_RELAXED) ? -EINTR : 0;
}

static int walk_pages(struct walk *w)
{
	int err = 0;

	for (size_t n = 1; err == 0 && w->heap_count > 0; n++) {
		err = look_at(w, pop(w));
		if (err == 0 && n % STOP_EVERY == 0)
			err = check_stop(w);
	}
	return err;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The root pages of the set's versions. */
static int add_versions(struct walk *w, const struct usage_set *set, uint64_t *ret_count)
{
	autofree uint32_t *ids = xcalloc(set->count + 1, sizeof(*ids));
	uint64_t count = 0;

	if (set->count > 0)
		memcpy(ids, set->ids, set->count * sizeof(*ids));
	qsort(ids, set->count, sizeof(*ids), compare_ids);
	for (size_t i = 0; i < set->count; i++) {
		struct seen_page *p;
		struct version v;
		int err;

		if (i > 0 && ids[i] == ids[i - 1])
			continue;
		err = version_read_by_id(w->txn, ids[i], &v);
		if (err < 0 && err != -ENOENT)
			return err;
		if (err == -ENOENT || v.purged)
			continue;
		p = meet_page(w, v.page);
		p->referrers++;
		p->in_set = true;
		count++;
	}
	*ret_count = count;
	return 0;
}

/* Pages that nobody refers to, but are not gone yet: they refer to others. */
static int add_doomed_pages(struct walk *w)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(w->txn, KV_META, KEY(prefix('x')), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint64_t page = key_u64_at(key, 1);
		int there = kv_has(w->txn, KV_META, KEY(page(page)));

		if (there < 0)
			return there;
		if (there)
			meet_page(w, page);
	}
	return more;
}

static int add_doomed_blobs(struct walk *w)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(w->txn, KV_META, KEY(prefix('y')), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		struct digest digest;
		struct blob_row row;
		int err = key_digest_at(key, 1, &digest);

		if (err == 0)
			err = kv_get(w->txn, KV_META, KEY(blob(&digest)), &b);
		if (err == 0)
			err = decode_blob_row(buf_slice(&b), &row);
		if (err == 0)
			meet_blob(w, &digest, row.size);
		else if (err != -ENOENT)
			return err;
	}
	return more;
}

/* Bytes that have no row any more. */
static int sum_removed(struct walk *w, uint64_t *ret)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	uint64_t sum = 0, size;
	int more = kv_scan(w->txn, KV_META, KEY(prefix('z')), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (decode_u64(value, &size) < 0)
			return -EIO;
		sum += size;
	}
	*ret = sum;
	return more;
}

/*
 * The rows of blobs' referrers, for one blob after the other in the order of their digests: where
 * those that are asked for lie close together this is a scan, else each begins one.
 */
struct referrers {
	struct kv_scan *scan;
	struct slice key; /* not looked at yet; len 0: the end */
};

static void referrers_release(struct referrers *r)
{
	if (r->scan)
		kv_done(r->scan);
}

static int referrers_next(struct referrers *r)
{
	struct slice value;
	int more = kv_next(r->scan, &r->key, &value);

	if (more == 0)
		r->key = slice("", 0);
	return more < 0 ? more : 0;
}

static int referrers_seek(struct walk *w, struct referrers *r, struct slice prefix)
{
	int err = 0;

	for (size_t i = 0; err == 0 && r->scan && i < CLOSE; i++) {
		if (r->key.len == 0 || slice_compare(r->key, prefix) >= 0)
			return 0;
		err = referrers_next(r);
	}
	if (err < 0)
		return err;
	referrers_release(r);
	r->scan = NULL;
	err = kv_scan(w->txn, KV_META, KEY(prefix('b')), prefix, &r->scan);
	return err < 0 ? err : referrers_next(r);
}

/* Do all pages that have the blob go? 1, 0, -errno. */
static int blob_goes(struct walk *w, struct referrers *r, const struct seen_blob *b)
{
	const struct key prefix = key_prefix_blob_refs(&b->digest);
	uint32_t found = 0;
	int err = referrers_seek(w, r, key_slice(&prefix));

	while (err == 0 && slice_starts(r->key, key_slice(&prefix))) {
		if (found++ == b->referrers)
			return 0;
		err = referrers_next(r);
	}
	return err < 0 ? err : found == b->referrers;
}

static int compare_blobs(const void *a, const void *b)
{
	const struct seen_blob *x = a, *y = b;

	return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_SIZE);
}

/* Puts the blobs at the start of their table, in order. */
static void sort_blobs(struct walk *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->blob_places; i++)
		if (w->blobs[i].from)
			w->blobs[n++] = w->blobs[i];
	if (n > 0)
		qsort(w->blobs, n, sizeof(*w->blobs), compare_blobs);
}

/* Adds up the blobs: of the set, those of it that go, and all that go. */
static int sum_blobs(struct walk *w, struct usage *set, uint64_t *ret_goes)
{
	AUTO(referrers_release) struct referrers r = { .key = slice("", 0) };
	uint64_t sum = 0;

	sort_blobs(w);
	for (size_t i = 0; i < w->blob_count; i++) {
		const struct seen_blob *b = &w->blobs[i];
		int goes = b->stays ? 0 : blob_goes(w, &r, b);

		if (goes >= 0 && i % STOP_EVERY == 0 && check_stop(w) < 0)
			goes = -EINTR;
		if (goes < 0)
			return goes;
		sum += goes ? b->size : 0;
		set->total += b->in_set ? b->size : 0;
		set->freed += b->in_set && goes ? b->size : 0;
	}
	set->shared = set->total - set->freed;
	*ret_goes = sum;
	return 0;
}

static int measure(struct store *store, const struct usage_set *set, bool garbage,
		   const bool *stop, struct usage *ret, uint64_t *ret_goes)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(walk_release) struct walk w = { .stop = stop };
	struct usage usage = { 0 };
	uint64_t removed = 0, goes = 0;
	int err = kv_begin(store->kv, KV_READ, &txn);

	w.txn = txn;
	if (err == 0)
		err = add_versions(&w, set, &usage.versions);
	if (err == 0)
		err = add_doomed_pages(&w);
	if (err == 0)
		err = walk_pages(&w);
	if (err == 0 && garbage)
		err = add_doomed_blobs(&w);
	if (err == 0 && garbage)
		err = sum_removed(&w, &removed);
	if (err == 0)
		err = sum_blobs(&w, &usage, &goes);
	if (err < 0)
		return err;
	*ret = usage;
	*ret_goes = goes + removed;
	return 0;
}

int usage_of(struct store *store, const struct usage_set *set, const bool *stop, struct usage *ret)
{
	uint64_t goes;

	return measure(store, set, false, stop, ret, &goes);
}

int usage_reclaimable(struct store *store, const struct usage_set *set, const bool *stop,
		      uint64_t *ret_bytes)
{
	struct usage usage;

	return measure(store, set, true, stop, &usage, ret_bytes);
}

/* ---- by name ---- */

static bool may_read(const struct cred *cred, const struct version *v)
{
	return cred_may(cred, v->uid, v->gid, version_directory_mode(v), 4);
}

static int add_collection(struct store *store, const struct cred *cred,
			  const struct collection *c, struct usage_set *set,
			  uint64_t *ret_unreadable)
{
	uint64_t unreadable = 0;
	struct version v;
	int more;

	if (!cred_may(cred, c->uid, c->gid, c->mode, 5))
		return -EACCES;
	for (int64_t after = -1; (more = version_next(store, c->id, after, &v)) > 0;
	     after = v.number) {
		if (may_read(cred, &v))
			usage_set_add(set, v.id);
		else
			unreadable++;
	}
	*ret_unreadable = unreadable;
	return more;
}

/* The version of a reference: by number also one that was removed. */
static int find_version(struct store *store, uint32_t collection, struct slice ref,
			struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	uint32_t number;
	int err = kv_begin(store->kv, KV_READ, &txn);

	if (err < 0)
		return err;
	if (version_name_parse(ref, &number) < 0)
		return alias_read(txn, collection, ref, ret);
	err = version_read_any(txn, collection, number, ret);
	return err == 0 && ret->purged ? -ENOENT : err;
}

int usage_find(struct store *store, const struct cred *cred, struct slice name,
	       struct usage_set *set, uint64_t *ret_unreadable)
{
	AUTO(collection_release) struct collection c = { 0 };
	bool version = memchr(name.len ? name.data : "", ':', name.len) ||
		       memchr(name.len ? name.data : "", '/', name.len);
	struct reference ref = { .artifact = name };
	struct version v;
	int err = 0;

	if (version)
		err = reference_parse(name, &ref);
	if (err < 0 || ref.path.len > 0 || ref.alias.len > 0 || !name_valid(ref.artifact))
		return -EINVAL;
	err = collection_find(store, ref.artifact, &c);
	if (err < 0)
		return err;
	if (!version)
		return add_collection(store, cred, &c, set, ret_unreadable);
	if (!cred_may(cred, c.uid, c.gid, c.mode, 1))
		return -EACCES;
	err = find_version(store, c.id, ref.version, &v);
	if (err == 0 && !may_read(cred, &v))
		err = -EACCES;
	if (err < 0)
		return err;
	usage_set_add(set, v.id);
	*ret_unreadable = 0;
	return 0;
}
