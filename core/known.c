/*
 * known.c - which files of a draft need no hashing again (struct known_files in scan.h). A cache:
 * what is lost of it is hashed again. Each row says of which boot of the machine it is: after a
 * power loss a file's size and times may be those of bytes that never reached the disk.
 */
#include "run.h"
#include "scan.h"

/*
 * A row has the files of so many inode numbers: a file that comes or goes changes one row. Numbers
 * of rows are 32 bits; should two ever be equal, one row of a cache is lost.
 */
#define CHUNK_BITS 10

struct chunk {
	uint32_t run;
	struct slice name, boot;
	const struct known_files *known;
	size_t from, count; /* of known: what the row has */
	uint32_t number;
	const uint32_t *numbers; /* of all rows that stay, ascending */
	size_t number_count;
};

void known_files_release(struct known_files *k)
{
	free(k->files);
	*k = (struct known_files){ 0 };
}

int known_file_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct known_file *)a)->ino, y = ((const struct known_file *)b)->ino;

	return (x > y) - (x < y);
}

void known_files_sort(struct known_files *k)
{
	if (k->count)
		qsort(k->files, k->count, sizeof(*k->files), known_file_compare);
}

static int decode_chunk(struct slice value, struct slice boot, struct known_files *ret)
{
	struct reader r = reader_of(value);

	if (boot.len == 0 || !slice_equal(get_slice(&r), boot))
		return 0;
	for (uint64_t n = get_u64(&r); n > 0 && !r.bad; n--) {
		struct known_file k;

		k.ino = get_u64(&r);
		k.size = get_u64(&r);
		k.mtime = get_time(&r);
		k.ctime = get_time(&r);
		get_digest(&r, &k.digest);
		ret->files = xgrow(ret->files, &ret->cap, ret->count + 1, sizeof(k));
		ret->files[ret->count++] = k;
	}
	return reader_end(&r);
}

int known_files_load(struct store *store, uint32_t run, const char *name, struct known_files *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	AUTO(known_files_release) struct known_files known = { 0 };
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix_known_files(run, slice_str(name))),
			       slice("", 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		more = decode_chunk(value, slice_str(store->boot), &known);
	if (more < 0)
		return more;
	/* As rows are, but where numbers are too large for theirs. */
	known_files_sort(&known);
	*ret = known;
	known = (struct known_files){ 0 };
	return 0;
}

static int save_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT, before = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	const struct chunk *c = arg;
	int err = run_read(txn, c->run, &run);

	if (err < 0 || run.state == RUN_FINISHED)
		return err;
	put_slice(&b, c->boot);
	put_u64(&b, c->count);
	for (size_t i = c->from; i < c->from + c->count; i++) {
		const struct known_file *k = &c->known->files[i];

		put_u64(&b, k->ino);
		put_u64(&b, k->size);
		put_time(&b, k->mtime);
		put_time(&b, k->ctime);
		put_digest(&b, &k->digest);
	}
	/* Where one file of very many changed, most chunks are what they were. */
	err = kv_get(txn, KV_META, KEY(known_files(c->run, c->name, c->number)), &before);
	if (err == 0 && slice_equal(buf_slice(&before), buf_slice(&b)))
		return 0;
	if (err < 0 && err != -ENOENT)
		return err;
	return kv_put(txn, KV_META, KEY(known_files(c->run, c->name, c->number)), buf_slice(&b));
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Drops the rows that are of none of the files any more. */
static int drop_body(struct kv_txn *txn, void *arg)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	const struct chunk *c = arg;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_known_files(c->run, c->name)), slice("", 0),
			   &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint32_t number = key_u32_at(key, key.len - sizeof(number));

		if (c->number_count == 0 || !bsearch(&number, c->numbers, c->number_count,
						     sizeof(number), by_number))
			more = kv_del(txn, KV_META, key);
	}
	return more;
}

int known_files_save(struct store *store, uint32_t run, const char *name,
		     const struct known_files *known)
{
	struct chunk c = { .run = run, .name = slice_str(name), .boot = slice_str(store->boot),
			   .known = known };
	autofree uint32_t *numbers = xcalloc(known->count + 1, sizeof(*numbers));
	int err = 0;

	for (; err == 0 && c.from < known->count; c.from += c.count) {
		uint64_t range = known->files[c.from].ino >> CHUNK_BITS;

		for (c.count = 1; c.from + c.count < known->count; c.count++)
			if (known->files[c.from + c.count].ino >> CHUNK_BITS != range)
				break;
		c.number = numbers[c.number_count++] = (uint32_t)range;
		err = kv_update(store->kv, KV_ORDERED, save_body, &c);
	}
	c.numbers = numbers;
	return err < 0 ? err : kv_update(store->kv, KV_ORDERED, drop_body, &c);
}

int known_files_forget(struct kv_txn *txn, uint32_t run)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_id('h', run)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		more = kv_del(txn, KV_META, key);
	return more;
}
