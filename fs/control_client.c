#include "control_client.h"

#include <fcntl.h>

int control_connect(const char *mount, struct buf *why)
{
	autofree char *path = xasprintf("%s/_control", mount);
	int fd = open(path, O_RDWR | O_CLOEXEC), err = -errno;

	if (fd >= 0)
		return fd;
	if (err == -ENOENT)
		buf_printf(why, "the lineagefs that is mounted on %s is too old for this", mount);
	else
		buf_printf(why, "%s cannot be opened: %s", path, strerror(-err));
	return err;
}

static int read_answer(int fd, struct buf *ret)
{
	for (;;) {
		ssize_t n = pread(fd, buf_reserve(ret, 1u << 16), 1u << 16, (off_t)ret->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
	}
}

int control_ask(int fd, struct slice request, struct buf *ret)
{
	ssize_t n = pwrite(fd, request.data, request.len, 0);
	int err = n < 0 ? -errno : 0, failed;

	buf_reset(ret);
	failed = read_answer(fd, ret);
	if (err < 0 || failed < 0)
		return err < 0 ? err : failed;
	/* What came first of it was no whole object, and was refused; or was one by chance. */
	return (size_t)n == request.len ? 0 : -E2BIG;
}
