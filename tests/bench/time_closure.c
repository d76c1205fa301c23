/*
 * time_closure.c - how long the upstream closures of versions of a store of make_graph take.
 *
 * time_closure STORE NUMBER...: for each version a:v<NUMBER>, in that order, a line with the
 * numbers of versions and runs above it and the microseconds. The first query builds the graph, so a
 * line "first" with its time comes before them; none is asked for twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/artifact.h"
#include "core/lineage.h"
#include "core/log.h"

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int print_time(struct store *store, uint32_t version, const char *what)
{
	struct lineage_node of = { LINEAGE_VERSION, version };
	double start = now_us();
	struct lineage_closure *c;
	int err = lineage_closure_get(store, of, LINEAGE_UP, &c);

	if (err < 0)
		return err;
	printf("%s %zu %zu %.0f\n", what, c->version_count, c->run_count, now_us() - start);
	lineage_closure_put(store, c);
	return 0;
}

int main(int argc, char **argv)
{
	const struct store_options options = {
		.cache_bytes = 256u << 20,
		.lineage_bytes = (size_t)4096 << 20,
		.lineage_nodes = 100000000,
	};
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct store *store = NULL;
	struct version v;
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: time_closure STORE NUMBER...\n");
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	err = store_open(argv[1], &options, &why, &store);
	if (err == 0)
		err = collection_find(store, slice_str("a"), &c);
	if (err == 0)
		err = version_get(store, c.id, 0, &v);
	if (err == 0)
		err = print_time(store, v.id, "first");
	for (int i = 2; err == 0 && i < argc; i++) {
		err = version_get(store, c.id, (uint32_t)strtoul(argv[i], NULL, 10), &v);
		if (err == 0)
			err = print_time(store, v.id, argv[i]);
	}
	if (err < 0)
		fprintf(stderr, "time_closure: %s %s\n", strerror(-err), buf_str(&why));
	store_close(store);
	return err < 0;
}
