/*
 * run_input.c - what runs declare as their inputs: roles, and the edges of those.
 */
#include "run.h"

#include "run_event.h"
#include "view.h"

static int input_read(struct kv_txn *txn, uint32_t id, struct slice role, struct input *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(input(id, role)), &b);

	return err < 0 ? err : decode_input(buf_slice(&b), ret);
}

static int input_write(struct kv_txn *txn, uint32_t id, struct slice role, const struct input *in)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_input(&b, in);
	return kv_put(txn, KV_META, KEY(input(id, role)), buf_slice(&b));
}

struct input_change {
	struct store *store;
	uint32_t id;
	struct slice role, new_role;
	struct slice alias; /* that the run is to see the version behind, or empty */
	struct input input;
	bool keep;
	bool own; /* found: the run logged the version itself */
};

/* The run, which must be running; its record guards the roles as a set. */
static int running(struct kv_txn *txn, uint32_t id, struct run *ret)
{
	int err = run_read(txn, id, ret);

	if (err == 0 && ret->state != RUN_RUNNING)
		err = -EROFS;
	return err < 0 ? err : run_write(txn, ret);
}

static int drop_role(struct kv_txn *txn, uint32_t id, struct slice role, uint32_t version);

/* Makes room for a role: 1 if it says that already, 0, -errno. */
static int replace_role(struct kv_txn *txn, const struct input_change *c, const struct run *run)
{
	AUTO(input_release) struct input old = { 0 };
	int err = input_read(txn, c->id, c->role, &old);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (c->keep)
		return -EEXIST;
	if (old.version == c->input.version)
		return !strcmp(old.path, c->input.path);
	err = drop_role(txn, c->id, c->role, old.version);
	return err < 0 ? err : input_event_put(txn, c->store, run, &(struct input_event){
		.kind = EVENT_INPUT_REMOVED, .role = c->role, .version = old.version,
	});
}

static int declare_body(struct kv_txn *txn, void *arg)
{
	struct input_change *c = arg;
	AUTO(run_release) struct run run = { 0 };
	struct edge edge = { .flags = EDGE_DECLARED };
	struct version v;
	int err = running(txn, c->id, &run);

	if (err == 0)
		err = kv_has(txn, KV_META, KEY(logged(c->id, c->input.version)));
	c->own = err > 0;
	if (err == 0)
		err = replace_role(txn, c, &run);
	if (err != 0)
		return err < 0 ? err : c->own ? -EINVAL : 0;
	/* Read again here: it may have been removed since the reference was resolved. */
	err = version_read_by_id(txn, c->input.version, &v);
	if (err == 0)
		err = store_new_ids(c->store, ID_SEQUENCE, 1, &edge.sequence);
	if (err < 0)
		return err;
	edge.first = edge.last = store_now();
	c->input.slot = run.next_slot++;
	err = edge_add_use(txn, c->id, v.id, &edge);
	if (err == 0 && c->alias.len > 0)
		err = view_pin(txn, c->id, c->alias, &v);
	if (err == 0)
		err = run_write(txn, &run);
	if (err == 0)
		err = input_write(txn, c->id, c->role, &c->input);
	return err < 0 ? err : input_event_put(txn, c->store, &run, &(struct input_event){
		.kind = EVENT_INPUT, .how = "declared", .role = c->role, .path = c->input.path,
		.version = v.id,
	});
}

/* Nobody sees why a link cannot be made: `log` says it. */
static void refuse_own(const struct input_change *c, struct slice reference)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_printf(&text, "error: inputs/%.*s: EINVAL: the run has logged this itself: %.*s\n",
		   (int)c->role.len, (const char *)c->role.data,
		   (int)(reference.len < 200 ? reference.len : 200), (const char *)reference.data);
	run_log_write(c->store, c->id, buf_slice(&text));
}

/*
 * May the caller see what it refers to? Asked before what a collection or a version holds is looked
 * up: what is there and what is not is seen by those alone who may enter.
 */
static int may_refer(struct store *store, const struct reference *ref, const struct cred *cred)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct reference whole = *ref;
	struct version v;
	int err = collection_find(store, ref->artifact, &c);

	if (err < 0)
		return err;
	if (!cred_may(cred, c.uid, c.gid, c.mode, 1))
		return -EACCES;
	whole.path = slice("", 0);
	err = reference_resolve(store, &whole, &v);
	if (err < 0)
		return err;
	return cred_may(cred, v.uid, v.gid, version_directory_mode(&v), 4) ? 0 : -EACCES;
}

/* What of a run the reference, which was tidied, leads to: its path is a slice of that. */
static int resolve_input(struct store *store, uint32_t id, struct slice tidy,
			 const struct cred *cred, struct reference *ret_ref, struct version *ret)
{
	int err = reference_parse(tidy, ret_ref);

	if (err == 0)
		err = may_refer(store, ret_ref, cred);
	if (err == 0)
		err = view_resolve_reference(store, id, ret_ref, ret);
	if (err == 0 && !cred_may(cred, ret->uid, ret->gid, version_directory_mode(ret), 4))
		err = -EACCES;
	return err == -ENOTDIR ? -ENOENT : err;
}

int run_input_resolve(struct store *store, uint32_t id, struct slice reference,
		      const struct cred *cred, struct version *ret, struct buf *ret_path)
{
	AUTO(buf_release) struct buf tidy = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	struct reference ref;
	int err = run_get(store, id, &run);

	path_tidy(reference, &tidy);
	if (err == 0 && run.state != RUN_RUNNING)
		err = -EROFS;
	if (err == 0)
		err = resolve_input(store, id, buf_slice(&tidy), cred, &ref, ret);
	if (err == 0 && ref.path.len) {
		buf_add_char(ret_path, '/');
		buf_add_slice(ret_path, ref.path);
	}
	return err;
}

int run_declare_input(struct store *store, uint32_t id, struct slice role, struct slice reference,
		      const struct cred *cred)
{
	return run_set_input(store, id, role, reference, true, cred);
}

int run_set_input(struct store *store, uint32_t id, struct slice role, struct slice reference,
		  bool keep, const struct cred *cred)
{
	struct input_change c = { .store = store, .id = id, .role = role, .keep = keep };
	AUTO(buf_release) struct buf tidy = BUF_INIT;
	struct reference ref;
	struct version v;
	int err;

	if (!name_valid(role))
		return -EINVAL;
	path_tidy(reference, &tidy);
	err = resolve_input(store, id, buf_slice(&tidy), cred, &ref, &v);
	if (err < 0)
		return err;
	c.input.version = v.id;
	c.alias = ref.alias;
	c.input.path = ref.path.len ? xasprintf("/%.*s", (int)ref.path.len,
						(const char *)ref.path.data) :
				      xstrdup("");
	err = kv_update(store->kv, KV_DURABLE, declare_body, &c);
	if (err == -EINVAL && c.own)
		refuse_own(&c, reference);
	if (err == 0)
		edges_changed(store, id);
	input_release(&c.input);
	return err;
}

/* Takes a role away, and its edge if no other role of the run declares it. */
static int drop_role(struct kv_txn *txn, uint32_t id, struct slice role, uint32_t version)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key prefix = key_prefix_id('i', id);
	struct slice key, value;
	bool other = false;
	int more = kv_del(txn, KV_META, KEY(input(id, role)));

	if (more == 0)
		more = kv_scan(txn, KV_META, key_slice(&prefix), slice("", 0), &scan);
	if (more < 0)
		return more;
	while (!other && (more = kv_next(scan, &key, &value)) > 0) {
		AUTO(input_release) struct input in = { 0 };

		if (decode_input(value, &in) < 0)
			return -EIO;
		other = in.version == version && !slice_equal(key_name_after(key, 5), role);
	}
	if (more < 0 || other)
		return more < 0 ? more : 0;
	return edge_remove_declared(txn, id, version);
}

static int remove_input_body(struct kv_txn *txn, void *arg)
{
	struct input_change *c = arg;
	AUTO(run_release) struct run run = { 0 };
	AUTO(input_release) struct input in = { 0 };
	int err = running(txn, c->id, &run);

	if (err == 0)
		err = input_read(txn, c->id, c->role, &in);
	if (err == 0)
		err = drop_role(txn, c->id, c->role, in.version);
	return err < 0 ? err : input_event_put(txn, c->store, &run, &(struct input_event){
		.kind = EVENT_INPUT_REMOVED, .role = c->role, .version = in.version,
	});
}

int run_remove_input(struct store *store, uint32_t id, struct slice role)
{
	struct input_change c = { .store = store, .id = id, .role = role };

	int err = kv_update(store->kv, KV_DURABLE, remove_input_body, &c);

	if (err == 0)
		edges_changed(store, id);
	return err;
}

static int rename_input_body(struct kv_txn *txn, void *arg)
{
	struct input_change *c = arg;
	AUTO(run_release) struct run run = { 0 };
	AUTO(input_release) struct input in = { 0 }, old = { 0 };
	int err = running(txn, c->id, &run);

	if (err == 0)
		err = input_read(txn, c->id, c->role, &in);
	if (err < 0 || slice_equal(c->role, c->new_role))
		return err;
	err = input_read(txn, c->id, c->new_role, &old);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0) {
		if (c->keep)
			return -EEXIST;
		err = drop_role(txn, c->id, c->new_role, old.version);
		if (err == 0)
			err = input_event_put(txn, c->store, &run, &(struct input_event){
				.kind = EVENT_INPUT_REMOVED, .role = c->new_role,
				.version = old.version,
			});
		if (err < 0)
			return err;
	}
	/* The edge was of the moved role: it stays, whatever drop_role() made of the old name. */
	err = kv_del(txn, KV_META, KEY(input(c->id, c->role)));
	if (err == 0)
		err = input_write(txn, c->id, c->new_role, &in);
	return err < 0 ? err : input_event_put(txn, c->store, &run, &(struct input_event){
		.kind = EVENT_INPUT_RENAMED, .role = c->role, .new_role = c->new_role,
		.version = in.version,
	});
}

int run_rename_input(struct store *store, uint32_t id, struct slice role, struct slice new_role,
		     bool keep)
{
	struct input_change c = {
		.store = store, .id = id, .role = role, .new_role = new_role, .keep = keep,
	};

	int err;

	if (!name_valid(new_role))
		return -EINVAL;
	err = kv_update(store->kv, KV_DURABLE, rename_input_body, &c);
	if (err == 0)
		edges_changed(store, id);
	return err;
}

int run_input_find(struct store *store, uint32_t id, struct slice role, struct input *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int err;

	if (!name_valid(role))
		return -ENOENT;
	err = kv_begin(store->kv, KV_READ, &txn);
	return err < 0 ? err : input_read(txn, id, role, ret);
}

int run_input_next(struct store *store, uint32_t id, struct slice after, struct input *ret,
		   struct buf *ret_role)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix_id('i', id), KEY(input(id, after)), after,
				  ret_role, &value);
	if (more <= 0)
		return more;
	return decode_input(buf_slice(&value), ret) < 0 ? -EIO : 1;
}
