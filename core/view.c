#include "view.h"

#include "run.h"

struct pinning {
	uint32_t run, collection;
	struct slice alias;
	struct version version;
};

static int read_pin(struct kv_txn *txn, const struct pinning *p, struct version *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t version;
	int err = kv_get(txn, KV_META, KEY(pin(p->run, p->collection, p->alias)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &version);
	return err < 0 ? err : version_read_by_id(txn, (uint32_t)version, ret);
}

static int pin_body(struct kv_txn *txn, void *arg)
{
	AUTO(run_release) struct run run = { 0 };
	struct pinning *p = arg;
	int err = read_pin(txn, p, &p->version);

	if (err != -ENOENT)
		return err;
	err = alias_read(txn, p->collection, p->alias, &p->version);
	if (err == 0)
		err = run_read(txn, p->run, &run);
	if (err < 0 || run.state != RUN_RUNNING)
		return err;
	return view_pin(txn, p->run, p->alias, &p->version);
}

int view_pin(struct kv_txn *txn, uint32_t run, struct slice alias, const struct version *version)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_u64(&b, version->id);
	return kv_put(txn, KV_META, KEY(pin(run, version->collection, alias)), buf_slice(&b));
}

int view_pin_next(struct store *store, uint32_t run, uint32_t *collection, struct buf *alias,
		  uint32_t *ret_version)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key from = key_pin(run, *collection, buf_slice(alias));
	struct slice key, value;
	uint64_t version;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix_id('k', run)), key_slice(&from), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		if (!slice_equal(key, key_slice(&from)))
			break;
	if (more <= 0)
		return more;
	if (decode_u64(value, &version) < 0)
		return -EIO;
	*ret_version = (uint32_t)version;
	*collection = key_u32_at(key, 5);
	buf_reset(alias);
	buf_add_slice(alias, key_name_after(key, 9));
	return 1;
}

int view_resolve(struct store *store, uint32_t run, uint32_t collection, struct slice alias,
		struct version *ret)
{
	struct pinning p = { .run = run, .collection = collection, .alias = alias };
	int err;

	{
		AUTO(kv_abortp) struct kv_txn *txn = NULL;

		err = kv_begin(store->kv, KV_READ, &txn);
		if (err == 0)
			err = run ? read_pin(txn, &p, ret) :
				    alias_read(txn, collection, alias, ret);
	}
	if (err != -ENOENT || run == 0)
		return err;
	/* Survives a crash of ours; one of the machine ends the run as well. */
	err = kv_update(store->kv, KV_ORDERED, pin_body, &p);
	if (err == 0)
		*ret = p.version;
	return err;
}

int view_resolve_reference(struct store *store, uint32_t run, const struct reference *ref,
			  struct version *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct reference exact = *ref;
	struct version v;
	uint32_t number;
	int err;

	if (version_name_parse(ref->version, &number) == 0)
		return reference_resolve(store, ref, ret);
	err = collection_find(store, ref->artifact, &c);
	if (err == 0)
		err = view_resolve(store, run, c.id, ref->version, &v);
	if (err < 0)
		return err;
	buf_printf(&name, "v%u", v.number);
	exact.version = buf_slice(&name);
	return reference_resolve(store, &exact, ret);
}

struct numbering {
	uint32_t run, version;
	uint64_t first;
};

static int number_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct numbering *n = arg;
	int err = kv_get(txn, KV_META, KEY(view(n->run, n->version)), &b);

	if (err == 0)
		return decode_u64(buf_slice(&b), &n->first);
	if (err != -ENOENT)
		return err;
	buf_reset(&b);
	encode_u64(&b, n->first);
	return kv_put(txn, KV_META, KEY(view(n->run, n->version)), buf_slice(&b));
}

int view_first_ino(struct store *store, uint32_t run, const struct version *version,
		   uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct numbering n = { .run = run, .version = version->id };
	int err = kv_get_one(store->kv, KV_META, KEY(view(run, version->id)), &b);

	if (err == 0)
		return decode_u64(buf_slice(&b), ret);
	if (err == -ENOENT)
		err = store_new_ids(store, ID_CONTENT_INO, version->nodes, &n.first);
	if (err == 0)
		err = kv_update(store->kv, KV_ORDERED, number_body, &n);
	if (err == 0)
		*ret = n.first;
	return err;
}

int view_knows(struct store *store, uint32_t run, const struct version *version)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_has(txn, KV_META, KEY(view(run, version->id)));
	if (more != 0)
		return more;
	more = kv_scan(txn, KV_META, KEY(prefix_pins(run, version->collection)), slice("", 0),
		       &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint64_t pinned;

		if (decode_u64(value, &pinned) == 0 && pinned == version->id)
			return 1;
	}
	return more;
}

int view_unpin(struct kv_txn *txn, uint32_t run, uint32_t collection)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_pins(run, collection)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		more = kv_del(txn, KV_META, key);
	return more;
}
