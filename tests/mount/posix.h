/*
 * posix.h - what the checks of posix.c share.
 */
#ifndef TESTS_MOUNT_POSIX_H
#define TESTS_MOUNT_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SMALL 1000		/* packed when logged */
#define LARGE (300 * 1000)	/* shared with the version when logged */

/* The name of the check that runs. */
extern const char *current;

/* Ends the check with the place; what it opened goes with the child that runs it. */
#define CHECK(condition)                                                                \
	do {                                                                            \
		errno = 0;                                                              \
		if (!(condition)) {                                                     \
			printf("%s: %s:%d: %s: %s\n", current, __FILE__, __LINE__,      \
			       #condition, errno ? strerrorname_np(errno) : "no errno"); \
			fflush(stdout);                                                 \
			_exit(1);                                                       \
		}                                                                       \
	} while (0)

static const size_t sizes[] = { SMALL, LARGE };

char byte_at(unsigned seed, size_t i);
/* Makes or rewrites a file with size bytes that depend on seed. */
void fill(const char *name, size_t size, unsigned seed);
/* Does the file hold what fill() wrote, up to size, and is size its length? */
bool holds(const char *name, size_t size, unsigned seed);
off_t size_of(const char *name);
nlink_t links_of(const char *name);
ino_t ino_of(const char *name);
bool missing(const char *name);

void check_append(void);
void check_append_two(void);
void check_truncate(void);
void check_rename(void);
void check_hard_link(void);
void check_symlink(void);
void check_mmap(void);
void check_mmap_coherent(void);
void check_holes(void);
void check_copy_range(void);
void check_times(void);
void check_mode(void);
void check_xattr(void);
void check_unlinked(void);
void check_many_entries(void);
void check_long_names(void);
void check_deep(void);
void check_locks(void);
void check_sync(void);
void check_errors(void);
void check_two_handles(void);

#endif
