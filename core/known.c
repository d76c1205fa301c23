/*
 * known.c - which files of a draft need no hashing again (struct known_files in scan.h). A cache:
 * what is lost of it is hashed again. Each row says of which boot of the machine it is: after a
 * power loss a file's size and times may be those of bytes that never reached the disk.
 */
#include "run.h"
#include "scan.h"

#define CHUNK 1024

struct chunk {
	uint32_t run;
	struct slice name, boot;
	const struct known_files *known;
	uint32_t number;
};

void known_files_release(struct known_files *k)
{
	free(k->files);
	*k = (struct known_files){ 0 };
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
	*ret = known;
	known = (struct known_files){ 0 };
	return 0;
}

static int save_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	const struct chunk *c = arg;
	size_t from = (size_t)c->number * CHUNK;
	size_t n = c->known->count - from < CHUNK ? c->known->count - from : CHUNK;
	int err = run_read(txn, c->run, &run);

	if (err < 0 || run.state == RUN_FINISHED)
		return err;
	put_slice(&b, c->boot);
	put_u64(&b, n);
	for (size_t i = from; i < from + n; i++) {
		const struct known_file *k = &c->known->files[i];

		put_u64(&b, k->ino);
		put_u64(&b, k->size);
		put_time(&b, k->mtime);
		put_time(&b, k->ctime);
		put_digest(&b, &k->digest);
	}
	return kv_put(txn, KV_META, KEY(known_files(c->run, c->name, c->number)), buf_slice(&b));
}

/* Drops the chunks from a number on. */
static int drop_body(struct kv_txn *txn, void *arg)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	const struct chunk *c = arg;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_known_files(c->run, c->name)),
			   KEY(known_files(c->run, c->name, c->number)), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		more = kv_del(txn, KV_META, key);
	return more;
}

int known_files_save(struct store *store, uint32_t run, const char *name,
		     const struct known_files *known)
{
	struct chunk c = { .run = run, .name = slice_str(name), .boot = slice_str(store->boot),
			   .known = known };
	int err = 0;

	for (; err == 0 && (size_t)c.number * CHUNK < known->count; c.number++)
		err = kv_update(store->kv, KV_ORDERED, save_body, &c);
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
