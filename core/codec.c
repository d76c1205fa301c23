/*
 * codec.c - the records of codec.h; keys are in codec_key.c.
 */
#include "codec.h"

/* The format byte of every record; a decoder that meets another one answers -EIO. */
#define RECORD_FORMAT 1

void put_u64(struct buf *b, uint64_t n)
{
	while (n >= 0x80) {
		buf_add_char(b, (char)(n | 0x80));
		n >>= 7;
	}
	buf_add_char(b, (char)n);
}

void put_slice(struct buf *b, struct slice s)
{
	put_u64(b, s.len);
	buf_add_slice(b, s);
}

void put_str(struct buf *b, const char *s)
{
	put_slice(b, slice_str(s));
}

void put_digest(struct buf *b, const struct digest *d)
{
	buf_add(b, d->bytes, DIGEST_SIZE);
}

void put_time(struct buf *b, struct timespec t)
{
	/* Zigzag: times before 1970 are small numbers too. */
	put_u64(b, ((uint64_t)t.tv_sec << 1) ^ (uint64_t)(t.tv_sec >> 63));
	put_u64(b, (uint64_t)t.tv_nsec);
}

struct reader reader_of(struct slice s)
{
	return (struct reader){ s.data, (const uint8_t *)s.data + s.len, false };
}

static void reader_fail(struct reader *r)
{
	r->bad = true;
	r->at = r->end;
}

uint64_t get_u64(struct reader *r)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t c = *r->at++;

		n |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return n;
	}
	reader_fail(r);
	return 0;
}

uint32_t get_u32(struct reader *r)
{
	uint64_t n = get_u64(r);

	if (n > UINT32_MAX) {
		reader_fail(r);
		return 0;
	}
	return (uint32_t)n;
}

struct slice get_slice(struct reader *r)
{
	uint64_t len = get_u64(r);
	struct slice s;

	if (len > (size_t)(r->end - r->at)) {
		reader_fail(r);
		return slice("", 0);
	}
	s = slice(r->at, len);
	r->at += len;
	return s;
}

char *get_str(struct reader *r)
{
	struct slice s = get_slice(r);

	return xstrndup(s.data, s.len);
}

void get_digest(struct reader *r, struct digest *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (r->end - r->at < DIGEST_SIZE) {
		reader_fail(r);
		return;
	}
	memcpy(ret->bytes, r->at, DIGEST_SIZE);
	r->at += DIGEST_SIZE;
}

struct timespec get_time(struct reader *r)
{
	uint64_t s = get_u64(r);
	uint64_t ns = get_u64(r);

	return (struct timespec){ (time_t)(s >> 1) ^ -(time_t)(s & 1), (long)(ns % 1000000000) };
}

int reader_end(const struct reader *r)
{
	return r->bad || r->at != r->end ? -EIO : 0;
}

static void record_begin(struct buf *b)
{
	buf_add_char(b, RECORD_FORMAT);
}

static struct reader record_of(struct slice s)
{
	struct reader r = reader_of(s);

	if (get_u64(&r) != RECORD_FORMAT)
		reader_fail(&r);
	return r;
}

void encode_u64(struct buf *b, uint64_t n)
{
	record_begin(b);
	put_u64(b, n);
}

int decode_u64(struct slice s, uint64_t *ret)
{
	struct reader r = record_of(s);
	uint64_t n = get_u64(&r);

	if (reader_end(&r) < 0)
		return -EIO;
	*ret = n;
	return 0;
}

void collection_release(struct collection *c)
{
	free(c->name);
	free(c->type);
	free(c->description);
	*c = (struct collection){ 0 };
}

void run_release(struct run *r)
{
	free(r->name);
	free(r->host);
	free(r->job_type);
	free(r->reason);
	*r = (struct run){ 0 };
}

void input_release(struct input *i)
{
	free(i->path);
	*i = (struct input){ 0 };
}

void encode_collection(struct buf *b, const struct collection *c)
{
	record_begin(b);
	put_u64(b, c->id);
	put_str(b, c->name);
	put_str(b, c->type);
	put_str(b, c->description);
	put_u64(b, c->uid);
	put_u64(b, c->gid);
	put_u64(b, c->mode);
	put_u64(b, c->created);
	put_u64(b, c->next_number);
	put_u64(b, (uint64_t)(c->latest + 1));
}

int decode_collection(struct slice s, struct collection *ret)
{
	struct reader r = record_of(s);
	struct collection c = { 0 };

	c.id = get_u32(&r);
	c.name = get_str(&r);
	c.type = get_str(&r);
	c.description = get_str(&r);
	c.uid = get_u32(&r);
	c.gid = get_u32(&r);
	c.mode = get_u32(&r);
	c.created = get_u64(&r);
	c.next_number = get_u32(&r);
	c.latest = (int64_t)get_u64(&r) - 1;
	if (reader_end(&r) < 0) {
		collection_release(&c);
		return -EIO;
	}
	*ret = c;
	return 0;
}

void encode_version(struct buf *b, const struct version *v)
{
	record_begin(b);
	put_u64(b, v->id);
	put_u64(b, v->collection);
	put_u64(b, v->number);
	put_u64(b, v->run);
	put_digest(b, &v->digest);
	put_u64(b, v->page);
	put_u64(b, v->first_ino);
	put_u64(b, v->nodes);
	put_u64(b, v->files);
	put_u64(b, v->bytes);
	put_u64(b, v->sums_size);
	put_u64(b, v->single);
	put_u64(b, v->uid);
	put_u64(b, v->gid);
	put_u64(b, v->mode);
	put_u64(b, v->created);
	put_u64(b, v->sequence);
	put_time(b, v->mtime);
	put_u64(b, v->removed);
	put_u64(b, v->purged);
}

int decode_version(struct slice s, struct version *ret)
{
	struct reader r = record_of(s);
	struct version v = { 0 };

	v.id = get_u32(&r);
	v.collection = get_u32(&r);
	v.number = get_u32(&r);
	v.run = get_u32(&r);
	get_digest(&r, &v.digest);
	v.page = get_u64(&r);
	v.first_ino = get_u64(&r);
	v.nodes = get_u64(&r);
	v.files = get_u64(&r);
	v.bytes = get_u64(&r);
	v.sums_size = get_u64(&r);
	v.single = get_u64(&r) != 0;
	v.uid = get_u32(&r);
	v.gid = get_u32(&r);
	v.mode = get_u32(&r);
	v.created = get_u64(&r);
	v.sequence = get_u64(&r);
	v.mtime = get_time(&r);
	v.removed = get_u64(&r);
	v.purged = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = v;
	return 0;
}

void version_note_release(struct version_note *n)
{
	free(n->description);
	*n = (struct version_note){ 0 };
}

void encode_alias(struct buf *b, const struct alias *a)
{
	record_begin(b);
	put_u64(b, a->slot);
	put_u64(b, a->version);
	put_u64(b, a->moved);
}

int decode_alias(struct slice s, struct alias *ret)
{
	struct reader r = record_of(s);
	struct alias a = { 0 };

	a.slot = get_u32(&r);
	a.version = get_u32(&r);
	a.moved = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = a;
	return 0;
}

void reference_row_release(struct reference_row *r)
{
	free(r->path);
	free(r->target);
	free(r->location);
}

void encode_reference_row(struct buf *b, const struct reference_row *r)
{
	record_begin(b);
	put_u64(b, r->kind);
	put_str(b, r->path);
	put_str(b, r->target);
	put_str(b, r->location);
	put_u64(b, r->version);
	put_u64(b, (r->known ? 1 : 0) | (r->hashed ? 2 : 0));
	if (r->known) {
		put_u64(b, r->size);
		put_time(b, r->mtime);
	}
	if (r->hashed)
		put_digest(b, &r->digest);
}

int decode_reference_row(struct slice s, struct reference_row *ret)
{
	struct reader r = record_of(s);
	struct reference_row row = { 0 };
	uint64_t flags;

	row.kind = get_u32(&r);
	row.path = get_str(&r);
	row.target = get_str(&r);
	row.location = get_str(&r);
	row.version = get_u32(&r);
	flags = get_u64(&r);
	row.known = flags & 1;
	row.hashed = flags & 2;
	if (row.known) {
		row.size = get_u64(&r);
		row.mtime = get_time(&r);
	}
	if (row.hashed)
		get_digest(&r, &row.digest);
	if (reader_end(&r) < 0 || flags > 3) {
		reference_row_release(&row);
		return -EIO;
	}
	*ret = row;
	return 0;
}

void encode_version_note(struct buf *b, const struct version_note *n)
{
	record_begin(b);
	put_u64(b, n->next_slot);
	put_str(b, n->description);
}

int decode_version_note(struct slice s, struct version_note *ret)
{
	struct reader r = record_of(s);
	struct version_note n = { 0 };

	n.next_slot = get_u32(&r);
	n.description = get_str(&r);
	if (reader_end(&r) < 0) {
		version_note_release(&n);
		return -EIO;
	}
	*ret = n;
	return 0;
}

void encode_place(struct buf *b, uint32_t collection, uint32_t number)
{
	record_begin(b);
	put_u64(b, collection);
	put_u64(b, number);
}

int decode_place(struct slice s, uint32_t *ret_collection, uint32_t *ret_number)
{
	struct reader r = record_of(s);
	uint32_t collection = get_u32(&r);
	uint32_t number = get_u32(&r);

	if (reader_end(&r) < 0)
		return -EIO;
	*ret_collection = collection;
	*ret_number = number;
	return 0;
}

void encode_run(struct buf *b, const struct run *run)
{
	record_begin(b);
	put_u64(b, run->id);
	put_str(b, run->name);
	put_u64(b, run->state);
	put_u64(b, run->uid);
	put_u64(b, run->gid);
	put_u64(b, run->mode);
	put_u64(b, run->created);
	put_u64(b, run->ended);
	put_u64(b, run->next_slot);
	put_str(b, run->host);
	put_str(b, run->job_type);
	put_u64(b, run->parent);
	put_u64(b, run->has_exit_code ? (uint64_t)run->exit_code + 1 : 0);
	put_u64(b, (uint64_t)run->signal);
	put_str(b, run->reason);
}

int decode_run(struct slice s, struct run *ret)
{
	struct reader r = record_of(s);
	struct run run = { 0 };
	uint64_t state, code, signal;

	run.id = get_u32(&r);
	run.name = get_str(&r);
	state = get_u64(&r);
	run.state = (enum run_state)state;
	run.uid = get_u32(&r);
	run.gid = get_u32(&r);
	run.mode = get_u32(&r);
	run.created = get_u64(&r);
	run.ended = get_u64(&r);
	run.next_slot = get_u32(&r);
	run.host = get_str(&r);
	run.job_type = get_str(&r);
	run.parent = get_u32(&r);
	code = get_u64(&r);
	run.has_exit_code = code > 0;
	run.exit_code = code > 0 ? (int)(code - 1) : 0;
	signal = get_u64(&r);
	run.signal = (int)signal;
	run.reason = get_str(&r);
	if (reader_end(&r) < 0 || state > RUN_CRASHED || code > 256 || signal > 255) {
		run_release(&run);
		return -EIO;
	}
	*ret = run;
	return 0;
}

void encode_tag(struct buf *b, const struct tag *t)
{
	record_begin(b);
	put_u64(b, t->slot);
	put_u64(b, t->created);
}

int decode_tag(struct slice s, struct tag *ret)
{
	struct reader r = record_of(s);
	struct tag t = { 0 };

	t.slot = get_u32(&r);
	t.created = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = t;
	return 0;
}

void encode_input(struct buf *b, const struct input *i)
{
	record_begin(b);
	put_u64(b, i->slot);
	put_u64(b, i->version);
	put_str(b, i->path);
}

int decode_input(struct slice s, struct input *ret)
{
	struct reader r = record_of(s);
	struct input i = { 0 };

	i.slot = get_u32(&r);
	i.version = get_u32(&r);
	i.path = get_str(&r);
	if (reader_end(&r) < 0) {
		input_release(&i);
		return -EIO;
	}
	*ret = i;
	return 0;
}

void process_row_release(struct process_row *p)
{
	free(p->boot);
	free(p->command);
	*p = (struct process_row){ 0 };
}

void encode_process_row(struct buf *b, const struct process_row *p)
{
	record_begin(b);
	put_str(b, p->boot);
	put_u64(b, p->space);
	put_u64(b, p->pid);
	put_u64(b, p->start);
	put_u64(b, p->uid);
	put_u64(b, p->registered);
	put_str(b, p->command);
}

int decode_process_row(struct slice s, struct process_row *ret)
{
	struct reader r = record_of(s);
	struct process_row p = { 0 };

	p.boot = get_str(&r);
	p.space = get_u64(&r);
	p.pid = get_u32(&r);
	p.start = get_u64(&r);
	p.uid = get_u32(&r);
	p.registered = get_u64(&r);
	p.command = get_str(&r);
	if (reader_end(&r) < 0) {
		process_row_release(&p);
		return -EIO;
	}
	*ret = p;
	return 0;
}

void encode_edge(struct buf *b, const struct edge *e)
{
	record_begin(b);
	put_u64(b, e->flags);
	put_u64(b, e->first);
	put_u64(b, e->last);
	put_u64(b, e->sequence);
	put_u64(b, e->opened);
}

int decode_edge(struct slice s, struct edge *ret)
{
	struct reader r = record_of(s);
	struct edge e = { 0 };

	e.flags = get_u32(&r);
	e.first = get_u64(&r);
	e.last = get_u64(&r);
	e.sequence = get_u64(&r);
	e.opened = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = e;
	return 0;
}

void encode_draft(struct buf *b, const struct draft *d)
{
	record_begin(b);
	put_u64(b, d->slot);
	put_u64(b, d->version);
	put_u64(b, (d->single ? 1 : 0) | (d->ended ? 2 : 0));
}

int decode_draft(struct slice s, struct draft *ret)
{
	struct reader r = record_of(s);
	struct draft d = { 0 };
	uint64_t flags;

	d.slot = get_u32(&r);
	d.version = get_u32(&r);
	flags = get_u64(&r);
	d.single = flags & 1;
	d.ended = flags & 2;
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = d;
	return 0;
}

void encode_blob_row(struct buf *b, const struct blob_row *row)
{
	record_begin(b);
	put_u64(b, row->size);
	put_u64(b, row->generation);
}

int decode_blob_row(struct slice s, struct blob_row *ret)
{
	struct reader r = record_of(s);
	struct blob_row row = { 0 };

	row.size = get_u64(&r);
	row.generation = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = row;
	return 0;
}

void encode_journal_head(struct buf *b, const struct journal_head *h)
{
	record_begin(b);
	put_u64(b, h->count);
	put_u64(b, h->bytes);
	put_digest(b, &h->digest);
	put_u64(b, h->time);
	put_u64(b, h->broken);
	put_u64(b, h->floor);
}

int decode_journal_head(struct slice s, struct journal_head *ret)
{
	struct reader r = record_of(s);
	struct journal_head h = { 0 };

	h.count = get_u64(&r);
	h.bytes = get_u64(&r);
	get_digest(&r, &h.digest);
	h.time = get_u64(&r);
	h.broken = get_u64(&r);
	h.floor = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = h;
	return 0;
}

void encode_intent(struct buf *b, const struct intent *i)
{
	record_begin(b);
	put_u64(b, i->run);
	put_u64(b, i->created);
}

int decode_intent(struct slice s, struct intent *ret)
{
	struct reader r = record_of(s);
	struct intent i = { 0 };

	i.run = get_u32(&r);
	i.created = get_u64(&r);
	if (reader_end(&r) < 0)
		return -EIO;
	*ret = i;
	return 0;
}
