#include "run.h"

#include "console.h"
#include "directory.h"
#include "draft.h"
#include "run_event.h"

static const char *const state_names[] = {
	[RUN_RUNNING] = "running",
	[RUN_FINISHED] = "finished",
	[RUN_FAILED] = "failed",
	[RUN_CRASHED] = "crashed",
};

const char *run_state_name(enum run_state state)
{
	return state_names[state];
}

int run_state_parse(struct slice text, enum run_state *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (slice_equal(text, slice_str(state_names[i]))) {
			*ret = (enum run_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

int run_read(struct kv_txn *txn, uint32_t id, struct run *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(run(id)), &b);

	return err < 0 ? err : decode_run(buf_slice(&b), ret);
}

int run_write(struct kv_txn *txn, const struct run *run)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_run(&b, run);
	return kv_put(txn, KV_META, KEY(run(run->id)), buf_slice(&b));
}

int run_get(struct store *store, uint32_t id, struct run *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err = kv_begin(store->kv, KV_READ, &txn);

	return err < 0 ? err : run_read(txn, id, ret);
}

static int read_name(struct kv_txn *txn, struct slice name, uint32_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t id;
	int err = kv_get(txn, KV_META, KEY(run_name(name)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &id);
	if (err < 0)
		return err;
	*ret = (uint32_t)id;
	return 0;
}

int run_find(struct store *store, struct slice name, struct run *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	uint32_t id;
	int err;

	if (!name_valid(name))
		return -ENOENT;
	err = kv_begin(store->kv, KV_READ, &txn);
	if (err == 0)
		err = read_name(txn, name, &id);
	return err < 0 ? err : run_read(txn, id, ret);
}

int run_next_named(struct kv_txn *txn, struct key prefix, struct slice from, struct slice after,
		   struct buf *ret_name, struct buf *ret_value)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value, name;
	int more = kv_scan(txn, KV_META, key_slice(&prefix), from, &scan);

	if (more < 0)
		return more;
	while ((more = kv_next(scan, &key, &value)) > 0) {
		name = key_name_after(key, prefix.len);
		if (slice_equal(name, after))
			continue;
		buf_reset(ret_name);
		buf_add_slice(ret_name, name);
		buf_reset(ret_value);
		buf_add_slice(ret_value, value);
		return 1;
	}
	return more;
}

int run_next(struct store *store, struct slice after, uint32_t *ret_id, struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	uint64_t id;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix('r'), KEY(run_name(after)), after, ret_name,
				  &value);
	if (more <= 0)
		return more;
	if (decode_u64(buf_slice(&value), &id) < 0)
		return -EIO;
	*ret_id = (uint32_t)id;
	return 1;
}

struct new_run {
	struct store *store;
	struct run run;
};

static int create_body(struct kv_txn *txn, void *arg)
{
	const struct new_run *n = arg;
	const struct run *run = &n->run;
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct slice name = slice_str(run->name);
	int err = kv_has(txn, KV_META, KEY(run_name(name)));

	if (err != 0)
		return err < 0 ? err : -EEXIST;
	encode_u64(&b, run->id);
	err = kv_put(txn, KV_META, KEY(run_name(name)), buf_slice(&b));
	if (err == 0)
		err = run_write(txn, run);
	return err < 0 ? err : run_event_put(txn, n->store, run, EVENT_RUN_STARTED);
}

int run_create(struct store *store, struct slice name, uid_t uid, gid_t gid, mode_t mode,
	       uint32_t parent, uint32_t *ret_id)
{
	struct new_run n = { .store = store };
	uint64_t id;
	int err;

	if (!name_valid(name))
		return -EINVAL;
	err = store_new_ids(store, ID_RUN, 1, &id);
	if (err < 0)
		return err;
	n.run = (struct run){
		.id = (uint32_t)id,
		.name = xstrndup(name.data, name.len),
		.uid = uid,
		.gid = gid,
		.mode = mode & 0777,
		.created = store_now(),
		.next_slot = 1,
		.host = xcalloc(1, 256),
		.job_type = xstrdup(""),
		.parent = parent,
		.reason = xstrdup(""),
	};
	gethostname(n.run.host, 255);
	/*
	 * A directory without a record is swept away at the next start; a record without one gets
	 * another, empty.
	 */
	err = draft_area_make(store, (uint32_t)id);
	if (err == 0)
		err = kv_update(store->kv, KV_DURABLE, create_body, &n);
	run_release(&n.run);
	if (err < 0) {
		draft_area_unmake(store, (uint32_t)id);
		return err;
	}
	atomic_fetch_add(&store->run_generation, 1);
	*ret_id = (uint32_t)id;
	return 0;
}

struct remove_run {
	struct store *store;
	struct slice name;
	uint32_t id;
};

static int has_any(struct kv_txn *txn, struct key prefix)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);

	return more < 0 ? more : kv_next(scan, &key, &value);
}

/* What a run that did nothing may still have: processes, pins, its view, what was said of it. */
static int remove_rows(struct kv_txn *txn, uint32_t id)
{
	static const char kinds[] = { 'q', 'k', 'w', 'j', 'g' };
	int more = run_unwatch(txn, id);

	for (size_t i = 0; more >= 0 && i < ARRAY_SIZE(kinds); i++) {
		AUTO(kv_donep) struct kv_scan *scan = NULL;
		struct key prefix = key_prefix_id(kinds[i], id);
		struct slice key, value;

		more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);
		while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
			if (kinds[i] == 'g')
				more = kv_del(txn, KV_META,
					      KEY(tagged(key_name_after(key, prefix.len),
							 TAGGED_RUN, id)));
			if (more >= 0)
				more = kv_del(txn, KV_META, key);
		}
	}
	return more;
}

static int remove_body(struct kv_txn *txn, void *arg)
{
	static const char kinds[] = { 'i', 'e', 'o', 'd', 'f', 'a' };
	struct remove_run *r = arg;
	AUTO(run_release) struct run run = { 0 };
	uint32_t id;
	int err = read_name(txn, r->name, &id);

	/* Another run of that name by now. */
	if (err == 0 && id != r->id)
		err = -ENOENT;
	if (err == 0)
		err = run_read(txn, r->id, &run);
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(kinds); i++) {
		err = has_any(txn, key_prefix_id(kinds[i], r->id));
		if (err > 0)
			return -ENOTEMPTY;
	}
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(run_name(r->name)));
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(run(r->id)));
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(run_log(r->id)));
	if (err == 0 && run.job_type[0])
		err = kv_del(txn, KV_META, KEY(of_job(slice_str(run.job_type), r->id)));
	if (err == 0)
		err = remove_rows(txn, r->id);
	return err < 0 ? err : run_event_put(txn, r->store, &run, EVENT_RUN_REMOVED);
}

/* Nothing can enter the area between the look at it and its end. */
static int remove_with_area(struct store *store, struct draft_area *area, struct remove_run *r)
{
	int err = 0;

	EXCLUSIVE(&area->lock);
	if (area->phase != DRAFT_GONE)
		err = directory_any(area->fd, ".");
	if (err != 0)
		return err < 0 ? err : -ENOTEMPTY;
	err = kv_update(store->kv, KV_DURABLE, remove_body, r);
	if (err < 0) {
		draft_area_follow(area);
		return err;
	}
	area->phase = DRAFT_GONE;
	/* A directory without a run is removed at the next start. */
	draft_area_unmake(store, area->run);
	return 0;
}

int run_remove(struct store *store, struct slice name)
{
	struct remove_run r = { .store = store, .name = name };
	AUTO(run_release) struct run run = { 0 };
	struct draft_area *area;
	int err = run_find(store, name, &run);

	if (err < 0)
		return err;
	r.id = run.id;
	err = draft_area_get(store, run.id, &area);
	if (err == -ENOENT) {
		err = kv_update(store->kv, KV_DURABLE, remove_body, &r);
	} else if (err == 0) {
		err = remove_with_area(store, area, &r);
		draft_area_put(area);
	}
	if (err == 0)
		console_remove(store, run.id);
	return err;
}

struct run_change {
	struct store *store;
	uint32_t id;
	bool owner; /* change the owner, not the state */
	enum run_state state;
	const struct run_end *end;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static int change_owner(struct kv_txn *txn, const struct run_change *change, struct run *run)
{
	uid_t uid = change->uid == (uid_t)-1 ? run->uid : change->uid;
	gid_t gid = change->gid == (gid_t)-1 ? run->gid : change->gid;
	mode_t mode = change->mode == (mode_t)-1 ? run->mode : change->mode & 0777;
	int err;

	if (uid == run->uid && gid == run->gid && mode == run->mode)
		return 0;
	run->uid = uid;
	run->gid = gid;
	run->mode = mode;
	err = run_write(txn, run);
	return err < 0 ? err : event_put_owner(txn, change->store, run->name, NULL, uid, gid, mode);
}

static int change_body(struct kv_txn *txn, void *arg)
{
	const struct run_change *change = arg;
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, change->id, &run);

	if (err < 0)
		return err;
	if (change->owner)
		return change_owner(txn, change, &run);
	if (run.state == RUN_FINISHED)
		return -EROFS;
	if (run.state == change->state) {
		/* It was said before how the command ended, or is now. */
		if (run.state == RUN_RUNNING || !change->end)
			return 0;
		run_end_apply(&run, change->end);
		err = run_write(txn, &run);
		return err < 0 ? err : run_event_put(txn, change->store, &run, EVENT_RUN_ENDED);
	}
	/* What was taken for a crash may turn out to have been a failure, by who saw its end. */
	if (change->state != RUN_RUNNING && run.state != RUN_RUNNING &&
	    !(change->state == RUN_FAILED && change->end))
		return -EINVAL;
	run.state = change->state;
	run.ended = change->state == RUN_RUNNING ? 0 : store_now();
	run_end_apply(&run, change->state == RUN_RUNNING ? NULL : change->end);
	err = run_unwatch(txn, run.id);
	if (err == 0)
		err = run_write(txn, &run);
	return err < 0 ? err : run_event_put(txn, change->store, &run,
					     run.state == RUN_RUNNING ? EVENT_RUN_RESUMED :
									EVENT_RUN_ENDED);
}

int run_set_owner(struct store *store, uint32_t id, uid_t uid, gid_t gid, mode_t mode)
{
	struct run_change change = {
		.store = store, .id = id, .owner = true, .uid = uid, .gid = gid, .mode = mode,
	};
	int err = kv_update(store->kv, KV_DURABLE, change_body, &change);

	atomic_fetch_add(&store->run_generation, 1);
	return err;
}

int run_set_state(struct store *store, uint32_t id, enum run_state state)
{
	return run_set_ended(store, id, state, NULL);
}

int run_set_ended(struct store *store, uint32_t id, enum run_state state,
		  const struct run_end *end)
{
	struct run_change change = { .store = store, .id = id, .state = state, .end = end };
	struct draft_area *area;
	int err;

	if (state == RUN_FINISHED)
		return -EINVAL;
	err = draft_area_get(store, id, &area);
	if (err < 0)
		return err == -ENOENT ? -EROFS : err;
	pthread_rwlock_wrlock(&area->lock);
	err = area->phase == DRAFT_GONE ? -EROFS :
					  kv_update(store->kv, KV_DURABLE, change_body, &change);
	if (err == 0)
		area->phase = state == RUN_RUNNING ? DRAFT_OPEN : DRAFT_READONLY;
	else
		draft_area_follow(area);
	pthread_rwlock_unlock(&area->lock);
	if (err == 0 && state != RUN_RUNNING)
		draft_await_changes(area);
	draft_area_put(area);
	atomic_fetch_add(&store->run_generation, 1);
	return err;
}

int run_unwatch(struct kv_txn *txn, uint32_t id)
{
	return kv_del(txn, KV_META, KEY(watched(id)));
}

int run_draft_find(struct store *store, uint32_t id, struct slice name, struct draft *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = -ENOENT;

	if (name_valid(name))
		err = kv_get_one(store->kv, KV_META, KEY(draft(id, name)), &b);
	return err < 0 ? err : decode_draft(buf_slice(&b), ret);
}

int run_draft_next(struct store *store, uint32_t id, struct slice after, struct draft *ret,
		   struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix_id('d', id), KEY(draft(id, after)), after,
				  ret_name, &value);
	if (more <= 0)
		return more;
	return decode_draft(buf_slice(&value), ret) < 0 ? -EIO : 1;
}
