#include "blob_hook.h"

static struct blob_hook *hook_of(struct blob_store *store)
{
	return container_of(store, struct blob_hook, base);
}

static int enter(struct blob_hook *hook, enum blob_call call)
{
	hook->calls[call]++;
	return hook->before ? hook->before(hook, call) : 0;
}

static int leave(struct blob_hook *hook, enum blob_call call, int result)
{
	return result == 0 && hook->after ? hook->after(hook, call) : result;
}

static int hook_put_packed(struct blob_store *store, const struct blob_item *items, size_t n)
{
	struct blob_hook *hook = hook_of(store);
	int err = enter(hook, BLOB_PUT_PACKED);

	hook->items += n;
	if (err != 0)
		return err;
	return leave(hook, BLOB_PUT_PACKED, blob_put_packed(hook->under, items, n));
}

static int hook_put_file(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
			 bool *ret_shared)
{
	struct blob_hook *hook = hook_of(store);
	int err = enter(hook, BLOB_PUT_FILE);

	if (err != 0)
		return err;
	return leave(hook, BLOB_PUT_FILE, blob_put_file(hook->under, id, fd, size, ret_shared));
}

static int hook_has(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	return blob_has(hook_of(store)->under, id, size);
}

/* The blob belongs to the store on top, so it is wrapped too. */
struct hook_blob {
	struct blob base;
	struct blob *under;
};

static int hook_open(struct blob_store *store, const struct blob_id *id, uint64_t size,
		     struct blob **ret)
{
	struct blob_hook *hook = hook_of(store);
	struct hook_blob *wrapped;
	struct blob *blob = NULL;
	int err = enter(hook, BLOB_OPEN);

	if (err == 0)
		err = leave(hook, BLOB_OPEN, blob_open(hook->under, id, size, &blob));
	if (err != 0) {
		blob_release(blob);
		return err;
	}
	wrapped = calloc(1, sizeof(*wrapped));
	if (!wrapped)
		abort();
	*wrapped = (struct hook_blob){ { store, size }, blob };
	*ret = &wrapped->base;
	return 0;
}

static ssize_t hook_pread(struct blob *blob, void *to, size_t len, uint64_t offset)
{
	return blob_pread(container_of(blob, struct hook_blob, base)->under, to, len, offset);
}

static int hook_fd(struct blob *blob)
{
	return blob_fd(container_of(blob, struct hook_blob, base)->under);
}

static void hook_release(struct blob *blob)
{
	struct hook_blob *wrapped = container_of(blob, struct hook_blob, base);

	blob_release(wrapped->under);
	free(wrapped);
}

static int hook_remove(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	struct blob_hook *hook = hook_of(store);
	int err = enter(hook, BLOB_REMOVE);

	if (err != 0)
		return err;
	return leave(hook, BLOB_REMOVE, blob_remove(hook->under, id, size));
}

static int hook_each(struct blob_store *store, blob_visit *visit, void *arg)
{
	return blob_each(hook_of(store)->under, visit, arg);
}

static int hook_each_stray(struct blob_store *store, blob_stray_visit *visit, void *arg)
{
	return blob_each_stray(hook_of(store)->under, visit, arg);
}

static void hook_close(struct blob_store *store)
{
	blob_store_close(hook_of(store)->under);
}

static const struct blob_ops hook_ops = {
	.name = "hook",
	.put_packed = hook_put_packed,
	.put_file = hook_put_file,
	.has = hook_has,
	.open = hook_open,
	.pread = hook_pread,
	.fd = hook_fd,
	.release = hook_release,
	.remove = hook_remove,
	.each = hook_each,
	.each_stray = hook_each_stray,
	.close = hook_close,
};

void blob_hook_init(struct blob_hook *hook, struct blob_store *under)
{
	*hook = (struct blob_hook){ .base.ops = &hook_ops, .under = under };
}
