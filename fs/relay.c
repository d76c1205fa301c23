#include "relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#define BLOCK_SIZE (64u << 10)
/* After the end of the command: how long a silent stream is waited for, and any at most. */
#define SILENCE_MS 100
#define GRACE_MS 2000
/* A console that failed, as one does when its daemon is restarted, is tried again so often. */
#define RETRY_MS 1000

struct stream {
	struct relay *relay;
	pthread_t thread;
	int from, to;
};

struct relay {
	struct stream streams[2];
	size_t count;
	int ended; /* an eventfd: readable once the command has ended */

	pthread_mutex_t lock; /* of the console */
	char *path;
	int console;	/* -1: not open */
	int err;	/* the first thing that went wrong */
	uint64_t lost;	/* bytes that are not in the copy */
	int64_t retry_at; /* not before */
};

struct relay *relay_new(const char *console)
{
	struct relay *relay = xcalloc(1, sizeof(*relay));

	relay->path = xstrdup(console);
	relay->console = -1;
	relay->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&relay->lock, NULL);
	return relay;
}

/* 0, or -errno of what kept it from being written whole. */
static int write_console(struct relay *relay, const char *bytes, size_t len, size_t *ret_done)
{
	if (relay->console < 0) {
		if (monotonic_ms() < relay->retry_at)
			return relay->err;
		relay->console = open(relay->path, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (relay->console < 0)
			return -errno;
	}
	while (*ret_done < len) {
		ssize_t n = write(relay->console, bytes + *ret_done, len - *ret_done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*ret_done += (size_t)n;
	}
	return 0;
}

static void copy(struct relay *relay, const char *bytes, size_t len)
{
	LOCKED(&relay->lock);
	size_t done = 0;
	int err = write_console(relay, bytes, len, &done);

	if (err == 0)
		return;
	relay->lost += len - done;
	if (relay->err == 0)
		relay->err = err;
	if (relay->console >= 0 || monotonic_ms() >= relay->retry_at)
		relay->retry_at = monotonic_ms() + RETRY_MS;
	if (relay->console >= 0)
		close(relay->console);
	relay->console = -1;
}

/* Waits as the command itself would; whoever made the descriptor may have made it not block. */
static int hand_on(int to, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(to, bytes, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = to, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static void *run_stream(void *arg)
{
	struct stream *s = arg;
	struct pollfd p[] = {
		{ .fd = s->from, .events = POLLIN },
		{ .fd = s->to }, /* only whether its reader is gone */
		{ .fd = s->relay->ended, .events = POLLIN },
	};
	autofree char *block = xmalloc(BLOCK_SIZE);
	int64_t deadline = 0;

	for (;;) {
		int n = poll(p, ARRAY_SIZE(p), deadline ? SILENCE_MS : -1);
		ssize_t got;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (deadline && monotonic_ms() >= deadline))
			break;
		if (p[1].revents & (POLLERR | POLLHUP))
			break;
		if (p[2].revents) {
			p[2].fd = -1;
			deadline = monotonic_ms() + GRACE_MS;
		}
		if (!p[0].revents)
			continue;
		got = read(s->from, block, BLOCK_SIZE);
		if (got < 0 && errno == EINTR)
			continue;
		/* A terminal whose other end is closed says EIO. */
		if (got <= 0)
			break;
		if (hand_on(s->to, block, (size_t)got) < 0)
			break;
		copy(s->relay, block, (size_t)got);
	}
	/* Now the command's next write fails, as it would on what it wrote to. */
	close(s->from);
	return NULL;
}

int relay_add(struct relay *relay, int from, int to)
{
	struct stream *s = &relay->streams[relay->count];
	int err;

	*s = (struct stream){ .relay = relay, .from = from, .to = to };
	err = pthread_create(&s->thread, NULL, run_stream, s);
	if (err) {
		close(from);
		return -err;
	}
	relay->count++;
	return 0;
}

void relay_finish(struct relay *relay, struct buf *why)
{
	eventfd_write(relay->ended, 1);
	for (size_t i = 0; i < relay->count; i++)
		pthread_join(relay->streams[i].thread, NULL);
	if (relay->lost > 0)
		buf_printf(why, "%llu bytes of the output are not in console.log: %s",
			   (unsigned long long)relay->lost, strerror(-relay->err));
	if (relay->console >= 0)
		close(relay->console);
	if (relay->ended >= 0)
		close(relay->ended);
	pthread_mutex_destroy(&relay->lock);
	free(relay->path);
	free(relay);
}
