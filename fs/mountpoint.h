/*
 * mountpoint.h - may a filesystem be mounted here? Each refusal is a plain sentence.
 */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

#include "core/base.h"
#include "core/buf.h"

/*
 * The absolute form of path, without symbolic links; its last component need not exist or answer.
 * malloc()ed.
 */
char *path_resolve(const char *path);

/* Does path lie in directory, or is it the same? Both are resolved. */
bool path_within(const char *path, const char *directory);

/* 1: empty, 0, or -errno. */
int directory_is_empty(const char *path);

/*
 * An empty directory that the caller may mount on. What a daemon of ours left mounted there when it
 * was killed is unmounted first. On failure adds a sentence to why.
 */
int mountpoint_check(const char *path, struct buf *why);

/* The device number of the topmost mount at an absolute path; -ENOENT: nothing is mounted there. */
int mountpoint_device(const char *path, dev_t *ret);

#endif
