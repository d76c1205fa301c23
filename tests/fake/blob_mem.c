#include "blob_mem.h"

#include <assert.h>

#include "core/buf.h"

/* Shared by the disk and by whoever has it open, as a file is: removing takes the name alone. */
struct item {
	struct blob_id id;
	struct buf bytes;
	unsigned int users;
};

struct blob_disk {
	pthread_mutex_t lock;
	struct item **items; /* in the order of ids */
	size_t n, cap;
	bool open;
	uint64_t calls, fail_at;
	int fail_with;
	bool fail_forever;
};

struct blob_mem {
	struct blob_store base;
	struct blob_disk *disk;
};

struct mem_blob {
	struct blob base;
	struct item *item;
};

static struct blob_disk *disk_of(struct blob_store *store)
{
	return container_of(store, struct blob_mem, base)->disk;
}

static int id_compare(const struct blob_id *a, const struct blob_id *b)
{
	int c = memcmp(a->digest.bytes, b->digest.bytes, DIGEST_SIZE);

	return c ? c : (a->generation > b->generation) - (a->generation < b->generation);
}

/* The first item not before id. */
static size_t disk_find(const struct blob_disk *disk, const struct blob_id *id, bool *ret_equal)
{
	size_t low = 0, high = disk->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (id_compare(&disk->items[middle]->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_equal = low < disk->n && id_compare(&disk->items[low]->id, id) == 0;
	return low;
}

static struct item *disk_item(const struct blob_disk *disk, const struct blob_id *id)
{
	bool equal;
	size_t i = disk_find(disk, id, &equal);

	return equal ? disk->items[i] : NULL;
}

/* Empty, and not there before. */
static struct item *disk_add(struct blob_disk *disk, const struct blob_id *id)
{
	struct item *item = xcalloc(1, sizeof(*item));
	bool equal;
	size_t i = disk_find(disk, id, &equal);

	assert(!equal);
	disk->items = xgrow(disk->items, &disk->cap, disk->n + 1, sizeof(struct item *));
	memmove(disk->items + i + 1, disk->items + i, (disk->n - i) * sizeof(struct item *));
	disk->n++;
	disk->items[i] = item;
	item->id = *id;
	item->users = 1;
	return item;
}

static void item_put(struct item *item)
{
	if (--item->users > 0)
		return;
	buf_release(&item->bytes);
	free(item);
}

static void disk_remove(struct blob_disk *disk, const struct blob_id *id)
{
	bool equal;
	size_t i = disk_find(disk, id, &equal);

	if (!equal)
		return;
	item_put(disk->items[i]);
	disk->n--;
	memmove(disk->items + i, disk->items + i + 1, (disk->n - i) * sizeof(struct item *));
}

struct blob_disk *blob_disk_new(void)
{
	struct blob_disk *disk = xcalloc(1, sizeof(*disk));

	pthread_mutex_init(&disk->lock, NULL);
	return disk;
}

void blob_disk_free(struct blob_disk *disk)
{
	size_t i;

	if (!disk)
		return;
	assert(!disk->open);
	for (i = 0; i < disk->n; i++)
		item_put(disk->items[i]);
	free(disk->items);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

uint64_t blob_disk_count(struct blob_disk *disk, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	size_t i;

	LOCKED(&disk->lock);
	for (i = 0; i < disk->n; i++)
		bytes += disk->items[i]->bytes.len;
	*ret_bytes = bytes;
	return disk->n;
}

uint64_t blob_disk_calls(struct blob_disk *disk)
{
	LOCKED(&disk->lock);
	return disk->calls;
}

void blob_disk_fail(struct blob_disk *disk, uint64_t n, int err, bool forever)
{
	LOCKED(&disk->lock);
	assert(err < 0 || n == 0);
	disk->fail_at = n ? disk->calls + n : 0;
	disk->fail_with = err;
	disk->fail_forever = forever;
}

/* Counts a call, and fails it if it is to fail. */
static int mem_call(struct blob_disk *disk)
{
	disk->calls++;
	if (disk->fail_at &&
	    (disk->calls == disk->fail_at || (disk->fail_forever && disk->calls > disk->fail_at)))
		return disk->fail_with;
	return 0;
}

static int mem_put_packed(struct blob_store *store, const struct blob_item *items, size_t n)
{
	struct blob_disk *disk = disk_of(store);
	size_t i;
	int r;

	LOCKED(&disk->lock);
	for (i = 0; i < n; i++) {
		r = mem_call(disk);
		if (r < 0)
			return r;
		if (!disk_item(disk, &items[i].id))
			buf_add_slice(&disk_add(disk, &items[i].id)->bytes, items[i].bytes);
	}
	return 0;
}

static int read_whole(int fd, uint64_t size, struct buf *ret)
{
	while (ret->len < size) {
		ssize_t n = pread(fd, buf_reserve(ret, size - ret->len), size - ret->len,
				  (off_t)ret->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		ret->len += (size_t)n;
	}
	return 0;
}

static int mem_put_file(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
			bool *ret_shared)
{
	struct blob_disk *disk = disk_of(store);
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	int r;

	LOCKED(&disk->lock);
	r = mem_call(disk);
	if (!r && disk_item(disk, id))
		r = -EEXIST;
	if (!r)
		r = read_whole(fd, size, &bytes);
	if (r < 0)
		return r;
	disk_add(disk, id)->bytes = bytes;
	bytes = BUF_INIT;
	if (ret_shared)
		*ret_shared = false;
	return 0;
}

static int mem_has(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	struct blob_disk *disk = disk_of(store);
	const struct item *item;
	int r;

	LOCKED(&disk->lock);
	r = mem_call(disk);
	if (r < 0)
		return r;
	item = disk_item(disk, id);
	return item && item->bytes.len == size;
}

static int mem_open(struct blob_store *store, const struct blob_id *id, uint64_t size,
		    struct blob **ret)
{
	struct blob_disk *disk = disk_of(store);
	struct mem_blob *blob;
	struct item *item;
	int r;

	LOCKED(&disk->lock);
	r = mem_call(disk);
	if (r < 0)
		return r;
	item = disk_item(disk, id);
	if (!item)
		return -ENOENT;
	if (item->bytes.len != size)
		return -EIO;
	blob = xcalloc(1, sizeof(*blob));
	blob->base = (struct blob){ store, size };
	blob->item = item;
	item->users++;
	*ret = &blob->base;
	return 0;
}

static ssize_t mem_pread(struct blob *base, void *to, size_t len, uint64_t offset)
{
	struct mem_blob *blob = container_of(base, struct mem_blob, base);
	struct blob_disk *disk = disk_of(base->store);
	int r;

	LOCKED(&disk->lock);
	r = mem_call(disk);
	if (r < 0)
		return r;
	memcpy(to, blob->item->bytes.data + offset, len);
	return (ssize_t)len;
}

static void mem_release(struct blob *base)
{
	struct mem_blob *blob = container_of(base, struct mem_blob, base);

	LOCKED(&disk_of(base->store)->lock);
	item_put(blob->item);
	free(blob);
}

static int mem_remove(struct blob_store *store, const struct blob_id *id, uint64_t size)
{
	struct blob_disk *disk = disk_of(store);
	int r;

	(void)size;
	LOCKED(&disk->lock);
	r = mem_call(disk);
	if (!r)
		disk_remove(disk, id);
	return r;
}

static bool next_after(struct blob_disk *disk, const struct blob_id *after, struct blob_id *ret,
		       uint64_t *ret_size)
{
	bool equal = false;
	size_t i;

	LOCKED(&disk->lock);
	i = after ? disk_find(disk, after, &equal) : 0;
	if (equal)
		i++;
	if (i == disk->n)
		return false;
	*ret = disk->items[i]->id;
	*ret_size = disk->items[i]->bytes.len;
	return true;
}

/* A visitor may put and remove, so the lock is not held over it. */
static int mem_each(struct blob_store *store, blob_visit *visit, void *arg)
{
	struct blob_disk *disk = disk_of(store);
	struct blob_id id;
	uint64_t size;
	bool more;
	int r;

	pthread_mutex_lock(&disk->lock);
	r = mem_call(disk);
	pthread_mutex_unlock(&disk->lock);
	if (r < 0)
		return r;
	for (more = next_after(disk, NULL, &id, &size); more;
	     more = next_after(disk, &id, &id, &size)) {
		r = visit(arg, &id, size);
		if (r)
			return r;
	}
	return 0;
}

static void mem_close(struct blob_store *store)
{
	struct blob_mem *mem = container_of(store, struct blob_mem, base);

	pthread_mutex_lock(&mem->disk->lock);
	mem->disk->open = false;
	pthread_mutex_unlock(&mem->disk->lock);
	free(mem);
}

static const struct blob_ops mem_ops = {
	.name = "memory",
	.put_packed = mem_put_packed,
	.put_file = mem_put_file,
	.has = mem_has,
	.open = mem_open,
	.pread = mem_pread,
	.release = mem_release,
	.remove = mem_remove,
	.each = mem_each,
	.close = mem_close,
};

int blob_mem_open(struct blob_disk *disk, struct blob_store **ret)
{
	struct blob_mem *mem;

	LOCKED(&disk->lock);
	if (disk->open)
		return -EBUSY;
	disk->open = true;
	mem = xcalloc(1, sizeof(*mem));
	mem->base.ops = &mem_ops;
	mem->disk = disk;
	*ret = &mem->base;
	return 0;
}
