#include "document_event.h"

#include "document_private.h"

#include <pwd.h>

void event_user_release(struct event_user *user)
{
	free(user->name);
	*user = (struct event_user){ 0 };
}

static const char *user_name(struct event_user *user, uid_t uid)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	if (user->known && user->uid == uid)
		return user->name;
	event_user_release(user);
	user->known = true;
	user->uid = uid;
	if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found)
		user->name = xstrdup(found->pw_name);
	return user->name;
}

/* The length of the UTF-8 character that a text starts with; 0: it starts with none. */
static size_t character(const char *s)
{
	for (size_t n = 1; n <= 4 && s[n - 1]; n++) {
		json_t *text = json_stringn(s, n);

		json_decref(text);
		if (text)
			return n;
	}
	return 0;
}

/* What is not UTF-8 is replaced, byte by byte. */
static json_t *text_of(const char *s)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	json_t *text = json_string(s);

	while (!text && *s) {
		size_t n = character(s);

		if (n)
			buf_add(&b, s, n);
		else
			buf_add_str(&b, "\xef\xbf\xbd");
		s += n ? n : 1;
	}
	return text ? text : json_string(buf_str(&b));
}

/* Details are texts; these are shown as the numbers that they are. */
static json_t *detail_of(const char *name, const char *value)
{
	static const char *const numbers[] = { "exit_code", "files", "size", "owner", "group",
					       "mtime" };
	char *end;
	long long n;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(name, numbers[i]) != 0)
			continue;
		errno = 0;
		n = strtoll(value, &end, 10);
		if (value[0] && !*end && !errno)
			return json_integer(n);
	}
	return text_of(value);
}

static void add_record(json_t *line, const struct event_record *e, struct event_user *user)
{
	const char *name = user_name(user, e->actor.uid);

	json_object_set_new(line, "time", json_time(e->time));
	json_object_set_new(line, "event", json_string(event_kind_name(e->kind)));
	json_object_set_new(line, "uid", json_number(e->actor.uid));
	if (name)
		json_object_set_new(line, "user", text_of(name));
	json_object_set_new(line, "pid", json_number((uint64_t)e->actor.pid));
	if (e->run[0])
		json_object_set_new(line, "run", text_of(e->run));
	if (e->object[0])
		json_object_set_new(line, "artifact", text_of(e->object));
	for (size_t i = 0; i < e->detail_count; i++)
		if (!json_object_get(line, e->details[2 * i]))
			json_object_set_new(line, e->details[2 * i],
					    detail_of(e->details[2 * i], e->details[2 * i + 1]));
}

static void add_unreadable(json_t *line, uint64_t now, struct slice row)
{
	AUTO(buf_release) struct buf hex = BUF_INIT;

	for (size_t i = 0; i < row.len; i++)
		buf_printf(&hex, "%02x", ((const unsigned char *)row.data)[i]);
	json_object_set_new(line, "time", json_time(now));
	json_object_set_new(line, "event", json_string("unreadable"));
	json_object_set_new(line, "row", json_string(buf_str(&hex)));
}

uint64_t document_event(struct slice row, uint64_t number, const struct digest *prev,
		    struct event_user *user, struct buf *ret)
{
	AUTO(event_record_release) struct event_record e = { 0 };
	char hex[DIGEST_HEX_SIZE + 1];
	json_t *line = json_object();
	char *text;

	json_object_set_new(line, "n", json_number(number));
	if (event_decode(row, &e) == 0)
		add_record(line, &e, user);
	else
		add_unreadable(line, e.time = store_now(), row);
	digest_to_hex(prev, hex);
	json_object_set_new(line, "prev", json_string(hex));
	text = json_dumps(line, JSON_COMPACT);
	buf_add_str(ret, text ? text : "{}");
	buf_add_char(ret, '\n');
	free(text);
	json_decref(line);
	return e.time;
}

static int wrong(json_t *root, struct buf *why, const char *what)
{
	buf_add_str(why, what);
	json_decref(root);
	return -EINVAL;
}

int document_event_read(struct slice line, uint64_t *ret_number, struct digest *ret_prev,
			struct buf *why)
{
	const char *text = line.data, *prev;
	struct digest digest;
	json_error_t error;
	json_t *root, *n;

	if (line.len == 0 || text[line.len - 1] != '\n')
		return wrong(NULL, why, "it is cut off");
	root = json_loadb(text, line.len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return wrong(NULL, why, "it is not JSON");
	n = json_object_get(root, "n");
	prev = json_string_value(json_object_get(root, "prev"));
	if (!json_is_integer(n) || json_integer_value(n) < 1)
		return wrong(root, why, "it has no number");
	if (!prev || digest_from_hex(slice_str(prev), &digest) < 0)
		return wrong(root, why, "it has no hash of the line before it");
	if (!json_is_string(json_object_get(root, "event")) ||
	    !json_is_string(json_object_get(root, "time")))
		return wrong(root, why, "it does not say what happened when");
	*ret_number = (uint64_t)json_integer_value(n);
	*ret_prev = digest;
	json_decref(root);
	return 0;
}

int document_event_head(struct slice status, struct journal_head *ret)
{
	static const char prefix[] = "sha256:";
	json_t *root = json_loadb(status.data ? status.data : "", status.len, 0, NULL);
	const json_t *events = json_object_get(root, "events");
	const char *digest = json_string_value(json_object_get(events, "head"));
	struct journal_head head = {
		.count = (uint64_t)json_integer_value(json_object_get(events, "count")),
		.bytes = (uint64_t)json_integer_value(json_object_get(events, "bytes")),
		.broken = (uint64_t)json_integer_value(json_object_get(events, "broken_since")),
	};
	int err = events ? 0 : -EINVAL;

	if (digest && slice_starts(slice_str(digest), slice_str(prefix)))
		err = digest_from_hex(slice_str(digest + sizeof(prefix) - 1), &head.digest);
	else if (head.count > 0)
		err = -EINVAL;
	json_decref(root);
	if (err == 0)
		*ret = head;
	return err;
}
