/*
 * as_user.h - looking at files outside of the store as who asked may, not as the daemon may.
 *
 * Between begin and end the calling thread, and no other, has the user's ids and groups, and no
 * capability. What is looked at is still what the daemon sees: its mount namespace and its root.
 */
#ifndef CORE_AS_USER_H
#define CORE_AS_USER_H

#include "base.h"

#include <linux/capability.h>
#include <sys/types.h>

struct as_user {
	bool active;
	gid_t *groups; /* that the thread had */
	int group_count;
	struct __user_cap_data_struct caps[2];
};

/* -EPERM: a daemon that is not root cannot be somebody else. Only root needs no end. */
int as_user_begin(uid_t uid, gid_t gid, const gid_t *groups, size_t group_count,
		  struct as_user *ret);
void as_user_end(struct as_user *as);

#endif
