/*
 * The journal: every event becomes one line, in a chain; an edit of what is there is seen; nothing
 * is lost or doubled by whatever fails meanwhile.
 */
#include "store_place.h"

#include "core/document_event.h"
#include "core/event.h"
#include "core/journal.h"

/* The whole of it. */
static void read_all(struct place *place, struct buf *ret)
{
	char part[1000];
	ssize_t n;

	while ((n = journal_read(place->store, part, sizeof(part), ret->len)) > 0)
		buf_add(ret, part, (size_t)n);
	assert_int_equal(n, 0);
}

/* The number of the first line that does not follow the one before it, 0: all do; and the lines. */
static unsigned first_wrong(struct slice text, unsigned *ret_lines)
{
	struct digest last = { { 0 } };
	unsigned lines = 0;

	while (text.len > 0) {
		AUTO(buf_release) struct buf why = BUF_INIT;
		const char *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - (const char *)text.data) + 1 : text.len;
		struct slice line = slice(text.data, len);
		struct digest prev;
		uint64_t number;

		lines++;
		if (document_event_read(line, &number, &prev, &why) < 0 || number != lines ||
		    !digest_equal(&prev, &last))
			return lines;
		digest_of(line, &last);
		text = slice((const char *)text.data + len, text.len - len);
	}
	*ret_lines = lines;
	return 0;
}

static void expect_chain(struct place *place, unsigned count)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct journal_head head;
	unsigned lines = 0;

	journal_end(place->store, &head);
	read_all(place, &text);
	assert_int_equal(first_wrong(buf_slice(&text), &lines), 0);
	assert_int_equal(lines, count);
	assert_int_equal(head.count, count);
	assert_int_equal(head.bytes, text.len);
	assert_int_equal(head.broken, 0);
}

static void expect_line(struct place *place, const char *part)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	read_all(place, &text);
	if (!strstr(buf_str(&text), part))
		assert_string_equal(buf_str(&text), part);
}

static void make_runs(struct place *place, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		autofree char *name = xasprintf("run-%u", i);

		make_run(place, name);
	}
}

static int put_body(struct kv_txn *txn, void *arg)
{
	struct place *place = arg;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < 1000; i++)
		err = event_put(txn, place->store, &(struct event){ .kind = EVENT_PURGED,
								    .object = "m:v0" });
	return err;
}

static void put_thousands(struct place *place, unsigned n)
{
	while (n-- > 0)
		assert_int_equal(kv_update(place->store->kv, KV_ORDERED, put_body, place), 0);
}

/* ---- rows, behind the journal's back ---- */

struct row {
	struct key key;
	struct buf value; /* without bytes: it goes */
};

static void row_release(struct row *r)
{
	buf_release(&r->value);
}

static int row_body(struct kv_txn *txn, void *arg)
{
	const struct row *r = arg;

	return r->value.len ? kv_put(txn, KV_META, key_slice(&r->key), buf_slice(&r->value)) :
			      kv_del(txn, KV_META, key_slice(&r->key));
}

static void write_row(struct place *place, const struct row *r)
{
	assert_int_equal(kv_update(place->store->kv, KV_DURABLE, row_body, (void *)r), 0);
}

/* The n-th row of a kind, from 1. */
static struct row nth_row(struct place *place, char kind, unsigned n)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct row row = { .value = BUF_INIT };
	struct slice key, value;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan), 0);
	while (n-- > 0)
		assert_int_equal(kv_next(scan, &key, &value), 1);
	memcpy(row.key.bytes, key.data, key.len);
	row.key.len = key.len;
	buf_add_slice(&row.value, value);
	return row;
}

static unsigned count_rows(struct place *place, char kind)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	unsigned n = 0;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0)
		n++;
	return n;
}

/* ---- lines ---- */

static void every_event_has_a_line(void **state)
{
	struct place *place = *state;

	expect_chain(place, 0);
	make_runs(place, 0, 5);
	assert_int_equal(count_rows(place, 'L'), 0);
	expect_chain(place, 5);
	assert_int_equal(count_rows(place, 'E'), 0);
	/* More than are taken at once, or waited for. */
	put_thousands(place, 12);
	expect_chain(place, 12005);
	make_runs(place, 5, 1);
	expect_chain(place, 12006);
	expect_line(place, "{\"n\":1,\"time\":\"");
	expect_line(place, "\"event\":\"run_started\",\"uid\":");
	expect_line(place, "\"run\":\"run-5\",\"prev\":\"");
	put_thousands(place, 2);
	/* What was not asked for yet is taken when it is opened again. */
	reopen(place);
	assert_int_equal(count_rows(place, 'E'), 0);
	expect_chain(place, 14006);
	expect_clean(place);
}

static void a_read_from_anywhere_is_a_part_of_the_whole(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf text = BUF_INIT;
	static const size_t lengths[] = { 1, 7, 130, 1000 };
	char part[1000];

	make_runs(place, 0, 20);
	read_all(place, &text);
	for (size_t at = 0; at <= text.len + 3; at++) {
		size_t left = at < text.len ? text.len - at : 0;

		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			size_t want = lengths[i] < left ? lengths[i] : left;

			assert_int_equal(journal_read(place->store, part, lengths[i], at), want);
			assert_memory_equal(part, text.data + at, want);
		}
	}
	assert_int_equal(journal_read(place->store, part, 0, 0), 0);
}

/* What is no text in UTF-8, and what cannot be understood at all, has a line nevertheless. */
static void anything_has_a_line(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row odd = { .key = key_event(1), .value = BUF_INIT };
	AUTO(event_user_release) struct event_user user = { 0 };
	AUTO(buf_release) struct buf line = BUF_INIT, row = BUF_INIT, why = BUF_INIT;
	struct digest zero = { { 0 } }, prev;
	uint64_t number;

	buf_add(&odd.value, "\x01\xff", 2);
	write_row(place, &odd);
	reopen(place);
	expect_chain(place, 1);
	expect_line(place, "\"event\":\"unreadable\",\"row\":\"01ff\"");

	put_u64(&row, EVENT_TEXT);
	for (int i = 0; i < 4; i++)
		put_u64(&row, 4000000000u);
	put_str(&row, "a\xff\xc3\xa9\n\"");
	put_str(&row, "");
	put_u64(&row, 2);
	put_str(&row, "files");
	put_str(&row, "12");
	put_str(&row, "uid");
	put_str(&row, "0");
	document_event(buf_slice(&row), 7, &zero, &user, &line);
	assert_int_equal(document_event_read(buf_slice(&line), &number, &prev, &why), 0);
	assert_int_equal(number, 7);
	assert_non_null(strstr(buf_str(&line), "\"run\":\"a\xef\xbf\xbd\xc3\xa9\\n\\\"\""));
	assert_non_null(strstr(buf_str(&line), "\"files\":12,"));
	assert_non_null(strstr(buf_str(&line), "\"uid\":4000000000,"));
	assert_null(strstr(buf_str(&line), "artifact"));
}

static void what_is_no_line_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "it is cut off" },
		{ "{\"n\":1}", "it is cut off" },
		{ "{\"n\":1\n", "it is not JSON" },
		{ "{\"n\":1,\"n\":2}\n", "it is not JSON" },
		{ "[]\n", "it has no number" },
		{ "{\"n\":0}\n", "it has no number" },
		{ "{\"n\":\"1\"}\n", "it has no number" },
		{ "{\"n\":1,\"prev\":\"00\"}\n", "it has no hash of the line before it" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO(buf_release) struct buf why = BUF_INIT;
		struct digest prev;
		uint64_t number;

		assert_int_equal(document_event_read(slice_str(bad[i].text), &number, &prev, &why),
				 -EINVAL);
		assert_string_equal(buf_str(&why), bad[i].why);
	}
}

/* A transaction that got its number first and commits last. */
static void late_events_are_taken(void **state)
{
	struct place *place = *state;
	const struct event event = { .kind = EVENT_PURGED, .object = "late:v0" };
	struct kv_txn *late, *never;

	kv_disk_conflict_every(place->kv_disk, 0);
	make_runs(place, 0, 1);
	assert_int_equal(kv_begin(place->store->kv, KV_WRITE, &late), 0);
	assert_int_equal(event_put(late, place->store, &event), 0);
	assert_int_equal(kv_begin(place->store->kv, KV_WRITE, &never), 0);
	assert_int_equal(event_put(never, place->store, &event), 0);
	kv_abort(never);
	make_runs(place, 1, 2000);
	expect_chain(place, 2001);
	assert_int_equal(kv_commit(late, KV_DURABLE), 0);
	expect_chain(place, 2002);
	expect_line(place, "{\"n\":2002,");
	expect_line(place, "\"artifact\":\"late:v0\"");
	expect_clean(place);
}

static bool disk_has_events(struct kv_disk *disk)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	struct kv_txn *txn;
	struct kv *kv;
	bool any;

	assert_int_equal(kv_mem_open(disk, &kv), 0);
	assert_int_equal(kv_begin(kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	any = kv_next(scan, &key, &value) > 0;
	kv_done(steal(scan));
	kv_abort(txn);
	kv_close(kv);
	return any;
}

static void a_thread_takes_them_unasked(void **state)
{
	struct place *place = *state;

	close_store(place);
	place->options.journal_ms = 1;
	open_store(place);
	make_runs(place, 0, 3);
	while (count_rows(place, 'E') > 0)
		usleep(1000);
	assert_int_equal(count_rows(place, 'L'), 3);
	close_store(place);
	place->options.journal_ms = 3600000;
	open_store(place);
	make_runs(place, 3, 3);
	close_store(place);
	if (place->backend == MEMORY)
		assert_false(disk_has_events(place->kv_disk));
	place->options.journal_ms = 0;
	open_store(place);
	expect_chain(place, 6);
}

static void *make_some(void *arg)
{
	struct place *place = arg;
	static atomic_uint next;

	make_runs(place, 100 * atomic_fetch_add(&next, 1), 100);
	return NULL;
}

static void many_put_events_while_they_are_read(void **state)
{
	struct place *place = *state;
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_some, place), 0);
	for (int i = 0; i < 200; i++) {
		AUTO(buf_release) struct buf text = BUF_INIT;
		unsigned lines;

		read_all(place, &text);
		assert_int_equal(first_wrong(buf_slice(&text), &lines), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	expect_chain(place, 400);
}

/* ---- edits ---- */

static void setup_edit(struct place *place)
{
	log_to_file("/dev/null");
	make_runs(place, 0, 10);
	expect_chain(place, 10);
}

/* The store is opened again, and says it; and goes on, and what was edited stays to be seen. */
static void expect_broken(struct place *place, unsigned since, unsigned wrong)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct journal_head head;
	unsigned lines;

	for (int i = 0; i < 2; i++) {
		reopen(place);
		journal_end(place->store, &head);
		assert_int_equal(head.broken, since);
		make_runs(place, 20 + (unsigned)i, 1);
	}
	journal_end(place->store, &head);
	assert_int_equal(head.broken, since);
	read_all(place, &text);
	assert_int_equal(first_wrong(buf_slice(&text), &lines), wrong);
}

static void a_line_in_the_middle(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf text = BUF_INIT, wrong = BUF_INIT;
	AUTO(row_release) struct row row = { .value = BUF_INIT };
	unsigned lines;

	setup_edit(place);
	row = nth_row(place, 'L', 4);
	*strstr(row.value.data, "run-") = 'x';
	write_row(place, &row);
	read_all(place, &text);
	assert_int_equal(first_wrong(buf_slice(&text), &lines), 5);
	assert_int_equal(check_store(place->store, &wrong), 1);
}

static void the_last_line(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { .value = BUF_INIT };

	setup_edit(place);
	row = nth_row(place, 'L', 10);
	*strstr(row.value.data, "run-") = 'x';
	write_row(place, &row);
	expect_broken(place, 11, 11);
}

static void a_line_too_many(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { .value = BUF_INIT };

	setup_edit(place);
	row = nth_row(place, 'L', 10);
	row.key = key_journal(key_u64_at(key_slice(&row.key), 1) + row.value.len);
	write_row(place, &row);
	expect_broken(place, 11, 11);
}

static void no_head(void **state)
{
	struct place *place = *state;
	struct row row = { .key = key_store("journal"), .value = BUF_INIT };

	setup_edit(place);
	write_row(place, &row);
	/* The chain itself is whole. */
	expect_broken(place, 11, 0);
}

static void a_line_too_few(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { .value = BUF_INIT };
	struct journal_head head;
	char part[100000];
	ssize_t n;

	setup_edit(place);
	row = nth_row(place, 'L', 10);
	buf_reset(&row.value);
	write_row(place, &row);
	reopen(place);
	make_runs(place, 20, 1);
	journal_end(place->store, &head);
	assert_int_equal(head.count, 11);
	assert_int_equal(head.broken, 11);
	n = journal_read(place->store, part, sizeof(part), 0);
	assert_true(n > 0 && (uint64_t)n < head.bytes);
	assert_int_equal(journal_read(place->store, part, sizeof(part), (uint64_t)n), -EIO);
	assert_int_equal(journal_read(place->store, part, 1, head.bytes - 1), 1);
}

/* An older head: what it does not know of is kept. */
static void a_head_of_before(void **state)
{
	struct place *place = *state;
	AUTO(row_release) struct row row = { .key = key_store("journal"), .value = BUF_INIT };

	setup_edit(place);
	assert_int_equal(kv_get_one(place->store->kv, KV_META, KEY(store("journal")), &row.value),
			 0);
	make_runs(place, 10, 2);
	expect_chain(place, 12);
	write_row(place, &row);
	expect_broken(place, 11, 13);
}

/* ---- faults ---- */

/* The n-th call fails, once or from then on; the machine goes down or not. Nothing is doubled. */
static void sweep(enum backend backend, bool forever, bool crash)
{
	bool failed = true;
	unsigned faults = 0;

	log_to_file("/dev/null");
	for (uint64_t n = 1; failed; n++) {
		struct place *place = place_new(backend);

		open_store(place);
		await_janitor(place);
		make_runs(place, 0, 3);
		expect_chain(place, 3);
		make_runs(place, 3, 4);
		kv_disk_fail(place->kv_disk, n, -EIO, forever);
		journal_catch_up(place->store);
		failed = atomic_load(&place->store->events_put);
		if (crash)
			kv_disk_crash(place->kv_disk);
		else
			kv_disk_fail(place->kv_disk, 0, 0, false);
		if (!crash) {
			make_runs(place, 7, 1);
			expect_chain(place, 8);
		}
		close_store(place);
		kv_disk_fail(place->kv_disk, 0, 0, false);
		open_store(place);
		expect_chain(place, crash ? 7 : 8);
		expect_clean(place);
		place_free(place);
		faults += failed;
	}
	assert_true(faults > 5);
}

static void faults(void **state)
{
	(void)state;
	sweep(MEMORY, false, false);
	sweep(MEMORY, true, false);
	sweep(MEMORY, true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(every_event_has_a_line),
		EVERYWHERE(a_read_from_anywhere_is_a_part_of_the_whole),
		ON(real, anything_has_a_line),
		cmocka_unit_test(what_is_no_line_is_refused),
		ON(memory, late_events_are_taken),
		ON(real, late_events_are_taken),
		EVERYWHERE(a_thread_takes_them_unasked),
		ON(memory, many_put_events_while_they_are_read),
		ON(real, many_put_events_while_they_are_read),
		EVERYWHERE(a_line_in_the_middle),
		EVERYWHERE(the_last_line),
		EVERYWHERE(a_line_too_many),
		EVERYWHERE(no_head),
		EVERYWHERE(a_line_too_few),
		EVERYWHERE(a_head_of_before),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
