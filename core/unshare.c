/*
 * unshare.c - giving a draft's file an inode of its own again (draft_unshare in draft.h).
 */
#include "directory.h"
#include "draft.h"
#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

/* So many bytes are copied between two looks at whether they are still wanted. */
#define STOP_BYTES ((off_t)8 << 20)

struct unsharing {
	struct draft_top *top;
	const bool *stop;
	ino_t old_ino;
	char spare_name[32]; /* in drafts/, where new inodes are made */
	int fd;	   /* the new inode */
	nlink_t links; /* made of it, each to become a name */
	nlink_t moved; /* of them, so many are names already */
};

static int copy_range(struct unsharing *u, int from, off_t at, off_t end)
{
	while (at < end) {
		off_t out = at;
		size_t len = end - at < STOP_BYTES ? (size_t)(end - at) : STOP_BYTES;
		ssize_t n = copy_file_range(from, &at, u->fd, &out, len, 0);

		if (u->stop && __atomic_load_n(u->stop, __ATOMIC_RELAXED))
			return -EINTR;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
	}
	return 0;
}

/* All bytes; holes stay holes. */
static int copy_bytes(struct unsharing *u, int from, off_t size)
{
	off_t at = 0;

	if (ftruncate(u->fd, size) < 0)
		return -errno;
	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA);
		off_t hole;
		int err;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		err = copy_range(u, from, data, hole);
		if (err < 0)
			return err;
		at = hole;
	}
	return 0;
}

/* The names of all xattrs, one after another, each with its NUL: their length or -errno. */
static ssize_t list_xattrs(int fd, char **ret)
{
	for (;;) {
		ssize_t size = flistxattr(fd, NULL, 0);
		autofree char *names = xmalloc(size > 0 ? (size_t)size : 1);

		if (size > 0)
			size = flistxattr(fd, names, (size_t)size);
		if (size >= 0)
			*ret = steal(names);
		if (size < 0 && errno == EOPNOTSUPP)
			return 0;
		if (size >= 0 || errno != ERANGE)
			return size < 0 ? -errno : size;
	}
}

static int copy_xattr(int from, int to, const char *name)
{
	for (;;) {
		ssize_t size = fgetxattr(from, name, NULL, 0);
		autofree char *value = xmalloc(size > 0 ? (size_t)size : 1);

		if (size > 0)
			size = fgetxattr(from, name, value, (size_t)size);
		if (size >= 0)
			return fsetxattr(to, name, value, (size_t)size, 0) < 0 ? -errno : 0;
		if (errno != ERANGE)
			return errno == ENODATA ? 0 : -errno;
	}
}

static bool is_users(const char *name)
{
	return !strncmp(name, "user.", 5) &&
	       strncmp(name, DRAFT_OWN_XATTRS, sizeof(DRAFT_OWN_XATTRS) - 1) != 0;
}

/* For each name: of `from` it is copied, of `to` removed. */
static int each_xattr(int of, int from, int to)
{
	autofree char *names = NULL;
	ssize_t size = list_xattrs(of, &names);
	int err = size < 0 ? (int)size : 0;

	for (char *name = names; err == 0 && name < names + size; name += strlen(name) + 1) {
		if (!is_users(name))
			continue;
		if (of == from)
			err = copy_xattr(from, to, name);
		else if (fremovexattr(to, name) < 0)
			err = -errno;
	}
	return err;
}

/* Everything but the bytes, whatever the copy had of it before. */
static int copy_attributes(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int err = fchmod(to, 0600) < 0 ? -errno : each_xattr(to, from, to);

	if (err == 0)
		err = each_xattr(from, from, to);
	if (err == 0 && (fchown(to, st->st_uid, st->st_gid) < 0 && errno != EPERM))
		err = -errno;
	if (err == 0 && (fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0))
		err = -errno;
	return err;
}

/* A new file with everything the old one has, under a spare name. */
static int make_copy(struct unsharing *u, int from, const struct stat *st, bool truncate)
{
	uint64_t n;
	int err = store_new_ids(u->top->area->store, ID_BLOB, 1, &n);

	if (err < 0)
		return err;
	snprintf(u->spare_name, sizeof(u->spare_name), "spare.%llx", (unsigned long long)n);
	u->fd = openat(u->top->area->store->drafts, u->spare_name,
		       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (u->fd < 0)
		return -errno;
	if (!truncate)
		err = copy_bytes(u, from, st->st_size);
	if (err == 0)
		err = copy_attributes(from, u->fd, st);
	if (err == 0 && !truncate && draft_is_bad(from))
		draft_mark_bad(u->fd);
	/* The old bytes were durable; so are the new ones before they take the name. */
	if (err == 0 && !truncate && fsync(u->fd) < 0)
		err = -errno;
	return err;
}

struct link_name {
	char text[64];
};

static struct link_name link_name(const struct unsharing *u, nlink_t n)
{
	struct link_name name;

	snprintf(name.text, sizeof(name.text), "%s.%llu", u->spare_name, (unsigned long long)n);
	return name;
}

/* Before any name is moved: what lacks room lacks it now. */
static int make_links(struct unsharing *u, nlink_t names)
{
	int drafts = u->top->area->store->drafts;

	for (; u->links < names; u->links++)
		if (linkat(drafts, u->spare_name, drafts, link_name(u, u->links).text, 0) < 0)
			return -errno;
	return 0;
}

static void drop_links(struct unsharing *u)
{
	int drafts = u->top->area->store->drafts;

	for (; u->links > u->moved; u->links--)
		unlinkat(drafts, link_name(u, u->links - 1).text, 0);
	if (u->spare_name[0] != '\0')
		unlinkat(drafts, u->spare_name, 0);
	u->spare_name[0] = '\0';
}

/* Makes one name lead to the new inode. */
static int move_name(struct unsharing *u, int directory, const char *name)
{
	if (u->moved == u->links)
		return -EIO;
	if (renameat(u->top->area->store->drafts, link_name(u, u->moved).text, directory, name) < 0)
		return -errno;
	u->moved++;
	return 0;
}

static bool leads_to(int directory, const char *name, ino_t ino)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == ino;
}

/* A walk through a draft: only the directory it is in is open, so depth costs 8 bytes a level. */
struct descent {
	DIR *dir;
	long *places; /* where to go on in each directory above */
	size_t depth, cap;
};

static int enter(struct descent *d, int at, const char *name)
{
	DIR *dir;
	int err = directory_open(at, name, &dir);

	if (err < 0)
		return err;
	if (d->dir)
		closedir(d->dir);
	d->dir = dir;
	return 0;
}

static int descend(struct descent *d, const char *name)
{
	long place = telldir(d->dir);
	int err = enter(d, dirfd(d->dir), name);

	if (err < 0)
		return err;
	d->places = xgrow(d->places, &d->cap, d->depth + 1, sizeof(*d->places));
	d->places[d->depth++] = place;
	return 0;
}

/* The exclusive lock keeps the directory where it is. */
static int ascend(struct descent *d)
{
	int err = enter(d, dirfd(d->dir), "..");

	if (err == 0)
		seekdir(d->dir, d->places[--d->depth]);
	return err;
}

/* One entry: moved if it is a name of the old inode, entered if it is a directory. */
static int move_entry(struct unsharing *u, struct descent *d, const struct dirent *e)
{
	int err = -ENOTDIR;

	if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
		return 0;
	if (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN)
		err = descend(d, e->d_name);
	if (err != -ENOTDIR && err != -ELOOP)
		return err;
	/* The listing has the inode number: other files cost nothing. */
	if (e->d_ino != u->old_ino || !leads_to(dirfd(d->dir), e->d_name, u->old_ino))
		return 0;
	return move_name(u, dirfd(d->dir), e->d_name);
}

/* Moves every name of the old inode in the draft. Only for hard-linked files. */
static int move_all_names(struct unsharing *u)
{
	const char *name = u->top->name;
	struct descent d = { 0 };
	int err = enter(&d, u->top->area->fd, name);

	if (err == -ENOTDIR || err == -ELOOP)
		return leads_to(u->top->area->fd, name, u->old_ino) ?
			       move_name(u, u->top->area->fd, name) : 0;
	while (err == 0) {
		struct dirent *e = (errno = 0, readdir(d.dir));

		if (e)
			err = move_entry(u, &d, e);
		else if (errno || d.depth == 0)
			break;
		else
			err = ascend(&d);
	}
	if (err == 0)
		err = -errno;
	if (d.dir)
		closedir(d.dir);
	free(d.places);
	return err;
}

static int move_names(struct unsharing *u, int directory, const char *name, nlink_t names)
{
	int err = 0;

	if (name && leads_to(directory, name, u->old_ino))
		err = move_name(u, directory, name);
	if (err == 0 && u->moved < names)
		err = move_all_names(u);
	return err;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The copy takes the place of the old inode. Exclusive lock held. */
static int take_place(struct unsharing *u, int fd, const struct stat *copied, int directory,
		      const char *name, draft_swap *swap, void *arg)
{
	struct draft_area *area = u->top->area;
	char path[32];
	nlink_t names = 0;
	struct stat st;
	int err;

	if (area->phase != DRAFT_OPEN)
		return area->phase == DRAFT_GONE ? -ESTALE : -EROFS;
	/* Its blob was removed meanwhile, so it is nobody else's. */
	if (!draft_fd_is_shared(fd, copied, NULL))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = draft_count_names(area->store, path, &st, &names);
	/* All but the bytes may have changed during the copy. */
	if (err == 0 && !same_time(st.st_ctim, copied->st_ctim))
		err = copy_attributes(fd, u->fd, &st);
	if (err == 0)
		err = make_links(u, names);
	if (err == 0)
		err = swap(arg, u->fd, NULL);
	if (err < 0)
		return err;
	err = move_names(u, directory, name, names);
	drop_links(u);
	if (err < 0 && u->moved == 0)
		return err;
	if (fstat(u->fd, &st) < 0)
		return -errno;
	draft_touch(u->top, st.st_ino);
	swap(arg, u->fd, &st);
	return err;
}

int draft_unshare(struct draft_top *top, int fd, int directory, const char *name, bool truncate,
		  const bool *stop, draft_swap *swap, void *arg)
{
	struct draft_area *area = top->area;
	struct unsharing u = { .top = top, .stop = stop, .fd = -1 };
	struct stat st;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!draft_fd_is_shared(fd, &st, NULL))
		return 0;
	u.old_ino = st.st_ino;
	err = make_copy(&u, fd, &st, truncate);
	if (err == 0) {
		EXCLUSIVE(&area->lock);
		err = take_place(&u, fd, &st, directory, name, swap, arg);
		/* Nobody must take it for a writer. */
		close(steal_fd(&u.fd));
	}
	drop_links(&u);
	if (u.fd >= 0)
		close(u.fd);
	if (err < 0 && err != -ESTALE && err != -EROFS && err != -EINTR)
		log_errno(err, "copying a logged file of run %u for writing", area->run);
	return err;
}
