/*
 * batch.h - what a log puts at once: blobs, pages and what they refer to (step 2 of the protocol in
 * core/publish.h).
 *
 * One thread at a time changes a batch. While it is being put, what it has is still found by
 * others; putting changes nothing of that.
 */
#ifndef CORE_BATCH_H
#define CORE_BATCH_H

#include "draft.h"
#include "page.h"

/* A batch is full when it has so much of anything. */
#define BATCH_BYTES (4u << 20)
#define BATCH_BLOBS 1024
#define BATCH_PAGES 512
#define BATCH_LARGE 32
/* Of the hash table that finds a batch's blobs; a power of two, some times BATCH_BLOBS. */
#define BATCH_SLOTS (4 * BATCH_BLOBS)

struct staged_blob {
	struct blob_id id;
	uint64_t size;
	size_t offset; /* small: in batch.bytes */
	int fd;	       /* large, else -1 */
	struct draft_top *top; /* large: with a reference */
	uint64_t since;
	bool fresh; /* its row was made by the transaction of the batch */
};

struct staged_page {
	uint64_t id;
	struct digest digest;
	bool reused;  /* it was there: only a reference is added */
	size_t offset, len; /* in batch.page_bytes */
};

struct batch {
	struct store *store;
	uint64_t intent;
	uint32_t part; /* of the intent: set before it is put */
	struct buf bytes, page_bytes;
	struct staged_blob blobs[BATCH_BLOBS];
	struct staged_page pages[BATCH_PAGES];
	size_t blob_count, page_count, large_count;
	uint16_t slots[BATCH_SLOTS]; /* of blobs by digest: place + 1; 0: free */
	bool healed; /* when it was put: some of it took the place of damaged bytes */
	bool twins; /* when it was put: others put some of the same bytes first; ours are doomed */
};

struct batch *batch_new(struct store *store, uint64_t intent);
void batch_free(struct batch *batch); /* NULL is fine */
bool batch_is_empty(const struct batch *batch);
bool batch_is_full(const struct batch *batch);
bool batch_has_blob(const struct batch *batch, const struct digest *digest);
/* NULL when it has none. */
const struct staged_page *batch_find_page(const struct batch *batch, const struct digest *digest);

/* It is not full. Of a small blob the bytes are copied; a descriptor is the batch's from now on. */
void batch_add_blob(struct batch *batch, const struct staged_blob *blob, struct slice bytes);
/* Of a page that is there already there are no bytes. */
void batch_add_page(struct batch *batch, const struct staged_page *page, struct slice bytes);

/*
 * Puts all of it, as a part of the intent. -EAGAIN: the draft, or something that was there
 * already, changed meanwhile. It stays as it is until batch_reset().
 */
int batch_put(struct batch *batch);
void batch_reset(struct batch *batch);

#endif
