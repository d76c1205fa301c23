/*
 * kv.h - the ordered, transactional key-value store: seam number two.
 *
 * Invariants every backend keeps (tests/unit/test_kv.c holds them to it, fakes included):
 * - Keys are byte strings in memcmp order, shorter first; at most KV_KEY_MAX bytes. Values are at
 *   most KV_VALUE_MAX bytes, empty allowed.
 * - All access is in a transaction. A reading one sees one instant of the store. A writing one sees
 *   that instant plus its own writes, and commits all of them or none.
 * - A key that a writing transaction has read by get (found or not) or written, and that another
 *   transaction changed since, makes commit return -EAGAIN: run the body again. A range read by
 *   scan is NOT checked: a body that relies on "no such entry" also gets and puts a guard key.
 * - Commits become durable in order: when a durable commit has returned, so has every commit that
 *   returned before it began.
 *
 * Threads: a struct kv is shared by all; a transaction and its scans belong to one thread.
 */
#ifndef CORE_KV_H
#define CORE_KV_H

#include "base.h"
#include "buf.h"

#define KV_KEY_MAX 1024
#define KV_VALUE_MAX (4u << 20)

/* Spaces keep apart what is tuned apart: small records that are scanned, bytes that are not. */
enum kv_space { KV_META, KV_PACK, KV_SPACES };

enum kv_mode { KV_READ, KV_WRITE };

/* How much commit promises: ORDERED survives a crash of the process, DURABLE one of the machine. */
enum kv_promise { KV_ORDERED, KV_DURABLE };

struct kv {
	const struct kv_ops *ops;
};

struct kv_txn {
	struct kv *kv;
	enum kv_mode mode;
};

struct kv_scan {
	struct kv_txn *txn;
};

struct kv_entry {
	struct slice key, value;
};

struct kv_ops {
	const char *name;
	int (*begin)(struct kv *kv, enum kv_mode mode, struct kv_txn **ret);
	/*
	 * Ends the transaction whatever it returns: 0, -EAGAIN, -EIO, -ENOSPC, -EDQUOT. Scans are
	 * done before. After -ENOSPC and -EDQUOT nothing was committed, all can be read, and
	 * commits succeed again once there is room. A DURABLE commit that could not be synced is
	 * seen all the same, and whether a crash leaves it is unknown: no commit succeeds after it
	 * until the next open.
	 */
	int (*commit)(struct kv_txn *txn, enum kv_promise promise);
	/* Ends the transaction without a trace. */
	void (*abort)(struct kv_txn *txn);
	/* Replaces the content of ret. -ENOENT; -EAGAIN when commit could only fail. */
	int (*get)(struct kv_txn *txn, enum kv_space space, struct slice key, struct buf *ret);
	int (*put)(struct kv_txn *txn, enum kv_space space, struct slice key, struct slice value);
	/* Deleting what is not there is no error. */
	int (*del)(struct kv_txn *txn, enum kv_space space, struct slice key);
	/*
	 * Puts many entries at once, all or none, as a transaction that promises KV_ORDERED would,
	 * and at a fraction of its cost: for keys that nobody else writes now, since nothing is
	 * checked. Transactions that have read one of the keys meet it as they meet any commit.
	 */
	int (*put_all)(struct kv *kv, enum kv_space space, const struct kv_entry *entries,
		       size_t n);
	/*
	 * Entries whose key starts with prefix and is not before from (empty: all), in order. The
	 * transaction's own writes made before the scan began are seen; writes made while it is
	 * open may or may not be.
	 */
	int (*scan)(struct kv_txn *txn, enum kv_space space, struct slice prefix,
		    struct slice from, struct kv_scan **ret);
	/* 1 and an entry, borrowed until the next call on this scan; 0 at the end; -errno. */
	int (*next)(struct kv_scan *scan, struct slice *ret_key, struct slice *ret_value);
	void (*done)(struct kv_scan *scan);
	/* Free bytes, statistics: name and number pairs for the status document; may be NULL. */
	void (*stats)(struct kv *kv, void (*each)(void *arg, const char *name, uint64_t n),
		      void *arg);
	/* No transaction is open. Makes everything durable. */
	void (*close)(struct kv *kv);
};

/* Thin wrappers that assert the contract on the way in: callers use these, never ops directly. */
int kv_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret);
int kv_commit(struct kv_txn *txn, enum kv_promise promise);
void kv_abort(struct kv_txn *txn);
int kv_get(struct kv_txn *txn, enum kv_space space, struct slice key, struct buf *ret);
/* Is there such a key? 1, 0 or -errno; counts as a get. */
int kv_has(struct kv_txn *txn, enum kv_space space, struct slice key);
int kv_put(struct kv_txn *txn, enum kv_space space, struct slice key, struct slice value);
int kv_del(struct kv_txn *txn, enum kv_space space, struct slice key);
int kv_put_all(struct kv *kv, enum kv_space space, const struct kv_entry *entries, size_t n);
int kv_scan(struct kv_txn *txn, enum kv_space space, struct slice prefix, struct slice from,
	    struct kv_scan **ret);
int kv_next(struct kv_scan *scan, struct slice *ret_key, struct slice *ret_value);
void kv_done(struct kv_scan *scan);
void kv_stats(struct kv *kv, void (*each)(void *arg, const char *name, uint64_t n), void *arg);
void kv_close(struct kv *kv); /* NULL is fine */

/* Guards: AUTO(kv_abortp) ends a transaction that was not committed (set it to NULL by steal()). */
static inline void kv_abortp(struct kv_txn **txn)
{
	if (*txn)
		kv_abort(*txn);
}

static inline void kv_donep(struct kv_scan **scan)
{
	if (*scan)
		kv_done(*scan);
}

/*
 * Runs body in a writing transaction and commits; again while commit, or the body itself, says
 * -EAGAIN (a backend may find a conflict as early as in get, and a body passes that on). So a body
 * does no file I/O, starts each time from nothing, and fills arg only. A body that returns anything
 * else that is not 0 ends the transaction without a commit, and kv_update returns that.
 */
typedef int kv_body(struct kv_txn *txn, void *arg);
int kv_update(struct kv *kv, enum kv_promise promise, kv_body *body, void *arg);

/* One read of one key in a transaction of its own. */
int kv_get_one(struct kv *kv, enum kv_space space, struct slice key, struct buf *ret);

/*
 * RocksDB, embedded. Creates the directory when create is true. -EBUSY: another process has it
 * open, or this one. -EINVAL: not a database. -ENOENT, -ENOTDIR, -EACCES: no such directory. The
 * path may be relative, and the process may change its directory afterwards; it must not fork and
 * go on in the child, for RocksDB's threads stay behind. cache_bytes bounds the block cache (shared
 * by all spaces).
 */
int kv_rocks_open(const char *directory, bool create, size_t cache_bytes, struct kv **ret);

#endif
