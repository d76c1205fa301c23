#include "command_lineage.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "core/name.h"
#include "lineage_print.h"
#include "mount_find.h"
#include "run_files.h"

/* As deep as a tree is still one that people read. */
#define DEPTH_MAX 24

static const char help[] =
	"usage: lineagefs " LINEAGE_USAGE "\n"
	"\n"
	"Shows what a version or a run was made from (upstream) and what was made from it\n"
	"(downstream), at any distance. NAME:REF is a version: mnist:v3, mnist:latest, or\n"
	"the path of one. NAME alone is a run, or the latest version of an artifact.\n"
	"\n"
	"  -m, --mount DIR  where lineagefs is mounted; else $LINEAGEFS_MOUNT, else the\n"
	"                   only mount there is\n"
	"      --up         upstream only\n"
	"      --down       downstream only\n"
	"      --depth N    N steps at most; a step is from one artifact to the next\n"
	"      --type T     artifacts of type T alone, with how many others lie between\n"
	"      --tree       a tree, each node once (this is the default)\n"
	"      --json       the graph as JSON, as in /lineage/.../graph.json\n"
	"  -h, --help       print this\n";

struct command_lineage {
	const char *mount, *node, *type;
	bool up, down, json, tree;
	uint32_t steps;
};

#define refuse(status, ...) command_refuse("lineage", status, __VA_ARGS__)

/* ---- options ---- */

enum { OPTION_UP = 256, OPTION_DOWN, OPTION_DEPTH, OPTION_TYPE, OPTION_JSON, OPTION_TREE };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	{ "up", no_argument, NULL, OPTION_UP },
	{ "down", no_argument, NULL, OPTION_DOWN },
	{ "depth", required_argument, NULL, OPTION_DEPTH },
	{ "type", required_argument, NULL, OPTION_TYPE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "tree", no_argument, NULL, OPTION_TREE },
	{ NULL, 0, NULL, 0 },
};

static int parse_steps(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n == 0 || n >= OUTLINE_UNBOUNDED)
		return refuse(2, "--depth takes a number of steps, 1 or more, not '%s'", text);
	*ret = (uint32_t)n;
	return 0;
}

/* 0; 2: wrong. */
static int check(struct command_lineage *l)
{
	if (!l->node)
		return refuse(2, "of which artifact or run?");
	if (l->up && l->down)
		return refuse(2, "--up and --down exclude each other; without them both are shown");
	if (l->json && l->tree)
		return refuse(2, "--json and --tree exclude each other");
	if (l->type && !name_valid(slice_str(l->type)))
		return refuse(2, "'%s' cannot be a type", l->type);
	return 0;
}

/* 0; 1; 2: wrong; -1: all is said. */
static int parse(struct command_lineage *l, int argc, char **argv)
{
	int c, status = 0;

	opterr = 0;
	optind = 1;
	l->steps = OUTLINE_UNBOUNDED;
	while (status == 0 && (c = getopt_long(argc, argv, ":m:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			l->mount = optarg;
			break;
		case OPTION_UP:
			l->up = true;
			break;
		case OPTION_DOWN:
			l->down = true;
			break;
		case OPTION_DEPTH:
			status = parse_steps(optarg, &l->steps);
			break;
		case OPTION_TYPE:
			l->type = optarg;
			break;
		case OPTION_JSON:
			l->json = true;
			break;
		case OPTION_TREE:
			l->tree = true;
			break;
		default:
			return command_option("lineage", help, c, argv[optind - 1]);
		}
	}
	if (status)
		return status;
	if (argc - optind > 1)
		return refuse(2, "one artifact or run at a time, not also '%s'", argv[optind + 1]);
	l->node = argv[optind];
	return check(l);
}

/* ---- which node ---- */

static bool is_there(const char *mount, const char *directory, struct slice name)
{
	autofree char *path = xasprintf("%s/%s/%.*s", mount, directory, (int)name.len,
					(const char *)name.data);

	return access(path, F_OK) == 0;
}

/* What an alias of an artifact names now: its version's name. 0, or -errno of readlink. */
static int read_alias(const char *mount, struct slice artifact, struct slice alias, char *ret,
		      size_t size)
{
	autofree char *path = xasprintf("%s/artifacts/%.*s/%.*s", mount, (int)artifact.len,
					(const char *)artifact.data, (int)alias.len,
					(const char *)alias.data);
	ssize_t n = readlink(path, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

static int find_version(const char *mount, struct slice artifact, struct slice version, char **ret)
{
	const char *name = artifact.data, *ref = version.data;
	char target[32];
	uint32_t number;
	int err;

	if (version_name_parse(version, &number) == 0) {
		*ret = xasprintf("%.*s:%.*s", (int)artifact.len, name, (int)version.len, ref);
		return 0;
	}
	err = read_alias(mount, artifact, version, target, sizeof(target));
	if (err == 0) {
		*ret = xasprintf("%.*s:%s", (int)artifact.len, name, target);
		return 0;
	}
	if (err == -EACCES)
		return refuse(1, "artifact %.*s: %s", (int)artifact.len, name, strerror(EACCES));
	if (!is_there(mount, "artifacts", artifact))
		return refuse(1, "there is no artifact %.*s", (int)artifact.len, name);
	if (slice_equal(version, slice_str("latest")))
		return refuse(1, "artifact %.*s has no version yet", (int)artifact.len, name);
	return refuse(1, "artifact %.*s has neither a version nor an alias %.*s",
		      (int)artifact.len, name, (int)version.len, ref);
}

/* The node's name in /lineage. */
static int find_node(const struct command_lineage *l, const char *mount, char **ret)
{
	struct slice text = slice_str(l->node);
	struct reference ref;

	if (strpbrk(l->node, ":/")) {
		if (reference_parse(text, &ref) < 0)
			return refuse(2, "'%s' names no version: mnist:v3 or mnist:latest does",
				      l->node);
		return find_version(mount, ref.artifact, ref.version, ret);
	}
	if (!name_valid(text))
		return refuse(2, "'%s' can name neither an artifact nor a run", l->node);
	if (is_there(mount, "runs", text)) {
		*ret = xstrdup(l->node);
		return 0;
	}
	if (!is_there(mount, "artifacts", text))
		return refuse(1, "there is neither a run nor an artifact %s", l->node);
	return find_version(mount, text, slice_str("latest"), ret);
}

static int read_graph(const char *mount, const char *node, struct buf *text, struct picture *ret)
{
	autofree char *path = xasprintf("%s/lineage/%s/graph.json", mount, node);
	int err = text_read(path, text);

	if (err == -ENOENT || err == -ENOTDIR)
		return refuse(1, "there is no %s", node);
	if (err == -EACCES)
		return refuse(1, "%s may not be read by you", node);
	if (err < 0)
		return refuse(1, "%s cannot be read: %s", path, strerror(-err));
	if (picture_parse(buf_slice(text), ret) < 0)
		return refuse(1, "%s is not what this version of lineagefs understands", path);
	return 0;
}

/* ---- what is shown ---- */

static void print_tree(const struct command_lineage *l, const char *mount, const char *node,
		       const struct picture *p, struct buf *ret)
{
	struct lineage_style style;

	lineage_style_init(&style, mount);
	if (p->truncated)
		buf_printf(ret, "TRUNCATED: %s\n", p->truncated);
	/* Who reads this knows it by name, which the document does not tell everybody. */
	if (p->nodes[p->root].private)
		buf_printf(ret, "%s, which not everybody may read\n", node);
	else
		lineage_print_node(&style, p, p->root, ret);
	for (int up = 1; up >= 0; up--) {
		AUTO(outline_release) struct outline outline = OUTLINE_INIT;
		struct outline_options options = { up, l->steps, l->type, DEPTH_MAX };

		if (up ? l->down : l->up)
			continue;
		outline_make(p, &options, &outline);
		lineage_print_outline(&style, p, &options, &outline, ret);
	}
}

struct shortcuts {
	struct picture_shortcut *list;
	size_t count, cap;
};

/* Each line is a way from the one above it. */
static void add_shortcuts(struct shortcuts *s, const struct picture *p, const struct outline *o,
			  bool up)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct outline_line *line = &o->lines[i];
		uint32_t above = line->parent == OUTLINE_NONE ? p->root :
								o->lines[line->parent].node;

		if (line->part)
			continue;
		s->list = xgrow(s->list, &s->cap, s->count + 1, sizeof(*s->list));
		s->list[s->count++] = (struct picture_shortcut){
			.from = up ? line->node : above,
			.to = up ? above : line->node,
			.others = line->others,
		};
	}
}

static void print_json(const struct command_lineage *l, const struct picture *p, struct buf *ret)
{
	autofree bool *keep = xcalloc(p->node_count, sizeof(*keep));
	static const struct picture_shortcut none[1];
	struct shortcuts s = { 0 };

	keep[p->root] = true;
	for (int up = 1; up >= 0; up--) {
		AUTO(outline_release) struct outline outline = OUTLINE_INIT;
		struct outline_options options = { up, l->steps, l->type, DEPTH_MAX };

		if (up ? l->down : l->up)
			continue;
		outline_make(p, &options, &outline);
		for (size_t i = 0; i < p->node_count; i++)
			keep[i] |= outline.met[i];
		if (l->type)
			add_shortcuts(&s, p, &outline, up);
	}
	picture_write(p, keep, !l->type || s.list ? s.list : none, s.count, ret);
	free(s.list);
}

int lineage_main(int argc, char **argv)
{
	AUTO(buf_release) struct buf why = BUF_INIT, text = BUF_INIT, out = BUF_INIT;
	AUTO(picture_release) struct picture picture = PICTURE_INIT;
	autofree char *mount = NULL, *node = NULL;
	struct command_lineage l = { 0 };
	int status = parse(&l, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	if (mount_find(l.mount, &why, &mount) < 0)
		return refuse(1, "%s", buf_str(&why));
	status = find_node(&l, mount, &node);
	if (status == 0)
		status = read_graph(mount, node, &text, &picture);
	if (status)
		return status;
	if (l.json)
		print_json(&l, &picture, &out);
	else
		print_tree(&l, mount, node, &picture, &out);
	if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
		return refuse(1, "cannot write to standard output: %s", strerror(errno));
	return 0;
}
