#include "scan.h"

#include "ahead.h"
#include "directory.h"
#include "log.h"
#include "run.h"
#include "tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

/* The state of one scan_draft() call. */
struct walk {
	struct scan *scan;
	struct buf *why;
	struct buf path; /* of what is being read, for messages, from outputs/ on */
	size_t root;	 /* length of the path that SHA256SUMS leaves out */
	unsigned depth;
	struct hasher *hasher; /* of what links lead to */
	struct ahead *ahead;
	struct known_files seen;
};

struct items {
	struct ahead_item *list;
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
	return strcmp(((const struct ahead_item *)a)->name, ((const struct ahead_item *)b)->name);
}

static int list_directory(int fd, struct items *ret)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(fd, ".", &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		struct ahead_item item;

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

bool scan_is_stopped(const struct scan *s)
{
	return s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED);
}

static void remember(struct walk *w, const struct look *look)
{
	struct known_file k = {
		.ino = look->st.st_ino,
		.size = (uint64_t)look->st.st_size,
		.mtime = look->st.st_mtim,
		.ctime = look->st.st_ctim,
		.digest = look->digest,
	};

	w->seen.files = xgrow(w->seen.files, &w->seen.cap, w->seen.count + 1, sizeof(k));
	w->seen.files[w->seen.count++] = k;
}

/* The bytes of a file become present. */
static int stage_file(struct walk *w, struct look *look)
{
	struct scan *s = w->scan;

	if (look->staged)
		return 0;
	if (look->fd < 0)
		return stage_small(s->stage, &look->digest, buf_slice(&look->bytes));
	return stage_large(s->stage, s->top, s->touches, steal_fd(&look->fd), &look->digest,
			   look->size);
}

static int scan_file(struct walk *w, struct ahead_walk *files, struct page_entry *e)
{
	struct scan *s = w->scan;
	struct look *look = ahead_take(files);
	int err = look->err;

	if (look->torn)
		return fail_torn(w, look->torn);
	if (err < 0)
		return fail(w, err, look->why);
	err = stage_file(w, look);
	if (err < 0)
		return fail(w, err, NULL);
	if (look->lasting)
		remember(w, look);
	e->mtime = look->st.st_mtim;
	e->type = ENTRY_FILE;
	e->executable = look->st.st_mode & 0100;
	e->size = look->size;
	e->digest = look->digest;
	s->top->area->progress.files++;
	s->files++;
	s->bytes += e->size;
	s->sums_size += tree_sums_length(slice(w->path.data + w->root, w->path.len - w->root));
	if (s->single)
		s->st = look->st;
	return 0;
}

/* What the link leads to is looked at, if that is not in the draft. */
static int scan_reference(struct walk *w, struct slice target)
{
	struct slice path = slice(w->path.data + w->root, w->path.len - w->root);
	uint64_t before = hasher_added(w->hasher);
	int err;

	if (!w->scan->references)
		return 0;
	err = references_add(w->scan->references, buf_slice(&w->path), path, target, w->hasher);
	w->scan->beside += hasher_added(w->hasher) - before;
	return err < 0 ? fail(w, err, NULL) : 0;
}

static int scan_link(struct walk *w, int directory, const struct ahead_item *item,
		     struct buf *target, struct page_entry *e)
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

static int scan_subdirectory(struct walk *w, int directory, const struct ahead_item *item,
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
static int scan_item(struct walk *w, struct ahead_walk *files, const struct ahead_item *item,
		     struct page_builder *pages)
{
	AUTO(buf_release) struct buf target = BUF_INIT;
	struct page_entry e = { .name = slice_str(item->name), .mtime = item->st.st_mtim,
				.nodes = 1 };
	int err;

	if (scan_is_stopped(w->scan))
		return -EINTR;
	switch (item->st.st_mode & S_IFMT) {
	case S_IFREG:
		err = scan_file(w, files, &e);
		break;
	case S_IFDIR:
		err = scan_subdirectory(w, files->directory, item, &e);
		break;
	case S_IFLNK:
		err = scan_link(w, files->directory, item, &target, &e);
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

/* Items, one after another; the path is that of their directory. */
static int scan_items(struct walk *w, int directory, const struct items *items, bool single,
		      struct page_entry *e)
{
	AUTO(page_builder_freep) struct page_builder *pages =
		page_builder_new(stage_page, w->scan->stage);
	struct ahead_walk files = { .ahead = w->ahead, .directory = directory,
				    .items = items->list, .count = items->count };
	size_t length = w->path.len;
	int err = 0;

	for (size_t i = 0; err == 0 && i < items->count; i++) {
		if (!single)
			buf_add_char(&w->path, '/');
		buf_add_str(&w->path, items->list[i].name);
		err = scan_item(w, &files, &items->list[i], pages);
		w->path.len = length;
		w->path.data[length] = '\0';
	}
	ahead_end(&files);
	return err < 0 ? err : finish_pages(pages, e);
}

static int scan_directory(struct walk *w, int fd, struct page_entry *e)
{
	AUTO(items_release) struct items items = { 0 };
	int err = list_directory(fd, &items);

	return err < 0 ? fail(w, err, NULL) : scan_items(w, fd, &items, false, e);
}

static int scan_top(struct walk *w)
{
	struct scan *s = w->scan;
	autofree char *name = xstrdup(s->name);
	struct ahead_item item = { .name = name };
	struct page_entry e = { 0 };
	int err;

	if (fstatat(s->top->area->fd, item.name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	s->st = item.st;
	s->single = !S_ISDIR(item.st.st_mode);
	/* A one-file draft is a version with that file alone. */
	if (s->single) {
		err = scan_items(w, s->top->area->fd, &(struct items){ &item, 1, 1 }, true, &e);
	} else {
		buf_add_str(&w->path, item.name);
		w->root = w->path.len + 1;
		err = scan_subdirectory(w, s->top->area->fd, &item, &e);
	}
	if (err == 0)
		err = stage_flush(s->stage);
	if (err == 0 && s->references)
		err = references_flush(s->references);
	if (err < 0)
		return err;
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
		s->quiet = draft_is_quiet(s->top, s->touches);
	}
	clock_gettime(CLOCK_REALTIME, &s->started);
	w.hasher = hasher_new();
	hasher_count(w.hasher, &s->top->area->progress.bytes);
	w.ahead = ahead_new(s);
	err = s->references ? references_restart(s->references) : 0;
	if (err == 0)
		err = scan_top(&w);
	if (err < 0)
		stage_discard(s->stage);
	if (s->watching)
		draft_unwatch(s->top);
	s->watching = true;
	ahead_free(w.ahead);
	hasher_free(w.hasher);
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
