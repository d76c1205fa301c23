#include "kv_writes.h"

#include "kv_conflict.h"

#define SLOTS_MIN 64

void kv_writes_release(struct kv_writes *w)
{
	buf_release(&w->bytes);
	free(w->list);
	free(w->slots);
	*w = (struct kv_writes){ .bytes = BUF_INIT };
}

struct slice kv_written_key(const struct kv_writes *w, const struct kv_written *e)
{
	return slice(w->bytes.data + e->key_at, e->key_len);
}

struct slice kv_written_value(const struct kv_writes *w, const struct kv_written *e)
{
	return slice(w->bytes.data + e->value_at, e->value_len);
}

/* Where the key is in the table, or would be. */
static size_t slot_of(const struct kv_writes *w, uint64_t hash, enum kv_space space,
		      struct slice key)
{
	size_t i = hash & (w->slot_count - 1);

	for (; w->slots[i] != 0; i = (i + 1) & (w->slot_count - 1)) {
		const struct kv_written *e = &w->list[w->slots[i] - 1];

		if (e->hash == hash && e->space == space && slice_equal(kv_written_key(w, e), key))
			break;
	}
	return i;
}

static void grow(struct kv_writes *w)
{
	free(w->slots);
	w->slot_count = w->slot_count ? w->slot_count * 2 : SLOTS_MIN;
	w->slots = xcalloc(w->slot_count, sizeof(*w->slots));
	for (size_t n = 0; n < w->count; n++) {
		size_t i = w->list[n].hash & (w->slot_count - 1);

		while (w->slots[i] != 0)
			i = (i + 1) & (w->slot_count - 1);
		w->slots[i] = (uint32_t)n + 1;
	}
}

static void write_one(struct kv_writes *w, enum kv_space space, struct slice key, bool deleted,
		      struct slice value)
{
	uint64_t hash = kv_conflict_hash(space, key);
	struct kv_written *e;
	size_t slot;

	if ((w->count + 1) * 2 > w->slot_count)
		grow(w);
	slot = slot_of(w, hash, space, key);
	if (w->slots[slot] == 0) {
		w->list = xgrow(w->list, &w->cap, w->count + 1, sizeof(*w->list));
		w->list[w->count++] = (struct kv_written){
			.space = space, .hash = hash, .key_at = w->bytes.len, .key_len = key.len,
		};
		w->slots[slot] = (uint32_t)w->count;
		buf_add_slice(&w->bytes, key);
	}
	e = &w->list[w->slots[slot] - 1];
	e->deleted = deleted;
	e->value_at = w->bytes.len;
	e->value_len = value.len;
	buf_add_slice(&w->bytes, value);
}

void kv_writes_put(struct kv_writes *w, enum kv_space space, struct slice key, struct slice value)
{
	write_one(w, space, key, false, value);
}

void kv_writes_del(struct kv_writes *w, enum kv_space space, struct slice key)
{
	write_one(w, space, key, true, slice("", 0));
}

const struct kv_written *kv_writes_find(const struct kv_writes *w, enum kv_space space,
					struct slice key)
{
	size_t slot;

	if (w->count == 0)
		return NULL;
	slot = slot_of(w, kv_conflict_hash(space, key), space, key);
	return w->slots[slot] ? &w->list[w->slots[slot] - 1] : NULL;
}

static int by_key(const void *a, const void *b, void *arg)
{
	const struct kv_writes *w = arg;

	return slice_compare(kv_written_key(w, &w->list[*(const uint32_t *)a]),
			     kv_written_key(w, &w->list[*(const uint32_t *)b]));
}

size_t kv_writes_sorted(const struct kv_writes *w, enum kv_space space, struct slice prefix,
			struct slice from, uint32_t **ret)
{
	size_t count = 0, cap = 0;

	*ret = NULL;
	for (size_t i = 0; i < w->count; i++) {
		const struct kv_written *e = &w->list[i];
		struct slice key = kv_written_key(w, e);

		if (e->space != space || !slice_starts(key, prefix) || slice_compare(key, from) < 0)
			continue;
		*ret = xgrow(*ret, &cap, count + 1, sizeof(**ret));
		(*ret)[count++] = (uint32_t)i;
	}
	if (count > 1)
		qsort_r(*ret, count, sizeof(**ret), by_key, (void *)w);
	return count;
}
