/* The contract of core/codec.h: keys sort as they say, records come back as they went in. */
#include "core/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct digest digest_of_byte(uint8_t byte)
{
	struct digest d;

	memset(d.bytes, byte, sizeof(d.bytes));
	return d;
}

/* ---- keys ---- */

static void expect_before(struct key a, struct key b)
{
	assert_true(slice_compare(key_slice(&a), key_slice(&b)) < 0);
}

static void expect_under(struct key prefix, struct key key)
{
	assert_true(slice_starts(key_slice(&key), key_slice(&prefix)));
}

static void keys_sort_by_their_numbers(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 255, 256, 65535, 65536, 1u << 24, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_SIZE(numbers); i++) {
		uint32_t n = numbers[i], m = numbers[i + 1];

		expect_before(key_collection(n), key_collection(m));
		expect_before(key_version(7, n), key_version(7, m));
		expect_before(key_version(n, UINT32_MAX), key_version(m, 0));
		expect_before(key_version_id(n), key_version_id(m));
		expect_before(key_use(n, UINT32_MAX), key_use(m, 0));
		expect_before(key_logged_by(3, n), key_logged_by(3, m));
		expect_before(key_intent_part(9, n), key_intent_part(9, m));
		expect_before(key_known_files(9, slice_str("d"), n),
			      key_known_files(9, slice_str("d"), m));
		expect_before(key_page((uint64_t)n << 31), key_page((uint64_t)m << 31));
		expect_before(key_page_ref((uint64_t)n << 31, REFERRER_INTENT, UINT64_MAX),
			      key_page_ref((uint64_t)m << 31, REFERRER_PAGE, 0));
	}
}

static void keys_sort_by_their_names(void **state)
{
	static const char *const names[] = { "a", "a-", "a.b", "ab", "b", "\xff" };

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_SIZE(names); i++) {
		struct slice a = slice_str(names[i]), b = slice_str(names[i + 1]);

		expect_before(key_collection_name(a), key_collection_name(b));
		expect_before(key_run_name(a), key_run_name(b));
		expect_before(key_input(5, a), key_input(5, b));
		expect_before(key_draft(5, a), key_draft(5, b));
		expect_before(key_draft(5, b), key_draft(6, a));
	}
}

/* No kind of key lies among those of another, nor those of one thing among another's. */
static void prefixes_hold_their_keys_and_no_others(void **state)
{
	struct digest one = digest_of_byte(1);
	struct key a = key_prefix_known_files(4, slice_str("d"));
	struct key b = key_known_files(4, slice_str("dd"), 0);

	(void)state;
	expect_under(key_prefix('V'), key_version(1, 2));
	expect_under(key_prefix_id('V', 1), key_version(1, 2));
	expect_under(key_prefix_id('i', 1), key_input(1, slice_str("role")));
	expect_under(key_prefix_id('d', 1), key_draft(1, slice_str("name")));
	expect_under(key_prefix_page_refs(77), key_page_ref(77, REFERRER_VERSION, 1));
	expect_under(key_prefix_blob_refs(&one), key_blob_ref(&one, 5));
	expect_under(key_prefix_intent_parts(8), key_intent_part(8, 1));
	expect_under(a, key_known_files(4, slice_str("d"), 12));
	assert_false(slice_starts(key_slice(&b), key_slice(&a)));
}

static void keys_are_read_again(void **state)
{
	struct digest d = digest_of_byte(0xab), found;
	struct key blob = key_removed_blob(&(struct blob_id){ d, 0x1122334455667788 });
	struct key version = key_version(0x01020304, 0xfffffffe);
	struct key input = key_input(1, slice_str("role"));

	(void)state;
	assert_int_equal(key_u32_at(key_slice(&version), 1), 0x01020304);
	assert_int_equal(key_u32_at(key_slice(&version), 5), 0xfffffffe);
	assert_true(slice_equal(key_name_after(key_slice(&input), 5), slice_str("role")));
	assert_int_equal(key_digest_at(key_slice(&blob), 1, &found), 0);
	assert_true(digest_equal(&found, &d));
	assert_true(key_u64_at(key_slice(&blob), 33) == 0x1122334455667788);
	/* What is too short is never read past its end. */
	assert_int_equal(key_digest_at(slice(blob.bytes, 32), 1, &found), -EIO);
	assert_int_equal(key_u32_at(slice(version.bytes, 8), 5), 0);
	assert_int_equal(key_name_after(slice("i", 1), 5).len, 0);
}

static void the_longest_names_fit(void **state)
{
	char name[NAME_MAX_BYTES];
	struct key k;

	(void)state;
	memset(name, 'x', sizeof(name));
	k = key_known_files(UINT32_MAX, slice(name, sizeof(name)), UINT32_MAX);
	assert_int_equal(k.len, 1 + 4 + NAME_MAX_BYTES + 1 + 4);
}

/* ---- records ---- */

typedef int decoder(struct slice s);

/* Every start of it is refused; whatever else is in it, nothing is read outside. */
static void expect_robust(const struct buf *b, decoder *decode)
{
	static const struct buf empty = BUF_INIT;

	assert_int_equal(decode(buf_slice(b)), 0);
	assert_int_equal(decode(buf_slice(&empty)), -EIO);
	for (size_t n = 0; n < b->len; n++) {
		/* On the heap, so that a sanitizer sees a byte read too much. */
		autofree char *copy = xmalloc(n + 1);

		memcpy(copy, b->data, n);
		assert_int_equal(decode(slice(copy, n)), -EIO);
	}
	for (size_t bit = 0; bit < b->len * 8; bit++) {
		autofree char *copy = xmalloc(b->len);
		int err;

		memcpy(copy, b->data, b->len);
		copy[bit / 8] ^= (char)(1 << bit % 8);
		err = decode(slice(copy, b->len));
		assert_true(err == 0 || err == -EIO);
		if (bit < 8)
			assert_int_equal(err, -EIO); /* another format */
	}
	{
		AUTO(buf_release) struct buf longer = BUF_INIT;

		buf_add_slice(&longer, buf_slice(b));
		buf_add_char(&longer, '\0');
		assert_int_equal(decode(buf_slice(&longer)), -EIO);
	}
}

static void numbers_come_back(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX,
					    1ull << 63, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		uint64_t n = 1;

		encode_u64(&b, numbers[i]);
		assert_int_equal(decode_u64(buf_slice(&b), &n), 0);
		assert_true(n == numbers[i]);
	}
}

static int read_number(struct slice s)
{
	uint64_t n;

	return decode_u64(s, &n);
}

static void a_number_is_not_guessed(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct reader r;

	(void)state;
	encode_u64(&b, 1ull << 40);
	expect_robust(&b, read_number);
	/* Too large for its place, and one that never ends. */
	buf_reset(&b);
	put_u64(&b, 1ull << 32);
	r = reader_of(buf_slice(&b));
	assert_int_equal(get_u32(&r), 0);
	assert_true(r.bad);
	buf_reset(&b);
	for (int i = 0; i < 12; i++)
		buf_add_char(&b, (char)0xff);
	r = reader_of(buf_slice(&b));
	assert_true(get_u64(&r) == 0);
	assert_int_equal(reader_end(&r), -EIO);
}

static void a_bad_reader_reads_nothing_more(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	autofree char *text = NULL;
	struct digest d;
	struct reader r;

	(void)state;
	put_u64(&b, 100);
	put_str(&b, "abc");
	r = reader_of(buf_slice(&b));
	assert_int_equal(get_slice(&r).len, 0);
	assert_true(r.bad);
	text = get_str(&r);
	assert_string_equal(text, "");
	get_digest(&r, &d);
	assert_int_equal(d.bytes[31], 0);
	assert_int_equal(get_time(&r).tv_sec, 0);
}

static void times_come_back(void **state)
{
	static const struct timespec times[] = {
		{ 0, 0 }, { 1, 999999999 }, { -1, 1 }, { INT64_MAX, 0 }, { INT64_MIN, 5 },
		{ 1700000000, 123456789 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		struct timespec t;
		struct reader r;

		put_time(&b, times[i]);
		r = reader_of(buf_slice(&b));
		t = get_time(&r);
		assert_int_equal(reader_end(&r), 0);
		assert_true(t.tv_sec == times[i].tv_sec && t.tv_nsec == times[i].tv_nsec);
	}
}

static int read_collection(struct slice s)
{
	AUTO(collection_release) struct collection c = { 0 };

	return decode_collection(s, &c);
}

static void collections_come_back(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT, again = BUF_INIT;
	AUTO(collection_release) struct collection c = { 0 };
	char name[] = "mnist", type[] = "dataset", text[] = "any \xff text\n";
	struct collection in = {
		.id = 7, .name = name, .type = type, .description = text, .uid = 1000,
		.gid = UINT32_MAX - 1, .mode = 0750, .created = 1700000000000000001,
		.next_number = 4, .latest = -1,
	};

	(void)state;
	encode_collection(&b, &in);
	expect_robust(&b, read_collection);
	assert_int_equal(decode_collection(buf_slice(&b), &c), 0);
	assert_string_equal(c.description, text);
	assert_int_equal(c.latest, -1);
	assert_int_equal(c.gid, UINT32_MAX - 1);
	encode_collection(&again, &c);
	assert_true(slice_equal(buf_slice(&b), buf_slice(&again)));
}

static int read_version(struct slice s)
{
	struct version v;

	return decode_version(s, &v);
}

static void versions_come_back(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT, again = BUF_INIT;
	struct version v, in = {
		.id = 1, .collection = 2, .number = 3, .run = 4, .digest = digest_of_byte(5),
		.page = 1ull << 40, .first_ino = 1ull << 57, .nodes = 8, .files = 9, .bytes = 10,
		.sums_size = 11, .single = true, .uid = 12, .gid = 13, .mode = 0644,
		.created = 15, .sequence = 16, .mtime = { -17, 18 },
	};

	(void)state;
	encode_version(&b, &in);
	expect_robust(&b, read_version);
	assert_int_equal(decode_version(buf_slice(&b), &v), 0);
	assert_true(v.first_ino == in.first_ino && v.single && v.mtime.tv_sec == -17);
	assert_true(digest_equal(&v.digest, &in.digest));
	encode_version(&again, &v);
	assert_true(slice_equal(buf_slice(&b), buf_slice(&again)));
}

static int read_run(struct slice s)
{
	AUTO(run_release) struct run r = { 0 };

	return decode_run(s, &r);
}

static void runs_come_back(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT, again = BUF_INIT;
	AUTO(run_release) struct run r = { 0 };
	char name[] = "train-1", host[] = "node", type[] = "train", reason[] = "gone";
	struct run in = {
		.id = 9, .name = name, .state = RUN_CRASHED, .uid = 1, .gid = 2, .mode = 0755,
		.created = 3, .ended = 4, .next_slot = 5, .host = host,
		.job_type = type, .parent = 6, .has_exit_code = true, .exit_code = 255,
		.signal = 9, .reason = reason,
	};

	(void)state;
	encode_run(&b, &in);
	expect_robust(&b, read_run);
	assert_int_equal(decode_run(buf_slice(&b), &r), 0);
	assert_int_equal(r.state, RUN_CRASHED);
	assert_string_equal(r.host, host);
	assert_string_equal(r.job_type, type);
	assert_string_equal(r.reason, reason);
	assert_true(r.parent == 6 && r.has_exit_code && r.exit_code == 255 && r.signal == 9);
	encode_run(&again, &r);
	assert_true(slice_equal(buf_slice(&b), buf_slice(&again)));
	/* No exit code is not exit code 0. */
	run_release(&r);
	in.has_exit_code = false;
	buf_reset(&b);
	encode_run(&b, &in);
	assert_int_equal(decode_run(buf_slice(&b), &r), 0);
	assert_true(!r.has_exit_code && r.exit_code == 0);
	/* A state that this program does not know. */
	in.state = RUN_CRASHED + 1;
	buf_reset(&b);
	encode_run(&b, &in);
	assert_int_equal(read_run(buf_slice(&b)), -EIO);
}

static int read_input(struct slice s)
{
	AUTO(input_release) struct input i = { 0 };

	return decode_input(s, &i);
}

static void inputs_come_back(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(input_release) struct input i = { 0 };
	char path[] = "/a/b";
	struct input in = { .slot = 3, .version = 1u << 28, .path = path };

	(void)state;
	encode_input(&b, &in);
	expect_robust(&b, read_input);
	assert_int_equal(decode_input(buf_slice(&b), &i), 0);
	assert_int_equal(i.slot, 3);
	assert_int_equal(i.version, 1u << 28);
	assert_string_equal(i.path, path);
}

static int read_edge(struct slice s)
{
	struct edge e;

	return decode_edge(s, &e);
}

static int read_draft(struct slice s)
{
	struct draft d;

	return decode_draft(s, &d);
}

static int read_blob_row(struct slice s)
{
	struct blob_row row;

	return decode_blob_row(s, &row);
}

static int read_intent(struct slice s)
{
	struct intent i;

	return decode_intent(s, &i);
}

static int read_place(struct slice s)
{
	uint32_t a, b;

	return decode_place(s, &a, &b);
}

static void small_records_come_back(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct edge e = { EDGE_DECLARED | EDGE_OBSERVED, 1, 2, 3, 4 };
	struct blob_row row = { 1ull << 40, 7 };
	struct intent i = { 3, 4 };
	uint32_t collection, number;

	(void)state;
	encode_edge(&b, &e);
	expect_robust(&b, read_edge);
	memset(&e, 0, sizeof(e));
	assert_int_equal(decode_edge(buf_slice(&b), &e), 0);
	assert_true(e.flags == 3 && e.first == 1 && e.last == 2);
	assert_true(e.sequence == 3 && e.opened == 4);
	buf_reset(&b);
	encode_blob_row(&b, &row);
	expect_robust(&b, read_blob_row);
	row = (struct blob_row){ 0 };
	assert_int_equal(decode_blob_row(buf_slice(&b), &row), 0);
	assert_true(row.size == 1ull << 40 && row.generation == 7);
	buf_reset(&b);
	encode_intent(&b, &i);
	expect_robust(&b, read_intent);
	i = (struct intent){ 0 };
	assert_int_equal(decode_intent(buf_slice(&b), &i), 0);
	assert_true(i.run == 3 && i.created == 4);
	buf_reset(&b);
	encode_place(&b, 5, 6);
	expect_robust(&b, read_place);
	assert_int_equal(decode_place(buf_slice(&b), &collection, &number), 0);
	assert_true(collection == 5 && number == 6);
}

static void drafts_come_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		struct draft d = { .slot = 300, .version = 200, .single = i & 1, .ended = i & 2 };

		encode_draft(&b, &d);
		expect_robust(&b, read_draft);
		d = (struct draft){ 0 };
		assert_int_equal(decode_draft(buf_slice(&b), &d), 0);
		assert_true(d.slot == 300 && d.version == 200);
		assert_true(d.single == !!(i & 1) && d.ended == !!(i & 2));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sort_by_their_numbers),
		cmocka_unit_test(keys_sort_by_their_names),
		cmocka_unit_test(prefixes_hold_their_keys_and_no_others),
		cmocka_unit_test(keys_are_read_again),
		cmocka_unit_test(the_longest_names_fit),
		cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(a_number_is_not_guessed),
		cmocka_unit_test(a_bad_reader_reads_nothing_more),
		cmocka_unit_test(times_come_back),
		cmocka_unit_test(collections_come_back),
		cmocka_unit_test(versions_come_back),
		cmocka_unit_test(runs_come_back),
		cmocka_unit_test(inputs_come_back),
		cmocka_unit_test(small_records_come_back),
		cmocka_unit_test(drafts_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
