/*
 * kv_rocks.c - the key-value store on RocksDB. The only user of rocksdb.
 *
 * One column family a space; "default" is KV_META. A transaction takes a snapshot when it begins
 * and reads through it. What it writes it holds in memory (core/kv_writes.h); at commit everything
 * it got or wrote is checked (core/kv_conflict.h), and written in one batch. RocksDB's own
 * optimistic transactions do the same at twice the cost, and with 40 MiB of locks. Written for the C
 * interface of RocksDB 7.8 to 9.
 *
 * A full disk. RocksDB finds out in the middle of its log or of a flush, refuses every commit from
 * then on, and Debian's, which is built with asserts, aborts when a file that it could not write
 * is used again. So it is kept from finding out: a commit is refused while less than a reserve is
 * free. Should a write fail all the same (a quota, somebody quicker), the database is "sick": it
 * goes on reading, commits are refused, and it is closed and opened again as soon as there is
 * room and no transaction is open.
 */
#include <assert.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "kv.h"
#include "kv_conflict.h"
#include "kv_sync.h"
#include "kv_writes.h"
#include "log.h"
#include "room.h"

#define MIB (1u << 20)

/* To be free for a commit, besides what is in memory and has to be flushed. */
#define RESERVE (16ull * MIB)
/* What both are never together: nothing to look at closely. */
#define PLENTY (256ull * MIB)
/* To be free for opening, besides what the log holds, which is flushed. */
#define ROOM_TO_OPEN (4ull * MIB)
#define LOG_SUFFIX ".log"
#define ROOM_TRIES 20 /* of 5 ms */
#define DRAIN_MS 100
#define RETRY_SECONDS 1

static const char *const space_names[KV_SPACES] = { "default", "pack" };

struct kv_rocks {
	struct kv base;
	char *directory;
	rocksdb_t *db;
	struct kv_conflicts *conflicts;
	rocksdb_column_family_handle_t *spaces[KV_SPACES];
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write;
	atomic_uint transactions; /* and others that use the database: it stays open for them */

	pthread_mutex_t mend_lock;
	atomic_int sick; /* -errno of the write that failed */
	time_t retry_at; /* after an open that failed; under mend_lock */
	atomic_bool cramped; /* it was said that the reserve is touched */

	struct kv_sync sync;
};

struct rocks_txn {
	struct kv_txn base;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_readoptions_t *read;
	unsigned int scans;

	/* Of one that writes. */
	uint64_t begun; /* kv_conflict_begin() */
	uint64_t *got;	/* hashes of the keys it has read, then of those it writes */
	size_t got_count, got_cap;
	struct kv_writes writes;
};

struct rocks_scan {
	struct kv_scan base;
	rocksdb_readoptions_t *read; /* holds the bound, so outlives the iterator */
	rocksdb_iterator_t *iterator;
	struct buf prefix, bound, from;
	struct buf key, value; /* copies of what the transaction wrote */
	bool started, ended;
	bool passed; /* the entry of the database was lent */
	uint32_t *own; /* what it had written before the scan began: places in writes, in order */
	size_t own_count, own_next;
};

static struct kv_rocks *rocks_of(struct kv *kv)
{
	return container_of(kv, struct kv_rocks, base);
}

/* RocksDB asserts that even an empty slice points somewhere. */
static const char *bytes_of(struct slice s)
{
	return s.data ? s.data : "";
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/*
 * The C interface tells a status by its text alone, which begins with the name of the code and has
 * been the same since 2014 (util/status.cc).
 */
static int errno_of(const char *text)
{
	if (starts(text, "Resource busy") || starts(text, "Operation failed. Try again."))
		return -EAGAIN;
	if (strstr(text, "No space left"))
		return -ENOSPC;
	if (strstr(text, "quota exceeded"))
		return -EDQUOT;
	return -EIO;
}

/* Eats text; what only asks for another attempt is not worth a line. */
static int failed(const struct kv_rocks *rocks, const char *doing, char *text)
{
	int r = errno_of(text);

	if (r != -EAGAIN)
		log_error("%s: cannot %s: %s", rocks->directory, doing, text);
	rocksdb_free(text);
	return r;
}

static int open_database(struct kv_rocks *rocks, bool create);

static void close_database(struct kv_rocks *rocks)
{
	for (size_t i = 0; i < KV_SPACES; i++) {
		if (rocks->spaces[i])
			rocksdb_column_family_handle_destroy(rocks->spaces[i]);
		rocks->spaces[i] = NULL;
	}
	if (rocks->db)
		rocksdb_close(rocks->db);
	rocks->db = NULL;
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/*
 * Nobody uses the database. Who wants to begin now waits for mend_lock; who has begun may do so
 * as well, for a second transaction, so this does not wait for long.
 */
static bool drained(const struct kv_rocks *rocks)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; rocks->transactions && i < DRAIN_MS; i++)
		nanosleep(&pause, NULL);
	return rocks->transactions == 0;
}

/* Under mend_lock. What was committed is in the log, and the open flushes that. */
static void mend(struct kv_rocks *rocks)
{
	int r = rocks->sick;

	if ((r != -ENOSPC && r != -EDQUOT) || seconds() < rocks->retry_at)
		return;
	if (room_probe(rocks->directory,
		       RESERVE + room_taken(rocks->directory, LOG_SUFFIX)) < 0 ||
	    !drained(rocks))
		return;
	close_database(rocks);
	r = open_database(rocks, false);
	if (r < 0) {
		rocks->retry_at = seconds() + RETRY_SECONDS;
		return;
	}
	rocks->sick = 0;
	log_info("%s: there is room again: opened anew", rocks->directory);
}

static int enter_sick(struct kv_rocks *rocks)
{
	LOCKED(&rocks->mend_lock);
	mend(rocks);
	if (!rocks->db)
		return rocks->sick;
	atomic_fetch_add(&rocks->transactions, 1);
	return 0;
}

/* The database stays as it is until leave(). */
static int enter(struct kv_rocks *rocks)
{
	/* In this order: mend() looks at them in the other. */
	atomic_fetch_add(&rocks->transactions, 1);
	if (!rocks->sick)
		return 0;
	atomic_fetch_sub(&rocks->transactions, 1);
	return enter_sick(rocks);
}

static void leave(struct kv_rocks *rocks)
{
	atomic_fetch_sub(&rocks->transactions, 1);
}

static int rocks_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret)
{
	struct kv_rocks *rocks = rocks_of(kv);
	struct rocks_txn *txn;
	int r = enter(rocks);

	if (r < 0)
		return r;
	txn = xcalloc(1, sizeof(*txn));
	txn->base = (struct kv_txn){ kv, mode };
	txn->writes.bytes = BUF_INIT;
	/* In this order: what is written by then is in the snapshot. */
	if (mode == KV_WRITE)
		txn->begun = kv_conflict_begin(rocks->conflicts);
	txn->snapshot = rocksdb_create_snapshot(rocks->db);
	txn->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_snapshot(txn->read, txn->snapshot);
	*ret = &txn->base;
	return 0;
}

static void free_transaction(struct rocks_txn *txn)
{
	assert(txn->scans == 0);
	rocksdb_release_snapshot(rocks_of(txn->base.kv)->db, txn->snapshot);
	rocksdb_readoptions_destroy(txn->read);
	kv_writes_release(&txn->writes);
	free(txn->got);
	free(txn);
}

static void rocks_abort(struct kv_txn *base)
{
	struct kv_rocks *rocks = rocks_of(base->kv);

	free_transaction(container_of(base, struct rocks_txn, base));
	leave(rocks);
}

/* RocksDB may not touch a log that it could not write. What was committed is in the file. */
static int sync_log(struct kv_sync *sync)
{
	struct kv_rocks *rocks = container_of(sync, struct kv_rocks, sync);
	char *error = NULL;

	if (rocks->sick) {
		int r = room_sync(rocks->directory, LOG_SUFFIX);

		return r < 0 ? log_errno(r, "%s: cannot sync the log", rocks->directory) : 0;
	}
	rocksdb_flush_wal(rocks->db, 1, &error);
	return error ? failed(rocks, "sync the log", error) : 0;
}

/* Eats text. */
static int fell_sick(struct kv_rocks *rocks, const char *doing, char *text)
{
	int r = failed(rocks, doing, text);

	if (r != -EAGAIN)
		rocks->sick = r;
	return r;
}

/* Bytes that are in the log alone. */
static uint64_t unflushed(const struct kv_rocks *rocks)
{
	uint64_t sum = 0, n;

	for (size_t i = 0; i < KV_SPACES; i++)
		if (!rocksdb_property_int_cf(rocks->db, rocks->spaces[i],
					     "rocksdb.cur-size-all-mem-tables", &n))
			sum += n;
	return sum;
}

static int flush(struct kv_rocks *rocks)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flushoptions_set_wait(options, 1);
	for (size_t i = 0; i < KV_SPACES && !error; i++)
		rocksdb_flush_cf(rocks->db, options, rocks->spaces[i], &error);
	rocksdb_flushoptions_destroy(options);
	return error ? fell_sick(rocks, "flush", error) : 0;
}

/* Is the reserve free? What is in memory makes room by being flushed: its log goes. */
static int look_for_room(struct kv_rocks *rocks, uint64_t *ret_left, uint64_t *ret_wanted)
{
	uint64_t left = room_free(rocks->directory), held;
	int r;

	if (left >= PLENTY)
		return 0;
	held = unflushed(rocks);
	if (left < RESERVE + held && held > MIB && left >= RESERVE / 2 + held) {
		r = flush(rocks);
		if (r < 0)
			return r;
		left = room_free(rocks->directory);
		held = unflushed(rocks);
	}
	*ret_left = left;
	*ret_wanted = RESERVE + held;
	return left < RESERVE + held ? -ENOSPC : 0;
}

/* May a commit go on? What has just been removed is free a little later. */
static int check_room(struct kv_rocks *rocks)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	uint64_t left = 0, wanted = 0;
	int r = look_for_room(rocks, &left, &wanted);

	for (int i = 0; r == -ENOSPC && !rocks->sick && i < ROOM_TRIES; i++) {
		nanosleep(&pause, NULL);
		r = look_for_room(rocks, &left, &wanted);
	}
	if (r == 0)
		rocks->cramped = false;
	else if (r == -ENOSPC && !atomic_exchange(&rocks->cramped, true))
		log_error("%s: %llu KiB are free, but %llu are kept in reserve: %s",
			  rocks->directory, (unsigned long long)left >> 10,
			  (unsigned long long)wanted >> 10, strerror(ENOSPC));
	return r;
}

/* May something be written at all? */
static int check_health(struct kv_rocks *rocks)
{
	int broken = kv_sync_broken(&rocks->sync);

	if (broken)
		return broken;
	return rocks->sick ? rocks->sick : check_room(rocks);
}

static void remember(struct rocks_txn *txn, uint64_t hash)
{
	txn->got = xgrow(txn->got, &txn->got_cap, txn->got_count + 1, sizeof(*txn->got));
	txn->got[txn->got_count++] = hash;
}

/* Takes the batch, and the commit's number among the conflicts. */
static int write_batch(struct kv_rocks *rocks, rocksdb_writebatch_t *batch, uint64_t number)
{
	char *error = NULL;

	rocksdb_write(rocks->db, rocks->write, batch, &error);
	rocksdb_writebatch_destroy(batch);
	kv_conflict_written(rocks->conflicts, number);
	return error ? fell_sick(rocks, "commit", error) : 0;
}

static rocksdb_writebatch_t *batch_of(const struct kv_rocks *rocks, const struct kv_writes *w)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();

	for (size_t i = 0; i < w->count; i++) {
		const struct kv_written *e = &w->list[i];
		struct slice key = kv_written_key(w, e), value = kv_written_value(w, e);

		if (e->deleted)
			rocksdb_writebatch_delete_cf(batch, rocks->spaces[e->space], bytes_of(key),
						     key.len);
		else
			rocksdb_writebatch_put_cf(batch, rocks->spaces[e->space], bytes_of(key),
						  key.len, bytes_of(value), value.len);
	}
	return batch;
}

static int commit_unsynced(struct kv_rocks *rocks, struct rocks_txn *txn)
{
	size_t read = txn->got_count;
	uint64_t number;
	int r = check_health(rocks);

	if (r < 0)
		return r;
	if (txn->writes.count == 0) {
		bool changed = kv_conflict_check(rocks->conflicts, txn->begun, txn->got, read);

		return changed ? -EAGAIN : 0;
	}
	for (size_t i = 0; i < txn->writes.count; i++)
		remember(txn, txn->writes.list[i].hash);
	r = kv_conflict_commit(rocks->conflicts, txn->begun, txn->got, txn->got_count, read,
			       &number);
	return r < 0 ? r : write_batch(rocks, batch_of(rocks, &txn->writes), number);
}

static int rocks_commit(struct kv_txn *base, enum kv_promise promise)
{
	struct rocks_txn *txn = container_of(base, struct rocks_txn, base);
	struct kv_rocks *rocks = rocks_of(base->kv);
	bool writes = base->mode == KV_WRITE;
	int r = writes ? commit_unsynced(rocks, txn) : 0;

	free_transaction(txn);
	if (r == 0 && writes) {
		uint64_t number = kv_sync_wrote(&rocks->sync);

		r = promise == KV_DURABLE ? kv_sync_await(&rocks->sync, number) : 0;
	}
	leave(rocks);
	return r;
}

static int get_stored(struct rocks_txn *txn, enum kv_space space, struct slice key, struct buf *ret)
{
	struct kv_rocks *rocks = rocks_of(txn->base.kv);
	rocksdb_pinnableslice_t *value;
	char *error = NULL;
	const char *data;
	size_t len;

	value = rocksdb_get_pinned_cf(rocks->db, txn->read, rocks->spaces[space], bytes_of(key),
				      key.len, &error);
	if (error)
		return failed(rocks, "read", error);
	if (!value)
		return -ENOENT;
	data = rocksdb_pinnableslice_value(value, &len);
	buf_reset(ret);
	buf_add(ret, data, len);
	rocksdb_pinnableslice_destroy(value);
	return 0;
}

static int rocks_get(struct kv_txn *base, enum kv_space space, struct slice key, struct buf *ret)
{
	struct rocks_txn *txn = container_of(base, struct rocks_txn, base);
	const struct kv_written *own = kv_writes_find(&txn->writes, space, key);

	if (own && own->deleted)
		return -ENOENT;
	if (own) {
		buf_reset(ret);
		buf_add_slice(ret, kv_written_value(&txn->writes, own));
		return 0;
	}
	/* Found or not. What it has written is checked at any rate. */
	if (base->mode == KV_WRITE)
		remember(txn, kv_conflict_hash(space, key));
	return get_stored(txn, space, key, ret);
}

static int rocks_put(struct kv_txn *base, enum kv_space space, struct slice key, struct slice value)
{
	kv_writes_put(&container_of(base, struct rocks_txn, base)->writes, space, key, value);
	return 0;
}

static int rocks_del(struct kv_txn *base, enum kv_space space, struct slice key)
{
	kv_writes_del(&container_of(base, struct rocks_txn, base)->writes, space, key);
	return 0;
}

static int write_all(struct kv_rocks *rocks, enum kv_space space, const struct kv_entry *entries,
		     size_t n)
{
	autofree uint64_t *keys = xcalloc(n, sizeof(*keys));
	rocksdb_writebatch_t *batch;
	int r = check_health(rocks);

	if (r < 0)
		return r;
	batch = rocksdb_writebatch_create();
	for (size_t i = 0; i < n; i++) {
		keys[i] = kv_conflict_hash(space, entries[i].key);
		rocksdb_writebatch_put_cf(batch, rocks->spaces[space], bytes_of(entries[i].key),
					  entries[i].key.len, bytes_of(entries[i].value),
					  entries[i].value.len);
	}
	r = write_batch(rocks, batch, kv_conflict_force(rocks->conflicts, keys, n));
	if (r == 0)
		kv_sync_wrote(&rocks->sync);
	return r;
}

static int rocks_put_all(struct kv *kv, enum kv_space space, const struct kv_entry *entries,
			 size_t n)
{
	struct kv_rocks *rocks = rocks_of(kv);
	int r = enter(rocks);

	if (r < 0)
		return r;
	r = write_all(rocks, space, entries, n);
	leave(rocks);
	return r;
}

/* The first key after all that start with prefix; left empty when there is none. */
static void key_after(struct slice prefix, struct buf *ret)
{
	const unsigned char *bytes = prefix.data;
	size_t n = prefix.len;

	while (n > 0 && bytes[n - 1] == UCHAR_MAX)
		n--;
	if (n == 0)
		return;
	buf_add(ret, bytes, n);
	ret->data[n - 1]++;
}

static int rocks_scan(struct kv_txn *base, enum kv_space space, struct slice prefix,
		      struct slice from, struct kv_scan **ret)
{
	struct rocks_txn *txn = container_of(base, struct rocks_txn, base);
	struct kv_rocks *rocks = rocks_of(base->kv);
	struct rocks_scan *scan = xcalloc(1, sizeof(*scan));

	scan->base.txn = base;
	buf_add_slice(&scan->prefix, prefix);
	buf_add_slice(&scan->from, slice_compare(from, prefix) > 0 ? from : prefix);
	key_after(prefix, &scan->bound);
	scan->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_snapshot(scan->read, txn->snapshot);
	if (scan->bound.len)
		rocksdb_readoptions_set_iterate_upper_bound(scan->read, scan->bound.data,
							    scan->bound.len);
	scan->iterator = rocksdb_create_iterator_cf(rocks->db, scan->read, rocks->spaces[space]);
	scan->own_count = kv_writes_sorted(&txn->writes, space, prefix, buf_slice(&scan->from),
					   &scan->own);
	txn->scans++;
	*ret = &scan->base;
	return 0;
}

/* The entry of the database that the scan is at: 1, or 0 behind the last. */
static int stored_entry(const struct rocks_scan *scan, struct slice *ret_key)
{
	if (!rocksdb_iter_valid(scan->iterator))
		return 0;
	ret_key->data = rocksdb_iter_key(scan->iterator, &ret_key->len);
	/* The bound may be missing. */
	return slice_starts(*ret_key, buf_slice(&scan->prefix));
}

/*
 * What the transaction wrote is lent as a copy, as it lies in memory that moves when more is
 * written. It may have been written again meanwhile, or deleted: 1, or 0.
 */
static int lend_own(struct rocks_scan *scan, const struct kv_written *e, struct slice *ret_key,
		    struct slice *ret_value)
{
	const struct kv_writes *w = &container_of(scan->base.txn, struct rocks_txn, base)->writes;

	if (e->deleted)
		return 0;
	buf_reset(&scan->key);
	buf_add_slice(&scan->key, kv_written_key(w, e));
	buf_reset(&scan->value);
	buf_add_slice(&scan->value, kv_written_value(w, e));
	*ret_key = buf_slice(&scan->key);
	*ret_value = buf_slice(&scan->value);
	return 1;
}

/* The next of both, where a key that both have counts as written: 1; 0: behind the last. */
static int merge(struct rocks_scan *scan, struct slice *ret_key, struct slice *ret_value)
{
	const struct kv_writes *w = &container_of(scan->base.txn, struct rocks_txn, base)->writes;
	struct slice key;

	for (;;) {
		int stored = stored_entry(scan, &key), order = 1;
		const struct kv_written *e = NULL;

		if (scan->own_next < scan->own_count) {
			e = &w->list[scan->own[scan->own_next]];
			order = stored ? slice_compare(kv_written_key(w, e), key) : -1;
		} else if (!stored) {
			return 0;
		}
		if (order > 0) {
			ret_value->data = rocksdb_iter_value(scan->iterator, &ret_value->len);
			*ret_key = key;
			scan->passed = true;
			return 1;
		}
		if (order == 0)
			rocksdb_iter_next(scan->iterator);
		scan->own_next++;
		if (lend_own(scan, e, ret_key, ret_value))
			return 1;
	}
}

static int rocks_next(struct kv_scan *base, struct slice *ret_key, struct slice *ret_value)
{
	struct rocks_scan *scan = container_of(base, struct rocks_scan, base);
	char *error = NULL;

	if (scan->ended)
		return 0;
	if (!scan->started)
		rocksdb_iter_seek(scan->iterator, buf_str(&scan->from), scan->from.len);
	else if (scan->passed)
		rocksdb_iter_next(scan->iterator);
	scan->started = true;
	scan->passed = false;
	if (merge(scan, ret_key, ret_value))
		return 1;
	scan->ended = true;
	rocksdb_iter_get_error(scan->iterator, &error);
	return error ? failed(rocks_of(base->txn->kv), "scan", error) : 0;
}

static void rocks_done(struct kv_scan *base)
{
	struct rocks_scan *scan = container_of(base, struct rocks_scan, base);
	struct rocks_txn *txn = container_of(base->txn, struct rocks_txn, base);

	assert(txn->scans > 0);
	txn->scans--;
	rocksdb_iter_destroy(scan->iterator);
	rocksdb_readoptions_destroy(scan->read);
	buf_release(&scan->prefix);
	buf_release(&scan->bound);
	buf_release(&scan->from);
	buf_release(&scan->key);
	buf_release(&scan->value);
	free(scan->own);
	free(scan);
}

static void rocks_stats(struct kv *kv, void (*each)(void *arg, const char *name, uint64_t n),
			void *arg)
{
	static const struct {
		enum kv_space space;
		const char *name, *property;
	} rows[] = {
		{ KV_META, "kv_keys", "rocksdb.estimate-num-keys" },
		{ KV_PACK, "pack_keys", "rocksdb.estimate-num-keys" },
		{ KV_META, "kv_memtable_bytes", "rocksdb.size-all-mem-tables" },
		{ KV_PACK, "pack_memtable_bytes", "rocksdb.size-all-mem-tables" },
		{ KV_META, "kv_table_bytes", "rocksdb.total-sst-files-size" },
		{ KV_PACK, "pack_table_bytes", "rocksdb.total-sst-files-size" },
	};
	struct kv_rocks *rocks = rocks_of(kv);
	uint64_t n;
	size_t i;

	each(arg, "kv_free_bytes", room_free(rocks->directory));
	each(arg, "kv_cache_bytes", rocksdb_cache_get_usage(rocks->cache));
	each(arg, "kv_transactions_open", rocks->transactions);
	if (enter(rocks) < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (!rocksdb_property_int_cf(rocks->db, rocks->spaces[rows[i].space],
					     rows[i].property, &n))
			each(arg, rows[i].name, n);
	leave(rocks);
}

static void rocks_free(struct kv_rocks *rocks)
{
	close_database(rocks);
	kv_conflicts_free(rocks->conflicts);
	rocksdb_writeoptions_destroy(rocks->write);
	rocksdb_cache_destroy(rocks->cache);
	kv_sync_release(&rocks->sync);
	pthread_mutex_destroy(&rocks->mend_lock);
	free(rocks->directory);
	free(rocks);
}

static void rocks_close(struct kv *kv)
{
	struct kv_rocks *rocks = rocks_of(kv);

	/* RocksDB aborts the process over an iterator left open; name the culprit first. */
	assert(rocks->transactions == 0);
	kv_sync_all(&rocks->sync);
	rocks_free(rocks);
}

static const struct kv_ops rocks_ops = {
	.name = "rocksdb",
	.begin = rocks_begin,
	.commit = rocks_commit,
	.abort = rocks_abort,
	.get = rocks_get,
	.put = rocks_put,
	.del = rocks_del,
	.put_all = rocks_put_all,
	.scan = rocks_scan,
	.next = rocks_next,
	.done = rocks_done,
	.stats = rocks_stats,
	.close = rocks_close,
};

static rocksdb_options_t *database_options(bool create)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(options, create);
	/* Also after a crash between making the database and its second space. */
	rocksdb_options_set_create_missing_column_families(options, 1);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_max_open_files(options, -1);
	/* All of this is replayed by the next open after a crash. */
	rocksdb_options_set_max_total_wal_size(options, 128 * MIB);
	/*
	 * After a power cut the unsynced end of the log may hold anything, not just less. Point in
	 * time stops there: every commit up to some instant, none after. Tolerating only a short
	 * tail would refuse to open; skipping bad records would lose one commit and keep the next.
	 */
	rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
	rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
	rocksdb_options_set_keep_log_file_num(options, 2);
	rocksdb_options_set_max_log_file_size(options, MIB);
	/*
	 * Nothing, not even its header: where a line cannot be written because the disk is full,
	 * the next line aborts the process. What matters comes back as a status.
	 */
	rocksdb_options_set_info_log_level(options, 6);
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	rocksdb_options_set_stats_persist_period_sec(options, 0);
	return options;
}

static rocksdb_options_t *space_options(enum kv_space space, rocksdb_cache_t *cache)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(table,
						      rocksdb_filterpolicy_create_bloom_full(10));
	/*
	 * Indexes and filters count against the cache too, or memory grows with the store. They are
	 * in partitions: whole, those of a file of 4 million keys take 5 MiB, more than a shard of
	 * the cache holds, and were read from disk for every single get (0.6 ms each).
	 */
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_index_type(
		table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(table, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_block_based_options_set_format_version(table, 5); /* 9 writes what 7.8 reads */
	rocksdb_options_set_max_write_buffer_number(options, 2);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	if (space == KV_META) {
		rocksdb_options_set_write_buffer_size(options, 32 * MIB);
		rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	} else {
		rocksdb_options_set_write_buffer_size(options, 64 * MIB);
		rocksdb_options_set_compression(options, rocksdb_no_compression);
		/*
		 * Values stay with their keys. In files of their own (RocksDB's blob files) they
		 * were read at two thirds of the speed and written no faster, for keys that come
		 * in order, and what is deleted costs rewriting live values at every compaction.
		 */
		rocksdb_block_based_options_set_block_size(table, 16 << 10);
	}
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	return options;
}

/* Eats text. */
static int open_failed(const struct kv_rocks *rocks, char *text)
{
	int r = errno_of(text);

	/* A lock of another process, and one of this process: RocksDB knows them apart. */
	if (starts(text, "IO error") && strstr(text, "/LOCK: ") &&
	    (strstr(text, "While lock file") || strstr(text, "lock hold by current process")))
		r = -EBUSY;
	else if (starts(text, "Corruption") || starts(text, "Invalid argument") ||
		 starts(text, "Not implemented"))
		r = -EINVAL;
	else if (strstr(text, strerror(EACCES)))
		r = -EACCES;
	if (r != -EBUSY)
		log_error("%s: cannot open: %s", rocks->directory, text);
	rocksdb_free(text);
	return r;
}

static int open_database(struct kv_rocks *rocks, bool create)
{
	rocksdb_options_t *database = database_options(create);
	rocksdb_options_t *options[KV_SPACES];
	char *error = NULL;
	size_t i;

	for (i = 0; i < KV_SPACES; i++)
		options[i] = space_options(i, rocks->cache);
	rocks->db = rocksdb_open_column_families(database, rocks->directory, KV_SPACES, space_names,
						 (const rocksdb_options_t *const *)options,
						 rocks->spaces, &error);
	for (i = 0; i < KV_SPACES; i++)
		rocksdb_options_destroy(options[i]);
	rocksdb_options_destroy(database);
	if (error)
		return open_failed(rocks, error);
	return 0;
}

/* Absolute, because the daemon may change its directory while RocksDB goes on opening files. */
static int find_directory(const char *directory, bool create, char **ret)
{
	autofree char *path = NULL;
	autofree char *current = NULL;
	struct stat st;
	int r;

	if (create && mkdir(directory, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "%s: cannot make the directory", directory);
	path = realpath(directory, NULL);
	if (!path || stat(path, &st) < 0)
		return log_errno(-errno, "%s: cannot open", directory);
	if (!S_ISDIR(st.st_mode))
		return log_errno(-ENOTDIR, "%s: cannot open", directory);
	/* RocksDB would leave its lock and log behind in any directory before it says no. */
	current = xasprintf("%s/CURRENT", path);
	if (!create && access(current, F_OK) < 0 && errno == ENOENT)
		return log_errno(-EINVAL, "%s: not a database", path);
	/* Opening flushes what the log holds, and without room for it ends in an abort as well. */
	r = room_probe(path, ROOM_TO_OPEN + room_taken(path, LOG_SUFFIX));
	if (r == -ENOSPC || r == -EDQUOT)
		return log_errno(r, "%s: cannot open", path);
	*ret = steal(path);
	return 0;
}

int kv_rocks_open(const char *directory, bool create, size_t cache_bytes, struct kv **ret)
{
	struct kv_rocks *rocks;
	char *path = NULL;
	int r = find_directory(directory, create, &path);

	if (r < 0)
		return r;
	rocks = xcalloc(1, sizeof(*rocks));
	rocks->base.ops = &rocks_ops;
	rocks->directory = path;
	kv_sync_init(&rocks->sync, sync_log);
	pthread_mutex_init(&rocks->mend_lock, NULL);
	rocks->cache = rocksdb_cache_create_lru(cache_bytes);
	rocks->write = rocksdb_writeoptions_create();
	rocks->conflicts = kv_conflicts_new();
	r = open_database(rocks, create);
	if (r < 0) {
		rocks_free(rocks);
		return r;
	}
	*ret = &rocks->base;
	return 0;
}
