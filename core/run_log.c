/*
 * run_log.c - the text of a run's `log`: a row, or, when that could not be written, what it should
 * have said, kept until one can be.
 */
#include "run.h"

struct store_unsaid {
	struct store_unsaid *next;
	uint32_t run;
	struct buf text;
};

/* Where the text of a run is, or the end of the list. Lock held. */
static struct store_unsaid **find_unsaid(struct store *store, uint32_t run)
{
	struct store_unsaid **at = &store->unsaid;

	while (*at && (*at)->run != run)
		at = &(*at)->next;
	return at;
}

static void drop_unsaid(struct store_unsaid **at)
{
	struct store_unsaid *gone = *at;

	*at = gone->next;
	buf_release(&gone->text);
	free(gone);
}

static void keep_unsaid(struct store *store, uint32_t run, struct slice text)
{
	struct store_unsaid **at;

	LOCKED(&store->unsaid_lock);
	at = find_unsaid(store, run);
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->run = run;
	}
	buf_reset(&(*at)->text);
	buf_add_slice(&(*at)->text, text);
}

void run_log_said(struct store *store, uint32_t run)
{
	struct store_unsaid **at;

	LOCKED(&store->unsaid_lock);
	at = find_unsaid(store, run);
	if (*at)
		drop_unsaid(at);
}

void run_logs_release(struct store *store)
{
	while (store->unsaid)
		drop_unsaid(&store->unsaid);
}

static bool read_unsaid(struct store *store, uint32_t run, struct buf *ret)
{
	struct store_unsaid **at;

	LOCKED(&store->unsaid_lock);
	at = find_unsaid(store, run);
	if (!*at)
		return false;
	buf_add_slice(ret, buf_slice(&(*at)->text));
	return true;
}

int run_log_read(struct store *store, uint32_t id, struct buf *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err;

	if (read_unsaid(store, id, ret))
		return 0;
	err = kv_get_one(store->kv, KV_META, KEY(run_log(id)), &b);
	if (err == 0)
		buf_add_slice(ret, buf_slice(&b));
	return err == -ENOENT ? 0 : err;
}

int run_log_put(struct kv_txn *txn, uint32_t id, struct slice text)
{
	if (text.len > RUN_LOG_MAX)
		text.len = RUN_LOG_MAX;
	return kv_put(txn, KV_META, KEY(run_log(id)), text);
}

struct log_text {
	uint32_t id;
	struct slice text;
};

static int log_body(struct kv_txn *txn, void *arg)
{
	const struct log_text *l = arg;
	int there = kv_has(txn, KV_META, KEY(run(l->id)));

	/* The run may have been removed while it was being logged. */
	return there > 0 ? run_log_put(txn, l->id, l->text) : there;
}

int run_log_write(struct store *store, uint32_t id, struct slice text)
{
	struct log_text l = { id, text };
	int err = kv_update(store->kv, KV_ORDERED, log_body, &l);

	if (err < 0)
		keep_unsaid(store, id, text);
	else
		run_log_said(store, id);
	return err;
}
