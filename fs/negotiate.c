#define FUSE_USE_VERSION 312

#include "negotiate.h"

#include "core/base.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <sys/uio.h>

/* The request whose reply is amended, and what the kernel offered in it. */
static atomic_ullong init_request;
static atomic_uint init_flags, init_flags2;
static atomic_bool passthrough;
/* Of the reply that this thread is about to write; 0: none. */
static _Thread_local int open_backing;

/*
 * With it, writes no longer ask for security.capability each: the daemon promises to clear set-id
 * bits and file capabilities itself, which a draft cannot have (4 KiB took 13.6 us without, 3.0
 * with).
 */
#ifndef FUSE_HANDLE_KILLPRIV_V2
#define FUSE_HANDLE_KILLPRIV_V2 (1 << 28)
#endif

/* Of Linux 6.9; the kernel's fuse.h of Debian 12 is older. Bits of flags, and of flags2. */
#define INIT_EXT (1u << 30)
#define PASSTHROUGH (1u << (37 - 32))
#define OPENED_PASSTHROUGH (1u << 7)
#define OPENED_KEEP_CACHE (1u << 1)

static ssize_t read_request(int fd, void *to, size_t len, void *arg)
{
	ssize_t n = read(fd, to, len);
	const struct fuse_in_header *header = to;
	const struct fuse_init_in *init = (const void *)(header + 1);

	(void)arg;
	if (n < (ssize_t)(sizeof(*header) + 16) || header->opcode != FUSE_INIT)
		return n;
	atomic_store(&init_flags, init->flags);
	if (init->flags & INIT_EXT && n >= (ssize_t)(sizeof(*header) + 20))
		atomic_store(&init_flags2, init->flags2);
	atomic_store(&init_request, header->unique);
	return n;
}

static void amend_init(struct fuse_init_out *init, size_t len)
{
	unsigned offered = atomic_load(&init_flags2) & PASSTHROUGH;

	init->flags |= atomic_load(&init_flags) & FUSE_HANDLE_KILLPRIV_V2;
	if (!offered || len < offsetof(struct fuse_init_out, unused) + sizeof(uint32_t))
		return;
	init->flags |= INIT_EXT;
	init->flags2 |= PASSTHROUGH;
	/* max_stack_depth: the files below are of no stacked filesystem. */
	memcpy(init->unused, &(uint32_t){ 1 }, sizeof(uint32_t));
	atomic_store(&passthrough, true);
}

/* fuse_open_out is the end of the payload, and its last word is the number of the file below. */
static void amend_open(struct iovec *last)
{
	struct fuse_open_out *open;

	if (last->iov_len < sizeof(*open))
		return;
	open = (void *)((char *)last->iov_base + last->iov_len - sizeof(*open));
	/* The kernel keeps no pages of such a file itself, and refuses to be asked to. */
	open->open_flags = (open->open_flags & ~OPENED_KEEP_CACHE) | OPENED_PASSTHROUGH;
	memcpy(&open->padding, &open_backing, sizeof(open_backing));
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *arg)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	uint64_t request = atomic_load_explicit(&init_request, memory_order_relaxed);

	(void)arg;
	if (request != 0 && header->unique == request && header->error == 0 && count == 2 &&
	    iov[1].iov_len >= offsetof(struct fuse_init_out, max_background)) {
		amend_init(iov[1].iov_base, iov[1].iov_len);
		atomic_store(&init_request, 0);
	}
	if (open_backing && header->error == 0 && count == 2)
		amend_open(&iov[1]);
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

bool negotiate_has_passthrough(void)
{
	return atomic_load(&passthrough);
}

void negotiate_want_passthrough(struct fuse_conn_info *conn)
{
#ifdef FUSE_CAP_PASSTHROUGH
	/* One of the bits that fit the old 32. */
	if (fuse_version() >= 317 && conn->capable & (uint32_t)FUSE_CAP_PASSTHROUGH) {
		conn->want |= (uint32_t)FUSE_CAP_PASSTHROUGH;
		conn->max_backing_stack_depth = 1;
		atomic_store(&passthrough, true);
	}
#else
	(void)conn;
#endif
}

void negotiate_open(struct fuse_file_info *fi, int backing)
{
#ifdef FUSE_CAP_PASSTHROUGH
	if (fuse_version() >= 317) {
		fi->backing_id = backing;
		fi->keep_cache = backing ? 0 : fi->keep_cache;
		return;
	}
#else
	(void)fi;
#endif
	open_backing = backing;
}
