/*
 * The contract of fs/beside.h, without a mount: one whole write where a file is renamed over a
 * text, nothing where that fails; what is listed is found and what is found is listed; bounds.
 */
#include "store_place.h"

#include "core/version_note.h"
#include "fs/vfs_private.h"

static const struct vfs_call root_call = { .uid = 0, .gid = 0 };

struct scene {
	struct place *place;
	struct vfs *vfs;
	struct version version;
	uint64_t dir; /* artifacts/m/v0 */
};

static struct scene begin(void **state)
{
	struct scene s = { .place = *state };
	uint32_t run = make_run(s.place, "r");
	struct vfs_entry entry = { .attr = { .st_ino = VFS_ROOT } };

	put_file(s.place, run, "m", "1");
	assert_int_equal(log_draft(s.place, run, "m"), 0);
	s.version = version_of(s.place, "m", 0);
	assert_int_equal(vfs_new(s.place->store, &s.vfs), 0);
	vfs_lookup(s.vfs, &root_call, VFS_ROOT, "artifacts", &entry);
	vfs_lookup(s.vfs, &root_call, entry.attr.st_ino, "m", &entry);
	assert_int_equal(vfs_lookup(s.vfs, &root_call, entry.attr.st_ino, "v0", &entry), 0);
	s.dir = entry.attr.st_ino;
	return s;
}

static void end(struct scene *s)
{
	vfs_free(s->vfs);
	expect_clean(s->place);
}

static bool is_found(struct scene *s, const char *name)
{
	struct vfs_entry entry;
	int err = vfs_lookup(s->vfs, &root_call, s->dir, name, &entry);

	if (err == 0)
		vfs_forget(s->vfs, entry.attr.st_ino, 1);
	else
		assert_int_equal(err, -ENOENT);
	return err == 0;
}

static int make(struct scene *s, const char *name, const char *text)
{
	struct vfs_entry entry;
	struct vfs_open open;
	size_t len = strlen(text);
	ssize_t n;
	int err = vfs_create(s->vfs, &root_call, s->dir, name, 0644, O_WRONLY | O_CREAT | O_EXCL,
			     &entry, &open);

	if (err < 0)
		return err;
	n = len ? vfs_write(open.handle, &root_call, text, len, 0) : 0;
	err = vfs_flush(open.handle, &root_call);
	vfs_release(open.handle);
	vfs_forget(s->vfs, entry.attr.st_ino, 1);
	return n < 0 ? (int)n : err;
}

static int rename_it(struct scene *s, const char *from, const char *to)
{
	return vfs_rename(s->vfs, &root_call, s->dir, from, s->dir, to, 0);
}

static void expect_text(struct scene *s, const char *name, const char *text)
{
	struct vfs_entry entry;
	struct vfs_open open;
	char got[256] = "";
	ssize_t n;

	assert_int_equal(vfs_lookup(s->vfs, &root_call, s->dir, name, &entry), 0);
	assert_int_equal(vfs_open(s->vfs, &root_call, entry.attr.st_ino, O_RDONLY, &open), 0);
	n = vfs_read(open.handle, got, sizeof(got) - 1, 0);
	vfs_release(open.handle);
	vfs_forget(s->vfs, entry.attr.st_ino, 1);
	assert_int_equal(n, strlen(text));
	assert_string_equal(got, text);
	assert_int_equal(entry.attr.st_size, n);
}

static int add_name(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie)
{
	(void)entry, (void)cookie;
	buf_printf(arg, "%s ", name);
	return 0;
}

/* All names of the directory; every one is found, in both sorts of listing. */
static void expect_names(struct scene *s, const char *names)
{
	AUTO(buf_release) struct buf plain = BUF_INIT, plus = BUF_INIT;
	char *rest, *copy;
	struct vfs_open open;

	assert_int_equal(vfs_opendir(s->vfs, &root_call, s->dir, &open), 0);
	assert_int_equal(vfs_readdir(open.handle, &root_call, 0, false, add_name, &plain), 0);
	assert_int_equal(vfs_readdir(open.handle, &root_call, 0, true, add_name, &plus), 0);
	vfs_release(open.handle);
	assert_string_equal(buf_str(&plain), buf_str(&plus));
	assert_string_equal(buf_str(&plain) + strlen(". .. "), names);
	copy = rest = xstrdup(names);
	for (const char *name; (name = strsep(&rest, " ")) && *name;)
		assert_true(is_found(s, name));
	free(copy);
}

#define BEFORE "SHA256SUMS consumers "
#define AFTER "files info.json metadata.json producer producers tags "

static uint64_t events(struct scene *s)
{
	uint64_t n;

	assert_int_equal(store_new_ids(s->place->store, ID_EVENT, 1, &n), 0);
	return n;
}

static void a_rename_over_a_text_writes_it(void **state)
{
	struct scene s = begin(state);
	uint64_t before;

	assert_int_equal(make(&s, "tmp", "new\n"), 0);
	assert_int_equal(make(&s, "tmp", "other\n"), -EEXIST);
	expect_text(&s, "tmp", "new\n");
	expect_names(&s, BEFORE "description " AFTER "tmp ");
	before = events(&s);
	assert_int_equal(rename_it(&s, "tmp", "description"), 0);
	if (s.place->backend != MEMORY)
		assert_int_equal(events(&s), before + 2);
	expect_text(&s, "description", "new\n");
	expect_names(&s, BEFORE "description " AFTER);
	assert_int_equal(make(&s, "tmp", "{\"a\" 1}"), 0);
	assert_int_equal(rename_it(&s, "tmp", "metadata.json"), -EINVAL);
	assert_int_equal(rename_it(&s, "tmp", "SHA256SUMS"), -EROFS);
	assert_int_equal(rename_it(&s, "tmp", "files"), -EROFS);
	assert_int_equal(rename_it(&s, "tmp", "v1"), -EINVAL);
	expect_text(&s, "tmp", "{\"a\" 1}");
	expect_text(&s, "metadata.json", "{}\n");
	end(&s);
}

static void a_text_goes_and_comes_back(void **state)
{
	struct scene s = begin(state);

	assert_int_equal(version_text_write(s.place->store, s.version.id, VERSION_DESCRIPTION,
					    slice_str("old")), 0);
	assert_int_equal(rename_it(&s, "description", "description~"), 0);
	assert_false(is_found(&s, "description"));
	expect_names(&s, BEFORE AFTER "description~ ");
	expect_text(&s, "description~", "old\n");
	assert_int_equal(rename_it(&s, "description", "x"), -ENOENT);
	assert_int_equal(vfs_unlink(s.vfs, &root_call, s.dir, "description"), -ENOENT);
	/* A backup of a backup, over what had the name. */
	assert_int_equal(make(&s, "a", "a"), 0);
	assert_int_equal(rename_it(&s, "description~", "a"), 0);
	expect_names(&s, BEFORE AFTER "a ");
	assert_int_equal(make(&s, "description", "anew"), 0);
	expect_text(&s, "description", "anew\n");
	assert_int_equal(rename_it(&s, "a", "description"), 0);
	expect_text(&s, "description", "old\n");
	assert_int_equal(vfs_unlink(s.vfs, &root_call, s.dir, "description"), 0);
	expect_names(&s, BEFORE AFTER);
	assert_int_equal(make(&s, "description", ""), 0);
	expect_text(&s, "description", "");
	expect_names(&s, BEFORE "description " AFTER);
	end(&s);
}

static void what_fails_changes_nothing(void **state)
{
	struct scene s = begin(state);
	int err = -EIO;

	assert_int_equal(version_text_write(s.place->store, s.version.id, VERSION_DESCRIPTION,
					    slice_str("old")), 0);
	assert_int_equal(make(&s, "tmp", "new"), 0);
	kv_disk_conflict_every(s.place->kv_disk, 0);
	for (uint64_t n = 1; err < 0; n++) {
		assert_true(n < 100);
		kv_disk_fail(s.place->kv_disk, n, -EIO, false);
		err = rename_it(&s, "tmp", "description");
		kv_disk_fail(s.place->kv_disk, 0, 0, false);
		expect_text(&s, "description", err < 0 ? "old\n" : "new\n");
		assert_int_equal(is_found(&s, "tmp"), err < 0);
	}
	err = -EIO;
	for (uint64_t n = 1; err < 0; n++) {
		assert_true(n < 100);
		kv_disk_fail(s.place->kv_disk, n, -EIO, false);
		err = vfs_unlink(s.vfs, &root_call, s.dir, "description");
		kv_disk_fail(s.place->kv_disk, 0, 0, false);
		assert_int_equal(is_found(&s, "description"), err < 0);
	}
	end(&s);
}

static void there_is_so_much_room(void **state)
{
	struct scene s = begin(state);
	autofree char *large = xcalloc(1, BESIDE_FILE_MAX + 2);
	char name[16];

	memset(large, 'x', BESIDE_FILE_MAX + 1);
	assert_int_equal(make(&s, "a", large), -EFBIG);
	large[BESIDE_FILE_MAX] = '\0';
	for (unsigned i = 0; i < BESIDE_BYTES_MAX / BESIDE_FILE_MAX; i++) {
		snprintf(name, sizeof(name), "l%u", i);
		assert_int_equal(make(&s, name, large), 0);
	}
	assert_int_equal(make(&s, "b", "x"), -ENOSPC);
	assert_int_equal(rename_it(&s, "l1", "l0"), 0);
	assert_int_equal(make(&s, "c", "x"), 0);
	/* a, b and c are there already, and one of the large went. */
	for (unsigned i = BESIDE_BYTES_MAX / BESIDE_FILE_MAX + 2; i < BESIDE_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(make(&s, name, ""), 0);
	}
	assert_int_equal(make(&s, "d", ""), -ENOSPC);
	assert_int_equal(rename_it(&s, "description", "d"), -ENOSPC);
	assert_true(is_found(&s, "description"));
	assert_int_equal(vfs_unlink(s.vfs, &root_call, s.dir, "c"), 0);
	assert_int_equal(make(&s, "d", ""), 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(a_rename_over_a_text_writes_it),
		EVERYWHERE(a_text_goes_and_comes_back),
		ON(memory, what_fails_changes_nothing),
		ON(memory, there_is_so_much_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
