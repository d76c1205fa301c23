/*
 * make_graph.c - a store with a large lineage graph in it, for measuring: a collection `a` of
 * versions of one type, each logged by a run of its own that used some of those before it.
 *
 * make_graph STORE RUNS USES WINDOW [READERS]: each run uses USES random versions of the last
 * WINDOW ones. Their edges go to standard output, "<from> <to>" a line: versions are even numbers,
 * runs odd ones. READERS more runs use every one of these versions and log nothing. All versions
 * have the content of one empty file. Rows are written as core/publish.c would.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/artifact.h"
#include "core/edge.h"
#include "core/log.h"
#include "core/publish.h"
#include "core/run.h"

#define BATCH 2000
#define READER_BATCH 10

struct making {
	struct store *store;
	struct version model; /* what all versions are like */
	uint32_t collection;
	uint32_t from, to; /* runs of this batch */
	uint32_t runs, uses, window, readers;
	uint64_t version_id, run_id, sequence; /* of number 0 */
};

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static int put_version(struct kv_txn *txn, const struct making *m, uint32_t n)
{
	AUTO(buf_release) struct buf record = BUF_INIT, place = BUF_INIT;
	struct version v = m->model;
	int err;

	v.id = (uint32_t)m->version_id + n;
	v.number = n + 1;
	v.run = (uint32_t)m->run_id + n;
	v.sequence = m->sequence + (uint64_t)n * (m->uses + 1) + m->uses;
	encode_version(&record, &v);
	encode_place(&place, m->collection, v.number);
	err = kv_put(txn, KV_META, KEY(version(m->collection, v.number)), buf_slice(&record));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(version_id(v.id)), buf_slice(&place));
	if (err == 0)
		err = edge_add_logged(txn, v.run, v.id, &(struct edge){ .sequence = v.sequence });
	return err;
}

static int put_run(struct kv_txn *txn, const struct making *m, uint32_t n)
{
	AUTO(buf_release) struct buf id = BUF_INIT;
	AUTO(run_release)
	struct run run = {
		.id = (uint32_t)m->run_id + n,
		.name = xasprintf("r%" PRIu32, n),
		.state = RUN_FINISHED,
		.mode = 0755,
		.created = store_now(),
		.ended = store_now(),
		.next_slot = 1,
		.host = xstrdup("bench"),
		.job_type = xstrdup("step"),
		.reason = xstrdup(""),
	};
	int err;

	encode_u64(&id, run.id);
	err = kv_put(txn, KV_META, KEY(run_name(slice_str(run.name))), buf_slice(&id));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(of_job(slice_str(run.job_type), run.id)),
			     slice("", 0));
	return err < 0 ? err : run_write(txn, &run);
}

static int batch_body(struct kv_txn *txn, void *arg)
{
	struct making *m = arg;
	int err = 0;

	for (uint32_t n = m->from; err == 0 && n < m->to; n++) {
		uint64_t seed = n + 1;
		uint32_t window = n < m->window ? n : m->window;

		err = put_run(txn, m, n);
		for (uint32_t i = 0; err == 0 && window > 0 && i < m->uses; i++) {
			uint32_t used = n - 1 - (uint32_t)(next_random(&seed) % window);
			struct edge edge = {
				.flags = EDGE_OBSERVED,
				.sequence = m->sequence + (uint64_t)n * (m->uses + 1) + i,
				.opened = 1,
			};

			err = edge_add_use(txn, (uint32_t)m->run_id + n,
					   (uint32_t)m->version_id + used, &edge);
		}
		if (err == 0)
			err = put_version(txn, m, n);
	}
	return err;
}

/* Sequences of readers follow those of all runs. */
static int reader_body(struct kv_txn *txn, void *arg)
{
	struct making *m = arg;
	int err = 0;

	for (uint32_t n = m->from; err == 0 && n < m->to; n++) {
		err = put_run(txn, m, n);
		for (uint32_t v = 0; err == 0 && v < m->runs; v++) {
			struct edge edge = {
				.flags = EDGE_OBSERVED,
				.sequence = m->sequence + (uint64_t)m->runs * (m->uses + 1) +
					    (uint64_t)(n - m->runs) * m->runs + v,
				.opened = 1,
			};

			err = edge_add_use(txn, (uint32_t)m->run_id + n,
					   (uint32_t)m->version_id + v, &edge);
		}
	}
	return err;
}

static void print_edges(const struct making *m)
{
	for (uint32_t n = 0; n < m->runs; n++) {
		uint64_t seed = n + 1;
		uint32_t window = n < m->window ? n : m->window;

		for (uint32_t i = 0; window > 0 && i < m->uses; i++)
			printf("%" PRIu32 " %" PRIu32 "\n",
			       2 * (n - 1 - (uint32_t)(next_random(&seed) % window)), 2 * n + 1);
		printf("%" PRIu32 " %" PRIu32 "\n", 2 * n + 1, 2 * n);
	}
}

static int finish_body(struct kv_txn *txn, void *arg)
{
	AUTO(collection_release) struct collection c = { 0 };
	const struct making *m = arg;
	int err = collection_read(txn, m->collection, &c);

	if (err < 0)
		return err;
	c.next_number = m->runs + 1;
	c.latest = m->runs;
	return collection_write(txn, &c);
}

/* v0 of the collection, logged in earnest: what all others copy. */
static int make_model(struct making *m)
{
	static const struct cred root = { 0 };
	AUTO(collection_release) struct collection c = { 0 };
	AUTO(buf_release) struct buf path = BUF_INIT;
	struct publish_request request = {
		.cred = &root,
		.name = slice_str("a"),
		.type = slice_str("model"),
	};
	int err = run_create(m->store, slice_str("first"), 0, 0, 0755, 0, &request.run);

	if (err < 0)
		return err;
	buf_printf(&path, "%08x/a", request.run);
	close(openat(m->store->drafts, buf_str(&path), O_WRONLY | O_CREAT, 0644));
	err = publish(m->store, &request);
	if (err == 0)
		err = collection_find(m->store, slice_str("a"), &c);
	if (err == 0)
		err = version_get(m->store, c.id, 0, &m->model);
	m->collection = c.id;
	return err;
}

/* Runs from..to in batches. */
static int put_all(struct making *m, kv_body *body, uint32_t from, uint32_t to, uint32_t batch)
{
	int err = 0;

	for (m->from = from; err == 0 && m->from < to; m->from = m->to) {
		m->to = to - m->from < batch ? to : m->from + batch;
		err = kv_update(m->store->kv, KV_ORDERED, body, m);
	}
	return err;
}

static int make(struct making *m)
{
	uint32_t all = m->runs + m->readers;
	int err = make_model(m);

	if (err == 0)
		err = store_new_ids(m->store, ID_VERSION, m->runs, &m->version_id);
	if (err == 0)
		err = store_new_ids(m->store, ID_RUN, all, &m->run_id);
	if (err == 0)
		err = store_new_ids(m->store, ID_SEQUENCE,
				    (uint64_t)m->runs * (m->uses + 1 + m->readers), &m->sequence);
	if (err == 0)
		err = put_all(m, batch_body, 0, m->runs, BATCH);
	if (err == 0)
		err = put_all(m, reader_body, m->runs, all, READER_BATCH);
	return err < 0 ? err : kv_update(m->store->kv, KV_DURABLE, finish_body, m);
}

int main(int argc, char **argv)
{
	const struct store_options options = { .cache_bytes = 256u << 20 };
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct making m = { 0 };
	int err;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: make_graph STORE RUNS USES WINDOW [READERS]\n");
		return 2;
	}
	m.runs = (uint32_t)strtoul(argv[2], NULL, 10);
	m.uses = (uint32_t)strtoul(argv[3], NULL, 10);
	m.window = (uint32_t)strtoul(argv[4], NULL, 10);
	m.readers = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
	log_set_level(LOG_LEVEL_ERROR);
	err = store_open(argv[1], &options, &why, &m.store);
	if (err == 0)
		err = make(&m);
	if (err < 0)
		fprintf(stderr, "make_graph: %s %s\n", strerror(-err), buf_str(&why));
	else
		print_edges(&m);
	store_close(m.store);
	return err < 0;
}
