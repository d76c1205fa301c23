/*
 * kv_place.h - where the tests of the key-value store keep it: every backend behind one handle, and
 * short forms in which keys and values are C strings.
 */
#ifndef TESTS_UNIT_KV_PLACE_H
#define TESTS_UNIT_KV_PLACE_H

#include "core/kv.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/log.h"
#include "tests/fake/kv_mem.h"

#define CACHE_BYTES (8u << 20)

/* What a backend keeps its data in, and how to open that. */
struct place {
	const struct backend *backend;
	struct kv_disk *disk;
	char *directory;
	struct kv *kv;
};

struct backend {
	const char *name;
	void (*make)(struct place *place);
	int (*open)(struct place *place, struct kv **ret);
	void (*drop)(struct place *place);
};

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void make_directory(struct place *place)
{
	place->directory = xstrdup("/tmp/test_kv.XXXXXX");
	assert_non_null(mkdtemp(place->directory));
}

static inline void drop_directory(struct place *place)
{
	assert_int_equal(nftw(place->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(place->directory);
}

static inline int open_directory(struct place *place, struct kv **ret)
{
	return kv_rocks_open(place->directory, true, CACHE_BYTES, ret);
}

static inline void make_disk(struct place *place)
{
	place->disk = kv_disk_new();
}

static inline void drop_disk(struct place *place)
{
	kv_disk_free(place->disk);
}

static inline int open_disk(struct place *place, struct kv **ret)
{
	return kv_mem_open(place->disk, ret);
}

static const struct backend rocks = { "kv_rocks", make_directory, open_directory, drop_directory };
static const struct backend memory = { "kv_mem", make_disk, open_disk, drop_disk };

static inline int setup_on(const struct backend *backend, void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));

	place->backend = backend;
	backend->make(place);
	*state = place;
	return backend->open(place, &place->kv);
}

static inline int setup_rocks(void **state)
{
	return setup_on(&rocks, state);
}

static inline int setup_memory(void **state)
{
	return setup_on(&memory, state);
}

static inline int teardown(void **state)
{
	struct place *place = *state;

	kv_close(place->kv);
	place->backend->drop(place);
	free(place);
	return 0;
}

static inline void reopen(struct place *place)
{
	kv_close(steal(place->kv));
	assert_int_equal(place->backend->open(place, &place->kv), 0);
}

static inline struct kv_txn *begin(struct place *place, enum kv_mode mode)
{
	struct kv_txn *txn = NULL;

	assert_int_equal(kv_begin(place->kv, mode, &txn), 0);
	return txn;
}

static inline void put(struct kv_txn *txn, const char *key, const char *value)
{
	assert_int_equal(kv_put(txn, KV_META, slice_str(key), slice_str(value)), 0);
}

static inline void del(struct kv_txn *txn, const char *key)
{
	assert_int_equal(kv_del(txn, KV_META, slice_str(key)), 0);
}

static inline void commit(struct kv_txn *txn)
{
	assert_int_equal(kv_commit(txn, KV_ORDERED), 0);
}

static inline void put_one(struct place *place, const char *key, const char *value)
{
	struct kv_txn *txn = begin(place, KV_WRITE);

	put(txn, key, value);
	commit(txn);
}

/* NULL: there is none. */
static inline void expect(struct kv_txn *txn, const char *key, const char *value)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	int r = kv_get(txn, KV_META, slice_str(key), &found);

	assert_int_equal(r, value ? 0 : -ENOENT);
	assert_string_equal(buf_str(&found), value ? value : "");
}

static inline void expect_one(struct place *place, const char *key, const char *value)
{
	struct kv_txn *txn = begin(place, KV_READ);

	expect(txn, key, value);
	kv_abort(txn);
}

static inline void expect_scan(struct kv_txn *txn, const char *prefix, const char *from,
			       const char *entries)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct slice key, value;
	struct kv_scan *scan;
	int r;

	assert_int_equal(kv_scan(txn, KV_META, slice_str(prefix), slice_str(from), &scan), 0);
	while ((r = kv_next(scan, &key, &value)) == 1) {
		if (found.len)
			buf_add_char(&found, ' ');
		buf_add_slice(&found, key);
		buf_add_char(&found, '=');
		buf_add_slice(&found, value);
	}
	assert_int_equal(r, 0);
	assert_int_equal(kv_next(scan, &key, &value), 0);
	kv_done(scan);
	assert_string_equal(buf_str(&found), entries);
}

/* A body of kv_update that puts "k" and asks for another try some times. */
struct tries {
	int n, again;
	int result;
};

static inline int put_and_say(struct kv_txn *txn, void *arg)
{
	struct tries *tries = arg;

	tries->n++;
	put(txn, "k", "1");
	return tries->n <= tries->again ? -EAGAIN : tries->result;
}

/* A test on one backend. */
#define ON(backend, test)                                                  \
	{                                                                  \
#backend ": " #test, test, setup_##backend, teardown, NULL \
	}

#endif
