/*
 * The operations of the mount without the kernel before them: what it checks itself, or asks for
 * only in some versions.
 */
#include "store_place.h"

#include "fs/vfs_private.h"

#include <signal.h>

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

/* Who must wait for a log that asks who writes to a file does not wait where others are served. */
static void a_leased_file_asks_for_patience(void **state)
{
	struct place *place = *state;
	struct vfs_call patient = root_call;
	struct vfs *vfs = serve(state);
	uint32_t run = make_run(place, "r");
	autofree char *path = draft_path(place, run, "m");
	autoclose int fd = -1;
	struct vfs_open open_file = { 0 };
	uint64_t ino;
	int hurried;

	put_file(place, run, "m", "text");
	ino = at(vfs, "runs/r/outputs/m");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		vfs_free(vfs);
		skip();
	}
	hurried = vfs_open(vfs, &root_call, ino, O_WRONLY, &open_file);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	assert_int_equal(hurried, VFS_PATIENCE);
	patient.patient = true;
	assert_int_equal(vfs_open(vfs, &patient, ino, O_WRONLY, &open_file), 0);
	vfs_release(open_file.handle);
	vfs_free(vfs);
}

/* A directory of a, b and c, of which b cannot be read at first. */
static unsigned failures;

static int letter_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	st->st_size = 0;
	if (node->a == 'b' && failures > 0) {
		failures--;
		return -EIO;
	}
	return 0;
}

static const struct node_kind letter_kind = {
	.name = "letter", .type = S_IFREG, .attr = letter_attr,
};

static void letter(char c, struct node *ret)
{
	*ret = (struct node){ .ino = ino_of_ids(INO_PRODUCER, 7, (uint32_t)c),
			      .kind = &letter_kind, .a = (uint32_t)c };
}

static int letters_next(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
			struct node *ret)
{
	char c = after[0] ? (char)(after[0] + 1) : 'a';

	(void)vfs, (void)dir;
	if (c > 'c')
		return 0;
	buf_add_char(ret_name, c);
	letter(c, ret);
	return 1;
}

static int letters_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			const char *child, struct node *ret)
{
	(void)vfs, (void)call, (void)dir;
	letter(child[0], ret);
	return 0;
}

static const struct node_kind letters_kind = {
	.name = "letters",
	.type = S_IFDIR,
	.attr = letter_attr,
	.next = letters_next,
	.find = letters_find,
};

static int add_name(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie)
{
	(void)entry, (void)cookie;
	buf_printf(arg, "%s ", name);
	return 0;
}

/* An error in the midst of a listing comes instead of the entry, not with it gone. */
static void a_listing_goes_on_where_it_failed(void **state)
{
	struct vfs *vfs = serve(state);
	struct node spec = { .ino = ino_of_ids(INO_PRODUCER, 7, 0), .kind = &letters_kind };
	AUTO(buf_release) struct buf names = BUF_INIT;
	struct vfs_open open;
	uint64_t ino = spec.ino;

	node_put(vfs->nodes, node_intern(vfs->nodes, &spec));
	assert_int_equal(vfs_opendir(vfs, &root_call, ino, &open), 0);
	failures = 2;
	assert_int_equal(vfs_readdir(open.handle, &root_call, 0, true, add_name, &names), -EIO);
	assert_string_equal(buf_str(&names), ". .. a ");
	assert_int_equal(vfs_readdir(open.handle, &root_call, 3, true, add_name, &names), -EIO);
	assert_int_equal(vfs_readdir(open.handle, &root_call, 3, true, add_name, &names), 0);
	assert_string_equal(buf_str(&names), ". .. a b c ");
	vfs_release(open.handle);
	vfs_free(vfs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_link_is_not_followed),
		ON(mixed, a_leased_file_asks_for_patience),
		ON(memory, a_listing_goes_on_where_it_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
