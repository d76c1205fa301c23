/*
 * The key-value store on a disk that is full, or over its quota. What RocksDB asks the system to
 * write goes through functions of this program, which refuse when told.
 */
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "kv_place.h"

static struct {
	atomic_int write_error;   /* positive: what writing files of that name answers */
	const char *write_suffix;
	atomic_int no_room;       /* what fallocate answers */
	atomic_uint_fast64_t left; /* bytes that statvfs tells of; 0: as it is */
} disk;

static bool is_named(int fd, const char *suffix)
{
	char link[64], path[512];
	size_t end = strlen(suffix);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n > (ssize_t)end && !memcmp(path + n - end, suffix, end);
}

/* Half of it is written before the disk is full. */
ssize_t write(int fd, const void *data, size_t n)
{
	if (disk.write_error && is_named(fd, disk.write_suffix)) {
		if (n < 2) {
			errno = disk.write_error;
			return -1;
		}
		n /= 2;
	}
	return syscall(SYS_write, fd, data, n);
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
	if (disk.no_room) {
		errno = disk.no_room;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, n);
}

int statvfs(const char *restrict path, struct statvfs *restrict ret)
{
	(void)path;
	memset(ret, 0, sizeof(*ret));
	ret->f_frsize = 1;
	ret->f_bfree = ret->f_bavail = disk.left ? disk.left : 1ull << 40;
	return 0;
}

static int try_put(struct place *place, const char *key, enum kv_promise promise)
{
	struct kv_txn *txn;
	int r = kv_begin(place->kv, KV_WRITE, &txn);

	if (r < 0)
		return r;
	assert_int_equal(kv_put(txn, KV_META, slice_str(key), slice_str("value")), 0);
	return kv_commit(txn, promise);
}

static bool has(struct place *place, const char *key)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	int r = kv_get_one(place->kv, KV_META, slice_str(key), &value);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void fill(int error)
{
	disk.write_suffix = ".log";
	disk.write_error = error;
	disk.no_room = error;
}

static void log_that_cannot_be_written(struct place *place, int error)
{
	assert_int_equal(try_put(place, "durable", KV_DURABLE), 0);
	assert_int_equal(try_put(place, "ordered", KV_ORDERED), 0);
	log_set_level(LOG_LEVEL_ERROR);
	fill(error);
	for (int i = 0; i < 3; i++)
		assert_int_equal(try_put(place, "refused", i ? KV_DURABLE : KV_ORDERED), -error);
	/* It can be read all the while, and closed and opened when there is room. */
	assert_true(has(place, "durable") && has(place, "ordered") && !has(place, "refused"));
	fill(0);
	assert_int_equal(try_put(place, "again", KV_DURABLE), 0);
	assert_true(has(place, "durable") && has(place, "ordered") && !has(place, "refused"));
	assert_int_equal(try_put(place, "more", KV_ORDERED), 0);
	reopen(place);
	assert_true(has(place, "durable") && has(place, "ordered") && !has(place, "refused"));
	assert_true(has(place, "again") && has(place, "more"));
}

static void a_full_disk_passes(void **state)
{
	log_that_cannot_be_written(*state, ENOSPC);
}

static void a_quota_passes(void **state)
{
	log_that_cannot_be_written(*state, EDQUOT);
}

static void it_is_closed_while_it_is_full(void **state)
{
	struct place *place = *state;

	assert_int_equal(try_put(place, "ordered", KV_ORDERED), 0);
	fill(ENOSPC);
	assert_int_equal(try_put(place, "refused", KV_ORDERED), -ENOSPC);
	kv_close(place->kv);
	assert_int_equal(place->backend->open(place, &place->kv), -ENOSPC);
	fill(0);
	assert_int_equal(place->backend->open(place, &place->kv), 0);
	assert_true(has(place, "ordered") && !has(place, "refused"));
}

/* Who reads goes on reading, and only then is it opened anew. */
static void open_transactions_stay_good(void **state)
{
	struct place *place = *state;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct kv_txn *reading;

	assert_int_equal(try_put(place, "before", KV_ORDERED), 0);
	assert_int_equal(kv_begin(place->kv, KV_READ, &reading), 0);
	fill(ENOSPC);
	assert_int_equal(try_put(place, "refused", KV_ORDERED), -ENOSPC);
	fill(0);
	assert_int_equal(try_put(place, "refused", KV_ORDERED), -ENOSPC);
	assert_int_equal(kv_get(reading, KV_META, slice_str("before"), &value), 0);
	kv_abort(reading);
	assert_int_equal(try_put(place, "after", KV_ORDERED), 0);
	assert_true(has(place, "before") && has(place, "after") && !has(place, "refused"));
}

/* RocksDB is not let near the end of the disk. */
static void a_reserve_is_kept(void **state)
{
	struct place *place = *state;

	assert_int_equal(try_put(place, "before", KV_DURABLE), 0);
	disk.left = 1u << 20;
	assert_int_equal(try_put(place, "refused", KV_DURABLE), -ENOSPC);
	assert_true(has(place, "before") && !has(place, "refused"));
	disk.left = 1u << 30;
	assert_int_equal(try_put(place, "after", KV_DURABLE), 0);
	/* What is in memory must find room too. */
	disk.left = 0;
	for (int i = 0; i < 40; i++) {
		static char large[1 << 20];
		struct kv_txn *txn = begin(place, KV_WRITE);
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(kv_put(txn, KV_PACK, slice_str(key), slice(large, sizeof(large))),
				 0);
		commit(txn);
	}
	disk.left = 40u << 20;
	assert_int_equal(try_put(place, "refused", KV_DURABLE), -ENOSPC);
	/* With room for that it is flushed, and is not in memory any more. */
	disk.left = 52u << 20;
	assert_int_equal(try_put(place, "flushed", KV_DURABLE), 0);
	disk.left = 20u << 20;
	assert_int_equal(try_put(place, "small", KV_DURABLE), 0);
}

/* A flush that fails refuses commits as well. */
static void a_table_that_cannot_be_written(void **state)
{
	struct place *place = *state;
	static char large[1 << 20];
	struct kv_txn *txn;

	for (int i = 0; i < 8; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		txn = begin(place, KV_WRITE);
		assert_int_equal(kv_put(txn, KV_PACK, slice_str(key), slice(large, sizeof(large))),
				 0);
		commit(txn);
	}
	disk.write_suffix = ".sst";
	disk.write_error = disk.no_room = ENOSPC;
	disk.left = 20u << 20;
	assert_int_equal(try_put(place, "refused", KV_DURABLE), -ENOSPC);
	disk.left = 0;
	assert_int_equal(try_put(place, "refused", KV_DURABLE), -ENOSPC);
	assert_true(!has(place, "refused"));
	fill(0);
	assert_int_equal(try_put(place, "after", KV_DURABLE), 0);
	reopen(place);
	assert_true(has(place, "after") && !has(place, "refused"));
}

static int setup_full(void **state)
{
	memset(&disk, 0, sizeof(disk));
	return setup_rocks(state);
}

static int teardown_full(void **state)
{
	memset(&disk, 0, sizeof(disk));
	return teardown(state);
}

#define FULL(test) cmocka_unit_test_setup_teardown(test, setup_full, teardown_full)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FULL(a_full_disk_passes),
		FULL(a_quota_passes),
		FULL(it_is_closed_while_it_is_full),
		FULL(open_transactions_stay_good),
		FULL(a_reserve_is_kept),
		FULL(a_table_that_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
