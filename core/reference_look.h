/*
 * reference_look.h - looking at a file outside of the store for somebody: with his rights, never
 * waiting for anything but the disk, touching nothing but regular files.
 */
#ifndef CORE_REFERENCE_LOOK_H
#define CORE_REFERENCE_LOOK_H

#include "artifact.h"

struct hasher;

/*
 * Fills size and mtime of a regular file that cred may read, and its digest if it is not larger
 * than hash_max and keeps still; nothing of anything else. -EINTR: stop became true. What is
 * counted by the hasher is what was read now: a file that has not changed since is not read again.
 */
int reference_look(const struct cred *cred, const char *path, uint64_t hash_max,
		   struct hasher *hasher, const bool *stop, struct reference_row *ret);

#endif
