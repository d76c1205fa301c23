#include "directory.h"

#include <fcntl.h>
#include <sys/stat.h>

int directory_open(int at, const char *name, DIR **ret)
{
	autoclose int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory)
		return -errno;
	steal_fd(&fd);
	*ret = directory;
	return 0;
}

int directory_next(DIR *directory, struct dirent **ret)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(directory);
		if (!e)
			return -errno;
	} while (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."));
	*ret = e;
	return 1;
}

int directory_any(int at, const char *name)
{
	AUTO(directory_closep) DIR *directory = NULL;
	struct dirent *e;
	int more = directory_open(at, name, &directory);

	if (more == 0)
		more = directory_next(directory, &e);
	return more;
}

static int remove_below(DIR *directory)
{
	int more, first = 0, fd = dirfd(directory);
	struct dirent *e;

	while ((more = directory_next(directory, &e)) > 0) {
		int err = remove_tree(fd, e->d_name);

		if (err == -EACCES && fchmod(fd, 0700) == 0)
			err = remove_tree(fd, e->d_name);
		if (err < 0 && first == 0)
			first = err;
	}
	return first ? first : more;
}

int remove_tree(int directory, const char *name)
{
	AUTO(directory_closep) DIR *below = NULL;
	int err;

	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	err = directory_open(directory, name, &below);
	if (err == -EACCES && fchmodat(directory, name, 0700, 0) == 0)
		err = directory_open(directory, name, &below);
	if (err == 0)
		err = remove_below(below);
	if (unlinkat(directory, name, AT_REMOVEDIR) < 0 && err == 0)
		err = -errno;
	return err;
}
