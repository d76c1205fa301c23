/*
 * The contract of core/publish.h, continued: drafts that come, go and get other names while they
 * are being logged, and operations that were counted but are not done yet.
 */
#include "disturb.h"

#define LARGE (BLOB_PACK_MAX + 4096)

/* ---- counted, but not done ---- */

/* mkdir of a name in outputs/, counted as draft `top`'s, that another thread's log overlaps. */
static int log_over_mkdir(struct place *place, uint32_t run, const char *top, const char *name,
			  const char *log)
{
	struct background b = { .place = place, .run = run, .name = log };
	autofree char *path = draft_path(place, run, name);
	struct draft_area *area;

	assert_int_equal(draft_area_get(place->store, run, &area), 0);
	pthread_rwlock_rdlock(&area->lock);
	touch(place, run, top, 0);
	touch(place, run, "", 0);
	background_start(&b);
	await_exclusive(area);
	assert_int_equal(mkdir(path, 0755), 0);
	pthread_rwlock_unlock(&area->lock);
	background_wait(&b);
	draft_area_put(area);
	return b.result;
}

static void a_draft_that_is_being_made_is_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");

	put_file(place, run, "a", "a");
	assert_int_equal(log_over_mkdir(place, run, "new", "new", ""), 0);
	assert_int_equal(count_versions(place, "new"), 1);
	expect_clean(place);
}

static void what_is_being_made_in_a_draft_is_logged(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	AUTO(buf_release) struct buf found = BUF_INIT;

	put_directory(place, run, "d");
	assert_int_equal(log_over_mkdir(place, run, "d", "d/new", "d"), 0);
	assert_int_equal(check_describe(place->store, version_of(place, "d", 0).page, &found), 0);
	assert_non_null(strstr(buf_str(&found), "new"));
	expect_clean(place);
}

static void *close_it_soon(void *fd)
{
	usleep(50000);
	close(*(int *)fd);
	return NULL;
}

/* Open for writing, but by nobody who could write: a change of the size, say. */
static void a_moment_is_awaited(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");
	pthread_t thread;
	int fd;

	put_file(place, run, "m", "m");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pthread_create(&thread, NULL, close_it_soon, &fd), 0);
	assert_int_equal(log_draft(place, run, "m"), 0);
	pthread_join(thread, NULL);
	expect_clean(place);
}

/* ---- other names ---- */

static void hide(struct disturbance *d)
{
	rename_draft(d->place, d->run, "a", ".a");
}

static void what_becomes_scratch_is_not_logged(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, hide, 0 };
	AUTO(buf_release) struct buf name = BUF_INIT;
	uint32_t id;

	put_directory(place, d.run, "a");
	put_large(place, d.run, "a/x", 1, LARGE);
	put_file(place, d.run, "b", "b");
	set_disturbance(place, &d);
	assert_int_equal(finish(place, d.run), 0);
	place->hook.before = NULL;
	assert_int_equal(d.times, 0);
	assert_int_equal(collection_next(place->store, buf_slice(&name), &id, &name), 1);
	assert_string_equal(buf_str(&name), "b");
	assert_int_equal(collection_next(place->store, buf_slice(&name), &id, &name), 0);
	expect_clean(place);
}

static void rename_it(struct disturbance *d)
{
	rename_draft(d->place, d->run, "a", "b");
}

static void a_draft_renamed_meanwhile_has_its_new_name(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, rename_it, 0 };

	put_large(place, d.run, "a", 1, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(finish(place, d.run), 0);
	place->hook.before = NULL;
	assert_int_equal(d.times, 0);
	assert_int_equal(count_versions(place, "a"), -1);
	assert_int_equal(count_versions(place, "b"), 1);
	expect_clean(place);
}

static void a_named_draft_renamed_meanwhile_is_not_there(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, rename_it, 0 };

	put_large(place, d.run, "a", 1, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(log_draft(place, d.run, "a"), -ENOENT);
	expect_log(place, d.run, "error: a: ENOENT: no such draft: a");
	assert_int_equal(d.times, 0);
	place->hook.before = NULL;
	expect_clean(place);
}

/* What is said of a draft is said by the name it had. */
static void a_draft_renamed_before_it_fails(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, rename_it, -ENOSPC };

	put_large(place, d.run, "a", 1, LARGE);
	set_disturbance(place, &d);
	assert_int_equal(finish(place, d.run), -ENOSPC);
	place->hook.before = NULL;
	expect_log(place, d.run, "error: a: ENOSPC: ");
	assert_int_equal(finish(place, d.run), 0);
	assert_int_equal(count_versions(place, "b"), 1);
	expect_clean(place);
}

/* ---- drafts that go ---- */

/* The first batch is put; the second is begun when the last file turns out to be gone. */
static void take_away(struct disturbance *d)
{
	autofree char *a = draft_path(d->place, d->run, "a");
	autofree char *last = draft_path(d->place, d->run, "a/z");
	autofree char *away = xasprintf("%s/away", d->place->directory);

	assert_int_equal(unlink(last), 0);
	assert_int_equal(rename(a, away), 0);
	touch(d->place, d->run, "a", 0);
	touch(d->place, d->run, "", 0);
	/* Or, depending on the order they are listed in, it was read before. */
	touch(d->place, d->run, "b", 0);
}

static int take_away_at_a_large_file(struct blob_hook *hook, enum blob_call call)
{
	return call == BLOB_PUT_FILE ? disturb(hook, call) : 0;
}

static void what_was_held_back_of_a_draft_that_went(void **state)
{
	struct place *place = *state;
	struct disturbance d = { place, make_run(place, "r"), 1, take_away, 0 };

	put_directory(place, d.run, "a");
	for (unsigned i = 0; i < 33; i++) {
		autofree char *name = xasprintf("a/f%02u", i);

		put_large(place, d.run, name, 100 + i, LARGE);
	}
	put_file(place, d.run, "a/z", "z");
	put_file(place, d.run, "b", "b");
	set_disturbance(place, &d);
	place->hook.before = take_away_at_a_large_file;
	assert_int_equal(finish(place, d.run), 0);
	place->hook.before = NULL;
	assert_int_equal(d.times, 0);
	assert_int_equal(count_versions(place, "a"), -1);
	assert_int_equal(count_versions(place, "b"), 1);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(a_draft_that_is_being_made_is_logged),
		EVERYWHERE(what_is_being_made_in_a_draft_is_logged),
		ON(memory, a_moment_is_awaited),
		ON(memory, what_becomes_scratch_is_not_logged),
		ON(mixed, what_becomes_scratch_is_not_logged),
		ON(memory, a_draft_renamed_meanwhile_has_its_new_name),
		ON(mixed, a_draft_renamed_meanwhile_has_its_new_name),
		ON(mixed, a_named_draft_renamed_meanwhile_is_not_there),
		ON(mixed, a_draft_renamed_before_it_fails),
		ON(mixed, what_was_held_back_of_a_draft_that_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
