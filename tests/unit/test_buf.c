/* Buffers, slices and the scope guards of core/base.h. */
#include "core/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void starts_empty(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_slice(&b).len, 0);
	buf_reset(&b);
	buf_add(&b, NULL, 0);
	buf_add_slice(&b, slice(NULL, 0));
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_str(&b), "");
}

static void adds_in_order(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	buf_add(&b, "ab\0c", 4);
	buf_add_char(&b, 'd');
	buf_add_str(&b, "ef");
	buf_add_slice(&b, slice_str("gh"));
	buf_printf(&b, "%d-%s", 42, "i");
	assert_int_equal(b.len, 13);
	assert_memory_equal(b.data, "ab\0cdefgh42-i", 14);
}

static void grows_past_every_capacity(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		buf_add_char(&b, (char)('a' + i % 26));
		assert_true(b.len < b.cap);
		assert_int_equal(b.data[b.len], 0);
	}
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
}

/* Whatever the length, the NUL behind it has its place too. */
static void one_piece_of_every_length(void **state)
{
	char piece[300];

	(void)state;
	memset(piece, 'x', sizeof(piece));
	for (size_t n = 0; n < sizeof(piece); n++) {
		AUTO(buf_release) struct buf b = BUF_INIT;

		buf_add(&b, piece, n);
		assert_true(b.len < b.cap);
		buf_add(&b, piece, n);
		assert_int_equal(b.len, 2 * n);
		assert_true(b.len < b.cap);
		assert_int_equal(strlen(b.data), 2 * n);
	}
}

static void reserve_leaves_len(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	char *to;

	(void)state;
	buf_add_str(&b, "head");
	to = buf_reserve(&b, 1000);
	assert_ptr_equal(to, b.data + 4);
	assert_int_equal(b.len, 4);
	assert_true(b.cap > 1004);
	memset(to, 'x', 1000);
	b.len += 1000;
	buf_add_char(&b, 'y');
	assert_memory_equal(b.data, "headx", 5);
	assert_int_equal(b.data[1004], 'y');
}

static void reset_keeps_memory(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	size_t cap;

	(void)state;
	buf_printf(&b, "%0500d", 7);
	assert_int_equal(b.len, 500);
	cap = b.cap;
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, cap);
	assert_string_equal(buf_str(&b), "");
}

static void printf_of_nothing(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	buf_printf(&b, "%s", "");
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void detach_gives_a_string_away(void **state)
{
	struct buf b = BUF_INIT;
	char *s = buf_detach(&b);

	(void)state;
	assert_string_equal(s, "");
	free(s);
	buf_add_str(&b, "mine");
	s = buf_detach(&b);
	assert_string_equal(s, "mine");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	free(s);
}

static void allocators(void **state)
{
	autofree char *a = xstrndup("abcdef", 3);
	autofree char *b = xasprintf("%s/%u", "v", 12u);
	autofree char *c = xmalloc(0);
	autofree uint32_t *zeros = xcalloc(1000, sizeof(*zeros));
	autofree uint32_t *numbers = NULL;
	size_t cap = 0;

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "v/12");
	assert_non_null(c);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(zeros[i], 0);
	for (size_t i = 0; i < 1000; i++) {
		numbers = xgrow(numbers, &cap, i + 1, sizeof(*numbers));
		assert_true(cap > i);
		numbers[i] = (uint32_t)i;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
}

static void slices_compare_as_memcmp(void **state)
{
	static const char *const sorted[] = { "", "a", "a\x01", "aa", "ab", "b", "\x7f", "\xff" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
			struct slice a = slice_str(sorted[i]), b = slice_str(sorted[j]);
			int c = slice_compare(a, b);

			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
			assert_int_equal(slice_equal(a, b), i == j);
		}
	}
	assert_true(slice_equal(slice(NULL, 0), slice("x", 0)));
	assert_int_equal(slice_compare(slice(NULL, 0), slice("x", 0)), 0);
	assert_true(slice_compare(slice("a\0", 2), slice("a", 1)) > 0);
}

static void slices_start(void **state)
{
	(void)state;
	assert_true(slice_starts(slice_str("artifact"), slice_str("art")));
	assert_true(slice_starts(slice_str("art"), slice_str("art")));
	assert_true(slice_starts(slice(NULL, 0), slice(NULL, 0)));
	assert_false(slice_starts(slice_str("ar"), slice_str("art")));
	assert_false(slice_starts(slice_str("arc"), slice_str("art")));
}

static void open_in_scope(int *ret_number)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	*ret_number = fd;
}

static void guards_run_at_scope_end(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	autofree char *kept = NULL;
	int fd = -1, taken;

	(void)state;
	open_in_scope(&fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	{
		LOCKED(&lock);
		assert_int_equal(pthread_mutex_trylock(&lock), EBUSY);
	}
	assert_int_equal(pthread_mutex_trylock(&lock), 0);
	pthread_mutex_unlock(&lock);
	{
		autofree char *p = xstrdup("stolen");

		kept = steal(p);
		assert_null(p);
	}
	assert_string_equal(kept, "stolen");
	fd = 7;
	taken = steal_fd(&fd);
	assert_int_equal(taken, 7);
	assert_int_equal(fd, -1);
}

static void closing_keeps_errno(void **state)
{
	(void)state;
	errno = ENOSPC;
	{
		autoclose int fd = 1 << 20; /* not open: close says EBADF */

		(void)fd;
	}
	assert_int_equal(errno, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty),
		cmocka_unit_test(adds_in_order),
		cmocka_unit_test(grows_past_every_capacity),
		cmocka_unit_test(one_piece_of_every_length),
		cmocka_unit_test(reserve_leaves_len),
		cmocka_unit_test(reset_keeps_memory),
		cmocka_unit_test(printf_of_nothing),
		cmocka_unit_test(detach_gives_a_string_away),
		cmocka_unit_test(allocators),
		cmocka_unit_test(slices_compare_as_memcmp),
		cmocka_unit_test(slices_start),
		cmocka_unit_test(guards_run_at_scope_end),
		cmocka_unit_test(closing_keeps_errno),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
