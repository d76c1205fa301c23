/*
 * check_intent.c - logs that are under way, and what waits to be taken away. A log that is under
 * way is of this process: recovery has dropped all others when the store was opened, unless it
 * failed.
 */
#include "check_private.h"

#include "reap.h"
#include "stage.h"

static bool is_under_way(const struct check *c, uint64_t intent)
{
	return !c->options->at_rest && intent >= c->store->first_intent;
}

void check_intent(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	if (key.len != 9 || !is_under_way(c, key_u64_at(key, 1)))
		check_wrong(c, "intent-left", "a log that was interrupted is still there");
}

void check_intent_part(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	if (key.len == 13 && is_under_way(c, key_u64_at(key, 1)))
		return;
	/* Told by the intent itself. */
	if (key.len != 13 || !check_has(c, KEY(intent(key_u64_at(key, 1)))))
		check_wrong(c, "intent-part-left", "a part of a log that was interrupted is still "
			    "there");
}

void mend_intent(struct check *c, struct slice key, struct slice value)
{
	int err = key.len < 9 ? -EIO : stage_drop(c->store, key_u64_at(key, 1));

	(void)value;
	if (err == 0)
		err = reap_run(c->store);
	check_done(c, err, CHECK_REPAIRED);
}

void check_doomed(struct check *c, struct slice key, struct slice value)
{
	char kind = *(const char *)key.data;
	size_t len = kind == 'x' ? 9 : kind == 'y' ? 1 + DIGEST_SIZE : 1 + DIGEST_SIZE + 8;

	(void)value;
	if (key.len != len)
		check_wrong(c, "doomed-unreadable", "what is to be taken away cannot be read");
	else if (c->options->at_rest)
		check_wrong(c, "doomed-left", "something that nobody needs is still there (%c)",
			    kind);
}

static int by_generation(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void look_up(struct check *c)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	size_t cap = 0;
	struct slice key, value;
	int more = kv_scan(c->txn, KV_META, KEY(prefix('n')), slice("", 0), &scan);

	c->under_way = xgrow(NULL, &cap, 1, sizeof(*c->under_way));
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		struct reader r = reader_of(value);
		struct blob_id id;
		uint64_t size;

		for (uint64_t n = get_u64(&r); n > 0 && stage_part_blob(&r, &id, &size) == 0; n--) {
			c->under_way = xgrow(c->under_way, &cap, c->under_way_count + 1,
					     sizeof(*c->under_way));
			c->under_way[c->under_way_count++] = id.generation;
		}
	}
	check_read(c, more);
	qsort(c->under_way, c->under_way_count, sizeof(*c->under_way), by_generation);
}

bool check_is_under_way(struct check *c, uint64_t generation)
{
	if (c->options->at_rest)
		return false;
	if (!c->under_way)
		look_up(c);
	return bsearch(&generation, c->under_way, c->under_way_count, sizeof(generation),
		       by_generation) != NULL;
}

void check_next_instant(struct check *c)
{
	memset(c->runs, 0, sizeof(c->runs));
	memset(c->versions, 0, sizeof(c->versions));
	free(steal(c->under_way));
	c->under_way_count = 0;
}
