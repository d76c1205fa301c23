#include "mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "core/log.h"

extern char **environ;

#define OUR_TYPE "fuse.lineagefs"
/* Dead mounts may lie one over the other; more than these are no accident. */
#define DEAD_MOUNTS_MAX 16

static char *join(const char *directory, const char *name)
{
	return xasprintf("%s/%s", strcmp(directory, "/") ? directory : "", name);
}

char *path_resolve(const char *path)
{
	autofree char *head = xstrdup(path);
	autofree char *here = realpath(".", NULL);
	autofree char *directory = NULL;
	size_t len = strlen(head);
	char *whole, *slash;

	while (len > 1 && head[len - 1] == '/')
		head[--len] = '\0';
	whole = realpath(head, NULL);
	if (whole)
		return whole;
	slash = strrchr(head, '/');
	if (!slash)
		return join(here ? here : "", head);
	*slash = '\0';
	directory = realpath(slash == head ? "/" : head, NULL);
	if (directory)
		return join(directory, slash + 1);
	/* Its directory is not there either, as the caller will find out. */
	return path[0] == '/' || !here ? xstrdup(path) : join(here, path);
}

bool path_within(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	if (!strcmp(directory, "/"))
		return true;
	return !strncmp(path, directory, len) && (path[len] == '\0' || path[len] == '/');
}

int directory_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int empty = 1;

	if (!dir)
		return -errno;
	errno = 0;
	while (empty && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			empty = 0;
	if (empty && errno)
		empty = -errno;
	closedir(dir);
	return empty;
}

/* Is the topmost mount at path one of ours? Then *ret_source is its store, malloc()ed. */
static bool ours(const char *path, char **ret_source)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	autofree char *source = NULL;
	struct mntent *mount;

	if (!table)
		return false;
	while ((mount = getmntent(table))) {
		if (strcmp(mount->mnt_dir, path))
			continue;
		free(steal(source));
		if (!strcmp(mount->mnt_type, OUR_TYPE))
			source = xstrdup(mount->mnt_fsname);
	}
	endmntent(table);
	if (!source)
		return false;
	*ret_source = steal(source);
	return true;
}

static int detach(const char *path)
{
	char *const argv[] = { (char[]){ "fusermount3" }, (char[]){ "-uzq" }, (char[]){ "--" },
			       (char *)path, NULL };
	pid_t pid;
	int status;

	if (umount2(path, MNT_DETACH) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) < 0 || status != 0)
		return -EPERM;
	return 0;
}

static bool dead(const char *path)
{
	struct statfs space;

	/* Not stat(2), which the kernel may answer from its cache. */
	return statfs(path, &space) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

static int detach_dead(const char *path, struct buf *why)
{
	for (int i = 0; i < DEAD_MOUNTS_MAX && dead(path); i++) {
		autofree char *store = NULL;
		int err;

		if (!ours(path, &store)) {
			buf_printf(why,
				   "%s is a dead mount of another filesystem: unmount it first",
				   path);
			return -ENOTCONN;
		}
		err = detach(path);
		if (err) {
			buf_printf(why, "%s is a dead mount of %s and cannot be unmounted: %s",
				   path, store, strerror(-err));
			return err;
		}
		log_warning("unmounted %s, where the daemon of %s had died", path, store);
	}
	return 0;
}

int mountpoint_check(const char *path, struct buf *why)
{
	autofree char *store = NULL;
	struct stat st;
	int err = detach_dead(path, why);

	if (err)
		return err;
	if (ours(path, &store)) {
		buf_printf(why, "%s is busy: %s is mounted there", path, store);
		return -EBUSY;
	}
	if (stat(path, &st) != 0) {
		err = -errno;
		if (err == -ENOENT)
			buf_printf(why, "the mountpoint %s does not exist", path);
		else
			buf_printf(why, "cannot use the mountpoint %s: %s", path, strerror(-err));
		return err;
	}
	if (!S_ISDIR(st.st_mode)) {
		buf_printf(why, "the mountpoint %s is not a directory", path);
		return -ENOTDIR;
	}
	if (access(path, W_OK | X_OK) != 0 && errno == EACCES) {
		buf_printf(why, "no permission to mount on %s: you may not write in it", path);
		return -EACCES;
	}
	err = directory_is_empty(path);
	if (err == 0) {
		buf_printf(why, "the mountpoint %s is not empty", path);
		return -ENOTEMPTY;
	}
	if (err < 0)
		buf_printf(why, "cannot read the mountpoint %s: %s", path, strerror(-err));
	return err < 0 ? err : 0;
}

/* \ooo is one byte. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

int mountpoint_device(const char *path, dev_t *ret)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	autofree char *line = NULL;
	size_t size = 0;
	int err = -ENOENT;

	if (!table)
		return -errno;
	/* id parent major:minor root mountpoint ...; the topmost comes last. */
	while (getline(&line, &size, table) > 0) {
		unsigned major_number, minor_number;
		char *word, *rest = line;
		int n = 0;

		if (sscanf(line, "%*d %*d %u:%u %n", &major_number, &minor_number, &n) < 2)
			continue;
		rest += n;
		strsep(&rest, " ");
		word = strsep(&rest, " ");
		if (!word)
			continue;
		unescape(word);
		if (strcmp(word, path) != 0)
			continue;
		*ret = makedev(major_number, minor_number);
		err = 0;
	}
	fclose(table);
	return err;
}
