/*
 * stage.h - step 1 and 2 of the log protocol (core/publish.h): an intent, and the bytes and pages
 * put under it, batch by batch.
 *
 * One thread uses a stage. A full batch is put by a thread of the stage's own while the next is
 * filled, and its failure is that of a later call. -EAGAIN from any function: the draft, or
 * something that was there already, changed meanwhile; read the draft again. The stage goes on.
 */
#ifndef CORE_STAGE_H
#define CORE_STAGE_H

#include "draft.h"
#include "page.h"

struct stage;

int stage_open(struct store *store, uint32_t run, struct stage **ret);
/* Is the blob of this very generation present? */
bool stage_is_present(struct stage *s, const struct blob_id *id);
/* Makes the bytes present. The slice is copied. */
int stage_small(struct stage *s, const struct digest *digest, struct slice bytes);
/*
 * Makes a large file of a draft present, sharing its inode. Takes fd, open for reading, whatever it
 * returns. The file was read when top had been touched `since` times or later.
 */
int stage_large(struct stage *s, struct draft_top *top, uint64_t since, int fd,
		const struct digest *digest, uint64_t size);
/* A page_sink (core/page.h); arg is the stage. */
int stage_page(void *arg, const struct page_built *page, uint64_t *ret);
/* Puts what is still held back. */
int stage_flush(struct stage *s);
/* Forgets what is still held back: nobody will refer to it. */
void stage_discard(struct stage *s);

uint64_t stage_intent(const struct stage *s);
enum stage_end {
	STAGE_DROPPED,		/* nothing was published */
	STAGE_PUBLISHED,	/* the publishing transaction deleted the intent's row */
	STAGE_PUBLISHED_PARTLY, /* the same, but some of what was put is of a state that is gone */
};

/* Ends it and frees the stage. What is published stays, the rest is taken away. */
void stage_close(struct stage *s, enum stage_end end);

/* Drops an intent with all its rows, dooming what it put; for recovery. */
int stage_drop(struct store *store, uint64_t intent);

/*
 * The blobs that a part of an intent names, after their number. -EIO.
 */
int stage_part_blob(struct reader *r, struct blob_id *ret_id, uint64_t *ret_size);

/* Takes away what stage_close() could not; for the janitor. What fails again stays to be done. */
void stage_clean(struct store *store);

#endif
