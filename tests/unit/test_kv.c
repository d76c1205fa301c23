/* The contract of core/kv.h, held against every backend. */
#include "kv_place.h"

/* ---- the contract ---- */

static void entries_come_in_byte_order(void **state)
{
	static const struct slice keys[] = {
		{ "", 0 },     { "\0", 1 },	{ "\0\0", 2 },	   { "\0\1", 2 }, { "a", 1 },
		{ "a\0", 2 },  { "aa", 2 },	{ "b", 1 },	   { "\x7f", 1 }, { "\x80", 1 },
		{ "\xff", 1 }, { "\xff\0", 2 }, { "\xff\xff", 2 },
	};
	struct kv_txn *txn = begin(*state, KV_WRITE);
	struct slice key, value;
	struct kv_scan *scan;
	size_t i;

	for (i = ARRAY_SIZE(keys); i-- > 0;)
		assert_int_equal(kv_put(txn, KV_META, keys[i], slice("v", 1)), 0);
	commit(txn);
	txn = begin(*state, KV_READ);
	assert_int_equal(kv_scan(txn, KV_META, slice(NULL, 0), slice(NULL, 0), &scan), 0);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(kv_next(scan, &key, &value), 1);
		assert_true(slice_equal(key, keys[i]));
	}
	assert_int_equal(kv_next(scan, &key, &value), 0);
	kv_done(scan);
	/* A prefix of which no key is the successor. */
	assert_int_equal(kv_scan(txn, KV_META, slice("\xff", 1), slice(NULL, 0), &scan), 0);
	for (i = ARRAY_SIZE(keys) - 3; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(kv_next(scan, &key, &value), 1);
		assert_true(slice_equal(key, keys[i]));
	}
	assert_int_equal(kv_next(scan, &key, &value), 0);
	kv_done(scan);
	kv_abort(txn);
}

static void scans_know_prefix_and_from(void **state)
{
	struct kv_txn *txn = begin(*state, KV_WRITE);

	put(txn, "a", "0");
	put(txn, "b", "1");
	put(txn, "ba", "2");
	put(txn, "bc", "3");
	put(txn, "c", "4");
	expect_scan(txn, "b", "", "b=1 ba=2 bc=3");
	commit(txn);
	txn = begin(*state, KV_READ);
	expect_scan(txn, "", "", "a=0 b=1 ba=2 bc=3 c=4");
	expect_scan(txn, "b", "", "b=1 ba=2 bc=3");
	expect_scan(txn, "b", "a", "b=1 ba=2 bc=3");
	expect_scan(txn, "b", "ba", "ba=2 bc=3");
	expect_scan(txn, "b", "bb", "bc=3");
	expect_scan(txn, "b", "bd", "");
	expect_scan(txn, "b", "c", "");
	expect_scan(txn, "", "bb", "bc=3 c=4");
	expect_scan(txn, "bb", "", "");
	expect_scan(txn, "d", "", "");
	kv_abort(txn);
}

static void a_transaction_sees_one_instant(void **state)
{
	struct kv_txn *reader, *writer, *txn;

	put_one(*state, "a", "old");
	reader = begin(*state, KV_READ);
	writer = begin(*state, KV_WRITE);
	txn = begin(*state, KV_WRITE);
	put(txn, "a", "new");
	put(txn, "b", "new");
	commit(txn);
	expect(reader, "a", "old");
	expect(reader, "b", NULL);
	expect_scan(reader, "", "", "a=old");
	expect_scan(writer, "", "", "a=old");
	expect(writer, "a", "old");
	expect(writer, "b", NULL);
	kv_abort(writer);
	assert_int_equal(kv_commit(reader, KV_DURABLE), 0);
	expect_one(*state, "b", "new");
}

static void a_transaction_sees_its_own_writes(void **state)
{
	struct kv_txn *txn = begin(*state, KV_WRITE);

	put(txn, "a", "1");
	put(txn, "b", "1");
	put(txn, "c", "1");
	put(txn, "e", "1");
	commit(txn);
	txn = begin(*state, KV_WRITE);
	put(txn, "b", "2");
	del(txn, "c");
	put(txn, "d", "2");
	put(txn, "e", "2");
	del(txn, "e");
	put(txn, "f", "2");
	del(txn, "f");
	del(txn, "never");
	expect(txn, "b", "2");
	expect(txn, "c", NULL);
	expect(txn, "d", "2");
	expect(txn, "f", NULL);
	expect_scan(txn, "", "", "a=1 b=2 d=2");
	expect_scan(txn, "d", "", "d=2");
	commit(txn);
	txn = begin(*state, KV_READ);
	expect_scan(txn, "", "", "a=1 b=2 d=2");
	kv_abort(txn);
}

static void abort_leaves_no_trace(void **state)
{
	struct kv_txn *txn;

	put_one(*state, "a", "1");
	txn = begin(*state, KV_WRITE);
	put(txn, "a", "2");
	put(txn, "b", "2");
	kv_abort(txn);
	txn = begin(*state, KV_READ);
	expect_scan(txn, "", "", "a=1");
	kv_abort(txn);
}

static void spaces_are_apart(void **state)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct place *place = *state;
	struct kv_txn *txn = begin(place, KV_WRITE);

	put(txn, "a", "meta");
	assert_int_equal(kv_put(txn, KV_PACK, slice_str("a"), slice_str("pack")), 0);
	commit(txn);
	assert_int_equal(kv_get_one(place->kv, KV_PACK, slice_str("a"), &value), 0);
	assert_string_equal(buf_str(&value), "pack");
	txn = begin(place, KV_WRITE);
	del(txn, "a");
	assert_int_equal(kv_has(txn, KV_META, slice_str("a")), 0);
	assert_int_equal(kv_has(txn, KV_PACK, slice_str("a")), 1);
	commit(txn);
	expect_one(place, "a", NULL);
	assert_int_equal(kv_get_one(place->kv, KV_PACK, slice_str("a"), &value), 0);
}

static void a_missing_key_leaves_ret_alone(void **state)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct place *place = *state;

	buf_add_str(&value, "mine");
	assert_int_equal(kv_get_one(place->kv, KV_META, slice_str("no"), &value), -ENOENT);
	assert_string_equal(buf_str(&value), "mine");
	put_one(place, "yes", "its");
	assert_int_equal(kv_get_one(place->kv, KV_META, slice_str("yes"), &value), 0);
	assert_string_equal(buf_str(&value), "its");
}

static void sizes_from_empty_to_the_most(void **state)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf large = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct place *place = *state;
	struct kv_txn *txn = begin(place, KV_WRITE);
	int space;

	memset(buf_reserve(&key, KV_KEY_MAX), 'k', KV_KEY_MAX);
	key.len = KV_KEY_MAX;
	memset(buf_reserve(&large, KV_VALUE_MAX), 'v', KV_VALUE_MAX);
	large.len = KV_VALUE_MAX;
	for (space = 0; space < KV_SPACES; space++) {
		assert_int_equal(kv_put(txn, space, buf_slice(&key), buf_slice(&large)), 0);
		assert_int_equal(kv_put(txn, space, slice_str("e"), slice(NULL, 0)), 0);
	}
	assert_int_equal(kv_commit(txn, KV_DURABLE), 0);
	reopen(place);
	for (space = 0; space < KV_SPACES; space++) {
		assert_int_equal(kv_get_one(place->kv, space, slice_str("e"), &found), 0);
		assert_int_equal(found.len, 0);
		assert_int_equal(kv_get_one(place->kv, space, buf_slice(&key), &found), 0);
		assert_true(slice_equal(buf_slice(&found), buf_slice(&large)));
	}
}

/* ---- conflicts ---- */

enum touch { GET, PUT, DEL, SCAN };

/* What one does to "k" and another commits meanwhile; what the first one's commit then says. */
static int meet(struct place *place, enum touch first, enum touch second)
{
	struct kv_txn *txn = begin(place, KV_WRITE);
	struct kv_txn *other = begin(place, KV_WRITE);
	int r = 0;

	put(txn, "mine", "1");
	if (first == GET)
		r = kv_has(txn, KV_META, slice_str("k"));
	else if (first == PUT)
		put(txn, "k", "first");
	else if (first == DEL)
		del(txn, "k");
	else
		r = kv_has(txn, KV_META, slice_str("unrelated"));
	assert_true(r >= 0);
	if (second == PUT)
		put(other, "k", "second");
	else
		del(other, "k");
	commit(other);
	return kv_commit(txn, KV_DURABLE);
}

static void changes_to_what_was_touched_conflict(void **state)
{
	struct kv_txn *txn;
	int there;

	for (there = 0; there < 2; there++) {
		enum touch first;

		for (first = GET; first <= DEL; first++) {
			txn = begin(*state, KV_WRITE);
			there ? put(txn, "k", "0") : del(txn, "k");
			del(txn, "mine");
			commit(txn);
			assert_int_equal(meet(*state, first, PUT), -EAGAIN);
			expect_one(*state, "mine", NULL);
			expect_one(*state, "k", "second");
		}
	}
	put_one(*state, "k", "0");
	assert_int_equal(meet(*state, GET, DEL), -EAGAIN);
	put_one(*state, "k", "0");
	assert_int_equal(meet(*state, PUT, DEL), -EAGAIN);
	put_one(*state, "k", "0");
	assert_int_equal(meet(*state, SCAN, PUT), 0);
	expect_one(*state, "mine", "1");
}

static void changes_before_the_first_read_conflict_too(void **state)
{
	struct kv_txn *txn;
	int r;

	put_one(*state, "k", "0");
	txn = begin(*state, KV_WRITE);
	put_one(*state, "k", "1");
	r = kv_has(txn, KV_META, slice_str("k"));
	if (r == -EAGAIN) {
		kv_abort(txn);
		return;
	}
	assert_int_equal(r, 1);
	put(txn, "other", "1");
	assert_int_equal(kv_commit(txn, KV_ORDERED), -EAGAIN);
	expect_one(*state, "other", NULL);
}

static void what_was_only_read_is_checked(void **state)
{
	struct kv_txn *txn = begin(*state, KV_WRITE);

	assert_int_equal(kv_has(txn, KV_META, slice_str("k")), 0);
	put_one(*state, "k", "1");
	assert_int_equal(kv_commit(txn, KV_ORDERED), -EAGAIN);
}

static void ranges_do_not_conflict(void **state)
{
	struct kv_txn *txn;

	put_one(*state, "k1", "1");
	put_one(*state, "k2", "1");
	txn = begin(*state, KV_WRITE);
	expect_scan(txn, "k", "", "k1=1 k2=1");
	put_one(*state, "k2", "2");
	put_one(*state, "k3", "2");
	put(txn, "mine", "1");
	commit(txn);
	expect_one(*state, "mine", "1");
}

static void equal_spellings_in_two_spaces_do_not_conflict(void **state)
{
	struct kv_txn *txn = begin(*state, KV_WRITE);

	assert_int_equal(kv_put(txn, KV_PACK, slice_str("k"), slice_str("1")), 0);
	put_one(*state, "k", "1");
	commit(txn);
}

/* ---- writing while scanning ---- */

static void what_a_scan_lent_survives_writes(void **state)
{
	struct kv_txn *txn = begin(*state, KV_WRITE);
	struct slice key, value;
	struct kv_scan *scan;
	char name[16];
	int i;

	put(txn, "a", "of the scan");
	assert_int_equal(kv_scan(txn, KV_META, slice_str("a"), slice(NULL, 0), &scan), 0);
	assert_int_equal(kv_next(scan, &key, &value), 1);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		put(txn, name, "long enough to make any buffer of a transaction move about");
	}
	del(txn, "a");
	assert_true(slice_equal(key, slice_str("a")));
	assert_true(slice_equal(value, slice_str("of the scan")));
	kv_done(scan);
	kv_abort(txn);
}

static void fill(struct place *place, int n)
{
	struct kv_txn *txn = begin(place, KV_WRITE);
	char name[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "k%04d", i);
		put(txn, name, "1");
	}
	commit(txn);
}

static void a_body_may_delete_what_it_scans(void **state)
{
	struct place *place = *state;
	struct slice key, value;
	struct kv_txn *txn;
	struct kv_scan *scan;
	int n = 0;

	fill(place, 1000);
	put_one(place, "z", "stays");
	txn = begin(place, KV_WRITE);
	put(txn, "k0003", "own");
	put(txn, "k2000", "own");
	assert_int_equal(kv_scan(txn, KV_META, slice_str("k"), slice(NULL, 0), &scan), 0);
	while (kv_next(scan, &key, &value) == 1) {
		assert_int_equal(kv_del(txn, KV_META, key), 0);
		n++;
	}
	kv_done(scan);
	assert_int_equal(n, 1001);
	expect_scan(txn, "", "", "z=stays");
	commit(txn);
	txn = begin(place, KV_READ);
	expect_scan(txn, "", "", "z=stays");
	kv_abort(txn);
}

/* Writes around an open scan: seen or not, keys ascend and what was there before comes. */
static void a_body_may_write_where_it_scans(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf last = BUF_INIT;
	struct slice key, value;
	struct kv_txn *txn;
	struct kv_scan *scan;
	unsigned int seed = 1;
	char name[16];
	int stored = 0, n = 0;

	fill(place, 2000);
	txn = begin(place, KV_WRITE);
	assert_int_equal(kv_scan(txn, KV_META, slice_str("k"), slice(NULL, 0), &scan), 0);
	while (kv_next(scan, &key, &value) == 1 && n++ < 20000) {
		if (last.len)
			assert_true(slice_compare(buf_slice(&last), key) < 0);
		buf_reset(&last);
		buf_add_slice(&last, key);
		stored += key.len == 5;
		snprintf(name, sizeof(name), "k%04d+", rand_r(&seed) % 2000);
		put(txn, name, "2");
		assert_int_equal(kv_put(txn, KV_META, buf_slice(&last), slice_str("3")), 0);
		snprintf(name, sizeof(name), "k%04d", rand_r(&seed) % 2000);
		put(txn, name, "4");
	}
	kv_done(scan);
	assert_int_equal(stored, 2000);
	commit(txn);
}

/* ---- kv_update ---- */

static void update_runs_again_and_returns_what_the_body_says(void **state)
{
	struct place *place = *state;
	struct tries tries = { 0, 0, -EEXIST };

	assert_int_equal(kv_update(place->kv, KV_ORDERED, put_and_say, &tries), -EEXIST);
	assert_int_equal(tries.n, 1);
	tries = (struct tries){ 0, 0, 7 };
	assert_int_equal(kv_update(place->kv, KV_ORDERED, put_and_say, &tries), 7);
	expect_one(place, "k", NULL);
	tries = (struct tries){ 0, 20, 0 };
	assert_int_equal(kv_update(place->kv, KV_DURABLE, put_and_say, &tries), 0);
	assert_int_equal(tries.n, 21);
	expect_one(place, "k", "1");
}

static int add_one(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	uint64_t n = 0;
	int r = kv_get(txn, KV_META, slice_str("counter"), &value);

	(void)arg;
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		memcpy(&n, value.data, sizeof(n));
	n++;
	return kv_put(txn, KV_META, slice_str("counter"), slice(&n, sizeof(n)));
}

static void *add_thousand(void *arg)
{
	struct place *place = arg;
	int i;

	for (i = 0; i < 1000; i++)
		if (kv_update(place->kv, i % 50 ? KV_ORDERED : KV_DURABLE, add_one, NULL) < 0)
			return place;
	return NULL;
}

static void four_threads_lose_no_increment(void **state)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct place *place = *state;
	pthread_t threads[4];
	void *failed;
	uint64_t sum;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_thousand, place), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(kv_get_one(place->kv, KV_META, slice_str("counter"), &value), 0);
	memcpy(&sum, value.data, sizeof(sum));
	assert_int_equal(sum, 4000);
}

/* ---- opening again ---- */

static void what_was_committed_is_there_after_close(void **state)
{
	struct place *place = *state;
	struct kv_txn *txn = begin(place, KV_WRITE);

	put(txn, "a", "1");
	put(txn, "b", "1");
	assert_int_equal(kv_commit(txn, KV_DURABLE), 0);
	txn = begin(place, KV_WRITE);
	del(txn, "a");
	put(txn, "c", "2");
	commit(txn);
	reopen(place);
	reopen(place);
	txn = begin(place, KV_WRITE);
	expect_scan(txn, "", "", "b=1 c=2");
	put(txn, "d", "3");
	commit(txn);
	expect_one(place, "d", "3");
}

static void only_one_has_it_open(void **state)
{
	struct place *place = *state;
	struct kv *second = NULL;

	assert_int_equal(place->backend->open(place, &second), -EBUSY);
	assert_null(second);
	put_one(place, "a", "1");
	reopen(place);
	expect_one(place, "a", "1");
}

static void what_is_put_at_once_is_seen_from_then_on(void **state)
{
	struct place *place = *state;
	const struct kv_entry entries[] = {
		{ slice_str("a"), slice_str("new") }, { slice_str("c"), slice("", 0) },
		{ slice_str("b"), slice_str("1") },
	};
	struct kv_txn *reader;

	put_one(place, "a", "old");
	reader = begin(place, KV_READ);
	assert_int_equal(kv_put_all(place->kv, KV_META, entries, ARRAY_SIZE(entries)), 0);
	assert_int_equal(kv_put_all(place->kv, KV_META, NULL, 0), 0);
	expect_scan(reader, "", "", "a=old");
	kv_abort(reader);
	reopen(place);
	reader = begin(place, KV_READ);
	expect_scan(reader, "", "", "a=new b=1 c=");
	kv_abort(reader);
	reader = begin(place, KV_READ);
	assert_int_equal(kv_has(reader, KV_PACK, slice_str("a")), 0);
	kv_abort(reader);
}

static void what_is_put_at_once_meets_who_has_read_it(void **state)
{
	struct place *place = *state;
	const struct kv_entry entry = { slice_str("a"), slice_str("1") };
	struct kv_txn *reader = begin(place, KV_WRITE), *writer = begin(place, KV_WRITE),
		      *other = begin(place, KV_WRITE);

	expect(reader, "a", NULL);
	put(reader, "r", "1");
	put(writer, "a", "2");
	expect(other, "b", NULL);
	put(other, "o", "1");
	assert_int_equal(kv_put_all(place->kv, KV_META, &entry, 1), 0);
	assert_int_equal(kv_commit(reader, KV_ORDERED), -EAGAIN);
	assert_int_equal(kv_commit(writer, KV_ORDERED), -EAGAIN);
	assert_int_equal(kv_commit(other, KV_ORDERED), 0);
	expect_one(place, "a", "1");
}

static void count_stat(void *arg, const char *name, uint64_t n)
{
	(void)n;
	assert_non_null(name);
	++*(int *)arg;
}

static void statistics_have_names(void **state)
{
	struct place *place = *state;
	int n = 0;

	kv_stats(place->kv, count_stat, &n);
	assert_true(n > 0 || !place->kv->ops->stats);
}

#define CONTRACT(backend)                                                                        \
	ON(backend, entries_come_in_byte_order), ON(backend, scans_know_prefix_and_from),        \
		ON(backend, a_transaction_sees_one_instant),                                     \
		ON(backend, a_transaction_sees_its_own_writes),                                  \
		ON(backend, abort_leaves_no_trace), ON(backend, spaces_are_apart),               \
		ON(backend, a_missing_key_leaves_ret_alone),                                     \
		ON(backend, sizes_from_empty_to_the_most),                                       \
		ON(backend, changes_to_what_was_touched_conflict),                               \
		ON(backend, changes_before_the_first_read_conflict_too),                         \
		ON(backend, what_was_only_read_is_checked), ON(backend, ranges_do_not_conflict), \
		ON(backend, equal_spellings_in_two_spaces_do_not_conflict),                      \
		ON(backend, what_a_scan_lent_survives_writes),                                   \
		ON(backend, a_body_may_delete_what_it_scans),                                    \
		ON(backend, a_body_may_write_where_it_scans),                                    \
		ON(backend, update_runs_again_and_returns_what_the_body_says),                   \
		ON(backend, four_threads_lose_no_increment),                                     \
		ON(backend, what_was_committed_is_there_after_close),                            \
		ON(backend, what_is_put_at_once_is_seen_from_then_on),                           \
		ON(backend, what_is_put_at_once_meets_who_has_read_it),                          \
		ON(backend, only_one_has_it_open), ON(backend, statistics_have_names)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT(memory),
		CONTRACT(rocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
