#include "node.h"

#include <assert.h>

/* Buckets of each hash to begin with; doubled when nodes are more. */
#define BUCKETS 1024

struct node_table {
	pthread_mutex_t lock;
	struct node **by_ino, **by_backing;
	size_t buckets, count;
	uint64_t late; /* the last number of INO_DRAFT_LATE */
};

/* By the product's upper bits: the lower ones of many numbers are all zero, and so are theirs. */
static size_t bucket(const struct node_table *t, uint64_t n)
{
	return (size_t)((n * 0x9e3779b97f4a7c15u) >> 32) & (t->buckets - 1);
}

struct node_table *node_table_new(void)
{
	struct node_table *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->buckets = BUCKETS;
	t->by_ino = xcalloc(t->buckets, sizeof(*t->by_ino));
	t->by_backing = xcalloc(t->buckets, sizeof(*t->by_backing));
	return t;
}

void node_spec_release(struct node *spec)
{
	if (spec->kind && spec->kind->release)
		spec->kind->release(spec);
	free(spec->name);
	*spec = (struct node){ 0 };
}

void node_batch_reset(struct node_batch *b)
{
	for (; b->at < b->count; b->at++) {
		free(b->items[b->at].name);
		node_spec_release(&b->items[b->at].node);
	}
	b->at = b->count = 0;
}

static void link_ino(struct node_table *t, struct node *n)
{
	struct node **at = &t->by_ino[bucket(t, n->ino)];

	n->next_ino = *at;
	*at = n;
}

static void link_backing(struct node_table *t, struct node *n)
{
	struct node **at = &t->by_backing[bucket(t, n->backing)];

	n->next_backing = *at;
	*at = n;
}

static void unlink_backing(struct node_table *t, struct node *n)
{
	struct node **at = &t->by_backing[bucket(t, n->backing)];

	while (*at && *at != n)
		at = &(*at)->next_backing;
	if (*at)
		*at = n->next_backing;
}

static struct node *find_ino(struct node_table *t, uint64_t ino)
{
	struct node *n = t->by_ino[bucket(t, ino)];

	while (n && n->ino != ino)
		n = n->next_ino;
	return n;
}

static struct node *find_backing(struct node_table *t, uint32_t run, uint64_t backing)
{
	struct node *n = t->by_backing[bucket(t, backing)];

	while (n && (n->backing != backing || n->a != run))
		n = n->next_backing;
	return n;
}

static void grow(struct node_table *t)
{
	struct node **old = t->by_ino;
	size_t n = t->buckets;

	t->buckets *= 2;
	t->by_ino = xcalloc(t->buckets, sizeof(*t->by_ino));
	free(t->by_backing);
	t->by_backing = xcalloc(t->buckets, sizeof(*t->by_backing));
	for (size_t i = 0; i < n; i++) {
		for (struct node *node = old[i], *next; node; node = next) {
			next = node->next_ino;
			link_ino(t, node);
			if (node->backing)
				link_backing(t, node);
		}
	}
	free(old);
}

/* Out of the table, with the lock held; freed by the caller without it. */
static bool take_out(struct node_table *t, struct node *n)
{
	struct node **at = &t->by_ino[bucket(t, n->ino)];

	if (n->lookups > 0 || n->references > 0)
		return false;
	while (*at != n)
		at = &(*at)->next_ino;
	*at = n->next_ino;
	if (n->backing)
		unlink_backing(t, n);
	t->count--;
	return true;
}

/* A node may hold the last reference of its parent, and so on up: depth must not cost stack. */
static void destroy(struct node *n)
{
	static _Thread_local struct node *doomed;
	static _Thread_local bool under_way;

	n->next_ino = doomed;
	doomed = n;
	if (under_way)
		return;
	under_way = true;
	while ((n = doomed)) {
		doomed = n->next_ino;
		node_spec_release(n);
		free(n);
	}
	under_way = false;
}

void node_table_free(struct node_table *t)
{
	struct node **all = xcalloc(t->count, sizeof(*all));
	size_t n = 0;

	/*
	 * What the kernel did not forget before the end. A node may hold another: each goes by
	 * itself.
	 */
	for (size_t i = 0; i < t->buckets; i++) {
		for (struct node *node = t->by_ino[i]; node; node = node->next_ino) {
			node->lookups = 0;
			node->references++;
			all[n++] = node;
		}
	}
	while (n > 0)
		node_put(t, all[--n]);
	assert(t->count == 0);
	free(all);
	pthread_mutex_destroy(&t->lock);
	free(t->by_ino);
	free(t->by_backing);
	free(t);
}

struct node *node_get(struct node_table *t, uint64_t ino)
{
	LOCKED(&t->lock);
	struct node *n = find_ino(t, ino);

	if (n)
		n->references++;
	return n;
}

struct node *node_get_backing(struct node_table *t, uint32_t run, uint64_t backing)
{
	LOCKED(&t->lock);
	struct node *n = find_backing(t, run, backing);

	if (n)
		n->references++;
	return n;
}

void node_hold(struct node_table *t, struct node *node)
{
	LOCKED(&t->lock);
	node->references++;
}

void node_again(struct node_table *t, struct node *node)
{
	LOCKED(&t->lock);
	node->lookups++;
	node->references++;
}

void node_put(struct node_table *t, struct node *node)
{
	bool gone;

	pthread_mutex_lock(&t->lock);
	assert(node->references > 0);
	node->references--;
	gone = take_out(t, node);
	pthread_mutex_unlock(&t->lock);
	if (gone)
		destroy(node);
}

void node_renew(struct node_table *t, uint64_t ino)
{
	LOCKED(&t->lock);
	struct node *n = find_ino(t, ino);

	if (n)
		n->generation++;
}

void node_forget(struct node_table *t, uint64_t ino, uint64_t lookups)
{
	struct node *n;
	bool gone = false;

	pthread_mutex_lock(&t->lock);
	n = find_ino(t, ino);
	if (n) {
		n->lookups = n->lookups > lookups ? n->lookups - lookups : 0;
		gone = take_out(t, n);
	}
	pthread_mutex_unlock(&t->lock);
	if (gone)
		destroy(n);
}

/* Of two things with numbers that are hashes. */
static bool is_same(const struct node *a, const struct node *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

struct node *node_intern(struct node_table *t, struct node *spec)
{
	struct node *n = spec->interned;

	if (n) {
		*spec = (struct node){ 0 };
		return n;
	}
	assert(spec->kind);
	pthread_mutex_lock(&t->lock);
	n = spec->backing ? find_backing(t, spec->a, spec->backing) : find_ino(t, spec->ino);
	if (n && spec->kind->hashed && !is_same(n, spec))
		n = NULL;
	if (!n) {
		if (t->count >= t->buckets)
			grow(t);
		if ((spec->backing || spec->kind->hashed) && find_ino(t, spec->ino))
			spec->ino = ino_of_number(INO_DRAFT_LATE, ++t->late);
		n = xmalloc(sizeof(*n));
		*n = *spec;
		n->lookups = 0;
		n->references = 0;
		link_ino(t, n);
		if (n->backing)
			link_backing(t, n);
		t->count++;
		*spec = (struct node){ 0 };
	}
	n->lookups++;
	n->references++;
	pthread_mutex_unlock(&t->lock);
	node_spec_release(spec);
	return n;
}

void node_rebase(struct node_table *t, struct node *node, uint64_t backing)
{
	LOCKED(&t->lock);
	unlink_backing(t, node);
	node->backing = backing;
	link_backing(t, node);
}

int node_refuse(const struct node *node)
{
	return node->kind->sealed ? -EROFS : -EPERM;
}
