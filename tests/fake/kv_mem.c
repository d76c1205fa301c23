#include "kv_mem.h"

#include <assert.h>

/*
 * Every committed change is a version of its row, and none is ever dropped: a snapshot is a number,
 * a conflict a newer version, a crash the removal of the newest.
 */
struct version {
	uint64_t sequence;
	bool deleted;
	struct buf value;
};

struct row {
	struct buf key;
	struct version *versions; /* oldest first */
	size_t n, cap;
};

struct table {
	struct row *rows; /* in the order of keys */
	size_t n, cap;
};

struct kv_disk {
	pthread_mutex_t lock;
	struct table spaces[KV_SPACES];
	uint64_t sequence;   /* of the newest commit */
	uint64_t durable;    /* of the newest that a crash leaves */
	uint64_t generation; /* of the machine: a crash ends one */
	bool open;
	uint64_t calls, fail_at;
	int fail_with;
	bool fail_forever;
	uint64_t commits, conflict_every;
};

struct kv_mem {
	struct kv base;
	struct kv_disk *disk;
	uint64_t generation;
	unsigned int transactions;
};

struct mem_txn {
	struct kv_txn base;
	uint64_t sequence;
	struct table reads[KV_SPACES];	/* keys alone */
	struct table writes[KV_SPACES]; /* one version each */
	unsigned int scans;
};

struct mem_scan {
	struct kv_scan base;
	enum kv_space space;
	struct buf prefix;
	struct buf at; /* the key to go on from, or after */
	bool after, ended;
	struct buf value;
};

static struct mem_txn *txn_of(struct kv_txn *txn)
{
	return container_of(txn, struct mem_txn, base);
}

static struct kv_mem *mem_of(struct kv *kv)
{
	return container_of(kv, struct kv_mem, base);
}

/* ---- tables ---- */

/* The first row not before key. */
static size_t table_find(const struct table *table, struct slice key, bool *ret_equal)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slice_compare(buf_slice(&table->rows[middle].key), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_equal = low < table->n && slice_equal(buf_slice(&table->rows[low].key), key);
	return low;
}

static struct row *table_row(const struct table *table, struct slice key)
{
	bool equal;
	size_t i = table_find(table, key, &equal);

	return equal ? &table->rows[i] : NULL;
}

static struct row *table_add(struct table *table, struct slice key)
{
	bool equal;
	size_t i = table_find(table, key, &equal);

	if (equal)
		return &table->rows[i];
	table->rows = xgrow(table->rows, &table->cap, table->n + 1, sizeof(*table->rows));
	memmove(table->rows + i + 1, table->rows + i, (table->n - i) * sizeof(*table->rows));
	table->n++;
	table->rows[i] = (struct row){ .key = BUF_INIT };
	buf_add_slice(&table->rows[i].key, key);
	return &table->rows[i];
}

static void row_add(struct row *row, uint64_t sequence, bool deleted, struct slice value)
{
	struct version *version;

	row->versions = xgrow(row->versions, &row->cap, row->n + 1, sizeof(*row->versions));
	version = &row->versions[row->n++];
	*version = (struct version){ sequence, deleted, BUF_INIT };
	buf_add_slice(&version->value, value);
}

static void row_drop_newest(struct row *row)
{
	buf_release(&row->versions[--row->n].value);
}

static const struct version *row_at(const struct row *row, uint64_t sequence)
{
	size_t i = row ? row->n : 0;

	while (i > 0 && row->versions[i - 1].sequence > sequence)
		i--;
	return i > 0 ? &row->versions[i - 1] : NULL;
}

static void table_release(struct table *table)
{
	size_t i;

	for (i = 0; i < table->n; i++) {
		while (table->rows[i].n > 0)
			row_drop_newest(&table->rows[i]);
		free(table->rows[i].versions);
		buf_release(&table->rows[i].key);
	}
	free(table->rows);
	*table = (struct table){ NULL, 0, 0 };
}

/* ---- the disk ---- */

struct kv_disk *kv_disk_new(void)
{
	struct kv_disk *disk = xcalloc(1, sizeof(*disk));

	pthread_mutex_init(&disk->lock, NULL);
	return disk;
}

void kv_disk_free(struct kv_disk *disk)
{
	int space;

	if (!disk)
		return;
	assert(!disk->open);
	for (space = 0; space < KV_SPACES; space++)
		table_release(&disk->spaces[space]);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

void kv_disk_crash(struct kv_disk *disk)
{
	int space;
	size_t i;

	LOCKED(&disk->lock);
	for (space = 0; space < KV_SPACES; space++) {
		for (i = 0; i < disk->spaces[space].n; i++) {
			struct row *row = &disk->spaces[space].rows[i];

			while (row->n > 0 && row->versions[row->n - 1].sequence > disk->durable)
				row_drop_newest(row);
		}
	}
	disk->sequence = disk->durable;
	disk->generation++;
}

uint64_t kv_disk_calls(struct kv_disk *disk)
{
	LOCKED(&disk->lock);
	return disk->calls;
}

void kv_disk_fail(struct kv_disk *disk, uint64_t n, int err, bool forever)
{
	LOCKED(&disk->lock);
	assert(err < 0 || n == 0);
	disk->fail_at = n ? disk->calls + n : 0;
	disk->fail_with = err;
	disk->fail_forever = forever;
}

void kv_disk_conflict_every(struct kv_disk *disk, uint64_t k)
{
	LOCKED(&disk->lock);
	disk->conflict_every = k;
}

/* Counts a call, and fails it if it is to fail. */
static int mem_call(struct kv_mem *mem)
{
	struct kv_disk *disk = mem->disk;

	if (mem->generation != disk->generation)
		return -EIO;
	disk->calls++;
	if (disk->fail_at &&
	    (disk->calls == disk->fail_at || (disk->fail_forever && disk->calls > disk->fail_at)))
		return disk->fail_with;
	return 0;
}

/* ---- the store ---- */

static int mem_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret)
{
	struct kv_mem *mem = mem_of(kv);
	struct mem_txn *txn;
	int r;

	LOCKED(&mem->disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	txn = xcalloc(1, sizeof(*txn));
	txn->base = (struct kv_txn){ kv, mode };
	txn->sequence = mem->disk->sequence;
	mem->transactions++;
	*ret = &txn->base;
	return 0;
}

static void txn_free(struct mem_txn *txn)
{
	int space;

	assert(txn->scans == 0);
	for (space = 0; space < KV_SPACES; space++) {
		table_release(&txn->reads[space]);
		table_release(&txn->writes[space]);
	}
	mem_of(txn->base.kv)->transactions--;
	free(txn);
}

static void mem_abort(struct kv_txn *txn)
{
	LOCKED(&mem_of(txn->kv)->disk->lock);
	txn_free(txn_of(txn));
}

static bool changed_since(const struct table *table, const struct table *keys, uint64_t sequence)
{
	size_t i;

	for (i = 0; i < keys->n; i++) {
		const struct row *row = table_row(table, buf_slice(&keys->rows[i].key));

		if (row && row->n && row->versions[row->n - 1].sequence > sequence)
			return true;
	}
	return false;
}

static int check_commit(struct kv_disk *disk, const struct mem_txn *txn)
{
	int space;

	if (disk->conflict_every && ++disk->commits % disk->conflict_every == 0)
		return -EAGAIN;
	for (space = 0; space < KV_SPACES; space++)
		if (changed_since(&disk->spaces[space], &txn->reads[space], txn->sequence) ||
		    changed_since(&disk->spaces[space], &txn->writes[space], txn->sequence))
			return -EAGAIN;
	return 0;
}

static void apply(struct kv_disk *disk, const struct mem_txn *txn)
{
	int space;
	size_t i;

	disk->sequence++;
	for (space = 0; space < KV_SPACES; space++) {
		for (i = 0; i < txn->writes[space].n; i++) {
			const struct row *row = &txn->writes[space].rows[i];

			row_add(table_add(&disk->spaces[space], buf_slice(&row->key)),
				disk->sequence, row->versions[0].deleted,
				buf_slice(&row->versions[0].value));
		}
	}
}

static int mem_commit(struct kv_txn *base, enum kv_promise promise)
{
	struct mem_txn *txn = txn_of(base);
	struct kv_mem *mem = mem_of(base->kv);
	int r = 0;

	LOCKED(&mem->disk->lock);
	if (base->mode == KV_WRITE) {
		r = mem_call(mem);
		if (!r)
			r = check_commit(mem->disk, txn);
		if (!r)
			apply(mem->disk, txn);
		if (!r && promise == KV_DURABLE)
			mem->disk->durable = mem->disk->sequence;
	}
	txn_free(txn);
	return r;
}

/* What the transaction sees under key, or NULL. */
static const struct version *txn_look(const struct mem_txn *txn, enum kv_space space,
				      struct slice key)
{
	const struct table *table = &mem_of(txn->base.kv)->disk->spaces[space];
	const struct row *own = table_row(&txn->writes[space], key);
	const struct version *version;

	version = own ? &own->versions[0] : row_at(table_row(table, key), txn->sequence);
	return version && !version->deleted ? version : NULL;
}

static int mem_get(struct kv_txn *base, enum kv_space space, struct slice key, struct buf *ret)
{
	struct mem_txn *txn = txn_of(base);
	struct kv_mem *mem = mem_of(base->kv);
	const struct version *version;
	int r;

	LOCKED(&mem->disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	if (base->mode == KV_WRITE)
		table_add(&txn->reads[space], key);
	version = txn_look(txn, space, key);
	if (!version)
		return -ENOENT;
	buf_reset(ret);
	buf_add_slice(ret, buf_slice(&version->value));
	return 0;
}

static int mem_write(struct kv_txn *base, enum kv_space space, struct slice key, bool deleted,
		     struct slice value)
{
	struct kv_mem *mem = mem_of(base->kv);
	struct row *row;
	int r;

	LOCKED(&mem->disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	row = table_add(&txn_of(base)->writes[space], key);
	if (row->n > 0)
		row_drop_newest(row);
	row_add(row, 0, deleted, value);
	return 0;
}

static int mem_put(struct kv_txn *txn, enum kv_space space, struct slice key, struct slice value)
{
	return mem_write(txn, space, key, false, value);
}

static int mem_del(struct kv_txn *txn, enum kv_space space, struct slice key)
{
	return mem_write(txn, space, key, true, slice(NULL, 0));
}

static int mem_put_all(struct kv *kv, enum kv_space space, const struct kv_entry *entries, size_t n)
{
	struct kv_mem *mem = mem_of(kv);
	struct kv_disk *disk = mem->disk;
	int r;

	LOCKED(&disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	disk->sequence++;
	for (size_t i = 0; i < n; i++)
		row_add(table_add(&disk->spaces[space], entries[i].key), disk->sequence, false,
			entries[i].value);
	return 0;
}

static int mem_scan(struct kv_txn *base, enum kv_space space, struct slice prefix,
		    struct slice from, struct kv_scan **ret)
{
	struct kv_mem *mem = mem_of(base->kv);
	struct mem_scan *scan;
	int r;

	LOCKED(&mem->disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	scan = xcalloc(1, sizeof(*scan));
	scan->base.txn = base;
	scan->space = space;
	buf_add_slice(&scan->prefix, prefix);
	buf_add_slice(&scan->at, slice_compare(from, prefix) > 0 ? from : prefix);
	txn_of(base)->scans++;
	*ret = &scan->base;
	return 0;
}

/* The next key of a table, seen or not. */
static bool table_next(const struct table *table, struct slice at, bool after, struct slice *ret)
{
	bool equal;
	size_t i = table_find(table, at, &equal);

	if (equal && after)
		i++;
	if (i == table->n)
		return false;
	*ret = buf_slice(&table->rows[i].key);
	return true;
}

/* The next key of both, with a prefix. */
static bool scan_key(const struct mem_scan *scan, struct slice *ret)
{
	const struct mem_txn *txn = txn_of(scan->base.txn);
	const struct kv_disk *disk = mem_of(scan->base.txn->kv)->disk;
	struct slice at = buf_slice(&scan->at), stored, own, key;
	bool in_stored, in_own;

	in_stored = table_next(&disk->spaces[scan->space], at, scan->after, &stored);
	in_own = table_next(&txn->writes[scan->space], at, scan->after, &own);
	if (!in_stored && !in_own)
		return false;
	if (!in_own || (in_stored && slice_compare(stored, own) < 0))
		key = stored;
	else
		key = own;
	if (!slice_starts(key, buf_slice(&scan->prefix)))
		return false;
	*ret = key;
	return true;
}

static int mem_next(struct kv_scan *base, struct slice *ret_key, struct slice *ret_value)
{
	struct mem_scan *scan = container_of(base, struct mem_scan, base);
	struct kv_mem *mem = mem_of(base->txn->kv);
	const struct version *version = NULL;
	struct slice key;
	int r;

	LOCKED(&mem->disk->lock);
	r = mem_call(mem);
	if (r < 0)
		return r;
	while (!scan->ended && !version) {
		if (!scan_key(scan, &key)) {
			scan->ended = true;
			break;
		}
		buf_reset(&scan->at);
		buf_add_slice(&scan->at, key);
		scan->after = true;
		version = txn_look(txn_of(base->txn), scan->space, key);
	}
	if (!version)
		return 0;
	buf_reset(&scan->value);
	buf_add_slice(&scan->value, buf_slice(&version->value));
	*ret_key = buf_slice(&scan->at);
	*ret_value = buf_slice(&scan->value);
	return 1;
}

static void mem_done(struct kv_scan *base)
{
	struct mem_scan *scan = container_of(base, struct mem_scan, base);

	txn_of(base->txn)->scans--;
	buf_release(&scan->prefix);
	buf_release(&scan->at);
	buf_release(&scan->value);
	free(scan);
}

static void mem_close(struct kv *kv)
{
	struct kv_mem *mem = mem_of(kv);

	pthread_mutex_lock(&mem->disk->lock);
	assert(mem->transactions == 0);
	if (mem->generation == mem->disk->generation)
		mem->disk->durable = mem->disk->sequence;
	mem->disk->open = false;
	pthread_mutex_unlock(&mem->disk->lock);
	free(mem);
}

static const struct kv_ops mem_ops = {
	.name = "memory",
	.begin = mem_begin,
	.commit = mem_commit,
	.abort = mem_abort,
	.get = mem_get,
	.put = mem_put,
	.del = mem_del,
	.put_all = mem_put_all,
	.scan = mem_scan,
	.next = mem_next,
	.done = mem_done,
	.close = mem_close,
};

int kv_mem_open(struct kv_disk *disk, struct kv **ret)
{
	struct kv_mem *mem;

	LOCKED(&disk->lock);
	if (disk->open)
		return -EBUSY;
	disk->open = true;
	mem = xcalloc(1, sizeof(*mem));
	mem->base.ops = &mem_ops;
	mem->disk = disk;
	mem->generation = disk->generation;
	*ret = &mem->base;
	return 0;
}
