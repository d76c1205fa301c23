/*
 * launch.h - how a run was started: what `lineagefs run` writes into metadata.json, and what
 * rerun.sh is made of. Anybody else may write the same fields.
 *
 * {"command": [...], "executable": "...", "directory": "...", "user": "...", "host": "...",
 *  "git": {"commit": "...", "dirty": true, "remote": "..."}, "env": {"NAME": "value"}}
 *
 * JSON is UTF-8. What is not, which paths and arguments need not be, is written in place of its
 * string as {"base64": "..."}: nothing is lost or made up.
 */
#ifndef CORE_LAUNCH_H
#define CORE_LAUNCH_H

#include "buf.h"

struct launch_variable {
	char *name, *value;
};

/* NULL, and no command: not known. All owned. */
struct launch {
	char **command;
	size_t command_count, command_cap;
	char *executable, *directory, *user, *host;
	char *commit, *remote;
	enum launch_dirty { LAUNCH_DIRTY_UNKNOWN, LAUNCH_CLEAN, LAUNCH_DIRTY } dirty;
	struct launch_variable *env;
	size_t env_count, env_cap;
};

void launch_release(struct launch *l);
void launch_add_argument(struct launch *l, const char *argument);
void launch_add_variable(struct launch *l, const char *name, const char *value);

/* The text of metadata.json. */
void launch_encode(const struct launch *l, struct buf *ret);
/* What of it can be understood; the rest stays unknown. */
void launch_decode(struct slice text, struct launch *ret);

#endif
