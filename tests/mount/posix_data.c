/* posix_data.c - checks of what files hold. */
#include "posix.h"

#include <sys/mman.h>
#include <sys/wait.h>

void check_append(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char tail[4] = "";
		int fd;

		fill("f", sizes[i], 1);
		fd = open("f", O_RDWR | O_APPEND);
		CHECK(fd >= 0);
		CHECK(lseek(fd, 0, SEEK_SET) == 0);
		CHECK(write(fd, "abc", 3) == 3);
		CHECK(pread(fd, tail, 3, (off_t)sizes[i]) == 3);
		CHECK(!memcmp(tail, "abc", 3));
		CHECK(size_of("f") == (off_t)sizes[i] + 3);
		CHECK(truncate("f", (off_t)sizes[i]) == 0);
		CHECK(holds("f", sizes[i], 1));
		CHECK(close(fd) == 0);
	}
	/* Left as it is when its draft is logged, then appended to. */
	if (missing("grows"))
		fill("grows", LARGE, 2);
	off_t before = size_of("grows");
	int fd = open("grows", O_WRONLY | O_APPEND);
	CHECK(fd >= 0);
	CHECK(write(fd, "more", 4) == 4);
	CHECK(close(fd) == 0);
	CHECK(size_of("grows") == before + 4);
}

void check_append_two(void)
{
	int status, fd = open("f", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && close(fd) == 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid)
			continue;
		fd = open("f", O_WRONLY | O_APPEND);
		CHECK(fd >= 0);
		for (int j = 0; j < 500; j++)
			CHECK(write(fd, i ? "0123456789abcde\n" : "fedcba987654321\n", 16) == 16);
		_exit(0);
	}
	for (int i = 0; i < 2; i++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(size_of("f") == 2L * 500 * 16);
	FILE *file = fopen("f", "r");
	char line[64];
	CHECK(file);
	while (fgets(line, sizeof(line), file))
		CHECK(!strcmp(line, "0123456789abcde\n") || !strcmp(line, "fedcba987654321\n"));
	fclose(file);
}

void check_truncate(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *name = i ? "large" : "small";
		char zeros[10] = "xxxxxxxxx";
		int fd;

		fill(name, sizes[i], 3);
		CHECK(truncate(name, (off_t)sizes[i] / 2) == 0);
		CHECK(holds(name, sizes[i] / 2, 3));
		CHECK(truncate(name, (off_t)sizes[i]) == 0);
		fd = open(name, O_RDWR);
		CHECK(fd >= 0);
		CHECK(pread(fd, zeros, 10, (off_t)sizes[i] - 10) == 10);
		CHECK(!memcmp(zeros, "\0\0\0\0\0\0\0\0\0\0", 10));
		CHECK(ftruncate(fd, 10) == 0);
		CHECK(size_of(name) == 10);
		CHECK(close(fd) == 0);
		fd = open(name, O_WRONLY | O_TRUNC);
		CHECK(fd >= 0);
		CHECK(size_of(name) == 0);
		CHECK(close(fd) == 0);
		fill(name, sizes[i], 4);
		CHECK(holds(name, sizes[i], 4));
	}
}

void check_mmap(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *name = i ? "large" : "small";
		int status, fd;
		char *map, byte;
		pid_t pid;

		if (missing(name))
			fill(name, sizes[i], 12);
		fd = open(name, O_RDWR);
		CHECK(fd >= 0);
		map = mmap(NULL, sizes[i], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		CHECK(close(fd) == 0);
		map[0] = 'P';
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			map[1] = 'C';
			_exit(map[0] == 'P' ? 0 : 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		CHECK(map[1] == 'C');
		map[sizes[i] - 1]++;
		CHECK(msync(map, sizes[i], MS_SYNC) == 0);
		fd = open(name, O_RDONLY);
		CHECK(fd >= 0);
		CHECK(pread(fd, &byte, 1, (off_t)sizes[i] - 1) == 1);
		CHECK(byte == map[sizes[i] - 1]);
		CHECK(munmap(map, sizes[i]) == 0);
		CHECK(pread(fd, &byte, 1, 1) == 1 && byte == 'C');
		CHECK(close(fd) == 0);
	}
}

void check_mmap_coherent(void)
{
	int fd;
	char *map, byte;

	fill("f", LARGE, 13);
	fd = open("f", O_RDWR);
	CHECK(fd >= 0);
	map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	for (int i = 0; i < 50; i++) {
		CHECK(pwrite(fd, i % 2 ? "x" : "y", 1, i * 5000) == 1);
		CHECK(map[i * 5000] == (i % 2 ? 'x' : 'y'));
		map[i * 5000 + 1] = 'z';
		CHECK(pread(fd, &byte, 1, i * 5000 + 1) == 1 && byte == 'z');
	}
	CHECK(munmap(map, LARGE) == 0 && close(fd) == 0);
}

void check_holes(void)
{
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
	char zero = 'x';

	CHECK(fd >= 0);
	CHECK(pwrite(fd, "end", 3, 8 << 20) == 3);
	CHECK(fstat(fd, &st) == 0 && st.st_size == (8 << 20) + 3);
	CHECK(st.st_blocks * 512 < 1 << 20);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 0);
	CHECK(lseek(fd, 0, SEEK_DATA) == 8 << 20);
	CHECK(lseek(fd, 8 << 20, SEEK_HOLE) == (8 << 20) + 3);
	CHECK(lseek(fd, 9 << 20, SEEK_DATA) < 0 && errno == ENXIO);
	CHECK(fallocate(fd, 0, 0, 1 << 20) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_blocks * 512 >= 1 << 20);
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 << 20, 1 << 20) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == (8 << 20) + 3);
	CHECK(pwrite(fd, "middle", 6, 512 << 10) == 6);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0);
	CHECK(pread(fd, &zero, 1, 512 << 10) == 1 && zero == 0);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096) < 0 && errno == EOPNOTSUPP);
	CHECK(close(fd) == 0);
}

void check_copy_range(void)
{
	loff_t from = 100, to = 0;
	int in, out;

	fill("in", LARGE, 14);
	in = open("in", O_RDONLY);
	out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(in >= 0 && out >= 0);
	while (from < LARGE) {
		ssize_t n = copy_file_range(in, &from, out, &to, (size_t)(LARGE - from), 0);

		CHECK(n > 0);
	}
	CHECK(to == LARGE - 100 && size_of("out") == LARGE - 100);
	for (off_t at = 0; at < to; at += 997) {
		char byte;

		CHECK(pread(out, &byte, 1, at) == 1);
		CHECK(byte == byte_at(14, (size_t)at + 100));
	}
	CHECK(close(in) == 0 && close(out) == 0);
}

void check_unlinked(void)
{
	struct stat st;
	char byte;
	int fd;

	fill("f", LARGE, 19);
	fd = open("f", O_RDWR);
	CHECK(fd >= 0);
	CHECK(unlink("f") == 0);
	CHECK(missing("f"));
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == LARGE);
	CHECK(pwrite(fd, "Q", 1, 5) == 1);
	CHECK(pread(fd, &byte, 1, 5) == 1 && byte == 'Q');
	CHECK(ftruncate(fd, 10) == 0);
	CHECK(fchmod(fd, 0600) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 10);
	CHECK(close(fd) == 0);
	/* A directory with an open handle. */
	CHECK(mkdir("d", 0755) == 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0 && rmdir("d") == 0);
	CHECK(openat(fd, "x", O_WRONLY | O_CREAT, 0644) < 0 && errno == ENOENT);
	CHECK(close(fd) == 0);
}

void check_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
	int status, fd;
	pid_t pid;

	fill("f", SMALL, 24);
	fd = open("f", O_RDWR);
	CHECK(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(fcntl(fd, F_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES));
		lock.l_start = 20;
		CHECK(fcntl(fd, F_SETLK, &lock) == 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(close(fd) == 0);
}

void check_sync(void)
{
	int fd, dir = open(".", O_RDONLY | O_DIRECTORY);

	fill("f", LARGE, 25);
	fd = open("f", O_RDWR);
	CHECK(fd >= 0 && dir >= 0);
	CHECK(pwrite(fd, "s", 1, 0) == 1);
	CHECK(fdatasync(fd) == 0 && fsync(fd) == 0 && fsync(dir) == 0);
	CHECK(close(fd) == 0 && close(dir) == 0);
}

void check_two_handles(void)
{
	struct stat st;
	char text[8] = "";
	int one, two;

	fill("f", LARGE, 27);
	one = open("f", O_RDWR);
	two = open("f", O_RDONLY);
	CHECK(one >= 0 && two >= 0);
	CHECK(pwrite(one, "hello", 5, 1000) == 5);
	CHECK(pread(two, text, 5, 1000) == 5 && !memcmp(text, "hello", 5));
	CHECK(ftruncate(one, 1003) == 0);
	CHECK(fstat(two, &st) == 0 && st.st_size == 1003);
	CHECK(pread(two, text, 5, 1000) == 3);
	CHECK(pwrite(one, "tail", 4, 200000) == 4);
	CHECK(size_of("f") == 200004);
	CHECK(close(one) == 0 && close(two) == 0);
}
