/*
 * posix.c - what a draft must do because a directory of the local filesystem does it.
 *
 * posix DIR [CHECK...]   runs the checks (all of them by default), each in DIR/<check>, and leaves
 *                        its files there. A check may run again over what an earlier run left,
 *                        which is how shared files are tested: run, log the draft, run again.
 * posix --list           their names
 *
 * Prints "CHECK: file:line: expression: errno" for each that fails. Passes on ext4 and xfs.
 */
#include "posix.h"

#include <sys/wait.h>

const char *current;

char byte_at(unsigned seed, size_t i)
{
	return (char)('a' + (seed * 7 + i * 31 + i / 251) % 26);
}

void fill(const char *name, size_t size, unsigned seed)
{
	char *data = malloc(size + 1);
	int fd;

	CHECK(data);
	for (size_t i = 0; i < size; i++)
		data[i] = byte_at(seed, i);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0);
	CHECK(write(fd, data, size) == (ssize_t)size);
	CHECK(close(fd) == 0);
	free(data);
}

bool holds(const char *name, size_t size, unsigned seed)
{
	char *data = malloc(size + 1);
	int fd = open(name, O_RDONLY);
	bool same = fd >= 0 && data && read(fd, data, size + 1) == (ssize_t)size;

	for (size_t i = 0; same && i < size; i++)
		same = data[i] == byte_at(seed, i);
	free(data);
	close(fd);
	return same;
}

off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) < 0 ? -1 : st.st_size;
}

nlink_t links_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) < 0 ? 0 : st.st_nlink;
}

ino_t ino_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) < 0 ? 0 : st.st_ino;
}

bool missing(const char *name)
{
	return access(name, F_OK) < 0 && errno == ENOENT;
}

static const struct check {
	const char *name;
	void (*run)(void);
} checks[] = {
	{ "append", check_append },
	{ "append-two", check_append_two },
	{ "truncate", check_truncate },
	{ "rename", check_rename },
	{ "hard-link", check_hard_link },
	{ "symlink", check_symlink },
	{ "mmap", check_mmap },
	{ "mmap-coherent", check_mmap_coherent },
	{ "holes", check_holes },
	{ "copy-range", check_copy_range },
	{ "times", check_times },
	{ "mode", check_mode },
	{ "xattr", check_xattr },
	{ "unlinked", check_unlinked },
	{ "many-entries", check_many_entries },
	{ "long-names", check_long_names },
	{ "deep", check_deep },
	{ "locks", check_locks },
	{ "sync", check_sync },
	{ "errors", check_errors },
	{ "two-handles", check_two_handles },
};

static bool wanted(const char *name, char **names)
{
	bool any = !*names;

	for (; *names; names++)
		any = any || !strcmp(*names, name);
	return any;
}

static int run_check(const struct check *check, const char *dir)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		current = check->name;
		umask(022);
		CHECK(chdir(dir) == 0);
		CHECK(mkdir(current, 0755) == 0 || errno == EEXIST);
		CHECK(chdir(current) == 0);
		check->run();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFSIGNALED(status))
		printf("%s: killed by signal %d\n", check->name, WTERMSIG(status));
	fflush(stdout);
	return status != 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 2)
		return 2;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!strcmp(argv[1], "--list"))
			puts(checks[i].name);
		else if (wanted(checks[i].name, argv + 2))
			failed += run_check(&checks[i], argv[1]);
	}
	return failed != 0;
}
