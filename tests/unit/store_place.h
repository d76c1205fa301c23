/*
 * store_place.h - where the tests of the domain keep a store: every backend behind one handle, and
 * short forms for making runs and drafts, logging them and reading what came of it.
 *
 * memory: kv_mem + blob_mem, nothing shared; mixed: kv_mem + blob_dir, so files are shared, and a
 * crash takes packs with it as in earnest; real: store_open().
 */
#ifndef TESTS_UNIT_STORE_PLACE_H
#define TESTS_UNIT_STORE_PLACE_H

#include "core/publish.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "core/draft.h"
#include "core/log.h"
#include "core/run.h"
#include "core/tree.h"
#include "tests/fake/blob_hook.h"
#include "tests/fake/blob_mem.h"
#include "tests/fake/check_store.h"
#include "tests/fake/kv_mem.h"

enum backend { MEMORY, MIXED, REAL };

struct place {
	enum backend backend;
	char *directory; /* the store is in store/, and nothing else */
	struct kv_disk *kv_disk;
	struct blob_disk *blob_disk;
	struct blob_hook hook; /* not in a real store */
	struct store_options options;
	struct store *store;
};

static const struct cred root_cred = { 0 };

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int open_root(struct place *place)
{
	AUTO(buf_release) struct buf path = BUF_INIT;

	buf_printf(&path, "%s/store", place->directory);
	mkdir(buf_str(&path), 0700);
	return open(buf_str(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline int try_open(struct place *place)
{
	AUTO(buf_release) struct buf why = BUF_INIT, path = BUF_INIT;
	struct blob_store *blobs = NULL;
	struct kv *kv = NULL;
	int root, fd;

	if (place->backend == REAL) {
		buf_printf(&path, "%s/store", place->directory);
		return store_open(buf_str(&path), &place->options, &why, &place->store);
	}
	root = open_root(place);
	assert_true(root >= 0);
	assert_int_equal(kv_mem_open(place->kv_disk, &kv), 0);
	if (place->backend == MEMORY) {
		assert_int_equal(blob_mem_open(place->blob_disk, &blobs), 0);
	} else {
		mkdirat(root, "blobs", 0700);
		fd = openat(root, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(blob_dir_open(fd, kv, &blobs), 0);
		close(fd);
	}
	blob_hook_init(&place->hook, blobs);
	return store_open_with(kv, &place->hook.base, root, &place->options, &place->store);
}

static inline void open_store(struct place *place)
{
	assert_int_equal(try_open(place), 0);
}

static inline void close_store(struct place *place)
{
	store_close(steal(place->store));
}

static inline void reopen(struct place *place)
{
	close_store(place);
	open_store(place);
}

/* It comes once when a store was opened, and calls the backends as the test does. */
static inline void await_janitor(struct place *place)
{
	while (place->store->janitor_rounds == 0)
		usleep(1000);
}

static inline struct place *place_new_in(const char *parent, enum backend backend)
{
	struct place *place = xcalloc(1, sizeof(*place));

	log_set_level(LOG_LEVEL_ERROR);
	place->backend = backend;
	place->options.cache_bytes = 8u << 20;
	place->options.trash_seconds = 86400;
	place->options.reference_hash_bytes = 1u << 20;
	place->options.lineage_bytes = 64u << 20;
	place->options.lineage_nodes = place->options.document_nodes = 100000;
	place->directory = xasprintf("%s/test_store.XXXXXX", parent);
	assert_non_null(mkdtemp(place->directory));
	place->kv_disk = kv_disk_new();
	place->blob_disk = blob_disk_new();
	return place;
}

static inline struct place *place_new(enum backend backend)
{
	return place_new_in("/tmp", backend);
}

static inline void place_free(struct place *place)
{
	store_close(place->store);
	kv_disk_free(place->kv_disk);
	blob_disk_free(place->blob_disk);
	assert_int_equal(nftw(place->directory, remove_one, 64, FTW_DEPTH | FTW_PHYS), 0);
	free(place->directory);
	free(place);
}

static inline int setup_place(enum backend backend, void **state)
{
	struct place *place = place_new(backend);

	*state = place;
	open_store(place);
	return 0;
}

static inline int setup_memory(void **state)
{
	int err = setup_place(MEMORY, state);

	/* Every body must be ready to run again. */
	kv_disk_conflict_every(((struct place *)*state)->kv_disk, 3);
	return err;
}

static inline int setup_mixed(void **state)
{
	return setup_place(MIXED, state);
}

static inline int setup_real(void **state)
{
	return setup_place(REAL, state);
}

static inline int teardown(void **state)
{
	place_free(*state);
	return 0;
}

/* ---- is all well? ---- */

static inline void expect_clean_now(struct place *place)
{
	AUTO(buf_release) struct buf wrong = BUF_INIT;
	unsigned n = check_store(place->store, &wrong);

	assert_string_equal(buf_str(&wrong), "");
	assert_int_equal(n, 0);
}

static inline void expect_clean(struct place *place)
{
	expect_clean_now(place);
	reopen(place);
	expect_clean_now(place);
}

/* ---- runs and drafts ---- */

static inline uint32_t make_run_of(struct place *place, const char *name, uid_t uid)
{
	uint32_t id = 0;

	assert_int_equal(run_create(place->store, slice_str(name), uid, uid, 0755, 0, &id), 0);
	return id;
}

static inline uint32_t make_run(struct place *place, const char *name)
{
	return make_run_of(place, name, 0);
}

/* The path of something in the outputs of a run; owned. */
static inline char *draft_path(struct place *place, uint32_t run, const char *name)
{
	return xasprintf("%s/store/drafts/%08x/%s", place->directory, run, name);
}

static inline void write_at(const char *path, const void *data, size_t len)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
}

static inline void put_file(struct place *place, uint32_t run, const char *name, const char *text)
{
	autofree char *path = draft_path(place, run, name);

	write_at(path, text, strlen(text));
}

/* Too large for a pack; the bytes follow from seed. */
static inline void put_large(struct place *place, uint32_t run, const char *name, unsigned seed,
			     size_t size)
{
	autofree char *path = draft_path(place, run, name);
	autofree char *data = xmalloc(size);

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245u + 12345u;
		data[i] = (char)(seed >> 16);
	}
	write_at(path, data, size);
}

static inline void put_directory(struct place *place, uint32_t run, const char *name)
{
	autofree char *path = draft_path(place, run, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static inline void stat_draft(struct place *place, uint32_t run, const char *name, struct stat *ret)
{
	autofree char *path = draft_path(place, run, name);

	assert_int_equal(lstat(path, ret), 0);
}

/* What the filesystem does for every change: it counts. ino 0: a name in the draft changed. */
static inline void touch(struct place *place, uint32_t run, const char *draft, ino_t ino)
{
	struct draft_area *area;
	struct draft_top *top;

	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	top = draft_top_get(area, draft);
	draft_touch(top, ino);
	draft_top_put(top);
	draft_area_put(area);
}

/* ---- logging ---- */

static inline int log_as(struct place *place, uint32_t run, const char *name, const char *type,
			 const struct cred *cred)
{
	struct publish_request request = {
		.run = run,
		.cred = cred,
		.name = slice_str(name),
		.type = slice_str(type),
	};

	return publish(place->store, &request);
}

static inline int log_draft(struct place *place, uint32_t run, const char *name)
{
	return log_as(place, run, name, "", &root_cred);
}

static inline int finish(struct place *place, uint32_t run)
{
	return log_as(place, run, "", "", &root_cred);
}

/* `log` starts with, or has, this text. */
static inline void expect_log(struct place *place, uint32_t run, const char *text)
{
	AUTO(buf_release) struct buf log = BUF_INIT;

	assert_int_equal(run_log_read(place->store, run, &log), 0);
	if (!strstr(buf_str(&log), text))
		assert_string_equal(buf_str(&log), text);
}

static inline struct version version_of(struct place *place, const char *name, uint32_t number)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v = { 0 };

	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	assert_int_equal(version_get(place->store, c.id, number, &v), 0);
	return v;
}

/* How many versions a collection has; -1: there is no such collection. */
static inline int count_versions(struct place *place, const char *name)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	int n = 0, more;

	if (collection_find(place->store, slice_str(name), &c) == -ENOENT)
		return -1;
	for (int64_t after = -1; (more = version_next(place->store, c.id, after, &v)) > 0; n++)
		after = v.number;
	assert_int_equal(more, 0);
	return n;
}

static inline void expect_content(struct place *place, const char *name, uint32_t number,
				  const char *text)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct version v = version_of(place, name, number);

	assert_int_equal(check_describe(place->store, v.page, &found), 0);
	assert_string_equal(buf_str(&found), text);
}

#define ON(backend, test)                                                  \
	{                                                                  \
#backend ": " #test, test, setup_##backend, teardown, NULL \
	}
#define EVERYWHERE(test) ON(memory, test), ON(mixed, test), ON(real, test)

#endif
