#include "journal.h"

#include "document_event.h"
#include "log.h"

/* One transaction's. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (1u << 20)
/*
 * A number that was given out and not found: its transaction goes on, or has run again with another
 * one. So long it is waited for, and for so many of them; what was given up is looked for once more
 * after so long.
 */
#define LATE_MS 60000
#define LATE_MAX 4096
#define AGAIN_MS 600000

struct late {
	uint64_t number;
	int64_t since;
};

struct journal {
	struct store *store;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of what follows, and held while events are taken */
	struct journal_head head;
	bool loaded;	/* head is what the store has */
	uint64_t from;	/* events below this number were looked for... */
	uint64_t floor; /* ...and what was not found from this one on is late */
	struct late *late;
	size_t late_count, late_cap;
	uint64_t gave_up; /* to wait for this number, the lowest of them; 0: for none */
	int64_t again_at; /* then it is looked for, and all after it */
	bool failing;	  /* the log says it */
	atomic_bool gap;  /* the log says that a line is missing */

	pthread_mutex_t wake_lock;
	pthread_cond_t wake;
	bool stop;
};

/* Events, in order, and the lines that they become. */
struct batch {
	struct taken {
		uint64_t number, end;
	} rows[BATCH_ROWS];
	size_t count;
	struct buf lines;
	struct event_user user;
	struct journal_head head; /* after them */
	uint64_t next;		  /* where the next one goes on */
	bool full;
};

static void batch_release(struct batch *b)
{
	buf_release(&b->lines);
	event_user_release(&b->user);
}

static void add_event(struct batch *b, uint64_t number, struct slice row)
{
	struct journal_head *head = &b->head;
	size_t start = b->lines.len;
	uint64_t time = document_event(row, head->count + 1, &head->digest, &b->user, &b->lines);
	struct slice line = slice(b->lines.data + start, b->lines.len - start);

	digest_of(line, &head->digest);
	head->count++;
	head->bytes += line.len;
	if (time > head->time)
		head->time = time;
	b->rows[b->count++] = (struct taken){ number, head->bytes };
	b->full = b->count == BATCH_ROWS || b->lines.len >= BATCH_BYTES;
}

/* What is there by now of what was not. */
static int collect_late(struct journal *j, struct kv_txn *txn, struct batch *b)
{
	AUTO(buf_release) struct buf row = BUF_INIT;

	for (size_t i = 0; i < j->late_count && !b->full; i++) {
		uint64_t number = j->late[i].number;
		int err = number < j->from ? kv_get(txn, KV_META, KEY(event(number)), &row) :
					     -ENOENT;

		if (err == 0)
			add_event(b, number, buf_slice(&row));
		else if (err != -ENOENT)
			return err;
	}
	return 0;
}

/* Events from `from` on, up to those whose number was not given out yet. */
static int collect(struct journal *j, uint64_t given, struct batch *b)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(j->store->kv, KV_READ, &txn);

	b->next = j->from;
	if (more == 0)
		more = collect_late(j, txn, b);
	if (more < 0 || b->full)
		return more;
	more = kv_scan(txn, KV_META, KEY(prefix('E')), KEY(event(j->from)), &scan);
	while (more >= 0 && !b->full && (more = kv_next(scan, &key, &value)) > 0) {
		uint64_t number = key_u64_at(key, 1);

		if (number >= given)
			break;
		add_event(b, number, value);
		b->next = number + 1;
	}
	if (more >= 0 && !b->full)
		b->next = given;
	return more < 0 ? more : 0;
}

/* Whatever may come yet has a higher number. */
static uint64_t lowest_missing(const struct journal *j)
{
	uint64_t lowest = j->from;

	if (j->late_count && j->late[0].number < lowest)
		lowest = j->late[0].number;
	return j->gave_up && j->gave_up < lowest ? j->gave_up : lowest;
}

static int put_head(struct kv_txn *txn, const struct journal_head *head)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	encode_journal_head(&b, head);
	return kv_put(txn, KV_META, KEY(store("journal")), buf_slice(&b));
}

static int take_body(struct kv_txn *txn, void *arg)
{
	const struct batch *b = arg;
	uint64_t base = b->head.bytes - b->lines.len, start = base;
	int err = 0;

	for (size_t i = 0; err == 0 && i < b->count; i++) {
		const struct taken *row = &b->rows[i];

		err = kv_put(txn, KV_META, KEY(journal(row->end)),
			     slice(b->lines.data + (start - base), row->end - start));
		if (err == 0)
			err = kv_del(txn, KV_META, KEY(event(row->number)));
		start = row->end;
	}
	return err < 0 ? err : put_head(txn, &b->head);
}

static bool is_taken(const struct batch *b, size_t *at, uint64_t number)
{
	while (*at < b->count && b->rows[*at].number < number)
		++*at;
	return *at < b->count && b->rows[*at].number == number;
}

static void give_up(struct journal *j, uint64_t number)
{
	if (!j->gave_up || number < j->gave_up)
		j->gave_up = number;
}

static void add_late(struct journal *j, uint64_t number, int64_t now)
{
	if (j->late_count == LATE_MAX) {
		give_up(j, number);
		return;
	}
	j->late = xgrow(j->late, &j->late_cap, j->late_count + 1, sizeof(*j->late));
	j->late[j->late_count++] = (struct late){ number, now };
}

/* After the commit. */
static void note_taken(struct journal *j, const struct batch *b)
{
	uint64_t number = j->from > j->floor ? j->from : j->floor;
	int64_t now = monotonic_ms();
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < j->late_count; i++) {
		if (is_taken(b, &at, j->late[i].number))
			continue;
		if (now - j->late[i].since > LATE_MS)
			give_up(j, j->late[i].number);
		else
			j->late[kept++] = j->late[i];
	}
	j->late_count = kept;
	for (at = 0; number < b->next; number++)
		if (!is_taken(b, &at, number))
			add_late(j, number, now);
	j->from = b->next;
	if (b->count)
		j->head = b->head;
}

static int load_head(struct journal *j)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	int err = kv_get_one(j->store->kv, KV_META, KEY(store("journal")), &b);

	if (err == 0)
		err = decode_journal_head(buf_slice(&b), &j->head);
	else if (err == -ENOENT)
		j->head = (struct journal_head){ 0 };
	j->loaded = err == 0 || err == -ENOENT;
	return err;
}

/* 1: there are more; 0; -errno. */
static int take_batch(struct journal *j, uint64_t given)
{
	autofree struct batch *b = xcalloc(1, sizeof(*b));
	int err = j->loaded ? 0 : load_head(j);

	if (err < 0 && err != -ENOENT)
		return err;
	b->head = j->head;
	b->head.floor = lowest_missing(j);
	err = collect(j, given, b);
	if (err == 0 && b->count) {
		err = kv_update(j->store->kv, KV_DURABLE, take_body, b);
		/* Who knows what is there now. */
		j->loaded = err == 0;
	}
	if (err == 0)
		note_taken(j, b);
	batch_release(b);
	return err < 0 ? err : b->full;
}

/* What is full is refused again and again, and nothing is lost by that. */
static void say_failure(struct journal *j, int err)
{
	if (!j->failing && err != -ENOSPC && err != -EDQUOT)
		log_errno(err, "events cannot be written to the audit log, and wait");
	j->failing = true;
}

static void catch_up(struct journal *j)
{
	struct store *store = j->store;
	int64_t now = monotonic_ms();
	/* In this order: an event that is put from now on says so again. */
	bool put = atomic_exchange(&store->events_put, false);
	uint64_t given = store_ids_given(store, ID_EVENT);
	int more = 1;

	if (j->gave_up && now >= j->again_at) {
		j->floor = j->from;
		j->from = j->gave_up;
		j->gave_up = 0;
		j->again_at = now + AGAIN_MS;
	} else if (!put && j->late_count == 0) {
		return;
	}
	while (more > 0)
		more = take_batch(j, given);
	if (more < 0) {
		atomic_store(&store->events_put, true);
		say_failure(j, more);
		return;
	}
	j->failing = false;
}

/* What lies behind the head's end, or was never in a head. */
static void adopt(struct journal_head *head, bool there, uint64_t end, struct slice line)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct digest prev;
	uint64_t number;

	head->bytes = end;
	if (there)
		return;
	if (document_event_read(line, &number, &prev, &why) < 0)
		number = head->count + 1;
	head->count = number;
	digest_of(line, &head->digest);
}

/* Does the journal end as its head says? 1, 0, -errno; if not, head ends where it does. */
static int check_end(struct journal *j, bool there)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	uint64_t end = j->head.bytes;
	bool last = j->head.count == 0, behind = false;
	struct slice key, value;
	int more = kv_begin(j->store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('L')), KEY(journal(end)), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		struct digest digest;

		if (there && key_u64_at(key, 1) == end) {
			digest_of(value, &digest);
			last = digest_equal(&digest, &j->head.digest);
			continue;
		}
		behind = true;
		adopt(&j->head, there, key_u64_at(key, 1), value);
	}
	return more < 0 ? more : last && !behind;
}

static int break_body(struct kv_txn *txn, void *arg)
{
	return put_head(txn, arg);
}

static int check(struct journal *j)
{
	int err = load_head(j), good = err == 0 || err == -ENOENT ? check_end(j, err == 0) : err;

	if (good != 0)
		return good < 0 ? good : 0;
	if (!j->head.broken)
		j->head.broken = j->head.count + 1;
	log_error("the audit log does not end as it did, with line %llu: somebody edited the store",
		  (unsigned long long)j->head.count);
	return kv_update(j->store->kv, KV_DURABLE, break_body, &j->head);
}

static void *run_journal(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->wake_lock);
	while (!j->stop) {
		struct timespec until =
			moment_after((uint64_t)j->store->options.journal_ms * 1000000);

		if (pthread_cond_timedwait(&j->wake, &j->wake_lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&j->wake_lock);
		journal_catch_up(j->store);
		pthread_mutex_lock(&j->wake_lock);
	}
	pthread_mutex_unlock(&j->wake_lock);
	return NULL;
}

static void journal_free(struct journal *j)
{
	pthread_mutex_destroy(&j->lock);
	pthread_mutex_destroy(&j->wake_lock);
	pthread_cond_destroy(&j->wake);
	free(j->late);
	free(j);
}

int journal_start(struct store *store, struct journal **ret)
{
	struct journal *j = xcalloc(1, sizeof(*j));
	uint64_t number;
	int err;

	j->store = store;
	j->again_at = monotonic_ms() + AGAIN_MS;
	pthread_mutex_init(&j->lock, NULL);
	pthread_mutex_init(&j->wake_lock, NULL);
	pthread_cond_init(&j->wake, NULL);
	/* From here on numbers are known to be given out; what has a lower one is there. */
	err = store_new_ids(store, ID_EVENT, 1, &number);
	if (err == 0)
		err = check(j);
	if (err == 0) {
		j->from = j->head.floor;
		j->floor = number + 1;
		atomic_store(&store->events_put, true);
		catch_up(j);
	}
	*ret = j; /* the thread asks the store for it */
	if (err == 0 && store->options.journal_ms) {
		err = -pthread_create(&j->thread, NULL, run_journal, j);
		j->started = err == 0;
	}
	if (err < 0) {
		*ret = NULL;
		journal_free(j);
	}
	return err;
}

void journal_stop(struct journal *j)
{
	if (!j)
		return;
	if (j->started) {
		pthread_mutex_lock(&j->wake_lock);
		j->stop = true;
		pthread_cond_signal(&j->wake);
		pthread_mutex_unlock(&j->wake_lock);
		pthread_join(j->thread, NULL);
		catch_up(j);
	}
	journal_free(j);
}

void journal_catch_up(struct store *store)
{
	struct journal *j = store->journal;

	LOCKED(&j->lock);
	catch_up(j);
}

void journal_end(struct store *store, struct journal_head *ret)
{
	struct journal *j = store->journal;

	LOCKED(&j->lock);
	catch_up(j);
	*ret = j->head;
}

static uint64_t end_after(struct store *store, uint64_t wanted)
{
	struct journal *j = store->journal;

	LOCKED(&j->lock);
	if (j->head.bytes < wanted)
		catch_up(j);
	return j->head.bytes;
}

static ssize_t read_lines(struct store *store, char *to, size_t len, uint64_t offset)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	size_t done = 0;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('L')), KEY(journal(offset + 1)), &scan);
	while (more >= 0 && done < len && (more = kv_next(scan, &key, &value)) > 0) {
		uint64_t left = key_u64_at(key, 1) - (offset + done); /* of the line, from here */
		size_t n = len - done < left ? len - done : left;

		if (left > value.len)
			break;
		memcpy(to + done, (const char *)value.data + (value.len - left), n);
		done += n;
	}
	return more < 0 && done == 0 ? more : (ssize_t)done;
}

ssize_t journal_read(struct store *store, void *to, size_t len, uint64_t offset)
{
	uint64_t end = end_after(store, offset + len);
	ssize_t n;

	if (offset >= end || len == 0)
		return 0;
	if (len > end - offset)
		len = (size_t)(end - offset);
	n = read_lines(store, to, len, offset);
	if (n != 0)
		return n;
	if (!atomic_exchange(&store->journal->gap, true))
		log_error("a line of the audit log is missing at byte %llu",
			  (unsigned long long)offset);
	return -EIO;
}
