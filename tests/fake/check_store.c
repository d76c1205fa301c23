#include "check_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "check_private.h"
#include "core/alias.h"
#include "core/draft.h"
#include "core/edge.h"
#include "core/run.h"
#include "core/tree.h"

void wrong(struct check *c, const char *fmt, ...)
{
	autofree char *line = NULL;
	va_list list;
	int n;

	va_start(list, fmt);
	n = vasprintf(&line, fmt, list);
	va_end(list);
	if (n < 0)
		abort();
	c->wrong++;
	buf_printf(c->text, "%s\n", line);
}

static void each_row(struct check *c, char kind, row_check *visit)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(c->txn, KV_META, KEY(prefix(kind)), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		visit(c, key, value);
	if (more < 0)
		wrong(c, "scanning %c: %s", kind, strerror(-more));
}

/* ---- collections and versions ---- */

static void check_collection(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	uint64_t id;

	if (decode_collection(value, &a) < 0 || a.id != key_u32_at(key, 1)) {
		wrong(c, "a collection cannot be read");
		return;
	}
	if (!get_number(c, KEY(collection_name(slice_str(a.name))), &id) || id != a.id)
		wrong(c, "collection %s is not found by its name", a.name);
	if (a.type[0] && !has(c, KEY(of_type(slice_str(a.type), a.id))))
		wrong(c, "collection %s is not found by its type", a.name);
	if (a.latest >= (int64_t)a.next_number)
		wrong(c, "collection %s: latest is v%lld of %u", a.name, (long long)a.latest,
		      a.next_number);
	if (a.latest >= 0 && !has(c, KEY(version(a.id, (uint32_t)a.latest))))
		wrong(c, "collection %s: there is no latest v%lld", a.name, (long long)a.latest);
}

static void check_collection_name(struct check *c, struct slice key, struct slice value)
{
	AUTO(collection_release) struct collection a = { 0 };
	uint64_t id;

	if (decode_u64(value, &id) < 0 || collection_read(c->txn, (uint32_t)id, &a) < 0 ||
	    !slice_equal(slice_str(a.name), key_name_after(key, 1)))
		wrong(c, "the name of a collection leads nowhere");
}

struct totals {
	uint64_t files, bytes, sums, nodes;
};

static int add_up(void *arg, struct slice path, const struct page_entry *e)
{
	struct totals *t = arg;

	t->nodes++;
	if (e->type == ENTRY_FILE) {
		t->files++;
		t->bytes += e->size;
		t->sums += tree_sums_length(path);
	}
	return 0;
}

static void check_content(struct check *c, const struct version *v)
{
	struct page_sum sum = { .first = BUF_INIT };
	struct totals t = { .nodes = 1 };

	if (!sum_page(c, v->page, &sum) || !digest_equal(&sum.digest, &v->digest))
		wrong(c, "version %u: its root page is not it", v->id);
	buf_release(&sum.first);
	if (tree_walk(c->store->kv, v->page, add_up, &t) < 0)
		wrong(c, "version %u cannot be walked", v->id);
	else if (t.files != v->files || t.bytes != v->bytes || t.sums != v->sums_size ||
		 t.nodes != v->nodes)
		wrong(c, "version %u has %llu files, %llu bytes, %llu of sums, %llu nodes; said "
			 "%llu %llu %llu %llu", v->id, U(t.files), U(t.bytes), U(t.sums),
		      U(t.nodes), U(v->files), U(v->bytes), U(v->sums_size), U(v->nodes));
}

/* Live, in the trash, or purged: V, X, G. What is purged has no content any more. */
static void check_state(struct check *c, char kind, const struct version *v)
{
	uint64_t equal = 0;
	bool found = get_number(c, KEY(equal(v->collection, &v->digest)), &equal);

	if ((kind != 'V') != (v->removed != 0) || (kind == 'G') != (v->purged != 0))
		wrong(c, "version %u is not what its key %c says", v->id, kind);
	for (const char *other = "VXG"; *other; other++) {
		struct key key = *other == 'V' ? key_version(v->collection, v->number) :
				 *other == 'X' ? key_removed(v->collection, v->number) :
						 key_purged(v->collection, v->number);

		if (*other != kind && has(c, key_slice(&key)))
			wrong(c, "version %u is %c and %c", v->id, kind, *other);
	}
	if (kind == 'G') {
		if (v->page != 0 || (found && equal == v->number))
			wrong(c, "version %u is purged, but its content is found", v->id);
		return;
	}
	if (!found)
		wrong(c, "version %u is not found by its digest", v->id);
	if (!has(c, KEY(page_ref(v->page, REFERRER_VERSION, v->id))))
		wrong(c, "version %u refers to its page without a row", v->id);
	check_content(c, v);
}

static void check_version(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(collection_release) struct collection a = { 0 };
	char kind = *(const char *)key.data;
	uint32_t collection, number;
	struct version v;

	if (decode_version(value, &v) < 0 || v.collection != key_u32_at(key, 1) ||
	    v.number != key_u32_at(key, 5)) {
		wrong(c, "a version cannot be read");
		return;
	}
	if (!get(c, KEY(version_id(v.id)), &b) ||
	    decode_place(buf_slice(&b), &collection, &number) < 0 ||
	    collection != v.collection || number != v.number)
		wrong(c, "version %u is not found by its id", v.id);
	if (collection_read(c->txn, v.collection, &a) < 0 || v.number >= a.next_number)
		wrong(c, "version %u is not one of its collection", v.id);
	else if (kind == 'V' && a.latest < 0)
		wrong(c, "collection %s: there are versions, but no latest", a.name);
	if (!has(c, KEY(logged(v.run, v.id))))
		wrong(c, "version %u has no edge from its producer", v.id);
	check_state(c, kind, &v);
}

static void check_version_id(struct check *c, struct slice key, struct slice value)
{
	struct version v;

	(void)value;
	if (version_read_by_id(c->txn, key_u32_at(key, 1), &v) < 0 || v.id != key_u32_at(key, 1))
		wrong(c, "the id %u of a version leads nowhere", key_u32_at(key, 1));
}

/* ---- aliases ---- */

static void check_alias(struct check *c, struct slice key, struct slice value)
{
	struct slice name = key_name_after(key, 5);
	autofree char *text = xstrndup(name.data, name.len);
	uint32_t collection = key_u32_at(key, 1);
	struct version v;
	struct alias a;

	if (decode_alias(value, &a) < 0 || alias_name_check(name) < 0) {
		wrong(c, "the alias %s of collection %u cannot be read", text, collection);
		return;
	}
	if (version_read_by_id(c->txn, a.version, &v) < 0 || v.removed || v.purged ||
	    v.collection != collection)
		wrong(c, "the alias %s names no live version of its collection", text);
	if (!has(c, KEY(alias_of(a.version, name))))
		wrong(c, "the version %u does not know its alias %s", a.version, text);
	if (a.slot == 0 || a.slot >= ID_LIMIT ||
	    (c->slots.len && memmem(c->slots.data, c->slots.len, &a.slot, sizeof(a.slot))))
		wrong(c, "the alias %s has a slot that is another's", text);
	buf_add(&c->slots, &a.slot, sizeof(a.slot));
}

static void check_alias_of(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint32_t version = key_u32_at(key, 1);
	struct version v;
	struct alias a;

	if (value.len != 0 || version_read_by_id(c->txn, version, &v) < 0 ||
	    !get(c, KEY(alias(v.collection, key_name_after(key, 5))), &b) ||
	    decode_alias(buf_slice(&b), &a) < 0 || a.version != version)
		wrong(c, "an alias of version %u names another, or nothing", version);
}

static void check_equal(struct check *c, struct slice key, struct slice value)
{
	uint32_t collection = key_u32_at(key, 1);
	struct digest digest;
	struct version v;
	uint64_t number;

	if (key_digest_at(key, 5, &digest) < 0 || decode_u64(value, &number) < 0 ||
	    version_read_any(c->txn, collection, (uint32_t)number, &v) < 0 ||
	    !digest_equal(&v.digest, &digest))
		wrong(c, "collection %u: a digest leads to no version of it", collection);
	else if (v.purged)
		wrong(c, "collection %u: a digest leads to what is purged", collection);
}

/* ---- runs and edges ---- */

static void check_slots(struct check *c, const struct run *run)
{
	static const char kinds[] = { 'i', 'd', 'g' };
	AUTO(buf_release) struct buf seen = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		AUTO(kv_donep) struct kv_scan *scan = NULL;
		struct slice key, value;

		if (kv_scan(c->txn, KV_META, KEY(prefix_id(kinds[i], run->id)), slice("", 0),
			    &scan) < 0)
			wrong(c, "run %s cannot be read", run->name);
		while (scan && kv_next(scan, &key, &value) > 0) {
			AUTO(input_release) struct input input = { 0 };
			struct draft draft = { 0 };
			struct tag tag = { 0 };
			uint32_t slot;

			if (kinds[i] == 'i' ? decode_input(value, &input) :
			    kinds[i] == 'd' ? decode_draft(value, &draft) :
					      decode_tag(value, &tag))
				continue;
			slot = kinds[i] == 'i' ? input.slot :
			       kinds[i] == 'd' ? draft.slot : tag.slot;
			if (slot == 0 || slot >= run->next_slot ||
			    (seen.len && memmem(seen.data, seen.len, &slot, sizeof(slot))))
				wrong(c, "run %s: slot %u is used twice or not its own", run->name,
				      slot);
			buf_add(&seen, &slot, sizeof(slot));
		}
	}
}

static void check_run(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	char area[16];
	uint64_t id;
	bool there;

	if (decode_run(value, &run) < 0 || run.id != key_u32_at(key, 1)) {
		wrong(c, "a run cannot be read");
		return;
	}
	if (!get_number(c, KEY(run_name(slice_str(run.name))), &id) || id != run.id)
		wrong(c, "run %s is not found by its name", run.name);
	if (run.job_type[0] && !has(c, KEY(of_job(slice_str(run.job_type), run.id))))
		wrong(c, "run %s is not found by its job type", run.name);
	if ((run.state == RUN_RUNNING) != (run.ended == 0))
		wrong(c, "run %s is %s, but ended at %llu", run.name, run_state_name(run.state),
		      U(run.ended));
	snprintf(area, sizeof(area), "%08x", run.id);
	there = faccessat(c->store->drafts, area, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && run.state != RUN_FINISHED)
		wrong(c, "run %s has no drafts/%s", run.name, area);
	check_slots(c, &run);
}

static void check_run_name(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint64_t id;

	if (decode_u64(value, &id) < 0 || run_read(c->txn, (uint32_t)id, &run) < 0 ||
	    !slice_equal(slice_str(run.name), key_name_after(key, 1)))
		wrong(c, "the name of a run leads nowhere");
}

static void check_of_run(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	if (!has(c, KEY(run(key_u32_at(key, 1)))))
		wrong(c, "%c of run %u, which is not there", *(const char *)key.data,
		      key_u32_at(key, 1));
}

static void check_known(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };

	check_of_run(c, key, value);
	if (run_read(c->txn, key_u32_at(key, 1), &run) == 0 && run.state == RUN_FINISHED)
		wrong(c, "files of run %s are still known, but it has finished", run.name);
}

/* outputs/<name> of what a run logged is found by the name of the collection. */
static void check_logged(struct check *c, uint32_t run, const struct version *v)
{
	AUTO(collection_release) struct collection a = { 0 };

	if (collection_read(c->txn, v->collection, &a) == 0 &&
	    !has(c, KEY(draft(run, slice_str(a.name)))))
		wrong(c, "run %u logged %s:v%u, but knows of no draft", run, a.name, v->number);
}

static void check_declared(struct check *c, uint32_t run, uint32_t version)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	bool found = false;

	if (kv_scan(c->txn, KV_META, KEY(prefix_id('i', run)), slice("", 0), &scan) < 0)
		return;
	while (!found && kv_next(scan, &key, &value) > 0) {
		AUTO(input_release) struct input input = { 0 };

		found = decode_input(value, &input) == 0 && input.version == version;
	}
	if (!found)
		wrong(c, "run %u declared version %u, but has no input of it", run, version);
}

static void check_edge(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf other = BUF_INIT;
	char kind = *(const char *)key.data;
	uint32_t a = key_u32_at(key, 1), b = key_u32_at(key, 5);
	bool from_run = kind == 'e' || kind == 'o';
	struct key far = kind == 'e' ? key_used_by(b, a) :
			 kind == 'u' ? key_use(b, a) :
			 kind == 'o' ? key_logged_by(b, a) : key_logged(b, a);
	struct version v;
	uint64_t used;
	struct edge e;

	if (key.len != 9 || decode_edge(value, &e) < 0)
		wrong(c, "an edge %c of %u cannot be read", kind, a);
	else if (!get(c, key_slice(&far), &other) || !slice_equal(buf_slice(&other), value))
		wrong(c, "an edge %c from %u to %u has no equal other side", kind, a, b);
	else if (!has(c, KEY(run(from_run ? a : b))) ||
		 version_read_by_id(c->txn, from_run ? b : a, &v) < 0)
		wrong(c, "an edge %c from %u to %u leads nowhere", kind, a, b);
	else if (kind == 'o')
		check_logged(c, a, &v);
	else if (kind == 'u' && (!get_number(c, KEY(last_use(a)), &used) ||
				 used + EDGE_LAST_USE_STEP <= e.last))
		wrong(c, "version %u was used by run %u later than it says", a, b);
	else if (kind == 'e' && (e.flags & EDGE_DECLARED))
		check_declared(c, a, b);
}

static void check_input(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(input_release) struct input input = { 0 };
	struct edge e;

	check_of_run(c, key, value);
	if (decode_input(value, &input) < 0)
		wrong(c, "an input of run %u cannot be read", key_u32_at(key, 1));
	else if (!get(c, KEY(use(key_u32_at(key, 1), input.version)), &b) ||
		 decode_edge(buf_slice(&b), &e) < 0 || !(e.flags & EDGE_DECLARED))
		wrong(c, "an input of run %u has no edge", key_u32_at(key, 1));
}

static void check_draft(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key_u32_at(key, 1);
	struct draft d;

	if (decode_draft(value, &d) < 0 || run_read(c->txn, id, &run) < 0)
		wrong(c, "a draft of run %u cannot be read", id);
	else if (!has(c, KEY(logged(id, d.version))))
		wrong(c, "run %s did not log what its draft says", run.name);
	else if (d.ended && run.state != RUN_FINISHED)
		wrong(c, "run %s goes on, but a draft of it has ended", run.name);
}

/* ---- processes, views, drafts read by others ---- */

static void check_process(struct check *c, struct slice key, struct slice value)
{
	AUTO(process_row_release) struct process_row row = { 0 };

	check_of_run(c, key, value);
	if (decode_process_row(value, &row) < 0)
		wrong(c, "a process of run %u cannot be read", key_u32_at(key, 1));
}

static void check_watched(struct check *c, struct slice key, struct slice value)
{
	AUTO(run_release) struct run run = { 0 };
	uint32_t id = key_u32_at(key, 1);
	uint64_t slot;

	if (decode_u64(value, &slot) < 0 || !has(c, KEY(process(id, (uint32_t)slot))))
		wrong(c, "run %u is watched, but has no such process", id);
	if (run_read(c->txn, id, &run) < 0 || run.state != RUN_RUNNING)
		wrong(c, "run %u is watched, but not running", id);
}

static void check_pin(struct check *c, struct slice key, struct slice value)
{
	struct version v;
	uint64_t version;

	check_of_run(c, key, value);
	if (decode_u64(value, &version) < 0 ||
	    version_read_by_id(c->txn, (uint32_t)version, &v) < 0 ||
	    v.collection != key_u32_at(key, 5))
		wrong(c, "a pin of run %u leads nowhere", key_u32_at(key, 1));
}

static void check_view(struct check *c, struct slice key, struct slice value)
{
	struct version v;
	uint64_t first;

	check_of_run(c, key, value);
	if (decode_u64(value, &first) < 0 ||
	    version_read_by_id(c->txn, key_u32_at(key, 5), &v) < 0)
		wrong(c, "the view of run %u has a version that is not there", key_u32_at(key, 1));
}

static void check_peek(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf other = BUF_INIT;
	char kind = *(const char *)key.data;
	uint32_t a = key_u32_at(key, 1), b = key_u32_at(key, 5);
	struct key far = kind == 'f' ? key_peeked_by(b, a) : key_peeked(b, a);
	struct edge e;

	check_of_run(c, key, value);
	if (decode_edge(value, &e) < 0)
		wrong(c, "an edge %c of run %u cannot be read", kind, a);
	else if (!get(c, key_slice(&far), &other) || !slice_equal(buf_slice(&other), value))
		wrong(c, "an edge %c from run %u to %u has no equal other side", kind, a, b);
}

static void check_unseen(struct check *c, struct slice key, struct slice value)
{
	struct version v;
	uint64_t n;

	if (decode_u64(value, &n) < 0 || version_read_by_id(c->txn, key_u32_at(key, 1), &v) < 0)
		wrong(c, "opens of version %u, which is not there", key_u32_at(key, 1));
}

static void check_last_use(struct check *c, struct slice key, struct slice value)
{
	struct version v;
	uint64_t n;

	if (decode_u64(value, &n) < 0 || n == 0 ||
	    version_read_by_id(c->txn, key_u32_at(key, 1), &v) < 0)
		wrong(c, "the last use of version %u, which is not there", key_u32_at(key, 1));
}

static void check_run_tag(struct check *c, struct slice key, struct slice value)
{
	struct tag tag;

	check_of_run(c, key, value);
	if (decode_tag(value, &tag) < 0)
		wrong(c, "a tag of run %u cannot be read", key_u32_at(key, 1));
	if (!has(c, KEY(tagged(key_name_after(key, 5), TAGGED_RUN, key_u32_at(key, 1)))))
		wrong(c, "run %u is not found by a tag", key_u32_at(key, 1));
}

static void check_id_counter(struct check *c, struct slice key, struct slice value)
{
	uint64_t n;

	if (key.len != 2 || ((const uint8_t *)key.data)[1] >= ID_KINDS || decode_u64(value, &n) < 0)
		wrong(c, "a counter cannot be read");
}

static void check_left_over(struct check *c, struct slice key, struct slice value)
{
	(void)value;
	wrong(c, "left over: a row of kind %c", *(const char *)key.data);
}

static void check_nothing(struct check *c, struct slice key, struct slice value)
{
	(void)c, (void)key, (void)value;
}

static row_check *const rows[256] = {
	['M'] = check_nothing,
	['I'] = check_id_counter,
	['c'] = check_collection_name,
	['C'] = check_collection,
	['V'] = check_version,
	['X'] = check_version,
	['G'] = check_version,
	['A'] = check_alias,
	['m'] = check_alias_of,
	['W'] = check_version_note,
	['J'] = check_of_version,
	['s'] = check_version_tag,
	['K'] = check_last_use,
	['O'] = check_reference,
	['S'] = check_tagged,
	['Y'] = check_of_type,
	['H'] = check_of_job,
	['E'] = check_event,
	['L'] = check_line,
	['v'] = check_version_id,
	['D'] = check_equal,
	['r'] = check_run_name,
	['R'] = check_run,
	['l'] = check_of_run,
	['j'] = check_of_run,
	['g'] = check_run_tag,
	['i'] = check_input,
	['e'] = check_edge,
	['u'] = check_edge,
	['o'] = check_edge,
	['p'] = check_edge,
	['d'] = check_draft,
	['q'] = check_process,
	['Q'] = check_watched,
	['k'] = check_pin,
	['w'] = check_view,
	['f'] = check_peek,
	['a'] = check_peek,
	['U'] = check_unseen,
	['h'] = check_known,
	['t'] = check_page_digest,
	['T'] = check_page,
	['P'] = check_page_ref,
	['B'] = check_blob,
	['b'] = check_blob_ref,
	['F'] = check_borrowed,
	['N'] = check_left_over,
	['n'] = check_left_over,
	['x'] = check_left_over,
	['y'] = check_left_over,
	['z'] = check_left_over,
};

/* ---- drafts ---- */

static void check_draft_file(struct check *c, int fd, const char *name)
{
	autoclose int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct blob_id mark;
	struct stat st;
	bool marked;

	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	marked = fgetxattr(file, DRAFT_SHARED_XATTR, &mark, sizeof(mark)) == sizeof(mark);
	for (size_t i = 0; i < c->shared_count; i++) {
		struct shared *s = &c->shared[i];

		if (s->dev == st.st_dev && s->ino == st.st_ino &&
		    (!marked || memcmp(&mark, &s->id, sizeof(mark)) != 0))
			wrong(c, "the draft %s could write to a blob", name);
	}
}

static void check_drafts(struct check *c, int directory, const char *name, const char *area)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return;
	for (struct dirent *e; (e = readdir(dir));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!strncmp(e->d_name, "spare.", 6) && !strcmp(name, "."))
			wrong(c, "left over: drafts/%s", e->d_name);
		check_draft_file(c, fd, e->d_name);
		check_borrowing(c, area ? area : e->d_name, fd, e->d_name);
		check_drafts(c, fd, e->d_name, area ? area : e->d_name);
	}
	closedir(dir);
}

static void check_unknown(struct check *c)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_scan(c->txn, KV_META, slice("", 0), slice("", 0), &scan);

	while (more >= 0 && (more = kv_next(scan, &key, &value)) > 0)
		if (key.len == 0 || !rows[*(const uint8_t *)key.data])
			wrong(c, "a key of no known kind");
	if (!has(c, KEY(store("id"))))
		wrong(c, "the store has no id");
	if (more < 0)
		wrong(c, "scanning everything: %s", strerror(-more));
}

unsigned check_store(struct store *store, struct buf *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	struct check c = { .store = store, .text = ret };

	if (kv_begin(store->kv, KV_READ, &txn) < 0) {
		wrong(&c, "the store cannot be read");
		return c.wrong;
	}
	c.txn = txn;
	check_unknown(&c);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i])
			each_row(&c, (char)i, rows[i]);
	if (blob_each(store->blobs, check_bytes, &c) < 0)
		wrong(&c, "the blobs cannot be listed");
	check_journal_head(&c);
	check_drafts(&c, store->drafts, ".", NULL);
	free(c.shared);
	buf_release(&c.slots);
	return c.wrong;
}

struct describe {
	struct store *store;
	struct buf *text;
};

static int describe_file(struct describe *d, const struct page_entry *e)
{
	AUTO(blob_releasep) struct blob *blob = NULL;
	char first[16];
	ssize_t n;
	int err = artifact_open_blob(d->store, &e->digest, &blob);

	if (err < 0)
		return err;
	n = blob_pread(blob, first, sizeof(first), 0);
	if (n < 0)
		return (int)n;
	buf_printf(d->text, " %llu ", U(e->size));
	buf_add(d->text, first, (size_t)n);
	return 0;
}

static int describe_one(void *arg, struct slice path, const struct page_entry *e)
{
	struct describe *d = arg;
	int err = 0;

	buf_add_char(d->text, e->type == ENTRY_DIRECTORY ? 'd' :
			      e->type == ENTRY_LINK	 ? 'l' :
			      e->executable		 ? 'x' : 'f');
	buf_add_char(d->text, ' ');
	buf_add_slice(d->text, path);
	if (e->type == ENTRY_LINK) {
		buf_add_str(d->text, " -> ");
		buf_add_slice(d->text, e->target);
	}
	if (e->type == ENTRY_FILE)
		err = describe_file(d, e);
	buf_add_char(d->text, '\n');
	return err;
}

int check_describe(struct store *store, uint64_t page, struct buf *ret)
{
	struct describe d = { store, ret };

	return tree_walk(store->kv, page, describe_one, &d);
}
