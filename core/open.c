/*
 * open.c - opening a store: its backends, then recovery, then the janitor; and closing it.
 */
#include "borrow.h"
#include "caller.h"
#include "codec.h"
#include "console.h"
#include "directory.h"
#include "damage.h"
#include "draft.h"
#include "holders.h"
#include "journal.h"
#include "lineage.h"
#include "log.h"
#include "observe.h"
#include "publish.h"
#include "reap.h"
#include "removal.h"
#include "run.h"
#include "scrub.h"
#include "stage.h"
#include "store.h"
#include "watch.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#define MARKER "lineagefs-store"
#define NEW_MARKER MARKER ".new"
#define JANITOR_SECONDS 3600
#define RETRY_SECONDS 60

/* Lock held. */
static bool has_leftovers(const struct store *store)
{
	return store->leftover_count > 0 || store->reap_again;
}

/*
 * On the marker: the store has its extended attributes yet, which a copy by `rsync -aH` has not.
 */
#define WHOLE_XATTR "user.lineagefs.whole"

static void empty_trash(struct store *store)
{
	uint64_t now = store_now(), age = store->options.trash_seconds * 1000000000;

	if (version_purge_older(store, now > age ? now - age : 0, &store->janitor_stop) > 0) {
		LOCKED(&store->janitor_lock);
		store->reap_again = true;
	}
}

static void janitor_round(struct store *store)
{
	draft_sweep(store, store->options.keep_drafts_seconds);
	empty_trash(store);
	stage_clean(store);
	store->janitor_rounds++;
}

static void *janitor(void *arg)
{
	struct store *store = arg;
	struct timespec until;
	pthread_mutex_lock(&store->janitor_lock);
	for (;;) {
		bool whole = store->janitor_asked;

		while (!store->janitor_asked && !store->janitor_stop && !whole &&
		       store->ended_count == 0) {
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += has_leftovers(store) ? RETRY_SECONDS : JANITOR_SECONDS;
			whole = pthread_cond_timedwait(&store->janitor_wake, &store->janitor_lock,
						       &until) == ETIMEDOUT;
		}
		/* What was asked for is done first. */
		if (store->janitor_stop && !store->janitor_asked && store->ended_count == 0)
			break;
		whole |= store->janitor_asked;
		store->janitor_asked = false;
		pthread_mutex_unlock(&store->janitor_lock);
		draft_remove_ended(store);
		if (whole)
			janitor_round(store);
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
	__atomic_store_n(&store->janitor_stop, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&store->janitor_wake);
	pthread_mutex_unlock(&store->janitor_lock);
	pthread_join(store->janitor, NULL);
}

/* New inodes that were about to take the name of a shared one. */
static int remove_spares(struct store *store)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(store->drafts, ".", &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0)
		if (!strncmp(e->d_name, "spare.", 6))
			unlinkat(store->drafts, e->d_name, 0);
	return more < 0 ? log_errno(more, "reading drafts/") : 0;
}

static int recover(struct store *store)
{
	int err = publish_recover(store);

	if (err == 0)
		err = reap_some(store, REAP_AT_ONCE);
	/* A mount does not wait for a large removal that was under way. */
	if (err > 0)
		store->reap_again = true;
	if (err >= 0)
		err = remove_spares(store);
	/* Now, while nobody makes runs, what a run in the making left is told from one. */
	if (err == 0)
		err = draft_sweep(store, store->options.keep_drafts_seconds);
	if (err == 0)
		err = console_sweep(store);
	return err;
}

static void read_boot_id(char *to, size_t size)
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);

	to[n > 0 ? n : 0] = '\0';
	to[strcspn(to, "\n")] = '\0';
}

/*
 * Asks ext2 and its heirs to put each run's directory somewhere else on the disk. Without a
 * journal ext4 looks at every inode of a group that was removed within minutes before it takes
 * another, and where a run's draft was there are thousands. Others know no such flag.
 */
static void spread_directories(int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
		flags |= FS_TOPDIR_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
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

/* The next number of a kind; 1: none was given yet, or that cannot be read. */
static uint64_t next_number(struct store *store, enum store_id kind)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t next = 1;

	if (kv_get_one(store->kv, KV_META, KEY(next_id((uint8_t)kind)), &b) == 0)
		decode_u64(buf_slice(&b), &next);
	return next;
}

/* What watches over running runs. */
static int start_watching(struct store *store)
{
	int err = observer_start(store, &store->observer);

	store->callers = callers_new();
	store->lineage = lineage_new(store);
	store->holders = holders_cache_new();
	if (err == 0)
		err = journal_start(store, &store->journal);
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
	read_boot_id(store->boot, sizeof(store->boot));
	pthread_mutex_init(&store->id_lock, NULL);
	pthread_mutex_init(&store->area_lock, NULL);
	pthread_mutex_init(&store->reap_lock, NULL);
	pthread_rwlock_init(&store->listener.lock, NULL);
	pthread_mutex_init(&store->unsaid_lock, NULL);
	pthread_mutex_init(&store->changes.lock, NULL);
	pthread_mutex_init(&store->janitor_lock, NULL);
	pthread_cond_init(&store->janitor_wake, NULL);
	if (mkdirat(root, "drafts", 0700) < 0 && errno != EEXIST)
		err = log_errno(-errno, "making drafts/");
	store->drafts = err < 0 ? -1 : openat(root, "drafts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err == 0 && store->drafts < 0)
		err = log_errno(-errno, "opening drafts/");
	if (err == 0 && fsync(root) < 0)
		err = log_errno(-errno, "syncing the store's directory");
	if (err == 0)
		spread_directories(store->drafts);
	if (err == 0) {
		store->first_intent = next_number(store, ID_INTENT);
		store->first_run = (uint32_t)next_number(store, ID_RUN);
		store->recovered = recover(store);
		err = options->salvage ? 0 : store->recovered;
	}
	if (err == 0)
		err = learn_id(store);
	if (err == 0)
		err = damage_load(store);
	if (err == 0)
		err = start_watching(store);
	if (err == 0)
		err = -pthread_create(&store->janitor, NULL, janitor, store);
	store->janitor_started = err == 0;
	if (err == 0 && !options->idle)
		err = scrub_start(store, &store->scrub);
	if (err < 0) {
		store_close(store);
		return err;
	}
	if (!options->idle)
		store_wake_janitor(store);
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	scrub_stop(store->scrub);
	watch_stop(store->watch);
	observer_stop(store->observer);
	callers_free(store->callers);
	lineage_free(store->lineage);
	holders_cache_free(store->holders);
	free(store->changes.runs);
	stop_janitor(store);
	journal_stop(store->journal);
	assert(!store->areas);
	run_logs_release(store);
	free(store->leftovers);
	free(store->ended);
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
	pthread_rwlock_destroy(&store->listener.lock);
	pthread_mutex_destroy(&store->unsaid_lock);
	pthread_mutex_destroy(&store->changes.lock);
	pthread_mutex_destroy(&store->janitor_lock);
	pthread_cond_destroy(&store->janitor_wake);
	free(store->path);
	free(store);
}

static bool is_empty(int fd)
{
	AUTO(directory_closep) DIR *dir = NULL;
	struct dirent *e;
	int more = directory_open(fd, ".", &dir);

	while (more >= 0 && (more = directory_next(dir, &e)) > 0)
		if (strcmp(e->d_name, "lost+found") != 0 &&
		    strcmp(e->d_name, NEW_MARKER) != 0)
			return false;
	return more == 0;
}

/* The schema in the marker; 0: the store is being made. 1, 0 when there is none, -errno. */
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
	return sscanf(text, "lineagefs store %u\n", ret) == 1 ? 1 : -EINVAL;
}

static int write_marker(int root, unsigned schema)
{
	autoclose int fd = openat(root, NEW_MARKER, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || dprintf(fd, "lineagefs store %u\n", schema) < 0 || fsync(fd) < 0 ||
	    renameat(root, NEW_MARKER, root, MARKER) < 0 || fsync(root) < 0)
		return -errno;
	return 0;
}

static int check_marker(const char *path, int root, bool *ret_new, struct buf *why)
{
	unsigned schema;
	int there = read_marker(root, &schema), err = there;

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
	*ret_new = schema == 0;
	if (there)
		return 0;
	if (!is_empty(root)) {
		buf_printf(why, "%s is not a lineagefs store, and not empty", path);
		return -EINVAL;
	}
	/* Before anything else, so that what an interruption leaves is known for a store's. */
	err = write_marker(root, 0);
	if (err < 0)
		buf_printf(why, "%s cannot be made a store: %s", path, strerror(-err));
	return err;
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
		err = write_marker(parts->root, STORE_SCHEMA);
	if (err < 0)
		buf_printf(why, "%s cannot be opened: %s", path, strerror(-err));
	return err;
}

/* A blob that has another name may be shared with a draft: nothing but the mark protects it. */
static int mark_again(void *arg, const struct blob_id *id, uint64_t size)
{
	struct store *store = arg;
	AUTO(blob_releasep) struct blob *blob = NULL;
	struct stat st;
	int err, fd = -1;

	if (size > BLOB_PACK_MAX && blob_open(store->blobs, id, size, &blob) == 0)
		fd = blob_fd(blob);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink < 2)
		return 0;
	err = draft_mark_shared(fd, id);
	return err < 0 ? log_errno(err, "marking a shared file") : 0;
}

/* The marks of shared files are set again where a copy lost them. Nobody has the store yet. */
static int make_whole(struct store *store)
{
	autoclose int fd = openat(store->root, MARKER, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0 || fgetxattr(fd, WHOLE_XATTR, NULL, 0) >= 0)
		return 0;
	err = blob_each(store->blobs, mark_again, store);
	if (err == 0)
		err = borrow_mark_lost(store);
	/* Without such attributes nothing is shared, and this is looked at again. */
	if (err == 0 && fsetxattr(fd, WHOLE_XATTR, "1", 1, 0) == 0)
		fsync(fd);
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
		if (err == 0)
			err = make_whole(store);
		if (err < 0)
			store_close(steal(store));
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
