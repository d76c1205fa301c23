/*
 * passthrough.h - the kernel reads and writes an open file by itself, through a file below that it
 * was told of (Linux 6.9 and later; the daemon needs CAP_SYS_ADMIN). By libfuse's functions where
 * it has them (3.17), by hand on older ones.
 */
#ifndef FS_PASSTHROUGH_H
#define FS_PASSTHROUGH_H

struct fuse_session;

/*
 * Can it be done, for files of the filesystem that fd, of a regular file, is on? After INIT. 0, or
 * -errno: -EOPNOTSUPP the kernel or libfuse cannot; -EPERM no right to; -ELOOP a stacked filesystem
 * (overlayfs); -EMEDIUMTYPE tmpfs, where what is written by itself cannot be seen to have been.
 */
int passthrough_probe(struct fuse_session *session, int fd);
/* The number by which the kernel knows the file; 0: it will not. It keeps the file open. */
int passthrough_open(struct fuse_session *session, int fd);
void passthrough_close(struct fuse_session *session, int id);

#endif
