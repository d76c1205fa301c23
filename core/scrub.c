#include "scrub.h"

#include "codec.h"
#include "damage.h"
#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define BLOCK (1u << 20)
#define ROUND_NS (7ull * 86400 * 1000000000)
#define IDLE_SECONDS 60
/* ioprio_set(2), which has no header: this thread, and only when nobody else wants the disk. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

struct scrub {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	int64_t began;	/* of what is counted for the rate, ms */
	uint64_t read;	/* since then */
	uint64_t bytes; /* of this round */
};

/* ---- its place ---- */

struct place {
	struct digest at; /* the last one that was read */
	struct scrub_state state;
};

static int load(struct store *store, struct place *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct place p = { 0 };
	struct reader r;
	int err = kv_get_one(store->kv, KV_META, KEY(store("scrub")), &b);

	if (err == 0) {
		r = reader_of(buf_slice(&b));
		get_digest(&r, &p.at);
		p.state.started = get_u64(&r);
		p.state.bytes = get_u64(&r);
		p.state.ended = get_u64(&r);
		err = reader_end(&r);
	}
	if (err == 0 || err == -ENOENT)
		*ret = p;
	return err == -ENOENT ? 0 : err;
}

static int save_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct place *p = arg;

	put_digest(&b, &p->at);
	put_u64(&b, p->state.started);
	put_u64(&b, p->state.bytes);
	put_u64(&b, p->state.ended);
	return kv_put(txn, KV_META, KEY(store("scrub")), buf_slice(&b));
}

int scrub_state(struct store *store, struct scrub_state *ret)
{
	struct place p;
	int err = load(store, &p);

	if (err == 0)
		*ret = p.state;
	return err;
}

/* ---- reading ---- */

/* Past the page cache where the filesystem can: it is the disk that is looked at. */
static int open_direct(struct blob *blob)
{
	char path[32];
	int fd;

	if (blob_fd(blob) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", blob_fd(blob));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return fd;
}

static ssize_t read_block(struct blob *blob, int *direct, char *block, uint64_t at)
{
	ssize_t n = *direct >= 0 ? pread(*direct, block, BLOCK, (off_t)at) : -1;

	if (n > 0)
		return n;
	/* Not on this filesystem after all; or it is for the ordinary read to say what is wrong. */
	if (*direct >= 0)
		close(steal_fd(direct));
	return blob_pread(blob, block, BLOCK, at);
}

/* 0; -EBADMSG: other bytes; what pace says; -errno. */
static int read_blob(struct blob *blob, const struct digest *digest, char *block,
		     int (*pace)(void *arg, size_t bytes), void *arg)
{
	AUTO(hasher_freep) struct hasher *hasher = hasher_new();
	autoclose int direct = open_direct(blob);
	struct digest found;

	for (uint64_t at = 0; at < blob->size;) {
		ssize_t n = read_block(blob, &direct, block, at);
		int err = n <= 0 ? (n < 0 ? (int)n : -EIO) : pace(arg, (size_t)n);

		if (err != 0)
			return err;
		hasher_add(hasher, block, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_end(hasher, &found);
	return digest_equal(&found, digest) ? 0 : -EBADMSG;
}

/* The first large blob after a digest: 1, 0, -errno. Looks at so many rows at most, then 2. */
static int next_large(struct store *store, struct digest *at, struct blob_id *ret,
		      uint64_t *ret_size)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key from = key_blob(at);
	struct slice key, value;
	struct blob_row row;
	unsigned looked = 0;
	int more = kv_begin(store->kv, KV_READ, &txn);

	from.bytes[from.len++] = 0;
	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('B')), key_slice(&from), &scan);
	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0) {
		if (key_digest_at(key, 1, at) < 0 || decode_blob_row(value, &row) < 0)
			continue;
		if (row.size > BLOB_PACK_MAX) {
			*ret = (struct blob_id){ *at, row.generation };
			*ret_size = row.size;
			return 1;
		}
		if (++looked == 10000)
			return 2;
	}
	return more;
}

int scrub_some(struct store *store, struct digest *at, int (*pace)(void *arg, size_t bytes),
	       void *arg)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	autofree char *block = NULL;
	struct digest before = *at;
	struct blob_id id;
	uint64_t size;
	int more = next_large(store, at, &id, &size), err;

	if (more != 1)
		return more > 0 ? 1 : more;
	if (posix_memalign((void **)&block, 4096, BLOCK) != 0)
		return -ENOMEM;
	err = blob_open(store->blobs, &id, size, &blob);
	if (err == 0)
		err = read_blob(blob, &id.digest, block, pace, arg);
	if (err == -EINTR) {
		*at = before; /* from its start */
		return err;
	}
	if (err == -EBADMSG || err == -EIO || err == -ENOENT)
		damage_tell(store, &id, err == -ENOENT ? "they are not there" :
			    err == -EIO ? "they cannot be read" : "other bytes are there");
	else if (err == 0)
		err = damage_heal(store, &id);
	return 1;
}

/* ---- the thread ---- */

/* Waits as long as it takes to be no faster than allowed. -EINTR: the store is being closed. */
static int wait_for_pace(void *arg, size_t bytes)
{
	struct scrub *s = arg;
	int64_t due;

	LOCKED(&s->lock);
	s->read += bytes;
	s->bytes += bytes;
	due = s->began + (int64_t)(s->read * 1000 / s->store->options.scrub_bytes);
	while (!s->stop && monotonic_ms() < due) {
		struct timespec until =
			moment_after((uint64_t)(due - monotonic_ms()) * 1000000 + 1000000);

		pthread_cond_timedwait(&s->wake, &s->lock, &until);
	}
	return s->stop ? -EINTR : 0;
}

static bool rest(struct scrub *s)
{
	struct timespec until = moment_after(IDLE_SECONDS * 1000000000ull);

	LOCKED(&s->lock);
	if (!s->stop)
		pthread_cond_timedwait(&s->wake, &s->lock, &until);
	return !s->stop;
}

static int run_round(struct scrub *s, struct place *p)
{
	int more;

	s->bytes = p->state.bytes;
	s->began = monotonic_ms();
	s->read = 0;
	do {
		more = scrub_some(s->store, &p->at, wait_for_pace, s);
		p->state.bytes = s->bytes;
		if (more == 0)
			p->state.ended = store_now();
		if (more >= 0 && kv_update(s->store->kv, KV_ORDERED, save_body, p) < 0)
			more = -EIO;
	} while (more > 0);
	return more;
}

static void *run_scrub(void *arg)
{
	struct scrub *s = arg;
	struct place p;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	do {
		if (load(s->store, &p) < 0)
			continue;
		if (p.state.ended && store_now() < p.state.started + ROUND_NS)
			continue;
		if (!p.state.started || p.state.ended)
			p = (struct place){ .state.started = store_now() };
		run_round(s, &p);
	} while (rest(s));
	return NULL;
}

int scrub_start(struct store *store, struct scrub **ret)
{
	struct scrub *s;
	int err;

	*ret = NULL;
	if (store->options.scrub_bytes == 0)
		return 0;
	s = xcalloc(1, sizeof(*s));
	s->store = store;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	err = -pthread_create(&s->thread, NULL, run_scrub, s);
	if (err < 0) {
		pthread_cond_destroy(&s->wake);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return log_errno(err, "starting the scrub");
	}
	*ret = s;
	return 0;
}

void scrub_stop(struct scrub *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
