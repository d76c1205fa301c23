#include "document_check.h"

#include "document_private.h"
#include "log.h"

#include <stdio.h>

/* As core/document_control.c: a client that waits, and is killed, does not wait for long. */
#define STEP_MS 200

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n < 0 ? 0 : (uint64_t)n;
}

static void dump(json_t *root, struct buf *ret)
{
	char *text = json_dumps(root, JSON_COMPACT);

	buf_add_str(ret, text ? text : "");
	free(text);
	json_decref(root);
}

/* Names may have any bytes. */
static json_t *json_text(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_exact(text);
}

static char *text_of(const json_t *json)
{
	const char *text = json_string_value(json);

	return text ? xstrdup(text) : json_exact_value(json);
}

/* ---- the cursor ---- */

static json_t *json_cursor(const struct check_cursor *at)
{
	json_t *root = json_object();
	char hex[2 * CHECK_KEY_MAX + 1] = "";

	for (size_t i = 0; i < at->key_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", at->key[i]);
	json_object_set_new(root, "phase", json_number(at->phase));
	json_object_set_new(root, "key", json_string(hex));
	json_object_set_new(root, "lines", json_number(at->journal.count));
	json_object_set_new(root, "line_bytes", json_number(at->journal.bytes));
	json_object_set_new(root, "line_digest", json_digest(&at->journal.digest));
	json_object_set_new(root, "rows", json_number(at->rows));
	json_object_set_new(root, "bytes", json_number(at->bytes));
	json_object_set_new(root, "blob_bytes", json_number(at->blob_bytes));
	return root;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_key(const char *hex, struct check_cursor *ret)
{
	size_t len = hex ? strlen(hex) : 0;

	if (len % 2 || len / 2 >= CHECK_KEY_MAX)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		if (digit(hex[i]) < 0 || digit(hex[i + 1]) < 0)
			return false;
		ret->key[i / 2] = (uint8_t)(digit(hex[i]) << 4 | digit(hex[i + 1]));
	}
	ret->key_len = len / 2;
	return true;
}

static bool read_cursor(const json_t *root, struct check_cursor *ret)
{
	static const char prefix[] = "sha256:";
	const char *digest = json_string_value(json_object_get(root, "line_digest"));

	*ret = (struct check_cursor){
		.phase = (unsigned)number_of(root, "phase"),
		.rows = number_of(root, "rows"),
		.bytes = number_of(root, "bytes"),
		.blob_bytes = number_of(root, "blob_bytes"),
	};
	ret->journal.count = number_of(root, "lines");
	ret->journal.bytes = number_of(root, "line_bytes");
	if (digest && (!slice_starts(slice_str(digest), slice_str(prefix)) ||
		       digest_from_hex(slice_str(digest + sizeof(prefix) - 1),
				       &ret->journal.digest) < 0))
		return false;
	return number_of(root, "phase") < 1000 &&
	       read_key(json_string_value(json_object_get(root, "key")), ret);
}

/* ---- the daemon's side ---- */

static json_t *json_problem(const struct check_problem *p)
{
	json_t *item = json_object();

	json_object_set_new(item, "name", json_string(p->name));
	json_object_set_new(item, "what", json_text(p->what));
	json_object_set_new(item, "outcome", json_string(check_outcome_name(p->outcome)));
	return item;
}

static json_t *json_problems(const struct check_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(list, json_problem(&report->problems[i]));
	return list;
}

static void add_keys(void *arg, const char *name, uint64_t n)
{
	if (!strcmp(name, "kv_keys"))
		*(uint64_t *)arg = n;
}

int json_answer_check(struct store *store, const bool *stop, const json_t *request, json_t *ret)
{
	const struct check_options options = {
		.repair = json_is_true(json_object_get(request, "repair")),
		.deep = json_is_true(json_object_get(request, "deep")),
	};
	AUTO(check_report_release) struct check_report report = { 0 };
	struct check_cursor cursor;
	uint64_t expected = 0;
	int more;

	if (!read_cursor(json_object_get(request, "cursor"), &cursor))
		return -EINVAL;
	more = check_step(store, &options, STEP_MS, stop, &cursor, &report);
	/* What was found and done is told also when it was interrupted. */
	if (more < 0 && (more != -EINTR || report.count == 0))
		return more;
	if (store->kv->ops->stats)
		store->kv->ops->stats(store->kv, add_keys, &expected);
	json_object_set_new(ret, "problems", json_problems(&report));
	json_object_set_new(ret, "cursor", json_cursor(&cursor));
	json_object_set_new(ret, "done", json_boolean(more == 0));
	json_object_set_new(ret, "phase", json_string(check_phase_name(cursor.phase)));
	json_object_set_new(ret, "expected", json_number(expected));
	return 0;
}

/* ---- the other side ---- */

void check_ask(const struct check_options *options, const struct check_cursor *cursor,
	       struct buf *ret)
{
	json_t *root = json_object();

	json_object_set_new(root, "command", json_string("fsck"));
	json_object_set_new(root, "repair", json_boolean(options->repair));
	json_object_set_new(root, "deep", json_boolean(options->deep));
	json_object_set_new(root, "cursor", json_cursor(cursor));
	dump(root, ret);
}

void check_answer_release(struct check_answer *a)
{
	check_report_release(&a->report);
	free(a->phase);
	*a = (struct check_answer){ 0 };
}

static void read_problem(const json_t *item, struct check_report *ret)
{
	const char *outcome = json_string_value(json_object_get(item, "outcome"));
	autofree char *name = text_of(json_object_get(item, "name"));
	autofree char *what = text_of(json_object_get(item, "what"));
	enum check_outcome found = CHECK_FOUND;

	for (unsigned i = 0; i < CHECK_OUTCOMES; i++)
		if (outcome && !strcmp(outcome, check_outcome_name(i)))
			found = i;
	check_report_add(ret, name ? name : "", what ? what : "", found);
}

int check_answer_read(struct slice answer, struct check_answer *ret)
{
	json_t *root = json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
	const json_t *problems = json_object_get(root, "problems");
	const json_t *cursor = json_object_get(root, "cursor");
	struct check_answer a = { .done = json_is_true(json_object_get(root, "done")) };
	int err = json_is_array(problems) && cursor && read_cursor(cursor, &a.cursor) ? 0 : -EINVAL;

	if (err == 0) {
		for (size_t i = 0; i < json_array_size(problems); i++)
			read_problem(json_array_get(problems, i), &a.report);
		a.phase = text_of(json_object_get(root, "phase"));
		a.expected = number_of(root, "expected");
		*ret = a;
	}
	json_decref(root);
	return err;
}

void check_print(const struct check_summary *s, struct buf *ret)
{
	json_t *root = json_object();
	uint64_t all = 0;

	for (unsigned i = 0; i < CHECK_OUTCOMES; i++) {
		json_object_set_new(root, check_outcome_name(i), json_number(s->counts[i]));
		all += s->counts[i];
	}
	json_object_set_new(root, "clean", json_boolean(all == 0 && s->complete));
	json_object_set_new(root, "complete", json_boolean(s->complete));
	json_object_set_new(root, "deep", json_boolean(s->deep));
	json_object_set_new(root, "rows", json_number(s->end->rows));
	json_object_set_new(root, "bytes", json_number(s->end->blob_bytes));
	json_object_set_new(root, "bytes_hashed", json_number(s->end->bytes));
	json_object_set_new(root, "problems", json_problems(s->report));
	if (s->unlisted)
		json_object_set_new(root, "problems_not_listed", json_number(s->unlisted));
	json_finish(root, ret);
}
