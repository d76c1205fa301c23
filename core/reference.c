#include "reference.h"

#include "log.h"
#include "observe.h"
#include "reference_look.h"
#include "run.h"

#include <ctype.h>

/* Rows in one transaction. */
#define BATCH 256

/* ---- what a link's text says ---- */

/* scheme "://", as RFC 3986 has it. */
static bool is_url(struct slice s)
{
	const char *p = s.data;
	size_t n = 0;

	while (n < s.len && (isalnum((unsigned char)p[n]) || (n > 0 && strchr("+-.", p[n]))))
		n++;
	return n > 0 && isalpha((unsigned char)p[0]) && s.len - n >= 3 &&
	       memcmp(p + n, "://", 3) == 0;
}

/* Adds a path's components to an absolute one, taking back one for each "..". */
static void walk(struct buf *at, struct slice path)
{
	const char *p = path.data, *end = p + path.len;

	while (p < end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t n = (size_t)((slash ? slash : end) - p);

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			while (at->len > 0 && at->data[--at->len] != '/')
				;
		} else if (n > 0 && !(n == 1 && *p == '.')) {
			buf_add_char(at, '/');
			buf_add(at, p, n);
		}
		p += n + (slash ? 1 : 0);
	}
	if (at->data)
		at->data[at->len] = '\0';
}

/* What a path has below another; false: it is not below. */
static bool below(struct slice path, struct slice top, struct slice *ret)
{
	const char *p = path.data;

	if (!slice_starts(path, top) || (path.len > top.len && p[top.len] != '/'))
		return false;
	*ret = slice(p + top.len, path.len - top.len);
	return true;
}

static struct slice first_of(struct slice *rest)
{
	const char *p = rest->data;
	const char *slash;
	struct slice name;

	if (rest->len && *p == '/')
		*rest = slice(p + 1, rest->len - 1);
	p = rest->data;
	slash = rest->len ? memchr(p, '/', rest->len) : NULL;
	name = slice(p, slash ? (size_t)(slash - p) : rest->len);
	*rest = slice(p + name.len, rest->len - name.len);
	return name;
}

/* A path in the mount: of a version, also through a view? */
static enum reference_kind classify_inside(struct slice rest, struct buf *ret_place)
{
	struct slice name = first_of(&rest);
	struct reference ref;
	size_t start = ret_place->len;

	if (slice_equal(name, slice_str("view")))
		first_of(&rest);
	else if (!slice_equal(name, slice_str("artifacts")))
		return REFERENCE_NONE;
	buf_add_str(ret_place, "artifacts");
	buf_add_slice(ret_place, rest);
	if (reference_parse(slice(ret_place->data + start, ret_place->len - start), &ref) == 0)
		return REFERENCE_ARTIFACT;
	ret_place->len = start;
	ret_place->data[start] = '\0';
	return REFERENCE_NONE;
}

/* The run's own name does not matter: no link can name another's draft by a shorter way. */
#define OUTPUTS "/runs/=/outputs"

enum reference_kind reference_classify(const char *mountpoint, struct slice link,
				       struct slice target, struct buf *ret_place)
{
	AUTO(buf_release) struct buf place = BUF_INIT, draft = BUF_INIT;
	bool absolute = target.len > 0 && *(const char *)target.data == '/';
	struct slice top = link, rest;

	if (is_url(target))
		return REFERENCE_URL;
	buf_printf(&draft, "%s" OUTPUTS "/", mountpoint);
	buf_add_slice(&draft, first_of(&top));
	if (!absolute) {
		buf_printf(&place, "%s" OUTPUTS, mountpoint);
		walk(&place, link);
		walk(&place, slice_str(".."));
	}
	walk(&place, target);
	if (!absolute && below(buf_slice(&place), buf_slice(&draft), &rest))
		return REFERENCE_NONE;
	if ((!absolute || mountpoint[0]) &&
	    below(buf_slice(&place), slice_str(mountpoint), &rest))
		return classify_inside(rest, ret_place);
	/* A path may lead through links: as it was written, where it is one by itself. */
	if (absolute)
		buf_add_slice(ret_place, target);
	else
		buf_add_slice(ret_place, buf_slice(&place));
	return REFERENCE_FILE;
}

/* ---- rows ---- */

static int put_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct references *r = arg;
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->count; i++) {
		buf_reset(&b);
		encode_reference_row(&b, &r->rows[i]);
		err = kv_put(txn, KV_META,
			     KEY(reference(r->version, r->last - (uint32_t)(r->count - 1 - i))),
			     buf_slice(&b));
	}
	return err;
}

static void forget_rows(struct references *r)
{
	for (size_t i = 0; i < r->count; i++)
		reference_row_release(&r->rows[i]);
	r->count = 0;
}

int references_flush(struct references *r)
{
	int err;

	if (r->count == 0)
		return 0;
	r->wrote = true;
	err = kv_update(r->store->kv, KV_ORDERED, put_body, r);
	forget_rows(r);
	return err;
}

/* So many rows of a version that is not there, and whether that was all. */
struct dropping {
	uint32_t version;
	bool more;
};

static int drop_body(struct kv_txn *txn, void *arg)
{
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct dropping *d = arg;
	struct slice key, value;
	unsigned n = 0;
	int more = kv_has(txn, KV_META, KEY(version_id(d->version)));

	d->more = false;
	if (more != 0)
		return more < 0 ? more : 0;
	more = kv_scan(txn, KV_META, KEY(prefix_id('O', d->version)), slice("", 0), &scan);
	while (more >= 0 && n < BATCH && (more = kv_next(scan, &key, &value)) > 0) {
		more = kv_del(txn, KV_META, key);
		n++;
	}
	d->more = n == BATCH;
	return more < 0 ? more : 0;
}

static int drop(struct store *store, uint32_t version)
{
	struct dropping d = { .version = version };
	int err;

	do
		err = kv_update(store->kv, KV_ORDERED, drop_body, &d);
	while (err == 0 && d.more);
	return err < 0 ? log_errno(err, "dropping references that were not logged") : 0;
}

int references_restart(struct references *r)
{
	int err = r->wrote ? drop(r->store, r->version) : 0;

	forget_rows(r);
	r->last = 0;
	r->wrote &= err < 0;
	return err;
}

void references_end(struct references *r)
{
	if (r->wrote)
		drop(r->store, r->version);
	forget_rows(r);
	free(r->rows);
	*r = (struct references){ 0 };
}

int reference_next(struct store *store, uint32_t version, uint32_t *slot,
		   struct reference_row *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix_id('O', version)),
			       KEY(reference(version, *slot + 1)), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more <= 0)
		return more;
	more = decode_reference_row(value, ret);
	if (more == 0)
		*slot = key_u32_at(key, 5);
	return more < 0 ? more : 1;
}

/* The first version from this one on that has references: 1, 0, -errno. */
static int next_version(struct store *store, uint64_t from, uint32_t *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct slice key, value;
	int more;

	if (from > UINT32_MAX)
		return 0;
	more = kv_begin(store->kv, KV_READ, &txn);
	if (more == 0)
		more = kv_scan(txn, KV_META, KEY(prefix('O')),
			       KEY(prefix_id('O', (uint32_t)from)), &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more > 0)
		*ret = key_u32_at(key, 1);
	return more;
}

int reference_recover(struct store *store)
{
	uint32_t id = 0;
	int more;

	for (uint64_t from = 0; (more = next_version(store, from, &id)) > 0;
	     from = (uint64_t)id + 1) {
		int err = drop(store, id);

		if (err < 0)
			return err;
	}
	return more;
}

/* ---- one link ---- */

/* The version is an input of the run, if who logs may read it. */
static int use_version(const struct references *r, struct slice place, struct reference_row *row)
{
	AUTO(buf_release) struct buf path = BUF_INIT;
	struct version v;
	int err = run_input_resolve(r->store, r->run, place, r->cred, &v, &path);

	if (err < 0)
		return err == -EIO || err == -ENOMEM ? err : 0;
	row->version = v.id;
	return observe_version(r->store, r->run, v.id);
}

int references_add(struct references *r, struct slice link, struct slice path,
		   struct slice target, struct hasher *hasher)
{
	AUTO(buf_release) struct buf place = BUF_INIT;
	const char *mountpoint = r->store->mountpoint ? r->store->mountpoint : "";
	struct reference_row row = { 0 };
	int err = 0;

	row.kind = reference_classify(mountpoint, link, target, &place);
	if (row.kind == REFERENCE_NONE)
		return 0;
	if (row.kind == REFERENCE_ARTIFACT)
		err = use_version(r, buf_slice(&place), &row);
	else if (row.kind == REFERENCE_FILE)
		err = reference_look(r->cred, buf_str(&place),
				     r->store->options.reference_hash_bytes, hasher, r->stop,
				     &row);
	if (err < 0)
		return err;
	row.path = xstrndup(path.data, path.len);
	row.target = xstrndup(target.data, target.len);
	row.location = xstrdup(row.kind != REFERENCE_FILE ||
			       slice_equal(buf_slice(&place), target) ? "" : buf_str(&place));
	r->rows = xgrow(r->rows, &r->cap, r->count + 1, sizeof(row));
	r->rows[r->count++] = row;
	r->last++;
	return r->count == BATCH ? references_flush(r) : 0;
}
