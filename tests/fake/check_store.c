#include "check_store.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/artifact.h"
#include "core/check.h"
#include "core/tree.h"

#define U(n) ((unsigned long long)(n))

/* ---- a second opinion: what core/check.c could have wrong by itself ---- */

struct opinion {
	struct store *store;
	struct kv_txn *txn;
	struct buf *text;
	unsigned wrong;
};

static void wrong(struct opinion *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void wrong(struct opinion *o, const char *fmt, ...)
{
	autofree char *line = NULL;
	va_list list;
	int n;

	va_start(list, fmt);
	n = vasprintf(&line, fmt, list);
	va_end(list);
	if (n < 0)
		abort();
	o->wrong++;
	buf_printf(o->text, "%s\n", line);
}

static uint64_t count(struct opinion *o, char kind)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	uint64_t n = 0;
	int more = kv_scan(o->txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		n++;
	if (more < 0)
		wrong(o, "counting %c: %s", kind, strerror(-more));
	return n;
}

static int count_blob(void *arg, const struct blob_id *id, uint64_t size)
{
	(void)id, (void)size;
	++*(uint64_t *)arg;
	return 0;
}

/* What is written twice is there equally often, and there are no bytes but those of rows. */
static void compare_counts(struct opinion *o)
{
	static const char pairs[][2] = { { 'e', 'u' }, { 'o', 'p' }, { 'f', 'a' }, { 'A', 'm' },
					 { 'C', 'c' }, { 'R', 'r' } };
	uint64_t blobs = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (count(o, pairs[i][0]) != count(o, pairs[i][1]))
			wrong(o, "%llu rows of kind %c, %llu of kind %c", U(count(o, pairs[i][0])),
			      pairs[i][0], U(count(o, pairs[i][1])), pairs[i][1]);
	if (blob_each(o->store->blobs, count_blob, &blobs) < 0 || blobs != count(o, 'B'))
		wrong(o, "%llu blobs, %llu rows of them", U(blobs), U(count(o, 'B')));
	for (const char *kind = "NnxyzZ"; *kind; kind++)
		if (count(o, *kind) > 0)
			wrong(o, "left over: rows of kind %c", *kind);
}

/* No two aliases of the store have one slot: inode numbers are made of them. */
static void check_alias_slots(struct opinion *o)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	AUTO(buf_release) struct buf slots = BUF_INIT;
	struct slice key, value;
	struct alias a;
	int more = kv_scan(o->txn, KV_META, KEY(prefix('A')), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (decode_alias(value, &a) < 0)
			continue;
		for (size_t at = 0; at < slots.len; at += sizeof(a.slot))
			if (!memcmp(slots.data + at, &a.slot, sizeof(a.slot)))
				wrong(o, "an alias has a slot that is another's");
		buf_add(&slots, &a.slot, sizeof(a.slot));
	}
}

static void check_again(struct opinion *o)
{
	if (kv_begin(o->store->kv, KV_READ, &o->txn) < 0) {
		wrong(o, "the store cannot be read");
		return;
	}
	compare_counts(o);
	check_alias_slots(o);
	kv_abort(o->txn);
}

unsigned check_store(struct store *store, struct buf *ret)
{
	const struct check_options options = { .deep = true, .at_rest = true };
	AUTO(check_report_release) struct check_report report = { 0 };
	struct check_cursor cursor = { 0 };
	struct opinion o = { .store = store, .text = ret };
	int more;

	/* In steps as small as can be, so that each is begun where another has ended. */
	while ((more = check_step(store, &options, 0, NULL, &cursor, &report)) > 0)
		;
	if (more < 0)
		wrong(&o, "checking: %s", strerror(-more));
	for (size_t i = 0; i < report.count; i++)
		wrong(&o, "%s: %s", report.problems[i].name, report.problems[i].what);
	check_again(&o);
	return o.wrong;
}

struct describe {
	struct store *store;
	struct buf *text;
};

static int describe_file(struct describe *d, const struct page_entry *e)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	char first[16];
	ssize_t n;
	int err = artifact_open_blob(d->store, &e->digest, &blob);

	if (err < 0)
		return err;
	n = blob_pread(blob, first, sizeof(first), 0);
	if (n < 0)
		return (int)n;
	buf_printf(d->text, " %llu ", U(e->size));
	buf_add(d->text, first, (size_t)n);
	return 0;
}

static int describe_one(void *arg, struct slice path, const struct page_entry *e)
{
	struct describe *d = arg;
	int err = 0;

	buf_add_char(d->text, e->type == ENTRY_DIRECTORY ? 'd' :
			      e->type == ENTRY_LINK	 ? 'l' :
			      e->executable		 ? 'x' : 'f');
	buf_add_char(d->text, ' ');
	buf_add_slice(d->text, path);
	if (e->type == ENTRY_LINK) {
		buf_add_str(d->text, " -> ");
		buf_add_slice(d->text, e->target);
	}
	if (e->type == ENTRY_FILE)
		err = describe_file(d, e);
	buf_add_char(d->text, '\n');
	return err;
}

int check_describe(struct store *store, uint64_t page, struct buf *ret)
{
	struct describe d = { store, ret };

	return tree_walk(store->kv, page, describe_one, &d);
}
