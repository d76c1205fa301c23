#include "run_files.h"

#include <fcntl.h>
#include <stdio.h>

void run_files_init(struct run_files *f, char *mount, char *id)
{
	*f = (struct run_files){ mount, id, xasprintf("%s/runs/%s", mount, id) };
}

void run_files_release(struct run_files *f)
{
	free(f->mount);
	free(f->id);
	free(f->path);
	*f = (struct run_files){ 0 };
}

char *run_file_path(const struct run_files *f, const char *name)
{
	return xasprintf("%s/%s", f->path, name);
}

static int read_all(int fd, struct buf *ret)
{
	for (;;) {
		ssize_t n = read(fd, buf_reserve(ret, 1u << 16), 1u << 16);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
	}
}

int text_read(const char *path, struct buf *ret)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, ret);
}

int run_file_read(const struct run_files *f, const char *name, struct buf *ret)
{
	autofree char *path = run_file_path(f, name);

	return text_read(path, ret);
}

int run_file_write(const struct run_files *f, const char *name, struct slice text)
{
	autofree char *path = run_file_path(f, name);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t done = 0;
	int err = 0;

	if (fd < 0)
		return -errno;
	/* A signal that ends a write is meant to: nothing is said twice. */
	while (err == 0 && done < text.len) {
		ssize_t n = write(fd, (const char *)text.data + done, text.len - done);

		if (n < 0)
			err = -errno;
		else
			done += (size_t)n;
	}
	if (close(fd) < 0 && err == 0)
		err = -errno;
	return err;
}

void run_file_reason(const struct run_files *f, struct buf *ret)
{
	static const char error[] = "error: ";
	AUTO(buf_release) struct buf log = BUF_INIT;
	char *line;

	if (run_file_read(f, "log", &log) < 0 || log.len == 0)
		return;
	while (log.len > 0 && log.data[log.len - 1] == '\n')
		log.data[--log.len] = '\0';
	line = strrchr(log.data, '\n');
	line = line ? line + 1 : log.data;
	if (!strncmp(line, error, sizeof(error) - 1))
		buf_add_str(ret, line + sizeof(error) - 1);
}

bool mount_is_gone(int err)
{
	/* Unmounted, the mountpoint is an empty directory. */
	return err == -ENOTCONN || err == -ECONNABORTED || err == -ENOENT || err == -ESTALE ||
	       err == -ENODEV || err == -ENXIO;
}
