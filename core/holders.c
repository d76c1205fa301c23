#include "holders.h"

#include "viewer.h"

/* So many answers are kept. */
#define KEPT 4

struct holders_cache {
	pthread_mutex_t lock;
	struct holders *kept[KEPT]; /* the last used first; a reference each */
};

struct holders_cache *holders_cache_new(void)
{
	struct holders_cache *cache = xcalloc(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

/* Under the cache's lock. */
static void drop(struct holders *h)
{
	if (!h || --h->references > 0)
		return;
	free(h->versions);
	free(h);
}

void holders_cache_free(struct holders_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < KEPT; i++)
		drop(cache->kept[i]);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void holders_put(struct store *store, struct holders *h)
{
	LOCKED(&store->holders->lock);
	drop(h);
}

/* The place of a digest among what is kept; KEPT: none. */
static size_t place_of(const struct holders_cache *cache, const struct digest *digest)
{
	size_t i = 0;

	while (i < KEPT &&
	       !(cache->kept[i] && digest_equal(&cache->kept[i]->digest, digest)))
		i++;
	return i;
}

/* Puts an answer first; at is the place that it takes it from. */
static void move_first(struct holders_cache *cache, size_t at, struct holders *h)
{
	memmove(cache->kept + 1, cache->kept, at * sizeof(*cache->kept));
	cache->kept[0] = h;
}

/* What is kept of a digest, with a reference; NULL. */
static struct holders *kept(struct store *store, const struct digest *digest)
{
	struct holders_cache *cache = store->holders;
	struct holders *h;
	size_t at;

	LOCKED(&cache->lock);
	at = place_of(cache, digest);
	if (at == KEPT)
		return NULL;
	h = cache->kept[at];
	move_first(cache, at, h);
	h->references++;
	return h;
}

static void keep(struct store *store, struct holders *h)
{
	struct holders_cache *cache = store->holders;
	size_t at;

	LOCKED(&cache->lock);
	at = place_of(cache, &h->digest);
	if (at == KEPT)
		at = KEPT - 1;
	drop(cache->kept[at]);
	move_first(cache, at, h);
	h->references++;
}

/* ---- going up ---- */

/* The pages that were reached: a set by open addressing, in which 0 is no page. */
struct page_set {
	uint64_t *slots;
	size_t size, count;
};

static size_t slot_of(const struct page_set *set, uint64_t page)
{
	size_t i = (size_t)((page * 0x9e3779b97f4a7c15u) >> 20) & (set->size - 1);

	while (set->slots[i] && set->slots[i] != page)
		i = (i + 1) & (set->size - 1);
	return i;
}

static void grow(struct page_set *set)
{
	struct page_set old = *set;

	set->size = old.size ? 2 * old.size : 256;
	set->slots = xcalloc(set->size, sizeof(*set->slots));
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i])
			set->slots[slot_of(set, old.slots[i])] = old.slots[i];
	free(old.slots);
}

static bool has_page(const struct page_set *set, uint64_t page)
{
	return set->size > 0 && set->slots[slot_of(set, page)] != 0;
}

static void add_page(struct page_set *set, uint64_t page)
{
	if (2 * set->count >= set->size)
		grow(set);
	set->slots[slot_of(set, page)] = page;
	set->count++;
}

/* What a version that is reached is for: 0: go on, else the walk ends with it. */
typedef int reach_fn(void *arg, struct kv_txn *txn, uint32_t version);

struct walk {
	struct kv_txn *txn;
	reach_fn *reach;
	void *arg;
	struct page_set seen;
	uint64_t *left; /* reached, not looked at yet */
	size_t left_count, left_cap;
	size_t limit, versions;
	bool truncated;
};

static void walk_release(struct walk *w)
{
	free(w->seen.slots);
	free(w->left);
}

static void reach_page(struct walk *w, uint64_t page)
{
	if (has_page(&w->seen, page))
		return;
	if (w->seen.count >= w->limit) {
		w->truncated = true;
		return;
	}
	add_page(&w->seen, page);
	w->left = xgrow(w->left, &w->left_cap, w->left_count + 1, sizeof(*w->left));
	w->left[w->left_count++] = page;
}

static int reach_version(struct walk *w, uint32_t version)
{
	if (w->versions >= w->limit) {
		w->truncated = true;
		return 0;
	}
	w->versions++;
	return w->reach(w->arg, w->txn, version);
}

/* All that refers to a page. */
static int go_up(struct walk *w, uint64_t page)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(w->txn, KV_META, KEY(prefix_page_refs(page)), slice("", 0), &scan);

	while (more == 0 && (more = kv_next(scan, &key, &value)) > 0) {
		enum referrer kind = ((const uint8_t *)key.data)[key.len - 9];
		uint64_t id = key_u64_at(key, key.len - 8);

		more = 0;
		switch (kind) {
		case REFERRER_PAGE:
		case REFERRER_TWIN:
			reach_page(w, id);
			break;
		case REFERRER_VERSION:
			more = reach_version(w, (uint32_t)id);
			break;
		case REFERRER_INTENT: /* may never be a version */
		case REFERRER_RUN:
		case REFERRER_KEPT:
			break;
		}
		if (more == 0)
			continue;
		return more;
	}
	return more;
}

static int go_up_from(struct walk *w, uint64_t page)
{
	int err = 0;

	reach_page(w, page);
	while (err == 0 && w->left_count > 0)
		err = go_up(w, w->left[--w->left_count]);
	return err;
}

/* From a directory of this digest. */
static int walk_directory(struct walk *w, const struct digest *digest)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t page;
	int err = kv_get(w->txn, KV_META, KEY(page_digest(digest)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &page);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return go_up_from(w, page);
}

/* From the pages that have a file of this digest. */
static int walk_files(struct walk *w, const struct digest *digest)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(w->txn, KV_META, KEY(prefix_blob_refs(digest)), slice("", 0), &scan);

	while (more == 0 && (more = kv_next(scan, &key, &value)) > 0) {
		more = go_up_from(w, key_u64_at(key, 1 + DIGEST_SIZE));
		if (more != 0)
			return more;
	}
	return more;
}

/* Calls reach for every version, each once; what it returns that is not 0, or -errno. */
static int walk(struct store *store, const struct digest *digest, reach_fn *reach, void *arg,
		bool *ret_truncated)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(walk_release) struct walk w = {
		.reach = reach, .arg = arg, .limit = store->options.lineage_nodes,
	};
	int result = kv_begin(store->kv, KV_READ, &txn);

	w.txn = txn;
	if (result == 0)
		result = walk_directory(&w, digest);
	if (result == 0)
		result = walk_files(&w, digest);
	*ret_truncated = w.truncated;
	return result;
}

/* ---- answers ---- */

struct collecting {
	struct holders *answer;
	size_t cap;
};

static int collect(void *arg, struct kv_txn *txn, uint32_t version)
{
	struct collecting *c = arg;
	struct holders *h = c->answer;

	(void)txn;
	h->versions = xgrow(h->versions, &c->cap, h->count + 1, sizeof(*h->versions));
	h->versions[h->count++] = version;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int holders_get(struct store *store, const struct digest *digest, struct holders **ret)
{
	struct collecting c = { .answer = xcalloc(1, sizeof(*c.answer)) };
	int err;

	c.answer->references = 1;
	c.answer->digest = *digest;
	err = walk(store, digest, collect, &c, &c.answer->truncated);
	if (err < 0) {
		holders_put(store, c.answer);
		return err;
	}
	if (c.answer->count > 0)
		qsort(c.answer->versions, c.answer->count, sizeof(uint32_t), by_id);
	keep(store, c.answer);
	*ret = c.answer;
	return 0;
}

int holders_next(struct store *store, const struct holders *h, const struct cred *cred, size_t *at,
		 struct index_item *ret, size_t max)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(viewer_release) struct viewer viewer;
	size_t n = 0;
	int err = kv_begin(store->kv, KV_READ, &txn);

	viewer_init(&viewer, cred);
	while (err >= 0 && n < max && *at < h->count) {
		const struct collection *c;
		struct version v;

		err = viewer_version(&viewer, txn, h->versions[*at], &v, &c);
		if (err > 0)
			index_version_item(&v, c, &ret[n++]);
		if (err >= 0)
			++*at;
	}
	return err < 0 ? err : (int)n;
}

static int any_of(struct store *store, const struct holders *h, const struct cred *cred)
{
	struct index_item item;
	size_t at = 0;

	return holders_next(store, h, cred, &at, &item, 1);
}

static int see(void *arg, struct kv_txn *txn, uint32_t version)
{
	const struct collection *c;
	struct version v;

	return viewer_version(arg, txn, version, &v, &c);
}

int holders_any(struct store *store, const struct digest *digest, const struct cred *cred)
{
	AUTO(viewer_release) struct viewer viewer;
	struct holders *h = kept(store, digest);
	bool truncated;
	int any = 0;

	viewer_init(&viewer, cred);
	if (h) {
		any = any_of(store, h, cred);
		holders_put(store, h);
	}
	return any ? any : walk(store, digest, see, &viewer, &truncated);
}

/* The live version of a label, as far as cred sees it. 1, 0, -errno. */
static int find_label(struct store *store, const char *label, const struct cred *cred,
		      struct index_item *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(viewer_release) struct viewer viewer;
	const struct collection *c;
	struct version v;
	int err = version_find_label(store, label, &v);

	viewer_init(&viewer, cred);
	if (err == 0)
		err = kv_begin(store->kv, KV_READ, &txn);
	if (err == 0)
		err = viewer_version(&viewer, txn, v.id, &v, &c);
	if (err > 0)
		index_version_item(&v, c, ret);
	return err == -ENOENT ? 0 : err;
}

static bool has(const struct holders *h, uint32_t version)
{
	return h->count > 0 &&
	       bsearch(&version, h->versions, h->count, sizeof(version), by_id) != NULL;
}

int holders_find(struct store *store, const struct digest *digest, const char *label,
		 const struct cred *cred, struct index_item *ret)
{
	struct holders *h;
	bool found = false;
	int err = find_label(store, label, cred, ret);

	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	h = kept(store, digest);
	if (h) {
		found = has(h, ret->id);
		holders_put(store, h);
	}
	/* It may have been logged since. */
	if (!found) {
		err = holders_get(store, digest, &h);
		if (err < 0)
			return err;
		found = has(h, ret->id);
		holders_put(store, h);
	}
	return found ? 0 : -ENOENT;
}
