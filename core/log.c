#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "buf.h"

static struct {
	pthread_mutex_t lock;
	enum log_level level; /* read without the lock, so atomically */
	int fd;               /* -1: nowhere but syslog */
	bool timed;           /* a file's lines carry the time; syslog and journals add their own */
	bool syslog;
} sink = { PTHREAD_MUTEX_INITIALIZER, LOG_LEVEL_INFO, STDERR_FILENO, false, false };

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

void log_set_level(enum log_level level)
{
	__atomic_store_n(&sink.level, level, __ATOMIC_RELAXED);
}

void log_to_syslog(void)
{
	LOCKED(&sink.lock);

	if (!sink.syslog)
		openlog("lineagefs", LOG_PID, LOG_DAEMON);
	sink.syslog = true;
	if (sink.fd == STDERR_FILENO)
		sink.fd = -1;
}

int log_to_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0)
		return -errno;
	LOCKED(&sink.lock);
	if (sink.fd > STDERR_FILENO)
		close(sink.fd);
	sink.fd = fd;
	sink.timed = true;
	return 0;
}

static void add_time(struct buf *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(line, "%s.%03ldZ ", text, now.tv_nsec / 1000000);
}

static void emit(enum log_level level, const struct buf *text)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	size_t start;

	LOCKED(&sink.lock);
	if (sink.timed)
		add_time(&line);
	else
		buf_add_str(&line, "lineagefs: ");
	buf_printf(&line, "%s: ", levels[level].name);
	start = line.len;
	buf_add_visible(&line, buf_slice(text));
	if (sink.syslog)
		syslog(levels[level].priority, "%s", line.data + start);
	buf_add_char(&line, '\n');
	if (sink.fd >= 0) {
		/* One write, so that lines of several processes do not mix. */
		ssize_t n = write(sink.fd, line.data, line.len);

		(void)n;
	}
}

static bool wanted(enum log_level level)
{
	return level <= __atomic_load_n(&sink.level, __ATOMIC_RELAXED);
}

static void __attribute__((format(printf, 2, 0)))
add_formatted(struct buf *text, const char *fmt, va_list args)
{
	autofree char *s = NULL;

	if (vasprintf(&s, fmt, args) < 0) {
		s = NULL; /* undefined after a failure */
		buf_add_str(text, fmt);
		return;
	}
	buf_add_str(text, s);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int saved = errno;
	va_list args;

	if (!wanted(level))
		return;
	va_start(args, fmt);
	add_formatted(&text, fmt, args);
	va_end(args);
	emit(level, &text);
	errno = saved;
}

int log_errno(int err, const char *fmt, ...)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int saved = errno;
	char reason[128];
	va_list args;

	va_start(args, fmt);
	add_formatted(&text, fmt, args);
	va_end(args);
	buf_printf(&text, ": %s", strerror_r(-err, reason, sizeof(reason)));
	emit(LOG_LEVEL_ERROR, &text);
	errno = saved;
	return err;
}
