/*
 * codec.h - every key and record of the key-value store, spelled in one place.
 *
 * A key is a letter and fixed-width big-endian numbers, digests or a name (always last, so that
 * a scan of what stands before it lists names in byte order). Records start with a format byte;
 * what a decoder does not understand whole is -EIO, never a guess.
 *
 *   M <what>                  about the store itself                 KV_META
 *   I <kind:1>                the next free id of a kind
 *   c <name>                  -> collection id
 *   C <collection:4>          struct collection
 *   V <collection:4><number:4>  struct version, live
 *   X <collection:4><number:4>  the same, removed: in the trash
 *   G <collection:4><number:4>  the same, purged: its bytes are gone, node and edges stay
 *   v <version:4>             -> collection, number
 *   D <collection:4><digest>  -> number of the version of that content, live or in the trash
 *   A <collection:4><alias>   struct alias                           (core/alias.h)
 *   m <version:4><alias>      the same, from the version's side: nothing
 *   W <version:4>             struct version_note: what is said of it  (core/version_note.h)
 *   J <version:4>             text: its metadata.json
 *   s <version:4><tag>        struct tag
 *   K <version:4>             time of its last use by a run
 *   O <version:4><slot:4>     struct reference_row: a link that leads out  (core/reference.h)
 *   S <tag> 0 <kind:1><id:4>  it has the tag: a version or a run: nothing
 *   Y <type> 0 <collection:4>  it is of the type: nothing
 *   H <job type> 0 <run:4>    likewise
 *   r <name>                  -> run id
 *   R <run:4>                 struct run
 *   l <run:4>                 text: the last results of logging
 *   q <run:4><slot:4>         struct process_row: a process that was registered
 *   Q <run:4>                 slot of the first row that counts: the run is watched (core/watch.h)
 *   k <run:4><collection:4><alias>  -> version id that the run sees behind the alias (core/view.h)
 *   w <run:4><version:4>      -> first inode number of the version's files in the run's view
 *   j <run:4><what>           text: JSON that was written about the run  (core/run_note.h)
 *   g <run:4><tag>            struct tag
 *   i <run:4><role>           struct input
 *   e <run:4><version:4>      struct edge: the run used the version
 *   u <version:4><run:4>      the same, from the version's side
 *   o <run:4><version:4>      struct edge: the run logged the version (or its equal)
 *   p <version:4><run:4>      the same, from the version's side
 *   f <run:4><run:4>          struct edge: the first read an unlogged draft of the second
 *   a <run:4><run:4>          the same, from the second's side
 *   U <version:4>             number of opens by processes that were not visible
 *   d <run:4><name>           struct draft: what is known of a draft that was logged
 *   h <run:4><name> 0 <chunk:4>  files that need no hashing again (core/scan.h)
 *   t <digest>                -> page id                             (core/page.h)
 *   T <page:8>                its digest, then the page
 *   P <page:8><kind:1><id:8>  somebody refers to the page: a page, a version, an intent, a run, a
 *                             twin; or a check that found that nobody does (core/check_page.c)
 *   B <digest>                struct blob_row: the blob is present
 *   b <digest><page:8>        the page has a file of these bytes
 *   F <run:4><page:8>         drafts of the run borrow from below the page: nothing (core/borrow.h)
 *   N <intent:8>              struct intent: a log that is under way
 *   n <intent:8><part:4>      what the intent put or refers to
 *   x <page:8>, y <digest>    doomed: goes unless somebody refers to it  (core/reap.h)
 *   z <digest><generation:8>  size: bytes of a blob that is gone, to be removed
 *   E <event:8>               struct event: a change that is in no journal yet  (core/event.h)
 *   L <end:8>                 a line of the journal that ends before this offset (core/journal.h)
 *                             where it ends is struct journal_head, in M journal
 *
 *   ! <digest>                -> generation of a blob that is damaged  (core/damage.h)
 *   Z <key>                   a row of this key that a repair set aside (core/check.h)
 *
 *   <digest><generation:8>    the bytes of a small blob              KV_PACK (blob_dir.c)
 */
#ifndef CORE_CODEC_H
#define CORE_CODEC_H

#include "base.h"
#include "blob.h"
#include "buf.h"
#include "digest.h"

#include <sys/types.h>
#include <time.h>

/* Names of artifacts, runs, aliases, roles. */
#define NAME_MAX_BYTES 128
/*
 * Collections, versions and runs are numbered below this, so that two of them fit an inode number.
 */
#define ID_LIMIT (1u << 29)

struct key {
	uint8_t bytes[NAME_MAX_BYTES + 72];
	size_t len;
};

static inline struct slice key_slice(const struct key *k)
{
	return slice(k->bytes, k->len);
}

/* slice of a key made on the spot: KEY(run(7)) */
#define KEY(call) key_slice(&(const struct key[]){ key_##call }[0])

/* A twin is a page of the same digest that another log wrote at the same time (core/batch.c). */
enum referrer { REFERRER_PAGE, REFERRER_VERSION, REFERRER_INTENT, REFERRER_RUN, REFERRER_TWIN,
		REFERRER_KEPT };
enum tagged { TAGGED_VERSION = 'v', TAGGED_RUN = 'r' };

struct key key_store(const char *what);
struct key key_next_id(uint8_t kind);
struct key key_collection_name(struct slice name);
struct key key_collection(uint32_t collection);
struct key key_version(uint32_t collection, uint32_t number);
struct key key_version_id(uint32_t version);
struct key key_removed(uint32_t collection, uint32_t number);
struct key key_purged(uint32_t collection, uint32_t number);
struct key key_alias(uint32_t collection, struct slice alias);
struct key key_alias_of(uint32_t version, struct slice alias);
struct key key_version_note(uint32_t version);
struct key key_version_metadata(uint32_t version);
struct key key_version_tag(uint32_t version, struct slice tag);
struct key key_last_use(uint32_t version);
struct key key_reference(uint32_t version, uint32_t slot);
struct key key_tagged(struct slice tag, enum tagged kind, uint32_t id);
struct key key_of_type(struct slice type, uint32_t collection);
struct key key_of_job(struct slice job_type, uint32_t run);
struct key key_equal(uint32_t collection, const struct digest *digest);
struct key key_run_name(struct slice name);
struct key key_run(uint32_t run);
struct key key_run_log(uint32_t run);
struct key key_process(uint32_t run, uint32_t slot);
struct key key_watched(uint32_t run);
struct key key_pin(uint32_t run, uint32_t collection, struct slice alias);
struct key key_view(uint32_t run, uint32_t version);
struct key key_run_json(uint32_t run, struct slice what);
struct key key_run_tag(uint32_t run, struct slice tag);
struct key key_input(uint32_t run, struct slice role);
struct key key_use(uint32_t run, uint32_t version);
struct key key_used_by(uint32_t version, uint32_t run);
struct key key_logged(uint32_t run, uint32_t version);
struct key key_logged_by(uint32_t version, uint32_t run);
struct key key_peeked(uint32_t run, uint32_t other);
struct key key_peeked_by(uint32_t other, uint32_t run);
struct key key_unseen(uint32_t version);
struct key key_draft(uint32_t run, struct slice name);
struct key key_known_files(uint32_t run, struct slice name, uint32_t chunk);
struct key key_page_digest(const struct digest *digest);
struct key key_page(uint64_t page);
struct key key_page_ref(uint64_t page, enum referrer kind, uint64_t id);
struct key key_blob(const struct digest *digest);
struct key key_blob_ref(const struct digest *digest, uint64_t page);
struct key key_borrowed(uint32_t run, uint64_t page);
struct key key_intent(uint64_t intent);
struct key key_intent_part(uint64_t intent, uint32_t part);
struct key key_damaged(const struct digest *digest);
struct key key_doomed_page(uint64_t page);
struct key key_doomed_blob(const struct digest *digest);
struct key key_removed_blob(const struct blob_id *id);
struct key key_event(uint64_t event);
struct key key_journal(uint64_t end);

/* What all keys of a kind, or of a kind and its first number, start with. */
struct key key_prefix(char kind);
struct key key_prefix_id(char kind, uint32_t id);
/* S, Y, H: all that is under one name; or, as `from` of a scan, what comes after all of that. */
struct key key_prefix_named(char kind, struct slice name);
struct key key_after_named(char kind, struct slice name);
/* The name in such a key. */
struct slice key_named(struct slice key);
/* Versions of a collection whose numbers differ from this one in their last byte. */
struct key key_prefix_versions(uint32_t collection, uint32_t number);
struct key key_prefix_pins(uint32_t run, uint32_t collection);
struct key key_prefix_page_refs(uint64_t page);
struct key key_prefix_blob_refs(const struct digest *digest);
struct key key_prefix_known_files(uint32_t run, struct slice name);
struct key key_prefix_intent_parts(uint64_t intent);

/*
 * The variable part of a key that a scan returned: the name after kind and number, or the number.
 */
struct slice key_name_after(struct slice key, size_t fixed);
uint32_t key_u32_at(struct slice key, size_t at);
uint64_t key_u64_at(struct slice key, size_t at);
/* -EIO unless the key is as long as a key with a digest at that place must be. */
int key_digest_at(struct slice key, size_t at, struct digest *ret);

/* Writing and reading records: numbers are LEB128, strings and digests follow their length. */
void put_u64(struct buf *b, uint64_t n);
void put_str(struct buf *b, const char *s);
void put_slice(struct buf *b, struct slice s);
void put_digest(struct buf *b, const struct digest *d);
void put_time(struct buf *b, struct timespec t);

struct reader {
	const uint8_t *at, *end;
	bool bad; /* something did not fit: everything read since is 0 or empty */
};

struct reader reader_of(struct slice s);
uint64_t get_u64(struct reader *r);
uint32_t get_u32(struct reader *r);
struct slice get_slice(struct reader *r); /* borrowed */
char *get_str(struct reader *r);	   /* owned */
void get_digest(struct reader *r, struct digest *ret);
struct timespec get_time(struct reader *r);
/* 0 when all was read and fitted, else -EIO. */
int reader_end(const struct reader *r);

/* One number as a record (ids, counters). */
void encode_u64(struct buf *b, uint64_t n);
int decode_u64(struct slice s, uint64_t *ret);

/* Times are nanoseconds since the epoch where they are not struct timespec. */

struct collection {
	uint32_t id;
	char *name;
	char *type;	   /* "" until known */
	char *description; /* any text */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits */
	uint64_t created;
	uint32_t next_number;
	int64_t latest; /* the number `latest` names; -1: none */
};

struct version {
	uint32_t id;
	uint32_t collection;
	uint32_t number;
	uint32_t run; /* the one that logged it first */
	struct digest digest;
	uint64_t page;	    /* the root page of its content */
	uint64_t first_ino; /* of `files`; every entry below has an ordinal after it */
	uint64_t nodes;	    /* inode numbers taken: `files` and all below */
	uint64_t files;
	uint64_t bytes;
	uint64_t sums_size; /* of SHA256SUMS, bytes */
	bool single;	    /* logged from a one-file draft */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits of the draft: who may read */
	uint64_t created;
	uint64_t sequence; /* of its commit */
	struct timespec mtime; /* of the draft's top directory, or file */
	uint64_t removed; /* time; 0: live */
	uint64_t purged;  /* time; 0: its bytes are there */
};

/* A movable name of a version. */
struct alias {
	uint32_t slot; /* no other alias of the store has had it: for inode numbers */
	uint32_t version;
	uint64_t moved; /* time */
};

/* What a link of a version that leads out of it led to when that was logged. */
struct reference_row {
	unsigned kind; /* enum reference_kind */
	char *path;    /* in the version */
	char *target;  /* as the link has it */
	char *location; /* of a file: its absolute path, if the target is not that; else "" */
	bool known;	/* of a file that could be read: what follows */
	uint64_t size;
	struct timespec mtime;
	bool hashed;
	struct digest digest;
	uint32_t version; /* 0: none, or one that whoever logged may not read */
};

/* What people say of a version. */
struct version_note {
	uint32_t next_slot; /* numbers tags and references, for their inode numbers; from 1 */
	char *description;
};

enum run_state { RUN_RUNNING, RUN_FINISHED, RUN_FAILED, RUN_CRASHED };

struct run {
	uint32_t id;
	char *name;
	enum run_state state;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	uint64_t created;
	uint64_t ended; /* 0 while running */
	uint32_t next_slot; /* numbers inputs, drafts and tags, for their inode numbers */
	char *host;
	char *job_type;	 /* "" until said */
	uint32_t parent; /* the run that started it; 0: none */
	/* How its command ended, as far as that was said; forgotten when the run goes on. */
	bool has_exit_code;
	int exit_code; /* 0 to 255 */
	int signal;    /* that killed it; 0: none */
	char *reason;  /* why it is crashed; "" */
};

/* A tag of a run or a version. */
struct tag {
	uint32_t slot;
	uint64_t created;
};

struct input {
	uint32_t slot;
	uint32_t version;
	char *path; /* below files/: "" or "/a/b" */
};

enum { EDGE_DECLARED = 1, EDGE_OBSERVED = 2, EDGE_EQUAL = 4 /* logged equal content */ };

struct edge {
	unsigned flags;
	uint64_t first, last; /* time */
	uint64_t sequence;    /* of the commit of its first use */
	uint64_t opened;      /* files */
};

/* A process of a run. Its number means something on one machine, boot and pid namespace only. */
struct process_row {
	char *boot;	     /* boot id */
	uint64_t space;	     /* inode of the pid namespace that pid is of */
	uint32_t pid;
	uint64_t start;	     /* clock ticks after boot */
	uint32_t uid;
	uint64_t registered; /* time */
	char *command;	     /* arguments divided by spaces, cut */
};

struct draft {
	uint32_t slot;
	uint32_t version; /* the last one logged from it */
	bool single;
	bool ended; /* the run has ended: outputs/<name> is a link now */
};

struct blob_row {
	uint64_t size;
	uint64_t generation;
};

struct intent {
	uint32_t run;
	uint64_t created;
};

/* Where the journal ends. */
struct journal_head {
	uint64_t count; /* lines */
	uint64_t bytes;
	struct digest digest; /* of the last line, newline included; zeros: there is none */
	uint64_t time;	      /* of the latest event */
	uint64_t broken; /* number of the first line after it did not end as it had; 0: always did */
	uint64_t floor;	 /* events below this number were taken, or never are */
};

void collection_release(struct collection *c);
void run_release(struct run *r);
void input_release(struct input *i);
void process_row_release(struct process_row *p);
void version_note_release(struct version_note *n);
void reference_row_release(struct reference_row *r);

void encode_collection(struct buf *b, const struct collection *c);
int decode_collection(struct slice s, struct collection *ret);
void encode_version(struct buf *b, const struct version *v);
int decode_version(struct slice s, struct version *ret);
void encode_alias(struct buf *b, const struct alias *a);
int decode_alias(struct slice s, struct alias *ret);
void encode_reference_row(struct buf *b, const struct reference_row *r);
int decode_reference_row(struct slice s, struct reference_row *ret);
void encode_version_note(struct buf *b, const struct version_note *n);
int decode_version_note(struct slice s, struct version_note *ret);
/* Where a version is: collection and number. */
void encode_place(struct buf *b, uint32_t collection, uint32_t number);
int decode_place(struct slice s, uint32_t *ret_collection, uint32_t *ret_number);
void encode_run(struct buf *b, const struct run *r);
int decode_run(struct slice s, struct run *ret);
void encode_tag(struct buf *b, const struct tag *t);
int decode_tag(struct slice s, struct tag *ret);
void encode_input(struct buf *b, const struct input *i);
int decode_input(struct slice s, struct input *ret);
void encode_process_row(struct buf *b, const struct process_row *p);
int decode_process_row(struct slice s, struct process_row *ret);
void encode_edge(struct buf *b, const struct edge *e);
int decode_edge(struct slice s, struct edge *ret);
void encode_draft(struct buf *b, const struct draft *d);
int decode_draft(struct slice s, struct draft *ret);
void encode_blob_row(struct buf *b, const struct blob_row *r);
int decode_blob_row(struct slice s, struct blob_row *ret);
void encode_journal_head(struct buf *b, const struct journal_head *h);
int decode_journal_head(struct slice s, struct journal_head *ret);
void encode_intent(struct buf *b, const struct intent *i);
int decode_intent(struct slice s, struct intent *ret);

#endif
