/*
 * check_borrow.c - what drafts borrow from blobs (core/borrow.h), seen from rows and from files;
 * and what links of versions lead to.
 */
#include "check_private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "core/artifact.h"
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

void check_reference(struct check *c, struct slice key, struct slice value)
{
	AUTO(reference_row_release) struct reference_row row = { 0 };
	uint32_t version = key_u32_at(key, 1);
	struct version v;

	if (version_read_by_id(c->txn, version, &v) < 0)
		wrong(c, "a reference of version %u, which is not there", version);
	if (key.len != 9 || key_u32_at(key, 5) == 0 || decode_reference_row(value, &row) < 0)
		wrong(c, "a reference of version %u cannot be read", version);
	else if (row.version && version_read_by_id(c->txn, row.version, &v) < 0)
		wrong(c, "version %u refers to version %u, which is not there", version,
		      row.version);
}
