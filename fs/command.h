/*
 * command.h - what the commands that work through a mount have in common.
 */
#ifndef FS_COMMAND_H
#define FS_COMMAND_H

#include "core/base.h"

/* Says on standard error why command cannot; status 2: it is called wrongly. Returns status. */
PRINTF_LIKE(3, 4) int command_refuse(const char *command, int status, const char *fmt, ...);

#endif
