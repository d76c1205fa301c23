/*
 * remove.c - removing whole trees (remove_tree in directory.h). Users nest directories as deep as
 * they like, so depth costs neither stack nor descriptors: a directory that is not empty is emptied
 * into the top one, where its turn comes again, and what an interrupted removal leaves is as good
 * as new.
 */
#include "directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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
static int open_directory(int at, const char *name, DIR **ret)
{
	int err = directory_open(at, name, ret);

	if (err == -EACCES && fchmodat(at, name, 0700, 0) == 0)
		err = directory_open(at, name, ret);
	return err;
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
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *entry;
	int more = open_directory(r->top, name, &dir);

	if (more < 0)
		return more;
	while ((more = directory_next(dir, &entry)) > 0) {
		int err = remove_entry(dirfd(dir), entry->d_name);

		note(r, err == -ENOTEMPTY ? lift(r, dirfd(dir), entry->d_name) : err);
	}
	if (more < 0)
		return more;
	return unlinkat(r->top, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* One pass over the top directory: what was lifted during it may be left for the next. */
static void pass(struct removal *r, DIR *top)
{
	struct dirent *entry;
	int more;

	r->progress = false;
	r->first = 0;
	rewinddir(top);
	while ((more = directory_next(top, &entry)) > 0) {
		int err = remove_entry(r->top, entry->d_name);

		note(r, err == -ENOTEMPTY ? remove_directory(r, entry->d_name) : err);
	}
	if (more < 0 && r->first == 0)
		r->first = more;
}

int remove_tree(int directory, const char *name)
{
	AUTO(directory_closep) DIR *top = NULL;
	struct removal r = { 0 };
	int err = remove_entry(directory, name);

	if (err != -ENOTEMPTY)
		return err;
	err = open_directory(directory, name, &top);
	if (err < 0)
		return err;
	r.top = dirfd(top);
	do
		pass(&r, top);
	while (r.progress);
	if (unlinkat(directory, name, AT_REMOVEDIR) == 0)
		return 0;
	return r.first < 0 ? r.first : -errno;
}
