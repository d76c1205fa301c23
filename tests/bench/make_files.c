/*
 * make_files.c - a store with a version of very many small files, `files:v0`, for measuring.
 *
 * make_files STORE DIRECTORIES FILES: so many directories of so many files, each with its number in
 * it. They are written into the draft's own directory and logged in earnest.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/publish.h"
#include "core/run.h"
#include "core/store.h"

static int make_file(int dir, const char *name, uint64_t number)
{
	AUTO(cleanup_close) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 || dprintf(fd, "%" PRIu64 "\n", number) < 0 ? -errno : 0;
}

static int make_directory(int top, uint64_t number, uint64_t files)
{
	autofree char *name = xasprintf("d%05" PRIu64, number);
	AUTO(cleanup_close) int dir = -1;
	int err = 0;

	if (mkdirat(top, name, 0755) < 0)
		return -errno;
	dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	for (uint64_t i = 0; err == 0 && i < files; i++) {
		autofree char *file = xasprintf("f%05" PRIu64, i);

		err = make_file(dir, file, number * files + i);
	}
	return err;
}

static int make_draft(struct store *store, uint32_t run, uint64_t directories, uint64_t files)
{
	autofree char *path = xasprintf("%08x/files", run);
	AUTO(cleanup_close) int top = -1;
	int err = 0;

	if (mkdirat(store->drafts, path, 0755) < 0)
		return -errno;
	top = openat(store->drafts, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	for (uint64_t i = 0; err == 0 && i < directories; i++)
		err = make_directory(top, i, files);
	return err;
}

int main(int argc, char **argv)
{
	const struct store_options options = { .cache_bytes = 256u << 20 };
	static const struct cred root = { 0 };
	struct publish_request request = { .cred = &root, .name = slice_str("files") };
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct store *store = NULL;
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: make_files STORE DIRECTORIES FILES\n");
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	err = store_open(argv[1], &options, &why, &store);
	if (err == 0)
		err = run_create(store, slice_str("made"), 0, 0, 0755, 0, &request.run);
	if (err == 0)
		err = make_draft(store, request.run, strtoull(argv[2], NULL, 10),
				 strtoull(argv[3], NULL, 10));
	if (err == 0)
		err = publish(store, &request);
	if (err < 0)
		fprintf(stderr, "make_files: %s %s\n", strerror(-err), buf_str(&why));
	store_close(store);
	return err < 0;
}
