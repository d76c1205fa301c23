/*
 * rerun.h - rerun.sh: a run as a POSIX shell script that repeats it, with the versions it used.
 */
#ifndef CORE_RERUN_H
#define CORE_RERUN_H

#include "run.h"

/* Adds the script to ret. A run whose command is not known gives one that says so and fails. */
int rerun_script(struct store *store, const struct run *run, struct buf *ret);

#endif
