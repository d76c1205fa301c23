/*
 * document_damage.c - what of a version is damaged, in its info.json.
 */
#include "damage.h"
#include "document_private.h"
#include "tree.h"

/* So many paths are listed; all are counted. */
#define LISTED_MAX 1000
#define DIGESTS_MAX 100000

struct finding {
	const struct damage_list *damaged;
	json_t *paths;
	uint64_t files;
};

static int look(void *arg, struct slice path, const struct page_entry *e)
{
	struct finding *f = arg;
	autofree char *text = NULL;
	json_t *json;

	if (e->type != ENTRY_FILE || !damage_list_has(f->damaged, &e->digest))
		return 0;
	f->files++;
	text = xstrndup(path.data, path.len);
	json = json_array_size(f->paths) < LISTED_MAX ? json_exact(text) : NULL;
	if (json)
		json_array_append_new(f->paths, json);
	return 0;
}

int json_add_damage(struct store *store, const struct version *v, json_t *root)
{
	AUTO(damage_list_release) struct damage_list damaged = { 0 };
	struct finding f = { .damaged = &damaged };
	json_t *said;
	int err;

	if (damage_count(store) == 0 || v->purged)
		return 0;
	err = damage_list(store, DIGESTS_MAX, &damaged);
	if (err < 0)
		return err;
	f.paths = json_array();
	err = tree_walk(store->kv, v->page, look, &f);
	if (f.files > 0 || err < 0) {
		said = json_object();
		json_object_set_new(said, "files", json_number(f.files));
		json_object_set(said, "paths", f.paths);
		/* Some directory of it cannot be read. */
		if (err < 0)
			json_object_set_new(said, "complete", json_false());
		json_object_set_new(root, "damaged", said);
	}
	json_decref(f.paths);
	return 0;
}
