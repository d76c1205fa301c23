/*
 * run_finish.h - ending a run: logging may take long, and may fail.
 */
#ifndef FS_RUN_FINISH_H
#define FS_RUN_FINISH_H

#include "run_files.h"

#include <signal.h>

/*
 * Writes the run's last state, as the wait status of its command says. Shows on a terminal how far
 * logging is; then says on standard error what was logged, or why not and what to do. signals are
 * blocked: of those, SIGHUP, SIGINT, SIGQUIT and SIGTERM interrupt the logging; SIGCHLD tells that
 * something which may still have been writing ended. Reaps it. 0 or -errno.
 */
int run_finish(const struct run_files *files, int status, const sigset_t *signals);

/* "exit status 3", "SIGKILL". */
void describe_status(int status, struct buf *ret);

#endif
