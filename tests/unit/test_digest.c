/* SHA-256 of buffers and files against published vectors and against a hash made piece by piece. */
#include "core/digest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/buf.h"

#define EMPTY_HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct {
	const char *text;
	const char *hex;
} vectors[] = {
	{ "", EMPTY_HEX },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
	  "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

#define MILLION_HEX "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void assert_hex(const struct digest *d, const char *hex)
{
	char text[DIGEST_HEX_SIZE + 1];

	digest_to_hex(d, text);
	assert_string_equal(text, hex);
}

/* Bytes that differ from block to block, so that a block out of place shows. */
static char *pattern(size_t len)
{
	char *p = xmalloc(len);
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (char)(x >> 24);
	}
	return p;
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test_digest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), len);
	return fd;
}

static void known_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct digest d;

		digest_of(slice_str(vectors[i].text), &d);
		assert_hex(&d, vectors[i].hex);
	}
}

static void a_million_in_pieces(void **state)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	char piece[1000];
	struct digest d;

	(void)state;
	memset(piece, 'a', sizeof(piece));
	for (int i = 0; i < 1000; i++)
		hasher_add(h, piece, sizeof(piece));
	hasher_add(h, NULL, 0);
	hasher_end(h, &d);
	assert_hex(&d, MILLION_HEX);
}

static void files_of_every_edge(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, (64 << 10) - 1, 64 << 10, (64 << 10) + 1,
					(256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3000000 };
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		autofree char *bytes = pattern(sizes[i]);
		autoclose int fd = file_of(bytes, sizes[i]);
		struct digest expected, d;
		uint64_t size = 1;

		digest_of(slice(bytes, sizes[i]), &expected);
		/* Wherever the descriptor stands. */
		lseek(fd, 1, SEEK_SET);
		assert_int_equal(digest_of_file(fd, h, NULL, &d, &size), 0);
		assert_int_equal(size, sizes[i]);
		assert_true(digest_equal(&d, &expected));
		assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
	}
}

static void a_hole_is_zeros(void **state)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	autofree char *zeros = xcalloc(1, 1000000);
	autoclose int fd = file_of("", 0);
	struct digest expected, d;
	uint64_t size;

	(void)state;
	assert_int_equal(ftruncate(fd, 1000000), 0);
	digest_of(slice(zeros, 1000000), &expected);
	assert_int_equal(digest_of_file(fd, h, NULL, &d, &size), 0);
	assert_int_equal(size, 1000000);
	assert_true(digest_equal(&d, &expected));
}

static void stop_ends_a_file(void **state)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	autoclose int fd = file_of("abc", 3);
	struct digest d = { { 9 } };
	uint64_t size = 77;
	bool stop = true;

	(void)state;
	assert_int_equal(digest_of_file(fd, h, &stop, &d, &size), -EINTR);
	assert_int_equal(size, 77);
	assert_int_equal(d.bytes[0], 9);
	stop = false;
	assert_int_equal(digest_of_file(fd, h, &stop, &d, &size), 0);
	assert_int_equal(size, 3);
	assert_hex(&d, vectors[1].hex);
}

static void errors_leave_results_alone(void **state)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	autoclose int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int writable = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct digest d = { { 9 } };
	uint64_t size = 77;

	(void)state;
	assert_int_equal(digest_of_file(directory, h, NULL, &d, &size), -EISDIR);
	assert_int_equal(digest_of_file(writable, h, NULL, &d, &size), -EBADF);
	assert_int_equal(digest_of_file(-1, h, NULL, &d, &size), -EBADF);
	assert_int_equal(size, 77);
	assert_int_equal(d.bytes[0], 9);
}

static void a_hasher_starts_over(void **state)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	struct digest d;

	(void)state;
	hasher_add(h, "left over", 9);
	hasher_start(h);
	hasher_add(h, "abc", 3);
	hasher_end(h, &d);
	assert_hex(&d, vectors[1].hex);
	hasher_start(h);
	hasher_end(h, &d);
	assert_hex(&d, EMPTY_HEX);
}

/* A hasher given back half-way must not colour the next one; more than are kept must not leak. */
static void reused_hashers_are_fresh(void **state)
{
	struct hasher *many[100];
	struct digest d;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
			many[i] = hasher_new();
			hasher_add(many[i], "abc", 3);
		}
		hasher_end(many[0], &d);
		assert_hex(&d, vectors[1].hex);
		for (size_t i = 0; i < ARRAY_SIZE(many); i++)
			hasher_free(many[i]);
	}
	hasher_free(NULL);
}

static void *hash_many(void *arg)
{
	bool *good = arg;

	*good = true;
	for (int i = 0; i < 2000; i++) {
		struct digest d;
		char hex[DIGEST_HEX_SIZE + 1];
		size_t n = (size_t)i % ARRAY_SIZE(vectors);

		digest_of(slice_str(vectors[n].text), &d);
		digest_to_hex(&d, hex);
		*good = *good && !strcmp(hex, vectors[n].hex);
	}
	return NULL;
}

static void threads_share_hashers(void **state)
{
	pthread_t threads[4];
	bool good[ARRAY_SIZE(threads)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_many, &good[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_true(good[i]);
}

static void hex_there_and_back(void **state)
{
	struct digest d, back;
	char hex[DIGEST_HEX_SIZE + 1];

	(void)state;
	for (unsigned i = 0; i < DIGEST_SIZE; i++)
		d.bytes[i] = (uint8_t)(i * 37 + 200);
	digest_to_hex(&d, hex);
	assert_int_equal(digest_from_hex(slice_str(hex), &back), 0);
	assert_true(digest_equal(&d, &back));
}

static void bad_hex(void **state)
{
	static const char bad[] = { 'g', 'A', 'F', ' ', '\0', '/', ':', '`', '-', '\xff' };
	struct digest d = { { 9 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char hex[] = EMPTY_HEX;

		hex[i * 7] = bad[i];
		assert_int_equal(digest_from_hex(slice(hex, DIGEST_HEX_SIZE), &d), -EINVAL);
	}
	assert_int_equal(digest_from_hex(slice(EMPTY_HEX, 63), &d), -EINVAL);
	assert_int_equal(digest_from_hex(slice_str(EMPTY_HEX "0"), &d), -EINVAL);
	assert_int_equal(digest_from_hex(slice(NULL, 0), &d), -EINVAL);
	assert_int_equal(d.bytes[0], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_vectors),
		cmocka_unit_test(a_million_in_pieces),
		cmocka_unit_test(files_of_every_edge),
		cmocka_unit_test(a_hole_is_zeros),
		cmocka_unit_test(stop_ends_a_file),
		cmocka_unit_test(errors_leave_results_alone),
		cmocka_unit_test(a_hasher_starts_over),
		cmocka_unit_test(reused_hashers_are_fresh),
		cmocka_unit_test(threads_share_hashers),
		cmocka_unit_test(hex_there_and_back),
		cmocka_unit_test(bad_hex),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
