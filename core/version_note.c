#include "version_note.h"

#include "run.h"
#include "text.h"

int version_note_read(struct kv_txn *txn, uint32_t version, struct version_note *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(version_note(version)), &b);

	if (err == 0)
		return decode_version_note(buf_slice(&b), ret);
	if (err != -ENOENT)
		return err;
	*ret = (struct version_note){ .next_slot = 1, .description = xstrdup("") };
	return 0;
}

int version_note_write(struct kv_txn *txn, uint32_t version, const struct version_note *note)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_version_note(&b, note);
	return kv_put(txn, KV_META, KEY(version_note(version)), buf_slice(&b));
}

int version_tag_put(struct kv_txn *txn, struct store *store, uint32_t version, const char *label,
		    struct slice tag)
{
	AUTO(version_note_release) struct version_note note = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	autofree char *name = xstrndup(tag.data, tag.len);
	struct tag row = { .created = store_now() };
	int err;

	if (!name_valid(tag))
		return -EINVAL;
	err = kv_has(txn, KV_META, KEY(version_tag(version, tag)));
	if (err != 0)
		return err < 0 ? err : -EEXIST;
	err = version_note_read(txn, version, &note);
	if (err < 0)
		return err;
	row.slot = note.next_slot++;
	encode_tag(&b, &row);
	err = kv_put(txn, KV_META, KEY(version_tag(version, tag)), buf_slice(&b));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(tagged(tag, TAGGED_VERSION, version)),
			     slice("", 0));
	if (err == 0)
		err = version_note_write(txn, version, &note);
	if (err < 0)
		return err;
	return event_put(txn, store, &(struct event){
		.kind = EVENT_TAGGED, .object = label, .version = version,
		.details = { { "tag", name } },
	});
}

struct tagging {
	struct store *store;
	uint32_t version;
	struct slice tag;
};

/* The version's label, which says that it is there. */
static int label_of(struct kv_txn *txn, uint32_t version, struct buf *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	int err = version_read_by_id(txn, version, &v);

	if (err == 0 && v.purged)
		err = -ESTALE;
	if (err == 0)
		err = collection_read(txn, v.collection, &c);
	if (err == 0)
		version_label(ret, c.name, v.number);
	return err;
}

static int add_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	const struct tagging *t = arg;
	int err = label_of(txn, t->version, &label);

	return err < 0 ? err : version_tag_put(txn, t->store, t->version, buf_str(&label), t->tag);
}

int version_tag_add(struct store *store, uint32_t version, struct slice tag)
{
	struct tagging t = { store, version, tag };

	return name_valid(tag) ? kv_update(store->kv, KV_DURABLE, add_body, &t) : -EINVAL;
}

static int remove_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	const struct tagging *t = arg;
	autofree char *name = xstrndup(t->tag.data, t->tag.len);
	int err = label_of(txn, t->version, &label);

	if (err == 0)
		err = kv_has(txn, KV_META, KEY(version_tag(t->version, t->tag)));
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	err = kv_del(txn, KV_META, KEY(version_tag(t->version, t->tag)));
	if (err == 0)
		err = kv_del(txn, KV_META, KEY(tagged(t->tag, TAGGED_VERSION, t->version)));
	if (err < 0)
		return err;
	return event_put(txn, t->store, &(struct event){
		.kind = EVENT_UNTAGGED, .object = buf_str(&label), .version = t->version,
		.details = { { "tag", name } },
	});
}

int version_tag_remove(struct store *store, uint32_t version, struct slice tag)
{
	struct tagging t = { store, version, tag };

	return name_valid(tag) ? kv_update(store->kv, KV_DURABLE, remove_body, &t) : -ENOENT;
}

int version_tag_find(struct store *store, uint32_t version, struct slice tag, struct tag *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = -ENOENT;

	if (name_valid(tag))
		err = kv_get_one(store->kv, KV_META, KEY(version_tag(version, tag)), &b);
	return err < 0 ? err : decode_tag(buf_slice(&b), ret);
}

int version_tag_next(struct store *store, uint32_t version, struct slice after, struct tag *ret,
		     struct buf *ret_name)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = run_next_named(txn, key_prefix_id('s', version),
				      KEY(version_tag(version, after)), after, ret_name, &value);
	if (more <= 0)
		return more;
	return decode_tag(buf_slice(&value), ret) < 0 ? -EIO : 1;
}

int version_text_read(struct store *store, uint32_t version, enum version_text which,
		      struct buf *ret)
{
	AUTO(version_note_release) struct version_note note = { 0 };
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_begin(store->kv, KV_READ, &txn);

	if (err < 0)
		return err;
	if (which == VERSION_METADATA) {
		err = kv_get(txn, KV_META, KEY(version_metadata(version)), &b);
		if (err == -ENOENT)
			buf_add_str(&b, TEXT_JSON_NONE);
		buf_add_slice(ret, buf_slice(&b));
		return err == -ENOENT ? 0 : err;
	}
	err = version_note_read(txn, version, &note);
	if (err == 0)
		buf_add_str(ret, note.description);
	return err;
}

struct saying {
	struct store *store;
	uint32_t version;
	enum version_text which;
	struct slice text;
};

static int describe_body(struct kv_txn *txn, const struct saying *say, struct text_change *change)
{
	AUTO(version_note_release) struct version_note note = { 0 };
	int err = version_note_read(txn, say->version, &note);

	if (err < 0)
		return err;
	change->what = "description";
	change->line = true;
	change->from = slice_str(note.description);
	if (slice_equal(change->from, say->text))
		return 0;
	err = text_changed(txn, say->store, change);
	if (err < 0)
		return err;
	free(note.description);
	note.description = xstrndup(say->text.data, say->text.len);
	return version_note_write(txn, say->version, &note);
}

static int metadata_body(struct kv_txn *txn, const struct saying *say, struct text_change *change)
{
	AUTO(buf_release) struct buf old = BUF_INIT;
	int err = kv_get(txn, KV_META, KEY(version_metadata(say->version)), &old);

	if (err < 0 && err != -ENOENT)
		return err;
	if (err == -ENOENT)
		buf_add_str(&old, TEXT_JSON_NONE);
	change->what = "metadata.json";
	change->from = buf_slice(&old);
	if (slice_equal(change->from, say->text))
		return 0;
	err = text_changed(txn, say->store, change);
	if (err < 0)
		return err;
	return say->text.len ?
		       kv_put(txn, KV_META, KEY(version_metadata(say->version)), say->text) :
		       kv_del(txn, KV_META, KEY(version_metadata(say->version)));
}

static int say_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	const struct saying *say = arg;
	struct text_change change = { .version = say->version, .to = say->text };
	int err = label_of(txn, say->version, &label);

	if (err < 0)
		return err;
	change.object = buf_str(&label);
	return say->which == VERSION_METADATA ? metadata_body(txn, say, &change) :
						describe_body(txn, say, &change);
}

int version_text_write(struct store *store, uint32_t version, enum version_text which,
		       struct slice text)
{
	struct saying say = { store, version, which, text };
	const char *p = text.data;

	if (which == VERSION_DESCRIPTION) {
		if (text.len > 0 && p[text.len - 1] == '\n')
			say.text.len--;
		if (memchr(text.len ? p : "", '\0', say.text.len))
			return -EINVAL;
	}
	if (say.text.len > (which == VERSION_DESCRIPTION ? TEXT_NOTE_MAX : TEXT_JSON_MAX))
		return -EFBIG;
	return kv_update(store->kv, KV_DURABLE, say_body, &say);
}
