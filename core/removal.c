#include "removal.h"

#include "alias.h"
#include "event.h"
#include "log.h"
#include "reap.h"

#include <stdio.h>

struct change {
	struct store *store;
	uint32_t id;
	uint64_t removed;	/* time */
	struct version version; /* as it became */
};

static int put_event(struct kv_txn *txn, struct store *store, enum event_kind kind,
		     const char *run, const struct collection *c, const struct version *v)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	char digest[sizeof("sha256:") + DIGEST_HEX_SIZE] = "sha256:";

	digest_to_hex(&v->digest, digest + strlen(digest));
	version_label(&label, c->name, v->number);
	return event_put(txn, store, &(struct event){
		.kind = kind, .run = run, .object = buf_str(&label), .version = v->id,
		.details = { { "digest", kind == EVENT_PURGED ? digest : NULL } },
	});
}

/* The caller writes the collection. -1: to none. */
static int move_latest(struct kv_txn *txn, struct store *store, struct collection *c, int64_t to,
		       const char *run)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	char before[24], after[24];

	version_label(&label, c->name, (uint32_t)(to < 0 ? c->latest : to));
	snprintf(before, sizeof(before), "v%lld", (long long)c->latest);
	snprintf(after, sizeof(after), "v%lld", (long long)to);
	if (c->latest == to)
		return 0;
	c->latest = to;
	return event_put(txn, store, &(struct event){
		.kind = EVENT_ALIAS, .run = run, .object = buf_str(&label),
		.details = { { "alias", "latest" },
			     { "from", before[1] == '-' ? NULL : before },
			     { "to", after[1] == '-' ? NULL : after } },
	});
}

/* ---- to the trash ---- */

/* The highest live number below `below` of those that share all but their last byte: or -1. */
static int highest_of_block(struct kv_txn *txn, uint32_t collection, uint32_t below, int64_t *ret)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_versions(collection, below - 1)), slice("", 0),
			   &scan);

	*ret = -1;
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint32_t number = key_u32_at(key, 5);

		if (number >= below)
			return 0;
		*ret = number;
	}
	return more;
}

/*
 * The highest live version below a number, -1 if there is none. Scans go upwards only, and over all
 * that was removed as well: so the next one down is tried, then block by block.
 */
static int highest_below(struct kv_txn *txn, uint32_t collection, uint32_t below, int64_t *ret)
{
	int64_t found = -1;
	int there = 0;

	if (below > 0)
		there = kv_has(txn, KV_META, KEY(version(collection, below - 1)));
	if (there > 0)
		found = below - 1;
	while (there == 0 && found < 0 && below > 0) {
		there = highest_of_block(txn, collection, below, &found);
		below = (below - 1) & ~0xffu;
	}
	/* Read by its key as well: who removes it meanwhile makes this run again. */
	if (there == 0 && found >= 0)
		there = kv_has(txn, KV_META, KEY(version(collection, (uint32_t)found)));
	if (there < 0)
		return there;
	*ret = found;
	return 0;
}

static int remove_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct change *change = arg;
	struct version v, gone;
	int64_t highest = -1;
	uint32_t below;
	int err = version_read_by_id(txn, change->id, &v);

	if (err == 0 && (v.removed || v.purged))
		err = -ENOENT;
	if (err == 0)
		err = alias_of_version_any(txn, v.id);
	if (err != 0)
		return err < 0 ? err : -EBUSY;
	err = collection_read(txn, v.collection, &c);
	if (err < 0)
		return err;
	gone = v;
	gone.removed = change->removed;
	err = version_move(txn, &v, &gone);
	if (err == 0)
		err = put_event(txn, change->store, EVENT_REMOVED, NULL, &c, &gone);
	if (err == 0 && c.latest == v.number) {
		/* Else it is the highest there is. */
		below = change->store->options.latest_on_equal ? c.next_number : v.number;
		err = highest_below(txn, c.id, below, &highest);
		if (err == 0)
			err = move_latest(txn, change->store, &c, highest, NULL);
		if (err == 0)
			err = collection_write(txn, &c);
	}
	change->version = gone;
	return err;
}

static int change_at(struct store *store, uint32_t version, uint64_t removed, kv_body *body)
{
	struct change change = { .store = store, .id = version, .removed = removed };
	/* As with a directory: a crash of the machine may undo it, nothing else does. */
	int err = kv_update(store->kv, KV_ORDERED, body, &change);

	if (err == 0)
		version_changed(store, &change.version);
	return err;
}

static int do_change(struct store *store, uint32_t version, kv_body *body)
{
	return change_at(store, version, store_now(), body);
}

int version_remove(struct store *store, uint32_t version)
{
	int err = do_change(store, version, remove_body);

	if (err == 0 && store->options.trash_seconds == 0)
		store_wake_janitor(store);
	return err;
}

int version_discard(struct store *store, uint32_t version)
{
	return change_at(store, version, store->opened_at, remove_body);
}

/* ---- and back ---- */

int version_put_back(struct kv_txn *txn, struct store *store, struct collection *c,
		     struct version *v, const char *run)
{
	struct version back = *v;
	int err;

	back.removed = 0;
	err = version_move(txn, v, &back);
	if (err < 0)
		return err;
	*v = back;
	err = put_event(txn, store, EVENT_RESTORED, run, c, v);
	if (err == 0 && c->latest < v->number)
		err = move_latest(txn, store, c, v->number, run);
	return err;
}

static int read_removed(struct kv_txn *txn, uint32_t id, struct version *ret)
{
	int err = version_read_by_id(txn, id, ret);

	return err == 0 && (!ret->removed || ret->purged) ? -ENOENT : err;
}

static int restore_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct change *change = arg;
	int err = read_removed(txn, change->id, &change->version);

	if (err == 0)
		err = collection_read(txn, change->version.collection, &c);
	if (err == 0)
		err = version_put_back(txn, change->store, &c, &change->version, NULL);
	return err < 0 ? err : collection_write(txn, &c);
}

int version_restore(struct store *store, uint32_t version)
{
	return do_change(store, version, restore_body);
}

/* ---- for good ---- */

/* Another version of the collection with the same content, not purged: 1, 0, -errno. */
static int find_twin(struct kv_txn *txn, const struct version *v, struct version *ret)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, KEY(prefix_page_refs(v->page)),
			   KEY(page_ref(v->page, REFERRER_VERSION, 0)), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		uint32_t id = (uint32_t)key_u64_at(key, 10);
		int err;

		if ((key_u64_at(key, 2) & 0xff) != REFERRER_VERSION)
			return 0;
		if (id == v->id)
			continue;
		err = version_read_by_id(txn, id, ret);
		if (err < 0 && err != -ENOENT)
			return err;
		if (err == 0 && ret->collection == v->collection && !ret->purged)
			return 1;
	}
	return more;
}

/* The content of a version that goes is found by its digest no more, or leads to another. */
static int drop_equal(struct kv_txn *txn, const struct version *v)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct version twin;
	uint64_t number;
	int err = kv_get(txn, KV_META, KEY(equal(v->collection, &v->digest)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &number);
	if (err < 0 || number != v->number)
		return err == -ENOENT ? 0 : err;
	err = find_twin(txn, v, &twin);
	if (err <= 0)
		return err < 0 ? err : kv_del(txn, KV_META, KEY(equal(v->collection, &v->digest)));
	buf_reset(&b);
	encode_u64(&b, twin.number);
	return kv_put(txn, KV_META, KEY(equal(v->collection, &v->digest)), buf_slice(&b));
}

static int purge_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct change *change = arg;
	struct version v, gone;
	int err = read_removed(txn, change->id, &v);

	if (err == 0)
		err = collection_read(txn, v.collection, &c);
	if (err == 0)
		err = drop_equal(txn, &v);
	if (err < 0)
		return err;
	gone = v;
	gone.purged = store_now();
	gone.page = 0;
	err = version_move(txn, &v, &gone);
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(page_ref(v.page, REFERRER_VERSION, v.id)));
	if (err == 0)
		err = reap_doom_page(txn, v.page);
	if (err == 0)
		err = put_event(txn, change->store, EVENT_PURGED, NULL, &c, &gone);
	change->version = gone;
	return err;
}

int version_purge(struct store *store, uint32_t version)
{
	/* Before the commit: who reads the version's content looks whether it is there. */
	atomic_store(&store->purges, true);
	return do_change(store, version, purge_body);
}

static int gone_next(struct store *store, char kind, struct key from, struct version *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix(kind)), key_slice(&from), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more <= 0)
		return more;
	return decode_version(value, ret) < 0 ? -EIO : 1;
}

int version_removed_next(struct store *store, uint32_t collection, int64_t number,
			 struct version *ret)
{
	return gone_next(store, 'X', key_removed(collection, (uint32_t)(number + 1)), ret);
}

int version_purged_next(struct store *store, uint32_t collection, int64_t number,
			struct version *ret)
{
	return gone_next(store, 'G', key_purged(collection, (uint32_t)(number + 1)), ret);
}

int version_purge_older(struct store *store, uint64_t before, const bool *stop)
{
	struct version v = { .collection = 0 };
	int more, count = 0, first = 0;

	for (int64_t number = -1; !__atomic_load_n(stop, __ATOMIC_RELAXED); number = v.number) {
		more = version_removed_next(store, v.collection, number, &v);
		if (more <= 0)
			return more < 0 ? more : first < 0 ? first : count;
		if (v.removed >= before || v.removed == store->opened_at)
			continue;
		more = version_purge(store, v.id);
		count += more == 0;
		/* It may have come back meanwhile. */
		if (more < 0 && more != -ENOENT && first == 0)
			first = log_errno(more, "purging what is in the trash");
	}
	return first < 0 ? first : count;
}

/* ---- who wants to know ---- */

void version_on_change(struct store *store, void (*changed)(void *arg, const struct version *v),
		       void *arg)
{
	EXCLUSIVE(&store->listener.lock);
	store->listener.changed = changed;
	store->listener.arg = arg;
}

void version_changed(struct store *store, const struct version *v)
{
	SHARED(&store->listener.lock);
	if (store->listener.changed)
		store->listener.changed(store->listener.arg, v);
}
