#include "document_control.h"

#include "document_private.h"
#include "log.h"
#include "reap.h"

#include <stdio.h>

/* What one step may take: a client that waits, and is killed, does not wait for long. */
#define STEP_MS 200

/* The error is told in the answer as well. */
__attribute__((format(printf, 3, 4))) static int refuse(struct buf *ret, int err, const char *fmt,
							...)
{
	json_t *root = json_object(), *text;
	va_list list;

	va_start(list, fmt);
	text = json_vsprintf(fmt, list);
	va_end(list);
	json_object_set_new(root, "error", text ? text : json_string("a name is not UTF-8"));
	json_finish(root, ret);
	return err;
}

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n < 0 ? 0 : (uint64_t)n;
}

/* ---- du ---- */

static json_t *json_usage(const struct usage *u)
{
	json_t *root = json_object();

	json_object_set_new(root, "versions", json_number(u->versions));
	json_object_set_new(root, "total", json_number(u->total));
	json_object_set_new(root, "shared", json_number(u->shared));
	json_object_set_new(root, "freed", json_number(u->freed));
	return root;
}

static int refuse_name(struct buf *ret, const char *name, int err)
{
	switch (err) {
	case -EINVAL:
		return refuse(ret, err, "'%s' names neither a version nor an artifact", name);
	case -ENOENT:
		return refuse(ret, err, "there is no %s", name);
	case -EACCES:
		return refuse(ret, err, "%s may not be read by you", name);
	case -EINTR:
		return refuse(ret, err, "interrupted");
	default:
		return refuse(ret, err, "%s: %s", name, strerror(-err));
	}
}

/* One name: its bytes to the list, its versions to the sum. */
static int add_usage(struct store *store, const struct control_caller *caller, const char *name,
		     struct usage_set *all, json_t *list)
{
	AUTO(usage_set_release) struct usage_set set = { 0 };
	struct usage usage;
	uint64_t unreadable = 0;
	json_t *item;
	int err = usage_find(store, &caller->cred, slice_str(name), &set, &unreadable);

	if (err == 0)
		err = usage_of(store, &set, caller->stop, &usage);
	if (err < 0)
		return err;
	for (size_t i = 0; i < set.count; i++)
		usage_set_add(all, set.ids[i]);
	item = json_usage(&usage);
	json_object_set_new(item, "name", json_string(name));
	json_object_set_new(item, "unreadable", json_number(unreadable));
	json_array_append_new(list, item);
	return 0;
}

static int answer_du(struct store *store, const struct control_caller *caller,
		     const json_t *request, struct buf *ret)
{
	AUTO(usage_set_release) struct usage_set all = { 0 };
	const json_t *names = json_object_get(request, "versions");
	json_t *root = json_object(), *list = json_array();
	const char *name = "";
	struct usage sum = { 0 };
	int err = 0;

	json_object_set_new(root, "versions", list);
	if (json_array_size(names) == 0)
		err = -EINVAL;
	for (size_t i = 0; err == 0 && i < json_array_size(names); i++) {
		name = json_string_value(json_array_get(names, i));
		name = name ? name : "";
		err = add_usage(store, caller, name, &all, list);
	}
	if (err == 0)
		err = usage_of(store, &all, caller->stop, &sum);
	if (err < 0) {
		json_decref(root);
		return refuse_name(ret, name, err);
	}
	json_object_set_new(root, "together", json_usage(&sum));
	json_finish(root, ret);
	return 0;
}

/* ---- gc ---- */

static bool read_limit(const json_t *request, const char *key, bool *ret_has, uint32_t *ret)
{
	const json_t *value = json_object_get(request, key);

	*ret_has = value;
	*ret = (uint32_t)number_of(request, key);
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0 &&
			  json_integer_value(value) < UINT32_MAX);
}

static bool read_policy(const json_t *request, struct gc_policy *ret)
{
	*ret = (struct gc_policy){
		.empty_trash = json_is_true(json_object_get(request, "empty_trash")),
	};
	return read_limit(request, "keep_last", &ret->has_keep_last, &ret->keep_last) &&
	       read_limit(request, "unused_days", &ret->has_unused, &ret->unused_days);
}

static bool read_cursor(const json_t *cursor, struct gc_cursor *ret)
{
	*ret = (struct gc_cursor){
		.phase = (enum gc_phase)number_of(cursor, "phase"),
		.collection = (uint32_t)number_of(cursor, "collection"),
		.number = (uint32_t)number_of(cursor, "number"),
	};
	return number_of(cursor, "phase") < GC_PHASES &&
	       number_of(cursor, "collection") < ID_LIMIT &&
	       number_of(cursor, "number") < UINT32_MAX;
}

static json_t *json_names(struct store *store, const struct usage_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->count; i++) {
		struct version v;

		if (version_get_by_id(store, set->ids[i], &v) == 0)
			json_array_append_new(list, json_label(store, &v));
	}
	return list;
}

static int survey(struct store *store, const struct control_caller *caller,
		  const struct gc_policy *policy, bool names, json_t *root)
{
	AUTO(usage_set_release) struct usage_set set = { 0 };
	uint64_t bytes;
	int err = gc_select(store, policy, caller->stop, &set);

	if (err == 0)
		err = usage_reclaimable(store, &set, caller->stop, &bytes);
	if (err < 0)
		return err;
	json_object_set_new(root, "versions", json_number(set.count));
	json_object_set_new(root, "bytes", json_number(bytes));
	if (names)
		json_object_set_new(root, "names", json_names(store, &set));
	return 0;
}

static int step(struct store *store, const struct control_caller *caller,
		const struct gc_policy *policy, struct gc_cursor *cursor, json_t *root)
{
	uint64_t purged = 0;
	json_t *next;
	int err = gc_step(store, policy, STEP_MS, caller->stop, cursor, &purged);

	/* What was done before it was stopped is done. */
	if (err < 0 && (err != -EINTR || purged == 0))
		return err;
	next = json_object();
	json_object_set_new(next, "phase", json_number(cursor->phase));
	json_object_set_new(next, "collection", json_number(cursor->collection));
	json_object_set_new(next, "number", json_number(cursor->number));
	json_object_set_new(root, "versions", json_number(purged));
	json_object_set_new(root, "cursor", next);
	return 0;
}

static int answer_gc(struct store *store, const struct control_caller *caller,
		     const json_t *request, struct buf *ret)
{
	struct gc_policy policy;
	struct gc_cursor cursor;
	json_t *root;
	int err;

	if (caller->cred.uid != 0 && caller->cred.uid != geteuid())
		return refuse(ret, -EPERM, "only root and the owner of the store may do that");
	if (!read_policy(request, &policy) ||
	    !read_cursor(json_object_get(request, "cursor"), &cursor))
		return refuse(ret, -EINVAL, "a number is out of bounds");
	root = json_object();
	if (json_is_true(json_object_get(request, "survey")))
		err = survey(store, caller, &policy,
			     json_is_true(json_object_get(request, "names")), root);
	else
		err = step(store, caller, &policy, &cursor, root);
	if (err < 0) {
		json_decref(root);
		return refuse(ret, err, "%s", strerror(-err));
	}
	json_object_set_new(root, "freed", json_number(reap_freed(store)));
	json_finish(root, ret);
	return 0;
}

static int answer_check(struct store *store, const struct control_caller *caller,
			const json_t *request, struct buf *ret)
{
	json_t *root;
	int err;

	if (caller->cred.uid != 0 && caller->cred.uid != geteuid())
		return refuse(ret, -EPERM, "only root and the owner of the store may do that");
	root = json_object();
	err = json_answer_check(store, caller->stop, request, root);
	if (err < 0) {
		json_decref(root);
		return refuse(ret, err, "%s", strerror(-err));
	}
	json_finish(root, ret);
	return 0;
}

int control_answer(struct store *store, const struct control_caller *caller, struct slice request,
		   struct buf *ret)
{
	json_error_t error;
	json_t *root = json_loadb(request.data ? request.data : "", request.len, 0, &error);
	const char *command = json_string_value(json_object_get(root, "command"));
	int err;

	if (!root)
		err = refuse(ret, -EINVAL, "line %d, column %d: %s", error.line, error.column,
			     error.text);
	else if (command && !strcmp(command, "du"))
		err = answer_du(store, caller, root, ret);
	else if (command && !strcmp(command, "gc"))
		err = answer_gc(store, caller, root, ret);
	else if (command && !strcmp(command, "fsck"))
		err = answer_check(store, caller, root, ret);
	else
		err = refuse(ret, -EINVAL, "no such command: %s", command ? command : "none");
	json_decref(root);
	return err;
}

/* ---- the other side ---- */

static void dump(json_t *root, struct buf *ret)
{
	char *text = json_dumps(root, JSON_COMPACT);

	buf_add_str(ret, text ? text : "");
	free(text);
	json_decref(root);
}

static json_t *load(struct slice answer)
{
	return json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
}

void control_error(struct slice answer, struct buf *ret)
{
	json_t *root = load(answer);
	const char *text = json_string_value(json_object_get(root, "error"));

	buf_add_str(ret, text ? text : "");
	json_decref(root);
}

void control_ask_du(const char *const *names, size_t count, struct buf *ret)
{
	json_t *root = json_object(), *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *name = json_string(names[i]);

		/* What is not UTF-8 is the name of nothing. */
		json_array_append_new(list, name ? name : json_string("?"));
	}
	json_object_set_new(root, "command", json_string("du"));
	json_object_set_new(root, "versions", list);
	dump(root, ret);
}

static void read_usage(const json_t *item, struct control_usage *ret)
{
	const char *name = json_string_value(json_object_get(item, "name"));

	*ret = (struct control_usage){
		.name = name ? xstrdup(name) : NULL,
		.unreadable = number_of(item, "unreadable"),
		.usage = { number_of(item, "versions"), number_of(item, "total"),
			   number_of(item, "freed"), number_of(item, "shared") },
	};
}

void control_du_release(struct control_du *du)
{
	for (size_t i = 0; i < du->count; i++)
		free(du->list[i].name);
	free(du->list);
	*du = (struct control_du){ 0 };
}

int control_read_du(struct slice answer, struct control_du *ret)
{
	json_t *root = load(answer);
	const json_t *list = json_object_get(root, "versions");
	const json_t *sum = json_object_get(root, "together");
	size_t count = json_array_size(list);
	int err = count > 0 && sum ? 0 : -EINVAL;

	if (err == 0) {
		*ret = (struct control_du){ xcalloc(count + 1, sizeof(*ret->list)), count + 1 };
		for (size_t i = 0; i < count; i++)
			read_usage(json_array_get(list, i), &ret->list[i]);
		read_usage(sum, &ret->list[count]);
	}
	json_decref(root);
	return err;
}

static json_t *gc_request(const struct gc_policy *policy)
{
	json_t *root = json_object();

	json_object_set_new(root, "command", json_string("gc"));
	if (policy->empty_trash)
		json_object_set_new(root, "empty_trash", json_true());
	if (policy->has_keep_last)
		json_object_set_new(root, "keep_last", json_number(policy->keep_last));
	if (policy->has_unused)
		json_object_set_new(root, "unused_days", json_number(policy->unused_days));
	return root;
}

void control_ask_survey(const struct gc_policy *policy, bool names, struct buf *ret)
{
	json_t *root = gc_request(policy);

	json_object_set_new(root, "survey", json_true());
	json_object_set_new(root, "names", json_boolean(names));
	dump(root, ret);
}

void control_ask_step(const struct gc_policy *policy, const struct gc_cursor *cursor,
		      struct buf *ret)
{
	json_t *root = gc_request(policy), *at = json_object();

	json_object_set_new(at, "phase", json_number(cursor->phase));
	json_object_set_new(at, "collection", json_number(cursor->collection));
	json_object_set_new(at, "number", json_number(cursor->number));
	json_object_set_new(root, "cursor", at);
	dump(root, ret);
}

void control_gc_release(struct control_gc *gc)
{
	for (size_t i = 0; i < gc->name_count; i++)
		free(gc->names[i]);
	free(gc->names);
	*gc = (struct control_gc){ 0 };
}

int control_read_gc(struct slice answer, struct control_gc *ret)
{
	json_t *root = load(answer);
	const json_t *names = json_object_get(root, "names");
	struct control_gc gc = {
		.versions = number_of(root, "versions"),
		.bytes = number_of(root, "bytes"),
		.freed = number_of(root, "freed"),
	};
	int err = json_object_get(root, "freed") &&
		  read_cursor(json_object_get(root, "cursor"), &gc.cursor) ? 0 : -EINVAL;

	if (err == 0) {
		gc.names = xcalloc(json_array_size(names) + 1, sizeof(*gc.names));
		for (size_t i = 0; i < json_array_size(names); i++) {
			const char *name = json_string_value(json_array_get(names, i));

			gc.names[gc.name_count++] = xstrdup(name ? name : "");
		}
		*ret = gc;
	}
	json_decref(root);
	return err;
}

void control_print_gc(const struct control_gc *gc, struct buf *ret)
{
	json_t *root = json_object(), *names = json_array();

	for (size_t i = 0; i < gc->name_count; i++)
		json_array_append_new(names, json_string(gc->names[i]));
	json_object_set_new(root, "versions", json_number(gc->versions));
	json_object_set_new(root, "bytes", json_number(gc->bytes));
	if (gc->names)
		json_object_set(root, "names", names);
	json_decref(names);
	json_finish(root, ret);
}
