/*
 * process.h - what /proc says of processes: who they are, whose children, what is in their
 * environment, whether they live.
 *
 * A process is named by its number and its start time (proc(5), stat, field 22), because numbers
 * are used again; beyond one machine and boot also by boot id and pid namespace. Numbers are those
 * of this process's own pid namespace.
 *
 * Nothing here is asked while a lock is held that a request needs: reading another process's
 * environment waits for its memory map, which may wait for us.
 */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include "base.h"
#include "buf.h"

#include <sys/types.h>

/* A kernel's boot id is 36 characters (random(4)). */
#define BOOT_ID_SIZE 37

struct process {
	pid_t pid; /* of the process, whichever thread was asked about */
	pid_t parent;
	uint64_t start; /* clock ticks after boot */
	bool zombie;	/* has ended, but was not waited for */
	bool exiting;	/* the thread that was asked about is ending at this moment */
	int exit_status; /* its, then, as of wait(2); 0 where we may not know */
	uid_t uid;	/* effective */
	gid_t gid;
};

/* tid: of any thread of it. -ESRCH. */
int process_read(pid_t tid, struct process *ret);
/* Does it live: neither ended nor another one of the same number? */
bool process_lives(pid_t pid, uint64_t start);
/* The environment that its last execve(2) gave it: -ESRCH, -EACCES. */
int process_environment(pid_t tid, struct buf *ret);
/* The value of a variable in it, borrowed; NULL: there is none. */
const char *environment_value(const struct buf *environment, const char *name);
/* Is the process in this group besides its own? */
bool process_in_group(pid_t pid, gid_t gid);
/* Its supplementary groups, in an array for the caller to free; none if it cannot be seen. */
size_t process_groups(pid_t pid, gid_t **ret);
/* Its command line, arguments divided by NUL; -ESRCH. */
int process_command(pid_t pid, struct buf *ret);
/*
 * The process that calls itself `number` in the pid namespace of thread tid, by our numbers:
 * a container's process 7 is not ours. -ESRCH, also when the thread cannot be seen.
 */
int process_translate(pid_t tid, pid_t number, pid_t *ret);
/* Calls visit for each process that is there now; non-zero ends the walk. */
typedef int process_visit(void *arg, pid_t pid);
int process_each(process_visit *visit, void *arg);

/* Of this machine, this boot and this pid namespace. */
const char *process_boot_id(void);
uint64_t process_namespace(void);

/*
 * A thread that is remembered: is it still there, running the same program? Two descriptors and two
 * small system calls, no lock of the other process.
 */
struct process_mark {
	int task;    /* a pidfd, or /proc/<tid>/comm */
	int program; /* /proc/<tid>/pagemap, or environ */
	bool pidfd;
};

#define PROCESS_MARK_NONE ((struct process_mark){ -1, -1, false })

/*
 * -EAGAIN: it was vforked and is about to be another program; -EACCES, -ESRCH, -EMFILE.
 */
int process_mark(pid_t tid, struct process_mark *ret);
bool process_is_marked(const struct process_mark *mark);
void process_mark_release(struct process_mark *mark);

#endif
