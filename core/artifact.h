/*
 * artifact.h - collections and their versions. Versions are published by core/publish.h alone.
 *
 * Reading functions see one instant each. What they fill is owned by the caller and released with
 * collection_release(); a struct version owns nothing.
 */
#ifndef CORE_ARTIFACT_H
#define CORE_ARTIFACT_H

#include "store.h"
#include "codec.h"
#include "name.h"

/* Who wants something. groups are asked for only when they matter; NULL: none. */
struct cred {
	uid_t uid;
	gid_t gid;
	/* Is the caller in this group besides its own? */
	bool (*in_group)(const struct cred *cred, gid_t gid);
	pid_t pid; /* for in_group */
};

/* May cred do what wanted (bits 4 2 1: read, write, search) says, by POSIX's rules? Root may. */
bool cred_may(const struct cred *cred, uid_t uid, gid_t gid, mode_t mode, unsigned wanted);

/* -ENOENT. */
int collection_find(struct store *store, struct slice name, struct collection *ret);
int collection_get(struct store *store, uint32_t id, struct collection *ret);
/* The first collection whose name is greater than after: 1, 0 at the end, -errno. */
int collection_next(struct store *store, struct slice after, uint32_t *ret_id,
		    struct buf *ret_name);

/* -EINVAL bad name, -EEXIST. mode: permission bits. */
int collection_create(struct store *store, struct slice name, uid_t uid, gid_t gid, mode_t mode,
		      uint32_t *ret_id);
/* -ENOTEMPTY: it has had versions. */
int collection_remove(struct store *store, struct slice name);

enum collection_text { COLLECTION_TYPE, COLLECTION_DESCRIPTION };
/* A trailing newline is dropped. Types are names (-EINVAL); descriptions any text up to 64 KiB. */
int collection_set_text(struct store *store, uint32_t id, enum collection_text which,
			struct slice text);
/* (uid_t)-1, (gid_t)-1 and (mode_t)-1 leave as is. */
int collection_set_owner(struct store *store, uint32_t id, uid_t uid, gid_t gid, mode_t mode);

/* In a transaction: the record, or a change to it. */
int collection_read(struct kv_txn *txn, uint32_t id, struct collection *ret);
int collection_write(struct kv_txn *txn, const struct collection *c);
/* Adds a new collection; -EEXIST. */
int collection_add(struct kv_txn *txn, const struct collection *c);
/*
 * Sets the type in c, which is yet to be written, with the row that finds the collection by it, and
 * the event: run is who logs, or NULL. type is a name, or empty.
 */
int collection_put_type(struct kv_txn *txn, struct store *store, struct collection *c,
			struct slice type, const char *run);

/*
 * By its number only a live version is found; any, or by its id or label, also one that was removed
 * or purged.
 */
int version_get(struct store *store, uint32_t collection, uint32_t number, struct version *ret);
int version_get_any(struct store *store, uint32_t collection, uint32_t number,
		    struct version *ret);
int version_get_by_id(struct store *store, uint32_t id, struct version *ret);
/* The live version with the lowest number above after (-1: the first): 1, 0, -errno. */
int version_next(struct store *store, uint32_t collection, int64_t after, struct version *ret);
/* The same, as many at once as there are up to max: their number, 0 at the end, -errno. */
int version_next_many(struct store *store, uint32_t collection, int64_t after,
		      struct version *ret, size_t max);
/* In a transaction; any: live, removed or purged. */
int version_read(struct kv_txn *txn, uint32_t collection, uint32_t number, struct version *ret);
int version_read_any(struct kv_txn *txn, uint32_t collection, uint32_t number,
		     struct version *ret);
int version_read_by_id(struct kv_txn *txn, uint32_t id, struct version *ret);
/* Puts the record where its state says: removed and purged are what tells. */
int version_write(struct kv_txn *txn, const struct version *v);
/* The same when the state changed: the record of before goes. */
int version_move(struct kv_txn *txn, const struct version *from, const struct version *to);

/* `<name>:v<N>` */
void version_label(struct buf *b, const char *collection, uint32_t number);
/*
 * Where it is in the mount: `artifacts/<name>/v<N>`, or `trash/<name>:v<N>`; where it was, when it
 * is purged.
 */
void version_path(struct buf *b, const char *collection, const struct version *v);
/* "live", "removed", "purged" */
const char *version_state_name(const struct version *v);
static inline bool version_in_trash(const struct version *v)
{
	return v->removed && !v->purged;
}

/* The version of that label, removed or not. -ENOENT. */
int version_find_label(struct store *store, const char *label, struct version *ret);
/* The name of its collection, "" if that cannot be read: owned. */
char *version_collection_name(struct store *store, const struct version *v);

/* In a transaction: the version that an alias of the collection names now. -ENOENT. */
int alias_read(struct kv_txn *txn, uint32_t collection, struct slice alias, struct version *ret);

/*
 * The version a reference names now, and that its path exists in it. -ENOENT.
 */
int reference_resolve(struct store *store, const struct reference *ref, struct version *ret);

/* Opens the bytes of a file of a version. -EIO: they are not there, which is logged. */
int artifact_open_blob(struct store *store, const struct digest *digest, struct blob **ret);

/*
 * Mode bits that files and directories of a version have: readable as its draft was, never
 * writable.
 */
mode_t version_directory_mode(const struct version *v);
mode_t version_file_mode(const struct version *v, bool executable);

#endif
