/* What core/tree.h does with pages that lead back to themselves: -EIO, and an end. */
#include "store_place.h"

#define PAGE 77

static int put_page(struct kv_txn *txn, void *arg)
{
	const struct page_built *built = arg;
	AUTO(buf_release) struct buf record = BUF_INIT;

	put_digest(&record, &built->digest);
	buf_add_slice(&record, built->bytes);
	return kv_put(txn, KV_META, KEY(page(PAGE)), buf_slice(&record));
}

/* All pages are this one: the last, the root, stays. */
static int one_page(void *arg, const struct page_built *built, uint64_t *ret)
{
	struct place *place = arg;
	struct page_built copy = *built;

	*ret = PAGE;
	return kv_update(place->store->kv, KV_ORDERED, put_page, &copy);
}

static void build(struct place *place, size_t n, enum entry_type type)
{
	AUTO(page_builder_freep) struct page_builder *b = page_builder_new(one_page, place);
	struct digest digest;
	uint64_t page, nodes;

	for (size_t i = 0; i < n; i++) {
		autofree char *name = xasprintf("%06zu", i);
		struct page_entry e = { .type = type, .name = slice_str(name), .nodes = 1,
					.page = PAGE };

		assert_int_equal(page_builder_add(b, &e), 0);
	}
	assert_int_equal(page_builder_finish(b, &page, &digest, &nodes), 0);
	assert_int_equal(page, PAGE);
	log_to_file("/dev/null");
}

static int ignore(void *arg, struct slice path, const struct page_entry *entry)
{
	(void)arg, (void)path, (void)entry;
	return 0;
}

static void a_directory_in_itself(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf sums = BUF_INIT;

	build(place, 1, ENTRY_DIRECTORY);
	assert_int_equal(tree_walk(place->store->kv, PAGE, ignore, NULL), -EIO);
	assert_int_equal(tree_sums(place->store->kv, PAGE, &sums), -EIO);
}

static void a_page_below_itself(void **state)
{
	struct place *place = *state;
	AUTO(tree_cursor_closep) struct tree_cursor *cursor = NULL;
	struct tree_entry e;

	build(place, 5000, ENTRY_FILE);
	assert_int_equal(tree_walk(place->store->kv, PAGE, ignore, NULL), -EIO);
	assert_int_equal(tree_find(place->store->kv, PAGE, slice_str("000100"), &e), -EIO);
	assert_int_equal(tree_cursor_open(place->store->kv, PAGE, slice_str("000100"), &cursor),
			 -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, a_directory_in_itself),
		ON(memory, a_page_below_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
