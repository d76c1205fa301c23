#include "launch.h"

#include "document_private.h"

void launch_release(struct launch *l)
{
	for (size_t i = 0; i < l->command_count; i++)
		free(l->command[i]);
	for (size_t i = 0; i < l->env_count; i++) {
		free(l->env[i].name);
		free(l->env[i].value);
	}
	free(l->command);
	free(l->env);
	free(l->executable);
	free(l->directory);
	free(l->user);
	free(l->host);
	free(l->commit);
	free(l->remote);
	*l = (struct launch){ 0 };
}

void launch_add_argument(struct launch *l, const char *argument)
{
	l->command = xgrow(l->command, &l->command_cap, l->command_count + 1, sizeof(char *));
	l->command[l->command_count++] = xstrdup(argument);
}

void launch_add_variable(struct launch *l, const char *name, const char *value)
{
	l->env = xgrow(l->env, &l->env_cap, l->env_count + 1, sizeof(*l->env));
	l->env[l->env_count++] = (struct launch_variable){ xstrdup(name), xstrdup(value) };
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static json_t *base64(const char *text)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (uint8_t)text[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_add_char(&b, k <= n ? base64_digits[bits >> (18 - 6 * k) & 63] : '=');
	}
	return json_pack("{s:s}", "base64", buf_str(&b));
}

/* NULL: not base64, or not a string of C. */
static char *from_base64(const char *text)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i += 4) {
		size_t n = len - i < 4 ? len - i : 4;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			const char *at = k < n ? strchr(base64_digits, text[i + k]) : base64_digits;

			if (!at || *at == '\0')
				return NULL;
			bits = bits << 6 | (uint32_t)(at - base64_digits);
		}
		for (size_t k = 0; k + 1 < n; k++)
			buf_add_char(&b, (char)(bits >> (16 - 8 * k)));
	}
	if (b.len == 0 || memchr(b.data, '\0', b.len))
		return NULL;
	return buf_detach(&b);
}

json_t *json_exact(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : base64(text);
}

char *json_exact_value(const json_t *value)
{
	const json_t *coded = json_object_get(value, "base64");

	if (json_is_string(value))
		return xstrdup(json_string_value(value));
	return json_is_string(coded) ? from_base64(json_string_value(coded)) : NULL;
}

static void set(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_exact(text));
}

void launch_encode(const struct launch *l, struct buf *ret)
{
	json_t *root = json_object(), *git = json_object(), *list = json_array();
	json_t *env = json_object();
	char *text;

	for (size_t i = 0; i < l->command_count; i++)
		json_array_append_new(list, json_exact(l->command[i]));
	json_object_set_new(root, "command", list);
	set(root, "executable", l->executable);
	set(root, "directory", l->directory);
	set(root, "user", l->user);
	set(root, "host", l->host);
	set(git, "commit", l->commit);
	if (l->dirty != LAUNCH_DIRTY_UNKNOWN)
		json_object_set_new(git, "dirty", json_boolean(l->dirty == LAUNCH_DIRTY));
	set(git, "remote", l->remote);
	if (l->commit)
		json_object_set(root, "git", git);
	for (size_t i = 0; i < l->env_count; i++)
		set(env, l->env[i].name, l->env[i].value);
	json_object_set_new(root, "env", env);
	text = json_dumps(root, JSON_INDENT(2));
	buf_add_str(ret, text ? text : "{}");
	buf_add_char(ret, '\n');
	free(text);
	json_decref(git);
	json_decref(root);
}

static void decode_command(const json_t *list, struct launch *l)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item) {
		autofree char *argument = json_exact_value(item);

		if (!argument) {
			/* Half a command is none. */
			while (l->command_count > 0)
				free(l->command[--l->command_count]);
			return;
		}
		launch_add_argument(l, argument);
	}
}

void launch_decode(struct slice text, struct launch *ret)
{
	json_t *root = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
	const json_t *git = json_object_get(root, "git");
	const json_t *dirty = json_object_get(git, "dirty");
	struct launch l = { 0 };
	const char *name;
	json_t *value;

	decode_command(json_object_get(root, "command"), &l);
	l.executable = json_exact_value(json_object_get(root, "executable"));
	l.directory = json_exact_value(json_object_get(root, "directory"));
	l.user = json_exact_value(json_object_get(root, "user"));
	l.host = json_exact_value(json_object_get(root, "host"));
	l.commit = json_exact_value(json_object_get(git, "commit"));
	l.remote = json_exact_value(json_object_get(git, "remote"));
	l.dirty = json_is_true(dirty)  ? LAUNCH_DIRTY :
		  json_is_false(dirty) ? LAUNCH_CLEAN : LAUNCH_DIRTY_UNKNOWN;
	json_object_foreach(json_object_get(root, "env"), name, value) {
		autofree char *bytes = json_exact_value(value);

		if (bytes)
			launch_add_variable(&l, name, bytes);
	}
	json_decref(root);
	*ret = l;
}
