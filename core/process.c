#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* linux/pidfd.h, which older headers lack. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#define PF_EXITING 0x4	   /* include/linux/sched.h; stat shows it as field 9 */
#define PF_FORKNOEXEC 0x40 /* forked, and no execve(2) since */

/* Longer environments are not read: execve(2) gives a quarter of the stack's limit at most. */
#define ENVIRONMENT_MAX (8u << 20)

/* A status file with all groups: NGROUPS_MAX of them, up to eleven characters each. */
#define GROUPS_MAX (1u << 20)

/* Does /proc number processes as we do? With that of another pid namespace nobody is seen. */
static bool proc_is_ours;
static pthread_once_t proc_once = PTHREAD_ONCE_INIT;

static void look_at_proc(void)
{
	char self[32] = "";

	if (readlink("/proc/self", self, sizeof(self) - 1) > 0)
		proc_is_ours = strtol(self, NULL, 10) == getpid();
}

static int open_of(pid_t tid, const char *name)
{
	char path[64];
	int fd;

	pthread_once(&proc_once, look_at_proc);
	if (!proc_is_ours)
		return -ESRCH;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

static int read_all(pid_t tid, const char *name, size_t max, struct buf *ret)
{
	autoclose int fd = open_of(tid, name);

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, buf_reserve(ret, 4096), 4096);

		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
		if (ret->len > max)
			return -E2BIG;
	}
}

/* What follows "\n<name>:\t" in a status file. */
static const char *status_field(const struct buf *status, const char *name)
{
	const char *at = buf_str(status);
	size_t len = strlen(name);

	for (; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, len) && at[len] == ':')
			return at + len + 1;
	}
	return "";
}

struct stat_line {
	char state;
	int parent, threads;
	unsigned flags;
	unsigned long long start;
	int exit_status;
};

static int read_stat(pid_t tid, struct stat_line *ret)
{
	AUTO(buf_release) struct buf stat = BUF_INIT;
	const char *at;
	int err = read_all(tid, "stat", 1 << 16, &stat);

	if (err < 0)
		return err;
	/* The name stands in brackets and may hold anything: what follows the last one counts. */
	at = strrchr(buf_str(&stat), ')');
	if (!at || sscanf(at + 1,
			  " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d "
			  "%*d %llu",
			  &ret->state, &ret->parent, &ret->flags, &ret->threads, &ret->start) != 5)
		return -ESRCH;
	at = strrchr(at, ' ');
	ret->exit_status = at ? (int)strtol(at, NULL, 10) : 0;
	return 0;
}

int process_read(pid_t tid, struct process *ret)
{
	AUTO(buf_release) struct buf status = BUF_INIT;
	struct process p = { 0 };
	struct stat_line leader, thread;
	int tgid, err = tid > 0 ? read_all(tid, "status", 1 << 16, &status) : -ESRCH;

	if (err == 0 && sscanf(status_field(&status, "Tgid"), "%d", &tgid) != 1)
		err = -ESRCH;
	if (err == 0 && sscanf(status_field(&status, "Uid"), "%*u %u", &p.uid) != 1)
		err = -ESRCH;
	if (err == 0 && sscanf(status_field(&status, "Gid"), "%*u %u", &p.gid) != 1)
		err = -ESRCH;
	if (err == 0)
		err = read_stat(tgid, &leader);
	if (err < 0)
		return err;
	thread = leader;
	if (tid != tgid && read_stat(tid, &thread) < 0)
		thread = leader;
	p.pid = tgid;
	p.parent = leader.parent;
	p.start = leader.start;
	/* Its first thread may have ended before the others. */
	p.zombie = (leader.state == 'Z' || leader.state == 'X') && leader.threads <= 1;
	p.exiting = thread.flags & PF_EXITING;
	p.exit_status = thread.exit_status;
	*ret = p;
	return 0;
}

bool process_lives(pid_t pid, uint64_t start)
{
	struct process p;

	return process_read(pid, &p) == 0 && p.pid == pid && p.start == start && !p.zombie;
}

int process_environment(pid_t tid, struct buf *ret)
{
	return read_all(tid, "environ", ENVIRONMENT_MAX, ret);
}

const char *environment_value(const struct buf *environment, const char *name)
{
	const char *at = buf_str(environment), *end = at + environment->len;
	size_t len = strlen(name);

	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, name, len) && at[len] == '=')
			return at + len + 1;
	return NULL;
}

size_t process_groups(pid_t pid, gid_t **ret)
{
	AUTO(buf_release) struct buf status = BUF_INIT;
	size_t count = 0, cap = 0;
	const char *at;
	char *end;

	*ret = NULL;
	if (pid <= 0 || read_all(pid, "status", GROUPS_MAX, &status) < 0)
		return 0;
	at = status_field(&status, "Groups");
	for (unsigned long g = strtoul(at, &end, 10); end != at; g = strtoul(at, &end, 10)) {
		*ret = xgrow(*ret, &cap, count + 1, sizeof(**ret));
		(*ret)[count++] = (gid_t)g;
		at = end;
	}
	return count;
}

bool process_in_group(pid_t pid, gid_t gid)
{
	AUTO(buf_release) struct buf status = BUF_INIT;
	const char *at;
	char *end;

	if (pid <= 0 || read_all(pid, "status", GROUPS_MAX, &status) < 0)
		return false;
	at = status_field(&status, "Groups");
	for (unsigned long g = strtoul(at, &end, 10); end != at; g = strtoul(at, &end, 10)) {
		if (g == gid)
			return true;
		at = end;
	}
	return false;
}

int process_command(pid_t pid, struct buf *ret)
{
	return read_all(pid, "cmdline", ENVIRONMENT_MAX, ret);
}

static uint64_t namespace_of(pid_t tid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)tid);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/*
 * The numbers that a process has, one for each pid namespace from ours down to its own: how many
 * there are, and the last one.
 */
static unsigned numbers_of(pid_t pid, pid_t *ret_own)
{
	AUTO(buf_release) struct buf status = BUF_INIT;
	unsigned count = 0;
	const char *at;
	char *end;

	if (read_all(pid, "status", 1 << 16, &status) < 0)
		return 0;
	at = status_field(&status, "NSpid");
	while (*at != '\n') {
		long n = strtol(at, &end, 10);

		if (end == at)
			break;
		*ret_own = (pid_t)n;
		count++;
		at = end;
	}
	return count;
}

struct search {
	uint64_t space;
	pid_t number, found;
};

static int match(void *arg, pid_t pid)
{
	struct search *s = arg;
	pid_t own;

	if (namespace_of(pid) != s->space || numbers_of(pid, &own) == 0 || own != s->number)
		return 0;
	s->found = pid;
	return 1;
}

int process_translate(pid_t tid, pid_t number, pid_t *ret)
{
	struct search s = { .space = namespace_of(tid), .number = number };
	struct process self;
	pid_t own;
	int err;

	if (tid <= 0)
		return -ESRCH;
	/* We may not ask for another user's namespace, but one number only is one of ours. */
	if (s.space ? s.space == process_namespace() : numbers_of(tid, &own) == 1) {
		*ret = number;
		return 0;
	}
	if (s.space == 0)
		return -ESRCH;
	/* Itself, most often: no need to look at all others. */
	err = process_read(tid, &self);
	if (err == 0 && match(&s, self.pid) == 0)
		process_each(match, &s);
	if (err < 0 || s.found == 0)
		return -ESRCH;
	*ret = s.found;
	return 0;
}

int process_each(process_visit *visit, void *arg)
{
	DIR *dir = opendir("/proc");
	int result = 0;

	if (!dir)
		return -errno;
	pthread_once(&proc_once, look_at_proc);
	for (struct dirent *e; proc_is_ours && result == 0 && (e = readdir(dir));) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (pid > 0 && *end == '\0')
			result = visit(arg, (pid_t)pid);
	}
	closedir(dir);
	return result;
}

static char boot_id[BOOT_ID_SIZE];
static uint64_t own_namespace;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void learn(void)
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot_id, BOOT_ID_SIZE - 1);

	if (n != BOOT_ID_SIZE - 1)
		boot_id[0] = '\0';
	own_namespace = namespace_of(getpid());
}

const char *process_boot_id(void)
{
	pthread_once(&once, learn);
	return boot_id;
}

uint64_t process_namespace(void)
{
	pthread_once(&once, learn);
	return own_namespace;
}

/* A process that was vforked shares its parent's memory until it executes something: -EAGAIN. */
static int check_memory(pid_t tid)
{
	struct stat_line stat;
	int err = read_stat(tid, &stat);

	if (err < 0 || !(stat.flags & PF_FORKNOEXEC))
		return err;
	/* 0: the same; what cannot be told counts as the same. */
	return syscall(SYS_kcmp, tid, stat.parent, KCMP_VM, 0, 0) <= 0 ? -EAGAIN : 0;
}

/*
 * A descriptor that tells whether the thread is there. A pidfd is the cheapest (0.3 us), but of a
 * thread that is not the first of its process only since Linux 6.9; comm (0.7 us) is -ESRCH once
 * the thread is gone, whoever has its number then.
 */
static int open_task(pid_t tid, struct process_mark *ret)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, 0);

	if (fd < 0)
		fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	ret->pidfd = fd >= 0;
	ret->task = fd >= 0 ? fd : open_of(tid, "comm");
	return ret->task < 0 ? ret->task : 0;
}

int process_mark(pid_t tid, struct process_mark *ret)
{
	struct process_mark mark = PROCESS_MARK_NONE;
	int err = check_memory(tid);

	if (err == 0)
		err = open_task(tid, &mark);
	if (err < 0)
		return err;
	mark.program = open_of(tid, "pagemap");
	if (mark.program == -ESRCH) /* a kernel without it */
		mark.program = open_of(tid, "environ");
	if (mark.program < 0) {
		err = mark.program;
		mark.program = -1;
		process_mark_release(&mark);
		return err;
	}
	*ret = mark;
	return 0;
}

/*
 * A descriptor of pagemap or environ holds on to the address space that the thread had: after an
 * execve(2) or the end that has no users. Both files look whether it has (mmget_not_zero() in
 * fs/proc/task_mmu.c and base.c) before anything else, and read as empty if not. Of one that lives,
 * one byte of pagemap is -EINVAL, since entries have eight, before anything is locked.
 */
bool process_is_marked(const struct process_mark *mark)
{
	struct pollfd ended = { .fd = mark->task, .events = POLLIN };
	char byte;

	if (mark->pidfd ? poll(&ended, 1, 0) != 0 : pread(mark->task, &byte, 1, 0) <= 0)
		return false;
	return pread(mark->program, &byte, 1, 0) != 0;
}

void process_mark_release(struct process_mark *mark)
{
	if (mark->task >= 0)
		close(mark->task);
	if (mark->program >= 0)
		close(mark->program);
	*mark = PROCESS_MARK_NONE;
}
