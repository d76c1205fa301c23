#include "console.h"

#include "directory.h"
#include "log.h"
#include "run.h"

#include <fcntl.h>
#include <stdio.h>

#define DIRECTORY "consoles"

struct console_path {
	char text[sizeof(DIRECTORY) + 16];
};

static struct console_path path_of(uint32_t run)
{
	struct console_path path;

	snprintf(path.text, sizeof(path.text), DIRECTORY "/%08x", run);
	return path;
}

int console_open(struct store *store, uint32_t run, bool writes, int *ret_fd)
{
	struct console_path path = path_of(run);
	int flags = O_CLOEXEC | O_NOFOLLOW | (writes ? O_RDWR | O_APPEND | O_CREAT : O_RDONLY);
	int fd = openat(store->root, path.text, flags, 0600);

	if (fd < 0 && errno == ENOENT && writes) {
		if (mkdirat(store->root, DIRECTORY, 0700) < 0 && errno != EEXIST)
			return log_errno(-errno, "making " DIRECTORY "/");
		fd = openat(store->root, path.text, flags, 0600);
	}
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : log_errno(-errno, "opening %s", path.text);
	*ret_fd = fd;
	return 0;
}

int console_stat(struct store *store, uint32_t run, struct stat *ret)
{
	struct console_path path = path_of(run);

	return fstatat(store->root, path.text, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int console_truncate(struct store *store, uint32_t run, off_t size)
{
	autoclose int fd = -1;
	int err = console_open(store, run, true, &fd);

	if (err < 0)
		return err;
	return ftruncate(fd, size) < 0 ? -errno : 0;
}

void console_remove(struct store *store, uint32_t run)
{
	struct console_path path = path_of(run);

	if (unlinkat(store->root, path.text, 0) < 0 && errno != ENOENT)
		log_errno(-errno, "removing %s", path.text);
}

int console_sweep(struct store *store)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(store->root, DIRECTORY, &dir);

	if (more == -ENOENT)
		return 0;
	while (more >= 0 && (more = directory_next(dir, &e)) > 0) {
		AUTO(run_release) struct run run = { 0 };
		char *end;
		unsigned long id = strtoul(e->d_name, &end, 16);

		if (e->d_name[0] != '.' && *end == '\0' && id <= UINT32_MAX &&
		    run_get(store, (uint32_t)id, &run) == -ENOENT)
			console_remove(store, (uint32_t)id);
	}
	return more < 0 ? log_errno(more, "reading " DIRECTORY "/") : 0;
}
