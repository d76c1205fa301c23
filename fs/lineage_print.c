#include "lineage_print.h"

#include <ctype.h>
#include <langinfo.h>
#include <locale.h>

/* Select graphic rendition. */
#define PLAIN "0"
#define DIM "2"
#define RED "31"
#define GREEN "32"
#define YELLOW "33"
#define BLUE "34"
#define BOLD "1"

void lineage_style_init(struct lineage_style *s, const char *mount)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool terminal = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;

	setlocale(LC_CTYPE, "");
	*s = (struct lineage_style){
		.colours = terminal && !(no_color && *no_color),
		.links = terminal,
		.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
		.mount = mount,
	};
}

static void paint(const struct lineage_style *s, const char *rendition, struct buf *ret)
{
	if (s->colours)
		buf_printf(ret, "\033[%sm", rendition);
}

static void add_painted(const struct lineage_style *s, const char *rendition, const char *text,
			struct buf *ret)
{
	paint(s, rendition, ret);
	buf_add_str(ret, text);
	paint(s, PLAIN, ret);
}

/* file://host/mount/artifacts/mnist/v3: the host, since the terminal may be on another one. */
static void add_uri(const struct lineage_style *s, const struct picture_node *node, struct buf *ret)
{
	autofree char *path = xasprintf("%s/%s/%s", s->mount, node->run ? "runs" : "artifacts",
					node->id);
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (!node->run)
		*strrchr(path, ':') = '/';
	buf_printf(ret, "file://%s", host);
	for (const char *p = path; *p; p++) {
		if ((isascii(*p) && isalnum(*p)) || strchr("/-._~=+,@", *p))
			buf_add_char(ret, *p);
		else
			buf_printf(ret, "%%%02X", (unsigned char)*p);
	}
}

static void add_name(const struct lineage_style *s, const struct picture_node *node,
		     struct buf *ret)
{
	bool link = s->links && (node->run || strchr(node->id, ':'));

	if (link) {
		buf_add_str(ret, "\033]8;;");
		add_uri(s, node, ret);
		buf_add_str(ret, "\033\\");
	}
	add_painted(s, node->run ? GREEN : BLUE, node->id, ret);
	if (link)
		buf_add_str(ret, "\033]8;;\033\\");
}

/* "(latest)", "(failed)"; a run that has finished and a version that is there need no word. */
static void add_remarks(const struct lineage_style *s, const struct picture_node *node,
			struct buf *ret)
{
	AUTO(buf_release) struct buf aliases = BUF_INIT;
	bool bad = !strcmp(node->state, "failed") || !strcmp(node->state, "crashed");

	picture_aliases(node, &aliases);
	if (aliases.len)
		buf_printf(ret, " (%s)", buf_str(&aliases));
	if (!node->state[0] || !strcmp(node->state, "finished") || !strcmp(node->state, "live"))
		return;
	buf_add_str(ret, " (");
	add_painted(s, bad ? RED : YELLOW, node->state, ret);
	buf_add_char(ret, ')');
}

static void add_node(const struct lineage_style *s, const struct picture_node *node,
		     struct buf *ret)
{
	const char *type = node->type[0] ? node->type : node->run ? "run" : "artifact";

	if (node->private) {
		add_painted(s, DIM, "an artifact that not everybody may read", ret);
		return;
	}
	add_painted(s, DIM, type, ret);
	buf_add_char(ret, ' ');
	add_name(s, node, ret);
	add_remarks(s, node, ret);
}

void lineage_print_node(const struct lineage_style *s, const struct picture *p, uint32_t node,
			struct buf *ret)
{
	add_node(s, &p->nodes[node], ret);
	buf_add_char(ret, '\n');
}

static void add_count(size_t n, const char *what, struct buf *ret)
{
	buf_printf(ret, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void add_heading(const struct lineage_style *s, const struct outline_options *options,
			const struct outline *o, struct buf *ret)
{
	buf_add_char(ret, '\n');
	add_painted(s, BOLD, options->up ? "upstream" : "downstream", ret);
	buf_add_str(ret, ": ");
	if (options->type) {
		add_count(o->artifacts, "artifact", ret);
		buf_printf(ret, " of type %s, %zu other%s passed over\n", options->type, o->others,
			   o->others == 1 ? "" : "s");
	} else if (o->count == 0) {
		buf_add_str(ret, "nothing\n");
	} else {
		add_count(o->artifacts, "artifact", ret);
		buf_add_str(ret, ", ");
		add_count(o->runs, "run", ret);
		buf_add_char(ret, '\n');
	}
}

/* lasts: of the lines that this one is below, at their depth. */
static void add_branch(const struct lineage_style *s, const struct outline_line *line,
		       const bool *lasts, struct buf *ret)
{
	paint(s, DIM, ret);
	for (unsigned i = 0; i < line->depth; i++)
		buf_add_str(ret, lasts[i] ? "    " : s->utf8 ? "│   " : "|   ");
	if (s->utf8)
		buf_add_str(ret, line->last ? "└── " : "├── ");
	else
		buf_add_str(ret, line->last ? "`-- " : "|-- ");
	paint(s, PLAIN, ret);
}

void lineage_print_outline(const struct lineage_style *s, const struct picture *p,
			   const struct outline_options *options, const struct outline *o,
			   struct buf *ret)
{
	autofree bool *lasts = xcalloc(options->depth + 1, sizeof(*lasts));

	add_heading(s, options, o, ret);
	for (size_t i = 0; i < o->count; i++) {
		const struct outline_line *line = &o->lines[i];

		if (line->part) {
			buf_printf(ret, "\n%s, further on from ",
				   options->up ? "upstream" : "downstream");
			lineage_print_node(s, p, line->node, ret);
			continue;
		}
		lasts[line->depth] = line->last;
		add_branch(s, line, lasts, ret);
		add_node(s, &p->nodes[line->node], ret);
		if (line->others)
			buf_printf(ret, ", %u other%s between", line->others,
				   line->others == 1 ? "" : "s");
		if (line->again)
			buf_add_str(ret, " (see above)");
		if (line->later)
			buf_add_str(ret, " (goes on below)");
		buf_add_char(ret, '\n');
	}
}
