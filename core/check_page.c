/*
 * check_page.c - the pages that versions consist of, and who refers to them.
 *
 * A page that nobody refers to is kept, not taken away: it may be all that is left of a version
 * whose record was lost. Fsck itself refers to it then, by a row of its own (REFERRER_KEPT).
 */
#include "check_private.h"

#include "artifact.h"
#include "page.h"
#include "reap.h"

/* What a page says of itself to the one above. */
struct page_sum {
	struct digest digest;
	uint64_t nodes, entries;
	struct buf first;
};

static void page_sum_release(struct page_sum *s)
{
	buf_release(&s->first);
}

static bool read_page(struct check *c, uint64_t page, struct buf *bytes, struct page_reader *ret)
{
	return check_get(c, KEY(page(page)), bytes) &&
	       page_reader_of_record(ret, buf_slice(bytes)) == 0;
}

static bool sum_page(struct check *c, uint64_t page, struct page_sum *ret)
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
		more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		if (more <= 0)
			return more == 0;
		if (first)
			buf_add_slice(&ret->first, r.level ? child.first : e.name);
		ret->nodes += r.level ? child.nodes : e.nodes;
		ret->entries += r.level ? child.entries : 1;
	}
}

bool check_root_page(struct check *c, uint64_t page, const struct digest *digest,
		     uint64_t *ret_nodes)
{
	AUTO(page_sum_release) struct page_sum sum = { .first = BUF_INIT };

	if (!sum_page(c, page, &sum) || !digest_equal(&sum.digest, digest))
		return false;
	*ret_nodes = sum.nodes;
	return true;
}

static void refer(struct check *c, uint64_t page, enum referrer kind, uint64_t from)
{
	check_put(c, KEY(page_ref(page, kind, from)), slice("", 0));
	check_done(c, reap_spare_page(c->txn, page), CHECK_REPAIRED);
}

/* A reference from a page to another one: there, from both sides, and saying the truth. */
static void check_below(struct check *c, uint64_t from, uint64_t page, const struct digest *digest,
			uint64_t nodes, const struct page_child *child)
{
	AUTO(page_sum_release) struct page_sum sum = { .first = BUF_INIT };

	if (!check_has(c, KEY(page_ref(page, REFERRER_PAGE, from))) &&
	    check_wrong(c, "page-ref", "page %llu does not know that page %llu refers to it",
			U(page), U(from)))
		refer(c, page, REFERRER_PAGE, from);
	if (!sum_page(c, page, &sum))
		check_wrong(c, "page-lost", "page %llu, which page %llu refers to, is lost or "
			    "cannot be read", U(page), U(from));
	else if (!digest_equal(&sum.digest, digest) || sum.nodes != nodes ||
		 (child && (sum.entries != child->entries ||
			    !slice_equal(buf_slice(&sum.first), child->first))))
		check_wrong(c, "page-other", "page %llu is not what page %llu says of it", U(page),
			    U(from));
}

static void check_file(struct check *c, uint64_t page, const struct page_entry *e)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;

	if (!check_has(c, KEY(blob_ref(&e->digest, page))) &&
	    check_wrong(c, "blob-ref", "the bytes %s do not know that page %llu refers to them",
			HEX(&e->digest), U(page))) {
		check_put(c, KEY(blob_ref(&e->digest, page)), slice("", 0));
		check_done(c, reap_spare_blob(c->txn, &e->digest), CHECK_REPAIRED);
	}
	if (!check_get(c, KEY(blob(&e->digest)), &b) || decode_blob_row(buf_slice(&b), &row) < 0)
		check_wrong(c, "blob-lost", "the bytes %s of the file %.*s (page %llu) are lost",
			    HEX(&e->digest), (int)e->name.len, (const char *)e->name.data, U(page));
	else if (row.size != e->size)
		check_wrong(c, "file-size", "the file %.*s (page %llu) has %llu bytes, not %llu",
			    (int)e->name.len, (const char *)e->name.data, U(page), U(row.size),
			    U(e->size));
}

/* Every page is found by its digest, or from the one that is. */
static void check_named(struct check *c, uint64_t page, struct slice record)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct digest digest;
	uint64_t named;

	memcpy(digest.bytes, record.data, DIGEST_SIZE);
	if (!check_number(c, KEY(page_digest(&digest)), &named)) {
		if (check_wrong(c, "page-digest", "page %llu is not found by its digest",
				U(page))) {
			encode_u64(&b, page);
			check_put(c, KEY(page_digest(&digest)), buf_slice(&b));
		}
	} else if (named != page && !check_has(c, KEY(page_ref(named, REFERRER_TWIN, page))) &&
		   check_wrong(c, "page-twin", "page %llu is not found from its twin %llu", U(page),
			       U(named))) {
		refer(c, named, REFERRER_TWIN, page);
	}
}

static bool is_doomed(struct check *c, uint64_t page)
{
	return !c->options->at_rest && check_has(c, KEY(doomed_page(page)));
}

void check_page(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf last = BUF_INIT;
	uint64_t page = key_u64_at(key, 1);
	struct page_reader r;
	struct page_entry e;
	struct page_child child;
	int more;

	if (key.len != 9 || page_reader_of_record(&r, value) < 0 || page_verify(value) < 0) {
		check_wrong(c, "page-bytes", "page %llu is not what was written", U(page));
		return;
	}
	check_named(c, page, value);
	for (bool first = true;; first = false) {
		struct slice name;

		more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		if (more <= 0)
			break;
		name = r.level ? child.first : e.name;
		if (!first && slice_compare(buf_slice(&last), name) >= 0)
			check_wrong(c, "page-order", "page %llu is not in order", U(page));
		buf_reset(&last);
		buf_add_slice(&last, name);
		if (r.level)
			check_below(c, page, child.page, &child.digest, child.nodes, &child);
		else if (e.type == ENTRY_DIRECTORY)
			check_below(c, page, e.page, &e.digest, e.nodes - 1, NULL);
		else if (e.type == ENTRY_FILE)
			check_file(c, page, &e);
	}
}

/* When all references that pages and versions make are there again. */
void check_page_kept(struct check *c, struct slice key, struct slice value)
{
	uint64_t page = key_u64_at(key, 1);

	(void)value;
	if (!check_any(c, key_prefix_page_refs(page)) && !is_doomed(c, page) &&
	    check_wrong(c, "page-unreferenced", "nobody refers to page %llu", U(page)))
		refer(c, page, REFERRER_KEPT, 0);
}

/* Somebody refers to it, and it is not what it was: what it refers to stays. */
bool check_page_is_lost(struct check *c, uint64_t page)
{
	AUTO(buf_release) struct buf record = BUF_INIT;

	return check_any(c, key_prefix_page_refs(page)) &&
	       (!check_get(c, KEY(page(page)), &record) || page_verify(buf_slice(&record)) < 0);
}

void check_page_digest(struct check *c, struct slice key, struct slice value)
{
	AUTO(page_sum_release) struct page_sum sum = { .first = BUF_INIT };
	struct digest digest;
	uint64_t page = 0;

	if (key_digest_at(key, 1, &digest) == 0 && decode_u64(value, &page) == 0 &&
	    ((sum_page(c, page, &sum) && digest_equal(&sum.digest, &digest)) ||
	     check_page_is_lost(c, page)))
		return;
	if (check_wrong(c, "page-digest-lost", "a digest leads to a page that is not it"))
		check_set_aside(c, key);
}

static bool page_mentions(struct check *c, uint64_t from, uint64_t page)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader r;
	struct page_entry e;
	struct page_child child;

	if (!read_page(c, from, &bytes, &r))
		return false;
	while (r.level && page_next_child(&r, &child) > 0)
		if (child.page == page)
			return true;
	while (!r.level && page_next_entry(&r, &e) > 0)
		if (e.type == ENTRY_DIRECTORY && e.page == page)
			return true;
	return false;
}

/* Are both pages of one digest, which leads to the second? */
static bool is_twin(struct check *c, uint64_t twin, uint64_t page)
{
	AUTO(buf_release) struct buf a = BUF_INIT, b = BUF_INIT;
	struct digest digest;
	uint64_t named;

	if (twin == page || !check_get(c, KEY(page(twin)), &a) ||
	    !check_get(c, KEY(page(page)), &b) || a.len < DIGEST_SIZE || b.len < DIGEST_SIZE ||
	    memcmp(a.data, b.data, DIGEST_SIZE) != 0)
		return false;
	memcpy(digest.bytes, a.data, DIGEST_SIZE);
	return check_number(c, KEY(page_digest(&digest)), &named) && named == page;
}

static bool refers(struct check *c, unsigned kind, uint64_t id, uint64_t page)
{
	struct version v;

	switch (kind) {
	case REFERRER_PAGE:
		return page_mentions(c, id, page) || check_page_is_lost(c, id);
	case REFERRER_VERSION:
		/* One whose record is lost is told by itself, and keeps what it has. */
		return check_read(c, version_read_by_id(c->txn, (uint32_t)id, &v)) ?
			       v.page == page : check_version_there(c, (uint32_t)id);
	case REFERRER_INTENT:
		return !c->options->at_rest &&
		       (id >= c->store->first_intent || check_has(c, KEY(intent(id))));
	case REFERRER_RUN:
		return check_has(c, KEY(borrowed((uint32_t)id, page)));
	case REFERRER_TWIN:
		return is_twin(c, id, page);
	case REFERRER_KEPT:
		return true;
	default:
		return false;
	}
}

/* That the page is there is told where it is referred to. */
void check_page_ref(struct check *c, struct slice key, struct slice value)
{
	uint64_t page = key_u64_at(key, 1);

	(void)value;
	if (key.len == 18 && refers(c, ((const uint8_t *)key.data)[9], key_u64_at(key, 10), page))
		return;
	if (check_wrong(c, "page-ref-lost", "what is said to refer to page %llu does not",
			U(page)))
		check_set_aside(c, key);
}

void check_borrowed(struct check *c, struct slice key, struct slice value)
{
	uint32_t run = key_u32_at(key, 1);
	uint64_t page = key_u64_at(key, 5);

	(void)value;
	if (!check_has(c, KEY(page(page))))
		check_wrong(c, "borrowed-lost", "%s borrows from page %llu, which is lost",
			    RUN_LABEL(c, run), U(page));
	else if (!check_has(c, KEY(page_ref(page, REFERRER_RUN, run))) &&
		 check_wrong(c, "borrowed-ref", "page %llu does not know that %s borrows from it",
			     U(page), RUN_LABEL(c, run)))
		refer(c, page, REFERRER_RUN, run);
}
