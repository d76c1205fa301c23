/*
 * digest.h - SHA-256 (FIPS 180-4), the digest that sha256sum(1) prints. The only user of OpenSSL.
 */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include "base.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE (2 * DIGEST_SIZE)

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

/* Lower-case hexadecimal, NUL-terminated. */
void digest_to_hex(const struct digest *d, char ret[static DIGEST_HEX_SIZE + 1]);
/* -EINVAL unless hex is 64 lower-case hexadecimal digits. */
int digest_from_hex(struct slice hex, struct digest *ret);

/*
 * A hash under way. One thread at a time; contexts are reused by later hashers of the thread pool.
 */
struct hasher;

struct hasher *hasher_new(void);
void hasher_free(struct hasher *h);
/* Starts over; a new hasher is started already. */
void hasher_start(struct hasher *h);
void hasher_add(struct hasher *h, const void *data, size_t len);
/* From now on bytes that are added are counted there as well; NULL: no longer. */
void hasher_count(struct hasher *h, _Atomic uint64_t *count);
/* Files that are read from now on are about to be synced: their writing back starts meanwhile. */
void hasher_write_back(struct hasher *h);
/* How many bytes were added since hasher_new(). */
uint64_t hasher_added(const struct hasher *h);
/* Ends the hash; hasher_start() before the next one. */
void hasher_end(struct hasher *h, struct digest *ret);

static inline void hasher_freep(struct hasher **h)
{
	hasher_free(*h);
}

/* One buffer. */
void digest_of(struct slice bytes, struct digest *ret);

/*
 * The bytes of a file from its start to its end, read once; size is what was read, in bytes.
 * stop is asked between blocks when it is not NULL: once it is true, -EINTR.
 */
int digest_of_file(int fd, struct hasher *h, const bool *stop, struct digest *ret_digest,
		   uint64_t *ret_size);

#endif
