/*
 * room.h - is there space left where the store is? Asked before RocksDB is, which does not take a
 * full disk well.
 */
#ifndef CORE_ROOM_H
#define CORE_ROOM_H

#include "base.h"

/* The bytes that this process may still write below directory; UINT64_MAX: unknown. */
uint64_t room_free(const char *directory);

/*
 * Can n bytes be written into directory now? Finds out by taking them for a moment, so that it
 * knows of quotas and of inodes too. 0, -ENOSPC, -EDQUOT, -EROFS, ...
 */
int room_probe(const char *directory, uint64_t n);

/* The bytes in the files of directory whose name ends so. */
uint64_t room_taken(const char *directory, const char *suffix);

/* Makes durable what the files of directory whose name ends so hold. */
int room_sync(const char *directory, const char *suffix);

#endif
