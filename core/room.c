#include "room.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "buf.h"

uint64_t room_free(const char *directory)
{
	struct statvfs fs;

	if (statvfs(directory, &fs) < 0)
		return UINT64_MAX;
	/* What is kept back from others is there for root. */
	return (uint64_t)(geteuid() ? fs.f_bavail : fs.f_bfree) * fs.f_frsize;
}

int room_probe(const char *directory, uint64_t n)
{
	autofree char *path = xasprintf("%s/probe", directory);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, (off_t)n) < 0)
		err = -errno;
	if (err == -EOPNOTSUPP)
		err = room_free(directory) < n ? -ENOSPC : 0;
	unlink(path);
	return err;
}

static int each_file(const char *directory, const char *suffix,
		     int (*each)(int dir, const char *name, void *arg), void *arg)
{
	DIR *dir = opendir(directory);
	size_t end = strlen(suffix);
	int err = 0;

	if (!dir)
		return -errno;
	for (struct dirent *e; err == 0 && (e = readdir(dir));) {
		size_t len = strlen(e->d_name);

		if (len >= end && !strcmp(e->d_name + len - end, suffix))
			err = each(dirfd(dir), e->d_name, arg);
	}
	closedir(dir);
	return err;
}

static int add_size(int dir, const char *name, void *arg)
{
	uint64_t *sum = arg;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*sum += (uint64_t)st.st_size;
	return 0;
}

uint64_t room_taken(const char *directory, const char *suffix)
{
	uint64_t sum = 0;

	each_file(directory, suffix, add_size, &sum);
	return sum;
}

static int sync_one(int dir, const char *name, void *arg)
{
	autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	(void)arg;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fdatasync(fd) < 0 ? -errno : 0;
}

int room_sync(const char *directory, const char *suffix)
{
	autoclose int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = each_file(directory, suffix, sync_one, NULL);

	if (err == 0 && (fd < 0 || fsync(fd) < 0))
		err = -errno;
	return err;
}
