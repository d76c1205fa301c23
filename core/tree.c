#include "tree.h"

#include "log.h"

#define DEPTH_MAX 16 /* of pages in one directory: 64^16 entries */

void tree_entry_release(struct tree_entry *e)
{
	free(e->target);
	e->target = NULL;
}

/*
 * The bytes are compared with their digest, and that with what the page above says it is (NULL:
 * there is none).
 */
static int page_read(struct kv *kv, uint64_t page, const struct digest *digest, struct buf *ret,
		     struct page_reader *ret_reader)
{
	int err = kv_get_one(kv, KV_META, KEY(page(page)), ret);

	if (err == 0)
		err = page_verify(buf_slice(ret));
	if (err == 0 && digest && memcmp(ret->data, digest->bytes, DIGEST_SIZE) != 0)
		err = -EIO;
	if (err == 0)
		err = page_reader_of_record(ret_reader, buf_slice(ret));
	if (err < 0) {
		log_errno(err, "page %llu of a version cannot be read", (unsigned long long)page);
		return -EIO;
	}
	return 0;
}

/* No page is: one that leads back to itself. */
static int nested_too_deep(uint64_t page)
{
	return log_errno(-EIO, "page %llu of a version leads nowhere", (unsigned long long)page);
}

/* The child that has the name if any has, and the nodes before it. */
static int child_for(struct page_reader *r, struct slice name, uint64_t *ret_page,
		     struct digest *ret_digest, uint64_t *ret_before)
{
	struct page_child child;
	uint64_t page = 0, before = 0, sum = 0;
	int more;

	while ((more = page_next_child(r, &child)) > 0) {
		if (page && slice_compare(child.first, name) > 0)
			break;
		page = child.page;
		*ret_digest = child.digest;
		before = sum;
		sum += child.nodes;
	}
	if (more < 0 || !page)
		return -EIO;
	*ret_page = page;
	*ret_before += before;
	return 0;
}

int tree_find(struct kv *kv, uint64_t page, struct slice name, struct tree_entry *ret)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader reader;
	struct page_entry e;
	struct digest digest;
	uint64_t number = 1;
	int err;

	for (unsigned depth = 1;; depth++) {
		err = page_read(kv, page, depth > 1 ? &digest : NULL, &bytes, &reader);
		if (err == 0 && reader.level > 0 && depth == DEPTH_MAX)
			err = nested_too_deep(page);
		if (err < 0)
			return err;
		if (reader.level == 0)
			break;
		err = child_for(&reader, name, &page, &digest, &number);
		if (err < 0)
			return err;
	}
	while ((err = page_next_entry(&reader, &e)) > 0) {
		int order = slice_compare(e.name, name);

		if (order > 0)
			return -ENOENT;
		if (order == 0) {
			*ret = (struct tree_entry){ e.type, e.executable, e.size, e.mtime, e.digest,
						    e.page, e.nodes, number, NULL };
			if (e.type == ENTRY_LINK)
				ret->target = xstrndup(e.target.data, e.target.len);
			return 0;
		}
		number += e.nodes;
	}
	return err < 0 ? err : -ENOENT;
}

int tree_find_path(struct kv *kv, uint64_t page, struct slice path, struct tree_entry *ret)
{
	const char *at = path.data, *end = at + path.len;

	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		struct slice name = slice(at, (size_t)((slash ? slash : end) - at));
		struct tree_entry e;
		int err = tree_find(kv, page, name, &e);

		if (err < 0)
			return err;
		while (slash && slash < end && *slash == '/')
			slash++;
		if (!slash || slash == end) {
			*ret = e;
			return 0;
		}
		if (e.type != ENTRY_DIRECTORY) {
			tree_entry_release(&e);
			return -ENOTDIR;
		}
		page = e.page;
		at = slash;
	}
}

struct tree_cursor {
	struct kv *kv;
	unsigned depth; /* pages open */
	uint64_t number;
	struct buf pages[DEPTH_MAX];
	struct page_reader readers[DEPTH_MAX];
	/* An entry that was read while looking for the start. */
	bool pending;
	struct page_entry entry;
};

static int push(struct tree_cursor *c, uint64_t page, const struct digest *digest)
{
	int err;

	if (c->depth == DEPTH_MAX)
		return nested_too_deep(page);
	err = page_read(c->kv, page, digest, &c->pages[c->depth], &c->readers[c->depth]);
	if (err == 0)
		c->depth++;
	return err;
}

/* The next entry of the leaf page on top, popping and pushing pages as needed. */
static int advance(struct tree_cursor *c)
{
	while (c->depth > 0) {
		struct page_reader *top = &c->readers[c->depth - 1];
		struct page_child child;
		int more = top->level == 0 ? page_next_entry(top, &c->entry) :
					     page_next_child(top, &child);

		if (more < 0)
			return more;
		if (more == 0) {
			c->depth--;
		} else if (top->level == 0) {
			return 1;
		} else {
			int err = push(c, child.page, &child.digest);

			if (err < 0)
				return err;
		}
	}
	return 0;
}

/* Down to the leaf page that has the name or the next greater one; then past the name. */
static int seek(struct tree_cursor *c, struct slice after)
{
	int more;

	while (c->readers[c->depth - 1].level > 0) {
		struct page_reader *top = &c->readers[c->depth - 1];
		struct page_reader ahead = *top;
		uint64_t page = 0;
		struct page_child child;
		struct digest digest;

		/* Leave the reader right behind the child to descend into. */
		while ((more = page_next_child(&ahead, &child)) > 0) {
			if (page && slice_compare(child.first, after) > 0)
				break;
			page = child.page;
			digest = child.digest;
			*top = ahead;
		}
		if (more < 0 || !page)
			return -EIO;
		more = push(c, page, &digest);
		if (more < 0)
			return more;
	}
	while ((more = advance(c)) > 0) {
		if (slice_compare(c->entry.name, after) > 0) {
			c->pending = true;
			return 0;
		}
		c->number += c->entry.nodes;
	}
	return more;
}

/* Nodes of everything before the page that seek() descends into. */
static int count_before(struct kv *kv, uint64_t page, struct slice after, uint64_t *ret)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	struct page_reader reader;
	struct digest digest;
	int err;

	for (unsigned depth = 1;; depth++) {
		err = page_read(kv, page, depth > 1 ? &digest : NULL, &bytes, &reader);
		if (err == 0 && reader.level > 0 && depth == DEPTH_MAX)
			err = nested_too_deep(page);
		if (err < 0 || reader.level == 0)
			return err;
		err = child_for(&reader, after, &page, &digest, ret);
		if (err < 0)
			return err;
	}
}

int tree_cursor_open(struct kv *kv, uint64_t page, struct slice after, struct tree_cursor **ret)
{
	AUTO(tree_cursor_closep) struct tree_cursor *c = xcalloc(1, sizeof(*c));
	int err;

	c->kv = kv;
	c->number = 1;
	err = push(c, page, NULL);
	if (err == 0 && after.len > 0)
		err = count_before(kv, page, after, &c->number);
	if (err == 0 && after.len > 0)
		err = seek(c, after);
	if (err < 0)
		return err;
	*ret = steal(c);
	return 0;
}

int tree_cursor_next(struct tree_cursor *c, struct page_entry *ret, uint64_t *ret_number)
{
	if (!c->pending) {
		int more = advance(c);

		if (more <= 0)
			return more;
	}
	c->pending = false;
	*ret = c->entry;
	*ret_number = c->number;
	c->number += c->entry.nodes;
	return 1;
}

void tree_cursor_close(struct tree_cursor *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < DEPTH_MAX; i++)
		buf_release(&c->pages[i]);
	free(c);
}

static int walk(struct kv *kv, uint64_t page, unsigned depth, struct buf *path, tree_visit *visit,
		void *arg)
{
	AUTO(tree_cursor_closep) struct tree_cursor *c = NULL;
	size_t length = path->len;
	struct page_entry e;
	uint64_t number;
	int err = depth > TREE_DEPTH_MAX ? nested_too_deep(page) :
					   tree_cursor_open(kv, page, slice("", 0), &c);

	while (err == 0) {
		int more = tree_cursor_next(c, &e, &number);

		if (more <= 0)
			return more;
		path->len = length;
		buf_add_slice(path, e.name);
		err = visit(arg, buf_slice(path), &e);
		if (err == 0 && e.type == ENTRY_DIRECTORY) {
			buf_add_char(path, '/');
			err = walk(kv, e.page, depth + 1, path, visit, arg);
		}
		path->len = length;
	}
	return err;
}

int tree_walk(struct kv *kv, uint64_t page, tree_visit *visit, void *arg)
{
	AUTO(buf_release) struct buf path = BUF_INIT;

	return walk(kv, page, 0, &path, visit, arg);
}

void tree_sums_line(struct buf *b, struct slice path, const struct digest *digest)
{
	const char *p = path.data;
	char hex[DIGEST_HEX_SIZE + 1];
	bool escape = false;

	for (size_t i = 0; i < path.len; i++)
		escape |= p[i] == '\\' || p[i] == '\n' || p[i] == '\r';
	digest_to_hex(digest, hex);
	if (escape)
		buf_add_char(b, '\\');
	buf_add(b, hex, DIGEST_HEX_SIZE);
	buf_add_str(b, "  ");
	for (size_t i = 0; i < path.len; i++) {
		if (p[i] == '\\')
			buf_add_str(b, "\\\\");
		else if (p[i] == '\n')
			buf_add_str(b, "\\n");
		else if (p[i] == '\r')
			buf_add_str(b, "\\r");
		else
			buf_add_char(b, p[i]);
	}
	buf_add_char(b, '\n');
}

uint64_t tree_sums_length(struct slice path)
{
	const char *p = path.data;
	uint64_t escapes = 0;

	for (size_t i = 0; i < path.len; i++)
		escapes += p[i] == '\\' || p[i] == '\n' || p[i] == '\r';
	return DIGEST_HEX_SIZE + 2 + path.len + escapes + (escapes > 0) + 1;
}

static int sums_visit(void *arg, struct slice path, const struct page_entry *entry)
{
	if (entry->type == ENTRY_FILE)
		tree_sums_line(arg, path, &entry->digest);
	return 0;
}

int tree_sums(struct kv *kv, uint64_t page, struct buf *ret)
{
	return tree_walk(kv, page, sums_visit, ret);
}
