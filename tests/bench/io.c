/*
 * io.c - what the benchmarks do to files, without a shell's or an interpreter's own time in it.
 * Prints the seconds that it took, of the monotonic clock: opens and closes count, starting does
 * not.
 *
 *   io read FILE BLOCK              sequential read
 *   io map FILE                     each byte through a mapping, in order
 *   io random FILE COUNT            pread of 4 KiB at random pages, the same in every call
 *   io random-map FILE COUNT        the same through a mapping
 *   io write FILE BYTES BLOCK       a new file; two numbers: until it is closed, and until synced
 *   io read-all LIST                every file of a list, a path a line, in its order
 *   io append-sync DIR COUNT WRITERS    each appends 4 KiB to a file of its own and fdatasync()s,
 *                                   COUNT times in all
 *   io finish RUNS PREFIX COUNT WRITERS    writes `finished` to RUNS/PREFIX<0 to COUNT - 1>/state
 *   io tree DIR DIRS FILES BYTES    makes DIRS directories of FILES files of random bytes (no time)
 *   io touch BYTES                  uses so much memory for a moment (no time)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static volatile uint64_t sink; /* what was read is used */

static void die(const char *what)
{
	fprintf(stderr, "io: %s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((format(printf, 1, 2))) static char *text(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		die("vasprintf");
	va_end(args);
	return s;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 16;
}

static uint64_t number(const char *s)
{
	return strtoull(s, NULL, 10);
}

static void *memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	return p;
}

static int opened(const char *path, off_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	*size = st.st_size;
	return fd;
}

static void write_all(int fd, const char *data, size_t len, const char *path)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			die(path);
		data += n;
		len -= (size_t)n;
	}
}

static uint64_t sum(const uint64_t *words, size_t len)
{
	uint64_t s = 0;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		s += words[i];
	return s;
}

static void do_read(char **arg)
{
	size_t block = number(arg[1]);
	char *data = memory(block);
	double start = now();
	off_t size;
	int fd = opened(arg[0], &size);
	ssize_t n;

	while ((n = read(fd, data, block)) > 0)
		size -= n;
	if (n < 0 || size != 0)
		die(arg[0]);
	close(fd);
	printf("%.6f\n", now() - start);
}

static void do_map(char **arg)
{
	double start = now();
	off_t size;
	int fd = opened(arg[0], &size);
	void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die(arg[0]);
	close(fd);
	sink = sum(p, (size_t)size);
	munmap(p, (size_t)size);
	printf("%.6f\n", now() - start);
}

static void do_random(char **arg)
{
	uint64_t seed = 1, count = number(arg[1]);
	char *data = memory(PAGE);
	double start = now();
	off_t size;
	int fd = opened(arg[0], &size);

	for (uint64_t i = 0; i < count; i++) {
		off_t at = (off_t)(next_random(&seed) % (uint64_t)(size / PAGE)) * PAGE;

		if (pread(fd, data, PAGE, at) != PAGE)
			die(arg[0]);
	}
	close(fd);
	printf("%.6f\n", now() - start);
}

static void do_random_map(char **arg)
{
	uint64_t seed = 1, count = number(arg[1]), s = 0;
	double start = now();
	off_t size;
	int fd = opened(arg[0], &size);
	const char *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die(arg[0]);
	for (uint64_t i = 0; i < count; i++) {
		size_t page = next_random(&seed) % (uint64_t)(size / PAGE);

		s += sum((const uint64_t *)(p + page * PAGE), PAGE);
	}
	sink = s;
	munmap((void *)p, (size_t)size);
	close(fd);
	printf("%.6f\n", now() - start);
}

static void do_write(char **arg)
{
	uint64_t left = number(arg[1]);
	size_t block = number(arg[2]);
	char *data = memory(block);
	double start, written;
	int fd;

	memset(data, 'x', block);
	start = now();
	fd = open(arg[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		die(arg[0]);
	for (; left > 0; left -= block) {
		block = left < block ? left : block;
		write_all(fd, data, block, arg[0]);
	}
	if (close(fd) < 0)
		die(arg[0]);
	written = now() - start;
	fd = open(arg[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		die(arg[0]);
	printf("%.6f %.6f\n", written, now() - start);
}

static void do_read_all(char **arg)
{
	char *data = memory(1 << 20), *list = NULL, *at, *end;
	off_t size;
	int fd = opened(arg[0], &size);
	double start;

	list = memory((size_t)size + 1);
	if (read(fd, list, (size_t)size) != size)
		die(arg[0]);
	close(fd);
	start = now();
	for (at = list; (end = strchr(at, '\n')); at = end + 1) {
		ssize_t n;

		*end = '\0';
		fd = open(at, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(at);
		while ((n = read(fd, data, 1 << 20)) > 0)
			;
		if (n < 0)
			die(at);
		close(fd);
	}
	printf("%.6f\n", now() - start);
}

struct writer {
	pthread_t thread;
	const char *dir, *prefix;
	uint64_t from, to;
	pthread_barrier_t *barrier;
};

static void *append_sync(void *arg)
{
	const struct writer *w = arg;
	char *data = memory(PAGE), *path = text("%s/append%" PRIu64, w->dir, w->from);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	memset(data, 'x', PAGE);
	pthread_barrier_wait(w->barrier);
	for (uint64_t i = w->from; i < w->to; i++) {
		write_all(fd, data, PAGE, path);
		if (fdatasync(fd) < 0)
			die(path);
	}
	close(fd);
	free(path);
	return NULL;
}

static void *finish(void *arg)
{
	const struct writer *w = arg;

	pthread_barrier_wait(w->barrier);
	for (uint64_t i = w->from; i < w->to; i++) {
		char *path = text("%s/%s%" PRIu64 "/state", w->dir, w->prefix, i);
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			die(path);
		write_all(fd, "finished\n", 9, path);
		if (close(fd) < 0)
			die(path);
		free(path);
	}
	return NULL;
}

static void with_writers(void *(*body)(void *), const char *dir, const char *prefix, uint64_t count,
			 unsigned writers)
{
	struct writer *w = memory(writers * sizeof(*w));
	pthread_barrier_t barrier;
	double start;

	pthread_barrier_init(&barrier, NULL, writers + 1);
	for (unsigned i = 0; i < writers; i++) {
		w[i] = (struct writer){ .dir = dir,
					.prefix = prefix,
					.from = count * i / writers,
					.to = count * (i + 1) / writers,
					.barrier = &barrier };
		if (pthread_create(&w[i].thread, NULL, body, &w[i]))
			die("pthread_create");
	}
	pthread_barrier_wait(&barrier);
	start = now();
	for (unsigned i = 0; i < writers; i++)
		pthread_join(w[i].thread, NULL);
	printf("%.6f\n", now() - start);
}

static void do_append_sync(char **arg)
{
	with_writers(append_sync, arg[0], "", number(arg[1]), (unsigned)number(arg[2]));
}

static void do_finish(char **arg)
{
	with_writers(finish, arg[0], arg[1], number(arg[2]), (unsigned)number(arg[3]));
}

static void make_file(const char *path, char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	for (size_t at = 0; at < len;) {
		ssize_t n = getrandom(data + at, len - at, 0);

		if (n < 0)
			die("getrandom");
		at += (size_t)n;
	}
	write_all(fd, data, len, path);
	if (close(fd) < 0)
		die(path);
}

static void do_tree(char **arg)
{
	uint64_t dirs = number(arg[1]), files = number(arg[2]);
	size_t len = number(arg[3]);
	char *data = memory(len + PAGE);

	if (mkdir(arg[0], 0755) < 0 && errno != EEXIST)
		die(arg[0]);
	for (uint64_t d = 0; d < dirs; d++) {
		char *dir = text("%s/d%05" PRIu64, arg[0], d);

		if (mkdir(dir, 0755) < 0)
			die(dir);
		for (uint64_t f = 0; f < files; f++) {
			char *path = text("%s/f%05" PRIu64, dir, f);

			make_file(path, data, len);
			free(path);
		}
		free(dir);
	}
}

/* In large pages: those that the page cache will ask for are of this sort. */
static void do_touch(char **arg)
{
	size_t len = number(arg[0]);
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	madvise(p, len, MADV_HUGEPAGE);
	for (size_t at = 0; at < len; at += PAGE)
		p[at] = 1;
}

static const struct {
	const char *name;
	int args;
	void (*run)(char **arg);
} commands[] = {
	{ "read", 2, do_read },
	{ "map", 1, do_map },
	{ "random", 2, do_random },
	{ "random-map", 2, do_random_map },
	{ "write", 3, do_write },
	{ "read-all", 1, do_read_all },
	{ "append-sync", 3, do_append_sync },
	{ "finish", 4, do_finish },
	{ "tree", 4, do_tree },
	{ "touch", 1, do_touch },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (argc < 2 || strcmp(argv[1], commands[i].name) || argc != 2 + commands[i].args)
			continue;
		commands[i].run(argv + 2);
		return 0;
	}
	fprintf(stderr, "usage: see the head of tests/bench/io.c\n");
	return 2;
}
