#include "index.h"

#include "run.h"
#include "viewer.h"

#include <stdio.h>

/* An answer under way. */
struct asking {
	struct kv_txn *txn;
	struct viewer viewer;
	enum index index;
};

static void asking_end(struct asking *a)
{
	viewer_release(&a->viewer);
	kv_abortp(&a->txn);
}

static int asking_begin(struct asking *a, struct store *store, enum index index,
			const struct cred *cred)
{
	*a = (struct asking){ .index = index };
	viewer_init(&a->viewer, cred);
	return kv_begin(store->kv, KV_READ, &a->txn);
}

static char row_kind(enum index index)
{
	static const char kinds[] = {
		[INDEX_TYPES] = 'Y', [INDEX_JOBS] = 'H', [INDEX_TAGS] = 'S',
	};

	return kinds[index];
}

void index_version_item(const struct version *v, const struct collection *c,
			struct index_item *ret)
{
	*ret = (struct index_item){ .kind = INDEX_VERSION, .id = v->id };
	snprintf(ret->name, sizeof(ret->name), "%s:v%u", c->name, v->number);
}

static int tag_slot(struct kv_txn *txn, struct slice key, uint32_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct tag tag;
	int err = kv_get(txn, KV_META, key, &b);

	if (err == 0)
		err = decode_tag(buf_slice(&b), &tag);
	if (err < 0)
		return err;
	*ret = tag.slot;
	return 1;
}

/* The three sorts of items: 1: the caller sees it; 0: not; -errno. */
static int look_at_collection(struct asking *a, uint32_t id, struct index_item *ret)
{
	const struct collection *c;
	int seen = viewer_collection(&a->viewer, a->txn, id, &c);

	if (seen <= 0)
		return seen;
	*ret = (struct index_item){ .kind = INDEX_COLLECTION, .id = id };
	snprintf(ret->name, sizeof(ret->name), "%s", c->name);
	return 1;
}

static int look_at_run(struct asking *a, uint32_t id, struct slice tag, struct index_item *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(a->txn, id, &run);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (!viewer_sees_run(&a->viewer, &run))
		return 0;
	*ret = (struct index_item){ .kind = INDEX_RUN, .id = id };
	snprintf(ret->name, sizeof(ret->name), "%s", run.name);
	return tag.len ? tag_slot(a->txn, KEY(run_tag(id, tag)), &ret->slot) : 1;
}

static int look_at_version(struct asking *a, uint32_t id, struct slice tag, struct index_item *ret)
{
	const struct collection *c;
	struct version v;
	int seen = viewer_version(&a->viewer, a->txn, id, &v, &c);

	if (seen <= 0)
		return seen;
	index_version_item(&v, c, ret);
	return tag_slot(a->txn, KEY(version_tag(id, tag)), &ret->slot);
}

/* What a row leads to; name is that in it. */
static int look(struct asking *a, struct slice name, struct slice key, struct index_item *ret)
{
	size_t head = 1 + name.len + 1; /* kind, name, 0 */

	if (a->index == INDEX_TYPES)
		return look_at_collection(a, key_u32_at(key, head), ret);
	if (a->index == INDEX_JOBS)
		return look_at_run(a, key_u32_at(key, head), slice("", 0), ret);
	if (key.len != head + 5)
		return -EIO;
	return ((const char *)key.data)[head] == TAGGED_RUN ?
		       look_at_run(a, key_u32_at(key, head + 1), name, ret) :
		       look_at_version(a, key_u32_at(key, head + 1), name, ret);
}

/*
 * The items of a name whose rows come after one (empty: all): how many, -errno. at becomes the last
 * row that was looked at.
 */
static int items(struct asking *a, struct slice name, struct buf *at, struct index_item *ret,
		 size_t max)
{
	AUTO(buf_release) struct buf from = BUF_INIT;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key prefix = key_prefix_named(row_kind(a->index), name);
	struct slice key, value;
	size_t n = 0;
	int more;

	buf_add_slice(&from, buf_slice(at));
	more = kv_scan(a->txn, KV_META, key_slice(&prefix), buf_slice(&from), &scan);
	while (more >= 0 && n < max && (more = kv_next(scan, &key, &value)) > 0) {
		if (slice_equal(key, buf_slice(&from)))
			continue;
		buf_reset(at);
		buf_add_slice(at, key);
		more = look(a, name, key, &ret[n]);
		n += more > 0;
	}
	return more < 0 ? more : (int)n;
}

int index_next(struct store *store, enum index index, struct slice name, const struct cred *cred,
	       struct buf *at, struct index_item *ret, size_t max)
{
	AUTO(asking_end) struct asking a;
	int err = asking_begin(&a, store, index, cred);

	if (err < 0)
		return err;
	return name_valid(name) ? items(&a, name, at, ret, max) : 0;
}

int index_has(struct store *store, enum index index, struct slice name, const struct cred *cred)
{
	AUTO(buf_release) struct buf at = BUF_INIT;
	struct index_item item;

	return index_next(store, index, name, cred, &at, &item, 1);
}

/* From a row on, the first name that has anything the caller sees. */
int index_next_name(struct store *store, enum index index, struct slice after,
		    const struct cred *cred, struct buf *ret)
{
	AUTO(asking_end) struct asking a;
	struct key prefix = key_prefix(row_kind(index));
	struct key from = after.len ? key_after_named(row_kind(index), after) : prefix;
	int more = asking_begin(&a, store, index, cred);

	while (more >= 0) {
		AUTO(kv_donep) struct kv_scan *scan = NULL;
		AUTO(buf_release) struct buf at = BUF_INIT;
		struct index_item item;
		struct slice key, value;

		more = kv_scan(a.txn, KV_META, key_slice(&prefix), key_slice(&from), &scan);
		if (more == 0)
			more = kv_next(scan, &key, &value);
		if (more <= 0)
			return more;
		buf_reset(ret);
		buf_add_slice(ret, key_named(key));
		more = items(&a, buf_slice(ret), &at, &item, 1);
		if (more > 0)
			return 1;
		from = key_after_named(row_kind(index), buf_slice(ret));
	}
	return more;
}

static int id_of(struct kv_txn *txn, struct slice key, uint32_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t id;
	int err = kv_get(txn, KV_META, key, &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &id);
	if (err == 0)
		*ret = (uint32_t)id;
	return err;
}

/* Of a label or name the row that would lead to it from here, and what it leads to. */
static int find_row(struct asking *a, struct slice name, const char *item, struct key *ret)
{
	const char *colon = strchr(item, ':');
	struct slice first = colon ? slice(item, (size_t)(colon - item)) : slice_str(item);
	bool run = !colon && a->index != INDEX_TYPES;
	uint32_t id = 0, number;
	struct version v;
	int err;

	if (!name_valid(first) || (colon && a->index != INDEX_TAGS))
		return -ENOENT;
	err = id_of(a->txn, run ? KEY(run_name(first)) : KEY(collection_name(first)), &id);
	if (err < 0)
		return err;
	if (a->index != INDEX_TAGS) {
		*ret = run ? key_of_job(name, id) : key_of_type(name, id);
		return 0;
	}
	if (run) {
		*ret = key_tagged(name, TAGGED_RUN, id);
		return 0;
	}
	if (!colon)
		return -ENOENT;
	err = version_name_parse(slice_str(colon + 1), &number);
	if (err == 0)
		err = version_read(a->txn, id, number, &v);
	if (err == 0)
		*ret = key_tagged(name, TAGGED_VERSION, v.id);
	return err;
}

int index_find(struct store *store, enum index index, struct slice name, const char *item,
	       const struct cred *cred, struct index_item *ret)
{
	AUTO(asking_end) struct asking a;
	struct key row;
	int there = asking_begin(&a, store, index, cred);

	if (there == 0)
		there = name_valid(name) ? find_row(&a, name, item, &row) : -ENOENT;
	if (there == 0)
		there = kv_has(a.txn, KV_META, key_slice(&row));
	if (there > 0)
		there = look(&a, name, key_slice(&row), ret);
	return there < 0 ? there : there > 0 ? 0 : -ENOENT;
}
