#include "run_note.h"

#include "text.h"

static const struct {
	const char *key, *file;
	bool note;	    /* any text, not JSON */
	bool until_the_end; /* of the run: written later it would not be true */
} texts[] = {
	[RUN_CONFIG] = { "config", "config.json", false, true },
	[RUN_METADATA] = { "metadata", "metadata.json", false, true },
	[RUN_SUMMARY] = { "summary", "summary.json", false, false },
	[RUN_NOTES] = { "notes", "notes", true, false },
};

struct note {
	struct store *store;
	uint32_t id;
	struct slice text; /* or a tag */
	enum run_text which;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int job_type_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	AUTO(run_release) struct run run = { 0 };
	struct slice old;
	int err = run_read(txn, note->id, &run);

	if (err < 0)
		return err;
	old = slice_str(run.job_type);
	if (slice_equal(old, note->text))
		return 0;
	if (old.len)
		err = kv_del(txn, KV_META, KEY(of_job(old, run.id)));
	if (err == 0 && note->text.len)
		err = kv_put(txn, KV_META, KEY(of_job(note->text, run.id)), slice("", 0));
	if (err == 0)
		err = text_changed(txn, note->store, &(struct text_change){
			.what = "job_type", .run = run.name, .from = old, .to = note->text,
			.line = true });
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

static struct key key_of(uint32_t run, enum run_text which)
{
	return key_run_json(run, slice_str(texts[which].key));
}

int run_text_read(struct store *store, uint32_t id, enum run_text which, struct buf *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct key key = key_of(id, which);
	int err = kv_get_one(store->kv, KV_META, key_slice(&key), &b);

	if (err == -ENOENT && !texts[which].note)
		buf_add_str(&b, TEXT_JSON_NONE);
	buf_add_slice(ret, buf_slice(&b));
	return err == -ENOENT ? 0 : err;
}

static int text_body(struct kv_txn *txn, void *arg)
{
	const struct note *note = arg;
	AUTO(run_release) struct run run = { 0 };
	AUTO(buf_release) struct buf old = BUF_INIT;
	struct key key = key_of(note->id, note->which);
	int err = run_read(txn, note->id, &run);

	if (err == 0 && run.state == RUN_FINISHED && texts[note->which].until_the_end)
		err = -EROFS;
	if (err == 0)
		err = kv_get(txn, KV_META, key_slice(&key), &old);
	if (err == -ENOENT && !texts[note->which].note)
		buf_add_str(&old, TEXT_JSON_NONE);
	if (err < 0 && err != -ENOENT)
		return err;
	if (slice_equal(buf_slice(&old), note->text))
		return 0;
	err = text_changed(txn, note->store, &(struct text_change){
		.what = texts[note->which].file, .run = run.name,
		.from = buf_slice(&old), .to = note->text });
	if (err < 0)
		return err;
	return note->text.len ? kv_put(txn, KV_META, key_slice(&key), note->text) :
				kv_del(txn, KV_META, key_slice(&key));
}

int run_text_write(struct store *store, uint32_t id, enum run_text which, struct slice text)
{
	struct note note = { store, id, text, which };

	if (text.len > (texts[which].note ? TEXT_NOTE_MAX : TEXT_JSON_MAX))
		return -EFBIG;
	return kv_update(store->kv, KV_DURABLE, text_body, &note);
}

static int put_tag_event(struct kv_txn *txn, const struct note *note, enum event_kind kind,
			 const struct run *run)
{
	autofree char *tag = xstrndup(note->text.data, note->text.len);

	return event_put(txn, note->store, &(struct event){
		.kind = kind, .run = run->name, .details = { { "tag", tag } } });
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
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(tagged(note->text, TAGGED_RUN, note->id)),
			     slice("", 0));
	if (err == 0)
		err = put_tag_event(txn, note, EVENT_TAGGED, &run);
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
	AUTO(run_release) struct run run = { 0 };
	int err = run_read(txn, note->id, &run);

	if (err == 0)
		err = kv_has(txn, KV_META, KEY(run_tag(note->id, note->text)));
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	err = kv_del(txn, KV_META, KEY(run_tag(note->id, note->text)));
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(tagged(note->text, TAGGED_RUN, note->id)));
	return err < 0 ? err : put_tag_event(txn, note, EVENT_UNTAGGED, &run);
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
