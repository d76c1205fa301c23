/*
 * buf.h - a byte buffer that grows. It owns its bytes; buf_release() frees them.
 *
 * Memory that cannot be had ends the process: a filesystem daemon that goes on with half a record
 * is worse than one that is mounted again.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "base.h"

struct buf {
	char *data; /* always NUL-terminated once anything was added; NULL before */
	size_t len;
	size_t cap;
};

#define BUF_INIT ((struct buf){ NULL, 0, 0 })

void buf_release(struct buf *b);
/* Keeps the memory, forgets the bytes. */
void buf_reset(struct buf *b);
/* Room for n more bytes; returns where they go. Does not change len. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
/* Text of users, of which a newline must not look like another line: control bytes are escaped. */
void buf_add_visible(struct buf *b, struct slice s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice(b->data, b->len);
}

static inline const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

/* Gives the bytes away as a malloc()ed string; the buffer is empty afterwards. */
char *buf_detach(struct buf *b);

/* malloc family that ends the process instead of returning NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* Grows an array by at least one element; cap is in elements. */
void *xgrow(void *p, size_t *cap, size_t need, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const void *data, size_t len);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
