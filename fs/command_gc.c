#include "command_gc.h"

#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "control_target.h"
#include "core/document_control.h"

static const char help[] =
	"usage: lineagefs " GC_USAGE "\n"
	"\n"
	"Takes away what nobody needs: removed versions that were in the trash for longer than\n"
	"trash_days, and the bytes that nothing refers to. The store may be mounted and in use.\n"
	"It says first what it is going to free. It can be killed at any point, and be started\n"
	"again. Only root and the owner of the store may do this.\n"
	"\n"
	"  -n, --dry-run          say what would go, and change nothing\n"
	"      --empty-trash      whatever is in the trash goes, old or not\n"
	"      --keep-last N      of each artifact all but the N newest versions go\n"
	"      --unused-for DAYS  versions go that are older than this and were not used by a run\n"
	"                         for as long; with --keep-last, only what both select\n"
	"      --json             what would go, or went, as JSON\n"
	"  -c FILE                options of a store that is not mounted, as for `mount`\n"
	"  -h, --help             print this\n"
	"\n"
	"What latest or another alias names stays, and what a running run uses or has logged.\n"
	"Versions that go for --keep-last or --unused-for do not come back from the trash.\n"
	"`lineagefs du` shows what single versions hold.\n";

#define refuse(status, ...) command_refuse("gc", status, __VA_ARGS__)

struct command_gc {
	const char *path, *conf_file;
	bool dry_run, json;
	struct gc_policy policy;
	struct control_target target;
};

enum { OPTION_JSON = 256, OPTION_EMPTY, OPTION_KEEP, OPTION_UNUSED };

static const struct option long_options[] = {
	{ "dry-run", no_argument, NULL, 'n' },
	{ "empty-trash", no_argument, NULL, OPTION_EMPTY },
	{ "keep-last", required_argument, NULL, OPTION_KEEP },
	{ "unused-for", required_argument, NULL, OPTION_UNUSED },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_number(const char *option, const char *text, bool *ret_has, uint32_t *ret)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n >= UINT32_MAX)
		return refuse(2, "--%s takes a number, 0 or more, not '%s'", option, text);
	*ret_has = true;
	*ret = (uint32_t)n;
	return 0;
}

/* 0; 1; 2: wrong; -1: all is said. */
static int parse(struct command_gc *g, int argc, char **argv)
{
	struct gc_policy *p = &g->policy;
	int c, status = 0;

	opterr = 0;
	optind = 1;
	while (status == 0 && (c = getopt_long(argc, argv, ":nc:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'n':
			g->dry_run = true;
			break;
		case 'c':
			g->conf_file = optarg;
			break;
		case OPTION_EMPTY:
			p->empty_trash = true;
			break;
		case OPTION_KEEP:
			status = parse_number("keep-last", optarg, &p->has_keep_last,
					      &p->keep_last);
			break;
		case OPTION_UNUSED:
			status = parse_number("unused-for", optarg, &p->has_unused,
					      &p->unused_days);
			break;
		case OPTION_JSON:
			g->json = true;
			break;
		default:
			return command_option("gc", help, c, argv[optind - 1]);
		}
	}
	if (status)
		return status;
	if (argc - optind != 1)
		return refuse(2, argc == optind ? "which store?" : "one store at a time");
	g->path = argv[optind];
	return 0;
}

static int ask(struct command_gc *g, const struct buf *request, struct control_gc *ret)
{
	AUTO(buf_release) struct buf answer = BUF_INIT, why = BUF_INIT;

	if (control_target_ask(&g->target, buf_slice(request), &answer, &why) < 0)
		return refuse(1, "%s", buf_str(&why));
	if (control_read_gc(buf_slice(&answer), ret) < 0)
		return refuse(1, "the daemon answers what this version does not understand");
	return 0;
}

/* ---- what is done and said ---- */

static void say(const char *words, uint64_t versions, uint64_t bytes, FILE *to, const char *end)
{
	struct size_text size = size_for_people(bytes);

	fprintf(to, "%s %llu version%s, %s%s", words, (unsigned long long)versions,
		versions == 1 ? "" : "s", size.text, end);
}

static void print_survey(const struct command_gc *g, const struct control_gc *found)
{
	if (g->json && g->dry_run) {
		AUTO(buf_release) struct buf text = BUF_INIT;

		control_print_gc(found, &text);
		fputs(buf_str(&text), stdout);
	}
	if (g->json)
		return;
	for (size_t i = 0; i < found->name_count; i++)
		puts(found->names[i]);
	say(g->dry_run ? "would free:" : "to free:", found->versions, found->bytes, stdout, "\n");
	fflush(stdout);
}

/* The line that is written over again and again. */
static void show_progress(const struct control_gc *sum, const struct control_gc *found)
{
	struct size_text all = size_for_people(found->bytes);

	say("\r\033[Kfreed:", sum->versions, sum->bytes, stderr, " of ");
	fprintf(stderr, "%s", all.text);
	fflush(stderr);
}

static int collect(struct command_gc *g, const struct control_gc *found, struct control_gc *sum)
{
	bool terminal = isatty(STDERR_FILENO) && !g->json;
	struct gc_cursor cursor = { 0 };
	uint64_t freed = g->target.store ? 0 : found->freed;
	int status = 0;

	while (status == 0 && cursor.phase < GC_DONE) {
		AUTO(buf_release) struct buf request = BUF_INIT;
		AUTO(control_gc_release) struct control_gc step = { 0 };

		control_ask_step(&g->policy, &cursor, &request);
		status = ask(g, &request, &step);
		if (status)
			break;
		cursor = step.cursor;
		sum->versions += step.versions;
		sum->bytes = step.freed - freed;
		if (terminal)
			show_progress(sum, found);
	}
	if (terminal)
		fputs("\r\033[K", stderr);
	return status;
}

static int run(struct command_gc *g)
{
	AUTO(control_gc_release) struct control_gc found = { 0 }, sum = { 0 };
	AUTO(buf_release) struct buf request = BUF_INIT, text = BUF_INIT;
	int status;

	control_ask_survey(&g->policy, g->dry_run, &request);
	status = ask(g, &request, &found);
	if (status)
		return status;
	print_survey(g, &found);
	if (!g->dry_run) {
		status = collect(g, &found, &sum);
		if (g->json)
			control_print_gc(&sum, &text);
		fputs(buf_str(&text), stdout);
		if (!g->json)
			say("freed:", sum.versions, sum.bytes, stdout, "\n");
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return refuse(1, "cannot write to standard output: %s", strerror(errno));
	return status;
}

int gc_main(int argc, char **argv)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct command_gc g = { 0 };
	int status = parse(&g, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	if (control_target_open(&g.target, g.path, g.conf_file, false, &why) < 0)
		status = refuse(1, "%s", buf_str(&why));
	else
		status = run(&g);
	control_target_release(&g.target);
	return status;
}
