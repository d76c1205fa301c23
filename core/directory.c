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
