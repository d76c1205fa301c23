/* The contract of core/blob.h, held against every backend; then what each has of its own. */
#include "core/blob.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/kv.h"
#include "core/log.h"
#include "tests/fake/blob_mem.h"
#include "tests/fake/kv_mem.h"

#define LARGE (BLOB_PACK_MAX + 1)

/* A directory with sources/ and blobs/, and a store that may use blobs/. */
struct place {
	bool in_memory;
	char *directory;
	int root;
	struct kv_disk *kv_disk;
	struct kv *kv;
	struct blob_disk *disk;
	struct blob_store *store;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void open_store(struct place *place)
{
	autoclose int blobs = openat(place->root, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(blobs >= 0);
	if (place->in_memory)
		assert_int_equal(blob_mem_open(place->disk, &place->store), 0);
	else
		assert_int_equal(blob_dir_open(blobs, place->kv, &place->store), 0);
}

static void reopen(struct place *place)
{
	blob_store_close(steal(place->store));
	open_store(place);
}

static int setup(void **state, bool in_memory)
{
	struct place *place = xcalloc(1, sizeof(*place));

	*state = place;
	place->in_memory = in_memory;
	place->directory = xstrdup("/tmp/test_blob.XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	place->root = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->root >= 0);
	assert_int_equal(mkdirat(place->root, "sources", 0700), 0);
	assert_int_equal(mkdirat(place->root, "blobs", 0700), 0);
	place->disk = blob_disk_new();
	place->kv_disk = kv_disk_new();
	assert_int_equal(kv_mem_open(place->kv_disk, &place->kv), 0);
	kv_disk_conflict_every(place->kv_disk, 3);
	open_store(place);
	return 0;
}

static int setup_directory(void **state)
{
	return setup(state, false);
}

static int setup_memory(void **state)
{
	return setup(state, true);
}

static int teardown(void **state)
{
	struct place *place = *state;

	blob_store_close(place->store);
	blob_disk_free(place->disk);
	kv_close(place->kv);
	kv_disk_free(place->kv_disk);
	close(place->root);
	assert_int_equal(nftw(place->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(place->directory);
	free(place);
	return 0;
}

/* ---- short forms ---- */

/* Bytes of a size, not the same for two seeds. */
static void fill(struct buf *ret, size_t size, unsigned int seed)
{
	size_t i;

	buf_reset(ret);
	buf_reserve(ret, size);
	for (i = 0; i < size; i++)
		buf_add_char(ret, (char)(rand_r(&seed) >> 4));
}

static struct blob_id name_of(const struct buf *bytes, uint64_t generation)
{
	struct blob_id id = { .generation = generation };

	digest_of(buf_slice(bytes), &id.digest);
	return id;
}

/* A file of these bytes below sources/, open for reading. */
static int source(const struct place *place, const char *name, const struct buf *bytes)
{
	autofree char *path = xasprintf("%s/sources/%s", place->directory, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes->data, bytes->len), (ssize_t)bytes->len);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void put(const struct place *place, const struct blob_id *id, const struct buf *bytes)
{
	struct blob_item item = { *id, buf_slice(bytes) };
	bool shared;

	if (bytes->len <= BLOB_PACK_MAX) {
		assert_int_equal(blob_put_packed(place->store, &item, 1), 0);
	} else {
		autoclose int fd = source(place, "put", bytes);

		assert_int_equal(blob_put_file(place->store, id, fd, bytes->len, &shared), 0);
		assert_int_equal(shared, !place->in_memory);
		assert_int_equal(unlinkat(place->root, "sources/put", 0), 0);
	}
}

static void expect(const struct place *place, const struct blob_id *id, const struct buf *bytes)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	autofree char *found = xmalloc(bytes->len + 1);

	assert_int_equal(blob_has(place->store, id, bytes->len), 1);
	assert_int_equal(blob_open(place->store, id, bytes->len, &blob), 0);
	assert_int_equal(blob_pread(blob, found, bytes->len + 1, 0), (ssize_t)bytes->len);
	assert_memory_equal(found, buf_str(bytes), bytes->len);
}

static void expect_none(const struct place *place, const struct blob_id *id, uint64_t size)
{
	struct blob *blob = NULL;

	assert_int_equal(blob_has(place->store, id, size), 0);
	assert_int_equal(blob_open(place->store, id, size, &blob), -ENOENT);
	assert_null(blob);
}

/* ---- the contract ---- */

static const size_t sizes[] = { 0, 1, 4096, BLOB_PACK_MAX, LARGE, 3 * LARGE };

static void every_size_comes_back(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	struct blob_id id;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(&bytes, sizes[i], 1);
		id = name_of(&bytes, 1);
		expect_none(place, &id, sizes[i]);
		put(place, &id, &bytes);
		expect(place, &id, &bytes);
	}
	reopen(place);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(&bytes, sizes[i], 1);
		id = name_of(&bytes, 1);
		expect(place, &id, &bytes);
		assert_int_equal(blob_remove(place->store, &id, sizes[i]), 0);
		expect_none(place, &id, sizes[i]);
		assert_int_equal(blob_remove(place->store, &id, sizes[i]), 0);
		put(place, &id, &bytes);
		expect(place, &id, &bytes);
	}
}

static void any_range_can_be_read(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	char part[16];
	size_t i;

	for (i = 2; i < ARRAY_SIZE(sizes); i++) {
		AUTO(blob_releasep) struct blob *blob = NULL;
		size_t size = sizes[i];
		struct blob_id id;

		fill(&bytes, size, 1);
		id = name_of(&bytes, 1);
		put(place, &id, &bytes);
		assert_int_equal(blob_open(place->store, &id, size, &blob), 0);
		assert_int_equal(blob_pread(blob, part, 16, 7), 16);
		assert_memory_equal(part, bytes.data + 7, 16);
		assert_int_equal(blob_pread(blob, part, 16, size - 5), 5);
		assert_memory_equal(part, bytes.data + size - 5, 5);
		assert_int_equal(blob_pread(blob, part, 16, size), 0);
		assert_int_equal(blob_pread(blob, part, 16, UINT64_MAX), 0);
		assert_int_equal(blob_pread(blob, part, 0, 0), 0);
	}
}

static void generations_are_apart(void **state)
{
	static const uint64_t generations[] = { 1, 0x10, 0xff00000000000001, UINT64_MAX };
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	struct blob_id id;
	size_t i, g;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(&bytes, sizes[i], 1);
		for (g = 0; g < ARRAY_SIZE(generations); g++) {
			id = name_of(&bytes, generations[g]);
			expect_none(place, &id, sizes[i]);
			put(place, &id, &bytes);
		}
		id = name_of(&bytes, generations[1]);
		assert_int_equal(blob_remove(place->store, &id, sizes[i]), 0);
		expect_none(place, &id, sizes[i]);
		for (g = 0; g < ARRAY_SIZE(generations); g++) {
			id = name_of(&bytes, generations[g]);
			if (g != 1)
				expect(place, &id, &bytes);
		}
	}
}

static void another_size_is_another_blob(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	struct blob *blob = NULL;
	struct blob_id id;

	fill(&bytes, 100, 1);
	id = name_of(&bytes, 1);
	put(place, &id, &bytes);
	assert_int_equal(blob_has(place->store, &id, 99), 0);
	assert_int_equal(blob_open(place->store, &id, 99, &blob), -EIO);
	fill(&bytes, LARGE, 1);
	id = name_of(&bytes, 1);
	put(place, &id, &bytes);
	assert_int_equal(blob_has(place->store, &id, LARGE + 1), 0);
	assert_int_equal(blob_open(place->store, &id, LARGE + 1, &blob), -EIO);
	assert_null(blob);
}

static void small_ones_go_in_many_at_a_time(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	size_t n = 1500, i;
	autofree struct blob_item *items = xcalloc(n, sizeof(*items));

	fill(&bytes, n + 8, 1);
	for (i = 0; i < n; i++) {
		items[i].bytes = slice(bytes.data + i, 8);
		items[i].id.generation = i;
		digest_of(items[i].bytes, &items[i].id.digest);
	}
	assert_int_equal(blob_put_packed(place->store, items, 0), 0);
	assert_int_equal(blob_put_packed(place->store, items, n), 0);
	/* Once more is no error. */
	assert_int_equal(blob_put_packed(place->store, items, n), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(blob_has(place->store, &items[i].id, 8), 1);
}

static void a_large_one_goes_in_once(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	autoclose int first = -1;
	autoclose int second = -1;
	struct blob_id id;
	bool shared;

	fill(&bytes, LARGE, 1);
	id = name_of(&bytes, 1);
	first = source(place, "first", &bytes);
	second = source(place, "second", &bytes);
	assert_int_equal(blob_put_file(place->store, &id, first, LARGE, &shared), 0);
	assert_int_equal(blob_put_file(place->store, &id, second, LARGE, &shared), -EEXIST);
	assert_int_equal(blob_put_file(place->store, &id, first, LARGE, &shared),
			 place->in_memory ? -EEXIST : 0);
	expect(place, &id, &bytes);
}

static void an_open_one_outlives_its_name(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	char part[16];
	size_t i;

	for (i = 2; i < ARRAY_SIZE(sizes); i++) {
		AUTO(blob_releasep) struct blob *blob = NULL;
		struct blob_id id;

		fill(&bytes, sizes[i], 1);
		id = name_of(&bytes, 1);
		put(place, &id, &bytes);
		assert_int_equal(blob_open(place->store, &id, sizes[i], &blob), 0);
		assert_int_equal(blob_remove(place->store, &id, sizes[i]), 0);
		assert_int_equal(blob_pread(blob, part, 16, 100), 16);
		assert_memory_equal(part, bytes.data + 100, 16);
	}
}

struct walk {
	struct place *place;
	uint64_t n, bytes;
	int stop_with;
	bool remove;
};

static int visit(void *arg, const struct blob_id *id, uint64_t size)
{
	struct walk *walk = arg;

	walk->n++;
	walk->bytes += size;
	assert_int_equal(blob_has(walk->place->store, id, size), 1);
	if (walk->remove)
		assert_int_equal(blob_remove(walk->place->store, id, size), 0);
	return walk->stop_with;
}

static void a_walk_meets_every_one(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct walk walk = { .place = *state };
	uint64_t sum = 0;
	struct blob_id id;
	size_t i;

	assert_int_equal(blob_each(walk.place->store, visit, &walk), 0);
	assert_int_equal(walk.n, 0);
	for (i = 0; i < 20 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];

		fill(&bytes, size, (unsigned int)i);
		id = name_of(&bytes, i + 1);
		put(walk.place, &id, &bytes);
		sum += size;
	}
	assert_int_equal(blob_each(walk.place->store, visit, &walk), 0);
	assert_int_equal(walk.n, i);
	assert_int_equal(walk.bytes, sum);
	walk = (struct walk){ .place = *state, .stop_with = 7 };
	assert_int_equal(blob_each(walk.place->store, visit, &walk), 7);
	assert_int_equal(walk.n, 1);
	walk = (struct walk){ .place = *state, .remove = true };
	assert_int_equal(blob_each(walk.place->store, visit, &walk), 0);
	assert_int_equal(walk.n, i);
	walk = (struct walk){ .place = *state };
	assert_int_equal(blob_each(walk.place->store, visit, &walk), 0);
	assert_int_equal(walk.n, 0);
}

/* ---- the directory's own ---- */

static void a_file_keeps_its_inode(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct place *place = *state;
	struct stat before, after;
	autoclose int fd = -1;
	struct blob_id id;
	bool shared = false;

	fill(&bytes, LARGE, 1);
	id = name_of(&bytes, 1);
	fd = source(place, "file", &bytes);
	assert_int_equal(blob_put_file(place->store, &id, fd, LARGE, &shared), 0);
	assert_true(shared);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(before.st_nlink, 2);
	assert_int_equal(blob_open(place->store, &id, LARGE, &blob), 0);
	assert_int_equal(fstat(blob_fd(blob), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	blob_release(steal(blob));
	assert_int_equal(blob_remove(place->store, &id, LARGE), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(before.st_nlink, 1);

	fill(&bytes, 5, 1);
	id = name_of(&bytes, 1);
	put(place, &id, &bytes);
	assert_int_equal(blob_open(place->store, &id, 5, &blob), 0);
	assert_int_equal(blob_fd(blob), -1);
}

static void a_source_must_have_a_name_and_its_size(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	autoclose int fd = -1;
	struct blob_id id;
	bool shared;

	fill(&bytes, LARGE, 1);
	id = name_of(&bytes, 1);
	fd = source(place, "file", &bytes);
	assert_int_equal(blob_put_file(place->store, &id, fd, LARGE + 1, &shared), -EIO);
	assert_int_equal(unlinkat(place->root, "sources/file", 0), 0);
	assert_int_equal(blob_put_file(place->store, &id, fd, LARGE, &shared), -ENOENT);
	expect_none(place, &id, LARGE);
}

static void another_filesystem_gets_a_copy(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	autoclose int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	struct stat here, there;
	struct blob_id id;
	bool shared = true;

	if (fd < 0 || fstat(fd, &there) < 0 || fstat(place->root, &here) < 0 ||
	    here.st_dev == there.st_dev)
		skip();
	fill(&bytes, 3 * LARGE, 1);
	id = name_of(&bytes, 1);
	assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
	assert_int_equal(blob_put_file(place->store, &id, fd, bytes.len, &shared), 0);
	assert_false(shared);
	assert_int_equal(blob_put_file(place->store, &id, fd, bytes.len, &shared), -EEXIST);
	expect(place, &id, &bytes);
	assert_int_equal(unlinkat(place->root, "blobs/copies", AT_REMOVEDIR), 0); /* is empty */
}

static void touch(struct place *place, const char *name)
{
	autoclose int fd = openat(place->root, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

static void strangers_are_left_alone(void **state)
{
	static const char digits[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd";
	static const char *const tails[] = { "",    ".",  ".0x1", ".01",  ".G",
					     ".1 ", ".A", "~",	  ".1.1", ".11111111111111111" };
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct walk walk = { .place = *state };
	struct place *place = *state;
	struct blob_id id;
	size_t i;

	fill(&bytes, LARGE, 1);
	id = name_of(&bytes, 1);
	put(place, &id, &bytes);
	if (mkdirat(place->root, "blobs/ab", 0700) < 0)
		assert_int_equal(errno, EEXIST);
	assert_int_equal(mkdirat(place->root, "blobs/copies", 0700), 0);
	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		autofree char *name = xasprintf("blobs/ab/%s%s", digits, tails[i]);

		touch(place, name);
	}
	touch(place, "blobs/copies/0");
	touch(place, "blobs/ab/short");
	touch(place, "blobs/stranger");
	reopen(place);
	assert_int_equal(blob_each(place->store, visit, &walk), 0);
	assert_int_equal(walk.n, 1);
	assert_int_equal(faccessat(place->root, "blobs/stranger", F_OK, 0), 0);
	assert_int_equal(faccessat(place->root, "blobs/ab/short", F_OK, 0), 0);
	assert_int_equal(faccessat(place->root, "blobs/copies/0", F_OK, 0), -1);
}

/* ---- the fake's own ---- */

static void the_fake_fails_when_told(void **state)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct place *place = *state;
	struct blob_item items[3];
	uint64_t sum, i;

	fill(&bytes, 3, 1);
	for (i = 0; i < 3; i++) {
		items[i].bytes = slice(bytes.data, i + 1);
		digest_of(items[i].bytes, &items[i].id.digest);
		items[i].id.generation = 1;
	}
	blob_disk_fail(place->disk, 3, -ENOSPC, false);
	assert_int_equal(blob_put_packed(place->store, items, 3), -ENOSPC);
	assert_int_equal(blob_disk_calls(place->disk), 3);
	assert_int_equal(blob_disk_count(place->disk, &sum), 2);
	assert_int_equal(sum, 3);
	assert_int_equal(blob_put_packed(place->store, items, 3), 0);
	blob_disk_fail(place->disk, 1, -EIO, true);
	assert_int_equal(blob_has(place->store, &items[0].id, 1), -EIO);
	assert_int_equal(blob_has(place->store, &items[0].id, 1), -EIO);
	blob_disk_fail(place->disk, 0, 0, false);
	assert_int_equal(blob_has(place->store, &items[0].id, 1), 1);
}

#define ON(backend, test)                                                  \
	{                                                                  \
#backend ": " #test, test, setup_##backend, teardown, NULL \
	}
#define CONTRACT(backend)                                                                          \
	ON(backend, every_size_comes_back), ON(backend, any_range_can_be_read),                    \
		ON(backend, generations_are_apart), ON(backend, another_size_is_another_blob),     \
		ON(backend, small_ones_go_in_many_at_a_time),                                      \
		ON(backend, a_large_one_goes_in_once), ON(backend, an_open_one_outlives_its_name), \
		ON(backend, a_walk_meets_every_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT(memory),
		ON(memory, the_fake_fails_when_told),
		CONTRACT(directory),
		ON(directory, a_file_keeps_its_inode),
		ON(directory, a_source_must_have_a_name_and_its_size),
		ON(directory, another_filesystem_gets_a_copy),
		ON(directory, strangers_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
