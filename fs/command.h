/*
 * command.h - what the commands that work through a mount have in common.
 */
#ifndef FS_COMMAND_H
#define FS_COMMAND_H

#include "core/base.h"

/* As much of a request as any kernel takes in one write, bytes. */
#define COMMAND_REQUEST_MAX (64u << 10)

/* Says on standard error why command cannot; status 2: it is called wrongly. Returns status. */
PRINTF_LIKE(3, 4) int command_refuse(const char *command, int status, const char *fmt, ...);

/*
 * What getopt_long() has returned that is no option of the command's own, and the word that it was
 * at: 'h' prints the help (-1: all is said, 1: it cannot be), ':' and '?' are refused (2).
 */
int command_option(const char *command, const char *help, int option, const char *word);

/* How many bytes: "1234", or as `du -h` has it: "1.3K", "18M", rounded up. */
struct size_text {
	char text[24];
};
struct size_text size_in_bytes(uint64_t bytes);
struct size_text size_for_people(uint64_t bytes);

#endif
