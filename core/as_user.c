#include "as_user.h"

#include "buf.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

/* The C library's functions of these names change all threads; the system calls this one. */
static int thread_groups(size_t n, const gid_t *groups)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}

static int thread_caps(int call, struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(call, &header, caps) < 0 ? -errno : 0;
}

static int save(struct as_user *as)
{
	as->group_count = getgroups(0, NULL);
	if (as->group_count < 0)
		return -errno;
	as->groups = xcalloc((size_t)as->group_count + 1, sizeof(*as->groups));
	as->group_count = getgroups(as->group_count, as->groups);
	if (as->group_count < 0)
		return -errno;
	return thread_caps(SYS_capget, as->caps);
}

/* In the order in which the right to do so goes. */
static int become(const struct as_user *as, uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	struct __user_cap_data_struct none[2] = { { .permitted = as->caps[0].permitted },
						  { .permitted = as->caps[1].permitted } };
	int err = thread_groups(n, groups);

	if (err < 0)
		return err;
	setfsgid(gid);
	setfsuid(uid);
	/* They say what it was before: asked with what cannot be, they change nothing. */
	if ((gid_t)setfsgid((gid_t)-1) != gid || (uid_t)setfsuid((uid_t)-1) != uid)
		return -EPERM;
	return thread_caps(SYS_capset, none);
}

int as_user_begin(uid_t uid, gid_t gid, const gid_t *groups, size_t group_count,
		  struct as_user *ret)
{
	struct as_user as = { .active = true };
	int err;

	*ret = (struct as_user){ .active = false };
	/* What the daemon may, root may as well. */
	if (uid == 0 || uid == geteuid())
		return 0;
	if (geteuid() != 0)
		return -EPERM;
	err = save(&as);
	if (err < 0) {
		free(as.groups);
		return err;
	}
	*ret = as;
	err = become(&as, uid, gid, groups, group_count);
	if (err < 0)
		as_user_end(ret);
	return err;
}

void as_user_end(struct as_user *as)
{
	struct __user_cap_data_struct caps[2];

	if (!as->active)
		return;
	memcpy(caps, as->caps, sizeof(caps));
	setfsuid(geteuid());
	setfsgid(getegid());
	/* A thread that cannot be what it was must not do anything else. */
	if (thread_caps(SYS_capset, caps) < 0 ||
	    thread_groups((size_t)as->group_count, as->groups) < 0 ||
	    (uid_t)setfsuid((uid_t)-1) != geteuid())
		abort();
	free(as->groups);
	as->active = false;
}
