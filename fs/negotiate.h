/*
 * negotiate.h - what the kernel offers in the FUSE INIT exchange and libfuse before 3.17 does not
 * know.
 *
 * libfuse lets the daemon read requests and write replies itself. One reply is amended on its way,
 * the one to INIT; everything else passes as it is.
 */
#ifndef FS_NEGOTIATE_H
#define FS_NEGOTIATE_H

struct fuse_session;

/* After fuse_session_mount(), before the first request is read. -errno when libfuse refuses. */
int negotiate_begin(struct fuse_session *session);

#endif
