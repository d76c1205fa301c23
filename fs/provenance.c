#include "provenance.h"

#include "core/run.h"

#define PREFIX "user.lineagefs."

static int put_digest_text(struct store *store, const struct provenance *p, struct buf *ret)
{
	char hex[DIGEST_HEX_SIZE + 1];

	(void)store;
	digest_to_hex(&p->digest, hex);
	buf_add_str(ret, hex);
	return 0;
}

static int put_producer(struct store *store, const struct provenance *p, struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(store, p->run, &run);

	if (err == 0)
		buf_add_str(ret, run.name);
	return err;
}

static int put_type(struct store *store, const struct provenance *p, struct buf *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_get(store, p->collection, &c);

	if (err == 0)
		buf_add_str(ret, c.type);
	return err;
}

static int put_version(struct store *store, const struct provenance *p, struct buf *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_get(store, p->collection, &c);

	if (err == 0)
		version_label(ret, c.name, p->number);
	return err;
}

static const struct {
	const char *name;
	int (*put)(struct store *store, const struct provenance *p, struct buf *ret);
	bool may_lack; /* an empty text is none */
} attributes[] = {
	{ PREFIX "digest", put_digest_text, false },
	{ PREFIX "producer", put_producer, false },
	{ PREFIX "type", put_type, true },
	{ PREFIX "version", put_version, false },
};

struct provenance provenance_of(const struct version *v)
{
	return (struct provenance){ v->digest, v->collection, v->number, v->run };
}

static ssize_t give(const struct buf *text, void *to, size_t size)
{
	if (size > 0 && text->len > size)
		return -ERANGE;
	if (size > 0)
		memcpy(to, text->data, text->len);
	return (ssize_t)text->len;
}

ssize_t provenance_get(struct store *store, const struct provenance *p, const char *name, void *to,
		       size_t size)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		int err;

		if (strcmp(attributes[i].name, name) != 0)
			continue;
		err = attributes[i].put(store, p, &text);
		if (err == 0 && text.len == 0)
			err = -ENODATA;
		return err < 0 ? err : give(&text, to, size);
	}
	return -ENODATA;
}

/* Reads no more than tells whether there is a type: tools list the attributes of every file. */
ssize_t provenance_list(struct store *store, const struct provenance *p, char *to, size_t size)
{
	AUTO(buf_release) struct buf names = BUF_INIT, text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		int err = 0;

		buf_reset(&text);
		if (attributes[i].may_lack)
			err = attributes[i].put(store, p, &text);
		if (err < 0)
			return err;
		if (!attributes[i].may_lack || text.len > 0)
			buf_add(&names, attributes[i].name, strlen(attributes[i].name) + 1);
	}
	return give(&names, to, size);
}
