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

/* ---- ln -sfn ---- */

/* Of a caller that cannot be seen: its link is taken for ln's by the name. */
static const struct vfs_call ln_call = { .patient = true };

/* Events of a kind so far. */
static unsigned count_events(struct place *place, enum event_kind kind)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	unsigned n = 0;

	assert_int_equal(kv_begin(place->store->kv, KV_READ, &txn), 0);
	assert_int_equal(kv_scan(txn, KV_META, KEY(prefix('E')), slice("", 0), &scan), 0);
	while (kv_next(scan, &key, &value) > 0) {
		AUTO(event_record_release) struct event_record e = { 0 };

		assert_int_equal(event_decode(value, &e), 0);
		n += e.kind == kind;
	}
	return n;
}

static int make_link(struct vfs *vfs, const char *target, uint64_t dir, const char *name)
{
	struct vfs_entry entry;

	return vfs_symlink(vfs, &ln_call, target, dir, name, &entry);
}

static void expect_link(struct vfs *vfs, uint64_t dir, const char *name, const char *target)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct vfs_entry entry;

	assert_int_equal(vfs_lookup(vfs, &ln_call, dir, name, &entry), 0);
	assert_int_equal(vfs_readlink(vfs, &ln_call, entry.attr.st_ino, &b), 0);
	assert_string_equal(buf_str(&b), target);
	assert_int_equal(entry.attr.st_size, strlen(target));
}

static void make_versions(struct place *place)
{
	uint32_t run = make_run(place, "maker");

	for (unsigned i = 0; i < 3; i++) {
		char text[2] = { (char)('0' + i) };

		put_file(place, run, "m", text);
		assert_int_equal(log_draft(place, run, "m"), 0);
	}
}

static void moving_an_alias_is_one_change(void **state)
{
	struct place *place = *state;
	struct vfs *vfs = serve(state);
	struct vfs_entry entry;
	uint64_t m;

	make_versions(place);
	m = at(vfs, "artifacts/m");
	assert_int_equal(make_link(vfs, "v0", m, "prod"), 0);
	assert_int_equal(make_link(vfs, "v1", m, "prod"), -EEXIST);
	assert_int_equal(count_events(place, EVENT_ALIAS), 1);
	assert_int_equal(make_link(vfs, "v9", m, "CuaB3dE9"), -ENOENT);
	assert_int_equal(make_link(vfs, "v1", m, "CuaB3dE9"), 0);
	assert_int_equal(make_link(vfs, "v1", m, "CuaB3dE9"), -EEXIST);
	expect_link(vfs, m, "CuaB3dE9", "v1");
	expect_clean_now(place);
	assert_int_equal(count_events(place, EVENT_ALIAS), 1);
	assert_int_equal(vfs_rename(vfs, &ln_call, m, "CuaB3dE9", m, "latest", 0), -EPERM);
	assert_int_equal(vfs_rename(vfs, &ln_call, m, "CuaB3dE9", m, "v7", 0), -EINVAL);
	assert_int_equal(vfs_rename(vfs, &ln_call, m, "CuaB3dE9", m, "prod", 1), -EEXIST);
	assert_int_equal(vfs_rename(vfs, &ln_call, m, "CuaB3dE9", m, "prod", 2), -EINVAL);
	assert_int_equal(vfs_rename(vfs, &ln_call, m, "CuaB3dE9", m, "prod", 0), 0);
	assert_int_equal(vfs_lookup(vfs, &ln_call, m, "CuaB3dE9", &entry), -ENOENT);
	expect_link(vfs, m, "prod", "v1");
	assert_int_equal(count_events(place, EVENT_ALIAS), 2);
	/* One that is given up, and one that nobody takes away. */
	assert_int_equal(make_link(vfs, "v2", m, "Cuxxxxxx"), 0);
	assert_int_equal(vfs_unlink(vfs, &ln_call, m, "Cuxxxxxx"), 0);
	assert_int_equal(vfs_unlink(vfs, &ln_call, m, "Cuxxxxxx"), -ENOENT);
	assert_int_equal(make_link(vfs, "v2", m, "Cuyyyyyy"), 0);
	vfs_free(vfs);
	vfs = serve(state);
	assert_int_equal(vfs_lookup(vfs, &ln_call, at(vfs, "artifacts/m"), "Cuyyyyyy", &entry),
			 -ENOENT);
	assert_int_equal(count_events(place, EVENT_ALIAS), 2);
	vfs_free(vfs);
	expect_clean(place);
}

static void moving_an_input_is_one_change(void **state)
{
	struct place *place = *state;
	struct vfs *vfs = serve(state);
	uint32_t run;
	uint64_t in;
	struct edge edge;

	make_versions(place);
	run = make_run(place, "r");
	in = at(vfs, "runs/r/inputs");
	assert_int_equal(make_link(vfs, "m:v0", in, "data"), 0);
	assert_int_equal(count_events(place, EVENT_INPUT), 1);
	assert_int_equal(make_link(vfs, "m:v9", in, "CuaB3dE9"), -ENOENT);
	assert_int_equal(make_link(vfs, "m:v1", in, "CuaB3dE9"), 0);
	expect_link(vfs, in, "CuaB3dE9", "../../../artifacts/m/v1/files");
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "m", 1).id, &edge), -ENOENT);
	assert_int_equal(count_events(place, EVENT_INPUT), 1);
	assert_int_equal(vfs_rename(vfs, &ln_call, in, "CuaB3dE9", in, "data", 1), -EEXIST);
	assert_int_equal(vfs_rename(vfs, &ln_call, in, "CuaB3dE9", in, "data", 0), 0);
	expect_link(vfs, in, "data", "../../../artifacts/m/v1/files");
	assert_int_equal(count_events(place, EVENT_INPUT), 2);
	assert_int_equal(count_events(place, EVENT_INPUT_REMOVED), 1);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "m", 0).id, &edge), -ENOENT);
	assert_int_equal(edge_get(place->store->kv, EDGE_RUN_USES, run,
				  version_of(place, "m", 1).id, &edge), 0);
	/* To where it leads already. */
	assert_int_equal(make_link(vfs, "m:v1", in, "CuaB3dE9"), 0);
	assert_int_equal(vfs_rename(vfs, &ln_call, in, "CuaB3dE9", in, "data", 0), 0);
	assert_int_equal(count_events(place, EVENT_INPUT), 2);
	vfs_free(vfs);
	expect_clean(place);
}

/* Somebody may want to call it that. */
static void a_name_that_was_asked_for_stays(void **state)
{
	const struct vfs_call own = { .patient = true, .pid = getpid() };
	const struct vfs_call hasty = { .pid = getpid() };
	struct place *place = *state;
	struct vfs *vfs = serve(state);
	struct vfs_entry entry;

	make_versions(place);
	assert_int_equal(vfs_symlink(vfs, &hasty, "v0", at(vfs, "artifacts/m"), "Customer",
				     &entry), VFS_PATIENCE);
	assert_int_equal(vfs_symlink(vfs, &own, "v0", at(vfs, "artifacts/m"), "Customer",
				     &entry), 0);
	assert_int_equal(count_events(place, EVENT_ALIAS), 1);
	vfs_free(vfs);
	expect_clean(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(mixed, a_link_is_not_followed),
		ON(mixed, a_leased_file_asks_for_patience),
		ON(memory, a_listing_goes_on_where_it_failed),
		ON(memory, moving_an_alias_is_one_change),
		ON(real, moving_an_alias_is_one_change),
		ON(memory, moving_an_input_is_one_change),
		ON(real, moving_an_input_is_one_change),
		ON(real, a_name_that_was_asked_for_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
