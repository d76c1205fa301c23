/* What each backend of core/kv.h promises beyond the contract, and that they agree. */
#include <sys/wait.h>

#include "kv_place.h"

/* ---- both at random against each other ---- */

static void random_key(unsigned int *seed, char ret[static 8])
{
	static const char alphabet[] = "ab\xff";
	int i, len = rand_r(seed) % 4;

	for (i = 0; i < len; i++)
		ret[i] = alphabet[rand_r(seed) % 3];
	ret[len] = '\0';
}

static void dump(struct kv_txn *txn, const char *prefix, const char *from, struct buf *ret)
{
	struct slice key, value;
	struct kv_scan *scan;

	assert_int_equal(kv_scan(txn, KV_META, slice_str(prefix), slice_str(from), &scan), 0);
	while (kv_next(scan, &key, &value) == 1) {
		buf_add_slice(ret, key);
		buf_add_char(ret, '=');
		buf_add_slice(ret, value);
		buf_add_char(ret, ' ');
	}
	kv_done(scan);
}

static void expect_same(struct kv_txn *a, struct kv_txn *b, unsigned int *seed)
{
	AUTO(buf_release) struct buf in_a = BUF_INIT;
	AUTO(buf_release) struct buf in_b = BUF_INIT;
	char prefix[8], from[8];

	random_key(seed, prefix);
	random_key(seed, from);
	dump(a, prefix, from, &in_a);
	dump(b, prefix, from, &in_b);
	assert_string_equal(buf_str(&in_a), buf_str(&in_b));
}

/* Three transactions of each store, interleaved; whatever one does, the other does too. */
static void agrees_with_the_fake_at_random(void **state)
{
	struct place model = { .backend = &memory };
	struct kv_txn *ours[3] = { NULL }, *theirs[3] = { NULL };
	unsigned int seed = 20240607;
	char key[8], value[16];
	int step, i;

	memory.make(&model);
	assert_int_equal(memory.open(&model, &model.kv), 0);
	for (step = 0; step < 20000; step++) {
		i = rand_r(&seed) % 3;
		if (!ours[i]) {
			ours[i] = begin(*state, KV_WRITE);
			theirs[i] = begin(&model, KV_WRITE);
		}
		random_key(&seed, key);
		snprintf(value, sizeof(value), "%d", step);
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			put(ours[i], key, value);
			put(theirs[i], key, value);
			break;
		case 2:
			del(ours[i], key);
			del(theirs[i], key);
			break;
		case 3:
			assert_int_equal(kv_has(ours[i], KV_META, slice_str(key)),
					 kv_has(theirs[i], KV_META, slice_str(key)));
			break;
		case 4:
		case 5:
		case 6:
			expect_same(ours[i], theirs[i], &seed);
			break;
		default:
			assert_int_equal(kv_commit(steal(ours[i]), KV_ORDERED),
					 kv_commit(steal(theirs[i]), KV_ORDERED));
		}
	}
	for (i = 0; i < 3; i++) {
		kv_abortp(&ours[i]);
		kv_abortp(&theirs[i]);
	}
	kv_close(model.kv);
	memory.drop(&model);
}

/* ---- the fake's own promises ---- */

static void the_fake_fails_when_told(void **state)
{
	struct place *place = *state;
	struct kv_disk *disk = place->disk;
	struct tries tries = { 0 };
	uint64_t calls;

	calls = kv_disk_calls(disk);
	put_one(place, "a", "1"); /* begin, put, commit */
	assert_int_equal(kv_disk_calls(disk) - calls, 3);
	for (calls = 1; calls <= 3; calls++) {
		tries = (struct tries){ 0 };
		kv_disk_fail(disk, calls, -ENOSPC, true);
		if (calls == 2) {
			struct kv_txn *txn = begin(place, KV_WRITE);

			assert_int_equal(kv_put(txn, KV_META, slice_str("k"), slice_str("1")),
					 -ENOSPC);
			kv_abort(txn);
		} else {
			assert_int_equal(kv_update(place->kv, KV_ORDERED, put_and_say, &tries),
					 -ENOSPC);
		}
		kv_disk_fail(disk, 0, 0, false);
		expect_one(place, "k", NULL);
	}
	kv_disk_conflict_every(disk, 2);
	tries = (struct tries){ 0 };
	assert_int_equal(kv_update(place->kv, KV_ORDERED, put_and_say, &tries), 0);
	assert_int_equal(kv_update(place->kv, KV_ORDERED, put_and_say, &tries), 0);
	assert_int_equal(tries.n, 3);
}

static void the_fake_forgets_in_a_crash(void **state)
{
	struct place *place = *state;
	struct kv_txn *txn, *open;
	struct kv_txn *none = NULL;

	put_one(place, "a", "ordered");
	txn = begin(place, KV_WRITE);
	put(txn, "b", "durable");
	assert_int_equal(kv_commit(txn, KV_DURABLE), 0);
	put_one(place, "a", "lost");
	put_one(place, "c", "lost");
	open = begin(place, KV_WRITE);
	put(open, "d", "lost");
	kv_disk_crash(place->disk);
	assert_int_equal(kv_commit(open, KV_DURABLE), -EIO);
	assert_int_equal(kv_begin(place->kv, KV_READ, &none), -EIO);
	reopen(place);
	txn = begin(place, KV_READ);
	expect_scan(txn, "", "", "a=ordered b=durable");
	kv_abort(txn);
}

/* ---- RocksDB's own ---- */

/* Runs before the parent has ever opened RocksDB, whose threads a fork would leave behind. */
static void ordered_commits_survive_the_process(void **state)
{
	struct place place = { .backend = &rocks };
	pid_t child;
	int status;

	(void)state;
	make_directory(&place);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (open_directory(&place, &place.kv) < 0)
			_exit(1);
		put_one(&place, "a", "1");
		put_one(&place, "b", "1");
		begin(&place, KV_WRITE);
		_exit(7);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(open_directory(&place, &place.kv), 0);
	expect_one(&place, "a", "1");
	expect_one(&place, "b", "1");
	kv_close(place.kv);
	drop_directory(&place);
}

static void write_text(const char *directory, const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s", directory, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void what_is_no_database_is_refused(void **state)
{
	struct place *place = *state;
	struct kv *kv = NULL;
	struct place other;
	autofree char *missing = NULL;

	make_directory(&other);
	write_text(other.directory, "file", "");
	assert_int_equal(kv_rocks_open(other.directory, false, CACHE_BYTES, &kv), -EINVAL);
	missing = xasprintf("%s/missing", other.directory);
	assert_int_equal(kv_rocks_open(missing, false, CACHE_BYTES, &kv), -ENOENT);
	missing[strlen(missing) - strlen("missing")] = '\0';
	strncat(missing, "file", 5);
	assert_int_equal(kv_rocks_open(missing, true, CACHE_BYTES, &kv), -ENOTDIR);
	assert_int_equal(unlink(missing), 0);
	assert_int_equal(rmdir(other.directory), 0); /* nothing was left in it */
	free(other.directory);

	kv_close(steal(place->kv));
	write_text(place->directory, "CURRENT", "nonsense");
	assert_int_equal(kv_rocks_open(place->directory, true, CACHE_BYTES, &kv), -EINVAL);
	assert_null(kv);
}

static void a_relative_directory_stays_what_it_was(void **state)
{
	struct place *place = *state;
	autoclose int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(buf_release) struct buf large = BUF_INIT;
	struct kv_txn *txn;
	char key[16];
	int i;

	assert_true(here >= 0);
	kv_close(steal(place->kv));
	assert_int_equal(chdir("/tmp"), 0);
	assert_int_equal(kv_rocks_open(place->directory + strlen("/tmp/"), true, CACHE_BYTES,
				       &place->kv),
			 0);
	assert_int_equal(chdir("/"), 0);
	/* Enough for files that are opened only now. */
	memset(buf_reserve(&large, 1u << 20), 'x', 1u << 20);
	large.len = 1u << 20;
	for (i = 0; i < 80; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		txn = begin(place, KV_WRITE);
		assert_int_equal(kv_put(txn, KV_META, slice_str(key), buf_slice(&large)), 0);
		commit(txn);
	}
	reopen(place);
	assert_int_equal(fchdir(here), 0);
	expect_one(place, "nothing", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordered_commits_survive_the_process),
		ON(memory, the_fake_fails_when_told),
		ON(memory, the_fake_forgets_in_a_crash),
		ON(rocks, agrees_with_the_fake_at_random),
		ON(rocks, what_is_no_database_is_refused),
		ON(rocks, a_relative_directory_stays_what_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
