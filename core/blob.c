/*
 * blob.c - the contract of blob.h, asserted on the way in.
 */
#include "blob.h"

#include <assert.h>

int blob_put_packed(struct blob_store *store, const struct blob_item *items, size_t n)
{
	size_t i;

	assert(store && (items || n == 0));
	for (i = 0; i < n; i++)
		assert(items[i].bytes.len <= BLOB_PACK_MAX);
	return n ? store->ops->put_packed(store, items, n) : 0;
}

int blob_put_file(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
		  bool *ret_shared)
{
	assert(store && id && fd >= 0);
	assert(size > BLOB_PACK_MAX);
	return store->ops->put_file(store, id, fd, size, ret_shared);
}

int blob_has(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	assert(store && id);
	return store->ops->has(store, id, size);
}

int blob_open(struct blob_store *store, const struct blob_id *id, uint64_t size, struct blob **ret)
{
	int r;

	assert(store && id && ret);
	r = store->ops->open(store, id, size, ret);
	assert(r <= 0 && (r || ((*ret)->store == store && (*ret)->size == size)));
	return r;
}

ssize_t blob_pread(struct blob *blob, void *to, size_t len, uint64_t offset)
{
	assert(blob && (to || len == 0));
	if (offset >= blob->size)
		return 0;
	if (len > blob->size - offset)
		len = blob->size - offset;
	return len ? blob->store->ops->pread(blob, to, len, offset) : 0;
}

int blob_fd(struct blob *blob)
{
	assert(blob);
	return blob->store->ops->fd ? blob->store->ops->fd(blob) : -1;
}

void blob_release(struct blob *blob)
{
	if (blob)
		blob->store->ops->release(blob);
}

int blob_remove(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	assert(store && id);
	return store->ops->remove(store, id, size);
}

int blob_each(struct blob_store *store, blob_visit *visit, void *arg)
{
	assert(store && visit);
	return store->ops->each(store, visit, arg);
}

int blob_each_stray(struct blob_store *store, blob_stray_visit *visit, void *arg)
{
	assert(store && visit);
	return store->ops->each_stray ? store->ops->each_stray(store, visit, arg) : 0;
}

void blob_store_close(struct blob_store *store)
{
	if (store)
		store->ops->close(store);
}
