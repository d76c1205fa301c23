/*
 * notify.h - the thread that tells the kernel what it must forget.
 *
 * A request's own thread must not do that: the kernel takes locks for it that another request may
 * hold until we answer. So changes are queued here, without a bound (waiting would be the same
 * deadlock), equal ones once; one thread passes them on.
 *
 * The same thread ends the session when a signal asks for it: it is then in the midst of no
 * notification, which could otherwise wait for a request that nobody answers any more.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "core/base.h"

struct notifier;

/* All are called from the notifier's thread, one at a time. */
struct notifier_ops {
	void (*begin)(void *arg); /* first of all */
	void (*entry)(void *arg, uint64_t parent, const char *name);
	void (*inode)(void *arg, uint64_t ino);
	void (*end)(void *arg); /* last of all; what is queued then is dropped */
};

int notifier_new(const struct notifier_ops *ops, void *arg, struct notifier **ret);
/* Ends the thread and waits for it; what is queued from now on is dropped. */
void notifier_join(struct notifier *notifier);
/* The same, if that was not done, and frees everything. */
void notifier_free(struct notifier *notifier); /* NULL is fine */

void notifier_entry(struct notifier *notifier, uint64_t parent, const char *name);
void notifier_inode(struct notifier *notifier, uint64_t ino);
/*
 * Waits until the kernel has heard of everything that was queued before; at most some seconds, and
 * not once the thread is to end. Not from a thread that serves requests: the kernel may wait for
 * one.
 */
void notifier_settle(struct notifier *notifier);
/* Asks the thread to end. May be called from a signal handler. */
void notifier_stop(struct notifier *notifier);

#endif
