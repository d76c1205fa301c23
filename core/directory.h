/*
 * directory.h - reading and removing directories of the local filesystem.
 *
 * readdir(3) says the same at the end and at an error; these do not, so what is not listed is not
 * there.
 */
#ifndef CORE_DIRECTORY_H
#define CORE_DIRECTORY_H

#include "base.h"

#include <dirent.h>

/* The listing of a directory; name "." is the descriptor's own. Links are not followed. -errno. */
int directory_open(int at, const char *name, DIR **ret);
/* The next entry but . and ..: 1 and it, borrowed until the next call; 0 at the end; -errno. */
int directory_next(DIR *directory, struct dirent **ret);

static inline void directory_closep(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Has it any entry? 1, 0 or -errno. */
int directory_any(int at, const char *name);
/*
 * Removes a directory and all below it, however deep (remove.c); -errno of a failure, after trying
 * everything.
 */
int remove_tree(int directory, const char *name);

#endif
