#include "command_du.h"

#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "control_client.h"
#include "core/document_control.h"
#include "mount_find.h"

static const char help[] =
	"usage: lineagefs " DU_USAGE "\n"
	"\n"
	"Shows how many bytes versions hold. NAME:REF is a version: mnist:v3, mnist:latest;\n"
	"NAME alone is all versions of an artifact. Equal content counts once.\n"
	"\n"
	"  TOTAL   the bytes of all files\n"
	"  SHARED  of these, what other versions have as well\n"
	"  FREED   what goes when just these versions are removed and purged\n"
	"\n"
	"Of several names a last line shows all of them together: what they share among\n"
	"themselves is freed then.\n"
	"\n"
	"  -m, --mount DIR  where lineagefs is mounted; else $LINEAGEFS_MOUNT, else the\n"
	"                   only mount there is\n"
	"  -b, --bytes      bytes, not K, M, G of 1024\n"
	"      --json       what the daemon answers\n"
	"  -h, --help       print this\n";

#define refuse(status, ...) command_refuse("du", status, __VA_ARGS__)

struct command_du {
	const char *mount;
	const char *const *names;
	size_t count;
	bool bytes, json;
};

enum { OPTION_JSON = 256 };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "bytes", no_argument, NULL, 'b' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* 0; 1; 2: wrong; -1: all is said. */
static int parse(struct command_du *d, int argc, char **argv)
{
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":m:bh", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			d->mount = optarg;
			break;
		case 'b':
			d->bytes = true;
			break;
		case OPTION_JSON:
			d->json = true;
			break;
		default:
			return command_option("du", help, c, argv[optind - 1]);
		}
	}
	d->names = (const char *const *)argv + optind;
	d->count = (size_t)(argc - optind);
	return d->count ? 0 : refuse(2, "of which versions?");
}

static void print_line(const struct command_du *d, const struct control_usage *u)
{
	const uint64_t columns[] = { u->usage.total, u->usage.shared, u->usage.freed };

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		struct size_text size = d->bytes ? size_in_bytes(columns[i]) :
						   size_for_people(columns[i]);

		printf("%*s  ", d->bytes ? 15 : 7, size.text);
	}
	printf("%s\n", u->name ? u->name : "together");
}

/* 1: something was left out. */
static int print_table(const struct command_du *d, const struct control_du *du)
{
	int status = 0;

	if (d->bytes)
		printf("%15s  %15s  %15s  NAME\n", "TOTAL", "SHARED", "FREED");
	else
		printf("%7s  %7s  %7s  NAME\n", "TOTAL", "SHARED", "FREED");
	for (size_t i = 0; i < du->count; i++) {
		const struct control_usage *u = &du->list[i];

		if (u->unreadable)
			status = refuse(1, "%s: left out %llu that may not be read by you", u->name,
					(unsigned long long)u->unreadable);
		if (u->name || du->count > 2)
			print_line(d, u);
	}
	return status;
}

int du_main(int argc, char **argv)
{
	AUTO(buf_release) struct buf why = BUF_INIT, request = BUF_INIT, answer = BUF_INIT;
	AUTO(control_du_release) struct control_du du = { 0 };
	autofree char *mount = NULL;
	autoclose int fd = -1;
	struct command_du d = { 0 };
	int err, status = parse(&d, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	err = mount_find(d.mount, &why, &mount);
	if (err == 0)
		err = fd = control_connect(mount, &why);
	if (err < 0)
		return refuse(1, "%s", buf_str(&why));
	control_ask_du(d.names, d.count, &request);
	err = control_ask(fd, buf_slice(&request), &answer);
	control_error(buf_slice(&answer), &why);
	if (err == -E2BIG || (err < 0 && request.len > COMMAND_REQUEST_MAX))
		return refuse(1, "too many names at a time");
	if (err < 0)
		return refuse(1, "%s", why.len ? buf_str(&why) : strerror(-err));
	if (control_read_du(buf_slice(&answer), &du) < 0)
		return refuse(1, "the daemon answers what this version does not understand");
	if (d.json)
		fwrite(answer.data, 1, answer.len, stdout);
	else
		status = print_table(&d, &du);
	if (fflush(stdout) != 0 || ferror(stdout))
		return refuse(1, "cannot write to standard output: %s", strerror(errno));
	return status;
}
