/*
 * check_file.c - what lies in the store's directory beside the key-value store and the blobs:
 * drafts, consoles, temporary files.
 */
#include "check_private.h"

#include "borrow.h"
#include "directory.h"
#include "log.h"
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define DEPTH_MAX 2000

static void stray(struct check *c, int directory, const char *name, const char *in)
{
	check_wrong(c, "file-stray", "%s%s belongs to nothing", in, name);
	if (c->options->repair)
		check_done(c, check_move_out(c, directory, name), CHECK_QUARANTINED);
}

/* The run that a name of eight hexadecimal digits is of. */
static bool run_of(const char *name, uint32_t *ret)
{
	char again[16];

	*ret = (uint32_t)strtoul(name, NULL, 16);
	snprintf(again, sizeof(again), "%08x", *ret);
	return strcmp(name, again) == 0;
}

/* Nobody has such a run; one in the making has its directory first. */
static bool is_of_nobody(struct check *c, uint32_t run)
{
	AUTO(run_release) struct run r = { 0 };

	return run < c->store->first_run && run_get(c->store, run, &r) == -ENOENT;
}

/* ---- files that borrow their bytes ---- */

static bool borrows(struct check *c, uint32_t run)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	return kv_begin(c->store->kv, KV_READ, &txn) == 0 &&
	       kv_scan(txn, KV_META, KEY(prefix_id('F', run)), slice("", 0), &scan) == 0 &&
	       kv_next(scan, &key, &value) > 0;
}

/* By rows of a later instant than the file was seen. */
static void check_borrowing(struct check *c, uint32_t run, int directory, const char *name)
{
	autoclose int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;
	struct blob_id id;
	struct stat st;
	bool kept;

	if (fd < 0 || fstat(fd, &st) < 0 || !borrow_fd_is(fd, &st, &id))
		return;
	kept = borrows(c, run) &&
	       kv_get_one(c->store->kv, KV_META, KEY(blob(&id.digest)), &b) == 0 &&
	       decode_blob_row(buf_slice(&b), &row) == 0 && row.size == (uint64_t)st.st_size;
	if (kept || fstat(fd, &st) < 0 || st.st_nlink == 0 || !borrow_fd_is(fd, &st, NULL))
		return;
	check_wrong(c, "draft-borrows", "%s in drafts/%08x borrows bytes that are not kept for it",
		    name, run);
}

static int check_below(struct check *c, uint32_t run, int directory, const char *name,
		       unsigned depth)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(directory, name, &dir);

	/* It may have gone. */
	if (more < 0)
		return more == -ENOENT || more == -ENOTDIR ? 0 : more;
	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		if (check_stopped(c))
			return -EINTR;
		if (e->d_type == DT_DIR && depth < DEPTH_MAX)
			more = check_below(c, run, dirfd(dir), e->d_name, depth + 1);
		else if (e->d_type == DT_REG)
			check_borrowing(c, run, dirfd(dir), e->d_name);
	}
	return more;
}

/* ---- drafts/ ---- */

static int check_area(struct check *c, int directory, const char *name)
{
	uint32_t run;

	/* Is being taken away; or is made, to replace a file, and unlinked or renamed at once. */
	if (!strncmp(name, "gone.", 5))
		return 0;
	if (!strncmp(name, "spare.", 6)) {
		if (c->options->at_rest)
			stray(c, directory, name, "drafts/");
		return 0;
	}
	if (!run_of(name, &run) || is_of_nobody(c, run)) {
		stray(c, directory, name, "drafts/");
		return 0;
	}
	return check_below(c, run, directory, name, 1);
}

static int check_directory(struct check *c, const char *path,
			   int (*look)(struct check *c, int directory, const char *name))
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(c->store->root, path, &dir);

	if (more == -ENOENT)
		return 0;
	while (more >= 0 && (more = directory_next(dir, &e)) > 0)
		more = look(c, dirfd(dir), e->d_name);
	return more < 0 && more != -EINTR ? log_errno(more, "reading %s/", path) : more;
}

static int check_console(struct check *c, int directory, const char *name)
{
	uint32_t run;

	if (!run_of(name, &run) || is_of_nobody(c, run))
		stray(c, directory, name, "consoles/");
	return 0;
}

/* What people put beside (a log, a configuration) is theirs; what is ours in the making is not. */
static int check_top(struct check *c, int directory, const char *name)
{
	if (!strcmp(name, "lineagefs-store.new"))
		stray(c, directory, name, "");
	return 0;
}

int check_files(struct check *c)
{
	int err = check_directory(c, "drafts", check_area);

	if (err >= 0)
		err = check_directory(c, "consoles", check_console);
	return err < 0 ? err : check_directory(c, ".", check_top);
}
