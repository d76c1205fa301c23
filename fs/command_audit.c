#include "command_audit.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "core/digest.h"
#include "core/document_event.h"
#include "mount_find.h"
#include "run_files.h"

#define READ_SIZE (1u << 20)
/* No line is longer, bytes. */
#define LINE_MAX_BYTES (64u << 20)

static const char help[] =
	"usage: lineagefs " AUDIT_USAGE "\n"
	"\n"
	"Checks the audit log: that every line is a whole one, that none is missing, and that\n"
	"each has the hash of the line before it; in a mount also that it ends as the store\n"
	"says. FILE is a copy of events.ndjson, - standard input; without it the log is read\n"
	"from where lineagefs is mounted. Exit status: 0 all is well, 1 it is not, 2 usage.\n"
	"\n"
	"  -m, --mount DIR  where lineagefs is mounted; else $LINEAGEFS_MOUNT, else the\n"
	"                   only mount there is\n"
	"      --head HASH  as an earlier audit has printed it: the log must still have the\n"
	"                   line with this hash, and so all that it had then\n"
	"  -h, --help       print this\n";

#define refuse(status, ...) command_refuse("audit", status, __VA_ARGS__)

struct audit {
	const char *mount, *file;
	bool wants_head;
	struct digest wanted;
	bool met; /* the line with the wanted hash */

	bool has_store; /* then this is what it says */
	struct journal_head store;

	uint64_t count;	    /* lines that are well */
	struct digest last; /* hash of the last of them */
};

enum { OPTION_HEAD = 256 };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "head", required_argument, NULL, OPTION_HEAD },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_head(struct audit *a, const char *text)
{
	static const char prefix[] = "sha256:";

	if (slice_starts(slice_str(text), slice_str(prefix)))
		text += sizeof(prefix) - 1;
	if (digest_from_hex(slice_str(text), &a->wanted) < 0)
		return refuse(2, "--head takes a hash of 64 hexadecimal digits, not '%s'", text);
	a->wants_head = true;
	return 0;
}

/* 0; 1; 2: wrong; -1: all is said. */
static int parse(struct audit *a, int argc, char **argv)
{
	int c, status = 0;

	opterr = 0;
	optind = 1;
	while (status == 0 && (c = getopt_long(argc, argv, ":m:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			a->mount = optarg;
			break;
		case OPTION_HEAD:
			status = parse_head(a, optarg);
			break;
		default:
			return command_option("audit", help, c, argv[optind - 1]);
		}
	}
	if (status)
		return status;
	if (argc - optind > 1)
		return refuse(2, "one file at a time, not also '%s'", argv[optind + 1]);
	a->file = argv[optind];
	if (a->file && a->mount)
		return refuse(2, "either a file or a mount");
	return 0;
}

/* ---- the chain ---- */

static int check_line(struct audit *a, struct slice line)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	unsigned long long at = a->count + 1;
	struct digest prev;
	uint64_t number;

	if (document_event_read(line, &number, &prev, &why) < 0)
		return refuse(1, "line %llu: %s", at, buf_str(&why));
	if (number != at)
		return refuse(1, "line %llu: its number is %llu", at, (unsigned long long)number);
	if (!digest_equal(&prev, &a->last)) {
		if (at == 1)
			return refuse(1, "line 1: it says that there was one before it");
		return refuse(1, "line %llu: line %llu is not the one that it was chained to", at,
			      at - 1);
	}
	digest_of(line, &a->last);
	a->count++;
	a->met |= a->wants_head && digest_equal(&a->last, &a->wanted);
	if (a->has_store && a->count == a->store.count &&
	    !digest_equal(&a->last, &a->store.digest))
		return refuse(1, "line %llu: it is not the last one that the store has", at);
	return 0;
}

/* The lines that text has whole; what is left of it stays. */
static int check_lines(struct audit *a, struct buf *text)
{
	size_t done = 0;
	int status = 0;

	while (status == 0) {
		const char *start = text->data + done;
		const char *end = memchr(start, '\n', text->len - done);

		if (!end)
			break;
		status = check_line(a, slice(start, (size_t)(end + 1 - start)));
		done += (size_t)(end + 1 - start);
	}
	memmove(text->data, text->data + done, text->len - done);
	text->len -= done;
	return status;
}

static int check_text(struct audit *a, int fd)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int status = 0;

	while (status == 0) {
		ssize_t n = read(fd, buf_reserve(&text, READ_SIZE), READ_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse(1, "what follows line %llu cannot be read: %s",
				      (unsigned long long)a->count, strerror(errno));
		if (n == 0)
			break;
		text.len += (size_t)n;
		status = check_lines(a, &text);
		if (status == 0 && text.len > LINE_MAX_BYTES)
			break;
	}
	/* No line, as what it is cut off from is missing. */
	return status == 0 && text.len > 0 ? check_line(a, buf_slice(&text)) : status;
}

static int check_end(const struct audit *a)
{
	char hex[DIGEST_HEX_SIZE + 1];

	if (a->has_store && a->count < a->store.count)
		return refuse(1, "it ends with line %llu, and the store has had %llu",
			      (unsigned long long)a->count, (unsigned long long)a->store.count);
	if (a->has_store && a->store.broken)
		return refuse(1, "line %llu: the store was edited before it: the log did not end "
			      "as it had", (unsigned long long)a->store.broken);
	if (a->wants_head && !a->met)
		return refuse(1, "no line has the hash that --head says: the log is not the one "
			      "that it was");
	digest_to_hex(&a->last, hex);
	if (printf("%llu events, chained, head sha256:%s\n", (unsigned long long)a->count, hex) <
		    0 || fflush(stdout) != 0)
		return refuse(1, "cannot write to standard output: %s", strerror(errno));
	return 0;
}

/* ---- where it is ---- */

/* What the store says comes first: what is added meanwhile is behind that. */
static int read_status(struct audit *a, const char *mount)
{
	autofree char *path = xasprintf("%s/_status.json", mount);
	AUTO(buf_release) struct buf text = BUF_INIT;
	int err = text_read(path, &text);

	if (err == 0)
		err = document_event_head(buf_slice(&text), &a->store);
	if (err < 0)
		return refuse(1, "%s cannot be read: %s", path, strerror(-err));
	a->has_store = true;
	return 0;
}

static int find_log(struct audit *a, char **ret)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	autofree char *mount = NULL;
	int status;

	if (a->file) {
		*ret = xstrdup(a->file);
		return 0;
	}
	if (mount_find(a->mount, &why, &mount) < 0)
		return refuse(1, "%s", buf_str(&why));
	status = read_status(a, mount);
	if (status == 0)
		*ret = xasprintf("%s/events.ndjson", mount);
	return status;
}

int audit_main(int argc, char **argv)
{
	autofree char *path = NULL;
	autoclose int opened = -1;
	struct audit a = { 0 };
	int fd = STDIN_FILENO, status = parse(&a, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	status = find_log(&a, &path);
	if (status)
		return status;
	if (!a.file || strcmp(a.file, "-") != 0)
		fd = opened = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return refuse(1, "%s cannot be opened: %s", path, strerror(errno));
	status = check_text(&a, fd);
	return status ? status : check_end(&a);
}
