#include "mount_find.h"

#include <stdio.h>
#include <sys/stat.h>

#define OUR_TYPE "fuse.lineagefs"

/* A line of the mount table, borrowed from it. */
struct mount_line {
	const char *device, *root, *mountpoint, *type, *source;
};

/* Octal escapes of blanks and backslashes, as the kernel writes them. */
static void unescape(char *text)
{
	char *to = text;

	for (char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
		    at[3] >= '0' && at[3] <= '7') {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

/* 36 35 0:45 / /mnt rw,relatime shared:1 - fuse.lineagefs /store rw */
static bool parse_line(char *line, struct mount_line *ret)
{
	char *field[6], *source, *tail = strstr(line, " - ");

	if (!tail)
		return false;
	*tail = '\0';
	tail += 3;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&line, " ");
		if (!field[i])
			return false;
	}
	unescape(field[3]);
	unescape(field[4]);
	ret->device = field[2];
	ret->root = field[3];
	ret->mountpoint = field[4];
	ret->type = strsep(&tail, " ");
	source = strsep(&tail, " ");
	if (!source)
		return false;
	unescape(source);
	ret->source = source;
	return true;
}

/* Whole mounts of ours that this user may enter, each once. */
struct mounts {
	char **paths, **devices;
	size_t count, path_cap, device_cap;
};

static void mounts_release(struct mounts *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->paths[i]);
		free(m->devices[i]);
	}
	free(m->paths);
	free(m->devices);
}

static void add_mount(struct mounts *m, const struct mount_line *line)
{
	for (size_t i = 0; i < m->count; i++)
		if (!strcmp(m->devices[i], line->device))
			return;
	m->paths = xgrow(m->paths, &m->path_cap, m->count + 1, sizeof(char *));
	m->devices = xgrow(m->devices, &m->device_cap, m->count + 1, sizeof(char *));
	m->paths[m->count] = xstrdup(line->mountpoint);
	m->devices[m->count++] = xstrdup(line->device);
}

static bool is_same(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* All, or those of a store. */
static int read_mounts(struct mounts *m, const char *store)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	autofree char *text = NULL;
	size_t size = 0;

	if (!table)
		return -errno;
	while (getline(&text, &size, table) > 0) {
		struct mount_line line;

		/* A directory of it that was bound elsewhere is no mount to work with. */
		if (parse_line(text, &line) && !strcmp(line.type, OUR_TYPE) &&
		    !strcmp(line.root, "/") && (!store || is_same(line.source, store)) &&
		    (access(line.mountpoint, X_OK) == 0 || errno != EACCES))
			add_mount(m, &line);
	}
	fclose(table);
	return 0;
}

static int check(const char *path, const char *from, struct buf *why, char **ret)
{
	autofree char *whole = realpath(path, NULL);
	autofree char *status = NULL;
	int err = -errno;

	if (whole) {
		status = xasprintf("%s/_status.json", whole);
		err = access(status, R_OK) == 0 ? 0 : -errno;
	}
	if (err == 0) {
		*ret = steal(whole);
		return 0;
	}
	if (err == -ENOTCONN)
		buf_printf(why, "%s%s is a dead mount: its daemon has gone; mount it again", from,
			   path);
	else if (err == -ENOENT || err == -ENOTDIR)
		buf_printf(why, "%s%s is not where lineagefs is mounted", from, path);
	else
		buf_printf(why, "%s%s cannot be used: %s", from, path, strerror(-err));
	return err;
}

int mount_find(const char *given, struct buf *why, char **ret)
{
	AUTO(mounts_release) struct mounts m = { 0 };
	const char *said = getenv("LINEAGEFS_MOUNT");
	int err;

	if (given)
		return check(given, "", why, ret);
	if (said && *said)
		return check(said, "LINEAGEFS_MOUNT=", why, ret);
	err = read_mounts(&m, NULL);
	if (err < 0) {
		buf_printf(why, "the mount table cannot be read: %s; name the mountpoint with -m",
			   strerror(-err));
		return err;
	}
	if (m.count == 1)
		return check(m.paths[0], "", why, ret);
	if (m.count == 0) {
		buf_printf(why, "lineagefs is not mounted anywhere; `lineagefs mount` mounts it");
		return -ENOENT;
	}
	buf_printf(why, "lineagefs is mounted in several places: ");
	for (size_t i = 0; i < m.count; i++)
		buf_printf(why, "%s%s", i ? ", " : "", m.paths[i]);
	buf_printf(why, "; choose one with -m or LINEAGEFS_MOUNT");
	return -EINVAL;
}

int mount_find_of(const char *store, struct buf *why, char **ret)
{
	AUTO(mounts_release) struct mounts m = { 0 };
	int err = read_mounts(&m, store);

	/* Of several any will do: the dead among them are left by daemons of before. */
	for (size_t i = 0; err == 0 && i < m.count; i++) {
		AUTO(buf_release) struct buf ignored = BUF_INIT;

		if (check(m.paths[i], "", i + 1 < m.count ? &ignored : why, ret) == 0)
			return 0;
	}
	if (err == 0 && m.count == 0)
		buf_printf(why, "%s is in use, and not by a mount that can be seen from here",
			   store);
	else if (err < 0)
		buf_printf(why, "the mount table cannot be read: %s", strerror(-err));
	return err < 0 ? err : -ENOENT;
}
