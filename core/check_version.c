/*
 * check_version.c - collections, versions, aliases, and what is said of versions.
 */
#include "check_private.h"

#include "alias.h"
#include "artifact.h"
#include "reap.h"
#include "tree.h"

/* ---- collections ---- */

/* The highest live version; -1: there is none. */
static int64_t highest(struct check *c, uint32_t collection)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int64_t found = -1;
	int more = kv_scan(c->txn, KV_META, KEY(prefix_id('V', collection)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		found = key_u32_at(key, 5);
	check_read(c, more);
	return found;
}

static void rewrite(struct check *c, const struct collection *a)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_collection(&b, a);
	check_put(c, KEY(collection(a->id)), buf_slice(&b));
}

static void check_latest(struct check *c, struct collection *a)
{
	bool wrong = a->latest >= (int64_t)a->next_number ||
		     (a->latest >= 0 && !check_has(c, KEY(version(a->id, (uint32_t)a->latest)))) ||
		     (a->latest < 0 && check_any(c, key_prefix_id('V', a->id)));

	if (!wrong ||
	    !check_wrong(c, "artifact-latest", "%s: latest is no version that is there", a->name))
		return;
	a->latest = highest(c, a->id);
	if (a->latest >= (int64_t)a->next_number)
		a->next_number = (uint32_t)a->latest + 1;
	rewrite(c, a);
}

void check_collection(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t id;

	if (key.len != 5 || decode_collection(value, &a) < 0 || a.id != key_u32_at(key, 1)) {
		check_wrong(c, "artifact-unreadable", "the record of artifact number %u cannot be "
			    "read", key_u32_at(key, 1));
		return;
	}
	if ((!check_number(c, KEY(collection_name(slice_str(a.name))), &id) || id != a.id) &&
	    check_wrong(c, "artifact-name", "%s is not found by its name", a.name)) {
		encode_u64(&b, a.id);
		check_put(c, KEY(collection_name(slice_str(a.name))), buf_slice(&b));
	}
	if (a.type[0] && !check_has(c, KEY(of_type(slice_str(a.type), a.id))) &&
	    check_wrong(c, "artifact-type", "%s is not found by its type", a.name))
		check_put(c, KEY(of_type(slice_str(a.type), a.id)), slice("", 0));
	check_latest(c, &a);
}

void check_collection_name(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	struct slice name = key_name_after(key, 1);
	uint64_t id = 0;

	if (decode_u64(value, &id) == 0 &&
	    check_read(c, collection_read(c->txn, (uint32_t)id, &a)) &&
	    slice_equal(slice_str(a.name), name))
		return;
	if (check_wrong(c, "artifact-name-lost", "the name %.*s leads to no artifact",
			(int)name.len, (const char *)name.data) &&
	    !check_any(c, key_prefix_id('V', (uint32_t)id)))
		check_set_aside(c, key);
}

/* ---- versions ---- */

struct totals {
	uint64_t files, bytes, sums, nodes;
	const struct check *check;
};

static int add_up(void *arg, struct slice path, const struct page_entry *e)
{
	struct totals *t = arg;

	t->nodes++;
	if (e->type == ENTRY_FILE) {
		t->files++;
		t->bytes += e->size;
		t->sums += tree_sums_length(path);
	}
	return check_stopped(t->check) ? -EINTR : 0;
}

/*
 * The whole content is walked: what it has in all is what the record says. Versions that share most
 * of it are walked one by one all the same, so this is for a check that is to be deep.
 */
static void check_totals(struct check *c, const struct version *v)
{
	struct totals t = { .nodes = 1, .check = c };
	int err = tree_walk(c->store->kv, v->page, add_up, &t);

	if (err == -EINTR)
		return;
	if (err < 0)
		check_wrong(c, "version-content", "%s: its files cannot be listed to the end",
			    VERSION_LABEL(c, v->id));
	else if (t.files != v->files || t.bytes != v->bytes || t.sums != v->sums_size ||
		 t.nodes != v->nodes)
		check_wrong(c, "version-totals", "%s has %llu files of %llu bytes, and its record "
			    "says %llu of %llu", VERSION_LABEL(c, v->id), U(t.files), U(t.bytes),
			    U(v->files), U(v->bytes));
}

static void check_content(struct check *c, const struct version *v)
{
	struct key ref = key_page_ref(v->page, REFERRER_VERSION, v->id);
	uint64_t nodes;

	if (!check_has(c, key_slice(&ref)) &&
	    check_wrong(c, "version-page-ref", "%s: its content does not know of it",
			VERSION_LABEL(c, v->id))) {
		check_put(c, key_slice(&ref), slice("", 0));
		check_done(c, reap_spare_page(c->txn, v->page), CHECK_REPAIRED);
	}
	if (!check_root_page(c, v->page, &v->digest, &nodes))
		check_wrong(c, "version-page", "%s: its content is lost, or has another digest",
			    VERSION_LABEL(c, v->id));
	else if (nodes + 1 != v->nodes)
		check_wrong(c, "version-nodes", "%s has %llu nodes, and its record says %llu",
			    VERSION_LABEL(c, v->id), U(nodes + 1), U(v->nodes));
	else if (c->options->deep && !c->fixing)
		check_totals(c, v);
}

/* Live, in the trash, or purged: V, X, G. What is purged has no content any more. */
static void check_state(struct check *c, struct slice key, const struct version *v)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	char kind = *(const char *)key.data;
	uint64_t equal = 0;
	bool found = check_number(c, KEY(equal(v->collection, &v->digest)), &equal);

	if ((kind != 'V') != (v->removed != 0) || (kind == 'G') != (v->purged != 0))
		check_wrong(c, "version-state", "%s is not what its key says",
			    VERSION_LABEL(c, v->id));
	for (const char *other = "VXG"; *other; other++) {
		struct key at = *other == 'V' ? key_version(v->collection, v->number) :
				*other == 'X' ? key_removed(v->collection, v->number) :
						key_purged(v->collection, v->number);

		if (*other != kind && check_has(c, key_slice(&at)))
			check_wrong(c, "version-twice", "%s is there in two states",
				    VERSION_LABEL(c, v->id));
	}
	if (kind == 'G') {
		if (v->page != 0)
			check_wrong(c, "version-purged", "%s is purged, but has content",
				    VERSION_LABEL(c, v->id));
		return;
	}
	if (!found && check_wrong(c, "version-digest", "%s is not found by its digest",
				  VERSION_LABEL(c, v->id))) {
		encode_u64(&b, v->number);
		check_put(c, KEY(equal(v->collection, &v->digest)), buf_slice(&b));
	}
	check_content(c, v);
}

/* Its producer logged it: a version without that edge has no place in the lineage. */
static void check_producer(struct check *c, const struct version *v)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct edge e = { .first = v->created, .last = v->created, .sequence = v->sequence };

	if (check_has(c, KEY(logged(v->run, v->id))) ||
	    check_has(c, KEY(logged_by(v->id, v->run))) ||
	    !check_wrong(c, "version-producer", "%s has no edge from the run that logged it",
			 VERSION_LABEL(c, v->id)) ||
	    !check_run_there(c, v->run))
		return;
	encode_edge(&b, &e);
	check_put(c, KEY(logged(v->run, v->id)), buf_slice(&b));
	check_put(c, KEY(logged_by(v->id, v->run)), buf_slice(&b));
}

void check_version(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(collection_release) struct collection a = { 0 };
	uint32_t collection, number;
	struct version v;

	if (key.len != 9 || decode_version(value, &v) < 0 || v.collection != key_u32_at(key, 1) ||
	    v.number != key_u32_at(key, 5)) {
		check_wrong(c, "version-unreadable", "the record of v%u of artifact number %u "
			    "cannot be read", key_u32_at(key, 5), key_u32_at(key, 1));
		return;
	}
	if ((!check_get(c, KEY(version_id(v.id)), &b) ||
	     decode_place(buf_slice(&b), &collection, &number) < 0 ||
	     collection != v.collection || number != v.number) &&
	    check_wrong(c, "version-id", "v%u of artifact number %u is not found by its id",
			v.number, v.collection)) {
		buf_reset(&b);
		encode_place(&b, v.collection, v.number);
		check_put(c, KEY(version_id(v.id)), buf_slice(&b));
	}
	if (!check_read(c, collection_read(c->txn, v.collection, &a))) {
		check_wrong(c, "version-artifact", "v%u is of artifact number %u, which is lost",
			    v.number, v.collection);
	} else if (v.number >= a.next_number &&
		   check_wrong(c, "artifact-next", "%s:v%u has a number that is yet to be given",
			       a.name, v.number)) {
		a.next_number = v.number + 1;
		rewrite(c, &a);
	}
	check_producer(c, &v);
	check_state(c, key, &v);
}

/* All that a lost version had stays: it may be put back from a copy of the store. */
void check_version_id(struct check *c, struct slice key, struct slice value)
{
	struct version v;

	(void)value;
	if (key.len != 5 || !check_read(c, version_read_by_id(c->txn, key_u32_at(key, 1), &v)) ||
	    v.id != key_u32_at(key, 1))
		check_wrong(c, "version-lost", "the record of version %u is lost",
			    key_u32_at(key, 1));
}

void check_equal(struct check *c, struct slice key, struct slice value)
{
	struct digest digest;
	struct version v;
	uint64_t number;

	if (key_digest_at(key, 5, &digest) == 0 && decode_u64(value, &number) == 0 &&
	    check_read(c, version_read_any(c->txn, key_u32_at(key, 1), (uint32_t)number, &v)) &&
	    digest_equal(&v.digest, &digest) && !v.purged)
		return;
	if (check_wrong(c, "digest-lost", "a digest leads to no version of artifact number %u",
			key_u32_at(key, 1)))
		check_set_aside(c, key);
}

/* ---- aliases ---- */

/* The record of a version is lost: that is told by itself, and whatever names it stays. */
static bool is_lost(struct check *c, uint32_t version)
{
	struct version v;

	return check_version_there(c, version) &&
	       !check_read(c, version_read_by_id(c->txn, version, &v));
}

void check_alias(struct check *c, struct slice key, struct slice value)
{
	struct slice name = key_name_after(key, 5);
	uint32_t collection = key_u32_at(key, 1);
	struct version v;
	struct alias a;

	if (decode_alias(value, &a) == 0 && is_lost(c, a.version))
		return;
	if (decode_alias(value, &a) < 0 || alias_name_check(name) < 0 || a.slot == 0 ||
	    a.slot >= ID_LIMIT ||
	    !check_read(c, version_read_by_id(c->txn, a.version, &v)) || v.removed || v.purged ||
	    v.collection != collection) {
		if (check_wrong(c, "alias-lost", "the alias %.*s of artifact number %u names no "
				"version that is there", (int)name.len, (const char *)name.data,
				collection))
			check_set_aside(c, key);
	} else if (!check_has(c, KEY(alias_of(a.version, name))) &&
		   check_wrong(c, "alias-one-sided", "%s does not know of its alias %.*s",
			       VERSION_LABEL(c, a.version), (int)name.len,
			       (const char *)name.data)) {
		check_put(c, KEY(alias_of(a.version, name)), slice("", 0));
	}
}

void check_alias_of(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t version = key_u32_at(key, 1);
	struct version v;
	struct alias a;

	(void)value;
	if (is_lost(c, version))
		return;
	if (check_read(c, version_read_by_id(c->txn, version, &v)) &&
	    check_get(c, KEY(alias(v.collection, key_name_after(key, 5))), &b) &&
	    decode_alias(buf_slice(&b), &a) == 0 && a.version == version)
		return;
	if (check_wrong(c, "alias-of-lost", "%s is said to have an alias that names another, or is "
			"not there", VERSION_LABEL(c, version)))
		check_set_aside(c, key);
}

/* ---- what is said of versions ---- */

/* Something that is said of a version that never was is of no use to anybody. */
static bool is_of_version(struct check *c, struct slice key)
{
	uint32_t version = key_u32_at(key, 1);

	if (check_version_there(c, version))
		return true;
	if (check_wrong(c, "version-row-lost", "a row of the kind %c is of version %u, which is "
			"not there", *(const char *)key.data, version))
		check_set_aside(c, key);
	return false;
}

void check_of_version(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	is_of_version(c, key);
}

void check_version_note(struct check *c, struct slice key, struct slice value)
{
	AUTO(version_note_release) struct version_note note = { 0 };

	if (is_of_version(c, key) && decode_version_note(value, &note) < 0)
		check_wrong(c, "note-unreadable", "the description of %s cannot be read",
			    VERSION_LABEL(c, key_u32_at(key, 1)));
}

/* Slots below next_slot are given out. */
static void raise_slots(struct check *c, uint32_t version, struct version_note *note, uint32_t slot)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	note->next_slot = slot + 1;
	if (!note->description)
		note->description = xstrdup("");
	encode_version_note(&b, note);
	check_put(c, KEY(version_note(version)), buf_slice(&b));
}

void check_version_tag(struct check *c, struct slice key, struct slice value)
{
	AUTO(version_note_release) struct version_note note = { 0 };
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t version = key_u32_at(key, 1);
	struct slice name = key_name_after(key, 5);
	struct tag tag;

	if (!is_of_version(c, key))
		return;
	if (decode_tag(value, &tag) < 0 || tag.slot == 0) {
		if (check_wrong(c, "tag-unreadable", "a tag of %s cannot be read",
				VERSION_LABEL(c, version)))
			check_set_aside(c, key);
		return;
	}
	if (check_get(c, KEY(version_note(version)), &b) &&
	    decode_version_note(buf_slice(&b), &note) < 0)
		return; /* told by itself */
	if (tag.slot >= note.next_slot &&
	    check_wrong(c, "tag-slot", "a tag of %s has a slot that is yet to be given",
			VERSION_LABEL(c, version)))
		raise_slots(c, version, &note, tag.slot);
	if (!check_has(c, KEY(tagged(name, TAGGED_VERSION, version))) &&
	    check_wrong(c, "tag-one-sided", "%s is not found by its tag %.*s",
			VERSION_LABEL(c, version), (int)name.len, (const char *)name.data))
		check_put(c, KEY(tagged(name, TAGGED_VERSION, version)), slice("", 0));
}

static void check_counted(struct check *c, struct slice key, struct slice value, uint64_t least)
{
	uint64_t n;

	if (!is_of_version(c, key) || (decode_u64(value, &n) == 0 && n >= least))
		return;
	if (check_wrong(c, "use-unreadable", "how %s was used cannot be read",
			VERSION_LABEL(c, key_u32_at(key, 1))))
		check_set_aside(c, key);
}

void check_last_use(struct check *c, struct slice key, struct slice value)
{
	check_counted(c, key, value, 1);
}

void check_unseen(struct check *c, struct slice key, struct slice value)
{
	check_counted(c, key, value, 0);
}

void check_reference(struct check *c, struct slice key, struct slice value)
{
	AUTO(reference_row_release) struct reference_row row = { 0 };
	uint32_t version = key_u32_at(key, 1);

	if (!is_of_version(c, key))
		return;
	if (key.len != 9 || key_u32_at(key, 5) == 0 || decode_reference_row(value, &row) < 0)
		check_wrong(c, "reference-unreadable", "a reference of %s cannot be read",
			    VERSION_LABEL(c, version));
	else if (row.version && !check_version_there(c, row.version))
		check_wrong(c, "reference-lost", "%s refers to version %u, which is not there",
			    VERSION_LABEL(c, version), row.version);
}
