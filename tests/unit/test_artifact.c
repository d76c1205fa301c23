/* The contract of core/artifact.h. */
#include "store_place.h"

static uint32_t make_collection(struct place *place, const char *name, uid_t uid, mode_t mode)
{
	uint32_t id = 0;

	assert_int_equal(collection_create(place->store, slice_str(name), uid, uid, mode, &id), 0);
	return id;
}

static bool in_group_40(const struct cred *cred, gid_t gid)
{
	(void)cred;
	return gid == 40;
}

static void modes_decide(void **state)
{
	struct cred owner = { .uid = 10, .gid = 20 };
	struct cred member = { .uid = 11, .gid = 20 };
	struct cred other = { .uid = 11, .gid = 21 };
	struct cred second = { .uid = 11, .gid = 21, .in_group = in_group_40 };

	(void)state;
	assert_true(cred_may(&root_cred, 10, 20, 0, 7));
	assert_true(cred_may(&owner, 10, 20, 0700, 7));
	assert_true(cred_may(&member, 10, 20, 0040, 4));
	assert_true(cred_may(&other, 10, 20, 0002, 2));
	assert_true(cred_may(&second, 10, 40, 0020, 2));
	/* The first class that fits decides, even when a later one would allow it. */
	assert_false(cred_may(&owner, 10, 20, 0077, 4));
	assert_false(cred_may(&member, 10, 20, 0707, 4));
	assert_false(cred_may(&second, 10, 40, 0707, 2));
	assert_false(cred_may(&other, 10, 20, 0770, 4));
	/* All of what is wanted. */
	assert_false(cred_may(&other, 10, 20, 0004, 6));
}

static void collections_come_and_go(void **state)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct place *place = *state;
	uint32_t id = make_collection(place, "mnist", 1000, 01755), again = 7;

	assert_int_equal(collection_find(place->store, slice_str("mnist"), &c), 0);
	assert_int_equal(c.id, id);
	assert_string_equal(c.name, "mnist");
	assert_string_equal(c.type, "");
	assert_true(c.uid == 1000 && c.gid == 1000 && c.mode == 0755 && c.latest == -1);
	assert_int_equal(collection_create(place->store, slice_str("mnist"), 0, 0, 0755, &again),
			 -EEXIST);
	assert_int_equal(collection_create(place->store, slice_str(".mnist"), 0, 0, 0755, &again),
			 -EINVAL);
	assert_int_equal(again, 7);
	reopen(place);
	assert_int_equal(collection_remove(place->store, slice_str("mnist")), 0);
	assert_int_equal(collection_remove(place->store, slice_str("mnist")), -ENOENT);
	collection_release(&c);
	assert_int_equal(collection_find(place->store, slice_str("mnist"), &c), -ENOENT);
	assert_int_equal(collection_get(place->store, id, &c), -ENOENT);
	assert_int_equal(collection_find(place->store, slice_str(""), &c), -ENOENT);
	/* A number is never used twice. */
	assert_true(make_collection(place, "mnist", 0, 0755) > id);
	expect_clean(place);
}

static void collections_are_listed_in_order(void **state)
{
	static const char *const names[] = { "a", "a-1", "ab", "b", "latest", "z" };
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct place *place = *state;
	uint32_t id;

	assert_int_equal(collection_next(place->store, slice("", 0), &id, &name), 0);
	for (size_t i = ARRAY_SIZE(names); i-- > 0;)
		make_collection(place, names[i], 0, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *after = xstrdup(buf_str(&name));

		assert_int_equal(collection_next(place->store, slice_str(after), &id, &name), 1);
		assert_string_equal(buf_str(&name), names[i]);
	}
	assert_int_equal(collection_next(place->store, slice_str("z"), &id, &name), 0);
	/* After a name that is not there, or not any more. */
	assert_int_equal(collection_next(place->store, slice_str("aa"), &id, &name), 1);
	assert_string_equal(buf_str(&name), "ab");
}

static void texts_are_checked(void **state)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct place *place = *state;
	struct store *store = place->store;
	autofree char *long_text = xcalloc(1, 65537 + 1);
	uint32_t id = make_collection(place, "mnist", 0, 0755);

	memset(long_text, 'x', 65537);
	assert_int_equal(collection_set_text(store, id, COLLECTION_TYPE,
					     slice_str("dataset\n")), 0);
	assert_int_equal(collection_set_text(store, id, COLLECTION_TYPE, slice_str("data set")),
			 -EINVAL);
	assert_int_equal(collection_set_text(store, id, COLLECTION_DESCRIPTION,
					     slice_str("two\nlines\n\n")), 0);
	assert_int_equal(collection_set_text(store, id, COLLECTION_DESCRIPTION,
					     slice(long_text, 65537)), -EFBIG);
	assert_int_equal(collection_set_text(store, id, COLLECTION_DESCRIPTION, slice("a\0b", 3)),
			 -EINVAL);
	assert_int_equal(collection_set_text(store, 99, COLLECTION_TYPE, slice_str("x")), -ENOENT);
	assert_int_equal(collection_get(store, id, &c), 0);
	assert_string_equal(c.type, "dataset");
	assert_string_equal(c.description, "two\nlines\n");
	collection_release(&c);
	assert_int_equal(collection_set_text(store, id, COLLECTION_DESCRIPTION, slice("", 0)), 0);
	assert_int_equal(collection_set_text(store, id, COLLECTION_TYPE, slice_str("\n")), 0);
	assert_int_equal(collection_set_text(store, id, COLLECTION_DESCRIPTION,
					     slice(long_text, 65536)), 0);
	assert_int_equal(collection_get(store, id, &c), 0);
	assert_string_equal(c.type, "");
	assert_int_equal(strlen(c.description), 65536);
}

static void owners_change(void **state)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct place *place = *state;
	uint32_t id = make_collection(place, "mnist", 1, 0755);

	assert_int_equal(collection_set_owner(place->store, id, (uid_t)-1, 5, (mode_t)-1), 0);
	assert_int_equal(collection_set_owner(place->store, id, (uid_t)-1, (gid_t)-1, 0107770), 0);
	assert_int_equal(collection_get(place->store, id, &c), 0);
	assert_true(c.uid == 1 && c.gid == 5 && c.mode == 0770);
	expect_clean(place);
}

static void log_three(struct place *place)
{
	uint32_t run = make_run(place, "r");

	put_file(place, run, "m", "0");
	assert_int_equal(log_draft(place, run, "m"), 0);
	put_file(place, run, "m", "10");
	assert_int_equal(log_draft(place, run, "m"), 0);
	put_directory(place, run, "d");
	put_file(place, run, "d/f", "x");
	assert_int_equal(log_draft(place, run, "d"), 0);
	assert_int_equal(finish(place, run), 0);
}

static void versions_are_found(void **state)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	autofree char *name = NULL;
	struct place *place = *state;
	struct version v, same;

	log_three(place);
	v = version_of(place, "m", 1);
	assert_int_equal(version_get_by_id(place->store, v.id, &same), 0);
	assert_int_equal(same.number, 1);
	assert_int_equal(version_get(place->store, v.collection, 2, &same), -ENOENT);
	assert_int_equal(version_get_by_id(place->store, 4711, &same), -ENOENT);
	assert_int_equal(version_next(place->store, v.collection, -1, &same), 1);
	assert_int_equal(same.number, 0);
	assert_int_equal(version_next(place->store, v.collection, 0, &same), 1);
	assert_int_equal(same.number, 1);
	assert_int_equal(version_next(place->store, v.collection, 1, &same), 0);
	assert_int_equal(version_next(place->store, v.collection, UINT32_MAX, &same), 0);
	version_label(&label, "m", 1);
	assert_string_equal(buf_str(&label), "m:v1");
	name = version_collection_name(place->store, &v);
	assert_string_equal(name, "m");
	assert_int_equal(collection_remove(place->store, slice_str("m")), -ENOTEMPTY);
}

static void references_name_what_is_there(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint32_t number;
	} cases[] = {
		{ "m:v0", 0, 0 }, { "m:v1", 0, 1 }, { "m:latest", 0, 1 }, { "m:v2", -ENOENT, 0 },
		{ "m:prod", -ENOENT, 0 }, { "x:v0", -ENOENT, 0 }, { "e:latest", -ENOENT, 0 },
		{ "artifacts/m/v0/files/m", 0, 0 }, { "artifacts/m/v0/files/x", -ENOENT, 0 },
		{ "artifacts/d/v0/files/f", 0, 0 }, { "artifacts/d/v0/files/f/g", -ENOTDIR, 0 },
	};
	struct place *place = *state;

	log_three(place);
	make_collection(place, "e", 0, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reference ref;
		struct version v = { .number = 0 };

		assert_int_equal(reference_parse(slice_str(cases[i].text), &ref), 0);
		assert_int_equal(reference_resolve(place->store, &ref, &v), cases[i].result);
		assert_int_equal(v.number, cases[i].number);
	}
}

static void bytes_are_opened_or_logged_as_lost(void **state)
{
	struct place *place = *state;
	struct blob *blob = NULL;
	struct digest digest;
	char text[8];

	log_three(place);
	digest_of(slice_str("10"), &digest);
	assert_int_equal(artifact_open_blob(place->store, &digest, &blob), 0);
	assert_int_equal(blob_pread(blob, text, sizeof(text), 0), 2);
	blob_release(blob);
	digest_of(slice_str("never written"), &digest);
	log_to_file("/dev/null");
	assert_int_equal(artifact_open_blob(place->store, &digest, &blob), -EIO);
}

static void modes_of_versions(void **state)
{
	struct version v = { .mode = 0640 };

	(void)state;
	assert_int_equal(version_directory_mode(&v), 0550);
	assert_int_equal(version_file_mode(&v, false), 0440);
	assert_int_equal(version_file_mode(&v, true), 0550);
	v.mode = 0777;
	assert_int_equal(version_directory_mode(&v), 0555);
	assert_int_equal(version_file_mode(&v, false), 0444);
	v.mode = 0111;
	assert_int_equal(version_directory_mode(&v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_decide),
		ON(memory, collections_come_and_go),
		ON(memory, collections_are_listed_in_order),
		ON(memory, texts_are_checked),
		ON(memory, owners_change),
		ON(memory, versions_are_found),
		ON(memory, references_name_what_is_there),
		ON(memory, bytes_are_opened_or_logged_as_lost),
		cmocka_unit_test(modes_of_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
