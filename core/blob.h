/*
 * blob.h - the store of immutable bytes: seam number three.
 *
 * A blob is named by the SHA-256 of its bytes and a generation. The generation is new each time the
 * bytes come back after they were removed, so that a removal under way can never meet a new blob of
 * equal bytes. Which generation is current is a row of the key-value store (core/codec.h), and only
 * a blob named by such a row counts as present: whatever else lies in the blob store is left over
 * from a crash and is removed by recovery, which knows its name from an intent.
 *
 * Blobs of at most BLOB_PACK_MAX bytes are packed; larger ones are whole files, so that the kernel
 * can read them directly. The size decides, so it is given with every call.
 *
 * Threads: everything may be called from any thread; a reader by several at once.
 * Backends: blob_dir.c (a directory, with packs in KV_PACK), tests/fake/blob_mem.c.
 */
#ifndef CORE_BLOB_H
#define CORE_BLOB_H

#include "base.h"
#include "digest.h"

#define BLOB_PACK_MAX (64u << 10)

struct kv;

struct blob_id {
	struct digest digest;
	uint64_t generation;
};

struct blob_item {
	struct blob_id id;
	struct slice bytes; /* borrowed; at most BLOB_PACK_MAX */
};

struct blob_store {
	const struct blob_ops *ops;
};

/* An open blob. */
struct blob {
	struct blob_store *store;
	uint64_t size;
};

/* Asked for by each(); returning non-zero ends the walk with that value. */
typedef int blob_visit(void *arg, const struct blob_id *id, uint64_t size);

/* A file of the backend's that is none of a blob: its name below a directory. */
typedef int blob_stray_visit(void *arg, int directory, const char *name);

struct blob_ops {
	const char *name;
	/*
	 * Puts small blobs. They are as durable as a key-value commit made after this returned.
	 * Putting one that is there already is no error. -EIO, -ENOSPC.
	 */
	int (*put_packed)(struct blob_store *store, const struct blob_item *items, size_t n);
	/*
	 * Puts a large blob from a file open for reading. A backend on the file's own filesystem
	 * shares the inode and sets *ret_shared: the caller sees to it that nobody writes to that
	 * inode again. Others copy, and so do all when ret_shared is NULL. Durable on return.
	 * -ENOENT: the file has no name any more, so cannot be shared. -EEXIST: there is such a
	 * blob of another inode. -EIO: the file's bytes may be lost. -ENOSPC.
	 */
	int (*put_file)(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
			bool *ret_shared);
	/* 1, 0 or -errno. Present and of this size. */
	int (*has)(struct blob_store *store, const struct blob_id *id, uint64_t size);
	/* -ENOENT; -EIO when what is there has another size. */
	int (*open)(struct blob_store *store, const struct blob_id *id, uint64_t size,
		    struct blob **ret);
	/* Bytes read, less than len only at the end. */
	ssize_t (*pread)(struct blob *blob, void *to, size_t len, uint64_t offset);
	/* A descriptor open for reading, owned by the blob; -1 when it is packed. May be NULL. */
	int (*fd)(struct blob *blob);
	void (*release)(struct blob *blob);
	/* Removing what is not there is no error. */
	int (*remove)(struct blob_store *store, const struct blob_id *id, uint64_t size);
	/* Every blob, whether a row names it or not, in no order. */
	int (*each)(struct blob_store *store, blob_visit *visit, void *arg);
	/*
	 * Everything that lies among the blobs and is none, nor in the making. May be NULL: there
	 * can be nothing such.
	 */
	int (*each_stray)(struct blob_store *store, blob_stray_visit *visit, void *arg);
	void (*close)(struct blob_store *store);
};

int blob_put_packed(struct blob_store *store, const struct blob_item *items, size_t n);
int blob_put_file(struct blob_store *store, const struct blob_id *id, int fd, uint64_t size,
		  bool *ret_shared);
int blob_has(struct blob_store *store, const struct blob_id *id, uint64_t size);
int blob_open(struct blob_store *store, const struct blob_id *id, uint64_t size,
	      struct blob **ret);
ssize_t blob_pread(struct blob *blob, void *to, size_t len, uint64_t offset);
int blob_fd(struct blob *blob);
void blob_release(struct blob *blob); /* NULL is fine */
int blob_remove(struct blob_store *store, const struct blob_id *id, uint64_t size);
int blob_each(struct blob_store *store, blob_visit *visit, void *arg);
int blob_each_stray(struct blob_store *store, blob_stray_visit *visit, void *arg);
void blob_store_close(struct blob_store *store); /* NULL is fine */

static inline void blob_releasep(struct blob **blob)
{
	blob_release(*blob);
}

/*
 * A local directory: large blobs as <directory>/<2 hex>/<62 hex>.<generation>, small ones as rows
 * of KV_PACK in kv, which must outlive the store. directory_fd is duplicated. Files are read-only
 * by convention, not by mode: an inode may be shared with a draft, whose mode is its own.
 */
int blob_dir_open(int directory_fd, struct kv *kv, struct blob_store **ret);

#endif
