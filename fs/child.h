/*
 * child.h - a command as a child of this process that takes nothing from it: it has our standard
 * input, our terminal and process group, our signals; what it writes is relayed. Signals sent to us
 * are passed on to it; those that the terminal sends go to it anyway.
 */
#ifndef FS_CHILD_H
#define FS_CHILD_H

#include "core/base.h"
#include "core/buf.h"

#include <signal.h>

struct relay;

struct child {
	pid_t pid;
	struct relay *relay;
	/* Of the streams that are terminals, the ends that have our window's size; else -1. */
	struct child_terminal {
		int master, original;
	} terminals[2];
	size_t terminal_count;
	sigset_t signals;     /* those that we wait for, blocked from child_init() on */
	sigset_t mask_before; /* what the command is to have */
	struct sigaction pipe_before, child_before;
	bool suspend_asked;   /* the terminal's ^Z came */
};

/* Blocks signals; before any thread and any child is started. */
void child_init(struct child *c);

/*
 * Starts command (ended by NULL) with its streams relayed and copied to console. When its process
 * is there, and before it becomes the command, started is called with it. 0; what execvp(3) said,
 * as -errno; other failures come with a sentence in why.
 */
int child_start(struct child *c, char *const *command, const char *console,
		void (*started)(void *arg, pid_t pid), void *arg, struct buf *why);

/*
 * Waits for its end, passes signals on, stops when it is stopped by the terminal, and reaps
 * whatever else became our child. Returns its wait status.
 */
int child_wait(struct child *c);

/* What it still has to say; a sentence in why if the console has gaps. */
void child_release(struct child *c, struct buf *why);

#endif
