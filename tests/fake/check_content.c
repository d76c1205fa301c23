/*
 * check_content.c - the part of check_store() that looks at pages and blobs.
 */
#include "check_private.h"

#include <sys/stat.h>

#include "core/artifact.h"

/* ---- pages ---- */

static bool read_page(struct check *c, uint64_t page, struct buf *bytes, struct page_reader *ret)
{
	return get(c, KEY(page(page)), bytes) && page_reader_of_record(ret, buf_slice(bytes)) == 0;
}

bool sum_page(struct check *c, uint64_t page, struct page_sum *ret)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader r;
	struct page_entry e;
	struct page_child child;
	int more;

	if (!read_page(c, page, &bytes, &r))
		return false;
	memcpy(ret->digest.bytes, bytes.data, DIGEST_SIZE);
	ret->nodes = ret->entries = 0;
	buf_reset(&ret->first);
	for (bool first = true;; first = false) {
		struct slice name;

		more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		if (more <= 0)
			return more == 0;
		name = r.level ? child.first : e.name;
		if (first)
			buf_add_slice(&ret->first, name);
		ret->nodes += r.level ? child.nodes : e.nodes;
		ret->entries += r.level ? child.entries : 1;
	}
}

/* A reference from a page to another one: there, from both sides, and saying the truth. */
static void check_below(struct check *c, uint64_t from, uint64_t page, const struct digest *digest,
			uint64_t nodes, const struct page_child *child)
{
	struct page_sum sum = { .first = BUF_INIT };

	if (!has(c, KEY(page_ref(page, REFERRER_PAGE, from))))
		wrong(c, "page %llu refers to page %llu without a row", U(from), U(page));
	if (!sum_page(c, page, &sum)) {
		wrong(c, "page %llu refers to page %llu, which is not there", U(from), U(page));
	} else {
		if (!digest_equal(&sum.digest, digest))
			wrong(c, "page %llu names page %llu by another digest", U(from), U(page));
		if (sum.nodes != nodes)
			wrong(c, "page %llu: page %llu has %llu nodes, not %llu", U(from), U(page),
			      U(sum.nodes), U(nodes));
		if (child && (sum.entries != child->entries ||
			      !slice_equal(buf_slice(&sum.first), child->first)))
			wrong(c, "page %llu: page %llu has other entries", U(from), U(page));
	}
	buf_release(&sum.first);
}

static void check_file(struct check *c, uint64_t page, const struct page_entry *e)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	if (!has(c, KEY(blob_ref(&e->digest, page))))
		wrong(c, "page %llu refers to blob %s without a row", U(page), HEX(&e->digest));
	if (!get(c, KEY(blob(&e->digest)), &b) || decode_blob_row(buf_slice(&b), &row) < 0)
		wrong(c, "page %llu: blob %s is not there", U(page), HEX(&e->digest));
	else if (row.size != e->size)
		wrong(c, "page %llu: blob %s has %llu bytes, not %llu", U(page), HEX(&e->digest),
		      U(row.size), U(e->size));
}

static bool any_row(struct check *c, struct key prefix)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	return kv_scan(c->txn, KV_META, key_slice(&prefix), slice("", 0), &scan) == 0 &&
	       kv_next(scan, &key, &value) == 1;
}

/* Every page is found by its digest, or from the one that is. */
static void check_named(struct check *c, uint64_t page, struct slice record)
{
	struct digest digest;
	uint64_t named;

	memcpy(digest.bytes, record.data, DIGEST_SIZE);
	if (!get_number(c, KEY(page_digest(&digest)), &named))
		wrong(c, "page %llu is not found by its digest", U(page));
	else if (named != page && !has(c, KEY(page_ref(named, REFERRER_TWIN, page))))
		wrong(c, "page %llu is not found from its twin %llu", U(page), U(named));
}

void check_page(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf last = BUF_INIT;
	uint64_t page = key_u64_at(key, 1);
	struct page_reader r;
	struct page_entry e;
	struct page_child child;
	int more;

	if (key.len != 9 || page_reader_of_record(&r, value) < 0) {
		wrong(c, "page %llu cannot be read", U(page));
		return;
	}
	if (!any_row(c, key_prefix_page_refs(page)))
		wrong(c, "page %llu: nobody refers to it", U(page));
	check_named(c, page, value);
	for (bool first = true;; first = false) {
		struct slice name;

		more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		if (more <= 0)
			break;
		name = r.level ? child.first : e.name;
		if (!first && slice_compare(buf_slice(&last), name) >= 0)
			wrong(c, "page %llu: not in order", U(page));
		buf_reset(&last);
		buf_add_slice(&last, name);
		if (r.level)
			check_below(c, page, child.page, &child.digest, child.nodes, &child);
		else if (e.type == ENTRY_DIRECTORY)
			check_below(c, page, e.page, &e.digest, e.nodes - 1, NULL);
		else if (e.type == ENTRY_FILE)
			check_file(c, page, &e);
	}
	if (more < 0)
		wrong(c, "page %llu is cut off", U(page));
}

void check_page_digest(struct check *c, struct slice key, struct slice value)
{
	struct page_sum sum = { .first = BUF_INIT };
	struct digest digest;
	uint64_t page;

	if (key_digest_at(key, 1, &digest) < 0 || decode_u64(value, &page) < 0)
		wrong(c, "a row from a digest to a page cannot be read");
	else if (!sum_page(c, page, &sum) || !digest_equal(&sum.digest, &digest))
		wrong(c, "digest %s leads to page %llu, which is not it", HEX(&digest), U(page));
	buf_release(&sum.first);
}

static bool page_mentions(struct check *c, uint64_t from, uint64_t page, const struct digest *blob)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader r;
	struct page_entry e;
	struct page_child child;

	if (!read_page(c, from, &bytes, &r))
		return false;
	while (r.level && page_next_child(&r, &child) > 0)
		if (!blob && child.page == page)
			return true;
	while (!r.level && page_next_entry(&r, &e) > 0) {
		if (blob ? e.type == ENTRY_FILE && digest_equal(&e.digest, blob) :
			   e.type == ENTRY_DIRECTORY && e.page == page)
			return true;
	}
	return false;
}

/* Are both pages of one digest, which leads to the second? */
static bool is_twin(struct check *c, uint64_t twin, uint64_t page)
{
	AUTO(buf_release) struct buf a = BUF_INIT, b = BUF_INIT;
	struct digest digest;
	uint64_t named;

	if (twin == page || !get(c, KEY(page(twin)), &a) || !get(c, KEY(page(page)), &b) ||
	    a.len < DIGEST_SIZE || b.len < DIGEST_SIZE || memcmp(a.data, b.data, DIGEST_SIZE) != 0)
		return false;
	memcpy(digest.bytes, a.data, DIGEST_SIZE);
	return get_number(c, KEY(page_digest(&digest)), &named) && named == page;
}

void check_page_ref(struct check *c, struct slice key, struct slice value)
{
	uint64_t page = key_u64_at(key, 1), id = key_u64_at(key, 10);
	unsigned kind = key.len == 18 ? ((const uint8_t *)key.data)[9] : 99;
	struct version v;

	(void)value;
	if (!has(c, KEY(page(page))))
		wrong(c, "there is a referrer to page %llu, which is not there", U(page));
	if (kind == REFERRER_PAGE && !page_mentions(c, id, page, NULL))
		wrong(c, "page %llu does not refer to page %llu", U(id), U(page));
	else if (kind == REFERRER_VERSION &&
		 (version_read_by_id(c->txn, (uint32_t)id, &v) < 0 || v.page != page))
		wrong(c, "version %llu does not refer to page %llu", U(id), U(page));
	else if (kind == REFERRER_INTENT)
		wrong(c, "intent %llu still refers to page %llu", U(id), U(page));
	else if (kind == REFERRER_RUN && !has(c, KEY(borrowed((uint32_t)id, page))))
		wrong(c, "run %llu is said to borrow from page %llu", U(id), U(page));
	else if (kind == REFERRER_TWIN && !is_twin(c, id, page))
		wrong(c, "page %llu is no twin of page %llu", U(id), U(page));
	else if (kind > REFERRER_TWIN)
		wrong(c, "an unknown kind of referrer of page %llu", U(page));
}

/* ---- blobs ---- */

static void note_shared(struct check *c, struct blob *blob, const struct blob_id *id)
{
	struct stat st;

	if (blob_fd(blob) < 0 || fstat(blob_fd(blob), &st) < 0)
		return;
	c->shared = xgrow(c->shared, &c->shared_cap, c->shared_count + 1, sizeof(*c->shared));
	c->shared[c->shared_count++] = (struct shared){ st.st_dev, st.st_ino, *id };
}

void check_blob(struct check *c, struct slice key, struct slice value)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	AUTO(hasher_freep) struct hasher *hasher = hasher_new();
	struct digest digest, real;
	struct blob_row row;
	char block[4096];
	uint64_t at = 0;
	ssize_t n = 0;

	if (key_digest_at(key, 1, &digest) < 0 || decode_blob_row(value, &row) < 0) {
		wrong(c, "the row of a blob cannot be read");
		return;
	}
	if (!any_row(c, key_prefix_blob_refs(&digest)))
		wrong(c, "blob %s: nobody refers to it", HEX(&digest));
	if (blob_open(c->store->blobs, &(struct blob_id){ digest, row.generation }, row.size,
		      &blob) < 0) {
		wrong(c, "blob %s: there is a row, but no bytes", HEX(&digest));
		return;
	}
	while ((n = blob_pread(blob, block, sizeof(block), at)) > 0) {
		hasher_add(hasher, block, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_end(hasher, &real);
	if (n < 0 || at != row.size || !digest_equal(&real, &digest))
		wrong(c, "blob %s has other bytes", HEX(&digest));
	note_shared(c, blob, &(struct blob_id){ digest, row.generation });
}

void check_blob_ref(struct check *c, struct slice key, struct slice value)
{
	uint64_t page = key_u64_at(key, 1 + DIGEST_SIZE);
	struct digest digest;

	(void)value;
	if (key_digest_at(key, 1, &digest) < 0)
		wrong(c, "a referrer of a blob cannot be read");
	else if (!has(c, KEY(blob(&digest))))
		wrong(c, "page %llu is said to refer to blob %s, which is not there", U(page),
		      HEX(&digest));
	else if (!page_mentions(c, page, 0, &digest))
		wrong(c, "page %llu does not refer to blob %s", U(page), HEX(&digest));
}

int check_bytes(void *arg, const struct blob_id *id, uint64_t size)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct check *c = arg;
	struct blob_row row;

	if (!get(c, KEY(blob(&id->digest)), &b) || decode_blob_row(buf_slice(&b), &row) < 0)
		wrong(c, "bytes of %s.%llx (%llu) without a row", HEX(&id->digest),
		      U(id->generation), U(size));
	else if (row.generation != id->generation || row.size != size)
		wrong(c, "bytes of %s: there are generations %llx and %llx", HEX(&id->digest),
		      U(row.generation), U(id->generation));
	return 0;
}
