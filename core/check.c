/*
 * check.c - the phases of a check, and what its files share. See check.h.
 */
#include "check_private.h"

#include "artifact.h"
#include "log.h"
#include "run.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

/* A step ends with so many problems, that its answer is not without bound. */
#define STEP_PROBLEMS 1000
/* Rows between two looks at the clock. */
#define ROWS_AT_ONCE 256
#define QUARANTINE "quarantine"

static void check_counter(struct check *c, struct slice key, struct slice value)
{
	uint64_t n;

	if (key.len != 2 || ((const uint8_t *)key.data)[1] >= ID_KINDS || decode_u64(value, &n) < 0)
		check_wrong(c, "counter-unreadable", "a counter of ids cannot be read");
}

static void check_nothing(struct check *c, struct slice key, struct slice value)
{
	(void)c, (void)key, (void)value;
}

/*
 * In this order: what others lead to comes before them, so that one repair does not hide what
 * another one needs.
 */
static const struct phase {
	char kind; /* of rows */
	const char *name;
	check_row *look;
	check_row *mend; /* NULL: look does it, in a transaction */
	void (*end)(struct check *c);
	int (*all)(struct check *c);
	int (*some)(struct check *c, int64_t until);
	bool deep;
} phases[] = {
#define ROWS(letter, of, ...) { .kind = (letter), .name = (of), .look = __VA_ARGS__ }
	ROWS('M', "the store", check_nothing),
	ROWS('Z', "the store", check_nothing),
	ROWS('I', "the store", check_counter),
	ROWS('N', "interrupted logs", check_intent, .mend = mend_intent),
	ROWS('n', "interrupted logs", check_intent_part, .mend = mend_intent),
	ROWS('C', "artifacts", check_collection),
	ROWS('c', "artifacts", check_collection_name),
	ROWS('V', "versions", check_version),
	ROWS('X', "versions", check_version),
	ROWS('G', "versions", check_version),
	ROWS('v', "versions", check_version_id),
	ROWS('D', "versions", check_equal),
	ROWS('A', "aliases", check_alias),
	ROWS('m', "aliases", check_alias_of),
	ROWS('R', "runs", check_run),
	ROWS('r', "runs", check_run_name),
	ROWS('e', "edges", check_edge),
	ROWS('o', "edges", check_edge),
	ROWS('u', "edges", check_edge),
	ROWS('p', "edges", check_edge),
	ROWS('f', "edges", check_peek),
	ROWS('a', "edges", check_peek),
	ROWS('i', "inputs", check_input),
	ROWS('d', "drafts", check_draft),
	ROWS('h', "drafts", check_known),
	ROWS('F', "drafts", check_borrowed),
	ROWS('l', "runs", check_of_run),
	ROWS('j', "runs", check_of_run),
	ROWS('g', "tags", check_run_tag),
	ROWS('q', "processes", check_process),
	ROWS('Q', "processes", check_watched),
	ROWS('k', "views", check_pin),
	ROWS('w', "views", check_view),
	ROWS('W', "versions", check_version_note),
	ROWS('J', "versions", check_of_version),
	ROWS('s', "tags", check_version_tag),
	ROWS('K', "versions", check_last_use),
	ROWS('U', "versions", check_unseen),
	ROWS('O', "references", check_reference),
	ROWS('S', "tags", check_tagged),
	ROWS('Y', "types", check_of_type),
	ROWS('H', "job types", check_of_job),
	ROWS('E', "the audit log", check_event),
	ROWS('L', "the audit log", check_line, .end = check_journal_head),
	/* Rows of bytes that are there come before those that look for them. */
	ROWS('!', "bytes", check_damaged),
	{ .name = "bytes", .all = check_bytes },
	ROWS('t', "pages", check_page_digest),
	ROWS('T', "pages", check_page),
	ROWS('P', "pages", check_page_ref),
	ROWS('T', "pages", check_page_kept),
	ROWS('b', "files", check_blob_ref),
	ROWS('B', "files", check_blob, .mend = mend_blob),
	ROWS('x', "the store", check_doomed),
	ROWS('y', "the store", check_doomed),
	ROWS('z', "the store", check_doomed),
	{ .name = "drafts", .all = check_files },
	{ .name = "hashes", .some = check_hashes, .deep = true },
#undef ROWS
};

const char *check_phase_name(unsigned phase)
{
	return phase < ARRAY_SIZE(phases) ? phases[phase].name : "";
}

/* ---- reports ---- */

const char *check_outcome_name(enum check_outcome outcome)
{
	static const char *const names[CHECK_OUTCOMES] = { "found", "repaired", "quarantined" };

	return names[outcome];
}

void check_report_add(struct check_report *r, const char *name, const char *what,
		      enum check_outcome outcome)
{
	r->problems = xgrow(r->problems, &r->cap, r->count + 1, sizeof(*r->problems));
	r->problems[r->count++] =
		(struct check_problem){ xstrdup(name), xstrdup(what), outcome };
}

static void drop_from(struct check_report *r, size_t first)
{
	while (r->count > first) {
		r->count--;
		free(r->problems[r->count].name);
		free(r->problems[r->count].what);
	}
}

void check_report_release(struct check_report *r)
{
	drop_from(r, 0);
	free(r->problems);
	*r = (struct check_report){ 0 };
}

bool check_wrong(struct check *c, const char *name, const char *fmt, ...)
{
	autofree char *what = NULL;
	va_list list;
	int n;

	va_start(list, fmt);
	n = vasprintf(&what, fmt, list);
	va_end(list);
	if (n < 0)
		abort();
	check_report_add(c->report, name, what, CHECK_FOUND);
	return c->fixing;
}

void check_done(struct check *c, int err, enum check_outcome outcome)
{
	struct check_problem *last = &c->report->problems[c->report->count - 1];

	if (err < 0 && c->err == 0)
		c->err = err;
	if (err >= 0)
		last->outcome = outcome;
}

void check_put(struct check *c, struct slice key, struct slice value)
{
	check_done(c, kv_put(c->txn, KV_META, key, value), CHECK_REPAIRED);
}

void check_set_aside(struct check *c, struct slice key)
{
	AUTO(buf_release) struct buf aside = BUF_INIT, value = BUF_INIT;
	int err = kv_get(c->txn, KV_META, key, &value);

	buf_add_char(&aside, 'Z');
	buf_add_slice(&aside, key);
	if (err == 0)
		err = kv_put(c->txn, KV_META, buf_slice(&aside), buf_slice(&value));
	if (err == 0)
		err = kv_del(c->txn, KV_META, key);
	check_done(c, err, CHECK_QUARANTINED);
}

/* ---- reading ---- */

bool check_read(struct check *c, int err)
{
	if (err < 0 && err != -ENOENT && c->err == 0)
		c->err = err;
	return err >= 0;
}

bool check_has(struct check *c, struct slice key)
{
	int there = kv_has(c->txn, KV_META, key);

	return check_read(c, there) && there > 0;
}

bool check_get(struct check *c, struct slice key, struct buf *ret)
{
	buf_reset(ret);
	return check_read(c, kv_get(c->txn, KV_META, key, ret));
}

bool check_number(struct check *c, struct slice key, uint64_t *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	return check_get(c, key, &b) && decode_u64(buf_slice(&b), ret) == 0;
}

bool check_any(struct check *c, struct key prefix)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(c->txn, KV_META, key_slice(&prefix), slice("", 0), &scan);

	if (more == 0)
		more = kv_next(scan, &key, &value);
	return check_read(c, more) && more > 0;
}

static bool is_known(struct check *c, uint32_t *known, uint32_t id, struct slice key)
{
	uint32_t *slot = &known[id & (CHECK_KNOWN - 1)];

	/* While it is repaired things come and go. */
	if (id && *slot == id && !c->fixing)
		return true;
	if (!check_has(c, key))
		return false;
	*slot = id;
	return true;
}

bool check_run_there(struct check *c, uint32_t run)
{
	return is_known(c, c->runs, run, KEY(run(run)));
}

bool check_version_there(struct check *c, uint32_t version)
{
	return is_known(c, c->versions, version, KEY(version_id(version)));
}

bool check_stopped(const struct check *c)
{
	return c->stop && __atomic_load_n(c->stop, __ATOMIC_RELAXED);
}

struct check_label check_label_version(struct check *c, uint32_t version)
{
	AUTO(collection_release) struct collection a = { 0 };
	struct check_label label;
	struct version v;

	if (version_read_by_id(c->txn, version, &v) == 0 &&
	    collection_read(c->txn, v.collection, &a) == 0)
		snprintf(label.text, sizeof(label.text), "%s:v%u", a.name, v.number);
	else
		snprintf(label.text, sizeof(label.text), "version %u", version);
	return label;
}

struct check_label check_label_run(struct check *c, uint32_t run)
{
	AUTO(run_release) struct run r = { 0 };
	struct check_label label;

	if (run_read(c->txn, run, &r) == 0)
		snprintf(label.text, sizeof(label.text), "run %s", r.name);
	else
		snprintf(label.text, sizeof(label.text), "run number %u", run);
	return label;
}

struct check_hex check_hex(const struct digest *d)
{
	struct check_hex h;

	digest_to_hex(d, h.text);
	return h;
}

/* ---- quarantine/ ---- */

int check_quarantine(struct check *c)
{
	int fd;

	if (mkdirat(c->store->root, QUARANTINE, 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "making %s/", QUARANTINE);
	fd = openat(c->store->root, QUARANTINE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? log_errno(-errno, "opening %s/", QUARANTINE) : fd;
}

static int write_out(struct blob *blob, int directory, const char *name)
{
	autoclose int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char block[16384];
	uint64_t at = 0;

	if (fd < 0)
		return -errno;
	while (at < blob->size) {
		size_t len = blob->size - at < sizeof(block) ? blob->size - at : sizeof(block);
		ssize_t n = blob_pread(blob, block, len, at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		if (write(fd, block, (size_t)n) != n)
			return errno ? -errno : -EIO;
		at += (uint64_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int check_copy_out(struct check *c, const struct blob_id *id, uint64_t size)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	autoclose int directory = check_quarantine(c);
	autofree char *name = xasprintf("%s.%llx", HEX(&id->digest), U(id->generation));
	autofree char *path = NULL;
	int err = directory < 0 ? directory : blob_open(c->store->blobs, id, size, &blob);

	if (err < 0)
		return err;
	path = xasprintf("/proc/self/fd/%d", blob_fd(blob));
	if (blob_fd(blob) >= 0 &&
	    (linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST))
		err = 0;
	else
		err = write_out(blob, directory, name);
	if (err == 0 && fsync(directory) < 0)
		err = -errno;
	return err < 0 ? log_errno(err, "setting the bytes %s aside", name) : 0;
}

int check_move_out(struct check *c, int directory, const char *name)
{
	autoclose int to = check_quarantine(c);
	autofree char *flat = xstrdup(name);
	autofree char *unique = NULL;

	if (to < 0)
		return to;
	for (char *p = flat; *p; p++)
		if (*p == '/')
			*p = '_';
	for (unsigned n = 0; n < 10000; n++) {
		free(unique);
		unique = n ? xasprintf("%s.%u", flat, n) : xstrdup(flat);
		if (renameat2(directory, name, to, unique, RENAME_NOREPLACE) == 0)
			return fsync(to) < 0 || fsync(directory) < 0 ? -errno : 0;
		if (errno != EEXIST)
			break;
	}
	return log_errno(-errno, "setting %s aside", name);
}

/* ---- rows ---- */

struct mending {
	struct check *check;
	const struct phase *phase;
	struct slice key;
	size_t first; /* of the problems of this row */
};

/* What was found is found again, and put right. */
static int mend_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	const struct mending *m = arg;
	struct check *c = m->check;
	int err;

	drop_from(c->report, m->first);
	err = kv_get(txn, KV_META, m->key, &value);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	c->txn = txn;
	c->err = 0;
	m->phase->look(c, m->key, buf_slice(&value));
	return c->err;
}

static void mend(struct check *c, const struct phase *phase, struct slice key, size_t first)
{
	AUTO(buf_release) struct buf copy = BUF_INIT;
	struct mending m = { c, phase, slice("", 0), first };
	struct kv_txn *before = c->txn;
	int err;

	buf_add_slice(&copy, key);
	m.key = buf_slice(&copy);
	c->fixing = true;
	err = kv_update(c->store->kv, KV_ORDERED, mend_body, &m);
	c->fixing = false;
	c->txn = before;
	c->err = 0;
	for (size_t i = first; err < 0 && i < c->report->count; i++)
		c->report->problems[i].outcome = CHECK_FOUND;
	if (err < 0)
		check_wrong(c, "repair-failed", "a row of the kind %c cannot be repaired: %s",
			    phase->kind, strerror(-err));
}

static void look(struct check *c, const struct phase *phase, struct slice key, struct slice value)
{
	size_t first = c->report->count;

	c->err = 0;
	c->cursor->rows++;
	phase->look(c, key, value);
	if (c->err < 0) {
		int err = c->err;

		drop_from(c->report, first);
		check_wrong(c, "row-unreadable", "what a row of the kind %c leads to cannot be "
			    "read: %s", phase->kind, strerror(-err));
	} else if (c->report->count > first && c->options->repair) {
		if (phase->mend)
			phase->mend(c, key, value);
		else
			mend(c, phase, key, first);
	}
}

/* Rows of one kind until the time is up: 1: there are more. */
static int look_at_rows(struct check *c, const struct phase *phase, int64_t until)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct check_cursor *at = c->cursor;
	struct slice key, value;
	unsigned n = 0;
	int more;

	/* The key after the last one. */
	if (at->key_len > 0)
		at->key[at->key_len] = 0;
	more = kv_scan(c->txn, KV_META, KEY(prefix(phase->kind)),
		       slice(at->key, at->key_len ? at->key_len + 1 : 0), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (key.len >= CHECK_KEY_MAX) {
			check_wrong(c, "key-unknown", "a key of the kind %c is too long",
				    phase->kind);
			continue;
		}
		look(c, phase, key, value);
		memcpy(at->key, key.data, key.len);
		at->key_len = key.len;
		if (++n % ROWS_AT_ONCE == 0 &&
		    (monotonic_ms() >= until || check_stopped(c)))
			return 1;
		if (c->report->count >= STEP_PROBLEMS)
			return 1;
	}
	/* RocksDB has found that a block is not what it wrote. */
	if (more == -EIO)
		check_wrong(c, "rows-unreadable", "rows of the kind %c cannot be read to their end",
			    phase->kind);
	else if (more < 0)
		return more;
	if (phase->end)
		phase->end(c);
	return 0;
}

/* Keys of kinds that there are none of. */
static void look_at_unknown(struct check *c)
{
	bool known[256] = { false };

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		if (phases[i].look)
			known[(uint8_t)phases[i].kind] = true;
	for (unsigned kind = 0; kind < 256; kind++)
		if (!known[kind] && check_any(c, key_prefix((char)kind)))
			check_wrong(c, "key-unknown", "there are rows of an unknown kind, %u",
				    kind);
	if (!check_has(c, KEY(store("id"))))
		check_wrong(c, "store-id", "the store has no id");
	if (c->store->recovered < 0)
		check_wrong(c, "recovery-failed", "what an interruption left cannot be taken away, "
			    "so the store cannot be mounted: %s", strerror(-c->store->recovered));
}

static int run_phase(struct check *c, const struct phase *phase, int64_t until)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	int more;

	if (phase->deep && !c->options->deep)
		return 0;
	more = kv_begin(c->store->kv, KV_READ, &txn);
	if (more < 0)
		return more;
	c->txn = txn;
	if (c->cursor->phase == 0 && c->cursor->key_len == 0)
		look_at_unknown(c);
	more = phase->all ? phase->all(c) :
	       phase->some ? phase->some(c, until) : look_at_rows(c, phase, until);
	check_next_instant(c);
	c->txn = NULL;
	return more;
}

static int durable_body(struct kv_txn *txn, void *arg)
{
	(void)txn, (void)arg;
	return 0;
}

int check_step(struct store *store, const struct check_options *options, unsigned ms,
	       const bool *stop, struct check_cursor *cursor, struct check_report *report)
{
	autofree struct check *c = xcalloc(1, sizeof(*c));
	int64_t until = monotonic_ms() + ms;

	*c = (struct check){ .store = store, .options = options, .stop = stop, .cursor = cursor,
			     .report = report };
	while (cursor->phase < ARRAY_SIZE(phases)) {
		int more = check_stopped(c) ? -EINTR :
					      run_phase(c, &phases[cursor->phase], until);

		if (more < 0)
			return more;
		if (more == 0) {
			cursor->phase++;
			cursor->key_len = 0;
		}
		if (monotonic_ms() >= until || report->count >= STEP_PROBLEMS)
			break;
	}
	if (cursor->phase < ARRAY_SIZE(phases))
		return 1;
	return options->repair ? kv_update(store->kv, KV_DURABLE, durable_body, NULL) : 0;
}
