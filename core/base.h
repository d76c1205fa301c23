/*
 * base.h - what every file here may use: borrowed slices, scope guards, small macros.
 *
 * Functions of this project return 0 or a count, or -errno. Out-parameters come last, are named
 * ret, and are left alone on failure.
 */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* Bytes that belong to somebody else. Not terminated. */
struct slice {
	const void *data;
	size_t len;
};

static inline struct slice slice(const void *data, size_t len)
{
	return (struct slice){ data, len };
}

static inline struct slice slice_str(const char *s)
{
	return slice(s, strlen(s));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte order, shorter first when one is the start of the other: the order of every listing. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.data, b.data, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || !memcmp(s.data, prefix.data, prefix.len));
}

/* Scope guards: the named function runs on the variable's address when its scope ends. */
#define AUTO(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

static inline void cleanup_rwunlock(pthread_rwlock_t **l)
{
	pthread_rwlock_unlock(*l);
}

static inline pthread_mutex_t *lock_mutex(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

static inline pthread_rwlock_t *lock_shared(pthread_rwlock_t *l)
{
	pthread_rwlock_rdlock(l);
	return l;
}

static inline pthread_rwlock_t *lock_exclusive(pthread_rwlock_t *l)
{
	pthread_rwlock_wrlock(l);
	return l;
}

#define autofree AUTO(cleanup_free)
#define autoclose AUTO(cleanup_close)

#define GUARD_NAME_(line) guard_##line
#define GUARD_NAME(line) GUARD_NAME_(line)
#define GUARD_ __attribute__((unused))

/* Hold a lock until the end of the enclosing scope. */
#define LOCKED(m) \
	GUARD_ AUTO(cleanup_unlock) pthread_mutex_t *GUARD_NAME(__LINE__) = lock_mutex(m)
#define SHARED(l) \
	GUARD_ AUTO(cleanup_rwunlock) pthread_rwlock_t *GUARD_NAME(__LINE__) = lock_shared(l)
#define EXCLUSIVE(l) \
	GUARD_ AUTO(cleanup_rwunlock) pthread_rwlock_t *GUARD_NAME(__LINE__) = lock_exclusive(l)

/* Take the value out of a guarded pointer, so that its guard does nothing. */
#define steal(p)                             \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline struct timespec timespec_of_ns(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* Milliseconds of a clock that nobody sets. */
static inline int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The moment some nanoseconds from now, for pthread_*_timedwait(). */
static inline struct timespec moment_after(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	ns += (uint64_t)t.tv_nsec;
	return (struct timespec){ t.tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

#endif
