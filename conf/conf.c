#include "conf.h"

#include <assert.h>
#include <ini.h>
#include <stdio.h>

#define SECTION "mount"

enum option_kind { BOOLEAN, NUMBER, LEVEL, PATH, NAMES };

struct option {
	const char *name;
	enum option_kind kind;
	size_t offset;       /* of the member of struct conf */
	unsigned min, max;   /* of a NUMBER */
	const char *initial; /* the default as one would write it; NULL: depends on the user */
	const char *initial_in_words;
	const char *sentence;
};

#define MEMBER(name) #name, .offset = offsetof(struct conf, name)

static const struct option options[] = {
	{ .name = MEMBER(allow_other), .kind = BOOLEAN, .initial_in_words = "yes for root, else no",
	  .sentence = "Other users may use the mount too, as the modes of its files allow." },
	{ .name = MEMBER(passthrough), .kind = BOOLEAN, .initial = "yes",
	  .sentence = "The kernel reads and writes large files by itself, where it can." },
	{ .name = MEMBER(threads), .kind = NUMBER, .initial = "16", .min = 2, .max = 256,
	  .sentence = "Request threads at most." },
	{ .name = MEMBER(cache_mb), .kind = NUMBER, .initial = "64", .min = 8, .max = 65536,
	  .sentence = "Memory for cached records and small files, in MiB." },
	{ .name = MEMBER(log_level), .kind = LEVEL, .initial = "info",
	  .sentence = "How much is logged: error, warning, info or debug." },
	{ .name = MEMBER(log_file), .kind = PATH, .initial = "", .initial_in_words = "(none)",
	  .sentence = "Absolute path of the log; none is syslog, or standard error with -f." },
	{ .name = MEMBER(protected_aliases), .kind = NAMES, .initial = "",
	  .initial_in_words = "(none)",
	  .sentence = "Aliases, divided by spaces, that only root and the store's owner move." },
	{ .name = MEMBER(latest_on_equal), .kind = BOOLEAN, .initial = "no",
	  .sentence = "Logging content equal to an older version moves `latest` back to it." },
	{ .name = MEMBER(keep_drafts_days), .kind = NUMBER, .initial = "30", .max = 36500,
	  .sentence = "Days that drafts of failed and crashed runs are kept; 0 is for good." },
	{ .name = MEMBER(trash_days), .kind = NUMBER, .initial = "7", .max = 36500,
	  .sentence = "Days that removed versions stay in the trash; 0 is no time at all." },
	{ .name = MEMBER(reference_hash_mb), .kind = NUMBER, .initial = "1024", .max = 1u << 30,
	  .sentence = "Files outside that links lead to are hashed up to this, in MiB; 0: none." },
	{ .name = MEMBER(scrub_mb), .kind = NUMBER, .initial = "10", .max = 100000,
	  .sentence = "Large files are read in the background, MiB a second, to find damage; 0: no." },
	{ .name = MEMBER(lineage_mb), .kind = NUMBER, .initial = "256", .max = 65536,
	  .sentence = "Memory for the lineage graph, in MiB; a larger one is walked on disk." },
	{ .name = MEMBER(lineage_nodes), .kind = NUMBER, .initial = "1000000", .min = 100,
	  .max = 100000000,
	  .sentence = "Nodes that a directory of /lineage shows at most." },
	{ .name = MEMBER(document_nodes), .kind = NUMBER, .initial = "100000", .min = 100,
	  .max = 100000000,
	  .sentence = "Nodes that a document of /lineage has at most." },
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!strcmp(options[i].name, name))
			return &options[i];
	}
	return NULL;
}

static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(words[i], word))
			return (int)i;
	}
	return -1;
}

static bool parse_boolean(const char *text, bool *ret)
{
	static const char *const words[] = { "no",  "yes", "false", "true",
					     "off", "on",  "0",     "1" };
	int i = find_word(words, ARRAY_SIZE(words), text);

	if (i < 0)
		return false;
	*ret = i % 2;
	return true;
}

static bool parse_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long n;

	if (!digits || text[digits])
		return false;
	n = strtoul(text, NULL, 10); /* too large for it is too large for max */
	if (n < min || n > max)
		return false;
	*ret = (unsigned)n;
	return true;
}

/* A word that no alias can be called protects nothing; other signs are a mistake. */
static bool all_names(const char *text)
{
	return text[strspn(text, " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789_.=+,@-")] == '\0';
}

static int set_string(char **member, const char *text)
{
	free(*member);
	*member = xstrdup(text);
	return 0;
}

static int set(struct conf *conf, const struct option *o, const char *text, struct buf *why)
{
	void *member = (char *)conf + o->offset;
	int i;

	switch (o->kind) {
	case BOOLEAN:
		if (parse_boolean(text, member))
			return 0;
		buf_printf(why, "%s is yes or no, not '%s'", o->name, text);
		return -EINVAL;
	case NUMBER:
		if (parse_number(text, o->min, o->max, member))
			return 0;
		buf_printf(why, "%s is a number from %u to %u, not '%s'", o->name, o->min, o->max,
			   text);
		return -EINVAL;
	case LEVEL:
		i = find_word(level_names, ARRAY_SIZE(level_names), text);
		if (i >= 0) {
			*(enum log_level *)member = (enum log_level)i;
			return 0;
		}
		buf_printf(why, "%s is error, warning, info or debug, not '%s'", o->name, text);
		return -EINVAL;
	case PATH:
		/* The daemon's working directory is not the one it was started in. */
		if (!*text || *text == '/')
			return set_string(member, text);
		buf_printf(why, "%s is an absolute path, not '%s'", o->name, text);
		return -EINVAL;
	case NAMES:
		if (all_names(text))
			return set_string(member, text);
		buf_printf(why, "%s are names divided by spaces, not '%s'", o->name, text);
		return -EINVAL;
	}
	return -EINVAL;
}

static int unknown(const char *name, struct buf *why)
{
	buf_printf(why, "there is no option '%s'", name);
	return -EINVAL;
}

void conf_init(struct conf *conf)
{
	AUTO(buf_release) struct buf why = BUF_INIT;

	*conf = (struct conf){ .allow_other = geteuid() == 0 };
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int err = 0;

		if (options[i].initial)
			err = set(conf, &options[i], options[i].initial, &why);
		assert(!err && "a default out of its own bounds");
		(void)err;
	}
}

void conf_release(struct conf *conf)
{
	free(conf->log_file);
	free(conf->protected_aliases);
	conf->log_file = NULL;
	conf->protected_aliases = NULL;
}

/* A failed read leaves conf as it was: both readers work on a copy. */
static struct conf copy(const struct conf *conf)
{
	struct conf c = *conf;

	c.log_file = xstrdup(conf->log_file ? conf->log_file : "");
	c.protected_aliases = xstrdup(conf->protected_aliases ? conf->protected_aliases : "");
	return c;
}

static void replace(struct conf *conf, struct conf *by)
{
	conf_release(conf);
	*conf = *by;
	by->log_file = NULL;
	by->protected_aliases = NULL;
}

/*
 * inih tells its handler no line numbers and does not stop at the first error unless built to, so
 * lines are counted where they are handed out, and none is after a failure.
 */
struct reader {
	struct conf *conf;
	FILE *file;
	char *line;
	size_t cap;
	unsigned line_number;
	int err;           /* -EINVAL from a line, or the errno of the file */
	struct buf reason; /* of err == -EINVAL */
};

static void reader_release(struct reader *r)
{
	free(r->line);
	buf_release(&r->reason);
	if (r->file)
		fclose(r->file);
}

static char *reader_fail(struct reader *r, const char *reason)
{
	r->err = -EINVAL;
	buf_add_str(&r->reason, reason);
	return NULL;
}

/* inih says nothing of a section that has no options, so look at its heading here. */
static bool other_section(const char *line)
{
	const char *end = strchr(line, ']');

	return *line == '[' && end &&
	       !slice_equal(slice(line + 1, (size_t)(end - line) - 1), slice_str(SECTION));
}

/* fgets() for inih: one whole line a call. */
static char *read_line(char *to, int size, void *arg)
{
	struct reader *r = arg;
	ssize_t n;
	char *text;

	if (r->err)
		return NULL;
	errno = 0;
	n = getline(&r->line, &r->cap, r->file);
	if (n < 0) {
		if (ferror(r->file))
			r->err = errno ? -errno : -EIO;
		return NULL;
	}
	r->line_number++;
	if (strlen(r->line) != (size_t)n)
		return reader_fail(r, "a NUL byte");
	/* An indented line would go on with the option above it, as in Python's configparser. */
	text = r->line + strspn(r->line, " \t");
	text[strcspn(text, "\r\n")] = '\0';
	if (other_section(text))
		return reader_fail(r, "the only section is [" SECTION "]");
	if (strlen(text) + 3 > (size_t)size) {
		if (*text != '#' && *text != ';')
			return reader_fail(r, "the line is too long");
		*text = '\0';
	}
	snprintf(to, (size_t)size, "%s\n", text);
	return to;
}

static int handle(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;
	const struct option *o;

	if (r->err)
		return 0;
	if (!*section) {
		reader_fail(r, "an option stands before the heading [" SECTION "]");
		return 0;
	}
	o = option_find(name);
	r->err = o ? set(r->conf, o, value ? value : "", &r->reason) : unknown(name, &r->reason);
	return r->err == 0;
}

#if INI_HANDLER_LINENO
static int handle_numbered(void *arg, const char *section, const char *name, const char *value,
			   int line)
{
	(void)line;
	return handle(arg, section, name, value);
}
#define HANDLER handle_numbered
#else
#define HANDLER handle
#endif

int conf_read_file(struct conf *conf, const char *path, struct buf *why)
{
	AUTO(conf_release) struct conf read = copy(conf);
	AUTO(reader_release) struct reader r = { .conf = &read, .reason = BUF_INIT };
	int bad_line;

	r.file = fopen(path, "re");
	if (!r.file) {
		r.err = -errno;
		buf_printf(why, "%s: %s", path, strerror(errno));
		return r.err;
	}
	bad_line = ini_parse_stream(read_line, &r, HANDLER, &r);
	if (r.err && r.err != -EINVAL) {
		buf_printf(why, "%s: %s", path, strerror(-r.err));
		return r.err;
	}
	if (bad_line > 0 && (!r.err || (unsigned)bad_line < r.line_number)) {
		buf_printf(why, "%s:%d: this is neither a [section] nor name = value", path,
			   bad_line);
		return -EINVAL;
	}
	if (r.err) {
		buf_printf(why, "%s:%u: %s", path, r.line_number, buf_str(&r.reason));
		return -EINVAL;
	}
	if (bad_line) {
		buf_printf(why, "%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	replace(conf, &read);
	return 0;
}

static int set_word(struct conf *conf, char *word, struct buf *why)
{
	char *equals = strchr(word, '=');
	const struct option *o;

	if (!*word)
		return 0;
	if (equals) {
		*equals = '\0';
		o = option_find(word);
		return o ? set(conf, o, equals + 1, why) : unknown(word, why);
	}
	o = option_find(word);
	if (o && o->kind == BOOLEAN)
		return set(conf, o, "yes", why);
	if (o) {
		buf_printf(why, "%s needs a value: %s=...", word, word);
		return -EINVAL;
	}
	o = strncmp(word, "no", 2) ? NULL : option_find(word + 2);
	if (o && o->kind == BOOLEAN)
		return set(conf, o, "no", why);
	return unknown(word, why);
}

/* Ends the word at list with a NUL, takes out backslashes; the start of the next word or NULL. */
static char *cut_word(char *list)
{
	char *to = list;

	for (; *list && *list != ','; list++) {
		if (*list == '\\' && list[1])
			list++;
		*to++ = *list;
	}
	list = *list ? list + 1 : NULL;
	*to = '\0';
	return list;
}

int conf_read_list(struct conf *conf, const char *list, struct buf *why)
{
	AUTO(conf_release) struct conf read = copy(conf);
	autofree char *words = xstrdup(list);
	char *word = words;

	while (word) {
		char *next = cut_word(word);
		int err = set_word(&read, word, why);

		if (err)
			return err;
		word = next;
	}
	replace(conf, &read);
	return 0;
}

void conf_describe(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];
		const char *initial = o->initial_in_words ? o->initial_in_words : o->initial;

		buf_printf(out, "  %-17s %-22s %s", o->name, initial, o->sentence);
		if (o->kind == NUMBER)
			buf_printf(out, " From %u to %u.", o->min, o->max);
		buf_add_char(out, '\n');
	}
}
