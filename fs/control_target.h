/*
 * control_target.h - what `gc` and `fsck` work on: a store that nobody has, which is opened, or a
 * live daemon, which is asked. Both are asked in the same words (core/document_control.h).
 */
#ifndef FS_CONTROL_TARGET_H
#define FS_CONTROL_TARGET_H

#include "conf/conf.h"
#include "core/store.h"

struct control_target {
	int fd; /* a daemon's; -1 */
	struct conf conf;
	struct store *store; /* or the store itself */
};

/*
 * path: a store or where one is mounted. conf_file: options of a store that is not mounted, NULL:
 * the usual ones. salvage: a store that cannot be mounted is opened as well. On failure -errno and
 * a sentence in why; released all the same.
 */
int control_target_open(struct control_target *t, const char *path, const char *conf_file,
			bool salvage, struct buf *why);
void control_target_release(struct control_target *t);

/* One request. On failure -errno, and why says it. */
int control_target_ask(struct control_target *t, struct slice request, struct buf *answer,
		       struct buf *why);

#endif
