/*
 * The contract of core/publish.h with so many files that several threads read them (core/ahead.h),
 * and one puts them meanwhile, batch by batch (core/stage.c).
 */
#include "disturb.h"

#include "core/batch.h"

#define DIRECTORIES 2
#define FILES 700 /* of each; more than one batch in all */
#define LARGE_FILES 40
#define LARGE (BLOB_PACK_MAX + 4096)

static char *name_of(int directory, int file)
{
	return xasprintf("m/d%d/f%04d", directory, file);
}

/* Every tenth one is as one of the first directory. */
static char *text_of(int directory, int file)
{
	return file % 10 == 9 ? xasprintf("%d of 0", file - 1) :
				xasprintf("%d of %d", file, directory);
}

static uint32_t make_files(struct place *place, int files)
{
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "m");
	for (int d = 0; d < DIRECTORIES; d++) {
		autofree char *directory = xasprintf("m/d%d", d);

		put_directory(place, run, directory);
		for (int f = 0; f < files; f++) {
			autofree char *name = name_of(d, f), *text = text_of(d, f);

			put_file(place, run, name, text);
		}
	}
	return run;
}

static uint32_t make_many(struct place *place)
{
	return make_files(place, FILES);
}

/* The name is that of a directory of two letters, a slash and that of a file. */
static void expect_file(struct place *place, uint32_t number, const char *name, struct slice bytes)
{
	uint64_t root = version_of(place, "m", number).page;
	struct tree_entry e = { 0 };
	struct digest digest;

	digest_of(bytes, &digest);
	assert_int_equal(tree_find(place->store->kv, root, slice(name, 2), &e), 0);
	assert_int_equal(tree_find(place->store->kv, e.page, slice_str(name + 3), &e), 0);
	assert_int_equal(e.size, bytes.len);
	assert_true(digest_equal(&e.digest, &digest));
}

/* All but the last of the last directory, which is given. */
static void expect_many(struct place *place, uint32_t number, const char *last)
{
	assert_int_equal(version_of(place, "m", number).files, DIRECTORIES * FILES);
	for (int d = 0; d < DIRECTORIES; d++) {
		for (int f = 0; f < FILES; f++) {
			autofree char *name = name_of(d, f), *text = text_of(d, f);
			bool is_last = d == DIRECTORIES - 1 && f == FILES - 1;

			expect_file(place, number, name + strlen("m/"),
				    slice_str(is_last && last ? last : text));
		}
	}
}

static void many_files_are_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_many(place);
	uint64_t before = place->hook.items;

	assert_int_equal(log_draft(place, run, "m"), 0);
	expect_many(place, 0, NULL);
	/* The same bytes are put once, whether they are in a batch that is being put or not. */
	if (place->backend != REAL)
		assert_int_equal(place->hook.items - before, DIRECTORIES * FILES * 9 / 10);
	put_file(place, run, "m/d1/f0699", "another");
	assert_int_equal(log_draft(place, run, "m"), 0);
	expect_many(place, 1, "another");
	expect_clean(place);
}

static void many_large_files_are_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_directory(place, run, "m");
	for (unsigned i = 0; i < LARGE_FILES; i++) {
		autofree char *name = xasprintf("m/f%02u", i);

		put_large(place, run, name, i, LARGE);
	}
	assert_int_equal(finish(place, run), 0);
	assert_int_equal(version_of(place, "m", 0).files, LARGE_FILES);
	assert_int_equal(version_of(place, "m", 0).bytes, LARGE_FILES * (uint64_t)LARGE);
	expect_clean(place);
}

static int fail_first_put(struct blob_hook *hook, enum blob_call call)
{
	return call == BLOB_PUT_PACKED && hook->calls[BLOB_PUT_PACKED] == 1 ? -ENOSPC : 0;
}

/* It is put by another thread, and more was read by then. */
static void a_batch_that_fails_is_a_log_that_fails(void **state)
{
	struct place *place = *state;
	uint32_t run = make_many(place);

	place->hook.before = fail_first_put;
	assert_int_equal(log_draft(place, run, "m"), -ENOSPC);
	assert_int_equal(count_versions(place, "m"), -1);
	place->hook.before = NULL;
	expect_clean_now(place);
	assert_int_equal(log_draft(place, run, "m"), 0);
	expect_many(place, 0, NULL);
	expect_clean(place);
}

static void write_last(struct disturbance *d)
{
	struct stat st;

	stat_draft(d->place, d->run, "m/d1/f0699", &st);
	touch(d->place, d->run, "m", st.st_ino);
	put_file(d->place, d->run, "m/d1/f0699", "written");
}

static void write_first(struct disturbance *d)
{
	struct stat st;

	stat_draft(d->place, d->run, "m/d0/f0000", &st);
	touch(d->place, d->run, "m", st.st_ino);
	put_file(d->place, d->run, "m/d0/f0000", "written too late");
	write_last(d);
}

/* Of what was put already, and of what is not read yet. */
static void a_change_while_batches_are_put_is_seen(void **state)
{
	struct place *place = *state;
	struct disturbance d = { .place = place, .times = 1, .act = write_first };

	d.run = make_many(place);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "m"), 0);
	expect_file(place, 0, "d0/f0000", slice_str("written too late"));
	expect_file(place, 0, "d1/f0699", slice_str("written"));
	expect_clean(place);
}

static bool stopped;

static int stop_at_put(struct blob_hook *hook, enum blob_call call)
{
	(void)hook;
	if (call == BLOB_PUT_PACKED)
		__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
	return 0;
}

/* While the first batch is put the second is read, but not the third. */
static void all_threads_stop(void **state)
{
	struct place *place = *state;
	uint32_t run = make_files(place, 3 * BATCH_BLOBS / DIRECTORIES);
	struct publish_request request = {
		.run = run, .cred = &root_cred, .name = slice_str("m"), .stop = &stopped,
	};

	stopped = false;
	place->hook.before = stop_at_put;
	assert_int_equal(publish(place->store, &request), -EINTR);
	assert_int_equal(count_versions(place, "m"), -1);
	expect_clean(place);
}

/* The file is looked at long before its turn, and once more then. */
static void the_one_that_is_written_is_named(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	struct draft_writer *writer;
	struct draft_area *area;
	struct draft_top *top;
	struct stat st;

	put_directory(place, run, "m");
	for (int i = 0; i < 200; i++) {
		autofree char *name = xasprintf("m/f%04d", i);

		put_file(place, run, name, name);
	}
	stat_draft(place, run, "m/f0150", &st);
	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	top = draft_top_get(area, "m");
	writer = draft_writer_open(top, st.st_ino);
	assert_int_equal(log_draft(place, run, "m"), -EBUSY);
	expect_log(place, run, "open for writing: m/f0150");
	assert_int_equal(area->progress.bytes, 150 * strlen("m/f0000"));
	draft_writer_close(writer);
	assert_int_equal(log_draft(place, run, "m"), 0);
	assert_int_equal(version_of(place, "m", 0).files, 200);
	draft_top_put(top);
	draft_area_put(area);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(many_files_are_logged),
		EVERYWHERE(many_large_files_are_logged),
		ON(memory, a_batch_that_fails_is_a_log_that_fails),
		ON(mixed, a_batch_that_fails_is_a_log_that_fails),
		ON(memory, a_change_while_batches_are_put_is_seen),
		ON(mixed, a_change_while_batches_are_put_is_seen),
		ON(memory, all_threads_stop),
		ON(mixed, all_threads_stop),
		EVERYWHERE(the_one_that_is_written_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
