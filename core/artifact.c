#include "artifact.h"

#include "damage.h"
#include "event.h"
#include "log.h"
#include "text.h"
#include "tree.h"

#include <stdio.h>

bool cred_may(const struct cred *cred, uid_t uid, gid_t gid, mode_t mode, unsigned wanted)
{
	if (cred->uid == 0)
		return true;
	if (cred->uid == uid)
		return ((mode >> 6) & wanted) == wanted;
	if (cred->gid == gid || (cred->in_group && cred->in_group(cred, gid)))
		return ((mode >> 3) & wanted) == wanted;
	return (mode & wanted) == wanted;
}

static int read_id(struct kv_txn *txn, struct slice key, uint32_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t id;
	int err = kv_get(txn, KV_META, key, &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &id);
	if (err < 0)
		return err;
	*ret = (uint32_t)id;
	return 0;
}

int collection_read(struct kv_txn *txn, uint32_t id, struct collection *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(collection(id)), &b);

	return err < 0 ? err : decode_collection(buf_slice(&b), ret);
}

int collection_write(struct kv_txn *txn, const struct collection *c)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_collection(&b, c);
	return kv_put(txn, KV_META, KEY(collection(c->id)), buf_slice(&b));
}

int collection_add(struct kv_txn *txn, const struct collection *c)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct slice name = slice_str(c->name);
	int err = kv_has(txn, KV_META, KEY(collection_name(name)));

	if (err != 0)
		return err < 0 ? err : -EEXIST;
	encode_u64(&b, c->id);
	err = kv_put(txn, KV_META, KEY(collection_name(name)), buf_slice(&b));
	return err < 0 ? err : collection_write(txn, c);
}

int collection_get(struct store *store, uint32_t id, struct collection *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(store->kv, KV_READ, &txn);

	return err < 0 ? err : collection_read(txn, id, ret);
}

int collection_find(struct store *store, struct slice name, struct collection *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	uint32_t id;
	int err;

	if (!name_valid(name))
		return -ENOENT;
	err = kv_begin(store->kv, KV_READ, &txn);
	if (err == 0)
		err = read_id(txn, KEY(collection_name(name)), &id);
	return err < 0 ? err : collection_read(txn, id, ret);
}

int collection_next(struct store *store, struct slice after, uint32_t *ret_id, struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	uint64_t id;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('c')), KEY(collection_name(after)), &scan);
	while (more == 0) {
		more = kv_next(scan, &key, &value);
		if (more > 0 && slice_equal(key_name_after(key, 1), after))
			more = 0;
		else
			break;
	}
	if (more <= 0)
		return more;
	if (decode_u64(value, &id) < 0)
		return -EIO;
	*ret_id = (uint32_t)id;
	buf_reset(ret_name);
	buf_add_slice(ret_name, key_name_after(key, 1));
	return 1;
}

struct new_collection {
	struct store *store;
	struct collection c;
};

static int create_body(struct kv_txn *txn, void *arg)
{
	const struct new_collection *n = arg;
	int err = collection_add(txn, &n->c);

	return err < 0 ? err : event_put(txn, n->store, &(struct event){
		.kind = EVENT_COLLECTION_MADE, .object = n->c.name,
	});
}

int collection_create(struct store *store, struct slice name, uid_t uid, gid_t gid, mode_t mode,
		      uint32_t *ret_id)
{
	struct new_collection n = { .store = store };
	uint64_t id;
	int err;

	if (!name_valid(name))
		return -EINVAL;
	err = store_new_ids(store, ID_COLLECTION, 1, &id);
	if (err < 0)
		return err;
	n.c = (struct collection){
		.id = (uint32_t)id,
		.name = xstrndup(name.data, name.len),
		.type = xstrdup(""),
		.description = xstrdup(""),
		.uid = uid,
		.gid = gid,
		.mode = mode & 0777,
		.created = store_now(),
		.latest = -1,
	};
	err = kv_update(store->kv, KV_DURABLE, create_body, &n);
	collection_release(&n.c);
	if (err == 0)
		*ret_id = (uint32_t)id;
	return err;
}

struct remove_collection {
	struct store *store;
	struct slice name;
};

static int remove_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	const struct remove_collection *r = arg;
	uint32_t id;
	int err = read_id(txn, KEY(collection_name(r->name)), &id);

	if (err == 0)
		err = collection_read(txn, id, &c);
	if (err < 0)
		return err;
	/* A number is never used twice, so a collection that had versions keeps its counter. */
	if (c.next_number > 0)
		return -ENOTEMPTY;
	err = kv_del(txn, KV_META, KEY(collection_name(r->name)));
	if (err == 0 && c.type[0])
		err = kv_del(txn, KV_META, KEY(of_type(slice_str(c.type), id)));
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(collection(id)));
	return err < 0 ? err : event_put(txn, r->store, &(struct event){
		.kind = EVENT_COLLECTION_REMOVED, .object = c.name,
	});
}

int collection_remove(struct store *store, struct slice name)
{
	struct remove_collection r = { store, name };

	return name_valid(name) ? kv_update(store->kv, KV_DURABLE, remove_body, &r) : -ENOENT;
}

int collection_put_type(struct kv_txn *txn, struct store *store, struct collection *c,
			struct slice type, const char *run)
{
	struct slice old = slice_str(c->type);
	struct text_change change = { .what = "type", .run = run, .object = c->name,
				      .from = old, .to = type, .line = true };
	int err = 0;

	if (slice_equal(old, type))
		return 0;
	if (old.len)
		err = kv_del(txn, KV_META, KEY(of_type(old, c->id)));
	if (err == 0 && type.len)
		err = kv_put(txn, KV_META, KEY(of_type(type, c->id)), slice("", 0));
	if (err == 0)
		err = text_changed(txn, store, &change);
	if (err < 0)
		return err;
	free(c->type);
	c->type = xstrndup(type.data, type.len);
	return 0;
}

static int put_description(struct kv_txn *txn, struct store *store, struct collection *c,
			   struct slice text)
{
	struct text_change change = { .what = "description", .object = c->name,
				      .from = slice_str(c->description), .to = text,
				      .line = true };
	int err;

	if (slice_equal(change.from, text))
		return 0;
	err = text_changed(txn, store, &change);
	if (err < 0)
		return err;
	free(c->description);
	c->description = xstrndup(text.data, text.len);
	return 0;
}

struct collection_saying {
	struct store *store;
	uint32_t id;
	enum collection_text which;
	struct slice text;
};

static int say_body(struct kv_txn *txn, void *arg)
{
	const struct collection_saying *say = arg;
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_read(txn, say->id, &c);

	if (err < 0)
		return err;
	err = say->which == COLLECTION_TYPE ?
		      collection_put_type(txn, say->store, &c, say->text, NULL) :
		      put_description(txn, say->store, &c, say->text);
	return err < 0 ? err : collection_write(txn, &c);
}

int collection_set_text(struct store *store, uint32_t id, enum collection_text which,
			struct slice text)
{
	struct collection_saying say = { store, id, which, { 0 } };
	const char *p = text.data;

	if (text.len > 0 && p[text.len - 1] == '\n')
		text.len--;
	if (text.len > TEXT_NOTE_MAX)
		return -EFBIG;
	if (memchr(text.len ? p : "", '\0', text.len))
		return -EINVAL;
	if (which == COLLECTION_TYPE && text.len > 0 && !name_valid(text))
		return -EINVAL;
	say.text = text.len ? text : slice("", 0);
	return kv_update(store->kv, KV_DURABLE, say_body, &say);
}

struct collection_change {
	struct store *store;
	uint32_t id;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static int change_owner(struct kv_txn *txn, const struct collection_change *change,
			struct collection *c)
{
	uid_t uid = change->uid == (uid_t)-1 ? c->uid : change->uid;
	gid_t gid = change->gid == (gid_t)-1 ? c->gid : change->gid;
	mode_t mode = change->mode == (mode_t)-1 ? c->mode : change->mode & 0777;
	int err;

	if (uid == c->uid && gid == c->gid && mode == c->mode)
		return 0;
	c->uid = uid;
	c->gid = gid;
	c->mode = mode;
	err = collection_write(txn, c);
	return err < 0 ? err : event_put_owner(txn, change->store, NULL, c->name, uid, gid, mode);
}

static int change_body(struct kv_txn *txn, void *arg)
{
	const struct collection_change *change = arg;
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_read(txn, change->id, &c);

	if (err < 0)
		return err;
	return change_owner(txn, change, &c);
}

int collection_set_owner(struct store *store, uint32_t id, uid_t uid, gid_t gid, mode_t mode)
{
	struct collection_change change = {
		.store = store, .id = id, .uid = uid, .gid = gid, .mode = mode,
	};

	return kv_update(store->kv, KV_DURABLE, change_body, &change);
}

static int read_at(struct kv_txn *txn, struct slice key, struct version *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, key, &b);

	return err < 0 ? err : decode_version(buf_slice(&b), ret);
}

int version_read(struct kv_txn *txn, uint32_t collection, uint32_t number, struct version *ret)
{
	return read_at(txn, KEY(version(collection, number)), ret);
}

int version_read_any(struct kv_txn *txn, uint32_t collection, uint32_t number, struct version *ret)
{
	int err = version_read(txn, collection, number, ret);

	if (err == -ENOENT)
		err = read_at(txn, KEY(removed(collection, number)), ret);
	return err == -ENOENT ? read_at(txn, KEY(purged(collection, number)), ret) : err;
}

static struct key key_of_version(const struct version *v)
{
	if (v->purged)
		return key_purged(v->collection, v->number);
	return v->removed ? key_removed(v->collection, v->number) :
			    key_version(v->collection, v->number);
}

int version_write(struct kv_txn *txn, const struct version *v)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct key key = key_of_version(v);

	encode_version(&b, v);
	return kv_put(txn, KV_META, key_slice(&key), buf_slice(&b));
}

int version_move(struct kv_txn *txn, const struct version *from, const struct version *to)
{
	struct key old = key_of_version(from);
	int err = kv_del(txn, KV_META, key_slice(&old));

	return err < 0 ? err : version_write(txn, to);
}

int version_read_by_id(struct kv_txn *txn, uint32_t id, struct version *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t collection, number;
	int err = kv_get(txn, KV_META, KEY(version_id(id)), &b);

	if (err == 0)
		err = decode_place(buf_slice(&b), &collection, &number);
	return err < 0 ? err : version_read_any(txn, collection, number, ret);
}

int version_get(struct store *store, uint32_t collection, uint32_t number, struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(store->kv, KV_READ, &txn);

	return err < 0 ? err : version_read(txn, collection, number, ret);
}

int version_get_any(struct store *store, uint32_t collection, uint32_t number,
		    struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(store->kv, KV_READ, &txn);

	return err < 0 ? err : version_read_any(txn, collection, number, ret);
}

int version_get_by_id(struct store *store, uint32_t id, struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(store->kv, KV_READ, &txn);

	return err < 0 ? err : version_read_by_id(txn, id, ret);
}

int version_next_many(struct store *store, uint32_t collection, int64_t after,
		      struct version *ret, size_t max)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	size_t n = 0;
	int more;

	if (after >= UINT32_MAX - 1)
		return 0;
	more = kv_begin(store->kv, KV_READ, &txn);
	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix_id('V', collection)),
			       KEY(version(collection, (uint32_t)(after + 1))), &scan);
	while (more >= 0 && n < max && (more = kv_next(scan, &key, &value)) > 0)
		if (decode_version(value, &ret[n++]) < 0)
			return -EIO;
	return more < 0 ? more : (int)n;
}

int version_next(struct store *store, uint32_t collection, int64_t after, struct version *ret)
{
	struct version v;
	int more = version_next_many(store, collection, after, &v, 1);

	if (more > 0)
		*ret = v;
	return more;
}

void version_label(struct buf *b, const char *collection, uint32_t number)
{
	buf_printf(b, "%s:v%u", collection, number);
}

void version_path(struct buf *b, const char *collection, const struct version *v)
{
	buf_printf(b, "%s/%s%cv%u", version_in_trash(v) ? "trash" : "artifacts", collection,
		   version_in_trash(v) ? ':' : '/', v->number);
}

const char *version_state_name(const struct version *v)
{
	return v->purged ? "purged" : v->removed ? "removed" : "live";
}

int version_find_label(struct store *store, const char *label, struct version *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	const char *colon = strchr(label, ':');
	uint32_t number;
	int err;

	if (!colon)
		return -ENOENT;
	err = version_name_parse(slice_str(colon + 1), &number);
	if (err == 0)
		err = collection_find(store, slice(label, (size_t)(colon - label)), &c);
	if (err == 0)
		err = kv_begin(store->kv, KV_READ, &txn);
	return err < 0 ? err : version_read_any(txn, c.id, number, ret);
}

char *version_collection_name(struct store *store, const struct version *v)
{
	AUTO(collection_release) struct collection c = { 0 };

	return collection_get(store, v->collection, &c) < 0 ? xstrdup("") : steal(c.name);
}

int alias_read(struct kv_txn *txn, uint32_t collection, struct slice alias, struct version *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct alias a;
	int err = collection_read(txn, collection, &c);

	if (err < 0)
		return err;
	if (slice_equal(alias, slice_str("latest")))
		return c.latest < 0 ? -ENOENT :
				      version_read(txn, collection, (uint32_t)c.latest, ret);
	if (!name_valid(alias))
		return -ENOENT;
	err = kv_get(txn, KV_META, KEY(alias(collection, alias)), &b);
	if (err == 0)
		err = decode_alias(buf_slice(&b), &a);
	return err < 0 ? err : version_read_by_id(txn, a.version, ret);
}

static int resolve_name(struct store *store, uint32_t collection, struct slice name,
			struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	uint32_t number;
	int err = kv_begin(store->kv, KV_READ, &txn);

	if (err < 0)
		return err;
	if (version_name_parse(name, &number) == 0)
		return version_read(txn, collection, number, ret);
	return alias_read(txn, collection, name, ret);
}

int reference_resolve(struct store *store, const struct reference *ref, struct version *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	struct tree_entry e;
	int err = collection_find(store, ref->artifact, &c);

	if (err == 0)
		err = resolve_name(store, c.id, ref->version, &v);
	if (err == 0 && ref->path.len > 0) {
		err = tree_find_path(store->kv, v.page, ref->path, &e);
		if (err == 0)
			tree_entry_release(&e);
	}
	if (err < 0)
		return err;
	*ret = v;
	return 0;
}

/*
 * Small ones are read whole anyway, so they are compared with their digest. -EBADMSG: it is bad,
 * which has been told.
 */
static int open_verified(struct store *store, const struct blob_id *id, uint64_t size,
			 struct blob **ret)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	int err = blob_open(store->blobs, id, size, &blob);

	if (err == 0 && size <= BLOB_PACK_MAX) {
		err = damage_verify_small(blob, &id->digest);
		if (err == -EIO)
			damage_tell(store, id, "other bytes are there");
	} else if (err == -ENOENT || err == -EIO) {
		damage_tell(store, id, "they are not there");
	}
	if (err == 0)
		*ret = steal(blob);
	return err == -ENOENT || err == -EIO ? -EBADMSG : err;
}

static int blob_row_of(struct store *store, const struct digest *digest, struct blob_row *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get_one(store->kv, KV_META, KEY(blob(digest)), &b);

	return err < 0 ? err : decode_blob_row(buf_slice(&b), ret);
}

int artifact_open_blob(struct store *store, const struct digest *digest, struct blob **ret)
{
	char hex[DIGEST_HEX_SIZE + 1];
	struct blob_row row, now;
	int err = blob_row_of(store, digest, &row);

	while (err == 0) {
		/* Which has been told. */
		if (damage_is(store, digest))
			return -EIO;
		err = open_verified(store, &(struct blob_id){ *digest, row.generation }, row.size,
				    ret);
		if (err != -EBADMSG)
			break;
		/* A good copy may have taken its place meanwhile. */
		if (blob_row_of(store, digest, &now) < 0 || now.generation == row.generation)
			return -EIO;
		row = now;
		err = 0;
	}
	if (err == -EMFILE || err == -ENFILE || err == 0)
		return err;
	digest_to_hex(digest, hex);
	log_errno(err, "the bytes %s of a version cannot be opened", hex);
	return -EIO;
}

mode_t version_directory_mode(const struct version *v)
{
	mode_t readable = v->mode & 0444;

	return readable | readable >> 2;
}

mode_t version_file_mode(const struct version *v, bool executable)
{
	mode_t readable = v->mode & 0444;

	return executable ? readable | readable >> 2 : readable;
}
