#include "scan.h"

#include "borrow.h"
#include "directory.h"
#include "log.h"
#include "run.h"
#include "tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

/*
 * The kernel stamps files with a clock that moves in ticks, 10 ms at most. A file changed in the
 * tick in which it was read may be changed again without a trace, so what is younger is read again.
 */
#define RACY_NS 20000000
/* A change of size opens the file for a moment, unseen by anybody but the kernel: for so long. */
#define LEASE_TRIES 1000
#define LEASE_PAUSE_US 1000

/* The state of one scan_draft() call. */
struct walk {
	struct scan *scan;
	struct buf *why;
	struct buf path; /* of what is being read, for messages, from outputs/ on */
	size_t root;	 /* length of the path that SHA256SUMS leaves out */
	unsigned depth;
	struct hasher *hasher;
	char *block; /* BLOB_PACK_MAX + 1 bytes */
	struct timespec started;
	struct known_files seen;
};

struct item {
	char *name;
	struct stat st;
};

struct items {
	struct item *list;
	size_t count, cap;
};

static void items_release(struct items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->list[i].name);
	free(items->list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static int list_directory(int fd, struct items *ret)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(fd, ".", &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		struct item item;

		if (fstatat(fd, e->d_name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? -EAGAIN : -errno;
		item.name = xstrdup(e->d_name);
		ret->list = xgrow(ret->list, &ret->cap, ret->count + 1, sizeof(item));
		ret->list[ret->count++] = item;
	}
	if (ret->count)
		qsort(ret->list, ret->count, sizeof(*ret->list), by_name);
	return more;
}

static int fail(struct walk *w, int err, const char *text)
{
	if (err != -EAGAIN && err != -EINTR && w->why->len == 0)
		buf_printf(w->why, "%s: %s", text ? text : strerror(-err), buf_str(&w->path));
	return err;
}

static int fail_torn(struct walk *w, int signal)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_add_str(&text, "half written, its writer was killed by ");
	run_signal_name(signal, &text);
	return fail(w, -EBADMSG, buf_str(&text));
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool find_known(const struct walk *w, const struct stat *st, struct digest *ret)
{
	const struct known_files *known = &w->scan->known;
	struct known_file key = { .ino = st->st_ino };
	const struct known_file *k;

	if (w->scan->distrust || known->count == 0)
		return false;
	k = bsearch(&key, known->files, known->count, sizeof(key), known_file_compare);
	if (!k || k->size != (uint64_t)st->st_size || !same_time(k->mtime, st->st_mtim) ||
	    !same_time(k->ctime, st->st_ctim) || draft_was_touched(w->scan->top, st->st_ino, 0))
		return false;
	*ret = k->digest;
	return true;
}

static bool is_racy(const struct walk *w, const struct stat *st)
{
	int64_t age = (w->started.tv_sec - st->st_ctim.tv_sec) * 1000000000LL +
		      (w->started.tv_nsec - st->st_ctim.tv_nsec);

	return age < RACY_NS;
}

static void remember(struct walk *w, const struct stat *st, const struct digest *digest)
{
	struct known_file k = {
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.digest = *digest,
	};

	if (is_racy(w, st))
		return;
	w->seen.files = xgrow(w->seen.files, &w->seen.cap, w->seen.count + 1, sizeof(k));
	w->seen.files[w->seen.count++] = k;
}

/* Its inode is a blob's, and that blob is present: what it holds is known. */
static bool is_blob(struct walk *w, int directory, const struct item *item, struct digest *ret)
{
	struct blob_id id;

	if (w->scan->distrust || !draft_is_shared(directory, item->name, &item->st, &id) ||
	    !stage_is_present(w->scan->stage, &id) ||
	    !draft_is_blob(w->scan->store, &id, &item->st))
		return false;
	*ret = id.digest;
	return true;
}

/* 1: it borrows the bytes of a blob, so what it holds is known. 0, -errno. */
static int is_borrowed(struct walk *w, int directory, const struct item *item, struct digest *ret)
{
	char path[32 + NAME_MAX + 1];
	struct blob_id id;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, item->name);
	if (!borrow_path_is(path, &item->st, &id))
		return 0;
	if (!stage_is_present(w->scan->stage, &id))
		return fail(w, -EIO, "what it is a link to is gone");
	*ret = id.digest;
	return 1;
}

static int read_small(struct walk *w, int fd, struct digest *ret_digest, uint64_t *ret_size)
{
	size_t size = 0;
	ssize_t n;

	while ((n = pread(fd, w->block + size, BLOB_PACK_MAX + 1 - size, (off_t)size)) > 0)
		size += (size_t)n;
	if (n < 0)
		return -errno;
	*ret_size = size;
	if (size > BLOB_PACK_MAX)
		return 0;
	hasher_start(w->hasher);
	hasher_add(w->hasher, w->block, size);
	hasher_end(w->hasher, ret_digest);
	return stage_small(w->scan->stage, ret_digest, slice(w->block, size));
}

static int read_large(struct walk *w, int *fd, struct digest *ret_digest, uint64_t *ret_size)
{
	int err = digest_of_file(*fd, w->hasher, w->scan->stop, ret_digest, ret_size);

	if (err < 0)
		return err;
	/* A file that shrank while it was read: the draft is being changed. */
	if (*ret_size <= BLOB_PACK_MAX)
		return -EAGAIN;
	return stage_large(w->scan->stage, w->scan->top, w->scan->touches, steal_fd(fd),
			   ret_digest, *ret_size);
}

static bool is_stopped(const struct walk *w)
{
	return w->scan->stop && __atomic_load_n(w->scan->stop, __ATOMIC_RELAXED);
}

/* 0; 1: somebody writes to it. */
static int await_writers(const struct walk *w, int fd, ino_t ino)
{
	int err = draft_leased_out(fd);

	for (unsigned i = 0; err > 0 && i < LEASE_TRIES && !is_stopped(w); i++) {
		if (draft_settle(w->scan->top->area, ino) < 0)
			break;
		usleep(LEASE_PAUSE_US);
		err = draft_leased_out(fd);
	}
	return err;
}

static int hash_file(struct walk *w, int directory, const struct item *item, struct page_entry *e)
{
	autoclose int fd = openat(directory, item->name,
				  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? -EAGAIN : fail(w, -errno, NULL);
	if (fstat(fd, &st) < 0)
		return fail(w, -errno, NULL);
	/* Another file of the same number, whose bytes are a blob's: it has none of its own. */
	if (st.st_ino != item->st.st_ino || borrow_fd_is(fd, &st, NULL))
		return -EAGAIN;
	if (draft_is_bad(fd))
		return fail(w, -EIO, "the disk lost what was written, write it again");
	if (draft_is_torn(fd))
		return fail_torn(w, draft_is_torn(fd));
	err = await_writers(w, fd, st.st_ino);
	if (err > 0)
		return fail(w, -EBUSY, "open for writing");
	if (err < 0)
		return fail(w, err, NULL);
	e->size = BLOB_PACK_MAX + 1;
	if ((uint64_t)st.st_size <= BLOB_PACK_MAX)
		err = read_small(w, fd, &e->digest, &e->size);
	if (err == 0 && e->size > BLOB_PACK_MAX)
		err = read_large(w, &fd, &e->digest, &e->size);
	else if (err == 0)
		remember(w, &st, &e->digest);
	return err < 0 ? fail(w, err, NULL) : 0;
}

/*
 * With nobody writing any more: what was written since the directory was listed shows only now, and
 * nothing is without an open that is counted.
 */
static int stat_settled(struct walk *w, int directory, struct item *item)
{
	ino_t ino = item->st.st_ino;

	if (fstatat(directory, item->name, &item->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -EAGAIN : fail(w, -errno, NULL);
	return item->st.st_ino == ino && S_ISREG(item->st.st_mode) ? 0 : -EAGAIN;
}

static int scan_file(struct walk *w, int directory, struct item *item, struct page_entry *e)
{
	struct scan *s = w->scan;
	struct draft_progress *progress = &s->top->area->progress;
	uint64_t before = progress->bytes;
	int err = draft_settle(s->top->area, item->st.st_ino);

	if (err < 0)
		return fail(w, err, "open for writing");
	err = stat_settled(w, directory, item);
	if (err < 0)
		return err;
	e->mtime = item->st.st_mtim;
	e->type = ENTRY_FILE;
	e->executable = item->st.st_mode & 0100;
	e->size = (uint64_t)item->st.st_size;
	if (find_known(w, &item->st, &e->digest)) {
		remember(w, &item->st, &e->digest);
	} else if (!is_blob(w, directory, item, &e->digest)) {
		err = is_borrowed(w, directory, item, &e->digest);
		err = err > 0 ? 0 : err < 0 ? err : hash_file(w, directory, item, e);
	}
	/* The hasher counted what it read, so that one large file moves as well. */
	progress->bytes = err < 0 ? before : before + e->size;
	if (err < 0)
		return err;
	progress->files++;
	s->files++;
	s->bytes += e->size;
	s->sums_size += tree_sums_length(slice(w->path.data + w->root, w->path.len - w->root));
	return 0;
}

/* What the link leads to is looked at, if that is not in the draft. */
static int scan_reference(struct walk *w, struct slice target)
{
	struct draft_progress *progress = &w->scan->top->area->progress;
	struct slice path = slice(w->path.data + w->root, w->path.len - w->root);
	uint64_t before = progress->bytes;
	int err;

	if (!w->scan->references)
		return 0;
	err = references_add(w->scan->references, buf_slice(&w->path), path, target, w->hasher);
	w->scan->beside += progress->bytes - before;
	return err < 0 ? fail(w, err, NULL) : 0;
}

static int scan_link(struct walk *w, int directory, const struct item *item, struct buf *target,
		     struct page_entry *e)
{
	ssize_t n = readlinkat(directory, item->name, buf_reserve(target, 4096), 4096);

	if (n < 0)
		return errno == ENOENT || errno == EINVAL ? -EAGAIN : fail(w, -errno, NULL);
	target->len = (size_t)n;
	e->type = ENTRY_LINK;
	e->target = buf_slice(target);
	e->size = e->target.len;
	digest_of(e->target, &e->digest);
	buf_str(target);
	return scan_reference(w, e->target);
}

static int scan_directory(struct walk *w, int fd, struct page_entry *e);

static int scan_subdirectory(struct walk *w, int directory, const struct item *item,
			     struct page_entry *e)
{
	autoclose int fd = openat(directory, item->name,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ?
			       -EAGAIN : fail(w, -errno, NULL);
	if (w->depth == TREE_DEPTH_MAX)
		return fail(w, -ENAMETOOLONG, "directories are nested too deep");
	w->depth++;
	err = scan_directory(w, fd, e);
	w->depth--;
	return err;
}

/* One entry of a directory; the path is its. */
static int scan_item(struct walk *w, int directory, struct item *item,
		     struct page_builder *pages)
{
	AUTO(buf_release) struct buf target = BUF_INIT;
	struct page_entry e = { .name = slice_str(item->name), .mtime = item->st.st_mtim,
				.nodes = 1 };
	int err;

	if (is_stopped(w))
		return -EINTR;
	switch (item->st.st_mode & S_IFMT) {
	case S_IFREG:
		err = scan_file(w, directory, item, &e);
		break;
	case S_IFDIR:
		err = scan_subdirectory(w, directory, item, &e);
		break;
	case S_IFLNK:
		err = scan_link(w, directory, item, &target, &e);
		break;
	default:
		return fail(w, -EINVAL, "a pipe, socket or device cannot be logged");
	}
	return err < 0 ? err : page_builder_add(pages, &e);
}

static int finish_pages(struct page_builder *pages, struct page_entry *e)
{
	uint64_t below;
	int err = page_builder_finish(pages, &e->page, &e->digest, &below);

	e->type = ENTRY_DIRECTORY;
	e->nodes = 1 + below;
	return err;
}

static int scan_directory(struct walk *w, int fd, struct page_entry *e)
{
	AUTO(page_builder_freep) struct page_builder *pages =
		page_builder_new(stage_page, w->scan->stage);
	AUTO(items_release) struct items items = { 0 };
	size_t length = w->path.len;
	int err = list_directory(fd, &items);

	if (err < 0)
		return fail(w, err, NULL);
	for (size_t i = 0; err == 0 && i < items.count; i++) {
		buf_add_char(&w->path, '/');
		buf_add_str(&w->path, items.list[i].name);
		err = scan_item(w, fd, &items.list[i], pages);
		w->path.len = length;
		w->path.data[length] = '\0';
	}
	return err < 0 ? err : finish_pages(pages, e);
}

/* A one-file draft is a version with that file alone. */
static int scan_single(struct walk *w, struct item *item, struct page_entry *e)
{
	AUTO(page_builder_freep) struct page_builder *pages =
		page_builder_new(stage_page, w->scan->stage);
	int err = scan_item(w, w->scan->top->area->fd, item, pages);

	return err < 0 ? err : finish_pages(pages, e);
}

static int scan_top(struct walk *w)
{
	struct scan *s = w->scan;
	autofree char *name = xstrdup(s->name);
	struct item item = { .name = name };
	struct page_entry e = { 0 };
	int err;

	if (fstatat(s->top->area->fd, item.name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	s->st = item.st;
	s->single = !S_ISDIR(item.st.st_mode);
	buf_add_str(&w->path, item.name);
	w->root = s->single ? 0 : w->path.len + 1;
	err = s->single ? scan_single(w, &item, &e) :
			  scan_subdirectory(w, s->top->area->fd, &item, &e);
	if (err == 0)
		err = stage_flush(s->stage);
	if (err == 0 && s->references)
		err = references_flush(s->references);
	if (err < 0)
		return err;
	if (s->single)
		s->st = item.st;
	s->page = e.page;
	s->digest = e.digest;
	s->nodes = e.nodes;
	return 0;
}

int scan_draft(struct scan *s, struct buf *why)
{
	struct walk w = { .scan = s, .why = why, .path = BUF_INIT };
	int err;

	/* What an earlier pass over the same draft read is read again. */
	s->top->area->progress.files -= s->files;
	s->top->area->progress.bytes -= s->bytes + s->beside;
	s->files = s->bytes = s->sums_size = s->beside = 0;
	/*
	 * A second scan goes on watching: what the first knew of a file touched since is not
	 * trusted.
	 */
	{
		/* What was counted already has happened, and is about to be read. */
		EXCLUSIVE(&s->top->area->lock);
		s->touches = draft_watch(s->top);
	}
	clock_gettime(CLOCK_REALTIME, &w.started);
	w.hasher = hasher_new();
	hasher_count(w.hasher, &s->top->area->progress.bytes);
	w.block = xmalloc(BLOB_PACK_MAX + 1);
	err = s->references ? references_restart(s->references) : 0;
	if (err == 0)
		err = scan_top(&w);
	if (err < 0)
		stage_discard(s->stage);
	if (s->watching)
		draft_unwatch(s->top);
	s->watching = true;
	hasher_free(w.hasher);
	free(w.block);
	buf_release(&w.path);
	if (err == -ENOSPC || err == -EIO)
		fail(&w, err, NULL);
	if (err == 0) {
		known_files_release(&s->known);
		s->known = w.seen;
		known_files_sort(&s->known);
	} else {
		known_files_release(&w.seen);
	}
	return err;
}

void scan_release(struct scan *s)
{
	if (s->watching)
		draft_unwatch(s->top);
	s->watching = false;
	known_files_release(&s->known);
}
