/*
 * remove.c - removing whole trees (remove_tree in draft.h). Users nest directories as deep as they
 * like, so depth costs neither stack nor descriptors: a directory that is not empty is emptied into
 * the top one, where its turn comes again, and what an interrupted removal leaves is as good as new.
 */
#include "draft.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

struct removal {
	int top;
	unsigned serial; /* of the names that directories get in top */
	bool progress;
	int first; /* error, of this pass */
};

static void note(struct removal *r, int err)
{
	if (err < 0 && r->first == 0)
		r->first = err;
	r->progress |= err == 0;
}

/* Whatever its mode; only the owner is let in, but that is who removes it. */
static DIR *open_directory(int at, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);
	DIR *dir;

	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
		fd = openat(at, name, flags);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* The next entry but the dots: 1, 0 at the end, -errno. */
static int next_entry(DIR *dir, const char **ret)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(dir);
	} while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
	if (!e)
		return -errno;
	*ret = e->d_name;
	return 1;
}

/* Removes what is no directory, or an empty one; -ENOTEMPTY. */
static int remove_entry(int at, const char *name)
{
	int err;

	for (bool again = false;; again = true) {
		if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
			return 0;
		err = -errno;
		if ((err == -EISDIR || err == -EPERM) && unlinkat(at, name, AT_REMOVEDIR) == 0)
			return 0;
		if (err == -EISDIR || (err == -EPERM && errno != ENOTDIR))
			err = errno == EEXIST ? -ENOTEMPTY : -errno;
		if (err != -EACCES || again || fchmod(at, 0700) < 0)
			return err;
	}
}

/* Moves a directory to the top. */
static int lift(struct removal *r, int at, const char *name)
{
	char to[32];

	/* Who is not root may move only directories that he may write in. */
	if (fchmodat(at, name, 0700, 0) < 0)
		return -errno;
	do {
		snprintf(to, sizeof(to), "lifted.%u", r->serial++);
		if (renameat(at, name, r->top, to) == 0)
			return 0;
	} while (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR);
	return -errno;
}

/* Empties a directory in the top one, and removes it. */
static int remove_directory(struct removal *r, const char *name)
{
	DIR *dir = open_directory(r->top, name);
	const char *entry;
	int more;

	if (!dir)
		return -errno;
	while ((more = next_entry(dir, &entry)) > 0) {
		int err = remove_entry(dirfd(dir), entry);

		note(r, err == -ENOTEMPTY ? lift(r, dirfd(dir), entry) : err);
	}
	closedir(dir);
	if (more < 0)
		return more;
	return unlinkat(r->top, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* One pass over the top directory: what was lifted during it may be left for the next. */
static void pass(struct removal *r, DIR *top)
{
	const char *entry;
	int more;

	r->progress = false;
	r->first = 0;
	rewinddir(top);
	while ((more = next_entry(top, &entry)) > 0) {
		int err = remove_entry(r->top, entry);

		note(r, err == -ENOTEMPTY ? remove_directory(r, entry) : err);
	}
	if (more < 0 && r->first == 0)
		r->first = more;
}

int remove_tree(int directory, const char *name)
{
	struct removal r = { 0 };
	int err = remove_entry(directory, name);
	DIR *top;

	if (err != -ENOTEMPTY)
		return err;
	top = open_directory(directory, name);
	if (!top)
		return -errno;
	r.top = dirfd(top);
	do
		pass(&r, top);
	while (r.progress);
	closedir(top);
	if (unlinkat(directory, name, AT_REMOVEDIR) == 0)
		return 0;
	return r.first < 0 ? r.first : -errno;
}
