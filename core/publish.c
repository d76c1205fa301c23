#include "publish.h"

#include "directory.h"
#include "log.h"
#include "publish_names.h"
#include "view.h"
#include "reap.h"
#include "removal.h"
#include "run.h"
#include "run_event.h"
#include "scan.h"

#include <fcntl.h>
#include <stdio.h>

/* So often a draft is read again when it changed meanwhile, before the log gives up. */
#define PASSES 8
/* So soon does a log that waits for another see that it is no longer wanted. */
#define STOP_NS 50000000

/* A draft being logged, and what the publishing transaction made of it. */
struct prepared {
	struct scan scan;
	struct references references;
	struct draft_top *top;
	char *name; /* when it was chosen: top's may be another by now */
	bool scanned;
	bool scanned_again; /* what the first scan put may be of a state that is gone */
	uint64_t version_id, first_ino, collection_id;

	enum { OUTCOME_LOGGED, OUTCOME_EQUAL, OUTCOME_UNCHANGED, OUTCOME_RESTORED } outcome;
	struct version version;
};

struct publishing {
	struct store *store;
	const struct publish_request *request;
	struct run run;
	struct draft_area *area;
	struct draft_top *names; /* touched when a name appears or goes in outputs/ */
	uint64_t names_touches;
	struct stage *stage;
	struct prepared *drafts;
	size_t count, cap;
	unsigned passes;
	struct buf culprit; /* the draft that could not be logged */
	struct buf why;
	struct buf text; /* results, for `log` */
};

static bool finishing(const struct publishing *p)
{
	return p->request->name.len == 0;
}

static uint64_t touches_of(struct draft_top *top)
{
	uint64_t touches = draft_watch(top);

	draft_unwatch(top);
	return touches;
}

/* Shared lock held: the name leads to the draft. */
static void add_draft(struct publishing *p, const char *name)
{
	struct prepared d = { .top = draft_top_get(p->area, name) };

	for (size_t i = 0; i < p->count; i++) {
		if (p->drafts[i].top == d.top) {
			draft_top_put(d.top);
			return;
		}
	}
	d.name = xstrdup(name);
	d.scan.store = p->store;
	d.scan.stage = p->stage;
	d.scan.top = d.top;
	d.scan.name = d.name;
	d.scan.stop = p->request->stop;
	p->drafts = xgrow(p->drafts, &p->cap, p->count + 1, sizeof(d));
	p->drafts[p->count++] = d;
}

static void drop_draft(struct prepared *d)
{
	references_end(&d->references);
	scan_release(&d->scan);
	draft_top_put(d->top);
	free(d->name);
}

static bool was_renamed(const struct prepared *d)
{
	return strcmp(d->top->name, d->name) != 0;
}

/* Drafts that went or got another name since the last pass. Shared lock held. */
static void drop_moved(struct publishing *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct prepared *d = &p->drafts[i];

		if (!was_renamed(d) &&
		    faccessat(p->area->fd, d->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			p->drafts[kept++] = *d;
		else
			drop_draft(d);
	}
	p->count = kept;
}

/* Everything in outputs/ that is not scratch. Shared lock held. */
static int list_drafts(struct publishing *p)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(p->area->fd, ".", &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0)
		if (e->d_name[0] != '.')
			add_draft(p, e->d_name);
	return more < 0 ? log_errno(more, "reading the drafts of %s", p->run.name) : 0;
}

static int choose_drafts(struct publishing *p)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	struct stat st;

	{
		/* What was counted already has happened, and is about to be listed. */
		EXCLUSIVE(&p->area->lock);
		p->names_touches = touches_of(p->names);
	}
	SHARED(&p->area->lock);
	drop_moved(p);
	if (finishing(p))
		return list_drafts(p);
	buf_add_slice(&name, p->request->name);
	if (!name_valid(p->request->name) ||
	    fstatat(p->area->fd, buf_str(&name), &st, AT_SYMLINK_NOFOLLOW) < 0) {
		buf_reset(&p->why);
		buf_printf(&p->why, "no such draft: %s", buf_str(&name));
		return -ENOENT;
	}
	add_draft(p, buf_str(&name));
	return 0;
}

static void blame(struct publishing *p, const char *draft)
{
	buf_reset(&p->culprit);
	buf_add_str(&p->culprit, draft);
}

/* What a draft needs of the store before it is read for the first time. */
static int start_draft(struct publishing *p, struct prepared *d)
{
	int err;

	if (!name_valid(slice_str(d->name))) {
		buf_printf(&p->why, "no artifact can be called that");
		return -EINVAL;
	}
	err = known_files_load(p->store, p->run.id, d->name, &d->scan.known);
	if (err == 0)
		err = store_new_ids(p->store, ID_COLLECTION, 1, &d->collection_id);
	if (err == 0)
		err = store_new_ids(p->store, ID_VERSION, 1, &d->version_id);
	d->references = (struct references){
		.store = p->store,
		.cred = p->request->cred,
		.run = p->run.id,
		.version = (uint32_t)d->version_id,
		.stop = p->request->stop,
	};
	return err;
}

static int prepare(struct publishing *p, struct prepared *d)
{
	int err = 0;

	blame(p, d->name);
	if (d->version_id == 0)
		err = start_draft(p, d);
	if (err < 0)
		return err;
	/* What it is in, may have been moved since. */
	d->scan.references = &d->references;
	for (unsigned i = 0; i < PASSES; i++) {
		err = scan_draft(&d->scan, &p->why);
		if (err != -EAGAIN)
			break;
		/*
		 * Something that was said to be present may be gone: trust nothing but the files.
		 */
		d->scan.distrust = i > 0;
		d->scanned_again = true;
	}
	/* The draft itself went: the next pass goes on without it. */
	if (err == -ENOENT)
		return -EAGAIN;
	if (err == -EAGAIN) {
		buf_printf(&p->why, "keeps changing: %s", d->name);
		err = -EBUSY;
	}
	if (err < 0)
		return err;
	d->scanned = true;
	return store_new_ids(p->store, ID_CONTENT_INO, d->scan.nodes, &d->first_ino);
}

static bool changed(const struct prepared *d)
{
	return !d->scanned || touches_of(d->top) != d->scan.touches;
}

/* The collection the draft is for, made if it is not there. */
static int collection_for(struct kv_txn *txn, const struct publishing *p, const struct prepared *d,
			  struct collection *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct run *run = &p->run;
	struct slice name = slice_str(d->name);
	uint64_t id;
	int err = kv_get(txn, KV_META, KEY(collection_name(name)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &id);
	if (err == 0)
		return collection_read(txn, (uint32_t)id, ret);
	if (err != -ENOENT)
		return err;
	*ret = (struct collection){
		.id = (uint32_t)d->collection_id,
		.name = xstrdup(d->name),
		.type = xstrdup(""),
		.description = xstrdup(""),
		.uid = run->uid,
		.gid = run->gid,
		.mode = run->mode,
		.created = store_now(),
		.latest = -1,
	};
	err = collection_add(txn, ret);
	return err < 0 ? err : event_put(txn, p->store, &(struct event){
		.kind = EVENT_COLLECTION_MADE, .run = run->name, .object = ret->name,
	});
}

static int set_type(struct kv_txn *txn, struct publishing *p, struct collection *c)
{
	struct slice type = p->request->type;

	if (type.len == 0 || slice_equal(type, slice_str(c->type)))
		return 0;
	if (c->type[0] != '\0') {
		buf_reset(&p->why);
		buf_printf(&p->why, "%s is of type %s, not %.*s", c->name, c->type, (int)type.len,
			   (const char *)type.data);
		return -EINVAL;
	}
	return collection_put_type(txn, p->store, c, type, p->run.name);
}

/* The version of equal content, live or in the trash, that the run may read: 1, 0 or -errno. */
static int find_equal(struct kv_txn *txn, const struct publishing *p, const struct prepared *d,
		      const struct collection *c, struct version *ret)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct cred cred = { .uid = p->run.uid, .gid = p->run.gid };
	uint64_t number;
	int err = kv_get(txn, KV_META, KEY(equal(c->id, &d->scan.digest)), &b);

	if (err == 0)
		err = decode_u64(buf_slice(&b), &number);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = version_read_any(txn, c->id, (uint32_t)number, ret);
	if (err < 0)
		return err;
	return cred_may(&cred, ret->uid, ret->gid, version_directory_mode(ret), 4);
}

static int add_version(struct kv_txn *txn, const struct publishing *p, const struct prepared *d,
		       struct collection *c, uint64_t sequence, struct version *ret)
{
	AUTO(buf_release) struct buf record = BUF_INIT, place = BUF_INIT, number = BUF_INIT;
	const struct scan *s = &d->scan;
	int err;

	*ret = (struct version){
		.id = (uint32_t)d->version_id,
		.collection = c->id,
		.number = c->next_number++,
		.run = p->run.id,
		.digest = s->digest,
		.page = s->page,
		.first_ino = d->first_ino,
		.nodes = s->nodes,
		.files = s->files,
		.bytes = s->bytes,
		.sums_size = s->sums_size,
		.single = s->single,
		.uid = s->st.st_uid,
		.gid = s->st.st_gid,
		.mode = s->st.st_mode & 0777,
		.created = store_now(),
		.sequence = sequence,
		.mtime = s->st.st_mtim,
	};
	c->latest = ret->number;
	encode_version(&record, ret);
	encode_place(&place, c->id, ret->number);
	encode_u64(&number, ret->number);
	err = kv_put(txn, KV_META, KEY(version(c->id, ret->number)), buf_slice(&record));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(version_id(ret->id)), buf_slice(&place));
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(equal(c->id, &s->digest)), buf_slice(&number));
	if (err == 0)
		err = reap_spare_page(txn, s->page);
	if (err == 0)
		err = kv_put(txn, KV_META, KEY(page_ref(s->page, REFERRER_VERSION, ret->id)),
			     slice("", 0));
	return err;
}

/* outputs/<name> stays known by its slot, and after the end of the run by its version. */
static int note_draft(struct kv_txn *txn, struct publishing *p, const struct prepared *d,
		      uint32_t version, bool *ret_unchanged)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct slice name = slice_str(d->name);
	struct draft draft = { 0 };
	int err = kv_get(txn, KV_META, KEY(draft(p->run.id, name)), &b);

	if (err == 0)
		err = decode_draft(buf_slice(&b), &draft);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == -ENOENT)
		draft.slot = p->run.next_slot++;
	*ret_unchanged = draft.version == version;
	draft.version = version;
	draft.single = d->scan.single;
	draft.ended = finishing(p);
	buf_reset(&b);
	encode_draft(&b, &draft);
	return kv_put(txn, KV_META, KEY(draft(p->run.id, name)), buf_slice(&b));
}

/* Content that this draft had before is no change, and has no event. */
static int put_event(struct kv_txn *txn, const struct publishing *p, const struct prepared *d,
		     const struct version *v)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	char hex[DIGEST_HEX_SIZE + 1], files[32], size[32];
	autofree char *digest = NULL;

	if (d->outcome == OUTCOME_UNCHANGED)
		return 0;
	version_label(&label, d->name, v->number);
	digest_to_hex(&v->digest, hex);
	digest = xasprintf("sha256:%s", hex);
	snprintf(files, sizeof(files), "%llu", (unsigned long long)v->files);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)v->bytes);
	return event_put(txn, p->store, &(struct event){
		.kind = d->outcome == OUTCOME_LOGGED ? EVENT_LOGGED : EVENT_LOGGED_EQUAL,
		.run = p->run.name,
		.object = buf_str(&label),
		.version = v->id,
		.details = { { "digest", digest }, { "files", files }, { "size", size } },
	});
}

/* A log moves latest to what it logs, which its event says; this is a move for once without one. */
static int move_latest(struct kv_txn *txn, const struct publishing *p, struct collection *c,
		       const struct version *v)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	int64_t old = c->latest;
	char from[24], to[24];

	if (old == v->number)
		return 0;
	c->latest = v->number;
	snprintf(from, sizeof(from), "v%lld", (long long)old);
	snprintf(to, sizeof(to), "v%u", v->number);
	version_label(&label, c->name, v->number);
	return event_put(txn, p->store, &(struct event){
		.kind = EVENT_ALIAS, .run = p->run.name, .object = buf_str(&label), .version = v->id,
		.details = { { "alias", "latest" },
			     { "from", old < 0 ? NULL : from },
			     { "to", to } },
	});
}

static int publish_draft(struct kv_txn *txn, struct publishing *p, struct prepared *d)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct edge edge = { .first = store_now() };
	bool unchanged = false, restored = false;
	struct version v;
	int equal, err = collection_for(txn, p, d, &c);

	blame(p, d->name);
	if (err == 0 && !cred_may(p->request->cred, c.uid, c.gid, c.mode, 2)) {
		buf_reset(&p->why);
		buf_printf(&p->why, "no permission to log into %s", c.name);
		err = -EACCES;
	}
	if (err == 0)
		err = set_type(txn, p, &c);
	if (err < 0)
		return err;
	equal = find_equal(txn, p, d, &c, &v);
	/* After everything it depends on was read: an edge comes before what is made of it. */
	err = equal < 0 ? equal : store_new_ids(p->store, ID_SEQUENCE, 1, &edge.sequence);
	if (err == 0 && !equal)
		err = add_version(txn, p, d, &c, edge.sequence, &v);
	if (err == 0 && equal && v.removed) {
		err = version_put_back(txn, p->store, &c, &v, p->run.name);
		restored = true;
	}
	if (err < 0)
		return err;
	if (equal && p->store->options.latest_on_equal)
		err = move_latest(txn, p, &c, &v);
	edge.last = edge.first;
	edge.flags = equal ? EDGE_EQUAL : 0;
	if (err == 0)
		err = collection_write(txn, &c);
	if (err == 0)
		err = view_unpin(txn, p->run.id, c.id);
	if (err == 0)
		err = edge_add_logged(txn, p->run.id, v.id, &edge);
	if (err == 0)
		err = note_draft(txn, p, d, v.id, &unchanged);
	d->outcome = !equal    ? OUTCOME_LOGGED :
		     restored  ? OUTCOME_RESTORED :
		     unchanged ? OUTCOME_UNCHANGED :
				 OUTCOME_EQUAL;
	d->version = v;
	if (err == 0)
		err = put_event(txn, p, d, &v);
	return err < 0 ? err : publish_names_put(txn, p->store, p->request, p->run.name, &c, &v);
}

static void describe(struct publishing *p, const struct prepared *d)
{
	static const char *const words[] = {
		[OUTCOME_LOGGED] = "logged",
		[OUTCOME_EQUAL] = "equal",
		[OUTCOME_UNCHANGED] = "unchanged",
		[OUTCOME_RESTORED] = "restored",
	};
	char hex[DIGEST_HEX_SIZE + 1];

	digest_to_hex(&d->scan.digest, hex);
	buf_printf(&p->text, "%s: ", words[d->outcome]);
	version_label(&p->text, d->name, d->version.number);
	buf_printf(&p->text, " sha256:%s files:%llu bytes:%llu\n", hex,
		   (unsigned long long)d->scan.files, (unsigned long long)d->scan.bytes);
}

static int publish_body(struct kv_txn *txn, void *arg)
{
	struct publishing *p = arg;
	int err;

	run_release(&p->run);
	buf_reset(&p->text);
	err = run_read(txn, p->area->run, &p->run);
	if (err == 0 && p->run.state == RUN_FINISHED)
		err = -EROFS;
	if (err == 0 && !finishing(p) && p->run.state != RUN_RUNNING)
		err = -EROFS;
	for (size_t i = 0; err == 0 && i < p->count; i++) {
		err = publish_draft(txn, p, &p->drafts[i]);
		if (err == 0)
			describe(p, &p->drafts[i]);
	}
	if (err == 0 && finishing(p)) {
		p->run.state = RUN_FINISHED;
		p->run.ended = store_now();
		run_end_apply(&p->run, p->request->end);
		err = known_files_forget(txn, p->run.id);
		if (err == 0)
			err = run_unwatch(txn, p->run.id);
		if (err == 0)
			err = run_event_put(txn, p->store, &p->run, EVENT_RUN_ENDED);
	}
	if (err == 0)
		err = run_write(txn, &p->run);
	if (err == 0)
		err = run_log_put(txn, p->run.id, buf_slice(&p->text));
	return err < 0 ? err : kv_del(txn, KV_META, KEY(intent(stage_intent(p->stage))));
}

/* With the drafts frozen: publishes if nothing changed since they were read, else -EAGAIN. */
static int try_publish(struct publishing *p)
{
	struct draft_area *area = p->area;
	int err;

	EXCLUSIVE(&area->lock);
	if (area->phase == DRAFT_GONE || (!finishing(p) && area->phase != DRAFT_OPEN))
		return -EROFS;
	if (finishing(p) && touches_of(p->names) != p->names_touches)
		return -EAGAIN;
	for (size_t i = 0; i < p->count; i++)
		if (changed(&p->drafts[i]) || was_renamed(&p->drafts[i]))
			return -EAGAIN;
	err = kv_update(p->store->kv, KV_DURABLE, publish_body, p);
	if (err == 0)
		edges_changed(p->store, area->run);
	for (size_t i = 0; err == 0 && i < p->count; i++)
		if (p->drafts[i].outcome == OUTCOME_RESTORED)
			version_changed(p->store, &p->drafts[i].version);
	if (err == 0 && finishing(p))
		draft_area_end(area);
	else if (err < 0 && finishing(p))
		draft_area_follow(area);
	return err;
}

static int log_drafts(struct publishing *p)
{
	int err = -EAGAIN;

	for (p->passes = 0; err == -EAGAIN && p->passes < PASSES; p->passes++) {
		err = choose_drafts(p);
		for (size_t i = 0; err == 0 && i < p->count; i++)
			if (changed(&p->drafts[i]))
				err = prepare(p, &p->drafts[i]);
		if (err == 0)
			err = try_publish(p);
	}
	if (err == -EAGAIN) {
		buf_printf(&p->why, "the draft keeps changing");
		err = -EBUSY;
	}
	return err;
}

/* After publishing: what the next log of a draft need not hash again. */
static void keep_known(struct publishing *p)
{
	/* A cache: what cannot be written is hashed again. */
	for (size_t i = 0; i < p->count && !finishing(p); i++)
		known_files_save(p->store, p->run.id, p->drafts[i].name,
				 &p->drafts[i].scan.known);
}

static void report_failure(struct publishing *p, int err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *name = strerrorname_np(-err);

	buf_add_str(&text, "error: ");
	if (p->request->name.len)
		buf_add_visible(&text, p->request->name);
	else
		buf_add_visible(&text, buf_slice(&p->culprit));
	buf_printf(&text, "%s%s: ", p->request->name.len || p->culprit.len ? ": " : "",
		   name ? name : "?");
	buf_add_visible(&text, p->why.len ? buf_slice(&p->why) : slice_str(strerror(-err)));
	buf_add_char(&text, '\n');
	run_log_write(p->store, p->request->run, buf_slice(&text));
}

static bool put_more_than_published(const struct publishing *p)
{
	if (p->passes > 1)
		return true;
	for (size_t i = 0; i < p->count; i++)
		if (p->drafts[i].scanned_again || p->drafts[i].outcome != OUTCOME_LOGGED)
			return true;
	return false;
}

static int publish_in_area(struct publishing *p)
{
	int err = run_get(p->store, p->area->run, &p->run);

	if (err == 0 && !finishing(p) && p->run.state != RUN_RUNNING)
		return -EROFS;
	if (err == 0)
		err = publish_names_check(p->store, p->request, &p->why);
	if (err == 0)
		err = stage_open(p->store, p->area->run, &p->stage);
	if (err < 0) {
		report_failure(p, err);
		return err;
	}
	p->names = draft_top_get(p->area, "");
	err = log_drafts(p);
	if (err == 0) {
		run_log_said(p->store, p->run.id);
		keep_known(p);
	}
	stage_close(p->stage, err < 0			    ? STAGE_DROPPED :
			      put_more_than_published(p) ? STAGE_PUBLISHED_PARTLY :
							   STAGE_PUBLISHED);
	if (err < 0)
		report_failure(p, err);
	for (size_t i = 0; i < p->count; i++)
		drop_draft(&p->drafts[i]);
	draft_top_put(p->names);
	return err;
}

/* Two logs of one run would share the same files with the blob store twice. */
static int lock_logging(struct draft_area *area, const bool *stop)
{
	for (;;) {
		struct timespec until = moment_after(STOP_NS);

		if (pthread_mutex_timedlock(&area->logging, &until) == 0)
			return 0;
		if (stop && __atomic_load_n(stop, __ATOMIC_RELAXED))
			return -EINTR;
	}
}

int publish(struct store *store, const struct publish_request *request)
{
	struct publishing p = { .store = store, .request = request };
	int err = draft_area_get(store, request->run, &p.area);

	if (err == -ENOENT)
		return -EROFS;
	if (err < 0) {
		report_failure(&p, err);
		return err;
	}
	err = lock_logging(p.area, request->stop);
	if (err == 0) {
		draft_progress_begin(p.area);
		err = publish_in_area(&p);
		draft_progress_end(p.area);
		pthread_mutex_unlock(&p.area->logging);
	}
	if (finishing(&p))
		atomic_fetch_add(&store->run_generation, 1);
	draft_area_put(p.area);
	run_release(&p.run);
	free(p.drafts);
	buf_release(&p.culprit);
	buf_release(&p.why);
	buf_release(&p.text);
	return err;
}

int publish_recover(struct store *store)
{
	static const char kinds[] = { 'N', 'n' };
	int err = reference_recover(store);

	if (err < 0)
		return err;

	/* An intent that published is gone but for its parts: those say what to look at. */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (;;) {
			AUTO(kv_abortp) struct kv_txn *txn = NULL;
			AUTO(kv_donep) struct kv_scan *scan = NULL;
			struct slice key, value;
			uint64_t intent;
			int more = kv_begin(store->kv, KV_READ, &txn);

			if (more == 0)
				more = kv_scan(txn, KV_META, KEY(prefix(kinds[i])), slice("", 0),
					       &scan);
			if (more == 0)
				more = kv_next(scan, &key, &value);
			if (more < 0)
				return more;
			if (more == 0)
				break;
			intent = key_u64_at(key, 1);
			log_info("dropping what an interrupted log left (intent %llu)",
				 (unsigned long long)intent);
			more = stage_drop(store, intent);
			if (more < 0)
				return more;
		}
	}
	return 0;
}
