/*
 * check_borrow.c - what drafts borrow from blobs (core/borrow.h), seen from rows and from files.
 */
#include "check_private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "core/borrow.h"

void check_borrowed(struct check *c, struct slice key, struct slice value)
{
	uint32_t run = key_u32_at(key, 1);
	uint64_t page = key_u64_at(key, 5);

	(void)value;
	if (!has(c, KEY(page(page))))
		wrong(c, "run %u borrows from page %llu, which is not there", run, U(page));
	else if (!has(c, KEY(page_ref(page, REFERRER_RUN, run))))
		wrong(c, "run %u borrows from page %llu without a reference", run, U(page));
}

/* Has the run any row? Which page the blob is below is not looked up. */
static bool borrows(struct check *c, uint32_t run)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	return kv_scan(c->txn, KV_META, KEY(prefix_id('F', run)), slice("", 0), &scan) == 0 &&
	       kv_next(scan, &key, &value) > 0;
}

void check_borrowing(struct check *c, const char *area, int fd, const char *name)
{
	autoclose int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t run = (uint32_t)strtoul(area, NULL, 16);
	struct blob_row row;
	struct blob_id id;
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0 || !borrow_fd_is(file, &st, &id) ||
	    !strncmp(area, "gone.", 5))
		return;
	if (!borrows(c, run))
		wrong(c, "%s in drafts/%s borrows without a row", name, area);
	else if (!get(c, KEY(blob(&id.digest)), &b) || decode_blob_row(buf_slice(&b), &row) < 0 ||
		 row.generation != id.generation || row.size != (uint64_t)st.st_size)
		wrong(c, "%s in drafts/%s borrows what is not there", name, area);
}
