/*
 * document_reference.c - references in info.json, and what `lineagefs verify` makes of them.
 */
#include "document_reference.h"

#include "document_private.h"
#include "reference.h"

/* An info.json is made anew for each look at its size. */
#define SHOWN 10000

static uint64_t ns_of(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static json_t *json_of(struct store *store, const struct reference_row *row)
{
	json_t *item = json_object();
	struct version v;

	json_object_set_new(item, "path", json_exact(row->path));
	json_object_set_new(item, "target", json_exact(row->target));
	if (row->kind == REFERENCE_ARTIFACT) {
		bool there = row->version && version_get_by_id(store, row->version, &v) == 0;

		json_object_set_new(item, "artifact", !there ? json_null() :
				    json_is_public(v.mode) ? json_label(store, &v) :
							     json_string("private"));
	}
	if (row->kind != REFERENCE_FILE)
		return item;
	json_object_set_new(item, "file", json_exact(row->location[0] ? row->location :
								       row->target));
	if (row->known) {
		json_object_set_new(item, "size", json_number(row->size));
		json_object_set_new(item, "mtime", json_time(ns_of(row->mtime)));
	}
	if (row->known && row->hashed)
		json_object_set_new(item, "digest", json_digest(&row->digest));
	return item;
}

int json_add_references(struct store *store, uint32_t version, json_t *root)
{
	json_t *list = NULL;
	uint64_t unlisted = 0;
	uint32_t slot = 0;
	int more;

	for (;;) {
		struct reference_row row = { 0 };

		more = reference_next(store, version, &slot, &row);
		if (more <= 0)
			break;
		if (!list)
			list = json_array();
		if (json_array_size(list) < SHOWN)
			json_array_append_new(list, json_of(store, &row));
		else
			unlisted++;
		reference_row_release(&row);
	}
	if (list)
		json_object_set_new(root, "references", list);
	if (unlisted)
		json_object_set_new(root, "references_not_listed", json_number(unlisted));
	return more;
}

void json_references_release(struct json_references *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->list[i].path);
		free(r->list[i].target);
		free(r->list[i].location);
		free(r->list[i].mtime);
	}
	free(r->list);
}

static bool read_one(const json_t *item, struct json_reference *r)
{
	const char *digest = json_string_value(json_object_get(item, "digest"));
	const char *mtime = json_string_value(json_object_get(item, "mtime"));
	const json_t *size = json_object_get(item, "size");

	r->path = json_exact_value(json_object_get(item, "path"));
	r->target = json_exact_value(json_object_get(item, "target"));
	r->location = json_exact_value(json_object_get(item, "file"));
	r->known = json_is_integer(size) && mtime;
	r->size = r->known ? (uint64_t)json_integer_value(size) : 0;
	r->mtime = r->known ? xstrdup(mtime) : NULL;
	r->hashed = digest && !strncmp(digest, "sha256:", 7) &&
		    digest_from_hex(slice_str(digest + 7), &r->digest) == 0;
	return r->path && r->target;
}

int document_references(struct slice info, struct json_references *ret)
{
	json_t *root = json_loadb(info.data ? info.data : "", info.len, 0, NULL);
	const json_t *list = json_object_get(root, "references");
	struct json_references r = { 0 };
	int err = json_is_object(root) ? 0 : -EINVAL;

	r.unlisted = (uint64_t)json_integer_value(json_object_get(root, "references_not_listed"));
	for (size_t i = 0; err == 0 && i < json_array_size(list); i++) {
		r.list = xgrow(r.list, &r.cap, r.count + 1, sizeof(*r.list));
		r.list[r.count] = (struct json_reference){ 0 };
		if (!read_one(json_array_get(list, i), &r.list[r.count++]))
			err = -EINVAL;
	}
	json_decref(root);
	if (err < 0) {
		json_references_release(&r);
		return err;
	}
	*ret = r;
	return 0;
}

void document_time(uint64_t ns, struct buf *ret)
{
	json_t *time = json_time(ns);

	buf_add_str(ret, json_is_string(time) ? json_string_value(time) : "");
	json_decref(time);
}

void document_verified(const struct json_reference *r, const char *state, const char *why,
		       struct buf *ret)
{
	json_t *item = json_object();
	char *text;

	json_object_set_new(item, "path", json_exact(r->path));
	json_object_set_new(item, "target", json_exact(r->target));
	json_object_set_new(item, "state", json_string(state));
	if (*why)
		json_object_set_new(item, "why", json_string(why));
	text = json_dumps(item, JSON_COMPACT);
	buf_add_str(ret, text ? text : "{}");
	buf_add_char(ret, '\n');
	free(text);
	json_decref(item);
}
