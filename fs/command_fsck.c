#include "command_fsck.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "command.h"
#include "control_target.h"
#include "core/document_check.h"

static const char help[] =
	"usage: lineagefs " FSCK_USAGE "\n"
	"\n"
	"Looks whether a store is whole: edges from both sides, versions and their files,\n"
	"indexes, the audit log, and whether anything is there that belongs to nothing. The store\n"
	"may be mounted and in use. One that is not mounted is recovered first, as a mount does\n"
	"it. Only root and the owner of the store may do this.\n"
	"\n"
	"  --repair     write again what can be derived from something else, and set aside what\n"
	"               belongs to nothing: files go to STORE/quarantine/, nothing is deleted\n"
	"  --deep       read and hash all bytes, on all processors\n"
	"  --json       the report as one JSON document\n"
	"  -q, --quiet  say nothing; the exit status tells\n"
	"  -c FILE      options of a store that is not mounted, as for `mount`\n"
	"  -h, --help   print this\n"
	"\n"
	"The exit status is the sum of: 1 something was repaired or set aside, 4 something is\n"
	"wrong and left so, 8 the check could not be made, 16 usage, 32 it was interrupted.\n";

enum { CLEAN = 0, REPAIRED = 1, LEFT = 4, FAILED = 8, USAGE = 16, CANCELLED = 32 };

/* So many problems are listed as JSON; all are counted, and all are said as text. */
#define LISTED_MAX 10000

#define refuse(status, ...) command_refuse("fsck", status, __VA_ARGS__)

struct command_fsck {
	const char *path, *conf_file;
	struct check_options options;
	bool json, quiet, terminal;
	struct control_target target;
	struct check_report report;
	struct check_summary summary;
	struct check_cursor cursor;
};

static volatile sig_atomic_t cancelled;

static void cancel(int signal)
{
	(void)signal;
	cancelled = 1;
}

enum { OPTION_REPAIR = 256, OPTION_DEEP, OPTION_JSON };

static const struct option long_options[] = {
	{ "repair", no_argument, NULL, OPTION_REPAIR },
	{ "deep", no_argument, NULL, OPTION_DEEP },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* 0; USAGE; -1: all is said. */
static int parse(struct command_fsck *f, int argc, char **argv)
{
	int c, status;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":qc:h", long_options, NULL)) != -1) {
		switch (c) {
		case OPTION_REPAIR:
			f->options.repair = true;
			break;
		case OPTION_DEEP:
			f->options.deep = true;
			break;
		case OPTION_JSON:
			f->json = true;
			break;
		case 'q':
			f->quiet = true;
			break;
		case 'c':
			f->conf_file = optarg;
			break;
		default:
			status = command_option("fsck", help, c, argv[optind - 1]);
			return status == 2 ? USAGE : status;
		}
	}
	if (argc - optind != 1) {
		refuse(2, argc == optind ? "which store?" : "one store at a time");
		return USAGE;
	}
	f->path = argv[optind];
	return 0;
}

/* ---- what is said ---- */

static void clear_line(const struct command_fsck *f)
{
	if (f->terminal)
		fputs("\r\033[K", stderr);
}

static void show_progress(const struct command_fsck *f, const struct check_answer *a)
{
	struct size_text done = size_for_people(a->cursor.bytes);
	struct size_text all = size_for_people(a->cursor.blob_bytes);
	uint64_t expected = a->expected > a->cursor.rows ? a->expected : a->cursor.rows;

	if (!f->terminal)
		return;
	fprintf(stderr, "\r\033[Kchecking %s: ", a->phase);
	if (a->cursor.bytes > 0)
		fprintf(stderr, "%s of %s", done.text, all.text);
	else
		fprintf(stderr, "%llu of about %llu rows", (unsigned long long)a->cursor.rows,
			(unsigned long long)expected);
	fflush(stderr);
}

/* Names have any bytes, and a problem is one line. */
static void say(const struct check_problem *p)
{
	AUTO(buf_release) struct buf what = BUF_INIT;

	buf_add_visible(&what, slice_str(p->what));
	printf("%s: %s: %s\n", check_outcome_name(p->outcome), p->name, buf_str(&what));
}

static void take(struct command_fsck *f, const struct check_answer *a)
{
	for (size_t i = 0; i < a->report.count; i++) {
		const struct check_problem *p = &a->report.problems[i];

		f->summary.counts[p->outcome]++;
		if (!f->json && !f->quiet) {
			clear_line(f);
			say(p);
		}
		if (f->json && f->report.count < LISTED_MAX)
			check_report_add(&f->report, p->name, p->what, p->outcome);
		else
			f->summary.unlisted++;
	}
	f->cursor = a->cursor;
}

static void say_end(const struct command_fsck *f)
{
	const uint64_t *counts = f->summary.counts;
	struct size_text hashed = size_for_people(f->cursor.bytes);

	if (!f->summary.complete)
		printf("not looked at to the end: ");
	if (counts[CHECK_FOUND] + counts[CHECK_REPAIRED] + counts[CHECK_QUARANTINED] == 0)
		printf("clean: ");
	else
		printf("%llu wrong and left, %llu repaired, %llu set aside: ",
		       (unsigned long long)counts[CHECK_FOUND],
		       (unsigned long long)counts[CHECK_REPAIRED],
		       (unsigned long long)counts[CHECK_QUARANTINED]);
	printf("%llu rows", (unsigned long long)f->cursor.rows);
	if (f->options.deep)
		printf(", %s hashed", hashed.text);
	putchar('\n');
}

/* ---- doing it ---- */

static int step(struct command_fsck *f, bool *done)
{
	AUTO(buf_release) struct buf request = BUF_INIT, answer = BUF_INIT, why = BUF_INIT;
	AUTO(check_answer_release) struct check_answer a = { 0 };
	int err;

	check_ask(&f->options, &f->cursor, &request);
	err = control_target_ask(&f->target, buf_slice(&request), &answer, &why);
	if (err == -EINTR && cancelled)
		return 0;
	if (err == 0)
		err = check_answer_read(buf_slice(&answer), &a);
	if (err < 0) {
		clear_line(f);
		return refuse(FAILED, "%s", why.len ? buf_str(&why) :
			      "the daemon answers what this version does not understand");
	}
	take(f, &a);
	*done = a.done;
	if (!a.done)
		show_progress(f, &a);
	return 0;
}

static int check_all(struct command_fsck *f)
{
	int status = 0;
	bool done = false;

	while (status == 0 && !done && !cancelled)
		status = step(f, &done);
	clear_line(f);
	f->summary.complete = done;
	if (f->summary.counts[CHECK_REPAIRED] + f->summary.counts[CHECK_QUARANTINED] > 0)
		status |= REPAIRED;
	if (f->summary.counts[CHECK_FOUND] > 0)
		status |= LEFT;
	return !done && cancelled ? status | CANCELLED : status;
}

static int report(struct command_fsck *f)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	f->summary.report = &f->report;
	f->summary.end = &f->cursor;
	f->summary.deep = f->options.deep;
	if (f->json) {
		check_print(&f->summary, &text);
		fputs(buf_str(&text), stdout);
	} else if (!f->quiet) {
		say_end(f);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return refuse(FAILED, "cannot write to standard output: %s", strerror(errno));
	return 0;
}

int fsck_main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = cancel };
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct command_fsck f = { 0 };
	int status = parse(&f, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	f.terminal = isatty(STDERR_FILENO) && !f.json && !f.quiet;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (control_target_open(&f.target, f.path, f.conf_file, true, &why) < 0) {
		status = refuse(FAILED, "%s", buf_str(&why));
	} else {
		status = check_all(&f);
		if (f.json || !(status & FAILED))
			status |= report(&f);
	}
	control_target_release(&f.target);
	check_report_release(&f.report);
	return status;
}
