#include "git.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

/* All questions together may take so long: the command waits for the answers. */
#define PATIENCE_MS 3000
/* More than any answer that is wanted. */
#define ANSWER_MAX 4096

extern char **environ;

static pid_t start(char *const argv[], int *ret_fd)
{
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	else
		*ret_fd = ends[0];
	return pid;
}

/* Reads until the end, or until there is more than enough; false: not in time. */
static bool read_answer(int fd, int64_t deadline, struct buf *ret)
{
	while (ret->len < ANSWER_MAX) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - monotonic_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return false;
		n = read(fd, buf_reserve(ret, ANSWER_MAX), ANSWER_MAX);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
	}
	return true;
}

/* Asks; 0 and the answer without the newline at its end, else -errno. */
static int ask(int64_t deadline, struct buf *ret, const char *question, ...)
{
	/* Looking must not write: an index that is refreshed is a file that changes. */
	char *argv[8] = { (char *)"git", (char *)"--no-optional-locks" };
	int fd = -1, status = -1;
	va_list list;
	bool in_time;
	pid_t pid;

	va_start(list, question);
	argv[2] = (char *)question;
	for (size_t i = 3; i + 1 < ARRAY_SIZE(argv); i++) {
		argv[i] = va_arg(list, char *);
		if (!argv[i])
			break;
	}
	va_end(list);
	if (monotonic_ms() >= deadline)
		return -ETIMEDOUT;
	pid = start(argv, &fd);
	if (pid < 0)
		return -ENOENT;
	in_time = read_answer(fd, deadline, ret);
	if (!in_time)
		kill(pid, SIGKILL);
	/* After enough of an answer, SIGPIPE ends it. */
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!in_time)
		return -ETIMEDOUT;
	if (ret->len < ANSWER_MAX && status != 0)
		return -EINVAL;
	while (ret->len > 0 && ret->data[ret->len - 1] == '\n')
		ret->data[--ret->len] = '\0';
	return 0;
}

/* https://user:token@host/x -> https://host/x */
static char *without_secrets(const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *host = scheme ? scheme + 3 : url;
	size_t n = strcspn(host, "/?#");
	const char *at = scheme ? memrchr(host, '@', n) : NULL;

	if (!at)
		return xstrdup(url);
	return xasprintf("%.*s%s", (int)(host - url), url, at + 1);
}

void git_describe(struct launch *l)
{
	AUTO(buf_release) struct buf commit = BUF_INIT, changes = BUF_INIT, remote = BUF_INIT;
	int64_t deadline = monotonic_ms() + PATIENCE_MS;

	if (ask(deadline, &commit, "rev-parse", "--verify", "HEAD", NULL) == 0 && commit.len > 0)
		l->commit = buf_detach(&commit);
	if (l->commit &&
	    ask(deadline, &remote, "config", "--get", "remote.origin.url", NULL) == 0 &&
	    remote.len > 0)
		l->remote = without_secrets(buf_str(&remote));
	if (l->commit &&
	    ask(deadline, &changes, "status", "--porcelain", "--untracked-files=no", NULL) == 0)
		l->dirty = changes.len > 0 ? LAUNCH_DIRTY : LAUNCH_CLEAN;
}
