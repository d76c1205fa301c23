/*
 * The fault sweep: a run is created, logs, logs again and finishes, while the n-th call of a
 * backend fails, for n = 1, 2, ... until all of it passes without a fault. Whatever happened, the
 * store that is opened afterwards is clean, has everything that was reported, and the rest can be
 * done again.
 */
#include "store_place.h"

#include "core/alias.h"
#include "core/borrow.h"
#include "core/reap.h"
#include "core/removal.h"
#include "core/scan.h"

#define LARGE (BLOB_PACK_MAX + 1000)

enum step { CREATE, LOG_FIRST, LOG_AGAIN, LOG_FILE, BORROW, DECLARE, MOVE_ALIAS, FORGET,
	    FINISH, STEPS };

struct sweep {
	struct place *place;
	uint32_t run;
	unsigned done; /* steps that were reported done */
};

/* ---- the scenario: each step may be done again after it failed ---- */

static int create(struct sweep *s)
{
	return run_create(s->place->store, slice_str("r"), 0, 0, 0755, 0, &s->run);
}

static void replace_large(struct sweep *s, const char *name, unsigned seed)
{
	autofree char *path = draft_path(s->place, s->run, name);

	/* Its inode may be shared with a blob, which only draft_unshare() could write to. */
	unlink(path);
	put_large(s->place, s->run, name, seed, LARGE);
}

static int log_first(struct sweep *s)
{
	autofree char *top = draft_path(s->place, s->run, "d");
	autofree char *sub = draft_path(s->place, s->run, "d/sub");
	autofree char *out = draft_path(s->place, s->run, "d/out");

	mkdir(top, 0755);
	mkdir(sub, 0755);
	put_file(s->place, s->run, "d/a", "first a");
	put_file(s->place, s->run, "d/sub/b", "first b");
	replace_large(s, "d/sub/large", 1);
	(void)!symlink("s3://bucket/key", out);
	return log_draft(s->place, s->run, "d");
}

/* What a log leaves of files that are older than those here: it may be missing, but must go. */
static void know_a_file(struct sweep *s)
{
	struct known_file file = { .ino = 1, .size = 2 };
	struct known_files known = { .files = &file, .count = 1 };

	known_files_save(s->place->store, s->run, "d", &known);
}

static int log_again(struct sweep *s)
{
	put_file(s->place, s->run, "d/a", "second a");
	replace_large(s, "d/sub/large", 2);
	return log_draft(s->place, s->run, "d");
}

static int log_file(struct sweep *s)
{
	replace_large(s, "m", 3);
	return log_draft(s->place, s->run, "m");
}

static int find_large(struct place *place, struct version *ret, struct tree_entry *ret_entry)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = collection_find(place->store, slice_str("d"), &c);

	if (err == 0)
		err = version_get(place->store, c.id, 0, ret);
	return err < 0 ? err : tree_find_path(place->store->kv, ret->page, slice_str("sub/large"),
					      ret_entry);
}

/* A link to a file of a version; where none can be made, a copy. */
static int borrow_large(struct sweep *s)
{
	struct place *place = s->place;
	autofree char *path = draft_path(place, s->run, "linked");
	struct borrowing b = { .mode = 0644 };
	struct tree_entry e = { 0 };
	autoclose int fd = -1;
	struct version v;
	int err = find_large(place, &v, &e);

	mkdir(path, 0755);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (err == 0)
		err = borrow_keep(place->store, s->run, v.id);
	if (err < 0)
		return err;
	b.digest = e.digest;
	b.size = e.size;
	err = borrow_make(place->store, &b, fd, "large");
	if (err == -EXDEV && place->backend == MEMORY)
		replace_large(s, "linked/large", 1);
	else if (err < 0 && err != -EEXIST)
		return err;
	return log_draft(place, s->run, "linked");
}

static int declare(struct sweep *s)
{
	return run_declare_input(s->place->store, s->run, slice_str("in"), slice_str("data:v0"),
				 &root_cred);
}

/* Made, moved, and given another name. */
static int move_alias(struct sweep *s)
{
	struct store *store = s->place->store;
	struct version old, new;
	struct alias a;
	int err = version_find_label(store, "d:v0", &old);

	if (err == 0)
		err = version_find_label(store, "d:v1", &new);
	if (err == 0)
		err = alias_set(store, old.collection, slice_str("x"), old.id, false, &root_cred);
	if (err == 0)
		err = alias_set(store, old.collection, slice_str("x"), new.id, false, &root_cred);
	if (err == 0)
		err = alias_rename(store, old.collection, slice_str("x"), slice_str("prod"), false,
				   &root_cred);
	return err < 0 ? err : alias_find(store, old.collection, slice_str("prod"), &a);
}

static struct version any_version(struct place *place, const char *label)
{
	struct version v = { 0 };

	assert_int_equal(version_find_label(place->store, label, &v), 0);
	return v;
}

/* m:v0 is removed and purged; each part may have been done before. */
static int forget(struct sweep *s)
{
	struct store *store = s->place->store;
	autofree char *draft = draft_path(s->place, s->run, "m");
	struct version v = { 0 };
	int err = version_find_label(store, "m:v0", &v);

	/* The end of the run would log it again. */
	unlink(draft);
	if (err == 0 && !v.removed)
		err = version_remove(store, v.id);
	if (err == 0 && !v.purged)
		err = version_purge(store, v.id);
	if (err == 0)
		err = reap_run(store);
	/* What is durable has all that was before it. */
	return err < 0 ? err : collection_set_text(store, v.collection, COLLECTION_DESCRIPTION,
						   slice_str("gone"));
}

static int finish_all(struct sweep *s)
{
	know_a_file(s);
	put_file(s->place, s->run, "n", "last");
	return finish(s->place, s->run);
}

static int (*const steps[STEPS])(struct sweep *s) = {
	[CREATE] = create,	 [LOG_FIRST] = log_first, [LOG_AGAIN] = log_again,
	[LOG_FILE] = log_file,	 [BORROW] = borrow_large,
	[DECLARE] = declare,	 [MOVE_ALIAS] = move_alias,
	[FORGET] = forget,
	[FINISH] = finish_all,
};

/* Goes on until something fails: 0 or that. */
static int go_on(struct sweep *s)
{
	while (s->done < STEPS) {
		int err = steps[s->done](s);

		if (err < 0)
			return err;
		s->done++;
	}
	return 0;
}

/* ---- what must be true afterwards ---- */

static uint64_t bytes_of(struct place *place, const char *name, uint32_t number)
{
	return version_of(place, name, number).bytes;
}

static void expect_reported(struct sweep *s)
{
	struct place *place = s->place;
	AUTO(run_release) struct run run = { 0 };
	AUTO(input_release) struct input input = { 0 };
	struct alias alias;

	if (s->done > CREATE)
		assert_int_equal(run_get(place->store, s->run, &run), 0);
	if (s->done > LOG_FIRST)
		assert_int_equal(bytes_of(place, "d", 0), LARGE + 14);
	if (s->done > LOG_AGAIN)
		assert_int_equal(bytes_of(place, "d", 1), LARGE + 15);
	if (s->done > LOG_FILE)
		assert_int_equal(any_version(place, "m:v0").bytes, LARGE);
	if (s->done > BORROW)
		assert_int_equal(bytes_of(place, "linked", 0), LARGE);
	if (s->done > DECLARE)
		assert_int_equal(run_input_find(place->store, s->run, slice_str("in"), &input), 0);
	if (s->done > MOVE_ALIAS) {
		struct version v = version_of(place, "d", 1);

		assert_int_equal(alias_find(place->store, v.collection, slice_str("prod"), &alias),
				 0);
		assert_int_equal(alias.version, v.id);
	}
	if (s->done > FORGET)
		assert_true(any_version(place, "m:v0").purged > 0);
	if (s->done > FINISH)
		expect_content(place, "n", 0, "f n 4 last\n");
	assert_int_equal(run.state == RUN_FINISHED, s->done > FINISH);
}

/* Nothing failed in the end, so nothing is there twice. */
static void expect_all(struct sweep *s)
{
	assert_int_equal(s->done, STEPS);
	expect_reported(s);
	assert_int_equal(count_versions(s->place, "d"), 2);
	assert_int_equal(count_versions(s->place, "m"), 0);
	assert_int_equal(count_versions(s->place, "n"), 1);
	assert_int_equal(count_versions(s->place, "linked"), 1);
	expect_clean(s->place);
	expect_reported(s);
}

/* ---- sweeps ---- */

/* Arms the fault at the n-th call from now; n = 0 disarms. */
typedef void arm_fault(struct place *place, uint64_t n);

static void kv_once(struct place *place, uint64_t n)
{
	kv_disk_fail(place->kv_disk, n, -EIO, false);
}

static void kv_forever(struct place *place, uint64_t n)
{
	kv_disk_fail(place->kv_disk, n, -ENOSPC, true);
}

static void blob_once(struct place *place, uint64_t n)
{
	blob_disk_fail(place->blob_disk, n, -ENOSPC, false);
}

static void blob_forever(struct place *place, uint64_t n)
{
	blob_disk_fail(place->blob_disk, n, -EIO, true);
}

static int count_down(struct blob_hook *hook, enum blob_call call)
{
	uint64_t *left = hook->arg;

	(void)call;
	return *left > 0 && --*left == 0 ? -EIO : 0;
}

static uint64_t hook_left;

static void hook_before(struct place *place, uint64_t n)
{
	hook_left = n;
	place->hook.arg = &hook_left;
	place->hook.before = count_down;
}

/* The call does what it is to do, and says that it failed. */
static void hook_after(struct place *place, uint64_t n)
{
	hook_left = n;
	place->hook.arg = &hook_left;
	place->hook.after = count_down;
}

/* What the run declares as its input was there before. */
static void make_data(struct place *place)
{
	uint32_t run = make_run(place, "before");

	put_file(place, run, "data", "data");
	assert_int_equal(log_draft(place, run, "data"), 0);
}

static void begin(struct place *place)
{
	open_store(place);
	make_data(place);
	await_janitor(place);
}

static uint64_t stride(uint64_t n)
{
	const char *wanted = getenv("FAULT_STRIDE");

	return n + (wanted ? strtoull(wanted, NULL, 10) : 1);
}

/* The store goes on after the fault, and is opened again at the end. */
static void sweep_in_place(enum backend backend, arm_fault *arm)
{
	unsigned faults = 0;
	int err = -1;

	log_to_file("/dev/null");
	for (uint64_t n = 1; err < 0; n = stride(n)) {
		struct sweep s = { .place = place_new(backend) };

		begin(s.place);
		arm(s.place, n);
		err = go_on(&s);
		arm(s.place, 0);
		expect_reported(&s);
		assert_int_equal(go_on(&s), 0);
		reopen(s.place);
		expect_all(&s);
		place_free(s.place);
		faults += err < 0;
	}
	assert_true(faults > 3);
}

/* The daemon ends after the fault; with crash, the machine does. */
static void sweep_and_reopen(enum backend backend, arm_fault *arm, bool crash)
{
	unsigned faults = 0;
	int err = -1;

	log_to_file("/dev/null");
	for (uint64_t n = 1; err < 0; n = stride(n)) {
		struct sweep s = { .place = place_new(backend) };

		begin(s.place);
		arm(s.place, n);
		err = go_on(&s);
		if (crash)
			kv_disk_crash(s.place->kv_disk);
		close_store(s.place);
		arm(s.place, 0);
		open_store(s.place);
		expect_clean_now(s.place);
		expect_reported(&s);
		assert_int_equal(go_on(&s), 0);
		/* The janitor may be taking away what the run has borrowed. */
		reopen(s.place);
		expect_all(&s);
		place_free(s.place);
		faults += err < 0;
	}
	assert_true(faults > 3);
}

static void kv_fails_once(void **state)
{
	(void)state;
	sweep_in_place(MEMORY, kv_once);
}

static void kv_fails_for_good(void **state)
{
	(void)state;
	sweep_and_reopen(MEMORY, kv_forever, false);
}

static void kv_fails_once_under_shared_files(void **state)
{
	(void)state;
	sweep_in_place(MIXED, kv_once);
}

static void blobs_fail_once(void **state)
{
	(void)state;
	sweep_in_place(MEMORY, blob_once);
}

static void blobs_fail_for_good(void **state)
{
	(void)state;
	sweep_and_reopen(MEMORY, blob_forever, false);
}

static void shared_blobs_fail(void **state)
{
	(void)state;
	sweep_in_place(MIXED, hook_before);
	sweep_and_reopen(MIXED, hook_before, false);
}

static void shared_blobs_fail_when_done(void **state)
{
	(void)state;
	sweep_in_place(MIXED, hook_after);
	sweep_and_reopen(MIXED, hook_after, false);
}

/* No call succeeds after the n-th, and what was not made durable before it is forgotten. */
static void the_machine_goes_down(void **state)
{
	(void)state;
	sweep_and_reopen(MIXED, kv_forever, true);
}

/* The same, with every commit that has to be tried twice. */
static void conflicts_everywhere(void **state)
{
	struct sweep s = { .place = *state };

	make_data(s.place);
	for (uint64_t k = 2; k < 5; k++) {
		kv_disk_conflict_every(s.place->kv_disk, k);
		s.done = 0;
		assert_int_equal(go_on(&s), 0);
		reopen(s.place);
		expect_all(&s);
		place_free(s.place);
		s.place = place_new(MIXED);
		begin(s.place);
	}
	*state = s.place;
}

/* Recovery is interrupted at every call, and done again. */
static void recovery_fails_too(void **state)
{
	(void)state;
	log_to_file("/dev/null");
	for (uint64_t n = 40; n < 400; n += 60) {
		struct sweep s = { .place = place_new(MIXED) };
		int err = -1;

		begin(s.place);
		kv_forever(s.place, n);
		assert_true(go_on(&s) < 0);
		kv_disk_crash(s.place->kv_disk);
		close_store(s.place);
		for (uint64_t m = 1; err < 0; m++) {
			kv_forever(s.place, m);
			err = try_open(s.place);
			kv_forever(s.place, 0);
		}
		expect_clean_now(s.place);
		expect_reported(&s);
		assert_int_equal(go_on(&s), 0);
		reopen(s.place);
		expect_all(&s);
		place_free(s.place);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kv_fails_once),
		cmocka_unit_test(kv_fails_for_good),
		cmocka_unit_test(kv_fails_once_under_shared_files),
		cmocka_unit_test(blobs_fail_once),
		cmocka_unit_test(blobs_fail_for_good),
		cmocka_unit_test(shared_blobs_fail),
		cmocka_unit_test(shared_blobs_fail_when_done),
		cmocka_unit_test(the_machine_goes_down),
		ON(mixed, conflicts_everywhere),
		cmocka_unit_test(recovery_fails_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
