/*
 * console.h - what a run's command wrote to its terminal: one plain file a run, below the store's
 * consoles/, made at the first write. It is nobody's artifact: a copy that may have gaps.
 */
#ifndef CORE_CONSOLE_H
#define CORE_CONSOLE_H

#include "store.h"

#include <sys/stat.h>

/*
 * A descriptor of it; with writes set it is made if it is not there, and every write appends.
 * -ENOENT: nothing was written yet.
 */
int console_open(struct store *store, uint32_t run, bool writes, int *ret_fd);
/* -ENOENT */
int console_stat(struct store *store, uint32_t run, struct stat *ret);
/* Cuts it to a size, or fills it up with zeros. Nothing written yet: it is made. */
int console_truncate(struct store *store, uint32_t run, off_t size);
void console_remove(struct store *store, uint32_t run);
/* Removes those of runs that are no more. While nobody makes runs. */
int console_sweep(struct store *store);

#endif
