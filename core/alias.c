#include "alias.h"

#include "event.h"
#include "run.h"
#include "view.h"

int alias_name_check(struct slice name)
{
	const char *p = name.data;
	size_t digits = 1;

	if (!name_valid(name))
		return -EINVAL;
	if (slice_equal(name, slice_str("latest")))
		return -EPERM;
	if (slice_equal(name, slice_str("type")) || slice_equal(name, slice_str("description")))
		return -EEXIST;
	/* Also numbers that no version can have: who reads v007 takes it for one. */
	while (digits < name.len && p[digits] >= '0' && p[digits] <= '9')
		digits++;
	return p[0] == 'v' && name.len > 1 && digits == name.len ? -EINVAL : 0;
}

bool alias_may_change(const struct store *store, struct slice name, uid_t uid)
{
	const char *at = store->options.protected_aliases;

	if (uid == 0 || uid == geteuid())
		return true;
	while (at && *at) {
		size_t n = strcspn(at, " ");

		if (slice_equal(slice(at, n), name))
			return false;
		at += n + strspn(at + n, " ");
	}
	return true;
}

static int read_alias(struct kv_txn *txn, uint32_t collection, struct slice name,
		      struct alias *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(alias(collection, name)), &b);

	return err < 0 ? err : decode_alias(buf_slice(&b), ret);
}

static int write_alias(struct kv_txn *txn, uint32_t collection, struct slice name,
		       const struct alias *a)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err;

	encode_alias(&b, a);
	err = kv_put(txn, KV_META, KEY(alias(collection, name)), buf_slice(&b));
	return err < 0 ? err : kv_put(txn, KV_META, KEY(alias_of(a->version, name)), slice("", 0));
}

static int delete_alias(struct kv_txn *txn, uint32_t collection, struct slice name,
			const struct alias *a)
{
	int err = kv_del(txn, KV_META, KEY(alias(collection, name)));

	return err < 0 ? err : kv_del(txn, KV_META, KEY(alias_of(a->version, name)));
}

/* from or to may be NULL: it was made, or removed. */
static int put_event(struct kv_txn *txn, struct store *store, const struct collection *c,
		     struct slice name, const struct version *from, const struct version *to,
		     const char *run)
{
	const struct version *v = to ? to : from;
	AUTO(buf_release) struct buf label = BUF_INIT;
	autofree char *alias = xstrndup(name.data, name.len);
	autofree char *before = from ? xasprintf("v%u", from->number) : NULL;
	autofree char *after = to ? xasprintf("v%u", to->number) : NULL;

	version_label(&label, c->name, v->number);
	return event_put(txn, store, &(struct event){
		.kind = EVENT_ALIAS, .run = run, .object = buf_str(&label), .version = v->id,
		.details = { { "alias", alias }, { "from", before }, { "to", after } },
	});
}

/* Puts row under the name, in the place of old if there is one (version 0: none). */
static int place_alias(struct kv_txn *txn, struct store *store, const struct collection *c,
		       struct slice name, const struct alias *old, const struct alias *row,
		       const struct version *v, const char *run)
{
	struct version before;
	int err = 0;

	if (old->version && old->version != row->version) {
		err = version_read_by_id(txn, old->version, &before);
		if (err == 0)
			err = delete_alias(txn, c->id, name, old);
	}
	if (err == 0)
		err = write_alias(txn, c->id, name, row);
	/* Whoever removes the version at this moment has read its record. */
	if (err == 0)
		err = version_write(txn, v);
	if (err < 0 || old->version == row->version)
		return err;
	return put_event(txn, store, c, name, old->version ? &before : NULL, v, run);
}

int alias_put(struct kv_txn *txn, struct store *store, const struct collection *c,
	      struct slice name, const struct version *v, const char *run)
{
	struct alias old = { 0 }, row;
	uint64_t slot;
	int err = read_alias(txn, c->id, name, &old);

	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0 && old.version == v->id)
		return 0;
	slot = old.slot;
	err = err == -ENOENT ? store_new_ids(store, ID_ALIAS, 1, &slot) : 0;
	if (err < 0)
		return err;
	row = (struct alias){ .slot = (uint32_t)slot, .version = v->id, .moved = store_now() };
	return place_alias(txn, store, c, name, &old, &row, v, run);
}

int alias_of_version_any(struct kv_txn *txn, uint32_t version)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_id('m', version)), slice("", 0), &scan);

	return more < 0 ? more : kv_next(scan, &key, &value);
}

struct alias_change {
	struct store *store;
	uint32_t collection, version;
	struct slice name, new_name;
	bool keep;
};

static int set_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	const struct alias_change *change = arg;
	struct version v;
	int err = collection_read(txn, change->collection, &c);

	if (err == 0)
		err = version_read_by_id(txn, change->version, &v);
	if (err == 0 && (v.removed || v.purged || v.collection != c.id))
		err = -ENOENT;
	if (err == 0 && change->keep)
		err = kv_has(txn, KV_META, KEY(alias(c.id, change->name)));
	if (err != 0)
		return err < 0 ? err : -EEXIST;
	return alias_put(txn, change->store, &c, change->name, &v, NULL);
}

int alias_set(struct store *store, uint32_t collection, struct slice name, uint32_t version,
	      bool keep, const struct cred *cred)
{
	struct alias_change change = {
		.store = store, .collection = collection, .version = version, .name = name,
		.keep = keep,
	};
	int err = alias_name_check(name);

	if (err == 0 && !alias_may_change(store, name, cred->uid))
		err = -EPERM;
	return err < 0 ? err : kv_update(store->kv, KV_DURABLE, set_body, &change);
}

static int remove_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	const struct alias_change *change = arg;
	struct version v;
	struct alias a;
	int err = read_alias(txn, change->collection, change->name, &a);

	if (err == 0)
		err = collection_read(txn, change->collection, &c);
	if (err == 0)
		err = version_read_by_id(txn, a.version, &v);
	if (err == 0)
		err = delete_alias(txn, c.id, change->name, &a);
	return err < 0 ? err : put_event(txn, change->store, &c, change->name, &v, NULL, NULL);
}

int alias_remove(struct store *store, uint32_t collection, struct slice name,
		 const struct cred *cred)
{
	struct alias_change change = { .store = store, .collection = collection, .name = name };
	int err = alias_name_check(name);

	if (err == 0 && !alias_may_change(store, name, cred->uid))
		err = -EPERM;
	if (err < 0)
		return err == -EPERM ? err : -ENOENT;
	return kv_update(store->kv, KV_DURABLE, remove_body, &change);
}

/* The one goes, the other comes or moves: two events. */
static int rename_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	const struct alias_change *change = arg;
	struct alias a, old = { 0 };
	struct version v;
	int err = read_alias(txn, change->collection, change->name, &a);

	if (err < 0 || slice_equal(change->name, change->new_name))
		return err;
	err = read_alias(txn, change->collection, change->new_name, &old);
	if (err == 0 && change->keep)
		return -EEXIST;
	if (err == 0 || err == -ENOENT)
		err = collection_read(txn, change->collection, &c);
	if (err == 0)
		err = version_read_by_id(txn, a.version, &v);
	if (err == 0)
		err = delete_alias(txn, c.id, change->name, &a);
	if (err == 0)
		err = put_event(txn, change->store, &c, change->name, &v, NULL, NULL);
	a.moved = store_now();
	return err < 0 ? err : place_alias(txn, change->store, &c, change->new_name, &old, &a, &v,
					   NULL);
}

int alias_rename(struct store *store, uint32_t collection, struct slice name,
		 struct slice new_name, bool keep, const struct cred *cred)
{
	struct alias_change change = {
		.store = store, .collection = collection, .name = name, .new_name = new_name,
		.keep = keep,
	};
	int err = alias_name_check(name);

	if (err < 0)
		return err == -EPERM ? err : -ENOENT;
	err = alias_name_check(new_name);
	if (err == 0 && (!alias_may_change(store, name, cred->uid) ||
			 !alias_may_change(store, new_name, cred->uid)))
		err = -EPERM;
	return err < 0 ? err : kv_update(store->kv, KV_DURABLE, rename_body, &change);
}

int alias_find(struct store *store, uint32_t collection, struct slice name, struct alias *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = -ENOENT;

	if (name_valid(name))
		err = kv_get_one(store->kv, KV_META, KEY(alias(collection, name)), &b);
	return err < 0 ? err : decode_alias(buf_slice(&b), ret);
}

int alias_next(struct store *store, uint32_t collection, struct slice after, struct alias *ret,
	       struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix_id('A', collection),
				      KEY(alias(collection, after)), after, ret_name, &value);
	if (more <= 0)
		return more;
	return decode_alias(buf_slice(&value), ret) < 0 ? -EIO : 1;
}

int alias_of_version_next(struct store *store, uint32_t version, struct slice after,
			  struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	return more < 0 ? more : run_next_named(txn, key_prefix_id('m', version),
						KEY(alias_of(version, after)), after, ret_name,
						&value);
}

/* What of a reference is a version's name or an alias, in this collection. */
static int reference_in(const struct collection *c, struct slice target, struct slice *ret)
{
	struct reference ref;
	int err = reference_parse(target, &ref);

	if (err < 0)
		return err;
	if (!slice_equal(ref.artifact, slice_str(c->name)) || ref.path.len || ref.alias.len)
		return -EINVAL;
	*ret = ref.version;
	return 0;
}

int alias_resolve(struct store *store, uint32_t run, const struct collection *c,
		  struct slice target, struct version *ret)
{
	AUTO(buf_release) struct buf tidy = BUF_INIT, whole = BUF_INIT;
	struct slice name;
	uint32_t number;
	int err = 0;

	path_tidy(target, &tidy);
	name = buf_slice(&tidy);
	if (slice_starts(name, slice_str("../"))) {
		/* It starts in the collection, which is one of artifacts. */
		buf_printf(&whole, "artifacts%s", buf_str(&tidy) + 2);
		err = reference_in(c, buf_slice(&whole), &name);
		if (err == -EINVAL)
			err = reference_in(c, buf_slice(&tidy), &name);
	} else if (!name_valid(name)) {
		err = reference_in(c, name, &name);
	}
	if (err < 0)
		return err;
	if (version_name_parse(name, &number) == 0)
		return version_get(store, c->id, number, ret);
	return view_resolve(store, run, c->id, name, ret);
}
