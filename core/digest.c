#include "digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#include "buf.h"
#include "log.h"

/* Fits a core's second-level cache, so that the hash reads what pread has just put there. */
#define BLOCK_SIZE (256u << 10)
/* Hashers kept for reuse: more than any sensible number of request threads. */
#define IDLE_MAX 64
/* So much is handed to the disk at once: it takes about as long to write as to hash. */
#define WRITE_BACK_SIZE (16u << 20)

struct hasher {
	EVP_MD_CTX *context;
	char *block; /* BLOCK_SIZE bytes, made when the first file is read */
	_Atomic uint64_t *count; /* of bytes; NULL: not wanted */
	uint64_t added;
	bool write_back;
	struct hasher *next;
};

static EVP_MD *sha256; /* fetched once: a fetch costs as much as hashing several KiB */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static struct {
	pthread_mutex_t lock;
	struct hasher *first;
	unsigned n;
} idle = { PTHREAD_MUTEX_INITIALIZER, NULL, 0 };

/* OpenSSL fails here only without memory or without SHA-256: nothing to go on with either way. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("OpenSSL: %s failed", what);
	abort();
}

static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(sha256, "EVP_MD_fetch(SHA256)");
}

static struct hasher *take_idle(void)
{
	LOCKED(&idle.lock);
	struct hasher *h = idle.first;

	if (h) {
		idle.first = h->next;
		idle.n--;
	}
	return h;
}

static bool give_idle(struct hasher *h)
{
	LOCKED(&idle.lock);

	if (idle.n >= IDLE_MAX)
		return false;
	h->next = idle.first;
	idle.first = h;
	idle.n++;
	return true;
}

struct hasher *hasher_new(void)
{
	struct hasher *h = take_idle();

	if (!h) {
		pthread_once(&sha256_once, fetch);
		h = xcalloc(1, sizeof(*h));
		h->context = EVP_MD_CTX_new();
		must(h->context, "EVP_MD_CTX_new");
	}
	h->added = 0;
	h->write_back = false;
	hasher_start(h);
	return h;
}

void hasher_free(struct hasher *h)
{
	if (h)
		h->count = NULL;
	if (!h || give_idle(h))
		return;
	EVP_MD_CTX_free(h->context);
	free(h->block);
	free(h);
}

void hasher_start(struct hasher *h)
{
	must(EVP_DigestInit_ex2(h->context, sha256, NULL) == 1, "EVP_DigestInit_ex2");
}

void hasher_add(struct hasher *h, const void *data, size_t len)
{
	if (len)
		must(EVP_DigestUpdate(h->context, data, len) == 1, "EVP_DigestUpdate");
	h->added += len;
	if (h->count)
		atomic_fetch_add_explicit(h->count, len, memory_order_relaxed);
}

void hasher_count(struct hasher *h, _Atomic uint64_t *count)
{
	h->count = count;
}

void hasher_write_back(struct hasher *h)
{
	h->write_back = true;
}

uint64_t hasher_added(const struct hasher *h)
{
	return h->added;
}

void hasher_end(struct hasher *h, struct digest *ret)
{
	unsigned len = 0;

	must(EVP_DigestFinal_ex(h->context, ret->bytes, &len) == 1, "EVP_DigestFinal_ex");
	must(len == DIGEST_SIZE, "SHA-256 of 32 bytes");
}

void digest_of(struct slice bytes, struct digest *ret)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	hasher_add(h, bytes.data, bytes.len);
	hasher_end(h, ret);
}

static bool stopped(const bool *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

int digest_of_file(int fd, struct hasher *h, const bool *stop, struct digest *ret_digest,
		   uint64_t *ret_size)
{
	uint64_t size = 0;
	ssize_t n;

	if (!h->block)
		h->block = xmalloc(BLOCK_SIZE);
	hasher_start(h);
	for (;;) {
		if (stopped(stop))
			return -EINTR;
		/* A hint: what fails shows when it is synced. */
		if (h->write_back && size % WRITE_BACK_SIZE == 0)
			sync_file_range(fd, (off_t)size, WRITE_BACK_SIZE, SYNC_FILE_RANGE_WRITE);
		n = pread(fd, h->block, BLOCK_SIZE, (off_t)size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		/* Worth a system call only for a file that goes on. */
		if (size == 0 && n == BLOCK_SIZE)
			posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		hasher_add(h, h->block, (size_t)n);
		size += (uint64_t)n;
	}
	hasher_end(h, ret_digest);
	*ret_size = size;
	return 0;
}

void digest_to_hex(const struct digest *d, char ret[static DIGEST_HEX_SIZE + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		ret[2 * i] = digits[d->bytes[i] >> 4];
		ret[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	ret[DIGEST_HEX_SIZE] = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_from_hex(struct slice hex, struct digest *ret)
{
	const char *s = hex.data;
	struct digest d;

	if (hex.len != DIGEST_HEX_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int high = digit_value(s[2 * i]), low = digit_value(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		d.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = d;
	return 0;
}
