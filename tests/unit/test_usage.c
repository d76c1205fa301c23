/*
 * The contract of core/usage.h: what it says would be free is what goes, to the byte.
 */
#include "core/usage.h"

#include "core/alias.h"
#include "core/reap.h"
#include "core/removal.h"
#include "core/stage.h"
#include "store_place.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- short forms ---- */

static int add_size(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id;
	*(uint64_t *)arg += size;
	return 0;
}

static uint64_t stored_bytes(struct place *place)
{
	uint64_t sum = 0;

	assert_int_equal(blob_each(place->store->blobs, add_size, &sum), 0);
	return sum;
}

static void expect_usage(struct place *place, const char *names, uint64_t versions, uint64_t total,
			 uint64_t freed)
{
	AUTO(usage_set_release) struct usage_set set = { 0 };
	autofree char *copy = xstrdup(names);
	char *rest = copy;
	struct usage usage;
	uint64_t unreadable;

	for (const char *name; (name = strsep(&rest, " "));)
		assert_int_equal(usage_find(place->store, &root_cred, slice_str(name), &set,
					    &unreadable), 0);
	assert_int_equal(usage_of(place->store, &set, NULL, &usage), 0);
	assert_int_equal(usage.versions, versions);
	assert_int_equal(usage.total, total);
	assert_int_equal(usage.freed, freed);
	assert_int_equal(usage.shared, total - freed);
}

static void log_text(struct place *place, uint32_t run, const char *name, const char *text)
{
	put_file(place, run, name, text);
	assert_int_equal(log_draft(place, run, name), 0);
}

/* ---- tests ---- */

static void a_content_counts_once(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	put_directory(place, run, "d/sub");
	put_directory(place, run, "d/same");
	put_file(place, run, "d/a", "0123456789");
	put_file(place, run, "d/b", "0123456789");
	put_file(place, run, "d/empty", "");
	put_file(place, run, "d/sub/a", "0123456789");
	put_file(place, run, "d/sub/c", "12345");
	put_file(place, run, "d/same/a", "0123456789");
	put_file(place, run, "d/same/c", "12345");
	assert_int_equal(log_draft(place, run, "d"), 0);
	expect_usage(place, "d:v0", 1, 15, 15);
	expect_usage(place, "d:v0 d d:latest", 1, 15, 15);
}

static void what_others_have_is_shared(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "d");
	put_directory(place, run, "d/sub");
	put_file(place, run, "d/sub/same", "0123456789");
	put_file(place, run, "d/other", "1");
	assert_int_equal(log_draft(place, run, "d"), 0);
	put_file(place, run, "d/other", "12");
	assert_int_equal(log_draft(place, run, "d"), 0);
	log_text(place, run, "m", "0123456789");
	expect_usage(place, "d:v0", 1, 11, 1);
	expect_usage(place, "d:v1", 1, 12, 2);
	expect_usage(place, "d", 2, 13, 3);
	expect_usage(place, "m", 1, 10, 0);
	expect_usage(place, "d:v0 m", 2, 11, 1);
	expect_usage(place, "d m", 3, 13, 13);
	/* What is in the trash is there still; what is purged holds nothing. */
	assert_int_equal(version_remove(place->store, version_of(place, "d", 0).id), 0);
	expect_usage(place, "d", 1, 12, 2);
	expect_usage(place, "d:v0", 1, 11, 1);
	assert_int_equal(version_remove(place->store, version_of(place, "m", 0).id), 0);
	assert_int_equal(version_purge(place->store, version_of(place, "d", 1).id - 1), 0);
	expect_usage(place, "d", 1, 12, 2);
	assert_int_equal(reap_run(place->store), 0);
	expect_usage(place, "d m:v0", 2, 12, 12);
}

/* Contents that many have: who else has one is found out without looking at all. */
static void many_share_many(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf names = BUF_INIT;
	uint32_t run = make_run(place, "r");

	for (unsigned i = 0; i < 40; i++) {
		autofree char *top = xasprintf("d%02u", i);
		autofree char *own = xasprintf("%s/own", top);

		put_directory(place, run, top);
		put_file(place, run, own, top);
		for (unsigned k = 0; k < 30; k++) {
			autofree char *file = xasprintf("%s/%u", top, k);
			autofree char *text = xasprintf("text %03u", k);

			put_file(place, run, file, text);
		}
		assert_int_equal(log_draft(place, run, top), 0);
		buf_printf(&names, "%s%s", i ? " " : "", top);
		/* All there are. */
		expect_usage(place, buf_str(&names), i + 1, 30 * 8 + (i + 1) * 3,
			     30 * 8 + (i + 1) * 3);
	}
	expect_usage(place, "d07", 1, 30 * 8 + 3, 3);
	names.data[names.len -= 4] = '\0';
	expect_usage(place, buf_str(&names), 39, 30 * 8 + 39 * 3, 39 * 3);
}

/* A log that is under way holds what it found, and may come to nothing. */
static void a_log_under_way_shares(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(page_builder_freep) struct page_builder *b = NULL;
	struct page_entry e = { .type = ENTRY_FILE, .name = slice_str("m"), .size = 3, .nodes = 1 };
	struct stage *stage;
	struct digest digest;
	uint64_t page, nodes;

	log_text(place, run, "m", "abc");
	expect_usage(place, "m", 1, 3, 3);
	assert_int_equal(stage_open(place->store, run, &stage), 0);
	b = page_builder_new(stage_page, stage);
	digest_of(slice_str("abc"), &e.digest);
	assert_int_equal(page_builder_add(b, &e), 0);
	assert_int_equal(page_builder_finish(b, &page, &digest, &nodes), 0);
	assert_int_equal(stage_flush(stage), 0);
	expect_usage(place, "m", 1, 3, 0);
	stage_close(stage, STAGE_DROPPED);
	expect_usage(place, "m", 1, 3, 3);
	expect_clean(place);
}

static void names_are_found(void **state)
{
	const struct cred ann = { .uid = 1, .gid = 1 };
	struct place *place = *state;
	AUTO(usage_set_release) struct usage_set set = { 0 };
	AUTO(collection_release) struct collection c = { 0 };
	struct store *store = place->store;
	uint32_t run = make_run(place, "r");
	uint64_t unreadable = 7;
	autofree char *path = draft_path(place, run, "m");

	log_text(place, run, "m", "public");
	assert_int_equal(chmod(path, 0600), 0);
	log_text(place, run, "m", "private");
	assert_int_equal(collection_find(store, slice_str("m"), &c), 0);
	assert_int_equal(alias_set(store, c.id, slice_str("prod"), version_of(place, "m", 0).id,
				   false, &root_cred), 0);
	assert_int_equal(usage_find(store, &ann, slice_str("m"), &set, &unreadable), 0);
	assert_int_equal(unreadable, 1);
	assert_int_equal(set.count, 1);
	assert_int_equal(usage_find(store, &ann, slice_str("m:prod"), &set, &unreadable), 0);
	assert_int_equal(unreadable, 0);
	assert_int_equal(set.count, 2);
	assert_int_equal(set.ids[1], set.ids[0]);
	assert_int_equal(usage_find(store, &ann, slice_str("/mnt/artifacts/m/v0"), &set,
				    &unreadable), 0);
	assert_int_equal(set.count, 3);
	assert_int_equal(usage_find(store, &ann, slice_str("m:v1"), &set, &unreadable), -EACCES);
	assert_int_equal(usage_find(store, &ann, slice_str("m:latest"), &set, &unreadable),
			 -EACCES);
	assert_int_equal(usage_find(store, &ann, slice_str("m:v2"), &set, &unreadable), -ENOENT);
	assert_int_equal(usage_find(store, &ann, slice_str("m:best"), &set, &unreadable), -ENOENT);
	assert_int_equal(usage_find(store, &ann, slice_str("n"), &set, &unreadable), -ENOENT);
	assert_int_equal(usage_find(store, &ann, slice_str(""), &set, &unreadable), -EINVAL);
	assert_int_equal(usage_find(store, &ann, slice_str("m:"), &set, &unreadable), -EINVAL);
	assert_int_equal(usage_find(store, &ann, slice_str("a/b"), &set, &unreadable), -EINVAL);
	assert_int_equal(usage_find(store, &ann, slice_str("artifacts/m/v0/files/m"), &set,
				    &unreadable), -EINVAL);
	assert_int_equal(set.count, 3);
	assert_int_equal(collection_set_owner(store, c.id, (uid_t)-1, (gid_t)-1, 0711), 0);
	assert_int_equal(usage_find(store, &ann, slice_str("m"), &set, &unreadable), -EACCES);
	assert_int_equal(usage_find(store, &ann, slice_str("m:v0"), &set, &unreadable), 0);
	assert_int_equal(collection_set_owner(store, c.id, (uid_t)-1, (gid_t)-1, 0700), 0);
	assert_int_equal(usage_find(store, &ann, slice_str("m:v0"), &set, &unreadable), -EACCES);
}

static void it_can_be_stopped(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(usage_set_release) struct usage_set set = { 0 };
	struct usage usage;
	uint64_t unreadable;
	bool stop = true;

	put_directory(place, run, "d");
	for (unsigned i = 0; i < 200; i++) {
		autofree char *name = xasprintf("d/%u", i);

		put_file(place, run, name, name);
	}
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(usage_find(place->store, &root_cred, slice_str("d"), &set, &unreadable),
			 0);
	assert_int_equal(usage_of(place->store, &set, &stop, &usage), -EINTR);
}

/* ---- at random ---- */

static unsigned random_below(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % n;
}

/* Files of few different contents, in directories that are often the same. */
static void scribble(struct place *place, uint32_t run, const char *top, unsigned *seed)
{
	static const char *const directories[] = { "", "/a", "/b", "/b/c" };

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		autofree char *directory = xasprintf("%s%s", top, directories[i]);
		autofree char *path = draft_path(place, run, directory);

		mkdir(path, 0755);
		for (unsigned k = 0; k < 6; k++) {
			autofree char *file = xasprintf("%s/%u", directory,
							random_below(seed, 100));
			autofree char *text = xasprintf("%0*u", 1 + random_below(seed, 9), k);

			if (random_below(seed, 3) == 0)
				put_file(place, run, file, text);
		}
	}
	if (random_below(seed, 2) == 0) {
		autofree char *file = xasprintf("%s/large", top);
		autofree char *path = draft_path(place, run, file);

		unlink(path);
		put_large(place, run, file, random_below(seed, 3), LARGE);
	}
}

/* Equal content makes no new version. */
static void add_once(struct usage_set *set, uint32_t version)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->ids[i] == version)
			return;
	usage_set_add(set, version);
}

/* Some versions of all are measured and purged: what goes is what was said. */
static void forget_some(struct place *place, struct usage_set *all, unsigned *seed, bool reap)
{
	AUTO(usage_set_release) struct usage_set some = { 0 }, rest = { 0 };
	struct usage usage;
	uint64_t before, reclaimable, again;

	for (size_t i = 0; i < all->count; i++)
		usage_set_add(random_below(seed, 3) == 0 ? &some : &rest, all->ids[i]);
	assert_int_equal(usage_of(place->store, &some, NULL, &usage), 0);
	assert_int_equal(usage_reclaimable(place->store, &some, NULL, &reclaimable), 0);
	assert_true(reclaimable >= usage.freed);
	assert_int_equal(usage.versions, some.count);
	before = stored_bytes(place);
	for (size_t i = 0; i < some.count; i++) {
		int err = version_remove(place->store, some.ids[i]);

		assert_true(err == 0 || err == -ENOENT);
		assert_int_equal(version_purge(place->store, some.ids[i]), 0);
	}
	/* What waits to be reaped refers to nothing that stays. */
	assert_int_equal(usage_reclaimable(place->store, &(struct usage_set){ 0 }, NULL, &again),
			 0);
	assert_int_equal(again, reclaimable);
	assert_true(reap_some(place->store, 10) >= 0);
	assert_int_equal(usage_reclaimable(place->store, &(struct usage_set){ 0 }, NULL, &again),
			 0);
	assert_int_equal(again, reclaimable - (before - stored_bytes(place)));
	if (reap) {
		uint64_t freed = reap_freed(place->store);

		assert_int_equal(reap_run(place->store), 0);
		assert_int_equal(before - stored_bytes(place), reclaimable);
		assert_true(reap_freed(place->store) - freed <= reclaimable);
		expect_clean_now(place);
	}
	usage_set_release(all);
	*all = rest;
	rest = (struct usage_set){ 0 };
}

static void what_is_said_is_what_goes(void **state)
{
	struct place *place = *state;
	AUTO(usage_set_release) struct usage_set all = { 0 };
	uint32_t run = make_run(place, "r");
	unsigned seed = 1;

	await_janitor(place);
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 6; i++) {
			autofree char *name = xasprintf("d%u", random_below(&seed, 3));
			AUTO(collection_release) struct collection c = { 0 };

			scribble(place, run, name, &seed);
			assert_int_equal(log_draft(place, run, name), 0);
			assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
			add_once(&all, version_of(place, name, (uint32_t)c.latest).id);
			/* Some wait in the trash. */
			if (random_below(&seed, 4) == 0)
				version_remove(place->store, all.ids[all.count - 1]);
		}
		forget_some(place, &all, &seed, round % 2);
	}
	assert_int_equal(reap_run(place->store), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, a_content_counts_once),
		ON(memory, what_others_have_is_shared),
		ON(real, what_others_have_is_shared),
		ON(memory, many_share_many),
		ON(real, many_share_many),
		ON(memory, a_log_under_way_shares),
		ON(memory, names_are_found),
		ON(memory, it_can_be_stopped),
		EVERYWHERE(what_is_said_is_what_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
