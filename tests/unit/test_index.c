/*
 * Finding by type, job type and tag (core/index.h) and by bytes (core/holders.h), and what of it
 * who sees; then the same as directories (fs/kind_index.c).
 */
#include "store_place.h"

#include "core/holders.h"
#include "core/reap.h"
#include "core/run_note.h"
#include "core/stage.h"
#include "core/version_note.h"
#include "fs/vfs_private.h"

static const struct cred stranger = { .uid = 12345, .gid = 12345 };

/* ---- short forms ---- */

static void expect_names(struct place *place, enum index index, const struct cred *cred,
			 const char *want)
{
	AUTO(buf_release) struct buf names = BUF_INIT, name = BUF_INIT;
	int more;

	while ((more = index_next_name(place->store, index, buf_slice(&name), cred, &name)) > 0)
		buf_printf(&names, "%s ", buf_str(&name));
	assert_int_equal(more, 0);
	assert_string_equal(buf_str(&names), want);
}

/* In steps of two; and every item is found. */
static void expect_items(struct place *place, enum index index, const char *name,
			 const struct cred *cred, const char *want)
{
	AUTO(buf_release) struct buf items = BUF_INIT, at = BUF_INIT;
	struct index_item item[2], found;
	int n;

	while ((n = index_next(place->store, index, slice_str(name), cred, &at, item, 2)) > 0) {
		for (int i = 0; i < n; i++) {
			buf_printf(&items, "%s ", item[i].name);
			assert_int_equal(index_find(place->store, index, slice_str(name),
						    item[i].name, cred, &found), 0);
			assert_int_equal(found.id, item[i].id);
			assert_int_equal(found.kind, item[i].kind);
			assert_int_equal(found.slot, item[i].slot);
		}
	}
	assert_int_equal(n, 0);
	assert_string_equal(buf_str(&items), want);
	assert_int_equal(index_has(place->store, index, slice_str(name), cred), *want != '\0');
}

static uint32_t make_collection(struct place *place, const char *name, const char *type,
				mode_t mode)
{
	uint32_t id;

	assert_int_equal(collection_create(place->store, slice_str(name), 0, 0, mode, &id), 0);
	assert_int_equal(collection_set_text(place->store, id, COLLECTION_TYPE, slice_str(type)),
			 0);
	return id;
}

/* A version of one file; mode is the draft's. */
static struct version make_version(struct place *place, uint32_t run, const char *name,
				   const char *text, mode_t mode)
{
	autofree char *path = draft_path(place, run, name);

	unlink(path);
	put_file(place, run, name, text);
	assert_int_equal(chmod(path, mode), 0);
	touch(place, run, name, 0);
	assert_int_equal(log_draft(place, run, name), 0);
	return version_of(place, name, (uint32_t)count_versions(place, name) - 1);
}

static struct digest digest_of_text(const char *text)
{
	struct digest digest;

	digest_of(slice_str(text), &digest);
	return digest;
}

/* Every version that is shown is found, and a digest of none does not exist. */
static void expect_holders(struct place *place, const struct digest *digest,
			   const struct cred *cred, const char *want)
{
	AUTO(buf_release) struct buf labels = BUF_INIT;
	struct index_item item[2], found;
	struct holders *h;
	size_t at = 0;
	int n;

	assert_int_equal(holders_any(place->store, digest, cred), *want != '\0');
	assert_int_equal(holders_get(place->store, digest, &h), 0);
	while ((n = holders_next(place->store, h, cred, &at, item, 2)) > 0) {
		for (int i = 0; i < n; i++) {
			buf_printf(&labels, "%s ", item[i].name);
			assert_int_equal(holders_find(place->store, digest, item[i].name, cred,
						      &found), 0);
			assert_int_equal(found.id, item[i].id);
		}
	}
	assert_int_equal(n, 0);
	assert_string_equal(buf_str(&labels), want);
	holders_put(place->store, h);
	assert_int_equal(holders_any(place->store, digest, cred), *want != '\0');
}

static int move_body(struct kv_txn *txn, void *arg)
{
	const struct version *v = arg;

	return version_move(txn, &v[0], &v[1]);
}

/* To the trash, or with 0 back from it: no more than its record. */
static void set_removed(struct place *place, struct version v, uint64_t removed)
{
	struct version states[] = { v, v };

	states[0].removed = !removed;
	states[1].removed = removed;
	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, move_body, states), 0);
}

/* ---- rows ---- */

static void names_come_and_go(void **state)
{
	struct place *place = *state;
	uint32_t a = make_collection(place, "a", "model", 0755), run;

	make_collection(place, "b", "model.tiny", 0755);
	make_collection(place, "c", "dataset", 0755);
	make_collection(place, "d", "model", 0755);
	make_collection(place, "e", "", 0755);
	make_collection(place, "f", "models", 0755);
	expect_names(place, INDEX_TYPES, &root_cred, "dataset model model.tiny models ");
	expect_items(place, INDEX_TYPES, "model", &root_cred, "a d ");
	expect_items(place, INDEX_TYPES, "dataset", &stranger, "c ");
	expect_items(place, INDEX_TYPES, "mode", &root_cred, "");
	expect_items(place, INDEX_TYPES, "", &root_cred, "");
	assert_int_equal(collection_set_text(place->store, a, COLLECTION_TYPE,
					     slice_str("dataset")), 0);
	expect_items(place, INDEX_TYPES, "dataset", &root_cred, "a c ");
	assert_int_equal(collection_remove(place->store, slice_str("d")), 0);
	expect_names(place, INDEX_TYPES, NULL, "dataset model.tiny models ");
	run = make_run(place, "r");
	assert_int_equal(run_set_job_type(place->store, run, slice_str("train")), 0);
	assert_int_equal(run_set_job_type(place->store, make_run(place, "q"),
					  slice_str("train")), 0);
	expect_names(place, INDEX_JOBS, &root_cred, "train ");
	expect_items(place, INDEX_JOBS, "train", &stranger, "r q ");
	assert_int_equal(run_set_job_type(place->store, run, slice_str("")), 0);
	expect_items(place, INDEX_JOBS, "train", &root_cred, "q ");
	expect_clean(place);
}

static void tags_lead_to_versions_and_runs(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version one = make_version(place, run, "m", "1", 0644);
	struct version two = make_version(place, run, "m", "2", 0644);
	struct version other = make_version(place, run, "n", "1", 0644);
	struct index_item item;

	assert_int_equal(version_tag_add(place->store, other.id, slice_str("x")), 0);
	assert_int_equal(version_tag_add(place->store, two.id, slice_str("best")), 0);
	assert_int_equal(version_tag_add(place->store, one.id, slice_str("x")), 0);
	assert_int_equal(version_tag_add(place->store, two.id, slice_str("x")), 0);
	assert_int_equal(run_tag_add(place->store, run, slice_str("x")), 0);
	expect_names(place, INDEX_TAGS, &root_cred, "best x ");
	expect_items(place, INDEX_TAGS, "x", &root_cred, "r m:v0 m:v1 n:v0 ");
	assert_int_equal(index_find(place->store, INDEX_TAGS, slice_str("best"), "m:v0",
				    &root_cred, &item), -ENOENT);
	assert_int_equal(index_find(place->store, INDEX_TAGS, slice_str("x"), "m:v01", &root_cred,
				    &item), -ENOENT);
	assert_int_equal(index_find(place->store, INDEX_TAGS, slice_str("x"), "m", &root_cred,
				    &item), -ENOENT);
	/* What is in the trash is not shown. */
	set_removed(place, one, 7);
	set_removed(place, two, 7);
	expect_names(place, INDEX_TAGS, &root_cred, "x ");
	expect_items(place, INDEX_TAGS, "x", &root_cred, "r n:v0 ");
	set_removed(place, one, 0);
	set_removed(place, two, 0);
	assert_int_equal(version_tag_remove(place->store, two.id, slice_str("x")), 0);
	expect_items(place, INDEX_TAGS, "x", &root_cred, "r m:v0 n:v0 ");
	expect_items(place, INDEX_TAGS, "best", &root_cred, "m:v1 ");
	expect_clean(place);
}

/* What a caller could not come to by walking /artifacts and /runs. */
static void others_do_not_see_what_is_private(void **state)
{
	struct place *place = *state;
	uint32_t id, run = make_run(place, "r");
	struct version secret = make_version(place, run, "m", "secret", 0600);
	struct version open = make_version(place, run, "m", "open", 0644);
	struct digest digest = digest_of_text("secret"), none = digest_of_text("none");
	AUTO(collection_release) struct collection c = { 0 };
	struct index_item item;

	assert_int_equal(version_tag_add(place->store, secret.id, slice_str("s")), 0);
	assert_int_equal(version_tag_add(place->store, secret.id, slice_str("x")), 0);
	assert_int_equal(version_tag_add(place->store, open.id, slice_str("x")), 0);
	expect_names(place, INDEX_TAGS, &root_cred, "s x ");
	expect_names(place, INDEX_TAGS, &stranger, "x ");
	expect_names(place, INDEX_TAGS, NULL, "x ");
	expect_items(place, INDEX_TAGS, "s", &root_cred, "m:v0 ");
	expect_items(place, INDEX_TAGS, "s", &stranger, "");
	expect_items(place, INDEX_TAGS, "x", &stranger, "m:v1 ");
	assert_int_equal(index_find(place->store, INDEX_TAGS, slice_str("x"), "m:v0", &stranger,
				    &item), -ENOENT);
	expect_holders(place, &digest, &root_cred, "m:v0 ");
	expect_holders(place, &digest, &stranger, "");
	expect_holders(place, &digest, NULL, "");
	expect_holders(place, &none, &root_cred, "");
	assert_int_equal(holders_find(place->store, &digest, "m:v0", &stranger, &item), -ENOENT);
	/* A collection that nobody else may look into hides its versions. */
	assert_int_equal(collection_find(place->store, slice_str("m"), &c), 0);
	assert_int_equal(collection_set_owner(place->store, c.id, (uid_t)-1, (gid_t)-1, 0700), 0);
	assert_int_equal(collection_set_text(place->store, c.id, COLLECTION_TYPE,
					     slice_str("model")), 0);
	digest = digest_of_text("open");
	expect_items(place, INDEX_TAGS, "x", &stranger, "");
	expect_holders(place, &digest, &stranger, "");
	expect_names(place, INDEX_TYPES, &stranger, "");
	expect_items(place, INDEX_TYPES, "model", &root_cred, "m ");
	/* And a run what is said of it. */
	assert_int_equal(run_create(place->store, slice_str("mine"), 0, 0, 0700, 0, &id), 0);
	assert_int_equal(run_set_job_type(place->store, id, slice_str("j")), 0);
	assert_int_equal(run_tag_add(place->store, id, slice_str("t")), 0);
	expect_names(place, INDEX_JOBS, &stranger, "");
	expect_items(place, INDEX_JOBS, "j", &root_cred, "mine ");
	expect_names(place, INDEX_TAGS, &stranger, "");
}

static unsigned groups_asked;

static bool in_the_group(const struct cred *cred, gid_t gid)
{
	(void)cred;
	groups_asked++;
	return gid == 77;
}

static void groups_are_asked_for_once(void **state)
{
	struct place *place = *state;
	const struct cred member = { .uid = 12345, .gid = 12345, .in_group = in_the_group };
	char name[] = "a";

	for (; name[0] < 'i'; name[0]++) {
		uint32_t id = make_collection(place, name, "t", 0750);

		assert_int_equal(collection_set_owner(place->store, id, 0, 77, 0750), 0);
	}
	groups_asked = 0;
	assert_int_equal(index_find(place->store, INDEX_TYPES, slice_str("t"), "a", &member,
				    &(struct index_item){ 0 }), 0);
	assert_int_equal(groups_asked, 1);
	expect_items(place, INDEX_TYPES, "t", &member, "a b c d e f g h ");
	expect_items(place, INDEX_TYPES, "t", &stranger, "");
	groups_asked = 0;
	{
		AUTO(buf_release) struct buf at = BUF_INIT;
		struct index_item items[16];

		assert_int_equal(index_next(place->store, INDEX_TYPES, slice_str("t"), &member,
					    &at, items, 16), 8);
	}
	assert_int_equal(groups_asked, 1);
}

/* ---- bytes ---- */

static void put_many(struct place *place, uint32_t run, const char *directory, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		autofree char *name = xasprintf("%s/file%u", directory, i), *text =
			xasprintf("text %u", i);

		put_file(place, run, name, text);
	}
}

static void version_directory(struct place *place, uint32_t run, const char *name)
{
	touch(place, run, name, 0);
	assert_int_equal(log_draft(place, run, name), 0);
}

static void bytes_lead_to_all_that_hold_them(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct digest shared = digest_of_text("text 7"), top = digest_of_text("top"),
		      again = digest_of_text("again");
	struct version v, w;
	struct tree_entry sub;

	/* Two versions of a large directory, of which one page differs; a copy in a subdirectory. */
	put_directory(place, run, "a");
	put_many(place, run, "a", 700);
	put_file(place, run, "a/top", "top");
	version_directory(place, run, "a");
	put_file(place, run, "a/top", "again");
	version_directory(place, run, "a");
	put_directory(place, run, "b");
	put_directory(place, run, "b/sub");
	put_directory(place, run, "b/sub/deep");
	put_many(place, run, "b/sub/deep", 700);
	version_directory(place, run, "b");
	/* Twice in one version. */
	put_directory(place, run, "c");
	put_file(place, run, "c/one", "text 7");
	put_file(place, run, "c/two", "text 7");
	version_directory(place, run, "c");
	make_version(place, run, "d", "text 7", 0644);
	expect_holders(place, &shared, &stranger, "a:v0 a:v1 b:v0 c:v0 d:v0 ");
	expect_holders(place, &top, &root_cred, "a:v0 ");
	expect_holders(place, &again, &root_cred, "a:v1 ");
	/* A version by its own digest, a directory by its. */
	v = version_of(place, "a", 1);
	expect_holders(place, &v.digest, &root_cred, "a:v1 ");
	w = version_of(place, "b", 0);
	assert_int_equal(tree_find_path(place->store->kv, w.page, slice_str("sub/deep"), &sub), 0);
	expect_holders(place, &sub.digest, &root_cred, "b:v0 ");
	/* What was found is kept, and what came and went since is seen all the same. */
	make_version(place, run, "e", "text 7", 0644);
	set_removed(place, version_of(place, "a", 0), 7);
	expect_holders(place, &shared, &root_cred, "a:v1 b:v0 c:v0 d:v0 e:v0 ");
	expect_holders(place, &top, &root_cred, "");
}

static void what_came_since_is_found(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct digest digest = digest_of_text("x");
	struct index_item item;

	make_version(place, run, "a", "x", 0644);
	expect_holders(place, &digest, &root_cred, "a:v0 ");
	make_version(place, run, "b", "x", 0644);
	assert_int_equal(holders_find(place->store, &digest, "b:v0", &root_cred, &item), 0);
	assert_string_equal(item.name, "b:v0");
	make_version(place, run, "c", "y", 0644);
	assert_int_equal(holders_find(place->store, &digest, "c:v0", &root_cred, &item), -ENOENT);
	/* More digests than are kept. */
	for (int i = 0; i < 2; i++) {
		for (char c = 'k'; c < 'z'; c++) {
			char text[2] = { c }, want[8];

			if (i == 0)
				make_version(place, run, text, text, 0644);
			snprintf(want, sizeof(want), "%c:v0 ", c);
			digest = digest_of_text(text);
			/* Who was "y" before. */
			if (c != 'y')
				expect_holders(place, &digest, &root_cred, c == 'x' ?
					       "a:v0 b:v0 x:v0 " : want);
		}
	}
}

static void many_are_cut_and_say_so(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct digest digest = digest_of_text("x");
	struct holders *h;
	char name[] = "a";

	for (; name[0] < 'f'; name[0]++)
		make_version(place, run, name, "x", 0644);
	assert_int_equal(holders_get(place->store, &digest, &h), 0);
	assert_false(h->truncated);
	assert_int_equal(h->count, 5);
	holders_put(place->store, h);
	place->store->options.lineage_nodes = 3;
	assert_int_equal(holders_get(place->store, &digest, &h), 0);
	assert_true(h->truncated);
	assert_int_equal(h->count, 3);
	holders_put(place->store, h);
}

/* ---- twins ---- */

static struct stage *start_stage(struct place *place, uint64_t *ret_page,
				 struct digest *ret_digest)
{
	AUTO(page_builder_freep) struct page_builder *b = NULL;
	struct page_entry e = { .type = ENTRY_FILE, .name = slice_str("f"), .size = 3, .nodes = 1 };
	struct stage *stage;
	uint64_t nodes;

	assert_int_equal(stage_open(place->store, 1, &stage), 0);
	b = page_builder_new(stage_page, stage);
	digest_of(slice_str("two"), &e.digest);
	assert_int_equal(stage_small(stage, &e.digest, slice_str("two")), 0);
	assert_int_equal(page_builder_add(b, &e), 0);
	assert_int_equal(page_builder_finish(b, ret_page, ret_digest, &nodes), 0);
	return stage;
}

struct refer {
	uint64_t page;
	uint32_t version;
	bool put;
};

static int refer_body(struct kv_txn *txn, void *arg)
{
	const struct refer *r = arg;
	struct slice key = KEY(page_ref(r->page, REFERRER_VERSION, r->version));

	return r->put ? kv_put(txn, KV_META, key, slice("", 0)) : kv_del(txn, KV_META, key);
}

/* As if the page were that of the version too. */
static void refer(struct place *place, uint64_t page, uint32_t version, bool put)
{
	struct refer r = { page, version, put };

	assert_int_equal(kv_update(place->store->kv, KV_ORDERED, refer_body, &r), 0);
}

static bool has_page(struct place *place, uint64_t page)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	return kv_get_one(place->store->kv, KV_META, KEY(page(page)), &b) == 0;
}

/* Two logs write the same directory at the same time. */
static void a_twin_is_found_from_the_other(void **state)
{
	struct place *place = *state;
	struct version v = make_version(place, make_run(place, "r"), "v", "1", 0644);
	struct digest digest;
	uint64_t page, twin;
	struct stage *first = start_stage(place, &page, &digest);
	struct stage *second = start_stage(place, &twin, &digest);

	assert_int_equal(stage_flush(first), 0);
	assert_int_equal(stage_flush(second), 0);
	assert_true(page != twin && has_page(place, page) && has_page(place, twin));
	expect_holders(place, &digest, &root_cred, "");
	refer(place, twin, v.id, true);
	expect_holders(place, &digest, &root_cred, "v:v0 ");
	/* The one that is found by the digest stays for the other. */
	stage_close(first, STAGE_DROPPED);
	assert_true(has_page(place, page));
	expect_holders(place, &digest, &root_cred, "v:v0 ");
	refer(place, twin, v.id, false);
	stage_close(second, STAGE_DROPPED);
	assert_false(has_page(place, page) || has_page(place, twin));
	expect_clean(place);
}

static void a_twin_goes_first(void **state)
{
	struct place *place = *state;
	struct digest digest;
	uint64_t page, twin;
	struct stage *first = start_stage(place, &page, &digest);
	struct stage *second = start_stage(place, &twin, &digest);

	/* Who is found has the higher number. */
	assert_int_equal(stage_flush(second), 0);
	assert_int_equal(stage_flush(first), 0);
	stage_close(second, STAGE_DROPPED);
	assert_true(has_page(place, page) && has_page(place, twin));
	stage_close(first, STAGE_DROPPED);
	assert_false(has_page(place, page) || has_page(place, twin));
	expect_clean(place);
}

/* ---- as directories ---- */

static const struct vfs_call root_call = { .uid = 0, .gid = 0 };
static const struct vfs_call stranger_call = { .uid = 12345, .gid = 12345 };

static int look_up(struct vfs *vfs, const struct vfs_call *call, const char *path,
		   struct vfs_entry *ret)
{
	autofree char *copy = xstrdup(path);
	char *rest = copy;
	int err = 0;

	*ret = (struct vfs_entry){ .attr = { .st_ino = VFS_ROOT } };
	for (const char *name; err == 0 && (name = strsep(&rest, "/"));)
		err = vfs_lookup(vfs, call, ret->attr.st_ino, name, ret);
	return err;
}

struct listed_names {
	struct buf text;
	struct vfs *vfs;
	const struct vfs_call *call;
	const char *path;
};

/* Each is found, with the number that the listing says; links lead somewhere. */
static int add_entry(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie)
{
	struct listed_names *l = arg;
	autofree char *path = xasprintf("%s/%s", l->path, name);
	AUTO(buf_release) struct buf target = BUF_INIT;
	struct vfs_entry found, end;

	(void)cookie;
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	assert_int_equal(look_up(l->vfs, l->call, path, &found), 0);
	assert_int_equal(found.attr.st_ino, entry->attr.st_ino);
	assert_int_equal(found.attr.st_mode & S_IFMT, entry->attr.st_mode & S_IFMT);
	assert_true(found.entry_ttl == 0);
	buf_printf(&l->text, "%s", name);
	if (S_ISLNK(entry->attr.st_mode)) {
		assert_int_equal(vfs_readlink(l->vfs, l->call, found.attr.st_ino, &target), 0);
		assert_int_equal(found.attr.st_size, target.len);
		assert_int_equal(strncmp(buf_str(&target), "../../", 6), 0);
		assert_int_equal(look_up(l->vfs, l->call, buf_str(&target) + 6, &end), 0);
		buf_printf(&l->text, "=%s", buf_str(&target) + 6);
	}
	buf_add_char(&l->text, ' ');
	return 0;
}

static void expect_listing(struct vfs *vfs, const struct vfs_call *call, const char *path,
			   const char *want)
{
	struct listed_names l = { .vfs = vfs, .call = call, .path = path };
	struct vfs_entry entry;
	struct vfs_open open;

	assert_int_equal(look_up(vfs, call, path, &entry), 0);
	assert_int_equal(vfs_opendir(vfs, call, entry.attr.st_ino, &open), 0);
	for (int i = 0; i < 2; i++) {
		buf_reset(&l.text);
		assert_int_equal(vfs_readdir(open.handle, call, 0, true, add_entry, &l), 0);
		assert_string_equal(buf_str(&l.text), want);
	}
	/* From the middle. */
	buf_reset(&l.text);
	assert_int_equal(vfs_readdir(open.handle, call, 3, false, add_entry, &l), 0);
	assert_string_equal(buf_str(&l.text), strchr(want, ' ') ? strchr(want, ' ') + 1 : "");
	vfs_release(open.handle);
	buf_release(&l.text);
}

static void directories_show_what_is_there(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct version v = make_version(place, run, "m", "bytes", 0644);
	struct version secret = make_version(place, run, "m", "secret", 0600);
	char hex[DIGEST_HEX_SIZE + 1], path[128];
	struct digest digest = digest_of_text("bytes");
	struct vfs_entry entry;
	struct vfs *vfs;

	make_version(place, run, "n", "bytes", 0644);
	assert_int_equal(collection_set_text(place->store, v.collection, COLLECTION_TYPE,
					     slice_str("model")), 0);
	assert_int_equal(run_set_job_type(place->store, run, slice_str("train")), 0);
	assert_int_equal(run_tag_add(place->store, run, slice_str("x")), 0);
	assert_int_equal(version_tag_add(place->store, v.id, slice_str("x")), 0);
	assert_int_equal(version_tag_add(place->store, v.id, slice_str("y")), 0);
	assert_int_equal(version_tag_add(place->store, secret.id, slice_str("z")), 0);
	assert_int_equal(vfs_new(place->store, &vfs), 0);
	expect_listing(vfs, &root_call, "types", "model ");
	expect_listing(vfs, &root_call, "types/model", "m=artifacts/m ");
	expect_listing(vfs, &stranger_call, "jobs", "train ");
	expect_listing(vfs, &stranger_call, "jobs/train", "r=runs/r ");
	expect_listing(vfs, &root_call, "tags", "x y z ");
	expect_listing(vfs, &root_call, "tags/x", "r=runs/r m:v0=artifacts/m/v0 ");
	expect_listing(vfs, &root_call, "tags/z", "m:v1=artifacts/m/v1 ");
	expect_listing(vfs, &stranger_call, "tags", "x y ");
	assert_int_equal(look_up(vfs, &stranger_call, "tags/z", &entry), -ENOENT);
	assert_int_equal(look_up(vfs, &stranger_call, "tags/w", &entry), -ENOENT);
	expect_listing(vfs, &root_call, "digests", "");
	digest_to_hex(&digest, hex);
	snprintf(path, sizeof(path), "digests/%s", hex);
	expect_listing(vfs, &stranger_call, path, "m:v0=artifacts/m/v0 n:v0=artifacts/n/v0 ");
	/* Upper case is no name, nor is what is cut. */
	path[8] = path[9] = path[10] = 'A';
	assert_int_equal(look_up(vfs, &root_call, path, &entry), -ENOENT);
	snprintf(path, sizeof(path), "digests/%.63s", hex);
	assert_int_equal(look_up(vfs, &root_call, path, &entry), -ENOENT);
	digest = digest_of_text("secret");
	digest_to_hex(&digest, hex);
	snprintf(path, sizeof(path), "digests/%s", hex);
	assert_int_equal(look_up(vfs, &stranger_call, path, &entry), -ENOENT);
	expect_listing(vfs, &root_call, path, "m:v1=artifacts/m/v1 ");
	vfs_free(vfs);
}

static void a_cut_directory_says_so(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	char hex[DIGEST_HEX_SIZE + 1], path[128];
	struct digest digest = digest_of_text("x");
	struct vfs_entry entry;
	struct vfs *vfs;

	make_version(place, run, "a", "x", 0644);
	make_version(place, run, "b", "x", 0644);
	digest_to_hex(&digest, hex);
	assert_int_equal(vfs_new(place->store, &vfs), 0);
	snprintf(path, sizeof(path), "digests/%s/TRUNCATED", hex);
	assert_int_equal(look_up(vfs, &root_call, path, &entry), -ENOENT);
	place->store->options.lineage_nodes = 1;
	assert_int_equal(look_up(vfs, &root_call, path, &entry), 0);
	assert_true(entry.attr.st_size > 0);
	path[8 + DIGEST_HEX_SIZE] = '\0';
	expect_listing(vfs, &root_call, path, "a:v0=artifacts/a/v0 TRUNCATED ");
	vfs_free(vfs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(names_come_and_go),
		EVERYWHERE(tags_lead_to_versions_and_runs),
		EVERYWHERE(others_do_not_see_what_is_private),
		ON(memory, groups_are_asked_for_once),
		EVERYWHERE(bytes_lead_to_all_that_hold_them),
		EVERYWHERE(what_came_since_is_found),
		ON(memory, many_are_cut_and_say_so),
		EVERYWHERE(a_twin_is_found_from_the_other),
		EVERYWHERE(a_twin_goes_first),
		EVERYWHERE(directories_show_what_is_there),
		ON(memory, a_cut_directory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
