/* Which transactions met, without a store; and what one has written, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/kv_conflict.h"
#include "core/kv_writes.h"

#define MANY 300000 /* more keys than are remembered */

static uint64_t key_of(uint64_t n)
{
	return kv_conflict_hash(0, slice(&n, sizeof(n)));
}

/* A commit of one key that was begun at, and has not read, anything. */
static int commit(struct kv_conflicts *c, uint64_t begin, uint64_t read, uint64_t written)
{
	const uint64_t keys[] = { key_of(read), key_of(written) };
	uint64_t number;
	int err = kv_conflict_commit(c, begin, keys, 2, 1, &number);

	if (err == 0)
		kv_conflict_written(c, number);
	return err;
}

static void what_was_read_or_written_since_meets(void **state)
{
	struct kv_conflicts *c = kv_conflicts_new();
	uint64_t before = kv_conflict_begin(c), after;
	const uint64_t one = key_of(1), two = key_of(2), three = key_of(3);

	(void)state;
	assert_int_equal(commit(c, before, 1, 2), 0);
	after = kv_conflict_begin(c);
	/* Reading is no change. */
	assert_false(kv_conflict_check(c, before, &one, 1));
	assert_true(kv_conflict_check(c, before, &two, 1));
	assert_false(kv_conflict_check(c, after, &two, 1));
	assert_int_equal(commit(c, before, 2, 3), -EAGAIN);
	assert_int_equal(commit(c, before, 3, 2), -EAGAIN);
	/* A refused one has written nothing. */
	assert_false(kv_conflict_check(c, before, &three, 1));
	assert_int_equal(commit(c, after, 2, 3), 0);
	kv_conflicts_free(c);
}

/* Its bytes may or may not be in the snapshot of who begins before it is written. */
static void who_begins_before_it_is_written_meets_it(void **state)
{
	struct kv_conflicts *c = kv_conflicts_new();
	const uint64_t one = key_of(1), two = key_of(2);
	uint64_t first = kv_conflict_force(c, &one, 1), second = kv_conflict_force(c, &two, 1);
	uint64_t begin;

	(void)state;
	kv_conflict_written(c, second);
	begin = kv_conflict_begin(c);
	assert_true(kv_conflict_check(c, begin, &one, 1));
	/* Nor is the later one, as far as is known: they become visible in order. */
	assert_true(kv_conflict_check(c, begin, &two, 1));
	kv_conflict_written(c, first);
	begin = kv_conflict_begin(c);
	assert_false(kv_conflict_check(c, begin, &one, 1));
	assert_false(kv_conflict_check(c, begin, &two, 1));
	kv_conflicts_free(c);
}

static void who_is_older_than_what_is_remembered_meets(void **state)
{
	struct kv_conflicts *c = kv_conflicts_new();
	uint64_t before = kv_conflict_begin(c), middle = 0;
	const uint64_t untouched = key_of(MANY + 1), early = key_of(0), late = key_of(MANY - 1);

	(void)state;
	for (uint64_t i = 0; i < MANY; i++) {
		if (i == MANY - 1000)
			middle = kv_conflict_begin(c);
		assert_int_equal(commit(c, kv_conflict_begin(c), untouched, i), 0);
	}
	assert_true(kv_conflict_check(c, before, &untouched, 1));
	assert_false(kv_conflict_check(c, middle, &untouched, 1));
	assert_false(kv_conflict_check(c, middle, &early, 1));
	assert_true(kv_conflict_check(c, middle, &late, 1));
	kv_conflicts_free(c);
}

static void keys_have_hashes_of_their_own(void **state)
{
	(void)state;
	assert_true(kv_conflict_hash(0, slice_str("a")) != kv_conflict_hash(1, slice_str("a")));
	assert_true(kv_conflict_hash(0, slice("", 0)) != kv_conflict_hash(0, slice("\0", 1)));
	assert_true(kv_conflict_hash(0, slice("a\0", 2)) != kv_conflict_hash(0, slice("a", 1)));
	assert_true(kv_conflict_hash(0, slice_str("12345678a")) !=
		    kv_conflict_hash(0, slice_str("12345678b")));
	assert_true(kv_conflict_hash(0, slice_str("a2345678x")) !=
		    kv_conflict_hash(0, slice_str("b2345678x")));
}

static void writes_are_found_and_listed_in_order(void **state)
{
	struct kv_writes w = { .bytes = BUF_INIT };
	autofree uint32_t *sorted = NULL;
	char name[16];
	size_t n;

	(void)state;
	assert_null(kv_writes_find(&w, KV_META, slice_str("a")));
	for (int i = 999; i >= 0; i--) {
		snprintf(name, sizeof(name), "k%03d", i);
		kv_writes_put(&w, i % 2 ? KV_META : KV_PACK, slice_str(name), slice_str("old"));
		kv_writes_put(&w, i % 2 ? KV_META : KV_PACK, slice_str(name), slice_str(name + 1));
	}
	kv_writes_del(&w, KV_META, slice_str("k501"));
	assert_int_equal(w.count, 1000);
	assert_null(kv_writes_find(&w, KV_META, slice_str("k500")));
	assert_true(kv_writes_find(&w, KV_META, slice_str("k501"))->deleted);
	n = kv_writes_sorted(&w, KV_META, slice_str("k5"), slice_str("k51"), &sorted);
	assert_int_equal(n, 45);
	for (size_t i = 0; i < n; i++) {
		const struct kv_written *e = &w.list[sorted[i]];

		snprintf(name, sizeof(name), "k%03zu", 511 + 2 * i);
		assert_true(slice_equal(kv_written_key(&w, e), slice_str(name)));
		assert_true(slice_equal(kv_written_value(&w, e), slice_str(name + 1)));
	}
	kv_writes_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_or_written_since_meets),
		cmocka_unit_test(who_begins_before_it_is_written_meets_it),
		cmocka_unit_test(who_is_older_than_what_is_remembered_meets),
		cmocka_unit_test(keys_have_hashes_of_their_own),
		cmocka_unit_test(writes_are_found_and_listed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
