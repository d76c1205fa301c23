#include "damage.h"

#include "event.h"
#include "log.h"

#include <stdio.h>

uint64_t damage_count(const struct store *store)
{
	return atomic_load(&store->damaged);
}

int damage_load(struct store *store)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	uint64_t n = 0;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('!')), slice("", 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		n++;
	if (more == 0)
		atomic_store(&store->damaged, n);
	return more;
}

/* Is this generation marked? 1, 0, -errno. */
static int is_marked(struct kv_txn *txn, const struct blob_id *id)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t generation;
	int err = kv_get(txn, KV_META, KEY(damaged(&id->digest)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &generation);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return generation == id->generation;
}

static int current(struct kv_txn *txn, const struct digest *digest, struct blob_row *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(blob(digest)), &b);

	return err < 0 ? err : decode_blob_row(buf_slice(&b), ret);
}

bool damage_is(struct store *store, const struct digest *digest)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	struct blob_row row;

	return damage_count(store) > 0 && kv_begin(store->kv, KV_READ, &txn) == 0 &&
	       current(txn, digest, &row) == 0 &&
	       is_marked(txn, &(struct blob_id){ *digest, row.generation }) > 0;
}

static int put_event(struct kv_txn *txn, struct store *store, enum event_kind kind,
		     const struct digest *digest, uint64_t size, const char *why)
{
	char hex[sizeof("sha256:") + DIGEST_HEX_SIZE] = "sha256:", bytes[24];

	digest_to_hex(digest, hex + strlen(hex));
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	return event_put(txn, store, &(struct event){
		.kind = kind,
		.details = { { "digest", hex }, { "size", bytes }, { "reason", why } },
	});
}

struct telling {
	struct store *store;
	const struct blob_id *id;
	const char *why;
	bool done;
};

static int tell_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct telling *t = arg;
	struct blob_row row;
	int err = current(txn, &t->id->digest, &row), marked;

	t->done = false;
	if (err < 0 || row.generation != t->id->generation)
		return err == -ENOENT ? 0 : err;
	marked = is_marked(txn, t->id);
	if (marked != 0)
		return marked < 0 ? marked : 0;
	encode_u64(&b, row.generation);
	err = kv_put(txn, KV_META, KEY(damaged(&t->id->digest)), buf_slice(&b));
	t->done = true;
	return err < 0 ? err : put_event(txn, t->store, EVENT_DAMAGED, &t->id->digest, row.size,
					 t->why);
}

void damage_tell(struct store *store, const struct blob_id *id, const char *why)
{
	struct telling t = { .store = store, .id = id, .why = why };
	char hex[DIGEST_HEX_SIZE + 1];
	int err = kv_update(store->kv, KV_DURABLE, tell_body, &t);

	digest_to_hex(&id->digest, hex);
	if (err < 0)
		log_errno(err, "noting that the bytes %s are damaged", hex);
	else if (t.done)
		log_error("the bytes %s are damaged: %s", hex, why);
	damage_load(store);
}

int damage_replace(struct kv_txn *txn, struct store *store, const struct blob_id *id,
		   uint64_t size)
{
	int err = is_marked(txn, id);

	if (err <= 0)
		return err;
	err = kv_del(txn, KV_META, KEY(damaged(&id->digest)));
	if (err == 0)
		err = put_event(txn, store, EVENT_HEALED, &id->digest, size, NULL);
	return err < 0 ? err : 1;
}

static int heal_body(struct kv_txn *txn, void *arg)
{
	const struct telling *t = arg;
	struct blob_row row;
	int err = current(txn, &t->id->digest, &row);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = damage_replace(txn, t->store, t->id, row.size);
	return err < 0 ? err : 0;
}

int damage_heal(struct store *store, const struct blob_id *id)
{
	struct telling t = { .store = store, .id = id };
	int err = damage_count(store) > 0 ?
			  kv_update(store->kv, KV_DURABLE, heal_body, &t) : 0;

	return err < 0 || damage_count(store) == 0 ? err : damage_load(store);
}

void damage_list_release(struct damage_list *l)
{
	free(l->digests);
	*l = (struct damage_list){ 0 };
}

int damage_list(struct store *store, size_t max, struct damage_list *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct damage_list list = { 0 };
	struct slice key, value;
	size_t cap = 0;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('!')), slice("", 0), &scan);
	while (more >= 0 && list.count < max && (more = kv_next(scan, &key, &value)) > 0) {
		list.digests = xgrow(list.digests, &cap, list.count + 1, sizeof(*list.digests));
		if (key_digest_at(key, 1, &list.digests[list.count]) == 0)
			list.count++;
	}
	if (more < 0)
		damage_list_release(&list);
	else
		*ret = list;
	return more < 0 ? more : 0;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

/* They are in the order of their keys. */
bool damage_list_has(const struct damage_list *l, const struct digest *digest)
{
	return l->count > 0 &&
	       bsearch(digest, l->digests, l->count, sizeof(*digest), by_bytes) != NULL;
}

int damage_verify_small(struct blob *blob, const struct digest *digest)
{
	autofree char *bytes = xmalloc(blob->size + 1);
	struct digest found;
	ssize_t n = blob_pread(blob, bytes, blob->size, 0);

	if (n < 0)
		return (int)n;
	digest_of(slice(bytes, (size_t)n), &found);
	return digest_equal(&found, digest) ? 0 : -EIO;
}
