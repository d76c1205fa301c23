/*
 * relay.h - hands on what a command writes: byte for byte to where it was meant for, and a copy to
 * the run's console.log. A thread a stream, so that a slow reader of one does not hold up the
 * other.
 *
 * The command meets what it would meet without us: it waits when the reader is slow, and once the
 * reader is gone its next write fails. A console that cannot be written never stops it.
 */
#ifndef FS_RELAY_H
#define FS_RELAY_H

#include "core/base.h"
#include "core/buf.h"

struct relay;

/* console: the path of the copy. */
struct relay *relay_new(const char *console);
/* Hands on from one descriptor, which it takes over, to another. -errno: no thread. */
int relay_add(struct relay *relay, int from, int to);
/*
 * The command has ended: hands on what is there, and waits for more only a moment, should somebody
 * still have the other end. Adds a sentence to why if the copy has a gap; frees the relay.
 */
void relay_finish(struct relay *relay, struct buf *why);

#endif
