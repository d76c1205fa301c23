/*
 * node.h - what a path of the mount is: a kind, two ids, and for some kinds a name or data of its
 * own.
 *
 * Inode numbers are made of what a node is, so they need no table and are the same after every
 * mount: six bits of class, then two ids of 29 bits, or one number of 58. No two paths have the
 * same one. The number is also the kernel's node id. Draft files differ: there the number is
 * the backing file's, and stays with the node when the backing file is replaced (core/draft.h), for
 * as long as the kernel knows the node. And what has a name and no id (a tag, a digest) has a hash
 * of the name; if two share one, the second has a number from a counter while the kernel knows
 * both: they are never taken for each other.
 *
 * Nodes live in a table while the kernel knows them (lookups), or while somebody uses them
 * (references). All functions are thread-safe.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "call.h"

enum ino_class {
	INO_FIXED,	/* slot */
	INO_COLLECTION, /* collection, slot */
	INO_VERSION,	/* version, slot */
	INO_RUN,	/* run, slot */
	INO_PRODUCER,	/* version, run */
	INO_CONSUMER,	/* version, run */
	INO_INPUT,	/* run, slot of the input */
	INO_LOGGED,	/* run, version */
	INO_OBSERVED,	/* run, version */
	INO_ENDED,	/* run, slot of the draft */
	INO_CONTENT,	/* number of the version's first, plus ordinal */
	INO_DRAFT,	/* inode of the backing file */
	INO_LINEAGE_VERSION, /* version, slot: /lineage/<name>:<vN> and what is always there */
	INO_LINEAGE_RUN,     /* run, slot */
	INO_LINEAGE_FIRST,   /* node, version, run or type: 16 classes, see kind_lineage.c */
	INO_LINEAGE_LAST = INO_LINEAGE_FIRST + 15,
	INO_VIEW,	 /* run, 0 */
	INO_VIEW_COLLECTION, /* run, collection */
	INO_VIEW_LATEST,     /* run, collection */
	INO_VIEW_VERSION,    /* run, version; its files are INO_CONTENT */
	INO_VIEW_INFO,	     /* run, version */
	INO_VIEW_SUMS,	     /* run, version */
	INO_DRAFT_LATE, /* a counter: the number that it should have was taken */
	INO_RUN_TAG,	/* run, slot of the tag */
	INO_VERSION_TAG, /* version, slot of the tag */
	INO_ALIAS,	 /* slot of the alias, which is one of the whole store */
	INO_VIEW_ALIAS,	 /* run, slot of the alias */
	INO_BESIDE,	 /* a counter: a file in memory beside a text */
	INO_BY_TYPE,	 /* /types/<type>: see kind_index.c */
	INO_TYPED,	 /* collection */
	INO_BY_JOB,
	INO_WITH_JOB,	 /* run */
	INO_BY_TAG,
	INO_TAGGED_VERSION, /* version, slot of its tag */
	INO_TAGGED_RUN,	 /* run, slot of its tag */
	INO_BY_DIGEST,
	INO_WITH_DIGEST,
	INO_TEMPORARY,	 /* a counter: a link that ln -sf renames at once, see temporary.h */
};

#define INO_ID_BITS 29
#define INO_NUMBER_BITS 58

static inline uint64_t ino_of_number(enum ino_class class, uint64_t number)
{
	return (uint64_t)class << INO_NUMBER_BITS | (number & ((1ull << INO_NUMBER_BITS) - 1));
}

static inline uint64_t ino_of_ids(enum ino_class class, uint32_t a, uint32_t b)
{
	return ino_of_number(class, (uint64_t)a << INO_ID_BITS | b);
}

struct node {
	uint64_t ino;
	const struct node_kind *kind;
	uint32_t a, b; /* ids, as the class says */
	char *name;    /* of kinds that are found by it: a role, a run's name, ...; owned */
	void *data;    /* of kinds that have more to remember; kind->release frees it */
	/*
	 * Nothing else is set: find had to intern the node under a lock of its own. With the lookup
	 * and the reference that node_intern() is to give.
	 */
	struct node *interned;

	/* Of the table. */
	uint32_t generation; /* tells apart what the kernel gets under one number */
	uint64_t backing; /* drafts: inode of the backing file; else 0 */
	uint64_t lookups;
	unsigned references;
	struct node *next_ino, *next_backing;
};

/* A child that is always there. */
struct node_fixed {
	const char *name;
	const struct node_kind *kind;
};

struct digest;
struct listing; /* fs/handle.h */

/* Children that were listed ahead, in their order; those before `at` were taken. */
#define NODE_BATCH 256
struct node_batch {
	struct node_named {
		char *name; /* owned */
		struct node node;
	} items[NODE_BATCH];
	size_t at, count;
};

/* Changing a directory. What is missing is answered as node_refuse() says. */
struct node_edit {
	/* Interns the node itself: one lookup, and the reference of the handle. */
	int (*create)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name, mode_t mode, int flags, struct vfs_open *ret_open);
	int (*mknod)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *name, mode_t mode, struct node *ret);
	int (*mkdir)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *name, mode_t mode, struct node *ret);
	int (*symlink)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, const char *target, struct node *ret);
	/* The name may lead to another node than the one that was linked to. */
	int (*link)(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		    struct node *dir, const char *name, struct node *ret);
	int (*unlink)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name);
	int (*rmdir)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *name);
	int (*rename)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *name, struct node *new_dir, const char *new_name,
		      unsigned flags);
};

/* What a link in a draft to a file, or a symbolic link, of a version is made of. */
struct node_lent {
	uint32_t version;
	uint32_t run; /* in whose view it is; 0: none */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* with the type */
	struct timespec mtime;
	uint64_t size;
	const struct digest *digest; /* of the bytes; borrowed from the node */
	const char *target; /* of a symbolic link; likewise */
};

/* Extended attributes in the user namespace. */
struct node_xattrs {
	ssize_t (*get)(struct vfs *vfs, struct node *node, const char *name, void *to, size_t size);
	ssize_t (*list)(struct vfs *vfs, struct node *node, char *to, size_t size);
	int (*set)(struct vfs *vfs, struct node *node, const char *name, const void *value,
		   size_t size, int flags);
	int (*remove)(struct vfs *vfs, struct node *node, const char *name);
};

/*
 * One kind of path. A hook gets the node; one that is left out has one default answer, in node.c.
 * find and next come from the same order and agree. What they fill is a node without lookups, not
 * in the table yet: ino, kind, ids, name (owned), data (owned); or interned.
 */
struct node_kind {
	const char *name; /* of the kind, for messages */
	mode_t type;	  /* S_IFDIR, S_IFREG or S_IFLNK; drafts: 0, attr says */
	bool sealed;	  /* never changes: editing is EROFS, attributes are kept for ever */
	bool final_names; /* a directory: what is not in it never will be */
	bool volatile_name; /* the name may go without the kernel's doing */
	bool volatile_names; /* so may those in this directory */
	bool volatile_attr; /* mode and owner are of a record that others change */
	bool volatile_times; /* times change, if slowly; mode and owner do not */
	bool unlisted;	    /* a fixed child that is found, not listed */
	bool costly;	    /* its attributes are: a listing does not bring them along */
	bool hashed;	    /* its number is a hash of its name, which another may share */
	unsigned first_slot; /* directories: of its fixed children, where several share two ids */
	bool slow;	  /* accept may take long */
	bool texts;	  /* directories: with texts that are edited as tools do: fs/beside.h */
	/*
	 * A text that may be removed, or renamed away: what it is then. Without it: it may not.
	 */
	const char *empty;

	/*
	 * Directories: children always there (ended by a NULL name), then those that come and go.
	 */
	const struct node_fixed *fixed;
	int (*find)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		    const char *name, struct node *ret);
	/* The first child after a name ("" is the first): 1, 0 at the end, -errno. */
	int (*next)(struct vfs *vfs, struct node *dir, const char *after, struct buf *ret_name,
		    struct node *ret);
	/*
	 * Instead of next, where there may be very many: as many as there are, up to NODE_BATCH, into
	 * an empty batch. 1, 0 at the end, -errno.
	 */
	int (*next_many)(struct vfs *vfs, struct node *dir, const char *after,
			 struct node_batch *ret);
	/* The number of "..", where that does not follow from the directory's own. */
	uint64_t (*parent)(struct vfs *vfs, const struct node *dir);
	/* Instead of fixed and next: a listing of the kind's own. */
	int (*list)(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		    struct listing **ret);

	/*
	 * Owner, permission bits, times (st_atim 0: as st_mtim); st_size stays -1 when render or
	 * target tells it.
	 */
	int (*attr)(struct vfs *vfs, struct node *node, struct stat *st);
	/* VFS_SET_MODE, _UID, _GID; drafts all. */
	int (*set_attr)(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			struct handle *handle, const struct stat *set, unsigned what);
	/* What a link shows may depend on who asks. */
	int (*target)(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct buf *ret);
	int (*render)(struct vfs *vfs, struct node *node, struct buf *ret);
	/*
	 * Text was written: the whole of it, or with commands set what one write(2) brought. Checks
	 * and commits.
	 */
	int (*accept)(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct slice text);
	bool commands;
	/*
	 * May a text that was written so far be the start of a longer one? Then it is not accepted,
	 * nor refused, before more is written or it is flushed.
	 */
	bool (*unfinished)(struct slice text);
	/* Opens data; without it render and accept make a text file. */
	int (*open)(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
		    struct vfs_open *ret);
	/* A hard link to it may be made in a draft. */
	void (*lend)(struct node *node, struct node_lent *ret);
	const struct node_edit *edit;
	const struct node_xattrs *xattrs;
	void (*release)(struct node *node);
};

/* The table. */
struct node_table;

struct node_table *node_table_new(void);
void node_table_free(struct node_table *t);
/* The node of this number with a reference, or NULL. */
struct node *node_get(struct node_table *t, uint64_t ino);
/*
 * The draft node of a run with this backing inode, with a reference, or NULL. The kernel may know
 * files of a run that has finished long after their inodes became others': the run tells them
 * apart.
 */
struct node *node_get_backing(struct node_table *t, uint32_t run, uint64_t backing);
void node_hold(struct node_table *t, struct node *node);
/* One more lookup and reference of a node that the caller has: it got one more name. */
void node_again(struct node_table *t, struct node *node);
void node_put(struct node_table *t, struct node *node);
/*
 * The table's node for what find or next filled, with one more lookup and a reference; takes over
 * or frees name and data of spec.
 */
struct node *node_intern(struct node_table *t, struct node *spec);
/* If the kernel knows the node, it is another from now on. */
void node_renew(struct node_table *t, uint64_t ino);
void node_forget(struct node_table *t, uint64_t ino, uint64_t lookups);
/* The node's backing file was replaced by one of another inode. */
void node_rebase(struct node_table *t, struct node *node, uint64_t backing);
/* Drops what was not taken. */
void node_batch_reset(struct node_batch *b);
/* Frees name and data of a node that is not in the table. */
void node_spec_release(struct node *spec);

/* The errno of an operation that the kind has no hook for. */
int node_refuse(const struct node *node);

#endif
