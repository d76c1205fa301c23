/*
 * run_id.h - names for runs that nobody named: calm-otter-042.
 */
#ifndef FS_RUN_ID_H
#define FS_RUN_ID_H

#include "core/base.h"

/* A new one at random, malloc()ed; one of 4 million, so it may be taken. */
char *run_id_new(void);

#endif
