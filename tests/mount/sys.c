/*
 * sys.c - one system call, or one small sequence of them, named on the command line, for tests that
 * ask for an exact errno. Prints "OK" or the errno's name and exits 0 or 1.
 *
 * sys OP ARGUMENT...            see ops[]
 * sys catch FILE TEXT READY     as write, but SIGUSR1 interrupts what it interrupts
 * sys hold MODE FILE READY      opens FILE for writing and keeps it until killed: see hold()
 * sys mutate KIND FILE          changes FILE in one way, the same at every call: see mutations[]
 * sys relog RUN NAME COUNT      rewrites a file of a draft and logs it at once, COUNT times
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int close_with(int fd, int err)
{
	if (close(fd) < 0 && !err)
		return -errno;
	return err;
}

static int put_text(const char *path, int flags, const char *text)
{
	int fd = open(path, flags, 0644);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = len ? write(fd, text, len) : 0;
	return close_with(fd, n < 0 ? -errno : (size_t)n != len ? -EIO : 0);
}

static int result(int n)
{
	return n < 0 ? -errno : 0;
}

/* As `printf text > path` does. */
static int op_write(char **arg)
{
	return put_text(arg[0], O_WRONLY | O_CREAT | O_TRUNC, arg[1]);
}

static int op_append(char **arg)
{
	return put_text(arg[0], O_WRONLY | O_APPEND, arg[1]);
}

/* Without O_TRUNC or O_CREAT: only the open for writing is asked about. */
static int op_open_write(char **arg)
{
	return put_text(arg[0], O_WRONLY, "");
}

static int op_open_read(char **arg)
{
	int fd = open(arg[0], O_RDONLY);

	return fd < 0 ? -errno : close_with(fd, 0);
}

static int op_create(char **arg)
{
	return put_text(arg[0], O_WRONLY | O_CREAT | O_EXCL, "");
}

static int op_tmpfile(char **arg)
{
	return put_text(arg[0], O_WRONLY | O_TMPFILE, "x");
}

static int op_mkdir(char **arg)
{
	return result(mkdir(arg[0], 0755));
}

static int op_rmdir(char **arg)
{
	return result(rmdir(arg[0]));
}

static int op_unlink(char **arg)
{
	return result(unlink(arg[0]));
}

static int op_rename(char **arg)
{
	return result(rename(arg[0], arg[1]));
}

static int op_exchange(char **arg)
{
	return result(renameat2(AT_FDCWD, arg[0], AT_FDCWD, arg[1], RENAME_EXCHANGE));
}

static int op_noreplace(char **arg)
{
	return result(renameat2(AT_FDCWD, arg[0], AT_FDCWD, arg[1], RENAME_NOREPLACE));
}

static int op_link(char **arg)
{
	return result(link(arg[0], arg[1]));
}

static int op_symlink(char **arg)
{
	return result(symlink(arg[0], arg[1]));
}

static int op_chmod(char **arg)
{
	return result(chmod(arg[0], (mode_t)strtoul(arg[1], NULL, 8)));
}

static int op_chown(char **arg)
{
	return result(lchown(arg[0], (uid_t)strtoul(arg[1], NULL, 10), (gid_t)-1));
}

static int op_utime(char **arg)
{
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

	return result(utimensat(AT_FDCWD, arg[0], times, AT_SYMLINK_NOFOLLOW));
}

static int op_truncate(char **arg)
{
	return result(truncate(arg[0], (off_t)strtoull(arg[1], NULL, 10)));
}

static int op_mkchar(char **arg)
{
	return result(mknod(arg[0], S_IFCHR | 0600, makedev(1, 3)));
}

static int op_mkblock(char **arg)
{
	return result(mknod(arg[0], S_IFBLK | 0600, makedev(7, 250)));
}

static int op_setxattr(char **arg)
{
	return result(setxattr(arg[0], arg[1], "1", 1, 0));
}

static int op_readlink(char **arg)
{
	char c;

	return result((int)readlink(arg[0], &c, 1));
}

static const struct op {
	const char *name;
	int args;
	int (*run)(char **arg);
} ops[] = {
	{ "write", 2, op_write },	    { "append", 2, op_append },
	{ "open-write", 1, op_open_write }, { "open-read", 1, op_open_read },
	{ "create", 1, op_create },	    { "tmpfile", 1, op_tmpfile },
	{ "mkdir", 1, op_mkdir },	    { "rmdir", 1, op_rmdir },
	{ "unlink", 1, op_unlink },	    { "rename", 2, op_rename },
	{ "exchange", 2, op_exchange },	    { "noreplace", 2, op_noreplace },
	{ "link", 2, op_link },		    { "symlink", 2, op_symlink },
	{ "chmod", 2, op_chmod },	    { "chown", 2, op_chown },
	{ "utime", 1, op_utime },	    { "truncate", 2, op_truncate },
	{ "mkchar", 1, op_mkchar },	    { "mkblock", 1, op_mkblock },
	{ "setxattr", 2, op_setxattr },	    { "readlink", 1, op_readlink },
};

/* --- hold --- */

static volatile sig_atomic_t poked;

static void on_poke(int signo)
{
	(void)signo;
	poked = 1;
}

/* An orderly end: who is killed leaves a file half written. */
static void on_end(int signo)
{
	(void)signo;
	_exit(0);
}

static int say_ready(const char *path)
{
	char text[32];
	char *part = NULL;
	int err;

	/* Renamed into place, so that who sees the file sees its text. */
	if (asprintf(&part, "%s.part", path) < 0)
		return -ENOMEM;
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	err = put_text(part, O_WRONLY | O_CREAT | O_TRUNC, text);
	if (!err)
		err = result(rename(part, path));
	free(part);
	return err;
}

/* Every SIGUSR1 writes one byte, and then says so in READY.poked. */
static int hold_until_killed(int fd, char *map, const char *ready)
{
	sigset_t block, old;
	char *done = NULL;
	int err;

	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	signal(SIGUSR1, on_poke);
	signal(SIGTERM, on_end);
	if (asprintf(&done, "%s.poked", ready) < 0)
		return -ENOMEM;
	err = say_ready(ready);
	while (!err) {
		while (!poked)
			sigsuspend(&old);
		poked = 0;
		if (map)
			map[0] = '!';
		else if (pwrite(fd, "!", 1, 0) != 1)
			fprintf(stderr, "hold: pwrite: %s\n", strerror(errno));
		err = say_ready(done);
	}
	free(done);
	return err;
}

/* READY is there when signals are caught; from then on every one interrupts a system call. */
static int catch_signals(const char *file, const char *text, const char *ready)
{
	const struct sigaction action = { .sa_handler = on_poke }; /* no SA_RESTART */
	int err = result(sigaction(SIGUSR1, &action, NULL));

	if (!err)
		err = say_ready(ready);
	return err ? err : put_text(file, O_WRONLY, text);
}

/*
 * write: an open descriptor; mmap: a writable shared mapping alone, the descriptor closed; fork: a
 * forked child that inherited the descriptor, its opener gone; read: open for reading alone.
 * READY then holds the pid of the process to end.
 */
static int hold(const char *mode, const char *file, const char *ready)
{
	bool reads = !strcmp(mode, "read");
	int fd = open(file, reads ? O_RDONLY : O_RDWR);
	char *map = NULL;
	pid_t pid;

	if (fd < 0)
		return -errno;
	if (!strcmp(mode, "mmap")) {
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return -errno;
		map[0] = map[0] ? map[0] : 'm';
		close(fd);
		fd = -1;
	} else if (!strcmp(mode, "fork")) {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (pid > 0)
			_exit(0);
	}
	return hold_until_killed(fd, map, ready);
}

/* --- mutate --- */

static int with_file(const char *path, int flags, int (*change)(int fd, off_t size))
{
	int fd = open(path, flags, 0644);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	err = result(fstat(fd, &st));
	if (!err)
		err = change(fd, st.st_size);
	return close_with(fd, err);
}

static int write_all_at(int fd, const char *text, off_t at)
{
	ssize_t n = pwrite(fd, text, strlen(text), at);

	return n < 0 ? -errno : n == (ssize_t)strlen(text) ? 0 : -EIO;
}

static int do_append(int fd, off_t size)
{
	(void)size;
	return write(fd, "appended\n", 9) == 9 ? 0 : -EIO;
}

static int do_pwrite(int fd, off_t size)
{
	return write_all_at(fd, "written in the middle", size / 2);
}

static int do_ftruncate(int fd, off_t size)
{
	return result(ftruncate(fd, size / 3));
}

static int do_mmap(int fd, off_t size)
{
	char *map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	map[0] = 'M';
	map[size / 2] = 'M';
	map[size - 1] = 'M';
	return result(munmap(map, (size_t)size));
}

static int do_punch(int fd, off_t size)
{
	return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size / 4,
				size / 2));
}

static int do_fallocate(int fd, off_t size)
{
	return result(fallocate(fd, 0, size, 5000));
}

static int do_copy_range(int fd, off_t size)
{
	off_t from = 0, to = size;
	ssize_t n = copy_file_range(fd, &from, fd, &to, (size_t)size, 0);

	return n < 0 ? -errno : n == size ? 0 : -EIO;
}

/* Reads first: what was cached of the shared bytes must not come back. */
static int do_read_write(int fd, off_t size)
{
	char byte;

	if (pread(fd, &byte, 1, 0) != 1)
		return -EIO;
	if (write_all_at(fd, "first", 0) || pread(fd, &byte, 1, size - 1) != 1)
		return -EIO;
	if (pread(fd, &byte, 1, 0) != 1 || byte != 'f')
		return -ESTALE;
	return 0;
}

static int do_rewrite(int fd, off_t size)
{
	(void)size;
	return write_all_at(fd, "rewritten whole\n", 0);
}

static const struct mutation {
	const char *name;
	int flags;
	int (*change)(int fd, off_t size);
} mutations[] = {
	{ "append", O_WRONLY | O_APPEND, do_append },
	{ "pwrite", O_WRONLY, do_pwrite },
	{ "otrunc", O_WRONLY | O_TRUNC, do_rewrite },
	{ "creat", O_RDWR | O_CREAT | O_TRUNC, do_rewrite },
	{ "ftruncate", O_RDWR, do_ftruncate },
	{ "mmap", O_RDWR, do_mmap },
	{ "punch", O_RDWR, do_punch },
	{ "fallocate", O_RDWR, do_fallocate },
	{ "copyrange", O_RDWR, do_copy_range },
	{ "readwrite", O_RDWR, do_read_write },
};

static int mutate_rename(const char *path)
{
	char *other = NULL;
	int err;

	if (asprintf(&other, "%s.new", path) < 0)
		return -ENOMEM;
	err = put_text(other, O_WRONLY | O_CREAT | O_TRUNC, "renamed over\n");
	if (!err)
		err = result(rename(other, path));
	free(other);
	return err;
}

static int mutate(const char *kind, const char *path)
{
	struct stat st;

	if (!strcmp(kind, "truncate"))
		return stat(path, &st) < 0 ? -errno : result(truncate(path, st.st_size / 2));
	if (!strcmp(kind, "grow"))
		return stat(path, &st) < 0 ? -errno : result(truncate(path, st.st_size + 70000));
	if (!strcmp(kind, "rename"))
		return mutate_rename(path);
	if (!strcmp(kind, "unlink"))
		return unlink(path) < 0 ? -errno :
					  put_text(path, O_WRONLY | O_CREAT | O_EXCL,
						   "made anew\n");
	for (size_t i = 0; i < ARRAY_SIZE(mutations); i++) {
		if (!strcmp(kind, mutations[i].name))
			return with_file(path, mutations[i].flags, mutations[i].change);
	}
	return -ENOSYS;
}

/* --- relog --- */

/* One turn's writer: 0 write(2), 1 a mapping, 2 a child that ends by itself. */
static int rewrite(const char *path, unsigned turn)
{
	int fd = open(path, O_RDWR | O_CREAT | (turn % 2 ? 0 : O_TRUNC), 0644);
	char *map;
	pid_t pid = 0;
	int err, status;

	if (fd < 0)
		return -errno;
	err = result(ftruncate(fd, 4096));
	if (!err && turn % 3 == 1) {
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return close_with(fd, -errno);
		snprintf(map, 4096, "turn %u", turn);
		err = result(munmap(map, 4096));
	} else if (!err) {
		pid = turn % 3 == 2 ? fork() : 0;
		if (pid == 0 && dprintf(fd, "turn %u", turn) < 0)
			err = -errno;
		if (pid == 0 && turn % 3 == 2)
			_exit(err ? 1 : 0);
		if (pid > 0 && (waitpid(pid, &status, 0) < 0 || status))
			err = -EIO;
	}
	return close_with(fd, err);
}

static int relog(const char *run, const char *name, unsigned count)
{
	char *file = NULL, *log = NULL;
	unsigned turn;
	int err = 0;

	if (asprintf(&file, "%s/outputs/%s/f", run, name) < 0 ||
	    asprintf(&log, "%s/log", run) < 0)
		return -ENOMEM;
	for (turn = 0; !err && turn < count; turn++) {
		err = rewrite(file, turn);
		if (!err)
			err = put_text(log, O_WRONLY, name);
		if (err)
			fprintf(stderr, "relog: turn %u of %u: %s\n", turn, count, strerror(-err));
	}
	free(file);
	free(log);
	return err;
}

static int dispatch(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3], argv[4]);
	if (argc == 5 && !strcmp(argv[1], "catch"))
		return catch_signals(argv[2], argv[3], argv[4]);
	if (argc == 4 && !strcmp(argv[1], "mutate"))
		return mutate(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "relog"))
		return relog(argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10));
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(ops); i++) {
		if (!strcmp(argv[1], ops[i].name) && argc == ops[i].args + 2)
			return ops[i].run(argv + 2);
	}
	fprintf(stderr, "sys: no such operation, or not its number of arguments\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int err = dispatch(argc, argv);

	puts(err ? strerrorname_np(-err) : "OK");
	return err ? 1 : 0;
}
