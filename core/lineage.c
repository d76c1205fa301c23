#include "lineage.h"

#include "lineage_source.h"

#include "artifact.h"
#include "log.h"
#include "run.h"

#include <assert.h>

/* Closures that are remembered: a listing and the lookups of what it listed ask for the same. */
#define REMEMBERED 16

struct lineage {
	struct store *store;
	pthread_rwlock_t lock; /* shared: walking; exclusive: building and reloading */
	struct lineage_graph *graph; /* NULL: not built, or it does not fit */
	bool too_large;
	pthread_mutex_t mutex; /* of what follows */
	struct lineage_closure *remembered[REMEMBERED];
	size_t next;
};

struct lineage *lineage_new(struct store *store)
{
	struct lineage *l = xcalloc(1, sizeof(*l));

	l->store = store;
	pthread_rwlock_init(&l->lock, NULL);
	pthread_mutex_init(&l->mutex, NULL);
	return l;
}

static void closure_free(struct lineage_closure *c)
{
	free(c->versions);
	free(c->runs);
	free(c);
}

/* With the mutex held. */
static void put_locked(struct lineage_closure *c)
{
	if (c && --c->references == 0)
		closure_free(c);
}

static void forget_closures(struct lineage *l)
{
	LOCKED(&l->mutex);
	for (size_t i = 0; i < REMEMBERED; i++)
		put_locked(steal(l->remembered[i]));
}

void lineage_free(struct lineage *l)
{
	if (!l)
		return;
	forget_closures(l);
	lineage_graph_free(l->graph);
	pthread_rwlock_destroy(&l->lock);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

/* ---- keeping the graph current ---- */

/* With the lock held exclusively. */
static int build(struct lineage *l)
{
	int err;

	lineage_graph_free(steal(l->graph));
	l->too_large = false;
	err = lineage_graph_build(l->store, l->store->options.lineage_bytes, &l->graph);
	if (err != -EFBIG)
		return err;
	log_info("the lineage graph does not fit in lineage_mb: walking it on disk");
	l->too_large = true;
	return 0;
}

static int reload(struct lineage *l, const uint32_t *runs, size_t count)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++)
		err = lineage_graph_reload(l->graph, runs[i]);
	if (err == -EFBIG)
		return build(l);
	if (err < 0)
		lineage_graph_free(steal(l->graph));
	return err;
}

static int refresh(struct lineage *l)
{
	autofree uint32_t *runs = NULL;
	size_t count;
	bool lost;
	int err;

	if ((l->graph || l->too_large) && !edges_have_changed(l->store))
		return 0;
	EXCLUSIVE(&l->lock);
	/* Taken before anything is read: what is committed meanwhile is found changed again. */
	lost = !edges_take_changed(l->store, &runs, &count);
	if (lost || (!l->graph && !l->too_large))
		err = build(l);
	else
		err = l->graph ? reload(l, runs, count) : 0;
	forget_closures(l);
	return err;
}

/* ---- sets of nodes ---- */

/*
 * Which nodes were met, each with a number. Ids that are near each other are met together, so they
 * share a page, and a table finds the pages (open addressing, twice as large as what is in it).
 */
#define PAGE_IDS 64

struct met {
	struct met_page {
		uint32_t key;		   /* kind and first id */
		uint32_t values[PAGE_IDS]; /* 0: not met; else 1 more than its number */
	} *pages;
	size_t page_count, page_cap;
	uint32_t *slots; /* 0: free; else 1 more than the page's place */
	size_t size;	 /* of the table: a power of two */
	uint32_t last;	 /* as a slot: the page that was asked for last */
};

static void met_release(struct met *m)
{
	free(m->pages);
	free(m->slots);
}

static uint32_t met_key(enum lineage_kind kind, uint32_t id)
{
	return (uint32_t)kind << 31 | id / PAGE_IDS;
}

static uint32_t *met_slot(const struct met *m, uint32_t key)
{
	size_t i = (key * 0x9e3779b1u) >> 7 & (m->size - 1);

	while (m->slots[i] && m->pages[m->slots[i] - 1].key != key)
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

static struct met_page *met_page(struct met *m, uint32_t key)
{
	uint32_t slot = m->last;

	if (slot == 0 || m->pages[slot - 1].key != key)
		slot = m->size ? *met_slot(m, key) : 0;
	if (slot == 0)
		return NULL;
	m->last = slot;
	return &m->pages[slot - 1];
}

/* How the node was met: 1 more than its number. NULL: it was not. */
static uint32_t *met_find(struct met *m, enum lineage_kind kind, uint32_t id)
{
	struct met_page *page = met_page(m, met_key(kind, id));

	return page && page->values[id % PAGE_IDS] ? &page->values[id % PAGE_IDS] : NULL;
}

static struct met_page *met_add_page(struct met *m, uint32_t key)
{
	struct met_page *page;

	if (m->page_count * 2 >= m->size) {
		free(m->slots);
		m->size = m->size ? m->size * 2 : 16;
		m->slots = xcalloc(m->size, sizeof(*m->slots));
		for (size_t i = 0; i < m->page_count; i++)
			*met_slot(m, m->pages[i].key) = (uint32_t)i + 1;
	}
	m->pages = xgrow(m->pages, &m->page_cap, m->page_count + 1, sizeof(*m->pages));
	page = &m->pages[m->page_count];
	*page = (struct met_page){ .key = key };
	*met_slot(m, key) = (uint32_t)++m->page_count;
	return page;
}

/* Good until the next one. */
static uint32_t *met_add(struct met *m, enum lineage_kind kind, uint32_t id, uint32_t number)
{
	uint32_t key = met_key(kind, id);
	struct met_page *page = met_page(m, key);

	if (!page)
		page = met_add_page(m, key);
	page->values[id % PAGE_IDS] = number + 1;
	return &page->values[id % PAGE_IDS];
}

static int by_key(const void *a, const void *b)
{
	uint32_t x = ((const struct met_page *)a)->key, y = ((const struct met_page *)b)->key;

	return (x > y) - (x < y);
}

/* Takes the order from the pages, so nothing can be looked for any more. */
static void met_sort(struct met *m)
{
	if (m->page_count)
		qsort(m->pages, m->page_count, sizeof(*m->pages), by_key);
	free(steal(m->slots));
	m->size = m->last = 0;
}

/* ---- walking ---- */

/* A part of a run's timeline that is to be gone through. */
struct task {
	uint32_t run;
	uint32_t from, to;
};

struct walk {
	struct store *store;
	struct lineage_source *source;
	enum lineage_direction direction;
	struct lineage_node of;
	size_t limit; /* nodes */
	/* Versions with no number; runs with how far their timeline was gone through. */
	struct met met;
	struct lineage_closure *closure;
	size_t version_cap, run_cap, walked; /* versions gone through */
	struct task *tasks;
	size_t task_count, task_cap;
};

static bool is_start(const struct walk *w, enum lineage_kind kind, uint32_t id)
{
	return w->of.kind == kind && w->of.id == id;
}

static bool has_room(struct walk *w)
{
	if (w->closure->version_count + w->closure->run_count < w->limit)
		return true;
	w->closure->truncated = true;
	return false;
}

static void meet_version(struct walk *w, uint32_t id)
{
	struct lineage_closure *c = w->closure;

	if (met_find(&w->met, LINEAGE_VERSION, id) || is_start(w, LINEAGE_VERSION, id) ||
	    !has_room(w))
		return;
	met_add(&w->met, LINEAGE_VERSION, id, 0);
	c->versions = xgrow(c->versions, &w->version_cap, c->version_count + 1,
			    sizeof(*c->versions));
	c->versions[c->version_count++] = id;
}

/*
 * How far the run's timeline was gone through, and 1; fresh when it is met now. NULL: no room. Good
 * until the next one.
 */
static uint32_t *meet_run(struct walk *w, uint32_t id, uint32_t fresh)
{
	struct lineage_closure *c = w->closure;
	uint32_t *node = met_find(&w->met, LINEAGE_RUN, id);

	if (node)
		return node;
	if (!is_start(w, LINEAGE_RUN, id)) {
		if (!has_room(w))
			return NULL;
		c->runs = xgrow(c->runs, &w->run_cap, c->run_count + 1, sizeof(*c->runs));
		c->runs[c->run_count++] = id;
	}
	return met_add(&w->met, LINEAGE_RUN, id, fresh);
}

static void add_task(struct walk *w, uint32_t run, uint32_t from, uint32_t to)
{
	if (from >= to)
		return;
	w->tasks = xgrow(w->tasks, &w->task_cap, w->task_count + 1, sizeof(*w->tasks));
	w->tasks[w->task_count++] = (struct task){ run, from, to };
}

/* The run did what it did until this place of its timeline: all before counts. */
static void up_to(struct walk *w, uint32_t run, uint32_t place)
{
	uint32_t *node = meet_run(w, run, 0);

	if (!node || *node - 1 >= place)
		return;
	add_task(w, run, *node - 1, place);
	*node = place + 1;
}

/* All that the run did from this place on counts. */
static void down_from(struct walk *w, uint32_t run, uint32_t place, uint32_t count)
{
	uint32_t *node = meet_run(w, run, count);

	if (!node || *node - 1 <= place)
		return;
	add_task(w, run, place, *node - 1);
	*node = place + 1;
}

/* How many entries of a timeline come before a sequence, or the sequence of an entry. */
static int place_of_sequence(struct store *store, uint32_t run, uint64_t sequence,
			     uint32_t *ret_place, uint32_t *ret_count)
{
	autofree struct timeline_row *rows = NULL;
	size_t cap = 0;
	ssize_t n = lineage_read_timeline(store, run, &rows, &cap);
	uint32_t place = 0;

	if (n < 0)
		return (int)n;
	while (place < (size_t)n && rows[place].sequence < sequence)
		place++;
	*ret_place = place;
	*ret_count = (uint32_t)n;
	return 0;
}

static int peek_sequence(struct store *store, uint32_t reader, uint32_t run, uint64_t *ret)
{
	struct edge edge;
	int err = edge_get(store->kv, EDGE_RUN_PEEKED, reader, run, &edge);

	if (err == 0)
		*ret = edge.sequence;
	return err;
}

/* A draft of `other` was read: what that run had used by then counts. */
static int up_peek(struct walk *w, uint32_t run, uint32_t other)
{
	uint32_t place, count;
	uint64_t sequence;
	int err = peek_sequence(w->store, run, other, &sequence);

	if (err == 0)
		err = place_of_sequence(w->store, other, sequence, &place, &count);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	up_to(w, other, place);
	return 0;
}

/* The runs that read a draft of this one after that place. */
static int down_readers(struct walk *w, uint32_t run, uint32_t place)
{
	autofree struct timeline_row *rows = NULL;
	autofree uint32_t *readers = NULL;
	struct id_list list;
	size_t cap = 0;
	ssize_t n;
	int err = w->source->ops->readers(w->source, run, &list);

	if (err < 0 || list.count == 0)
		return err;
	readers = xmalloc(list.count * sizeof(*readers));
	memcpy(readers, list.ids, list.count * sizeof(*readers));
	n = lineage_read_timeline(w->store, run, &rows, &cap);
	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < list.count; i++) {
		uint32_t at, count;
		uint64_t sequence;

		err = peek_sequence(w->store, readers[i], run, &sequence);
		if (err == -ENOENT || (err == 0 && place > 0 && place <= (size_t)n &&
				       rows[place - 1].sequence > sequence))
			continue;
		if (err == 0)
			err = place_of_sequence(w->store, readers[i], sequence, &at, &count);
		if (err < 0)
			return err;
		down_from(w, readers[i], at, count);
	}
	return 0;
}

static int run_task(struct walk *w, const struct task *task)
{
	struct id_list timeline;
	int err = w->source->ops->timeline(w->source, task->run, &timeline);

	for (size_t i = task->from; err == 0 && i < task->to && i < timeline.count; i++) {
		uint32_t id = timeline_id(timeline.ids[i]);

		switch (timeline_what(timeline.ids[i])) {
		case TIMELINE_USED:
			if (w->direction == LINEAGE_UP)
				meet_version(w, id);
			break;
		case TIMELINE_LOGGED:
			if (w->direction == LINEAGE_DOWN)
				meet_version(w, id);
			break;
		case TIMELINE_PEEKED:
			if (w->direction == LINEAGE_UP)
				err = up_peek(w, task->run, id);
			break;
		}
	}
	if (err == 0 && w->direction == LINEAGE_DOWN)
		err = down_readers(w, task->run, task->from);
	return err;
}

/* The first place of an entry in a timeline from a place on; the count: none. */
static uint32_t find_entry(const struct id_list *timeline, uint32_t from, uint32_t entry)
{
	while (from < timeline->count && timeline->ids[from] != entry)
		from++;
	return from;
}

/* A version depends on its producer, and on what that had used by then. */
static int walk_up(struct walk *w, uint32_t version)
{
	struct id_list timeline;
	const uint32_t *node;
	uint32_t run, place;
	int err = w->source->ops->producer(w->source, version, &run);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = w->source->ops->timeline(w->source, run, &timeline);
	if (err < 0)
		return err;
	node = met_find(&w->met, LINEAGE_RUN, run);
	place = find_entry(&timeline, node ? *node - 1 : 0,
			   timeline_entry(TIMELINE_LOGGED, version));
	/* Not found further on: it was logged in the part that was gone through. */
	up_to(w, run, place < timeline.count ? place : 0);
	return 0;
}

/* What depends on a version: the runs that used it, and what those logged afterwards. */
static int walk_down(struct walk *w, uint32_t version)
{
	struct id_list users;
	autofree uint32_t *runs = NULL;
	int err = w->source->ops->users(w->source, version, &users);

	if (err < 0 || users.count == 0)
		return err;
	runs = xmalloc(users.count * sizeof(*runs));
	memcpy(runs, users.ids, users.count * sizeof(*runs));
	for (size_t i = 0; i < users.count; i++) {
		struct id_list timeline;
		const uint32_t *node = met_find(&w->met, LINEAGE_RUN, runs[i]);

		err = w->source->ops->timeline(w->source, runs[i], &timeline);
		if (err < 0)
			return err;
		/* Only what comes before the part that was gone through makes a difference. */
		if (node && *node - 1 < timeline.count)
			timeline.count = *node - 1;
		down_from(w, runs[i],
			  find_entry(&timeline, 0, timeline_entry(TIMELINE_USED, version)) + 1,
			  node ? *node - 1 : (uint32_t)timeline.count + 1);
	}
	return 0;
}

static int start(struct walk *w)
{
	struct id_list timeline;
	int err;

	if (w->of.kind == LINEAGE_VERSION)
		return w->direction == LINEAGE_UP ? walk_up(w, w->of.id) : walk_down(w, w->of.id);
	err = w->source->ops->timeline(w->source, w->of.id, &timeline);
	if (err < 0)
		return err;
	if (w->direction == LINEAGE_UP) {
		up_to(w, w->of.id, (uint32_t)timeline.count);
	} else {
		down_from(w, w->of.id, 0, (uint32_t)timeline.count);
		/* Also when it logged nothing. */
		err = down_readers(w, w->of.id, 0);
	}
	return err;
}

static int walk(struct walk *w)
{
	struct lineage_closure *c = w->closure;
	int err = start(w);

	while (err == 0 && (w->task_count > 0 || w->walked < c->version_count)) {
		if (w->task_count > 0) {
			struct task task = w->tasks[--w->task_count];

			err = run_task(w, &task);
		} else if (w->direction == LINEAGE_UP) {
			if (w->source->ops->expect)
				w->source->ops->expect(w->source, c->versions + w->walked,
						       c->version_count - w->walked);
			err = walk_up(w, c->versions[w->walked++]);
		} else {
			err = walk_down(w, c->versions[w->walked++]);
		}
	}
	return err;
}

/* All that was met, but for the start. */
static void sort_closure(struct walk *w)
{
	struct lineage_closure *c = w->closure;
	size_t versions = 0, runs = 0;

	met_sort(&w->met);
	for (size_t i = 0; i < w->met.page_count; i++) {
		const struct met_page *page = &w->met.pages[i];
		bool run = page->key >> 31 == LINEAGE_RUN;

		for (uint32_t k = 0; k < PAGE_IDS; k++) {
			uint32_t id = (page->key & INT32_MAX) * PAGE_IDS + k;

			if (!page->values[k])
				continue;
			if (!run)
				c->versions[versions++] = id;
			else if (!is_start(w, LINEAGE_RUN, id))
				c->runs[runs++] = id;
		}
	}
	assert(versions == c->version_count && runs == c->run_count);
}

static int compute(struct lineage *l, struct lineage_node of, enum lineage_direction direction,
		   struct lineage_closure **ret)
{
	struct lineage_closure *c = xcalloc(1, sizeof(*c));
	struct walk w = {
		.store = l->store,
		.direction = direction,
		.of = of,
		.limit = l->store->options.lineage_nodes,
		.closure = c,
	};
	int err;

	c->of = of;
	c->direction = direction;
	c->references = 1;
	w.source = l->graph ? lineage_source_graph(l->graph) : lineage_source_scan(l->store);
	err = walk(&w);
	w.source->ops->close(w.source);
	if (err == 0)
		sort_closure(&w);
	met_release(&w.met);
	free(w.tasks);
	if (err < 0) {
		closure_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

static struct lineage_closure *find_remembered(struct lineage *l, struct lineage_node of,
					       enum lineage_direction direction)
{
	LOCKED(&l->mutex);
	for (size_t i = 0; i < REMEMBERED; i++) {
		struct lineage_closure *c = l->remembered[i];

		if (c && c->of.kind == of.kind && c->of.id == of.id && c->direction == direction) {
			c->references++;
			return c;
		}
	}
	return NULL;
}

static void remember(struct lineage *l, struct lineage_closure *c)
{
	LOCKED(&l->mutex);
	put_locked(l->remembered[l->next]);
	l->remembered[l->next] = c;
	l->next = (l->next + 1) % REMEMBERED;
	c->references++;
}

static int check_node(struct store *store, struct lineage_node of)
{
	AUTO(run_release) struct run run = { 0 };
	struct version v;

	return of.kind == LINEAGE_RUN ? run_get(store, of.id, &run) :
					version_get_by_id(store, of.id, &v);
}

int lineage_closure_get(struct store *store, struct lineage_node of,
			enum lineage_direction direction, struct lineage_closure **ret)
{
	struct lineage *l = store->lineage;
	int err = refresh(l);

	if (err < 0)
		return err;
	SHARED(&l->lock);
	*ret = find_remembered(l, of, direction);
	if (*ret)
		return 0;
	err = check_node(store, of);
	if (err == 0)
		err = compute(l, of, direction, ret);
	/* Under the lock: whoever reloads forgets it after that. */
	if (err == 0)
		remember(l, *ret);
	return err;
}

void lineage_closure_put(struct store *store, struct lineage_closure *closure)
{
	LOCKED(&store->lineage->mutex);
	put_locked(closure);
}

int lineage_place_of(struct store *store, uint32_t version, struct lineage_place *ret)
{
	struct lineage *l = store->lineage;
	struct version v;
	int err;

	{
		SHARED(&l->lock);
		if (l->graph && lineage_graph_place(l->graph, version, ret))
			return 0;
	}
	err = version_get_by_id(store, version, &v);
	if (err == 0)
		*ret = (struct lineage_place){ v.collection, v.number, v.mode & 04 };
	return err;
}

void lineage_stats(struct store *store, void (*each)(void *arg, const char *name, uint64_t n),
		   void *arg)
{
	struct lineage *l = store->lineage;

	SHARED(&l->lock);
	each(arg, "edges", l->graph ? lineage_graph_edges(l->graph) : 0);
	each(arg, "bytes", l->graph ? lineage_graph_bytes(l->graph) : 0);
}
