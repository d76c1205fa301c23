#include "kv_conflict.h"

#include <assert.h>

#include "buf.h"

/* Keys of commits, in two generations: when the younger one is full the older one is forgotten. */
#define GENERATION_KEYS (128u << 10)
#define SLOTS_MIN 1024

struct generation {
	struct changed {
		uint64_t key;	 /* 0: no entry */
		uint64_t number; /* of the last commit that wrote it */
	} *slots;
	size_t count, cap; /* cap: a power of two, more than twice count */
	uint64_t last;	   /* the highest number of any */
};

struct kv_conflicts {
	pthread_mutex_t lock;
	uint64_t number; /* of the last commit that got one */
	uint64_t floor;	 /* keys of commits up to this one are forgotten */
	struct generation young, old;
	uint64_t *writing; /* numbers of commits that are being written, ascending */
	size_t writing_count, writing_cap;
};

struct kv_conflicts *kv_conflicts_new(void)
{
	struct kv_conflicts *c = xcalloc(1, sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void kv_conflicts_free(struct kv_conflicts *c)
{
	if (!c)
		return;
	free(c->young.slots);
	free(c->old.slots);
	free(c->writing);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

uint64_t kv_conflict_hash(unsigned space, struct slice key)
{
	const char *at = key.data;
	uint64_t h = mix(space + 1, key.len), word;
	size_t left = key.len;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (left)
		memcpy(&word, at, left);
	h = mix(mix(h, word), 0);
	return h ? h : 1;
}

static struct changed *slot_of(const struct generation *g, uint64_t key)
{
	size_t i = key & (g->cap - 1);

	while (g->slots[i].key != 0 && g->slots[i].key != key)
		i = (i + 1) & (g->cap - 1);
	return &g->slots[i];
}

static void grow(struct generation *g)
{
	struct generation old = *g;

	g->cap = old.cap ? old.cap * 2 : SLOTS_MIN;
	g->slots = xcalloc(g->cap, sizeof(*g->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].key != 0)
			*slot_of(g, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

/* Lock held. */
static void note(struct kv_conflicts *c, uint64_t key, uint64_t number)
{
	struct generation *g = &c->young;
	struct changed *slot;

	if (g->count >= GENERATION_KEYS) {
		c->floor = c->old.count ? c->old.last : c->floor;
		free(c->old.slots);
		c->old = *g;
		*g = (struct generation){ 0 };
	}
	if ((g->count + 1) * 2 > g->cap)
		grow(g);
	slot = slot_of(g, key);
	g->count += slot->key == 0;
	*slot = (struct changed){ key, number };
	g->last = number;
}

static bool changed_in(const struct generation *g, uint64_t key, uint64_t since)
{
	/* Its numbers are ascending: all of them are older. */
	return g->last > since && slot_of(g, key)->number > since;
}

/* Lock held. */
static bool any_changed(const struct kv_conflicts *c, uint64_t begin, const uint64_t *keys,
			size_t n)
{
	if (begin < c->floor)
		return true;
	for (size_t i = 0; i < n; i++)
		if (changed_in(&c->young, keys[i], begin) || changed_in(&c->old, keys[i], begin))
			return true;
	return false;
}

uint64_t kv_conflict_begin(struct kv_conflicts *c)
{
	LOCKED(&c->lock);
	return c->writing_count ? c->writing[0] - 1 : c->number;
}

bool kv_conflict_check(struct kv_conflicts *c, uint64_t begin, const uint64_t *keys, size_t n)
{
	LOCKED(&c->lock);
	return any_changed(c, begin, keys, n);
}

/* Lock held. */
static uint64_t take_number(struct kv_conflicts *c, const uint64_t *keys, size_t n)
{
	c->writing = xgrow(c->writing, &c->writing_cap, c->writing_count + 1, sizeof(*c->writing));
	c->writing[c->writing_count++] = ++c->number;
	for (size_t i = 0; i < n; i++)
		note(c, keys[i], c->number);
	return c->number;
}

int kv_conflict_commit(struct kv_conflicts *c, uint64_t begin, const uint64_t *keys, size_t n,
		       size_t written, uint64_t *ret)
{
	LOCKED(&c->lock);
	if (any_changed(c, begin, keys, n))
		return -EAGAIN;
	*ret = take_number(c, keys + written, n - written);
	return 0;
}

uint64_t kv_conflict_force(struct kv_conflicts *c, const uint64_t *keys, size_t n)
{
	LOCKED(&c->lock);
	return take_number(c, keys, n);
}

void kv_conflict_written(struct kv_conflicts *c, uint64_t number)
{
	size_t i = 0;

	LOCKED(&c->lock);
	while (i < c->writing_count && c->writing[i] != number)
		i++;
	assert(i < c->writing_count);
	memmove(c->writing + i, c->writing + i + 1,
		(--c->writing_count - i) * sizeof(*c->writing));
}
