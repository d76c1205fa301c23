#include "name.h"

bool name_valid(struct slice name)
{
	const unsigned char *p = name.data;

	if (name.len == 0 || name.len > NAME_MAX_BYTES || p[0] == '.' || p[0] == '_')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool digit = c >= '0' && c <= '9';

		if (!letter && !digit && (c == '\0' || !strchr("_.=+,@-", c)))
			return false;
	}
	return true;
}

int version_name_parse(struct slice name, uint32_t *ret)
{
	const char *p = name.data;
	uint64_t n = 0;

	if (name.len < 2 || name.len > 11 || p[0] != 'v' || (p[1] == '0' && name.len > 2))
		return -ENOENT;
	for (size_t i = 1; i < name.len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -ENOENT;
		n = n * 10 + (uint64_t)(p[i] - '0');
	}
	if (n > UINT32_MAX - 1)
		return -ENOENT;
	*ret = (uint32_t)n;
	return 0;
}

/* Takes the first component off a path, slashes after it too. */
static struct slice first_component(struct slice *path)
{
	const char *p = path->data;
	size_t n = 0, skip;

	while (n < path->len && p[n] != '/')
		n++;
	for (skip = n; skip < path->len && p[skip] == '/'; skip++)
		;
	*path = slice(p + skip, path->len - skip);
	return slice(p, n);
}

static struct slice trim_slashes(struct slice path)
{
	const char *p = path.data;

	while (path.len > 0 && p[path.len - 1] == '/')
		path.len--;
	return path;
}

/* <name>/<version>[/files[/<path>]] */
static bool parse_tail(struct slice tail, struct reference *ret)
{
	struct reference r = { .alias = slice("", 0) };
	struct slice files;

	r.artifact = first_component(&tail);
	r.version = first_component(&tail);
	files = first_component(&tail);
	r.path = trim_slashes(tail);
	if (!name_valid(r.artifact) || !name_valid(r.version))
		return false;
	if (files.len > 0 && !slice_equal(files, slice_str("files")))
		return false;
	*ret = r;
	return true;
}

static int parse_short(struct slice text, struct reference *ret)
{
	const char *colon = memchr(text.data, ':', text.len);
	size_t n = colon ? (size_t)(colon - (const char *)text.data) : 0;
	struct reference r = { .path = slice("", 0), .alias = slice("", 0) };
	uint32_t number;

	if (!colon)
		return -EINVAL;
	r.artifact = slice(text.data, n);
	r.version = slice(colon + 1, text.len - n - 1);
	colon = memchr(r.version.data, ':', r.version.len);
	if (colon) {
		r.alias = slice(r.version.data, (size_t)(colon - (const char *)r.version.data));
		r.version = slice(colon + 1, r.version.len - r.alias.len - 1);
		/* It is an alias that is pinned, and to a version. */
		if (!name_valid(r.alias) || version_name_parse(r.alias, &number) == 0 ||
		    version_name_parse(r.version, &number) < 0)
			return -EINVAL;
	}
	if (!name_valid(r.artifact) || !name_valid(r.version))
		return -EINVAL;
	*ret = r;
	return 0;
}

int reference_parse(struct slice text, struct reference *ret)
{
	static const char word[] = "artifacts/";
	const char *p = text.data;
	size_t n = sizeof(word) - 1;

	if (text.len == 0)
		return -EINVAL;
	if (!memchr(text.data, '/', text.len))
		return parse_short(text, ret);
	/*
	 * A file of a version may itself lie under a directory named artifacts: the first one
	 * counts.
	 */
	for (size_t i = 0; i + n < text.len; i++) {
		if ((i == 0 || p[i - 1] == '/') && memcmp(p + i, word, n) == 0 &&
		    parse_tail(slice(p + i + n, text.len - i - n), ret))
			return 0;
	}
	return -EINVAL;
}

void path_tidy(struct slice path, struct buf *ret)
{
	size_t start = ret->len;
	bool absolute = path.len > 0 && *(const char *)path.data == '/';

	if (absolute)
		first_component(&path);
	while (path.len > 0) {
		struct slice name = first_component(&path);

		if (slice_equal(name, slice_str(".")))
			continue;
		if (absolute || ret->len > start)
			buf_add_char(ret, '/');
		buf_add_slice(ret, name);
	}
}
