/*
 * negotiate.h - what the kernel offers in the FUSE INIT exchange and libfuse before 3.17 does not
 * know.
 *
 * libfuse lets the daemon read requests and write replies itself. Two kinds are amended on their way:
 * the reply to INIT, and those to OPEN and CREATE of a file that the kernel is to read and write by
 * itself; everything else passes as it is. From 3.17 on libfuse has functions for all of it.
 */
#ifndef FS_NEGOTIATE_H
#define FS_NEGOTIATE_H

#include <stdbool.h>

struct fuse_session;

/* After fuse_session_mount(), before the first request is read. -errno when libfuse refuses. */
int negotiate_begin(struct fuse_session *session);
/* Did the kernel agree to passthrough? After INIT. */
bool negotiate_has_passthrough(void);
/* For init(): asks for it where libfuse knows it. */
struct fuse_conn_info;
void negotiate_want_passthrough(struct fuse_conn_info *conn);
/*
 * Around the reply to OPEN or CREATE, which is written by the same thread: the kernel knows the
 * file by this number. 0: no more.
 */
struct fuse_file_info;
void negotiate_open(struct fuse_file_info *fi, int backing);

#endif
