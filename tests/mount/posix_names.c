/* posix_names.c - checks of names, directories and attributes. */
#include "posix.h"

#include <dirent.h>
#include <sys/xattr.h>

/* Two processes append in small steps; no step may be lost or torn. */

void check_rename(void)
{
	struct stat st;
	int fd;
	char byte;

	fill("a", LARGE, 5);
	fill("b", SMALL, 6);
	fd = open("b", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(rename("a", "b") == 0);
	CHECK(missing("a"));
	CHECK(holds("b", LARGE, 5));
	/* The old file lives on behind its descriptor. */
	CHECK(pread(fd, &byte, 1, 0) == 1 && byte == byte_at(6, 0));
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK(close(fd) == 0);
	fill("c", SMALL, 7);
	CHECK(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE) < 0 && errno == EEXIST);
	CHECK(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE) == 0);
	CHECK(holds("b", SMALL, 7) && holds("c", LARGE, 5));
	CHECK(mkdir("d", 0755) == 0 || errno == EEXIST);
	CHECK(rename("b", "d/b") == 0);
	CHECK(rename("d", "d/e") < 0 && errno == EINVAL);
	CHECK(rename("c", "d") < 0 && errno == EISDIR);
	CHECK(rename("d", "c") < 0 && errno == ENOTDIR);
	CHECK(rename("d", "e") == 0);
	CHECK(holds("e/b", SMALL, 7));
	CHECK(rename("e", "d") == 0);
	CHECK(rename("nothing", "x") < 0 && errno == ENOENT);
}

void check_hard_link(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *one = i ? "one.large" : "one.small";
		const char *two = i ? "two.large" : "two.small";

		unlink(two);
		fill(one, sizes[i], 8);
		CHECK(links_of(one) == 1);
		CHECK(link(one, two) == 0);
		CHECK(links_of(one) == 2 && links_of(two) == 2);
		CHECK(ino_of(one) == ino_of(two));
		fill(two, sizes[i] / 2, 9);
		CHECK(holds(one, sizes[i] / 2, 9));
		CHECK(link(one, two) < 0 && errno == EEXIST);
	}
	/* Names that stay, to be written through after the draft was logged. */
	if (missing("kept.b")) {
		fill("kept.a", LARGE, 10);
		CHECK(link("kept.a", "kept.b") == 0);
	}
	CHECK(links_of("kept.a") == 2 && links_of("kept.b") == 2);
	CHECK(ino_of("kept.a") == ino_of("kept.b"));
	int fd = open("kept.a", O_WRONLY | O_APPEND);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	CHECK(size_of("kept.a") == size_of("kept.b"));
	CHECK(links_of("kept.a") == 2);
}

void check_symlink(void)
{
	char target[64] = "";
	struct stat st;

	unlink("l");
	fill("f", SMALL, 11);
	CHECK(symlink("f", "l") == 0);
	CHECK(readlink("l", target, sizeof(target)) == 1 && target[0] == 'f');
	CHECK(lstat("l", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 1);
	CHECK(holds("l", SMALL, 11));
	CHECK(open("l", O_RDONLY | O_NOFOLLOW) < 0 && errno == ELOOP);
	CHECK(symlink("x", "l") < 0 && errno == EEXIST);
}

/* What one process writes by write(2) another sees in its mapping, and the other way round. */

void check_times(void)
{
	const struct timespec set[2] = { { 1000000001, 123456789 }, { 1200000002, 987654321 } };
	const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	struct stat st, dir;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (missing(i ? "large" : "small"))
			fill(i ? "large" : "small", sizes[i], 15);
		CHECK(utimensat(AT_FDCWD, i ? "large" : "small", set, 0) == 0);
		CHECK(stat(i ? "large" : "small", &st) == 0);
		CHECK(st.st_atim.tv_sec == 1000000001 && st.st_atim.tv_nsec == 123456789);
		CHECK(st.st_mtim.tv_sec == 1200000002 && st.st_mtim.tv_nsec == 987654321);
		CHECK(st.st_ctim.tv_sec > 1500000000);
	}
	CHECK(utimensat(AT_FDCWD, "small", now, 0) == 0);
	CHECK(stat("small", &st) == 0 && st.st_mtim.tv_sec > 1500000000);
	CHECK(st.st_atim.tv_sec == 1000000001);
	CHECK(utimensat(AT_FDCWD, ".", set, 0) == 0);
	CHECK(stat(".", &dir) == 0 && dir.st_mtim.tv_sec == 1200000002);
	unlink("new");
	fill("new", SMALL, 16);
	CHECK(stat(".", &dir) == 0 && dir.st_mtim.tv_sec > 1500000000);
}

void check_mode(void)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *name = i ? "large" : "small";

		if (missing(name))
			fill(name, sizes[i], 17);
		CHECK(chmod(name, 0751) == 0);
		CHECK(stat(name, &st) == 0 && (st.st_mode & 07777) == 0751);
		CHECK(st.st_uid == geteuid());
		CHECK(chmod(name, 0640) == 0);
		CHECK(stat(name, &st) == 0 && (st.st_mode & 07777) == 0640);
	}
	umask(027);
	unlink("masked");
	int fd = open("masked", O_WRONLY | O_CREAT | O_EXCL, 0666);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(stat("masked", &st) == 0 && (st.st_mode & 07777) == 0640);
}

void check_xattr(void)
{
	char value[32] = "", list[256];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *name = i ? "large" : "small";

		if (missing(name))
			fill(name, sizes[i], 18);
		CHECK(setxattr(name, "user.colour", "red", 3, 0) == 0);
		CHECK(getxattr(name, "user.colour", value, sizeof(value)) == 3);
		CHECK(!memcmp(value, "red", 3));
		CHECK(getxattr(name, "user.colour", value, 0) == 3);
		CHECK(getxattr(name, "user.colour", value, 1) < 0 && errno == ERANGE);
		CHECK(listxattr(name, list, sizeof(list)) == 12);
		CHECK(!memcmp(list, "user.colour", 12));
		CHECK(setxattr(name, "user.colour", "x", 1, XATTR_CREATE) < 0 && errno == EEXIST);
		CHECK(setxattr(name, "user.other", "x", 1, XATTR_REPLACE) < 0 && errno == ENODATA);
		CHECK(removexattr(name, "user.colour") == 0);
		CHECK(getxattr(name, "user.colour", value, 32) < 0 && errno == ENODATA);
		CHECK(listxattr(name, list, sizeof(list)) == 0);
	}
	CHECK(setxattr(".", "user.dir", "d", 1, 0) == 0);
	CHECK(getxattr(".", "user.dir", value, sizeof(value)) == 1);
}

static unsigned count_entries(const char *name)
{
	DIR *dir = opendir(name);
	unsigned n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

void check_many_entries(void)
{
	const unsigned many = 50000;
	char name[32];

	for (unsigned i = 1; i < 101; i += 2) {
		snprintf(name, sizeof(name), "d/entry-%06u", i);
		unlink(name);
	}
	rmdir("d"); /* a large one that was emptied is slow for good on ext4 without an index */
	CHECK(mkdir("d", 0755) == 0);
	for (unsigned i = 0; i < many; i++) {
		snprintf(name, sizeof(name), "d/entry-%06u", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0644);
		CHECK(fd >= 0 && close(fd) == 0);
	}
	CHECK(count_entries("d") == many);
	/* A listing in progress must give what stays, however much of the rest goes. */
	DIR *dir = opendir("d");
	struct dirent *entry;
	unsigned odd = 0;
	CHECK(dir);
	while ((entry = readdir(dir))) {
		unsigned i;

		if (sscanf(entry->d_name, "entry-%u", &i) != 1)
			continue;
		odd += i % 2;
		if (i % 2 == 0) {
			snprintf(name, sizeof(name), "d/entry-%06u", i);
			CHECK(unlink(name) == 0);
		}
	}
	closedir(dir);
	CHECK(odd == many / 2);
	CHECK(count_entries("d") == many / 2);
	CHECK(rmdir("d") < 0 && errno == ENOTEMPTY);
	/* Few stay, so that a log of the draft is quick. */
	for (unsigned i = 101; i < many; i += 2) {
		snprintf(name, sizeof(name), "d/entry-%06u", i);
		CHECK(unlink(name) == 0);
	}
	CHECK(count_entries("d") == 50);
}

void check_long_names(void)
{
	char name[257];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	CHECK(open(name, O_WRONLY | O_CREAT, 0644) < 0 && errno == ENAMETOOLONG);
	name[255] = 0;
	fill(name, SMALL, 20);
	CHECK(holds(name, SMALL, 20));
	fill("odd \t\n\\\"'*?[\x01\xff\xc3(", SMALL, 21);
	CHECK(holds("odd \t\n\\\"'*?[\x01\xff\xc3(", SMALL, 21));
	fill("...", SMALL, 22);
	fill("v0:latest", SMALL, 22);
}

void check_deep(void)
{
	char path[3000] = "";

	for (int i = 0; i < 100; i++) {
		strncat(path, "a-directory-name-22-ch", sizeof(path) - strlen(path) - 3);
		CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
		strncat(path, "/", sizeof(path) - strlen(path) - 2);
	}
	strncat(path, "f", sizeof(path) - strlen(path) - 1);
	fill(path, SMALL, 23);
	CHECK(holds(path, SMALL, 23));
}

void check_errors(void)
{
	int fd;

	fill("f", SMALL, 26);
	CHECK(mkdir("d", 0755) == 0 || errno == EEXIST);
	CHECK(open("f", O_WRONLY | O_CREAT | O_EXCL, 0644) < 0 && errno == EEXIST);
	CHECK(open("nothing", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(open("f/x", O_RDONLY) < 0 && errno == ENOTDIR);
	CHECK(open("d", O_WRONLY) < 0 && errno == EISDIR);
	CHECK(open("f", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR);
	CHECK(mkdir("f", 0755) < 0 && errno == EEXIST);
	CHECK(rmdir("f") < 0 && errno == ENOTDIR);
	CHECK(unlink("d") < 0 && errno == EISDIR);
	CHECK(link("d", "e") < 0 && errno == EPERM);
	CHECK(truncate("f", -1) < 0 && errno == EINVAL);
	fd = open("f", O_RDONLY);
	CHECK(fd >= 0 && write(fd, "x", 1) < 0 && errno == EBADF);
	CHECK(ftruncate(fd, 0) < 0 && errno == EINVAL);
	CHECK(close(fd) == 0);
	CHECK(holds("f", SMALL, 26));
}

/* A file open through two descriptors while its name is replaced and its size changes. */
