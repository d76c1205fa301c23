/*
 * open.c - opening a store: its backends, then recovery, then the janitor; and closing it.
 */
#include "caller.h"
#include "codec.h"
#include "console.h"
#include "draft.h"
#include "lineage.h"
#include "log.h"
#include "observe.h"
#include "publish.h"
#include "reap.h"
#include "store.h"
#include "watch.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define MARKER "lineagefs-store"
#define JANITOR_SECONDS 3600

static void *janitor(void *arg)
{
	struct store *store = arg;
	struct timespec until;

	pthread_mutex_lock(&store->janitor_lock);
	while (!store->janitor_stop) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += JANITOR_SECONDS;
		while (!store->janitor_asked && !store->janitor_stop)
			if (pthread_cond_timedwait(&store->janitor_wake, &store->janitor_lock,
						   &until) == ETIMEDOUT)
				break;
		if (store->janitor_stop)
			break;
		store->janitor_asked = false;
		pthread_mutex_unlock(&store->janitor_lock);
		draft_sweep(store, store->options.keep_drafts_seconds);
		pthread_mutex_lock(&store->janitor_lock);
	}
	pthread_mutex_unlock(&store->janitor_lock);
	return NULL;
}

static void stop_janitor(struct store *store)
{
	if (!store->janitor_started)
		return;
	pthread_mutex_lock(&store->janitor_lock);
	store->janitor_stop = true;
	pthread_cond_signal(&store->janitor_wake);
	pthread_mutex_unlock(&store->janitor_lock);
	pthread_join(store->janitor, NULL);
}

/* New inodes that were about to take the name of a shared one. */
static int remove_spares(struct store *store)
{
	int fd = openat(store->drafts, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return log_errno(-errno, "reading drafts/");
	for (struct dirent *e; (e = readdir(dir));)
		if (!strncmp(e->d_name, "spare.", 6))
			unlinkat(store->drafts, e->d_name, 0);
	closedir(dir);
	return 0;
}

static int recover(struct store *store)
{
	int err = publish_recover(store);

	if (err == 0)
		err = reap_run(store);
	if (err == 0)
		err = remove_spares(store);
	/* Now, while nobody makes runs, what a run in the making left is told from one. */
	if (err == 0)
		err = draft_sweep(store, store->options.keep_drafts_seconds);
	if (err == 0)
		err = console_sweep(store);
	return err;
}

static int id_body(struct kv_txn *txn, void *arg)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	char *id = arg;
	int err = kv_get(txn, KV_META, KEY(store("id")), &b);

	if (err == -ENOENT)
		return kv_put(txn, KV_META, KEY(store("id")), slice_str(id));
	if (err == 0 && b.len != STORE_ID_SIZE - 1)
		err = -EIO;
	if (err == 0)
		memcpy(id, b.data, b.len);
	return err;
}

/* The store's id, made when it has none. */
static int learn_id(struct store *store)
{
	uint8_t random[(STORE_ID_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return log_errno(-errno, "making an id for the store");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(store->id + 2 * i, 3, "%02x", random[i]);
	return kv_update(store->kv, KV_DURABLE, id_body, store->id);
}

/* What watches over running runs. */
static int start_watching(struct store *store)
{
	int err = observer_start(store, &store->observer);

	store->callers = callers_new();
	store->lineage = lineage_new(store);
	return err < 0 ? err : watch_start(store, &store->watch);
}

int store_open_with(struct kv *kv, struct blob_store *blobs, int root,
		    const struct store_options *options, struct store **ret)
{
	struct store *store = xcalloc(1, sizeof(*store));
	int err = 0;

	/* A lease broken while it is looked at (draft_leased_out) must not end the process. */
	signal(SIGIO, SIG_IGN);
	store->kv = kv;
	store->blobs = blobs;
	store->root = root;
	store->options = *options;
	store->lock = -1;
	store->path = xstrdup("");
	store->opened_at = store_now() / 1000000000;
	pthread_mutex_init(&store->id_lock, NULL);
	pthread_mutex_init(&store->area_lock, NULL);
	pthread_mutex_init(&store->reap_lock, NULL);
	pthread_mutex_init(&store->changes.lock, NULL);
	pthread_mutex_init(&store->janitor_lock, NULL);
	pthread_cond_init(&store->janitor_wake, NULL);
	if (mkdirat(root, "drafts", 0700) < 0 && errno != EEXIST)
		err = log_errno(-errno, "making drafts/");
	store->drafts = err < 0 ? -1 : openat(root, "drafts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err == 0 && store->drafts < 0)
		err = log_errno(-errno, "opening drafts/");
	if (err == 0)
		err = recover(store);
	if (err == 0)
		err = learn_id(store);
	if (err == 0)
		err = start_watching(store);
	if (err == 0)
		err = -pthread_create(&store->janitor, NULL, janitor, store);
	store->janitor_started = err == 0;
	if (err < 0) {
		store_close(store);
		return err;
	}
	store_wake_janitor(store);
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	watch_stop(store->watch);
	observer_stop(store->observer);
	callers_free(store->callers);
	lineage_free(store->lineage);
	free(store->changes.runs);
	stop_janitor(store);
	assert(!store->areas);
	blob_store_close(store->blobs);
	kv_close(store->kv);
	if (store->drafts >= 0)
		close(store->drafts);
	if (store->root >= 0)
		close(store->root);
	if (store->lock >= 0)
		close(store->lock);
	pthread_mutex_destroy(&store->id_lock);
	pthread_mutex_destroy(&store->area_lock);
	pthread_mutex_destroy(&store->reap_lock);
	pthread_mutex_destroy(&store->changes.lock);
	pthread_mutex_destroy(&store->janitor_lock);
	pthread_cond_destroy(&store->janitor_wake);
	free(store->path);
	free(store);
}

static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	bool empty = dir != NULL;

	if (!dir)
		return false;
	for (struct dirent *e; empty && (e = readdir(dir));)
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
			!strcmp(e->d_name, "lost+found");
	closedir(dir);
	return empty;
}

/* The schema in the marker; 0: no marker. */
static int read_marker(int root, unsigned *ret)
{
	autoclose int fd = openat(root, MARKER, O_RDONLY | O_CLOEXEC);
	char text[64] = "";
	ssize_t n;

	*ret = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	return sscanf(text, "lineagefs store %u\n", ret) == 1 ? 0 : -EINVAL;
}

static int write_marker(int root)
{
	autoclose int fd = openat(root, MARKER ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				  0644);

	if (fd < 0 || dprintf(fd, "lineagefs store %u\n", STORE_SCHEMA) < 0 || fsync(fd) < 0 ||
	    renameat(root, MARKER ".new", root, MARKER) < 0 || fsync(root) < 0)
		return -errno;
	return 0;
}

static int check_marker(const char *path, int root, bool *ret_new, struct buf *why)
{
	unsigned schema;
	int err = read_marker(root, &schema);

	*ret_new = false;
	if (err < 0) {
		buf_printf(why, "%s/%s cannot be read: %s", path, MARKER, strerror(-err));
		return err;
	}
	if (schema > STORE_SCHEMA) {
		buf_printf(why,
			   "%s was written by a newer lineagefs (schema %u, this one knows %u)",
			   path, schema, STORE_SCHEMA);
		return -EPROTO;
	}
	if (schema > 0 && schema < STORE_SCHEMA) {
		buf_printf(why,
			   "%s was written by an older lineagefs, and cannot be read (schema "
			   "%u, this one knows %u)",
			   path, schema, STORE_SCHEMA);
		return -EPROTO;
	}
	/*
	 * The marker is written last: a store whose making was interrupted has a lock, but no
	 * marker.
	 */
	*ret_new = schema == 0;
	if (schema == 0 && !is_empty(root) && faccessat(root, "lock", F_OK, 0) < 0) {
		buf_printf(why, "%s is not a lineagefs store, and not empty", path);
		return -EINVAL;
	}
	return 0;
}

/* The open backends, before they become a store. */
struct parts {
	int root, lock;
	struct kv *kv;
	struct blob_store *blobs;
};

static int take_lock(const char *path, struct parts *parts, struct buf *why)
{
	parts->lock = openat(parts->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (parts->lock < 0) {
		int err = -errno;

		buf_printf(why, "%s/lock cannot be opened: %s", path, strerror(-err));
		return err;
	}
	if (flock(parts->lock, LOCK_EX | LOCK_NB) < 0) {
		buf_printf(why, "%s is in use by another lineagefs", path);
		return -EBUSY;
	}
	return 0;
}

static int open_parts(const char *path, const struct store_options *options, struct parts *parts,
		      struct buf *why)
{
	AUTO(buf_release) struct buf kv_path = BUF_INIT;
	autoclose int blobs = -1;
	bool new;
	int err = check_marker(path, parts->root, &new, why);

	if (err == 0)
		err = take_lock(path, parts, why);
	if (err < 0)
		return err;
	buf_printf(&kv_path, "%s/kv", path);
	if (mkdirat(parts->root, "kv", 0700) < 0 && errno != EEXIST)
		err = -errno;
	if (mkdirat(parts->root, "blobs", 0700) < 0 && errno != EEXIST)
		err = -errno;
	if (err == 0)
		err = kv_rocks_open(buf_str(&kv_path), true, options->cache_bytes, &parts->kv);
	if (err == 0) {
		blobs = openat(parts->root, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = blobs < 0 ? -errno : blob_dir_open(blobs, parts->kv, &parts->blobs);
	}
	if (err == 0 && new)
		err = write_marker(parts->root);
	if (err < 0)
		buf_printf(why, "%s cannot be opened: %s", path, strerror(-err));
	return err;
}

int store_open(const char *path, const struct store_options *options, struct buf *why,
	       struct store **ret)
{
	struct parts parts = { .root = -1, .lock = -1 };
	struct store *store = NULL;
	int err = 0;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		err = -errno;
	if (err == 0)
		parts.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err == 0 && parts.root < 0)
		err = -errno;
	if (err < 0) {
		buf_printf(why, "%s cannot be opened: %s", path, strerror(-err));
		return err;
	}
	err = open_parts(path, options, &parts, why);
	if (err < 0) {
		blob_store_close(parts.blobs);
		kv_close(parts.kv);
		close(parts.root);
	} else {
		err = store_open_with(parts.kv, parts.blobs, parts.root, options, &store);
		if (err < 0)
			buf_printf(why, "%s could not be recovered: %s", path, strerror(-err));
	}
	if (err < 0) {
		if (parts.lock >= 0)
			close(parts.lock);
		return err;
	}
	store->lock = parts.lock;
	free(store->path);
	store->path = xstrdup(path);
	*ret = store;
	return 0;
}
