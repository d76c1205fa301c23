#define FUSE_USE_VERSION 312

#include "negotiate.h"

#include "core/base.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <sys/uio.h>

/* The request whose reply is amended, and what the kernel offered in it. */
static atomic_ullong init_request;
static atomic_uint init_flags;

/*
 * With it, writes no longer ask for security.capability each: the daemon promises to clear set-id
 * bits and file capabilities itself, which a draft cannot have (4 KiB took 13.6 us without, 3.0
 * with).
 */
#ifndef FUSE_HANDLE_KILLPRIV_V2
#define FUSE_HANDLE_KILLPRIV_V2 (1 << 28)
#endif

static ssize_t read_request(int fd, void *to, size_t len, void *arg)
{
	ssize_t n = read(fd, to, len);
	const struct fuse_in_header *header = to;
	const struct fuse_init_in *init = (const void *)(header + 1);

	(void)arg;
	if (n < (ssize_t)(sizeof(*header) + 16) || header->opcode != FUSE_INIT)
		return n;
	atomic_store(&init_flags, init->flags);
	atomic_store(&init_request, header->unique);
	return n;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *arg)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	uint64_t request = atomic_load_explicit(&init_request, memory_order_relaxed);

	(void)arg;
	if (request != 0 && header->unique == request && header->error == 0 && count == 2 &&
	    iov[1].iov_len >= offsetof(struct fuse_init_out, max_background)) {
		struct fuse_init_out *init = iov[1].iov_base;

		init->flags |= atomic_load(&init_flags) & FUSE_HANDLE_KILLPRIV_V2;
		atomic_store(&init_request, 0);
	}
	return writev(fd, iov, count);
}

int negotiate_begin(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .writev = write_reply, .read = read_request };
	int err;

	if (fuse_version() >= 317)
		return 0;
	err = fuse_session_custom_io(session, &io, fuse_session_fd(session));
	return err < 0 ? err : 0;
}
