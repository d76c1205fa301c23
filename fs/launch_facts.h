/*
 * launch_facts.h - finds out how a command is about to be started: for metadata.json.
 */
#ifndef FS_LAUNCH_FACTS_H
#define FS_LAUNCH_FACTS_H

#include "core/launch.h"

/* The command, and what this process knows of where and as whom it runs. Asks git. */
void launch_find_facts(struct launch *l, char *const *command);

#endif
