#include "borrow.h"

#include "damage.h"
#include "artifact.h"
#include "directory.h"
#include "log.h"
#include "reap.h"
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

/* So many bytes are copied between two looks at whether they are still wanted. */
#define STOP_BYTES ((size_t)8 << 20)

static bool may_borrow(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size > BLOB_PACK_MAX;
}

bool borrow_fd_is(int fd, const struct stat *st, struct blob_id *ret)
{
	struct blob_id id;

	if (!may_borrow(st) || fgetxattr(fd, BORROW_XATTR, &id, sizeof(id)) != (ssize_t)sizeof(id))
		return false;
	if (ret)
		*ret = id;
	return true;
}

bool borrow_path_is(const char *path, const struct stat *st, struct blob_id *ret)
{
	struct blob_id id;

	if (!may_borrow(st) || getxattr(path, BORROW_XATTR, &id, sizeof(id)) != (ssize_t)sizeof(id))
		return false;
	if (ret)
		*ret = id;
	return true;
}

struct keeping {
	uint32_t run;
	uint64_t page;
};

static int keep_body(struct kv_txn *txn, void *arg)
{
	const struct keeping *k = arg;
	int err = kv_has(txn, KV_META, KEY(page(k->page)));

	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	err = reap_spare_page(txn, k->page);
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(page_ref(k->page, REFERRER_RUN, k->run)),
			     slice("", 0));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(borrowed(k->run, k->page)), slice("", 0));
	return err;
}

int borrow_keep(struct store *store, uint32_t run, uint32_t version)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct keeping keeping = { .run = run };
	struct version v;
	int err = version_get_by_id(store, version, &v);

	if (err < 0)
		return err;
	keeping.page = v.page;
	err = kv_get_one(store->kv, KV_META, KEY(borrowed(run, v.page)), &b);
	return err == -ENOENT ? kv_update(store->kv, KV_DURABLE, keep_body, &keeping) : err;
}

/* The blob of a digest: its id and size. -ENOENT. */
static int blob_of(struct store *store, const struct digest *digest, struct blob_id *ret_id,
		   uint64_t *ret_size)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct blob_row row;
	int err = kv_get_one(store->kv, KV_META, KEY(blob(digest)), &b);

	if (err == 0)
		err = decode_blob_row(buf_slice(&b), &row);
	if (err < 0)
		return err;
	*ret_id = (struct blob_id){ *digest, row.generation };
	*ret_size = row.size;
	return 0;
}

static int write_all(int fd, const char *from, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, from + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int fill_small(int fd, struct blob *blob, uint64_t size)
{
	autofree char *bytes = xmalloc(size + 1);
	ssize_t n = blob_pread(blob, bytes, size, 0);

	if (n < 0)
		return (int)n;
	return (uint64_t)n == size ? write_all(fd, bytes, size) : -EIO;
}

/* Without room for one more attribute, or without any, a file cannot borrow. */
static int fill_borrowed(int fd, const struct blob_id *id, uint64_t size)
{
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fsetxattr(fd, BORROW_XATTR, id, sizeof(*id), 0) == 0)
		return 0;
	return errno == EOPNOTSUPP || errno == ENOSPC || errno == E2BIG ? -EXDEV : -errno;
}

static int fill(struct store *store, const struct borrowing *b, int fd)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, b->mtime };
	struct blob_id id;
	uint64_t size;
	int err = blob_of(store, &b->digest, &id, &size);

	if (err == 0)
		err = damage_is(store, &b->digest) ? -EIO :
						     blob_open(store->blobs, &id, size, &blob);
	if (err == 0 && size <= BLOB_PACK_MAX) {
		err = damage_verify_small(blob, &b->digest);
		if (err == -EIO)
			damage_tell(store, &id, "other bytes are there");
	}
	if (err < 0)
		return err;
	if (size <= BLOB_PACK_MAX)
		err = fill_small(fd, blob, size);
	else
		err = blob_fd(blob) < 0 ? -EXDEV : fill_borrowed(fd, &id, size);
	if (err == 0 && (futimens(fd, times) < 0 || fchmod(fd, b->mode) < 0))
		err = -errno;
	return err;
}

int borrow_make(struct store *store, const struct borrowing *b, int directory, const char *name)
{
	/* Others never see it empty; and nothing is left of it after a crash. */
	autoclose int fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[32];
	int err;

	if (fd < 0)
		return errno == EOPNOTSUPP || errno == EISDIR ? -EXDEV : -errno;
	err = fill(store, b, fd);
	if (err < 0)
		return err;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

bool borrow_is_kept(struct store *store, const struct blob_id *id)
{
	struct blob_id now;
	uint64_t size;

	return blob_of(store, &id->digest, &now, &size) == 0 && !damage_is(store, &id->digest);
}

int borrow_open(struct store *store, const struct blob_id *id, uint64_t size)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	char hex[DIGEST_HEX_SIZE + 1];
	struct blob_id now;
	uint64_t has;
	/* A good copy may have taken the place of a damaged one: another generation. */
	int fd, err = blob_of(store, &id->digest, &now, &has);

	if (err == 0)
		err = damage_is(store, &id->digest) || has != size ? -EIO :
		      blob_open(store->blobs, &now, size, &blob);
	if (err == 0) {
		fd = fcntl(blob_fd(blob), F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	digest_to_hex(&id->digest, hex);
	log_errno(err, "blob %s, which a draft borrows from", hex);
	return err == -ENOENT ? -EIO : err;
}

static bool is_stopped(const bool *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

static int copy_bytes(int from, int to, off_t size, const bool *stop)
{
	for (off_t at = 0; at < size;) {
		size_t len = size - at < (off_t)STOP_BYTES ? (size_t)(size - at) : STOP_BYTES;
		off_t out = at;
		ssize_t n = copy_file_range(from, &at, to, &out, len, 0);

		if (is_stopped(stop))
			return -EINTR;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
	}
	return fsync(to) < 0 ? -errno : 0;
}

/* A borrowed file that is given its bytes. */
struct owning {
	struct draft_top *top;
	int fd;
	bool truncate;
};

/* At no instant is there a file that could be logged with other bytes than it had. */
static int take_off_mark(const struct owning *o)
{
	if (!o->truncate)
		return fremovexattr(o->fd, BORROW_XATTR) < 0 ? -errno : 0;
	if (fsetxattr(o->fd, DRAFT_BAD_XATTR, "", 0, 0) < 0 ||
	    fremovexattr(o->fd, BORROW_XATTR) < 0 || ftruncate(o->fd, 0) < 0)
		return -errno;
	return fremovexattr(o->fd, DRAFT_BAD_XATTR) < 0 ? -errno : 0;
}

/* Exclusive lock held. */
static int become_own(const struct owning *o, draft_swap *swap, void *arg)
{
	struct draft_area *area = o->top->area;
	struct stat st;
	int err = 0;

	if (area->phase != DRAFT_OPEN)
		return area->phase == DRAFT_GONE ? -ESTALE : -EROFS;
	err = swap(arg, o->fd, NULL);
	if (err == 0)
		err = take_off_mark(o);
	if (err == 0 && fstat(o->fd, &st) < 0)
		err = -errno;
	if (err < 0)
		return err;
	draft_touch(o->top, st.st_ino);
	swap(arg, o->fd, &st);
	return 0;
}

static int fill_own(struct owning *o, const struct blob_id *id, const struct stat *st,
		    const bool *stop)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	autoclose int from = borrow_open(o->top->area->store, id, (uint64_t)st->st_size);
	int err = from < 0 ? from : copy_bytes(from, o->fd, st->st_size, stop);

	if (err < 0 && from >= 0)
		(void)fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st->st_size);
	if (from >= 0 && futimens(o->fd, times) < 0 && err == 0)
		err = -errno;
	return err;
}

int borrow_own(struct draft_top *top, const char *path, bool truncate, const bool *stop,
	       draft_swap *swap, void *arg)
{
	struct owning o = { .top = top, .truncate = truncate };
	struct blob_id id;
	struct stat st;
	int err = 0;

	o.fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (o.fd < 0)
		return -errno;
	if (fstat(o.fd, &st) < 0)
		err = -errno;
	else if (!borrow_fd_is(o.fd, &st, &id))
		goto out;
	if (err == 0 && !truncate)
		err = fill_own(&o, &id, &st, stop);
	if (err == 0) {
		EXCLUSIVE(&top->area->lock);
		err = become_own(&o, swap, arg);
		/* Nobody must take it for a writer. */
		close(steal_fd(&o.fd));
	}
	if (err < 0 && err != -ESTALE && err != -EROFS && err != -EINTR)
		log_errno(err, "copying what a draft of run %u has borrowed", top->area->run);
out:
	if (o.fd >= 0)
		close(o.fd);
	return err;
}

/* One row of what a run borrows. */
static int forget_body(struct kv_txn *txn, void *arg)
{
	const struct keeping *k = arg;
	int err = kv_del(txn, KV_META, KEY(borrowed(k->run, k->page)));

	if (err == 0)
		err = kv_del(txn, KV_META, KEY(page_ref(k->page, REFERRER_RUN, k->run)));
	return err < 0 ? err : reap_doom_page(txn, k->page);
}

/* The first row of this run, or of any from this one on: 1, 0, -errno. */
static int next_row(struct store *store, uint32_t run, bool others, struct keeping *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key all = others ? key_prefix('F') : key_prefix_id('F', run);
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, key_slice(&all), KEY(prefix_id('F', run)), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more > 0)
		*ret = (struct keeping){ key_u32_at(key, 1), key_u64_at(key, 5) };
	return more;
}

int borrow_forget(struct store *store, uint32_t run)
{
	struct keeping row;
	int any = 0, more;

	while ((more = next_row(store, run, false, &row)) > 0) {
		more = kv_update(store->kv, KV_ORDERED, forget_body, &row);
		if (more < 0)
			break;
		any = 1;
	}
	return more < 0 ? log_errno(more, "forgetting what run %u has borrowed", run) : any;
}

/* The first run from this one on that borrows: 1, 0, -errno. */
static int next_run(struct store *store, uint64_t from, uint32_t *ret)
{
	struct keeping row;
	int more = from > UINT32_MAX ? 0 : next_row(store, (uint32_t)from, true, &row);

	if (more > 0)
		*ret = row.run;
	return more;
}

int borrow_sweep(struct store *store, bool reap)
{
	uint32_t id = 0;
	int more;

	for (uint64_t from = 0; (more = next_run(store, from, &id)) > 0; from = (uint64_t)id + 1) {
		AUTO(run_release) struct run run = { 0 };
		int err = run_get(store, id, &run);

		if (err == 0 && run.state != RUN_FINISHED)
			continue;
		if (err == 0 || err == -ENOENT)
			err = borrow_forget(store, id);
		if (err < 0)
			return err;
		reap |= err > 0;
	}
	return more < 0 ? more : reap ? reap_run(store) : 0;
}

/*
 * What it was cannot be told: a copy may have filled the hole with zeros. So whatever is no blob's
 * and may have been borrowed counts as lost.
 */
static void mark_lost_file(int directory, const char *name)
{
	autoclose int fd = openat(directory, name,
				  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !may_borrow(&st) || borrow_fd_is(fd, &st, NULL) ||
	    draft_fd_is_shared(fd, &st, NULL))
		return;
	draft_mark_bad(fd);
}

static int mark_lost_below(int at, const char *name)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(at, name, &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		more = mark_lost_below(dirfd(dir), e->d_name);
		if (more == -ENOTDIR || more == -ELOOP) {
			mark_lost_file(dirfd(dir), e->d_name);
			more = 0;
		}
	}
	return more;
}

int borrow_mark_lost(struct store *store)
{
	uint32_t id = 0;
	int more;

	for (uint64_t from = 0; (more = next_run(store, from, &id)) > 0; from = (uint64_t)id + 1) {
		char name[16];
		int err;

		snprintf(name, sizeof(name), "%08x", id);
		err = mark_lost_below(store->drafts, name);
		if (err < 0 && err != -ENOENT)
			return log_errno(err, "reading drafts/%s", name);
	}
	return more;
}
