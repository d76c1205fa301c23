/*
 * mark.c - the marks that inodes of drafts carry (draft.h).
 */
#include "draft.h"

#include "log.h"

#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>

/*
 * A reaper takes a mark off while a log may be about to put its own there, on the same inode: each
 * of them does so under this lock, the innermost of all.
 */
static pthread_mutex_t mark_lock = PTHREAD_MUTEX_INITIALIZER;

static bool may_be_shared(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size > BLOB_PACK_MAX;
}

bool draft_fd_is_shared(int fd, const struct stat *st, struct blob_id *ret)
{
	struct blob_id d;

	if (!may_be_shared(st) ||
	    fgetxattr(fd, DRAFT_SHARED_XATTR, &d, sizeof(d)) != (ssize_t)sizeof(d))
		return false;
	if (ret)
		*ret = d;
	return true;
}

bool draft_is_shared(int directory, const char *name, const struct stat *st, struct blob_id *ret)
{
	char path[32 + NAME_MAX + 1];
	struct blob_id d;

	/* A blob is one more link, so most files are told without asking. */
	if (!may_be_shared(st) || st->st_nlink < 2)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	if (lgetxattr(path, DRAFT_SHARED_XATTR, &d, sizeof(d)) != (ssize_t)sizeof(d))
		return false;
	if (ret)
		*ret = d;
	return true;
}

bool draft_path_is_shared(const char *path, const struct stat *st, struct blob_id *ret)
{
	struct blob_id d;

	if (!may_be_shared(st) ||
	    getxattr(path, DRAFT_SHARED_XATTR, &d, sizeof(d)) != (ssize_t)sizeof(d))
		return false;
	if (ret)
		*ret = d;
	return true;
}

bool draft_is_blob(struct store *store, const struct blob_id *id, const struct stat *st)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct stat there;

	return blob_open(store->blobs, id, (uint64_t)st->st_size, &blob) == 0 &&
	       blob_fd(blob) >= 0 && fstat(blob_fd(blob), &there) == 0 &&
	       there.st_ino == st->st_ino && there.st_dev == st->st_dev;
}

int draft_count_names(struct store *store, const char *path, struct stat *ret_st, nlink_t *ret)
{
	struct blob_id id;
	bool linked;

	if (stat(path, ret_st) < 0)
		return -errno;
	linked = draft_path_is_shared(path, ret_st, &id) && draft_is_blob(store, &id, ret_st);
	if (linked) {
		/* The link may have come after the first count. */
		if (stat(path, ret_st) < 0)
			return -errno;
		linked = draft_is_blob(store, &id, ret_st);
	}
	*ret = ret_st->st_nlink - (linked ? 1 : 0);
	return 0;
}

/* Without a value the mark goes. */
static int try_mark(int fd, const char *name, const void *value, size_t size)
{
	int r = value ? fsetxattr(fd, name, value, size, 0) : fremovexattr(fd, name);

	return r < 0 ? -errno : 0;
}

static int set_mark(int fd, const char *name, const void *value, size_t size)
{
	struct stat st;
	int err = try_mark(fd, name, value, size);

	if (err != -EACCES)
		return err;
	/* The owner of a read-only file may change its mode, but not its xattrs. */
	if (fstat(fd, &st) < 0 || fchmod(fd, st.st_mode | S_IWUSR) < 0)
		return -errno;
	err = try_mark(fd, name, value, size);
	fchmod(fd, st.st_mode & 07777);
	return err;
}

int draft_mark_shared(int fd, const struct blob_id *id)
{
	LOCKED(&mark_lock);
	return set_mark(fd, DRAFT_SHARED_XATTR, id, sizeof(*id));
}

void draft_unmark_shared(int fd, const struct blob_id *id)
{
	struct blob_id there;

	LOCKED(&mark_lock);
	if (fgetxattr(fd, DRAFT_SHARED_XATTR, &there, sizeof(there)) == (ssize_t)sizeof(there) &&
	    memcmp(&there, id, sizeof(there)) == 0)
		set_mark(fd, DRAFT_SHARED_XATTR, NULL, 0);
}

void draft_mark_bad(int fd)
{
	struct stat st;
	int err = set_mark(fd, DRAFT_BAD_XATTR, "", 0);

	if (fstat(fd, &st) == 0)
		log_error("a file of a draft (inode %llu) lost what was written to it%s",
			  (unsigned long long)st.st_ino, err < 0 ? ", and cannot be marked" : "");
}

bool draft_is_bad(int fd)
{
	return fgetxattr(fd, DRAFT_BAD_XATTR, NULL, 0) >= 0;
}

void draft_mark_torn(int fd, int signal)
{
	uint8_t value = (uint8_t)signal;
	int err = set_mark(fd, DRAFT_TORN_XATTR, &value, sizeof(value));

	if (err < 0)
		log_errno(err, "marking a file whose writer was killed");
}

int draft_is_torn(int fd)
{
	uint8_t value = 0;

	return fgetxattr(fd, DRAFT_TORN_XATTR, &value, sizeof(value)) == 1 ? value : 0;
}

void draft_mark_whole(int fd)
{
	set_mark(fd, DRAFT_TORN_XATTR, NULL, 0);
}

void draft_mark_good(const char *path)
{
	removexattr(path, DRAFT_BAD_XATTR);
	removexattr(path, DRAFT_TORN_XATTR);
}

int draft_sync(int fd, bool data_only)
{
	int err = (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;

	if (err == -EIO || err == -ENOSPC || err == -EDQUOT)
		draft_mark_bad(fd);
	return err;
}
