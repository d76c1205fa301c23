#include "page.h"

#include <assert.h>

#define PAGE_FORMAT 1
#define LEVELS_MAX 16

/* A page is cut after a name whose hash has these bits set, so after 64 names on average... */
#define CUT_MASK 63
/* ...and in any case after so many: a chain of unlucky names cannot make a page without bound. */
#define CUT_ENTRIES 512

enum { FLAG_TYPE = 3, FLAG_EXECUTABLE = 4 };

int page_reader_init(struct page_reader *r, struct slice page)
{
	struct page_reader init = { .reader = reader_of(page) };

	if (get_u64(&init.reader) != PAGE_FORMAT)
		return -EIO;
	init.level = get_u32(&init.reader);
	init.left = get_u64(&init.reader);
	if (init.reader.bad || init.level >= LEVELS_MAX)
		return -EIO;
	*r = init;
	return 0;
}

int page_reader_of_record(struct page_reader *r, struct slice record)
{
	if (record.len < DIGEST_SIZE)
		return -EIO;
	return page_reader_init(r, slice((const uint8_t *)record.data + DIGEST_SIZE,
					 record.len - DIGEST_SIZE));
}

int page_next_entry(struct page_reader *r, struct page_entry *ret)
{
	struct page_entry e = { .nodes = 1 };
	unsigned flags;

	if (r->left == 0)
		return reader_end(&r->reader);
	flags = get_u32(&r->reader);
	e.type = flags & FLAG_TYPE;
	e.executable = flags & FLAG_EXECUTABLE;
	e.name = get_slice(&r->reader);
	e.mtime = get_time(&r->reader);
	switch (e.type) {
	case ENTRY_FILE:
		e.size = get_u64(&r->reader);
		get_digest(&r->reader, &e.digest);
		break;
	case ENTRY_DIRECTORY:
		e.page = get_u64(&r->reader);
		e.nodes = get_u64(&r->reader);
		get_digest(&r->reader, &e.digest);
		break;
	case ENTRY_LINK:
		e.target = get_slice(&r->reader);
		e.size = e.target.len;
		get_digest(&r->reader, &e.digest);
		break;
	default:
		return -EIO;
	}
	if (r->reader.bad)
		return -EIO;
	r->left--;
	*ret = e;
	return 1;
}

int page_next_child(struct page_reader *r, struct page_child *ret)
{
	struct page_child c = { 0 };

	if (r->left == 0)
		return reader_end(&r->reader);
	c.first = get_slice(&r->reader);
	get_digest(&r->reader, &c.digest);
	c.page = get_u64(&r->reader);
	c.nodes = get_u64(&r->reader);
	c.entries = get_u64(&r->reader);
	if (r->reader.bad)
		return -EIO;
	r->left--;
	*ret = c;
	return 1;
}

/* A page being filled at one level. */
struct level {
	struct buf body;
	struct buf first;
	struct buf hashed; /* what its digest is of */
	uint64_t entries; /* in this page */
	uint64_t below;	  /* directory entries below this page */
	uint64_t nodes;
	uint64_t pages;	  /* finished at this level */
	struct page_child last; /* the last finished one; its name is in last_first */
	struct buf last_first;
};

struct page_builder {
	page_sink *sink;
	void *arg;
	struct level levels[LEVELS_MAX];
};

struct page_builder *page_builder_new(page_sink *sink, void *arg)
{
	struct page_builder *b = xcalloc(1, sizeof(*b));

	b->sink = sink;
	b->arg = arg;
	return b;
}

void page_builder_free(struct page_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < LEVELS_MAX; i++) {
		buf_release(&b->levels[i].body);
		buf_release(&b->levels[i].first);
		buf_release(&b->levels[i].last_first);
		buf_release(&b->levels[i].hashed);
	}
	free(b);
}

/* FNV-1a with a final mix; a part of the format, since it decides where pages are cut. */
static bool cuts_after(struct slice name, unsigned level)
{
	const uint8_t *p = name.data;
	uint64_t h = 0xcbf29ce484222325u + level;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return (h & CUT_MASK) == CUT_MASK;
}

/* What the digest of a page is of: a header, and a piece for each entry or child. */
static void add_header(struct buf *b, unsigned level)
{
	char header[] = "lineagefs page 1 level 0\n";

	header[sizeof(header) - 3] = (char)('0' + level);
	buf_add(b, header, sizeof(header) - 1);
}

static void add_piece(struct buf *b, char type, struct slice name, const struct digest *digest)
{
	buf_add_char(b, type);
	buf_add_slice(b, name);
	buf_add(b, "", 1);
	put_digest(b, digest);
}

/* Of a page that has nothing in it. */
static void add_nothing(struct buf *b)
{
	add_piece(b, '.', slice("", 0), &(struct digest){ { 0 } });
}

static char type_of(const struct page_entry *e)
{
	static const char types[] = {
		[ENTRY_FILE] = 'f',
		[ENTRY_DIRECTORY] = 'd',
		[ENTRY_LINK] = 'l',
	};

	return e->executable ? 'x' : types[e->type];
}

static void hash_item(struct level *l, unsigned level, char type, struct slice name,
		      const struct digest *digest)
{
	if (l->entries == 0) {
		buf_reset(&l->hashed);
		add_header(&l->hashed, level);
	}
	add_piece(&l->hashed, type, name, digest);
}

int page_verify(struct slice record)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct page_reader r;
	struct page_entry e;
	struct page_child child;
	struct digest digest;
	int more = page_reader_of_record(&r, record);

	if (more < 0)
		return more;
	buf_reserve(&b, record.len + 64);
	add_header(&b, r.level);
	if (r.left == 0)
		add_nothing(&b);
	while ((more = r.level ? page_next_child(&r, &child) : page_next_entry(&r, &e)) > 0) {
		if (r.level)
			add_piece(&b, 'p', child.first, &child.digest);
		else
			add_piece(&b, type_of(&e), e.name, &e.digest);
	}
	digest_of(buf_slice(&b), &digest);
	return more == 0 && memcmp(record.data, digest.bytes, DIGEST_SIZE) == 0 ? 0 : -EIO;
}

static int add_child(struct page_builder *b, unsigned level, const struct page_child *child);

/* Ends the page of this level and hands it to the sink. */
static int cut(struct page_builder *b, unsigned level)
{
	struct level *l = &b->levels[level];
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct page_built built = { .nodes = l->nodes, .entries = l->below };
	struct page_child done = { .nodes = l->nodes, .entries = l->below };
	int err;

	put_u64(&record, PAGE_FORMAT);
	put_u64(&record, level);
	put_u64(&record, l->entries);
	buf_add_slice(&record, buf_slice(&l->body));
	if (l->entries == 0) {
		buf_reset(&l->hashed);
		add_header(&l->hashed, level);
		add_nothing(&l->hashed);
	}
	digest_of(buf_slice(&l->hashed), &built.digest);
	built.bytes = buf_slice(&record);
	err = b->sink(b->arg, &built, &done.page);
	if (err < 0)
		return err;
	done.digest = built.digest;
	/* The page before this one now has a sibling: both go into the level above. */
	if (l->pages == 1) {
		l->last.first = buf_slice(&l->last_first);
		err = add_child(b, level + 1, &l->last);
		if (err < 0)
			return err;
	}
	done.first = buf_slice(&l->first);
	if (l->pages >= 1) {
		err = add_child(b, level + 1, &done);
		if (err < 0)
			return err;
	}
	l->last = done;
	buf_reset(&l->last_first);
	buf_add_slice(&l->last_first, buf_slice(&l->first));
	l->pages++;
	buf_reset(&l->body);
	buf_reset(&l->first);
	l->entries = l->below = l->nodes = 0;
	return 0;
}

static int added(struct page_builder *b, unsigned level, struct slice name, uint64_t nodes,
		 uint64_t below)
{
	struct level *l = &b->levels[level];

	if (l->entries == 0)
		buf_add_slice(&l->first, name);
	l->entries++;
	l->nodes += nodes;
	l->below += below;
	return cuts_after(name, level) || l->entries >= CUT_ENTRIES ? cut(b, level) : 0;
}

static int add_child(struct page_builder *b, unsigned level, const struct page_child *child)
{
	struct level *l = &b->levels[level];

	if (level >= LEVELS_MAX)
		return -EFBIG;
	hash_item(l, level, 'p', child->first, &child->digest);
	put_slice(&l->body, child->first);
	put_digest(&l->body, &child->digest);
	put_u64(&l->body, child->page);
	put_u64(&l->body, child->nodes);
	put_u64(&l->body, child->entries);
	return added(b, level, child->first, child->nodes, child->entries);
}

int page_builder_add(struct page_builder *b, const struct page_entry *e)
{
	struct level *l = &b->levels[0];

	hash_item(l, 0, type_of(e), e->name, &e->digest);
	put_u64(&l->body, e->type | (e->executable ? FLAG_EXECUTABLE : 0));
	put_slice(&l->body, e->name);
	put_time(&l->body, e->mtime);
	switch (e->type) {
	case ENTRY_FILE:
		put_u64(&l->body, e->size);
		break;
	case ENTRY_DIRECTORY:
		put_u64(&l->body, e->page);
		put_u64(&l->body, e->nodes);
		break;
	case ENTRY_LINK:
		put_slice(&l->body, e->target);
		break;
	}
	put_digest(&l->body, &e->digest);
	return added(b, 0, e->name, e->nodes, 1);
}

int page_builder_finish(struct page_builder *b, uint64_t *ret_page, struct digest *ret_digest,
			uint64_t *ret_nodes)
{
	unsigned level = 0;
	int err;

	for (;; level++) {
		struct level *l = &b->levels[level];

		/* An empty directory is one empty page. */
		if (l->entries > 0 || (level == 0 && l->pages == 0)) {
			err = cut(b, level);
			if (err < 0)
				return err;
		}
		if (l->pages == 1)
			break;
	}
	*ret_page = b->levels[level].last.page;
	*ret_digest = b->levels[level].last.digest;
	*ret_nodes = b->levels[level].last.nodes;
	return 0;
}
