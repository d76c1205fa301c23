/*
 * The operations of the mount without the kernel before them: what it checks itself, or asks for
 * only in some versions.
 */
#include "store_place.h"

#include "fs/vfs_private.h"

static const struct vfs_call root_call = { .uid = 0, .gid = 0 };

static struct vfs *serve(void **state)
{
	struct place *place = *state;
	struct vfs *vfs;

	assert_int_equal(vfs_new(place->store, &vfs), 0);
	return vfs;
}

/* The number of a path below the root; its lookups are given back when the vfs is freed. */
static uint64_t at(struct vfs *vfs, const char *path)
{
	autofree char *copy = xstrdup(path);
	struct vfs_entry entry = { .attr = { .st_ino = VFS_ROOT } };
	char *rest = copy;

	for (const char *name; (name = strsep(&rest, "/"));)
		assert_int_equal(vfs_lookup(vfs, &root_call, entry.attr.st_ino, name, &entry), 0);
	return entry.attr.st_ino;
}

static int set_attr(struct vfs *vfs, uint64_t ino, struct handle *handle, unsigned what,
		    const struct stat *set)
{
	struct stat st;

	return vfs_setattr(vfs, &root_call, ino, handle, set, what, &st, NULL);
}

static void a_link_is_not_followed(void **state)
{
	struct place *place = *state;
	const struct stat set = { .st_mode = 0604, .st_size = 0 };
	struct vfs *vfs = serve(state);
	AUTO(buf_release) struct buf victim = BUF_INIT;
	struct vfs_entry entry;
	struct stat st;

	make_run(place, "r");
	buf_printf(&victim, "%s/victim", place->directory);
	write_at(buf_str(&victim), "text", 4);
	assert_int_equal(vfs_mkdir(vfs, &root_call, at(vfs, "runs/r/outputs"), "d", 0755, &entry),
			 0);
	assert_int_equal(vfs_symlink(vfs, &root_call, buf_str(&victim), entry.attr.st_ino, "l",
				     &entry), 0);
	assert_int_equal(set_attr(vfs, entry.attr.st_ino, NULL, VFS_SET_MODE, &set), -EOPNOTSUPP);
	assert_int_equal(set_attr(vfs, entry.attr.st_ino, NULL, VFS_SET_SIZE, &set), -EINVAL);
	assert_int_equal(set_attr(vfs, at(vfs, "runs/r/outputs/d"), NULL, VFS_SET_SIZE, &set),
			 -EISDIR);
	assert_int_equal(stat(buf_str(&victim), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(unlink(buf_str(&victim)), 0);
	vfs_free(vfs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_link_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
