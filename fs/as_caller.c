#include "as_caller.h"

#include "core/log.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

static int cap_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(SYS_capget, &header, data);
}

static int cap_set(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(SYS_capset, &header, data);
}

struct as_caller as_caller_begin(const struct vfs_call *call)
{
	/* glibc's setfsuid changes the calling thread alone, unlike its setuid. */
	const unsigned pass = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_data_struct caps[2];

	if (geteuid() != 0 || call->uid == 0) {
		/* Root's files may still be of another group than the daemon's. */
		if (geteuid() == 0 && call->gid != getegid()) {
			setfsgid(call->gid);
			return (struct as_caller){ .active = true };
		}
		return (struct as_caller){ .active = false };
	}
	setfsgid(call->gid);
	setfsuid(call->uid);
	/* Leaving fsuid 0 drops the filesystem capabilities; coming back raises them again. */
	if (cap_get(caps) < 0)
		return (struct as_caller){ .active = true };
	caps[0].effective |= pass & caps[0].permitted;
	if (cap_set(caps) < 0)
		log_errno(-errno, "keeping CAP_DAC_OVERRIDE");
	return (struct as_caller){ .active = true };
}

void as_caller_end(struct as_caller *as)
{
	if (!as->active)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
}
