/*
 * blob_dir.c - blobs in a local directory: large ones as files, small ones as rows of KV_PACK.
 *
 * A row's key is the generation, eight bytes big-endian, and the digest; its value is the bytes as
 * they are. Generations are given out upwards, so that packs lie in the order they were logged in:
 * they are read in that order later, and compaction has next to nothing to merge. The bytes carry
 * no checksum of ours: RocksDB keeps one of every block and log record, and verifies it on reads.
 *
 * A large blob is a second name of the file that was logged, where the filesystem can give it one;
 * else a copy, made in copies/ and renamed when it is whole and on disk.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "blob.h"
#include "buf.h"
#include "directory.h"
#include "kv.h"
#include "log.h"

#define FANOUT 256
#define GENERATION_SIZE 8
#define PACK_KEY_SIZE (GENERATION_SIZE + DIGEST_SIZE)
/* ab/cdef...: the first byte, a slash, the other bytes, a dot, 16 digits and the NUL. */
#define NAME_SIZE (DIGEST_HEX_SIZE + 1 + 1 + 16 + 1)
#define TAIL_AT 3 /* where the part after the slash begins */
#define COPIES "copies"

/* What one write of packs may hold: enough to share its cost, little enough to be soon over. */
#define BATCH_ITEMS 512
#define BATCH_BYTES (4u << 20)

struct blob_dir {
	struct blob_store base;
	struct kv *kv;
	int root;
	atomic_uint copies; /* names in copies/ */
	pthread_mutex_t lock;
	bool ready[FANOUT]; /* the subdirectory is there, and durably so */
};

struct dir_blob {
	struct blob base;
	int fd; /* -1: packed */
	struct buf bytes;
};

struct pack_key {
	uint8_t bytes[PACK_KEY_SIZE];
};

static struct blob_dir *dir_of(struct blob_store *store)
{
	return container_of(store, struct blob_dir, base);
}

static bool is_packed(uint64_t size)
{
	return size <= BLOB_PACK_MAX;
}

static void pack_key(const struct blob_id *id, struct pack_key *ret)
{
	int i;

	for (i = 0; i < GENERATION_SIZE; i++)
		ret->bytes[i] = (uint8_t)(id->generation >> (56 - 8 * i));
	memcpy(ret->bytes + GENERATION_SIZE, id->digest.bytes, DIGEST_SIZE);
}

static int pack_key_parse(struct slice key, struct blob_id *ret)
{
	const uint8_t *bytes = key.data;
	int i;

	if (key.len != PACK_KEY_SIZE)
		return -EINVAL;
	ret->generation = 0;
	for (i = 0; i < GENERATION_SIZE; i++)
		ret->generation = ret->generation << 8 | bytes[i];
	memcpy(ret->digest.bytes, bytes + GENERATION_SIZE, DIGEST_SIZE);
	return 0;
}

static struct slice key_slice(const struct pack_key *key)
{
	return slice(key->bytes, PACK_KEY_SIZE);
}

static void file_name(const struct blob_id *id, char ret[static NAME_SIZE])
{
	char hex[DIGEST_HEX_SIZE + 1];

	digest_to_hex(&id->digest, hex);
	snprintf(ret, NAME_SIZE, "%.2s/%s.%" PRIx64, hex, hex + 2, id->generation);
}

/* Only what file_name() makes: a name has one spelling. */
static int file_name_parse(const char *subdirectory, const char *name, struct blob_id *ret)
{
	char hex[DIGEST_HEX_SIZE + 1], again[NAME_SIZE];
	struct blob_id id;

	if (strlen(subdirectory) != 2 || strlen(name) < DIGEST_HEX_SIZE - 2)
		return -EINVAL;
	snprintf(hex, sizeof(hex), "%.2s%.62s", subdirectory, name);
	if (digest_from_hex(slice_str(hex), &id.digest) < 0)
		return -EINVAL;
	if (sscanf(name + DIGEST_HEX_SIZE - 2, ".%16" SCNx64, &id.generation) != 1)
		return -EINVAL;
	file_name(&id, again);
	if (strcmp(again + TAIL_AT, name) != 0)
		return -EINVAL;
	*ret = id;
	return 0;
}

/* ---- small blobs ---- */

/* A key is of a generation that was given out for it: nobody else writes it. */
static int dir_put_packed(struct blob_store *store, const struct blob_item *items, size_t n)
{
	struct pack_key keys[BATCH_ITEMS];
	struct kv_entry entries[BATCH_ITEMS];
	size_t count = 0, bytes = 0;
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		pack_key(&items[i].id, &keys[count]);
		entries[count] = (struct kv_entry){ key_slice(&keys[count]), items[i].bytes };
		count++;
		bytes += items[i].bytes.len;
		if (i + 1 < n && count < BATCH_ITEMS && bytes < BATCH_BYTES)
			continue;
		r = kv_put_all(dir_of(store)->kv, KV_PACK, entries, count);
		count = bytes = 0;
	}
	return r;
}

static int del_packed(struct kv_txn *txn, void *arg)
{
	return kv_del(txn, KV_PACK, key_slice(arg));
}

/* ---- large blobs ---- */

/*
 * One that is there already may have been made right before the daemon was killed, so its entry is
 * synced too before anything is promised about what is in it.
 */
static int make_subdirectory(struct blob_dir *dir, const struct blob_id *id)
{
	unsigned int n = id->digest.bytes[0];
	char name[3];

	LOCKED(&dir->lock);
	if (dir->ready[n])
		return 0;
	snprintf(name, sizeof(name), "%02x", n & 0xff);
	if (mkdirat(dir->root, name, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "blobs: cannot make directory %s", name);
	if (fsync(dir->root) < 0)
		return log_errno(-errno, "blobs: cannot sync");
	dir->ready[n] = true;
	return 0;
}

/* Makes the name durable, or its absence. */
static int sync_subdirectory(struct blob_dir *dir, const char *name)
{
	char subdirectory[3];
	autoclose int fd = -1;

	snprintf(subdirectory, sizeof(subdirectory), "%.2s", name);
	fd = openat(dir->root, subdirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return log_errno(-errno, "blobs: cannot sync directory %s", subdirectory);
	return 0;
}

static int copy_bytes(int from, int to, uint64_t size)
{
	bool by_range = true;
	off_t at = 0;

	while ((uint64_t)at < size) {
		size_t rest = size - (uint64_t)at;
		ssize_t n = by_range ? copy_file_range(from, &at, to, NULL, rest, 0)
				     : sendfile(to, from, &at, rest);

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		/* Not between these filesystems, or not at all: EXDEV, EINVAL, ENOSYS, ... */
		if (!by_range || (n < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT)))
			return n < 0 ? -errno : -EIO;
		by_range = false;
	}
	return 0;
}

/* 0: the blob of this name is this very inode; -EEXIST: another file of the right size. */
static int compare_inode(struct blob_dir *dir, const char *name, const struct stat *file,
			 uint64_t size)
{
	struct stat there;

	if (fstatat(dir->root, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return log_errno(-errno, "blob %s: cannot look", name);
	if (there.st_dev == file->st_dev && there.st_ino == file->st_ino)
		return 0;
	if (!S_ISREG(there.st_mode) || (uint64_t)there.st_size != size)
		return log_errno(-EIO, "blob %s: what is there is not it", name);
	return -EEXIST;
}

static int rename_new(int root, const char *from, const char *to)
{
	if (renameat2(root, from, root, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* A filesystem that cannot promise not to replace. What it might replace is equal. */
	if (errno == EINVAL && renameat(root, from, root, to) == 0)
		return 0;
	return -errno;
}

static int copy_into(struct blob_dir *dir, const char *copy, int fd, uint64_t size)
{
	autoclose int to = openat(dir->root, copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return log_errno(-errno, "blobs: cannot make %s", copy);
	r = copy_bytes(fd, to, size);
	if (r < 0)
		return log_errno(r, "blobs: cannot copy into %s", copy);
	if (fsync(to) < 0)
		return log_errno(-errno, "blobs: cannot sync %s", copy);
	return 0;
}

static int put_copy(struct blob_dir *dir, const char *name, int fd, const struct stat *file,
		    uint64_t size)
{
	char copy[sizeof(COPIES) + 16];
	int r;

	if (mkdirat(dir->root, COPIES, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "blobs: cannot make directory %s", COPIES);
	snprintf(copy, sizeof(copy), COPIES "/%x", atomic_fetch_add(&dir->copies, 1));
	r = copy_into(dir, copy, fd, size);
	if (!r) {
		r = rename_new(dir->root, copy, name);
		if (r == -EEXIST)
			r = compare_inode(dir, name, file, size);
		else if (r < 0)
			log_errno(r, "blob %s: cannot rename a copy", name);
		else
			return sync_subdirectory(dir, name);
	}
	unlinkat(dir->root, copy, 0);
	return r;
}

/* 1: the file now has this name; 0: it had; -errno. */
static int link_file(struct blob_dir *dir, const char *name, int fd, const struct stat *file,
		     uint64_t size)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, dir->root, name, AT_SYMLINK_FOLLOW) == 0)
		return 1;
	r = -errno;
	return r == -EEXIST ? compare_inode(dir, name, file, size) : r;
}

static bool cannot_link(int r)
{
	return r == -EXDEV || r == -EPERM || r == -EMLINK || r == -EOPNOTSUPP;
}

static int dir_put_file(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
			bool *ret_shared)
{
	struct blob_dir *dir = dir_of(store);
	char name[NAME_SIZE];
	struct stat file;
	int linked, r;

	file_name(id, name);
	if (fstat(fd, &file) < 0)
		return log_errno(-errno, "blob %s: cannot look at its source", name);
	if (!S_ISREG(file.st_mode) || (uint64_t)file.st_size != size)
		return log_errno(-EIO, "blob %s: its source has not %" PRIu64 " bytes", name, size);
	r = make_subdirectory(dir, id);
	if (r < 0)
		return r;
	linked = ret_shared ? link_file(dir, name, fd, &file, size) : -EXDEV;
	if (linked == -ENOENT) {
		/* No name any more; or no /proc to link through, which a copy does not need. */
		if (fstat(fd, &file) < 0 || file.st_nlink == 0)
			return -ENOENT;
		linked = -EXDEV;
	}
	if (cannot_link(linked)) {
		r = put_copy(dir, name, fd, &file, size);
		if (!r && ret_shared)
			*ret_shared = false;
		return r;
	}
	if (linked == -EEXIST || linked == -EIO)
		return linked;
	if (linked < 0)
		return log_errno(linked, "blob %s: cannot link", name);
	if (fsync(fd) < 0) {
		log_errno(-errno, "blob %s: cannot sync", name);
		/* Lost, whether the disk had no room for it or did not work. */
		r = -EIO;
		/* Or the next attempt finds it there, and a sync that has nothing left to do. */
		if (linked > 0)
			unlinkat(dir->root, name, 0);
		return r;
	}
	r = sync_subdirectory(dir, name);
	if (!r)
		*ret_shared = true;
	return r;
}

/* ---- both ---- */

static int dir_has(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	struct blob_dir *dir = dir_of(store);
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	char name[NAME_SIZE];
	struct pack_key key;
	struct stat st;
	int r;

	if (is_packed(size)) {
		pack_key(id, &key);
		r = kv_get_one(dir->kv, KV_PACK, key_slice(&key), &bytes);
		if (r == -ENOENT)
			return 0;
		return r < 0 ? r : bytes.len == size;
	}
	file_name(id, name);
	if (fstatat(dir->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	if (errno == ENOENT)
		return 0;
	return log_errno(-errno, "blob %s: cannot look", name);
}

static int open_file(struct blob_dir *dir, const char *name, uint64_t *ret_size)
{
	autoclose int fd = openat(dir->root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return log_errno(-errno, "blob %s: cannot open", name);
	*ret_size = (uint64_t)st.st_size;
	return steal_fd(&fd);
}

static int dir_open(struct blob_store *store, const struct blob_id *id, uint64_t size,
		    struct blob **ret)
{
	struct blob_dir *dir = dir_of(store);
	AUTO(blob_releasep) struct blob *guard = NULL;
	struct dir_blob *blob = xcalloc(1, sizeof(*blob));
	char name[NAME_SIZE];
	struct pack_key key;
	uint64_t there = 0;
	int r;

	blob->base = (struct blob){ store, size };
	blob->fd = -1;
	guard = &blob->base;
	file_name(id, name);
	if (is_packed(size)) {
		pack_key(id, &key);
		r = kv_get_one(dir->kv, KV_PACK, key_slice(&key), &blob->bytes);
		there = blob->bytes.len;
	} else {
		r = open_file(dir, name, &there);
		blob->fd = r;
	}
	if (r < 0)
		return r;
	if (there != size)
		return log_errno(-EIO, "blob %s: has %" PRIu64 " bytes, not %" PRIu64, name, there,
				 size);
	*ret = steal(guard);
	return 0;
}

static ssize_t dir_pread(struct blob *base, void *to, size_t len, uint64_t offset)
{
	struct dir_blob *blob = container_of(base, struct dir_blob, base);
	size_t done = 0;

	if (blob->fd < 0) {
		memcpy(to, blob->bytes.data + offset, len);
		return (ssize_t)len;
	}
	while (done < len) {
		ssize_t n = pread(blob->fd, (char *)to + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return log_errno(-errno, "blobs: cannot read");
		if (n == 0)
			return log_errno(-EIO, "blobs: a file shrank while it was open");
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int dir_fd(struct blob *base)
{
	return container_of(base, struct dir_blob, base)->fd;
}

static void dir_release(struct blob *base)
{
	struct dir_blob *blob = container_of(base, struct dir_blob, base);

	if (blob->fd >= 0)
		close(blob->fd);
	buf_release(&blob->bytes);
	free(blob);
}

static int dir_remove(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	struct blob_dir *dir = dir_of(store);
	char name[NAME_SIZE];
	struct pack_key key;

	if (is_packed(size)) {
		pack_key(id, &key);
		return kv_update(dir->kv, KV_ORDERED, del_packed, &key);
	}
	file_name(id, name);
	if (unlinkat(dir->root, name, 0) == 0)
		return sync_subdirectory(dir, name);
	return errno == ENOENT ? 0 : log_errno(-errno, "blob %s: cannot remove", name);
}

static int each_packed(struct blob_dir *dir, blob_visit *visit, void *arg)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	struct blob_id id;
	int r;

	r = kv_begin(dir->kv, KV_READ, &txn);
	if (!r)
		r = kv_scan(txn, KV_PACK, slice("", 0), slice("", 0), &scan);
	if (r < 0)
		return r;
	while ((r = kv_next(scan, &key, &value)) > 0) {
		if (pack_key_parse(key, &id) < 0)
			continue;
		r = visit(arg, &id, value.len);
		if (r)
			return r;
	}
	return r;
}

/* -ENOENT when there is no such directory. */
static int open_listing(int root, const char *name, DIR **ret)
{
	int err = directory_open(root, name, ret);

	return err == 0 || err == -ENOENT ? err : log_errno(err, "blobs: cannot list %s", name);
}

static int each_file(struct blob_dir *dir, unsigned int n, blob_visit *visit, void *arg)
{
	AUTO(directory_closep) DIR *listing = NULL;
	struct dirent *entry;
	struct blob_id id;
	struct stat st;
	char name[3];
	int r;

	snprintf(name, sizeof(name), "%02x", n & 0xff);
	r = open_listing(dir->root, name, &listing);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while ((errno = 0, entry = readdir(listing))) {
		if (file_name_parse(name, entry->d_name, &id) < 0 ||
		    fstatat(dirfd(listing), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    is_packed((uint64_t)st.st_size))
			continue;
		r = visit(arg, &id, (uint64_t)st.st_size);
		if (r)
			return r;
	}
	return errno ? log_errno(-errno, "blobs: cannot list %s", name) : 0;
}

static int dir_each(struct blob_store *store, blob_visit *visit, void *arg)
{
	struct blob_dir *dir = dir_of(store);
	unsigned int n;
	int r = each_packed(dir, visit, arg);

	for (n = 0; n < FANOUT && !r; n++)
		r = each_file(dir, n, visit, arg);
	return r;
}

/* Which name is one of ours: a copy in the making is, too. */
static bool is_ours(const char *subdirectory, const char *name, const struct stat *st)
{
	struct blob_id id;

	return file_name_parse(subdirectory, name, &id) == 0 && S_ISREG(st->st_mode) &&
	       !is_packed((uint64_t)st->st_size);
}

static int each_stray_in(struct blob_dir *dir, const char *in, blob_stray_visit *visit, void *arg)
{
	AUTO(directory_closep) DIR *listing = NULL;
	struct dirent *entry;
	struct stat st;
	int r = open_listing(dir->root, in, &listing);

	while (r >= 0 && (r = directory_next(listing, &entry)) > 0) {
		autofree char *path = xasprintf("%s/%s", in, entry->d_name);

		if (fstatat(dir->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !is_ours(in, entry->d_name, &st))
			r = visit(arg, dir->root, path);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int dir_each_stray(struct blob_store *store, blob_stray_visit *visit, void *arg)
{
	struct blob_dir *dir = dir_of(store);
	AUTO(directory_closep) DIR *listing = NULL;
	struct dirent *entry;
	int r = open_listing(dir->root, ".", &listing);

	while (r >= 0 && (r = directory_next(listing, &entry)) > 0) {
		const char *name = entry->d_name;
		struct stat st;

		if (!strcmp(name, COPIES) || fstatat(dir->root, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && strlen(name) == 2 &&
		    strspn(name, "0123456789abcdef") == 2)
			r = each_stray_in(dir, name, visit, arg);
		else
			r = visit(arg, dir->root, name);
		if (r < 0)
			return r;
	}
	return r;
}

static void dir_close(struct blob_store *store)
{
	struct blob_dir *dir = dir_of(store);

	pthread_mutex_destroy(&dir->lock);
	if (dir->root >= 0)
		close(dir->root);
	free(dir);
}

static const struct blob_ops dir_ops = {
	.name = "directory",
	.put_packed = dir_put_packed,
	.put_file = dir_put_file,
	.has = dir_has,
	.open = dir_open,
	.pread = dir_pread,
	.fd = dir_fd,
	.release = dir_release,
	.remove = dir_remove,
	.each = dir_each,
	.each_stray = dir_each_stray,
	.close = dir_close,
};

/* Copies that a crash left half made. */
static int remove_copies(int root)
{
	AUTO(directory_closep) DIR *listing = NULL;
	struct dirent *entry;
	int r = open_listing(root, COPIES, &listing);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while ((errno = 0, entry = readdir(listing))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(listing), entry->d_name, 0) < 0)
			return log_errno(-errno, "blobs: cannot remove %s/%s", COPIES,
					 entry->d_name);
	}
	return errno ? log_errno(-errno, "blobs: cannot list %s", COPIES) : 0;
}

int blob_dir_open(int directory_fd, struct kv *kv, struct blob_store **ret)
{
	struct blob_dir *dir;
	int root, r;

	assert(kv && ret);
	root = fcntl(directory_fd, F_DUPFD_CLOEXEC, 0);
	if (root < 0)
		return log_errno(-errno, "blobs: cannot open");
	r = remove_copies(root);
	if (r < 0) {
		close(root);
		return r;
	}
	dir = xcalloc(1, sizeof(*dir));
	dir->base.ops = &dir_ops;
	dir->kv = kv;
	dir->root = root;
	pthread_mutex_init(&dir->lock, NULL);
	*ret = &dir->base;
	return 0;
}
