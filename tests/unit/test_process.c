/* The contract of core/process.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/process.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* A child that waits to be killed, or runs a program that does. */
static pid_t start(bool execute)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (execute)
			execlp("sleep", "sleep", "1000", (char *)NULL);
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_process_is_read(void **state)
{
	AUTO(buf_release) struct buf environment = BUF_INIT;
	AUTO(buf_release) struct buf command = BUF_INIT;
	struct process p;

	(void)state;
	assert_int_equal(process_read(getpid(), &p), 0);
	assert_true(p.pid == getpid() && p.parent == getppid() && p.start > 0);
	assert_true(!p.zombie && !p.exiting && p.uid == geteuid() && p.gid == getegid());
	assert_true(process_lives(p.pid, p.start));
	assert_false(process_lives(p.pid, p.start + 1));
	assert_int_equal(process_environment(getpid(), &environment), 0);
	assert_string_equal(environment_value(&environment, "PATH"), getenv("PATH"));
	assert_null(environment_value(&environment, "PAT"));
	assert_null(environment_value(&environment, "NO_SUCH_VARIABLE"));
	assert_int_equal(process_command(getpid(), &command), 0);
	assert_true(command.len > 0);
	assert_int_equal(process_read(0, &p), -ESRCH);
	assert_int_equal(process_read(-1, &p), -ESRCH);
	assert_int_equal(process_read(INT32_MAX, &p), -ESRCH);
	assert_int_equal(process_environment(INT32_MAX, &environment), -ESRCH);
}

static void a_name_may_hold_anything(void **state)
{
	struct process p;
	pid_t pid = fork();
	char name[16];

	(void)state;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, ") Z 1 (\n");
		for (;;)
			pause();
	}
	do {
		autofree char *path = NULL;
		FILE *f;

		assert_true(asprintf(&path, "/proc/%d/comm", (int)pid) > 0);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_non_null(fgets(name, sizeof(name), f));
		fclose(f);
	} while (name[0] != ')');
	assert_int_equal(process_read(pid, &p), 0);
	assert_true(p.pid == pid && p.parent == getpid() && !p.zombie);
	end(pid);
}

static void ends_are_seen(void **state)
{
	pid_t pid = start(false);
	struct process p;

	(void)state;
	assert_int_equal(process_read(pid, &p), 0);
	assert_true(process_lives(pid, p.start));
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	/* Nobody has waited for it yet. */
	assert_int_equal(process_read(pid, &p), 0);
	assert_true(p.zombie);
	assert_false(process_lives(pid, p.start));
	waitpid(pid, NULL, 0);
	assert_false(process_lives(pid, p.start));
}

struct thread {
	pthread_t id;
	pid_t tid;
	pthread_barrier_t ready, go;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	t->tid = own_tid();
	pthread_barrier_wait(&t->ready);
	pthread_barrier_wait(&t->go);
	return NULL;
}

static void a_thread_is_its_process(void **state)
{
	struct process p, self;
	struct process_mark mark = PROCESS_MARK_NONE;
	/* Who may not look at the parent's memory cannot know that it is another. */
	int expected = kill(getppid(), 0) < 0 && errno == EPERM ? -EAGAIN : 0;
	struct thread t;

	(void)state;
	pthread_barrier_init(&t.ready, NULL, 2);
	pthread_barrier_init(&t.go, NULL, 2);
	assert_int_equal(pthread_create(&t.id, NULL, run_thread, &t), 0);
	pthread_barrier_wait(&t.ready);
	assert_int_equal(process_read(getpid(), &self), 0);
	assert_int_equal(process_read(t.tid, &p), 0);
	assert_true(t.tid != getpid() && p.pid == getpid() && p.start == self.start);
	assert_int_equal(process_mark(t.tid, &mark), expected);
	assert_true(process_is_marked(&mark) == (expected == 0));
	pthread_barrier_wait(&t.go);
	pthread_join(t.id, NULL);
	/* The process goes on, but its thread's number may be somebody else's. */
	while (process_read(t.tid, &p) == 0)
		usleep(100);
	assert_false(process_is_marked(&mark));
	process_mark_release(&mark);
	/* This one has executed a program of its own. */
	assert_int_equal(process_mark(getpid(), &mark), 0);
	assert_true(process_is_marked(&mark));
	process_mark_release(&mark);
	pthread_barrier_destroy(&t.ready);
	pthread_barrier_destroy(&t.go);
}

static void a_mark_is_of_one_program(void **state)
{
	struct process_mark mark;
	pid_t pid = fork();
	sigset_t set;
	int signal;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigwait(&set, &signal);
		execlp("sleep", "sleep", "1000", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(process_mark(pid, &mark), 0);
	assert_true(process_is_marked(&mark));
	usleep(10000); /* until it has blocked the signal: else it ends, which is as good */
	kill(pid, SIGUSR1);
	while (process_is_marked(&mark))
		usleep(100);
	process_mark_release(&mark);
	if (process_mark(pid, &mark) == 0) {
		assert_true(process_is_marked(&mark));
		end(pid);
		assert_false(process_is_marked(&mark));
		process_mark_release(&mark);
	} else {
		waitpid(pid, NULL, 0);
	}
}

static int wait_in_borrowed_memory(void *arg)
{
	while (arg == NULL)
		pause();
	return 0;
}

static void borrowed_memory_is_not_marked(void **state)
{
	static char stack[65536];
	struct process_mark mark;
	pid_t pid = clone(wait_in_borrowed_memory, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(process_mark(pid, &mark), -EAGAIN);
	end(pid);
	/* A fork has its own. */
	pid = start(false);
	assert_int_equal(process_mark(pid, &mark), 0);
	assert_true(process_is_marked(&mark));
	process_mark_release(&mark);
	end(pid);
	assert_int_equal(process_mark(pid, &mark), -ESRCH);
}

static int find_self(void *arg, pid_t pid)
{
	(*(unsigned *)arg)++;
	return pid == getpid() ? 7 : 0;
}

static void all_processes_are_walked(void **state)
{
	unsigned count = 0;
	pid_t pid = 0;

	(void)state;
	assert_int_equal(process_each(find_self, &count), 7);
	assert_true(count > 0);
	/* In our own namespace numbers are what they are. */
	assert_int_equal(process_translate(0, getpid(), &pid), -ESRCH);
	assert_int_equal(process_translate(INT32_MAX, getpid(), &pid), -ESRCH);
	assert_int_equal(process_translate(own_tid(), 4711, &pid), 0);
	assert_int_equal(pid, 4711);
	assert_int_equal(strlen(process_boot_id()), BOOT_ID_SIZE - 1);
	assert_true(process_namespace() != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_read),
		cmocka_unit_test(a_name_may_hold_anything),
		cmocka_unit_test(ends_are_seen),
		cmocka_unit_test(a_thread_is_its_process),
		cmocka_unit_test(a_mark_is_of_one_program),
		cmocka_unit_test(borrowed_memory_is_not_marked),
		cmocka_unit_test(all_processes_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
