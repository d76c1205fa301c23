#include "child.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "relay.h"

/* Passed on when a process sends them to us. */
static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT,
				 SIGTSTP };

void child_init(struct child *c)
{
	struct sigaction plain = { .sa_handler = SIG_DFL }, ignore = { .sa_handler = SIG_IGN };

	*c = (struct child){ .pid = -1 };
	sigemptyset(&c->signals);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&c->signals, passed_on[i]);
	sigaddset(&c->signals, SIGCHLD);
	sigaddset(&c->signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &c->signals, &c->mask_before);
	/* Who started us may have these otherwise; the command gets them back. */
	sigaction(SIGCHLD, &plain, &c->child_before);
	sigaction(SIGPIPE, &ignore, &c->pipe_before);
}

/* A stream of the command: the end it writes to, and the one we read. */
struct channel {
	int write_end, read_end;
};

static int make_pipe(struct channel *ret)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret = (struct channel){ ends[1], ends[0] };
	return 0;
}

/*
 * A terminal in place of a terminal. What is written to it is handed on to the real one, which
 * translates newlines then: it must not happen twice.
 */
static int make_terminal(int original, struct channel *ret)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct winsize size;
	struct termios mode;
	int slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
		if (master >= 0)
			close(master);
		return -errno;
	}
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		close(master);
		return -errno;
	}
	if (tcgetattr(original, &mode) == 0) {
		mode.c_oflag &= ~(tcflag_t)OPOST;
		mode.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
		tcsetattr(slave, TCSANOW, &mode);
	}
	if (ioctl(original, TIOCGWINSZ, &size) == 0)
		ioctl(master, TIOCSWINSZ, &size);
	*ret = (struct channel){ slave, master };
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino && x.st_rdev == y.st_rdev;
}

/* A stream that is closed, or is in its place only until then, stays closed. */
static int make_channel(struct child *c, int original, struct channel *ret)
{
	int flags = fcntl(original, F_GETFD);

	if (flags < 0 || (flags & FD_CLOEXEC))
		return 0;
	if (isatty(original) && make_terminal(original, ret) == 0) {
		c->terminals[c->terminal_count++] =
			(struct child_terminal){ ret->read_end, original };
		return 0;
	}
	return make_pipe(ret);
}

/* In the new process: becomes the command, or says why not. */
_Noreturn static void become(const struct child *c, char *const *command,
			     const struct channel channels[2], int go, int report)
{
	char byte;
	int err;

	/* Until we are known. */
	while (read(go, &byte, 1) < 0 && errno == EINTR)
		;
	for (int i = 0; i < 2; i++)
		if (channels[i].write_end >= 0)
			dup2(channels[i].write_end, i + 1);
	sigaction(SIGCHLD, &c->child_before, NULL);
	sigaction(SIGPIPE, &c->pipe_before, NULL);
	sigprocmask(SIG_SETMASK, &c->mask_before, NULL);
	execvp(command[0], command);
	err = -errno;
	if (write(report, &err, sizeof(err)) != sizeof(err))
		_exit(126);
	_exit(127);
}

static int start_relay(struct child *c, const struct channel channels[2], bool together,
		       const char *console)
{
	int err = 0;

	c->relay = relay_new(console);
	for (int i = 0; i < 2; i++) {
		if (channels[i].write_end < 0 || (i == 1 && together))
			continue;
		close(channels[i].write_end);
		if (err == 0)
			err = relay_add(c->relay, channels[i].read_end, i + 1);
	}
	return err;
}

static int spawn(struct child *c, char *const *command, const struct channel channels[2],
		 int *ret_go, int *ret_report)
{
	int go[2] = { -1, -1 }, report[2] = { -1, -1 };

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0 || (c->pid = fork()) < 0) {
		int err = -errno;

		for (int i = 0; i < 2; i++) {
			if (go[i] >= 0)
				close(go[i]);
			if (report[i] >= 0)
				close(report[i]);
		}
		return err;
	}
	if (c->pid == 0) {
		close(go[1]);
		close(report[0]);
		become(c, command, channels, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	*ret_go = go[1];
	*ret_report = report[0];
	return 0;
}

int child_start(struct child *c, char *const *command, const char *console,
		void (*started)(void *arg, pid_t pid), void *arg, struct buf *why)
{
	struct channel channels[2] = { { -1, -1 }, { -1, -1 } };
	bool together = same_file(1, 2);
	int go = -1, report = -1, failure = 0;
	int err = make_channel(c, 1, &channels[0]);

	/* What goes to one place keeps its order. */
	if (err == 0 && together)
		channels[1] = channels[0];
	else if (err == 0)
		err = make_channel(c, 2, &channels[1]);
	if (err == 0)
		err = spawn(c, command, channels, &go, &report);
	if (err == 0) {
		err = start_relay(c, channels, together, console);
		started(arg, c->pid);
		/* Closing it is the sign to go on. */
		close(go);
	}
	if (err < 0) {
		buf_printf(why, "the command cannot be started: %s", strerror(-err));
		if (c->pid > 0)
			kill(c->pid, SIGKILL);
	} else if (read(report, &failure, sizeof(failure)) == sizeof(failure)) {
		err = failure;
	}
	if (report >= 0)
		close(report);
	return err;
}

static void resize(struct child *c)
{
	for (size_t i = 0; i < c->terminal_count; i++) {
		struct winsize size;

		if (ioctl(c->terminals[i].original, TIOCGWINSZ, &size) == 0)
			ioctl(c->terminals[i].master, TIOCSWINSZ, &size);
	}
	/* It was told by the terminal, but perhaps before it could see the new size. */
	if (c->terminal_count)
		kill(0, SIGWINCH);
}

/* The shell that we belong to sees us stopped, as it would see the command. */
static void suspend(struct child *c)
{
	c->suspend_asked = false;
	raise(SIGSTOP);
}

/* Everything that ended or stopped; true and its status: the command has ended. */
static bool reap(struct child *c, int *ret)
{
	bool ended = false, stopped = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != c->pid)
			continue;
		stopped = WIFSTOPPED(status) &&
			  (c->suspend_asked || WSTOPSIG(status) == SIGTSTP ||
			   WSTOPSIG(status) == SIGTTIN || WSTOPSIG(status) == SIGTTOU);
		if (!WIFSTOPPED(status)) {
			*ret = status;
			ended = true;
		}
	}
	if (stopped && !ended)
		suspend(c);
	return ended;
}

int child_wait(struct child *c)
{
	int status = 0;

	while (!reap(c, &status)) {
		siginfo_t info;
		int n = sigwaitinfo(&c->signals, &info);

		if (n < 0 || n == SIGCHLD)
			continue;
		if (n == SIGWINCH) {
			if (info.si_pid != getpid())
				resize(c);
		} else if (info.si_code <= 0) {
			kill(c->pid, n);
		} else if (n == SIGTSTP) {
			c->suspend_asked = true;
		}
	}
	c->pid = -1;
	return status;
}

void child_release(struct child *c, struct buf *why)
{
	if (c->relay)
		relay_finish(steal(c->relay), why);
}
