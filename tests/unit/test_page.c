/* The contracts of core/page.h and core/tree.h: building directories, finding, listing, walking. */
#include "core/tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/log.h"
#include "tests/fake/kv_mem.h"

/* Where pages go: the store of pages, and a sink that knows them again by their digest. */
struct pages {
	struct kv_disk *disk;
	struct kv *kv;
	uint64_t next;
	unsigned added, found;
	uint64_t fail_at; /* the sink fails then */
};

struct put_page {
	const struct page_built *page;
	uint64_t id;
	bool found;
	struct pages *pages;
};

static int put_page(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf record = BUF_INIT, id = BUF_INIT;
	struct put_page *put = arg;
	int err = kv_get(txn, KV_META, KEY(page_digest(&put->page->digest)), &id);

	put->found = err == 0;
	if (put->found)
		return decode_u64(buf_slice(&id), &put->id);
	put->id = put->pages->next;
	put_digest(&record, &put->page->digest);
	buf_add_slice(&record, put->page->bytes);
	encode_u64(&id, put->id);
	err = kv_put(txn, KV_META, KEY(page(put->id)), buf_slice(&record));
	return err < 0 ? err : kv_put(txn, KV_META, KEY(page_digest(&put->page->digest)),
				      buf_slice(&id));
}

static int sink(void *arg, const struct page_built *page, uint64_t *ret)
{
	struct pages *pages = arg;
	struct put_page put = { .page = page, .pages = pages };
	int err;

	if (pages->fail_at && --pages->fail_at == 0)
		return -ENOSPC;
	err = kv_update(pages->kv, KV_ORDERED, put_page, &put);
	if (err < 0)
		return err;
	if (put.found) {
		pages->found++;
	} else {
		pages->added++;
		pages->next++;
	}
	*ret = put.id;
	return 0;
}

static int setup(void **state)
{
	struct pages *pages = xcalloc(1, sizeof(*pages));

	log_set_level(LOG_LEVEL_ERROR);
	pages->next = 1;
	pages->disk = kv_disk_new();
	*state = pages;
	return kv_mem_open(pages->disk, &pages->kv);
}

static int teardown(void **state)
{
	struct pages *pages = *state;

	kv_close(pages->kv);
	kv_disk_free(pages->disk);
	free(pages);
	return 0;
}

/* ---- directories to build ---- */

struct names {
	char **list;
	size_t count, cap;
};

static void names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

static void add_name(struct names *n, char *name)
{
	n->list = xgrow(n->list, &n->cap, n->count + 1, sizeof(*n->list));
	n->list[n->count++] = name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct names numbered(size_t count)
{
	struct names n = { 0 };

	for (size_t i = 0; i < count; i++)
		add_name(&n, xasprintf("file-%06zu", i * 3));
	return n;
}

/* Long, odd, and with many equal starts. */
static struct names awkward(void)
{
	struct names n = { 0 };
	char longest[256] = "";

	for (size_t i = 1; i < 256; i++) {
		memset(longest, 'a', i);
		longest[i] = '\0';
		add_name(&n, xstrdup(longest));
		longest[i - 1] = (char)i == '/' ? '.' : (char)i;
		if (i != 'a')
			add_name(&n, xstrdup(longest));
	}
	for (size_t i = 0; i < 300; i++) {
		memset(longest, 'b', 255);
		snprintf(longest + 250, 6, "%05zu", i * 7);
		add_name(&n, xstrdup(longest));
	}
	add_name(&n, xstrdup("..."));
	add_name(&n, xstrdup("\n"));
	add_name(&n, xstrdup("\\"));
	qsort(n.list, n.count, sizeof(*n.list), by_name);
	for (size_t i = 1; i < n.count; i++)
		assert_true(strcmp(n.list[i - 1], n.list[i]) < 0);
	return n;
}

static struct page_entry file_entry(const char *name, const char *content)
{
	struct page_entry e = { .type = ENTRY_FILE, .name = slice_str(name), .nodes = 1 };

	e.size = strlen(content);
	e.mtime.tv_sec = (time_t)strlen(name);
	digest_of(slice_str(content), &e.digest);
	return e;
}

struct built {
	uint64_t page, nodes;
	struct digest digest;
};

/* All names as files that hold their own name; changed holds something else. */
static struct built build(struct pages *pages, const struct names *n, const char *changed)
{
	AUTO(page_builder_freep) struct page_builder *b = page_builder_new(sink, pages);
	struct built ret = { 0 };

	for (size_t i = 0; i < n->count; i++) {
		const char *name = n->list[i];
		bool other = changed && !strcmp(name, changed);
		struct page_entry e = file_entry(name, other ? "other" : name);

		assert_int_equal(page_builder_add(b, &e), 0);
	}
	assert_int_equal(page_builder_finish(b, &ret.page, &ret.digest, &ret.nodes), 0);
	return ret;
}

/* Every name is found with its number, and nothing between them. */
static void expect_found(struct pages *pages, const struct names *n, uint64_t page)
{
	for (size_t i = 0; i < n->count; i++) {
		autofree char *longer = xasprintf("%s!", n->list[i]);
		struct tree_entry e = { 0 };
		size_t len = strlen(n->list[i]);

		assert_int_equal(tree_find(pages->kv, page, slice_str(n->list[i]), &e), 0);
		assert_int_equal(e.number, i + 1);
		assert_int_equal(e.size, len);
		assert_int_equal(e.mtime.tv_sec, len);
		if (i + 1 == n->count || strcmp(longer, n->list[i + 1]) != 0)
			assert_int_equal(tree_find(pages->kv, page, slice_str(longer), &e),
					 -ENOENT);
		longer[len] = '\x01';
		assert_int_equal(tree_find(pages->kv, page, slice_str(longer), &e), -ENOENT);
	}
}

static void expect_rest(struct pages *pages, const struct names *n, uint64_t page,
			struct slice after, size_t from, size_t limit)
{
	AUTO(tree_cursor_closep) struct tree_cursor *c = NULL;
	struct page_entry e;
	uint64_t number;

	assert_int_equal(tree_cursor_open(pages->kv, page, after, &c), 0);
	for (size_t i = from; i < n->count && i - from < limit; i++) {
		assert_int_equal(tree_cursor_next(c, &e, &number), 1);
		assert_true(slice_equal(e.name, slice_str(n->list[i])));
		assert_int_equal(number, i + 1);
	}
	if (limit >= n->count - from) {
		assert_int_equal(tree_cursor_next(c, &e, &number), 0);
		assert_int_equal(tree_cursor_next(c, &e, &number), 0);
	}
}

/* From the start, from after every name, and from between the names. */
static void expect_listed(struct pages *pages, const struct names *n, uint64_t page)
{
	expect_rest(pages, n, page, slice("", 0), 0, SIZE_MAX);
	for (size_t i = 0; i < n->count; i++) {
		autofree char *between = xasprintf("%s\x01", n->list[i]);
		size_t limit = i % 97 == 0 ? SIZE_MAX : 3;

		expect_rest(pages, n, page, slice_str(n->list[i]), i + 1, limit);
		if (i + 1 == n->count || strcmp(between, n->list[i + 1]) < 0)
			expect_rest(pages, n, page, slice_str(between), i + 1, limit);
	}
	expect_rest(pages, n, page, slice("\0", 1), 0, 3);
	expect_rest(pages, n, page, slice_str("\xff\xff"), n->count, 3);
}

static void directories_of_all_sizes(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 62, 63, 64, 65, 127, 511, 512, 513, 1000, 5000 };
	struct pages *pages = *state;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		AUTO(names_release) struct names n = numbered(counts[i]);
		struct tree_entry e;
		struct built b = build(pages, &n, NULL);

		assert_int_equal(b.nodes, counts[i]);
		expect_found(pages, &n, b.page);
		expect_listed(pages, &n, b.page);
		assert_int_equal(tree_find(pages->kv, b.page, slice("", 0), &e), -ENOENT);
		assert_int_equal(tree_find(pages->kv, b.page, slice_str("A"), &e), -ENOENT);
		assert_int_equal(tree_find(pages->kv, b.page, slice_str("z"), &e), -ENOENT);
	}
}

static void awkward_names(void **state)
{
	AUTO(names_release) struct names n = awkward();
	struct pages *pages = *state;
	struct built b = build(pages, &n, NULL);

	expect_found(pages, &n, b.page);
	expect_listed(pages, &n, b.page);
}

static unsigned level_of(struct pages *pages, uint64_t page)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct page_reader r;

	assert_int_equal(kv_get_one(pages->kv, KV_META, KEY(page(page)), &record), 0);
	assert_int_equal(page_reader_of_record(&r, buf_slice(&record)), 0);
	return r.level;
}

/* A change of one entry makes a page a level: all others are shared. */
static void one_change_shares_the_rest(void **state)
{
	AUTO(names_release) struct names n = numbered(5000);
	struct pages *pages = *state;
	struct built before = build(pages, &n, NULL);
	unsigned levels = level_of(pages, before.page) + 1;

	assert_true(levels >= 2 && pages->added > 50);
	for (size_t i = 0; i < n.count; i += 311) {
		struct built after;

		pages->added = 0;
		after = build(pages, &n, n.list[i]);
		assert_true(pages->added >= 1 && pages->added <= levels);
		assert_false(digest_equal(&before.digest, &after.digest));
		expect_rest(pages, &n, after.page, slice("", 0), 0, SIZE_MAX);
	}
	pages->added = 0;
	assert_int_equal(build(pages, &n, NULL).page, before.page);
	assert_int_equal(pages->added, 0);
}

/* An entry that comes or goes moves at most the cuts beside it. */
static void an_entry_more_or_less_shares_the_rest(void **state)
{
	struct pages *pages = *state;
	AUTO(names_release) struct names all = numbered(5000);
	struct built whole = build(pages, &all, NULL);
	unsigned levels = level_of(pages, whole.page) + 1;

	for (size_t i = 0; i < all.count; i += 257) {
		struct names less = { xmalloc(all.count * sizeof(char *)), all.count - 1, 0 };
		struct built b;

		memcpy(less.list, all.list, i * sizeof(char *));
		memcpy(less.list + i, all.list + i + 1, (all.count - i - 1) * sizeof(char *));
		pages->added = 0;
		b = build(pages, &less, NULL);
		assert_true(pages->added >= 1 && pages->added <= 3 * levels);
		assert_int_equal(b.nodes, all.count - 1);
		free(less.list);
	}
}

static struct digest digest_of_entry(struct pages *pages, const struct page_entry *e)
{
	AUTO(page_builder_freep) struct page_builder *b = page_builder_new(sink, pages);
	struct built ret = { 0 };

	assert_int_equal(page_builder_add(b, e), 0);
	assert_int_equal(page_builder_finish(b, &ret.page, &ret.digest, &ret.nodes), 0);
	return ret.digest;
}

static void the_digest_is_of_names_types_and_contents(void **state)
{
	struct pages *pages = *state;
	struct page_entry e = file_entry("name", "content"), other = e;
	struct digest digest = digest_of_entry(pages, &e), d;

	other.mtime = (struct timespec){ 99, 99 };
	d = digest_of_entry(pages, &other);
	assert_true(digest_equal(&d, &digest));

	other = e;
	other.executable = true;
	d = digest_of_entry(pages, &other);
	assert_false(digest_equal(&d, &digest));

	other = file_entry("name", "Content");
	d = digest_of_entry(pages, &other);
	assert_false(digest_equal(&d, &digest));

	other = file_entry("Name", "content");
	d = digest_of_entry(pages, &other);
	assert_false(digest_equal(&d, &digest));

	other = e;
	other.type = ENTRY_LINK;
	other.target = slice_str("content");
	d = digest_of_entry(pages, &other);
	assert_false(digest_equal(&d, &digest));

	other = e;
	other.type = ENTRY_DIRECTORY;
	d = digest_of_entry(pages, &other);
	assert_false(digest_equal(&d, &digest));
}

/* The digest is a part of the format: it may never change by accident. */
static void digests_stay_what_they_are(void **state)
{
	AUTO(names_release) struct names none = numbered(0), some = numbered(1000);
	char hex[DIGEST_HEX_SIZE + 1];
	struct pages *pages = *state;
	struct built b = build(pages, &none, NULL);

	digest_to_hex(&b.digest, hex);
	assert_string_equal(hex,
			    "9b02da2bcbd3bca39b721595026d07fa595137086ad9931a27f57a818bd902ae");
	b = build(pages, &some, NULL);
	digest_to_hex(&b.digest, hex);
	assert_string_equal(hex,
			    "fcdf034e50f04000cd3e5267faa97ac5566fba1a8320d623103f1e1fdcc53b64");
}

static void a_sink_that_fails_ends_it(void **state)
{
	AUTO(names_release) struct names n = numbered(5000);
	struct pages *pages = *state;
	int failures = 0;

	for (uint64_t at = 1;; at++) {
		AUTO(page_builder_freep) struct page_builder *b = page_builder_new(sink, pages);
		struct built ret = { 0 };
		int err = 0;

		pages->fail_at = at;
		for (size_t i = 0; err == 0 && i < n.count; i++) {
			struct page_entry e = file_entry(n.list[i], "x");

			err = page_builder_add(b, &e);
		}
		if (err == 0)
			err = page_builder_finish(b, &ret.page, &ret.digest, &ret.nodes);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOSPC);
		failures++;
	}
	assert_true(failures > 50);
}

static void pages_that_are_none_are_refused(void **state)
{
	AUTO(names_release) struct names n = numbered(300);
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct pages *pages = *state;
	struct page_reader r;
	struct page_entry e;
	struct page_child child;
	uint64_t page = build(pages, &n, NULL).page;

	assert_int_equal(kv_get_one(pages->kv, KV_META, KEY(page(page)), &record), 0);
	for (size_t len = 0; len < record.len; len++) {
		autofree char *copy = xmalloc(len + 1);
		int more = 1;

		memcpy(copy, record.data, len);
		if (page_reader_of_record(&r, slice(copy, len)) < 0)
			continue;
		while (more > 0)
			more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		assert_int_equal(more, -EIO);
	}
	/* Flipped: whatever it says then, nothing is read outside and the reading ends. */
	for (size_t bit = DIGEST_SIZE * 8; bit < record.len * 8; bit++) {
		autofree char *copy = xmalloc(record.len);
		int more = 1;

		memcpy(copy, record.data, record.len);
		copy[bit / 8] ^= (char)(1 << bit % 8);
		if (page_reader_of_record(&r, slice(copy, record.len)) < 0)
			continue;
		while (more > 0)
			more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e);
		assert_true(more == 0 || more == -EIO);
	}
}

static void a_missing_page_is_an_error(void **state)
{
	struct pages *pages = *state;
	struct tree_cursor *c = NULL;
	struct tree_entry e;

	log_to_file("/dev/null");
	assert_int_equal(tree_find(pages->kv, 4711, slice_str("x"), &e), -EIO);
	assert_int_equal(tree_cursor_open(pages->kv, 4711, slice("", 0), &c), -EIO);
	assert_null(c);
}

/* ---- nested trees ---- */

/* Directories of three levels, some empty, with files and links between them. */
static struct page_entry nested(struct pages *pages, unsigned depth, const char *name,
				unsigned width)
{
	AUTO(page_builder_freep) struct page_builder *b = page_builder_new(sink, pages);
	struct page_entry ret = { .type = ENTRY_DIRECTORY, .name = slice_str(name) };

	for (unsigned i = 0; depth > 0 && i < width; i++) {
		autofree char *child = xasprintf("%03u", i);
		struct page_entry e = file_entry(child, name);

		e.executable = i % 7 == 0;
		if (i % 5 == 1)
			e = nested(pages, depth - 1, child, width - i % 3);
		if (i % 5 == 2) {
			e.type = ENTRY_LINK;
			e.executable = false;
			e.target = slice_str("../there");
			e.size = e.target.len;
			digest_of(e.target, &e.digest);
		}
		assert_int_equal(page_builder_add(b, &e), 0);
	}
	assert_int_equal(page_builder_finish(b, &ret.page, &ret.digest, &ret.nodes), 0);
	ret.nodes++;
	return ret;
}

struct seen {
	struct pages *pages;
	uint64_t root;
	bool *numbers;
	uint64_t count, nodes;
};

/* The number of a path below the root, the root being 0. */
static uint64_t number_of(struct pages *pages, uint64_t page, struct slice path)
{
	const char *at = path.data, *end = at + path.len;
	uint64_t number = 0;

	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		struct tree_entry e = { 0 };

		assert_int_equal(tree_find(pages->kv, page,
					   slice(at, (size_t)((slash ? slash : end) - at)), &e), 0);
		tree_entry_release(&e);
		number += e.number;
		if (!slash)
			return number;
		page = e.page;
		at = slash + 1;
	}
}

static int see(void *arg, struct slice path, const struct page_entry *entry)
{
	struct seen *s = arg;
	struct tree_entry e = { 0 };
	uint64_t number = number_of(s->pages, s->root, path);

	/* Numbers go up in the order of a walk, so none is used twice and none is left out. */
	assert_int_equal(number, ++s->count);
	assert_true(number < s->nodes && !s->numbers[number]);
	s->numbers[number] = true;
	assert_int_equal(tree_find_path(s->pages->kv, s->root, path, &e), 0);
	assert_int_equal(e.type, entry->type);
	assert_int_equal(e.executable, entry->executable);
	assert_int_equal(e.nodes, entry->nodes);
	assert_int_equal(e.size, entry->size);
	if (e.type == ENTRY_LINK)
		assert_string_equal(e.target, "../there");
	else
		assert_null(e.target);
	tree_entry_release(&e);
	return 0;
}

static void numbers_are_unique_over_a_tree(void **state)
{
	struct pages *pages = *state;
	struct page_entry root = nested(pages, 3, "top", 40);
	struct seen seen = { .pages = pages, .root = root.page, .nodes = root.nodes };

	seen.numbers = xcalloc(root.nodes, sizeof(bool));
	assert_int_equal(tree_walk(pages->kv, root.page, see, &seen), 0);
	assert_int_equal(seen.count, root.nodes - 1);
	assert_true(root.nodes > 1000);
	free(seen.numbers);
}

static int stop_at_third(void *arg, struct slice path, const struct page_entry *entry)
{
	(void)path, (void)entry;
	return ++*(int *)arg == 3 ? 42 : 0;
}

static void a_walk_ends_when_told(void **state)
{
	struct pages *pages = *state;
	struct page_entry root = nested(pages, 2, "top", 10);
	int n = 0;

	assert_int_equal(tree_walk(pages->kv, root.page, stop_at_third, &n), 42);
	assert_int_equal(n, 3);
}

static void paths(void **state)
{
	struct pages *pages = *state;
	struct page_entry root = nested(pages, 2, "top", 10);
	struct tree_entry e = { 0 };

	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("001/003"), &e), 0);
	assert_int_equal(e.type, ENTRY_FILE);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("001//003"), &e), 0);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("001"), &e), 0);
	assert_int_equal(e.type, ENTRY_DIRECTORY);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("000/x"), &e), -ENOTDIR);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("002/x"), &e), -ENOTDIR);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("001/x"), &e), -ENOENT);
	assert_int_equal(tree_find_path(pages->kv, root.page, slice_str("x/001"), &e), -ENOENT);
}

/* ---- SHA256SUMS ---- */

static const char *const odd_names[] = {
	" two  spaces", "*star", "-dash", "\\", "a\\n", "back\\slash", "carriage\rreturn",
	"caf\xc3\xa9",
	"new\nline", "quote'\"", "tab\there", "\xff\xfe",
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void write_file(int directory, const char *name)
{
	autoclose int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), (ssize_t)strlen(name));
}

/* In the order of the names: what sha256sum prints for the files in a directory. */
static void read_real(const char *directory, const struct names *n, struct buf *ret)
{
	AUTO(buf_release) struct buf list = BUF_INIT;
	autofree char *command = NULL;
	char block[4096];
	size_t got;
	FILE *f;

	for (size_t i = 0; i < n->count; i++)
		buf_add(&list, n->list[i], strlen(n->list[i]) + 1);
	command = xasprintf("%s.list", directory);
	f = fopen(command, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(list.data, 1, list.len, f), list.len);
	assert_int_equal(fclose(f), 0);
	free(command);
	command = xasprintf("cd %s && xargs -0 sha256sum -- <%s.list", directory, directory);
	f = popen(command, "r");
	assert_non_null(f);
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(ret, block, got);
	assert_int_equal(pclose(f), 0);
}

static void sums_are_what_sha256sum_prints(void **state)
{
	AUTO(names_release) struct names n = { 0 };
	AUTO(buf_release) struct buf sums = BUF_INIT, real = BUF_INIT;
	char directory[] = "/tmp/test_page.XXXXXX";
	autofree char *list = NULL;
	struct pages *pages = *state;
	uint64_t length = 0;
	struct built b;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(odd_names); i++)
		add_name(&n, xstrdup(odd_names[i]));
	qsort(n.list, n.count, sizeof(*n.list), by_name);
	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < n.count; i++) {
		write_file(fd, n.list[i]);
		length += tree_sums_length(slice_str(n.list[i]));
	}
	close(fd);
	b = build(pages, &n, NULL);
	assert_int_equal(tree_sums(pages->kv, b.page, &sums), 0);
	read_real(directory, &n, &real);
	assert_string_equal(buf_str(&sums), buf_str(&real));
	assert_int_equal(sums.len, length);
	list = xasprintf("%s.list", directory);
	unlink(list);
	assert_int_equal(nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(directories_of_all_sizes),
		TEST(awkward_names),
		TEST(one_change_shares_the_rest),
		TEST(an_entry_more_or_less_shares_the_rest),
		TEST(the_digest_is_of_names_types_and_contents),
		TEST(digests_stay_what_they_are),
		TEST(a_sink_that_fails_ends_it),
		TEST(pages_that_are_none_are_refused),
		TEST(a_missing_page_is_an_error),
		TEST(numbers_are_unique_over_a_tree),
		TEST(a_walk_ends_when_told),
		TEST(paths),
		TEST(sums_are_what_sha256sum_prints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
