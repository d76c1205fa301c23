#include "run_note.h"

static const char *const json_keys[] = { [RUN_CONFIG] = "config", [RUN_METADATA] = "metadata" };

struct note {
	struct store *store;
	uint32_t id;
	struct slice text; /* or a tag */
	enum run_json which;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int job_type_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, note->id, &run);

	if (err < 0)
		return err;
	free(run.job_type);
	run.job_type = xstrndup(note->text.data, note->text.len);
	return run_write(txn, &run);
}

int run_set_job_type(struct store *store, uint32_t id, struct slice text)
{
	const char *p = text.data;
	struct note note = { store, id, text, 0 };

	while (text.len > 0 && is_blank(p[text.len - 1]))
		text.len--;
	while (text.len > 0 && is_blank(*p)) {
		p++;
		text.len--;
	}
	if (text.len > 0 && !name_valid(slice(p, text.len)))
		return -EINVAL;
	note.text = slice(p, text.len);
	return kv_update(store->kv, KV_DURABLE, job_type_body, &note);
}

int run_json_read(struct store *store, uint32_t id, enum run_json which, struct buf *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get_one(store->kv, KV_META, KEY(run_json(id, slice_str(json_keys[which]))),
			     &b);

	if (err == 0)
		buf_add_slice(ret, buf_slice(&b));
	return err == -ENOENT ? 0 : err;
}

static int json_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, note->id, &run);

	if (err == 0 && run.state == RUN_FINISHED)
		err = -EROFS;
	if (err < 0)
		return err;
	return kv_put(txn, KV_META, KEY(run_json(note->id, slice_str(json_keys[note->which]))),
		      note->text);
}

int run_json_write(struct store *store, uint32_t id, enum run_json which, struct slice text)
{
	struct note note = { store, id, text, which };

	return kv_update(store->kv, KV_DURABLE, json_body, &note);
}

static int add_tag_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(run_release) struct run run = { 0 };
	struct tag tag = { .created = store_now() };
	int err = run_read(txn, note->id, &run);

	if (err == 0)
		err = kv_has(txn, KV_META, KEY(run_tag(note->id, note->text)));
	if (err != 0)
		return err < 0 ? err : -EEXIST;
	tag.slot = run.next_slot++;
	encode_tag(&b, &tag);
	err = kv_put(txn, KV_META, KEY(run_tag(note->id, note->text)), buf_slice(&b));
	return err < 0 ? err : run_write(txn, &run);
}

int run_tag_add(struct store *store, uint32_t id, struct slice tag)
{
	struct note note = { store, id, tag, 0 };

	if (!name_valid(tag))
		return -EINVAL;
	return kv_update(store->kv, KV_DURABLE, add_tag_body, &note);
}

static int remove_tag_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	int there = kv_has(txn, KV_META, KEY(run_tag(note->id, note->text)));

	if (there <= 0)
		return there < 0 ? there : -ENOENT;
	return kv_del(txn, KV_META, KEY(run_tag(note->id, note->text)));
}

int run_tag_remove(struct store *store, uint32_t id, struct slice tag)
{
	struct note note = { store, id, tag, 0 };

	if (!name_valid(tag))
		return -ENOENT;
	return kv_update(store->kv, KV_DURABLE, remove_tag_body, &note);
}

int run_tag_find(struct store *store, uint32_t id, struct slice tag, struct tag *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = -ENOENT;

	if (name_valid(tag))
		err = kv_get_one(store->kv, KV_META, KEY(run_tag(id, tag)), &b);
	return err < 0 ? err : decode_tag(buf_slice(&b), ret);
}

int run_tag_next(struct store *store, uint32_t id, struct slice after, struct tag *ret,
		 struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix_id('g', id), KEY(run_tag(id, after)), after,
				      ret_name, &value);
	if (more <= 0)
		return more;
	return decode_tag(buf_slice(&value), ret) < 0 ? -EIO : 1;
}
