#include "run_finish.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "core/document.h"

/* Stragglers that still write are waited for so long. */
#define STRAGGLERS_MS 5000
/* A daemon that is gone may be started again within this time. */
#define MOUNT_GONE_MS 30000
/* So often is tried again what no event tells. */
#define TURN_MS 200
/* Logging that takes less shows nothing. */
#define QUIET_MS 1000
#define BAR_WIDTH 24
/* A signal of our own, to end a system call of the thread that logs. */
#define INTERRUPT SIGRTMIN

struct finishing {
	const struct run_files *files;
	struct buf state; /* what is written */
	pthread_t thread;
	int done;    /* an eventfd: readable once err is there */
	int signals; /* a signalfd */
	int err;
	bool interrupted;
	bool bar; /* is one on the terminal? */
	int64_t started;
	uint64_t total; /* bytes in outputs/, 0: not known */
};

void describe_status(int status, struct buf *ret)
{
	if (WIFSIGNALED(status))
		run_signal_name(WTERMSIG(status), ret);
	else
		buf_printf(ret, "exit status %d", WEXITSTATUS(status));
}

static void add_size(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buf_printf(b, "%llu bytes", (unsigned long long)bytes);
		return;
	}
	for (; n >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		n /= 1024;
	buf_printf(b, "%.1f %s", n, units[i]);
}

/* ---- the thread that writes ---- */

static void on_interrupt(int signal)
{
	(void)signal;
}

static void *write_state(void *arg)
{
	struct finishing *f = arg;
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, INTERRUPT);
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
	f->err = run_file_write(f->files, "state", buf_slice(&f->state));
	eventfd_write(f->done, 1);
	return NULL;
}

/* ---- the progress bar ---- */

/* nftw(3) has no argument for its function. */
static struct {
	struct finishing *finishing;
	uint64_t bytes;
	size_t top; /* length of the path of outputs/ and a slash */
	unsigned seen;
} walk;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct pollfd p[] = { { .fd = walk.finishing->done, .events = POLLIN },
			      { .fd = walk.finishing->signals, .events = POLLIN } };

	(void)ftw;
	if (++walk.seen % 256 == 0 && poll(p, ARRAY_SIZE(p), 0) > 0)
		return 1;
	/* Scratch is not logged. */
	if (type == FTW_F && S_ISREG(st->st_mode) && strlen(path) > walk.top &&
	    path[walk.top] != '.')
		walk.bytes += (uint64_t)st->st_size;
	return 0;
}

/* How much there is to read; a walk that something else interrupts tells nothing. */
static void measure(struct finishing *f)
{
	autofree char *outputs = run_file_path(f->files, "outputs");

	walk.finishing = f;
	walk.bytes = 0;
	walk.top = strlen(outputs) + 1;
	walk.seen = 0;
	if (nftw(outputs, add_file, 64, FTW_PHYS) == 0)
		f->total = walk.bytes;
}

static void add_bar(struct buf *line, uint64_t bytes, uint64_t total)
{
	unsigned percent = bytes >= total ? 100 : (unsigned)((double)bytes * 100 / (double)total);

	buf_add_char(line, '[');
	for (unsigned i = 0; i < BAR_WIDTH; i++)
		buf_add_char(line, i * 100 < percent * BAR_WIDTH ? '#' : '-');
	buf_printf(line, "] %3u %% of ", percent);
	add_size(line, total);
}

static void show_progress(struct finishing *f)
{
	AUTO(buf_release) struct buf info = BUF_INIT, line = BUF_INIT;
	uint64_t files, bytes;

	if (!isatty(2) || monotonic_ms() - f->started < QUIET_MS)
		return;
	if (!f->bar)
		measure(f);
	f->bar = true;
	if (run_file_read(f->files, "info.json", &info) < 0 ||
	    !document_progress(buf_slice(&info), &files, &bytes))
		return;
	buf_add_str(&line, "\rlogging ");
	if (f->total > 0)
		add_bar(&line, bytes, f->total);
	else
		add_size(&line, bytes);
	buf_printf(&line, ", %llu files\033[K", (unsigned long long)files);
	fputs(buf_str(&line), stderr);
}

static void hide_progress(struct finishing *f)
{
	if (f->bar)
		fputs("\r\033[K", stderr);
	f->bar = false;
}

/* ---- writing the state ---- */

/* Signals that came: SIGCHLD is reaped, the others end the logging. true: something ended. */
static bool take_signals(struct finishing *f)
{
	struct signalfd_siginfo info;
	bool ended = false;

	while (read(f->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			while (waitpid(-1, NULL, WNOHANG) > 0)
				ended = true;
			break;
		case SIGHUP:
		case SIGINT:
		case SIGQUIT:
		case SIGTERM:
			f->interrupted = true;
			break;
		default:
			break;
		}
	}
	return ended;
}

/* One try, in a thread of its own, while this one watches. */
static int try_once(struct finishing *f)
{
	eventfd_t n;
	int err = pthread_create(&f->thread, NULL, write_state, f);

	if (err)
		return -err;
	for (;;) {
		struct pollfd p[] = { { .fd = f->done, .events = POLLIN },
				      { .fd = f->signals, .events = POLLIN } };

		poll(p, ARRAY_SIZE(p), TURN_MS);
		if (p[0].revents)
			break;
		take_signals(f);
		/* Again and again: it may not have been in the call yet. */
		if (f->interrupted)
			pthread_kill(f->thread, INTERRUPT);
		show_progress(f);
	}
	pthread_join(f->thread, NULL);
	eventfd_read(f->done, &n);
	hide_progress(f);
	return f->err;
}

static bool state_is(const struct run_files *files, const char *line)
{
	AUTO(buf_release) struct buf now = BUF_INIT;

	return run_file_read(files, "state", &now) == 0 && !strcmp(buf_str(&now), line);
}

/* Somebody said already how the run ends; or we did, and the answer was lost with the daemon. */
static bool has_ended(const struct finishing *f)
{
	return state_is(f->files, "finished\n");
}

/* Until the next turn, or until something that may have been writing ended. */
static void wait_a_turn(struct finishing *f)
{
	struct pollfd p = { .fd = f->signals, .events = POLLIN };
	int64_t until = monotonic_ms() + TURN_MS;

	while (!f->interrupted && monotonic_ms() < until) {
		poll(&p, 1, (int)(until - monotonic_ms()));
		if (take_signals(f))
			return;
	}
}

static int write_until_it_holds(struct finishing *f)
{
	int64_t stragglers = monotonic_ms() + STRAGGLERS_MS, gone = 0;
	bool told = false;

	for (;;) {
		int err = try_once(f);

		if (err == 0 || f->interrupted)
			return err;
		if (err == -EROFS && has_ended(f))
			return 0;
		if (mount_is_gone(err)) {
			gone = gone ? gone : monotonic_ms() + MOUNT_GONE_MS;
			if (monotonic_ms() >= gone)
				return err;
			if (!told)
				fprintf(stderr,
					"lineagefs: the mount is gone; waiting %d s for it\n",
					MOUNT_GONE_MS / 1000);
			told = true;
		} else if (err != -EBUSY || monotonic_ms() >= stragglers) {
			return err;
		}
		wait_a_turn(f);
	}
}

/* ---- what came of it ---- */

/* "logged: model:v1 sha256:... files:3 bytes:4096" */
static void print_result(const char *line)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	unsigned long long files, bytes;
	char word[16], label[256];

	if (sscanf(line, "%15[a-z]: %255s sha256:%*s files:%llu bytes:%llu", word, label, &files,
		   &bytes) != 4)
		return;
	buf_printf(&text, "lineagefs: ");
	if (!strcmp(word, "equal"))
		buf_printf(&text, "%.*s is equal to %s", (int)strcspn(label, ":"), label, label);
	else if (!strcmp(word, "unchanged"))
		buf_printf(&text, "%s has not changed since it was logged", label);
	else
		buf_printf(&text, "%s %s", word, label);
	buf_printf(&text, ": %llu file%s, ", files, files == 1 ? "" : "s");
	add_size(&text, bytes);
	fprintf(stderr, "%s\n", buf_str(&text));
}

static void print_results(const struct run_files *files)
{
	AUTO(buf_release) struct buf log = BUF_INIT;
	char *at, *line;

	if (run_file_read(files, "log", &log) < 0 || !log.data)
		return;
	at = log.data;
	while ((line = strsep(&at, "\n")))
		print_result(line);
}

static void explain(const struct finishing *f, int err)
{
	const struct run_files *files = f->files;
	AUTO(buf_release) struct buf reason = BUF_INIT;

	if (mount_is_gone(err)) {
		fprintf(stderr,
			"lineagefs: the mount at %s is gone, so run %s could not be ended: %s\n",
			files->mount, files->id, strerror(-err));
	} else if (f->interrupted) {
		fprintf(stderr, "lineagefs: logging was interrupted, so nothing was logged\n");
	} else {
		run_file_reason(files, &reason);
		fprintf(stderr, "lineagefs: run %s could not be ended: %s\n", files->id,
			reason.len ? buf_str(&reason) : strerror(-err));
	}
	fprintf(stderr, "lineagefs: it stays as it is; to end it: echo '%.*s' > %s/state\n",
		(int)strcspn(buf_str(&f->state), "\n"), buf_str(&f->state), files->path);
}

static void say_state(struct buf *state, int status)
{
	if (WIFSIGNALED(status))
		buf_printf(state, "failed signal=%d\n", WTERMSIG(status));
	else
		buf_printf(state, "%s exit_code=%d\n", WEXITSTATUS(status) ? "failed" : "finished",
			   WEXITSTATUS(status));
}

int run_finish(const struct run_files *files, int status, const sigset_t *signals)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct finishing f = { .files = files, .state = BUF_INIT, .started = monotonic_ms() };
	AUTO(buf_release) struct buf text = BUF_INIT;
	int err;

	/* Exit status 0 of a script says less than the script's own word. */
	if (status == 0 && state_is(files, "failed\n")) {
		fprintf(stderr, "lineagefs: run %s failed: its command said so\n", files->id);
		return 0;
	}
	say_state(&f.state, status);
	sigaction(INTERRUPT, &action, NULL);
	f.done = eventfd(0, EFD_CLOEXEC);
	f.signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	err = f.done < 0 || f.signals < 0 ? -errno : write_until_it_holds(&f);
	if (err < 0) {
		explain(&f, err);
	} else if (status == 0) {
		print_results(files);
		fprintf(stderr, "lineagefs: run %s finished\n", files->id);
	} else {
		describe_status(status, &text);
		fprintf(stderr, "lineagefs: run %s failed: %s\n", files->id, buf_str(&text));
	}
	close(f.done);
	close(f.signals);
	buf_release(&f.state);
	return err;
}
