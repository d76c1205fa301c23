/* check_private.h - what the files of check_store() share. */
#ifndef TESTS_FAKE_CHECK_PRIVATE_H
#define TESTS_FAKE_CHECK_PRIVATE_H

#include "core/codec.h"
#include "core/page.h"
#include "core/store.h"

struct check {
	struct store *store;
	struct kv_txn *txn;
	struct buf *text;
	unsigned wrong;
	/* The inodes of large blobs that lie in files. */
	struct shared {
		dev_t dev;
		ino_t ino;
		struct blob_id id;
	} *shared;
	size_t shared_count, shared_cap;
	struct journal_head journal; /* of the lines seen so far */
	struct buf slots; /* of aliases */
};

/* Adds a line, and counts. */
void wrong(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct hex {
	char text[DIGEST_HEX_SIZE + 1];
};

static inline struct hex hex_of(const struct digest *d)
{
	struct hex h;

	digest_to_hex(d, h.text);
	h.text[12] = '\0';
	return h;
}

#define HEX(d) (hex_of(d).text)
#define U(n) ((unsigned long long)(n))

static inline bool has(struct check *c, struct slice key)
{
	return kv_has(c->txn, KV_META, key) == 1;
}

static inline bool get(struct check *c, struct slice key, struct buf *ret)
{
	buf_reset(ret);
	return kv_get(c->txn, KV_META, key, ret) == 0;
}

static inline bool get_number(struct check *c, struct slice key, uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	return get(c, key, &b) && decode_u64(buf_slice(&b), ret) == 0;
}

typedef void row_check(struct check *c, struct slice key, struct slice value);

/* ---- check_content.c: pages and blobs ---- */

/* What a page says of itself to the one above. */
struct page_sum {
	struct digest digest;
	uint64_t nodes, entries;
	struct buf first;
};

bool sum_page(struct check *c, uint64_t page, struct page_sum *ret);

row_check check_page, check_page_digest, check_page_ref, check_blob, check_blob_ref;
blob_visit check_bytes;

/* ---- check_borrow.c: what drafts borrow from blobs ---- */

row_check check_borrowed, check_reference;
/* A file below drafts/<area>. */
void check_borrowing(struct check *c, const char *area, int fd, const char *name);

/* ---- check_note.c: what is said of versions, and what is found by type, job type, tag ---- */

row_check check_of_version, check_version_note, check_version_tag, check_tagged, check_of_type,
	check_of_job;

/* ---- check_journal.c ---- */

row_check check_event, check_line;
/* After all lines. */
void check_journal_head(struct check *c);

#endif
