/*
 * run_files.h - a run as `lineagefs run` sees it: the files of its directory in the mount, which
 * anybody could read and write just so.
 */
#ifndef FS_RUN_FILES_H
#define FS_RUN_FILES_H

#include "core/base.h"
#include "core/buf.h"

struct run_files {
	char *mount; /* absolute */
	char *id;
	char *path; /* <mount>/runs/<id> */
};

void run_files_init(struct run_files *f, char *mount, char *id); /* takes both over */
void run_files_release(struct run_files *f);

/* Adds the whole of a file to ret; -errno. */
int run_file_read(const struct run_files *f, const char *name, struct buf *ret);
/* Writes a text that is there, in one write(2) if the kernel takes it so; -errno. */
int run_file_write(const struct run_files *f, const char *name, struct slice text);
/* Where a file of the run is; malloc()ed. */
char *run_file_path(const struct run_files *f, const char *name);
/* The last line of `log` without its "error: ", or "" when it says nothing of an error. */
void run_file_reason(const struct run_files *f, struct buf *ret);

/* Adds the whole of any file to ret; -errno. */
int text_read(const char *path, struct buf *ret);

/* Does this error say that the mount is gone, so that it may come back? */
bool mount_is_gone(int err);

#endif
