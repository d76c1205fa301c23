/*
 * The contract of core/alias.h: names that move by hand, what they may be called, whom they may
 * name and who may move them, and what each change leaves in the audit log.
 */
#include "store_place.h"

#include "core/alias.h"
#include "core/event.h"
#include "core/version_note.h"
#include "core/view.h"

#define NAME(s) slice_str(s)

static const struct cred user = { .uid = 1234, .gid = 1234 };

static uint32_t collection_of(struct place *place, const char *name)
{
	AUTO(collection_release) struct collection c = { 0 };

	assert_int_equal(collection_find(place->store, slice_str(name), &c), 0);
	return c.id;
}

/* A collection of two versions, v0 and v1. */
static uint32_t two_versions(struct place *place, const char *name)
{
	autofree char *run_name = xasprintf("makes-%s", name);
	uint32_t run = make_run(place, run_name);

	put_file(place, run, name, "first");
	assert_int_equal(log_draft(place, run, name), 0);
	put_file(place, run, name, "second");
	assert_int_equal(log_draft(place, run, name), 0);
	return collection_of(place, name);
}

static int set_to(struct place *place, const char *collection, uint32_t number, const char *alias)
{
	struct version v = version_of(place, collection, number);

	return alias_set(place->store, v.collection, NAME(alias), v.id, false, &root_cred);
}

/* The number of the version that an alias names, or -errno. */
static int named(struct place *place, uint32_t collection, const char *alias)
{
	struct version v;
	struct alias a;
	int err = alias_find(place->store, collection, NAME(alias), &a);

	if (err == 0)
		err = version_get_by_id(place->store, a.version, &v);
	return err < 0 ? err : (int)v.number;
}

/* All events of aliases so far, one a line: [run] object alias from>to. */
static void read_events(struct place *place, struct buf *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0) {
		AUTO(event_record_release) struct event_record e = { 0 };
		const char *from = "", *to = "", *alias = "";

		assert_int_equal(event_decode(value, &e), 0);
		if (e.kind != EVENT_ALIAS)
			continue;
		for (size_t i = 0; i < e.detail_count; i++) {
			const char *text = e.details[2 * i + 1];

			if (!strcmp(e.details[2 * i], "from"))
				from = text;
			else if (!strcmp(e.details[2 * i], "to"))
				to = text;
			else
				alias = text;
		}
		buf_printf(ret, "%s%s%s %s %s>%s\n", e.run, *e.run ? " " : "", e.object, alias,
			   from, to);
	}
}

static void expect_events(struct place *place, const char *text)
{
	AUTO(buf_release) struct buf all = BUF_INIT;

	read_events(place, &all);
	assert_string_equal(buf_str(&all), text);
}

static void an_alias_is_made_moved_and_removed(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");

	assert_int_equal(named(place, c, "prod"), -ENOENT);
	assert_int_equal(set_to(place, "m", 1, "prod"), 0);
	assert_int_equal(named(place, c, "prod"), 1);
	/* Again is no change. */
	assert_int_equal(set_to(place, "m", 1, "prod"), 0);
	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	assert_int_equal(named(place, c, "prod"), 0);
	expect_clean_now(place);
	assert_int_equal(alias_remove(place->store, c, NAME("prod"), &root_cred), 0);
	assert_int_equal(alias_remove(place->store, c, NAME("prod"), &root_cred), -ENOENT);
	assert_int_equal(named(place, c, "prod"), -ENOENT);
	expect_events(place, "m:v1 prod >v1\n"
			     "m:v0 prod v1>v0\n"
			     "m:v0 prod v0>\n");
	expect_clean(place);
}

static void a_name_that_is_taken_is_kept(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	struct version v = version_of(place, "m", 1);

	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	assert_int_equal(alias_set(place->store, c, NAME("prod"), v.id, true, &root_cred),
			 -EEXIST);
	assert_int_equal(named(place, c, "prod"), 0);
}

static void aliases_get_other_names(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	struct alias before, after;

	assert_int_equal(set_to(place, "m", 0, "a"), 0);
	assert_int_equal(set_to(place, "m", 1, "b"), 0);
	assert_int_equal(alias_find(place->store, c, NAME("a"), &before), 0);
	assert_int_equal(alias_rename(place->store, c, NAME("a"), NAME("b"), true, &root_cred),
			 -EEXIST);
	assert_int_equal(alias_rename(place->store, c, NAME("a"), NAME("a"), false, &root_cred), 0);
	assert_int_equal(alias_rename(place->store, c, NAME("x"), NAME("y"), false, &root_cred),
			 -ENOENT);
	assert_int_equal(alias_rename(place->store, c, NAME("a"), NAME("b"), false, &root_cred), 0);
	assert_int_equal(named(place, c, "a"), -ENOENT);
	assert_int_equal(named(place, c, "b"), 0);
	assert_int_equal(alias_find(place->store, c, NAME("b"), &after), 0);
	assert_int_equal(after.slot, before.slot);
	assert_int_equal(alias_rename(place->store, c, NAME("b"), NAME("c"), true, &root_cred), 0);
	expect_events(place, "m:v0 a >v0\n"
			     "m:v1 b >v1\n"
			     "m:v0 a v0>\n"
			     "m:v0 b v1>v0\n"
			     "m:v0 b v0>\n"
			     "m:v0 c >v0\n");
	/* Onto another name of the same version. */
	assert_int_equal(set_to(place, "m", 0, "d"), 0);
	assert_int_equal(alias_rename(place->store, c, NAME("d"), NAME("c"), false, &root_cred), 0);
	assert_int_equal(named(place, c, "c"), 0);
	expect_clean(place);
}

static void some_names_are_no_aliases(void **state)
{
	static const struct {
		const char *name;
		int err;
	} cases[] = {
		{ "latest", -EPERM },	 { "type", -EEXIST }, { "description", -EEXIST },
		{ "v0", -EINVAL },	 { "v1", -EINVAL },   { "v007", -EINVAL },
		{ "v99999999999999", -EINVAL }, { ".x", -EINVAL }, { "_x", -EINVAL },
		{ "a:b", -EINVAL },	 { "a/b", -EINVAL },  { "", -EINVAL },
		{ "v", 0 },		 { "v1x", 0 },	      { "vv1", 0 }, { "V1", 0 },
	};
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(set_to(place, "m", 0, cases[i].name), cases[i].err);
	assert_int_equal(alias_remove(place->store, c, NAME("latest"), &root_cred), -EPERM);
	assert_int_equal(alias_remove(place->store, c, NAME("v0"), &root_cred), -ENOENT);
	assert_int_equal(alias_rename(place->store, c, NAME("latest"), NAME("b"), false,
				      &root_cred), -EPERM);
	assert_int_equal(alias_rename(place->store, c, NAME("v"), NAME("latest"), false,
				      &root_cred), -EPERM);
	assert_int_equal(alias_rename(place->store, c, NAME("v"), NAME("v3"), false, &root_cred),
			 -EINVAL);
	expect_clean(place);
}

/* What of a removal counts here. */
static int move_to_trash(struct kv_txn *txn, void *arg)
{
	const struct version *v = arg;
	struct version gone = *v;

	gone.removed = 1;
	return version_move(txn, v, &gone);
}

static void only_live_versions_of_the_collection_are_named(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	struct version other, v = version_of(place, "m", 0);

	two_versions(place, "other");
	other = version_of(place, "other", 0);
	assert_int_equal(alias_set(place->store, c, NAME("prod"), other.id, false, &root_cred),
			 -ENOENT);
	assert_int_equal(alias_set(place->store, c, NAME("prod"), 12345, false, &root_cred),
			 -ENOENT);
	assert_int_equal(kv_update(place->store->kv, KV_DURABLE, move_to_trash, &v), 0);
	assert_int_equal(alias_set(place->store, c, NAME("prod"), v.id, false, &root_cred),
			 -ENOENT);
}

/* What removes a version: it has seen no alias, and then somebody sets one. */
static void a_removal_meets_the_alias(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	struct version v = version_of(place, "m", 0);
	struct kv_txn *txn;
	int err;

	assert_int_equal(kv_begin(place->store->kv, KV_WRITE, &txn), 0);
	assert_int_equal(version_read_by_id(txn, v.id, &v), 0);
	assert_int_equal(alias_of_version_any(txn, v.id), 0);
	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	err = move_to_trash(txn, &v);
	if (err == 0)
		err = kv_commit(txn, KV_DURABLE);
	else
		kv_abort(txn);
	assert_int_equal(err, -EAGAIN);
	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(alias_of_version_any(txn, v.id), 1);
	kv_abort(txn);
	assert_int_equal(named(place, c, "prod"), 0);
	expect_clean(place);
}

static void aliases_are_listed(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	AUTO(buf_release) struct buf name = BUF_INIT, all = BUF_INIT, of = BUF_INIT;
	struct version v = version_of(place, "m", 1);
	struct alias a;
	int more;

	assert_int_equal(set_to(place, "m", 0, "zero"), 0);
	assert_int_equal(set_to(place, "m", 1, "best"), 0);
	assert_int_equal(set_to(place, "m", 1, "prod"), 0);
	assert_int_equal(set_to(place, "m", 1, "zz"), 0);
	while ((more = alias_next(place->store, c, buf_slice(&name), &a, &name)) > 0)
		buf_printf(&all, "%s ", buf_str(&name));
	assert_int_equal(more, 0);
	assert_string_equal(buf_str(&all), "best prod zero zz ");
	buf_reset(&name);
	while ((more = alias_of_version_next(place->store, v.id, buf_slice(&name), &name)) > 0)
		buf_printf(&of, "%s ", buf_str(&name));
	assert_int_equal(more, 0);
	assert_string_equal(buf_str(&of), "best prod zz ");
}

static void protected_aliases_are_the_owners(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m");
	struct version v = version_of(place, "m", 0);
	struct cred owner = { .uid = geteuid() };

	place->store->options.protected_aliases = "prod  stable";
	assert_int_equal(alias_set(place->store, c, NAME("prod"), v.id, false, &user), -EPERM);
	assert_int_equal(alias_set(place->store, c, NAME("prod"), v.id, false, &owner), 0);
	assert_int_equal(alias_remove(place->store, c, NAME("prod"), &user), -EPERM);
	assert_int_equal(alias_rename(place->store, c, NAME("prod"), NAME("x"), false, &user),
			 -EPERM);
	assert_int_equal(alias_set(place->store, c, NAME("pro"), v.id, false, &user), 0);
	assert_int_equal(alias_rename(place->store, c, NAME("pro"), NAME("stable"), false, &user),
			 -EPERM);
	assert_int_equal(alias_rename(place->store, c, NAME("pro"), NAME("stable"), false,
				      &root_cred), 0);
	place->store->options.protected_aliases = "";
	assert_int_equal(alias_remove(place->store, c, NAME("stable"), &user), 0);
	expect_clean(place);
}

static int resolved(struct place *place, uint32_t run, const char *target)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct version v;
	int err;

	assert_int_equal(collection_find(place->store, slice_str("m"), &c), 0);
	err = alias_resolve(place->store, run, &c, slice_str(target), &v);
	return err < 0 ? err : (int)v.number;
}

static void targets_are_understood(void **state)
{
	static const struct {
		const char *target;
		int number;
	} cases[] = {
		{ "v0", 0 },
		{ "./v0", 0 },
		{ "v0/", 0 },
		{ "latest", 1 },
		{ "best", 0 },
		{ "m:v0", 0 },
		{ "m:best", 0 },
		{ "../m/v0", 0 },
		{ "../../artifacts/m/v0", 0 },
		{ "/mnt/artifacts/m/v0", 0 },
		{ "/mnt/artifacts/m/v0/files", 0 },
		{ "/mnt/artifacts/m/latest", 1 },
		{ "v2", -ENOENT },
		{ "nothing", -ENOENT },
		{ "m:nothing", -ENOENT },
		{ "../m/v7", -ENOENT },
		{ "other:v0", -EINVAL },
		{ "../other/v0", -EINVAL },
		{ "/mnt/artifacts/other/v0", -EINVAL },
		{ "/mnt/artifacts/m/v0/files/x", -EINVAL },
		{ "v0/files/x", -EINVAL },
		{ "m:latest:v0", -EINVAL },
		{ "m", -ENOENT },
		{ "../m", -EINVAL },
		{ "/etc/passwd", -EINVAL },
		{ "..", -EINVAL },
		{ ".", -EINVAL },
	};
	struct place *place = *state;

	two_versions(place, "m");
	two_versions(place, "other");
	assert_int_equal(set_to(place, "m", 0, "best"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (resolved(place, 0, cases[i].target) != cases[i].number)
			fail_msg("%s: %d, not %d", cases[i].target,
				 resolved(place, 0, cases[i].target), cases[i].number);
}

static void runs_see_one_version_behind_an_alias(void **state)
{
	struct place *place = *state;
	uint32_t c = two_versions(place, "m"), run = make_run(place, "reads");
	AUTO(input_release) struct input in = { 0 };
	struct version v;

	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	assert_int_equal(view_resolve(place->store, run, c, NAME("prod"), &v), 0);
	assert_int_equal(v.number, 0);
	assert_int_equal(set_to(place, "m", 1, "prod"), 0);
	assert_int_equal(view_resolve(place->store, run, c, NAME("prod"), &v), 0);
	assert_int_equal(v.number, 0);
	assert_int_equal(view_resolve(place->store, 0, c, NAME("prod"), &v), 0);
	assert_int_equal(v.number, 1);
	assert_int_equal(resolved(place, run, "prod"), 0);
	assert_int_equal(resolved(place, 0, "prod"), 1);
	assert_int_equal(run_declare_input(place->store, run, NAME("in"), slice_str("m:prod"),
					   &root_cred), 0);
	assert_int_equal(run_input_find(place->store, run, NAME("in"), &in), 0);
	assert_int_equal(in.version, version_of(place, "m", 0).id);
	expect_clean(place);
}

static void slots_are_of_the_whole_store(void **state)
{
	struct place *place = *state;
	uint32_t m = two_versions(place, "m"), other = two_versions(place, "other");
	struct alias a, b;

	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	assert_int_equal(set_to(place, "other", 0, "prod"), 0);
	assert_int_equal(alias_find(place->store, m, NAME("prod"), &a), 0);
	assert_int_equal(alias_find(place->store, other, NAME("prod"), &b), 0);
	assert_int_not_equal(a.slot, b.slot);
	/* A name that comes again is another link. */
	assert_int_equal(alias_remove(place->store, m, NAME("prod"), &root_cred), 0);
	assert_int_equal(set_to(place, "m", 0, "prod"), 0);
	assert_int_equal(alias_find(place->store, m, NAME("prod"), &b), 0);
	assert_int_not_equal(a.slot, b.slot);
	expect_clean(place);
}

/* ---- in the transaction that logs ---- */

static int log_named(struct place *place, uint32_t run, const struct cred *cred,
		     const char *alias, const char *tag)
{
	const struct slice aliases[] = { slice_str(alias), slice_str("second") };
	const struct slice tags[] = { slice_str(tag), slice_str("other") };
	struct publish_request request = {
		.run = run, .cred = cred, .name = slice_str("m"),
		.aliases = aliases, .alias_count = 2, .tags = tags, .tag_count = 2,
	};

	return publish(place->store, &request);
}

static void a_log_gives_names(void **state)
{
	struct place *place = *state;
	uint32_t run = make_run(place, "r"), c;
	struct version v;
	struct tag tag;

	put_file(place, run, "m", "first");
	assert_int_equal(log_named(place, run, &root_cred, "best", "good"), 0);
	c = collection_of(place, "m");
	v = version_of(place, "m", 0);
	assert_int_equal(named(place, c, "best"), 0);
	assert_int_equal(named(place, c, "second"), 0);
	assert_int_equal(version_tag_find(place->store, v.id, NAME("good"), &tag), 0);
	assert_int_equal(version_tag_find(place->store, v.id, NAME("other"), &tag), 0);
	put_file(place, run, "m", "later");
	assert_int_equal(log_named(place, run, &root_cred, "best", "good"), 0);
	assert_int_equal(named(place, c, "best"), 1);
	/* Equal content, of another run and unchanged: the version that has it gets them. */
	run = make_run(place, "again");
	put_file(place, run, "m", "first");
	assert_int_equal(log_named(place, run, &root_cred, "best", "good"), 0);
	assert_int_equal(named(place, c, "best"), 0);
	assert_int_equal(log_named(place, run, &root_cred, "third", "again"), 0);
	assert_int_equal(named(place, c, "third"), 0);
	assert_int_equal(version_tag_find(place->store, v.id, NAME("again"), &tag), 0);
	assert_int_equal(count_versions(place, "m"), 2);
	expect_events(place, "r m:v0 best >v0\n"
			     "r m:v0 second >v0\n"
			     "r m:v1 best v0>v1\n"
			     "r m:v1 second v0>v1\n"
			     "again m:v0 best v1>v0\n"
			     "again m:v0 second v1>v0\n"
			     "again m:v0 third >v0\n");
	expect_clean(place);
}

static void what_cannot_be_a_name_logs_nothing(void **state)
{
	static const struct {
		const char *alias, *tag;
		int err;
		const char *log;
	} cases[] = {
		{ "latest", "t", -EPERM, "error: m: EPERM: moves by itself: alias latest" },
		{ "v7", "t", -EINVAL, "error: m: EINVAL: no alias can be called v7" },
		{ "type", "t", -EINVAL, "error: m: EINVAL: no alias can be called type" },
		{ "a:b", "t", -EINVAL, "no alias can be called a:b" },
		{ "", "t", -EINVAL, "no alias can be called " },
		{ "a", "_t", -EINVAL, "no tag can be called _t" },
		{ "prod", "t", -EPERM, "error: m: EPERM: protected: alias prod" },
	};
	struct place *place = *state;
	uint32_t run = make_run_of(place, "r", user.uid);

	place->store->options.protected_aliases = "x prod";
	put_file(place, run, "m", "text");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(log_named(place, run, &user, cases[i].alias, cases[i].tag),
				 cases[i].err);
		expect_log(place, run, cases[i].log);
		assert_int_equal(count_versions(place, "m"), -1);
	}
	assert_int_equal(log_named(place, run, &root_cred, "prod", "t"), 0);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(an_alias_is_made_moved_and_removed),
		EVERYWHERE(a_name_that_is_taken_is_kept),
		EVERYWHERE(aliases_get_other_names),
		EVERYWHERE(some_names_are_no_aliases),
		EVERYWHERE(only_live_versions_of_the_collection_are_named),
		EVERYWHERE(a_removal_meets_the_alias),
		EVERYWHERE(aliases_are_listed),
		EVERYWHERE(protected_aliases_are_the_owners),
		EVERYWHERE(targets_are_understood),
		EVERYWHERE(runs_see_one_version_behind_an_alias),
		EVERYWHERE(slots_are_of_the_whole_store),
		EVERYWHERE(a_log_gives_names),
		EVERYWHERE(what_cannot_be_a_name_logs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
