/*
 * as_caller.h - making files that belong to whoever asked, by a daemon that runs as root.
 */
#ifndef FS_AS_CALLER_H
#define FS_AS_CALLER_H

#include "call.h"

/*
 * While the guard lives, new files of this thread belong to the caller, and disk quotas count for
 * it. Permissions are not checked again: the kernel has done that, with the caller's groups, which
 * the daemon would have to ask for. A daemon that is not root makes files of its own.
 */
struct as_caller {
	bool active;
};

struct as_caller as_caller_begin(const struct vfs_call *call);
void as_caller_end(struct as_caller *as);

#define AS_CALLER(call) \
	__attribute__((unused)) AUTO(as_caller_end) struct as_caller as_caller_ =    \
		as_caller_begin(call)

#endif
