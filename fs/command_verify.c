#include "command_verify.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#include "command.h"
#include "core/digest.h"
#include "core/document_reference.h"
#include "core/name.h"
#include "mount_find.h"
#include "run_files.h"

static const char help[] =
	"usage: lineagefs " VERIFY_USAGE "\n"
	"\n"
	"Compares the files that links of a version lead to with what they were when it was\n"
	"logged: size, time and, where it is known, SHA-256. NAME:REF is a version: mnist:v3,\n"
	"mnist:latest, or the path of one; NAME alone is the latest.\n"
	"\n"
	"  -m, --mount DIR  where lineagefs is mounted; else $LINEAGEFS_MOUNT, else the\n"
	"                   only mount there is\n"
	"      --quick      size and time only: a digest is not looked at\n"
	"      --json       one JSON object a reference\n"
	"  -h, --help       print this\n"
	"\n"
	"Exit status: 0 all is what it was, 1 something changed or is missing, 2 wrong usage.\n";

struct command_verify {
	const char *mount, *version;
	bool quick, json;
	struct hasher *hasher;
	size_t unchanged, changed, missing, unchecked;
};

#define refuse(status, ...) command_refuse("verify", status, __VA_ARGS__)

enum { OPTION_QUICK = 256, OPTION_JSON };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	{ "quick", no_argument, NULL, OPTION_QUICK },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

/* 0; 1; 2: wrong; -1: all is said. */
static int parse(struct command_verify *v, int argc, char **argv)
{
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":m:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			v->mount = optarg;
			break;
		case OPTION_QUICK:
			v->quick = true;
			break;
		case OPTION_JSON:
			v->json = true;
			break;
		default:
			return command_option("verify", help, c, argv[optind - 1]);
		}
	}
	if (argc - optind > 1)
		return refuse(2, "one version at a time, not also '%s'", argv[optind + 1]);
	v->version = argv[optind];
	return v->version ? 0 : refuse(2, "which version?");
}

static int read_references(const struct command_verify *v, const char *mount,
			   struct json_references *ret)
{
	struct reference ref = { .artifact = slice_str(v->version),
				 .version = slice_str("latest") };
	AUTO(buf_release) struct buf text = BUF_INIT;
	autofree char *path = NULL;
	int err = strpbrk(v->version, ":/") ? reference_parse(slice_str(v->version), &ref) :
		  name_valid(ref.artifact)  ? 0 : -EINVAL;

	if (err < 0)
		return refuse(2, "'%s' names no version: mnist:v3 or mnist:latest does",
			      v->version);
	path = xasprintf("%s/artifacts/%.*s/%.*s/info.json", mount, (int)ref.artifact.len,
			 (const char *)ref.artifact.data, (int)ref.version.len,
			 (const char *)ref.version.data);
	err = text_read(path, &text);
	if (err == -ENOENT || err == -ENOTDIR)
		return refuse(1, "there is no version %s", v->version);
	if (err == -EACCES)
		return refuse(1, "%s may not be read by you", v->version);
	if (err < 0)
		return refuse(1, "%s cannot be read: %s", path, strerror(-err));
	if (document_references(buf_slice(&text), ret) < 0)
		return refuse(1, "%s is not what this version of lineagefs understands", path);
	return 0;
}

/* A pipe or a device is not waited for. */
static int open_file(const char *path, struct stat *st)
{
	int fd;

	if (stat(path, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

enum state { UNCHANGED, CHANGED, MISSING, UNCHECKED };

static enum state compare(struct command_verify *v, const struct json_reference *r, int fd,
			  const struct stat *st, struct buf *why)
{
	AUTO(buf_release) struct buf mtime = BUF_INIT;
	struct digest digest;
	uint64_t size;
	int err;

	document_time((uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec,
		      &mtime);
	if ((uint64_t)st->st_size != r->size) {
		buf_printf(why, "size %lld, was %llu", (long long)st->st_size,
			   (unsigned long long)r->size);
		return CHANGED;
	}
	/* A file that was only touched has the bytes it had. */
	if ((v->quick || !r->hashed) && strcmp(buf_str(&mtime), r->mtime) != 0) {
		buf_printf(why, "changed at %s, was %s", buf_str(&mtime), r->mtime);
		return CHANGED;
	}
	if (v->quick || !r->hashed)
		return UNCHANGED;
	err = digest_of_file(fd, v->hasher, NULL, &digest, &size);
	if (err < 0) {
		buf_printf(why, "cannot be read: %s", strerror(-err));
		return MISSING;
	}
	if (digest_equal(&digest, &r->digest))
		return UNCHANGED;
	buf_printf(why, "other bytes");
	return CHANGED;
}

static enum state check(struct command_verify *v, const struct json_reference *r, struct buf *why)
{
	struct stat st;
	enum state state;
	int fd;

	if (!r->location) {
		buf_printf(why, "not a file");
		return UNCHECKED;
	}
	if (!r->known) {
		buf_printf(why, "nothing is known of it");
		return UNCHECKED;
	}
	fd = open_file(r->location, &st);
	if (fd < 0) {
		buf_printf(why, "%s", fd == -EINVAL ? "no regular file" : strerror(-fd));
		return MISSING;
	}
	state = compare(v, r, fd, &st, why);
	close(fd);
	return state;
}

static void verify(struct command_verify *v, const struct json_reference *r, struct buf *ret)
{
	static const char *const names[] = {
		[UNCHANGED] = "unchanged", [CHANGED] = "changed", [MISSING] = "missing",
		[UNCHECKED] = "not checked",
	};
	AUTO(buf_release) struct buf why = BUF_INIT;
	enum state state = check(v, r, &why);

	v->unchanged += state == UNCHANGED;
	v->changed += state == CHANGED;
	v->missing += state == MISSING;
	v->unchecked += state == UNCHECKED;
	if (v->json) {
		document_verified(r, names[state], buf_str(&why), ret);
		return;
	}
	buf_printf(ret, "%s: ", names[state]);
	buf_add_visible(ret, slice_str(r->path));
	buf_add_str(ret, " -> ");
	buf_add_visible(ret, slice_str(r->target));
	buf_printf(ret, why.len ? " (%s)\n" : "%s\n", buf_str(&why));
}

static bool print(const struct buf *text)
{
	return text->len == 0 || fwrite(text->data, 1, text->len, stdout) == text->len;
}

int verify_main(int argc, char **argv)
{
	AUTO(json_references_release) struct json_references references = { 0 };
	AUTO(hasher_freep) struct hasher *hasher = hasher_new();
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct command_verify v = { .hasher = hasher };
	autofree char *mount = NULL;
	int status = parse(&v, argc, argv);
	bool printed = true;

	if (status)
		return status < 0 ? 0 : status;
	if (mount_find(v.mount, &why, &mount) < 0)
		return refuse(1, "%s", buf_str(&why));
	status = read_references(&v, mount, &references);
	if (status)
		return status;
	for (size_t i = 0; i < references.count && printed; i++) {
		AUTO(buf_release) struct buf line = BUF_INIT;

		verify(&v, &references.list[i], &line);
		printed = print(&line);
	}
	if (!v.json && printed)
		printf("%zu unchanged, %zu changed, %zu missing, %zu not checked\n", v.unchanged,
		       v.changed, v.missing, v.unchecked);
	if (!printed || fflush(stdout) != 0)
		return refuse(1, "cannot write to standard output: %s", strerror(errno));
	if (references.unlisted)
		return refuse(1, "%llu more references are not listed by info.json, and were not "
				 "checked", (unsigned long long)references.unlisted);
	return v.changed + v.missing > 0;
}
