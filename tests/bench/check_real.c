/*
 * check_real STORE - looks at a store that nobody has open: is every row what it should be, and is
 * nothing there that no version needs? Prints what is wrong; then "clean", how many bytes the blobs
 * have, and how many of them live versions hold. Exits with 1 if anything is wrong.
 */
#include <stdio.h>

#include "core/gc.h"
#include "core/log.h"
#include "tests/fake/check_store.h"

static int add_size(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id;
	*(uint64_t *)arg += size;
	return 0;
}

static int add_live(struct store *store, struct usage_set *set)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint32_t id;
	int more;

	while ((more = collection_next(store, buf_slice(&name), &id, &name)) > 0) {
		struct version v;

		for (int64_t after = -1; version_next(store, id, after, &v) > 0; after = v.number)
			usage_set_add(set, v.id);
	}
	return more;
}

int main(int argc, char **argv)
{
	const struct store_options options = {
		.cache_bytes = 8u << 20, .idle = true, .trash_seconds = 1u << 30,
		.lineage_bytes = 1u << 20, .lineage_nodes = 1000, .document_nodes = 1000,
	};
	AUTO(usage_set_release) struct usage_set set = { 0 };
	AUTO(buf_release) struct buf wrong = BUF_INIT;
	struct store *store = NULL;
	struct usage usage;
	uint64_t bytes = 0;
	unsigned n;

	log_set_level(LOG_LEVEL_WARNING);
	if (argc != 2 || store_open(argv[1], &options, &wrong, &store) < 0) {
		fprintf(stderr, "check_real: %s\n", argc == 2 ? buf_str(&wrong) : "STORE?");
		return 2;
	}
	n = check_store(store, &wrong);
	fputs(buf_str(&wrong), stdout);
	if (blob_each(store->blobs, add_size, &bytes) < 0 || add_live(store, &set) < 0 ||
	    usage_of(store, &set, NULL, &usage) < 0) {
		printf("the store cannot be read\n");
		n++;
	} else if (n == 0) {
		printf("clean: %llu bytes, %llu of live versions\n", (unsigned long long)bytes,
		       (unsigned long long)usage.total);
	}
	store_close(store);
	return n ? 1 : 0;
}
