#include "look.h"

#include "borrow.h"
#include "damage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

/*
 * The kernel stamps files with a clock that moves in ticks, 10 ms at most. A file changed in the
 * tick in which it was read may be changed again without a trace, so what is younger is read again.
 */
#define RACY_NS 20000000
/* A change of size opens the file for a moment, unseen by anybody but the kernel: for so long. */
#define LEASE_TRIES 1000
#define LEASE_PAUSE_US 1000

static int refuse(struct look *look, int err, const char *why)
{
	look->why = why;
	return err;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool find_known(const struct looker *l, const struct stat *st, struct digest *ret)
{
	const struct known_files *known = &l->scan->known;
	struct known_file key = { .ino = st->st_ino };
	const struct known_file *k;

	if (l->scan->distrust || known->count == 0)
		return false;
	k = bsearch(&key, known->files, known->count, sizeof(key), known_file_compare);
	if (!k || k->size != (uint64_t)st->st_size || !same_time(k->mtime, st->st_mtim) ||
	    !same_time(k->ctime, st->st_ctim) || draft_was_touched(l->scan->top, st->st_ino, 0))
		return false;
	/* It may be the good copy of what is damaged. */
	if (damage_is(l->scan->store, &k->digest))
		return false;
	*ret = k->digest;
	return true;
}

static bool is_racy(const struct looker *l, const struct stat *st)
{
	const struct timespec *started = &l->scan->started;
	int64_t age = (started->tv_sec - st->st_ctim.tv_sec) * 1000000000LL +
		      (started->tv_nsec - st->st_ctim.tv_nsec);

	return age < RACY_NS;
}

/* Its inode is a blob's, and that blob is present: what it holds is known. */
static bool is_blob(const struct looker *l, struct look *look)
{
	struct blob_id id;

	if (l->scan->distrust || !draft_is_shared(look->directory, look->name, &look->st, &id) ||
	    !stage_is_present(l->scan->stage, &id) ||
	    !draft_is_blob(l->scan->store, &id, &look->st))
		return false;
	look->digest = id.digest;
	return true;
}

/* 1: it borrows the bytes of a blob, so what it holds is known. 0, -errno. */
static int is_borrowed(const struct looker *l, struct look *look)
{
	char path[32 + NAME_MAX + 1];
	struct blob_id id;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", look->directory, look->name);
	if (!borrow_path_is(path, &look->st, &id))
		return 0;
	if (!borrow_is_kept(l->scan->store, &id))
		return refuse(look, -EIO, "what it is a link to is gone, or damaged");
	look->digest = id.digest;
	return 1;
}

/* A file that has not the size it had is being changed. */
static int read_small(struct looker *l, struct look *look, int fd, size_t size)
{
	char *to = buf_reserve(&look->bytes, size + 1);
	size_t at = 0;
	ssize_t n = 0;

	/* One byte more than there should be: what is less is all. */
	do {
		n = pread(fd, to + at, size + 1 - at, (off_t)at);
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0 && at < size);
	if (n < 0)
		return -errno;
	if (at != size)
		return -EAGAIN;
	look->bytes.len = size;
	look->size = size;
	hasher_start(l->hasher);
	hasher_add(l->hasher, to, size);
	hasher_end(l->hasher, &look->digest);
	return 0;
}

static int read_large(struct looker *l, struct look *look, int *fd)
{
	int err = digest_of_file(*fd, l->hasher, l->scan->stop, &look->digest, &look->size);

	if (err < 0)
		return err;
	/* A file that shrank while it was read: the draft is being changed. */
	if (look->size <= BLOB_PACK_MAX)
		return -EAGAIN;
	look->fd = steal_fd(fd);
	return 0;
}

/* 0; 1: somebody writes to it. */
static int await_writers(const struct looker *l, int fd, ino_t ino)
{
	int err = draft_leased_out(fd);

	for (unsigned i = 0; err > 0 && i < LEASE_TRIES && !scan_is_stopped(l->scan); i++) {
		if (draft_settle(l->scan->top->area, ino) < 0)
			break;
		usleep(LEASE_PAUSE_US);
		err = draft_leased_out(fd);
	}
	return err;
}

static int hash_file(struct looker *l, struct look *look)
{
	autoclose int fd = openat(look->directory, look->name,
				  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? -EAGAIN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Another file of the same number, whose bytes are a blob's: it has none of its own. */
	if (st.st_ino != look->st.st_ino || borrow_fd_is(fd, &st, NULL))
		return -EAGAIN;
	if (draft_is_bad(fd))
		return refuse(look, -EIO, "the disk lost what was written, write it again");
	look->torn = draft_is_torn(fd);
	if (look->torn)
		return -EBADMSG;
	err = await_writers(l, fd, st.st_ino);
	if (err > 0)
		return refuse(look, -EBUSY, "open for writing");
	if (err < 0)
		return err;
	if ((uint64_t)st.st_size > BLOB_PACK_MAX)
		return read_large(l, look, &fd);
	err = read_small(l, look, fd, (size_t)st.st_size);
	look->lasting = err == 0 && !is_racy(l, &st);
	look->st = st;
	return err;
}

/*
 * With nobody writing any more: what was written since the directory was listed shows only now, and
 * nothing is without an open that is counted.
 */
static int stat_settled(struct look *look)
{
	ino_t ino = look->st.st_ino;

	if (fstatat(look->directory, look->name, &look->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	return look->st.st_ino == ino && S_ISREG(look->st.st_mode) ? 0 : -EAGAIN;
}

/* Nobody writes to it. What was listed is right if nobody has from the beginning. */
static int await_quiet(struct looker *l, struct look *look)
{
	const struct scan *s = l->scan;
	int err;

	if (s->quiet && draft_is_quiet(s->top, s->touches))
		return 0;
	err = draft_settle(s->top->area, look->st.st_ino);
	return err < 0 ? refuse(look, err, "open for writing") : stat_settled(look);
}

static int find_out(struct looker *l, struct look *look)
{
	int err = scan_is_stopped(l->scan) ? -EINTR : await_quiet(l, look);

	if (err < 0)
		return err;
	look->size = (uint64_t)look->st.st_size;
	look->staged = true;
	if (find_known(l, &look->st, &look->digest)) {
		look->lasting = !is_racy(l, &look->st);
		return 0;
	}
	if (is_blob(l, look))
		return 0;
	err = is_borrowed(l, look);
	if (err != 0)
		return err < 0 ? err : 0;
	look->staged = false;
	return hash_file(l, look);
}

void look_at(struct looker *l, struct look *look)
{
	_Atomic uint64_t *bytes = &l->scan->top->area->progress.bytes;
	uint64_t before = hasher_added(l->hasher), hashed;

	look->err = find_out(l, look);
	/* The hasher counted what it read, so that one large file moves as well. */
	hashed = hasher_added(l->hasher) - before;
	look->counted = look->err < 0 ? 0 : look->size;
	atomic_fetch_add(bytes, look->counted - hashed);
}

void look_again(struct look *look)
{
	look->err = look->torn = 0;
	look->why = NULL;
	look->lasting = false;
	buf_reset(&look->bytes);
	if (look->fd >= 0)
		close(steal_fd(&look->fd));
}

void look_release(const struct scan *s, struct look *look)
{
	atomic_fetch_sub(&s->top->area->progress.bytes, look->counted);
	look->counted = 0;
	buf_release(&look->bytes);
	if (look->fd >= 0)
		close(steal_fd(&look->fd));
}

void looker_init(struct looker *l, const struct scan *s)
{
	*l = (struct looker){ .scan = s, .hasher = hasher_new() };
	hasher_count(l->hasher, &s->top->area->progress.bytes);
	hasher_write_back(l->hasher);
}

void looker_release(struct looker *l)
{
	hasher_free(l->hasher);
}
