/*
 * reference.h - symbolic links of a version that lead out of it: to a URL, to a file elsewhere, to
 * another version. The link itself is part of the content; beside it there is a row (O) of what it
 * led to when the version was logged, so that one can tell later whether that is still so.
 *
 * Rows are written while a draft is read, before there is a version of that number, and belong to
 * its log; who logs drops them unless they were published, recovery those that no version has.
 *
 * Files are looked at with the rights of who logs: what he may not read leaves no size and no
 * digest. Not known are his mount namespace and root: a path means what it means to the daemon.
 */
#ifndef CORE_REFERENCE_H
#define CORE_REFERENCE_H

#include "artifact.h"

struct hasher;

/* How a link leads out of its draft, or does not. */
enum reference_kind {
	REFERENCE_NONE,	    /* it stays in the draft, or leads to what is of no interest */
	REFERENCE_URL,	    /* scheme:// */
	REFERENCE_FILE,	    /* a path outside of the mount */
	REFERENCE_ARTIFACT, /* a version of this store */
};

/*
 * What the link at a path (`<draft>/sub/link`) leads to, by its text alone. ret_place: for a file
 * its absolute path; for a version artifacts/<name>/<version or alias>[/...]. mountpoint is
 * absolute and tidy, or "" when it is not known.
 */
enum reference_kind reference_classify(const char *mountpoint, struct slice link,
				       struct slice target, struct buf *ret_place);

/* The references of a draft that is being read. */
struct references {
	/* In */
	struct store *store;
	const struct cred *cred; /* who logs */
	uint32_t run, version;	 /* the version to be */
	const bool *stop;

	uint32_t last; /* slot */
	bool wrote;
	struct reference_row *rows; /* not written yet */
	size_t count, cap;
};

/* The draft is read from the start (again). */
int references_restart(struct references *r);
/*
 * A link, by its path from outputs/ on and its path in the version. Looks at the file and hashes
 * it, or notes that the run uses the version. -EINTR; -EIO, -ENOSPC: of the store. That a file
 * cannot be looked at is no error.
 */
int references_add(struct references *r, struct slice link, struct slice path,
		   struct slice target, struct hasher *hasher);
int references_flush(struct references *r);
/* Nothing of it is needed, unless the version is there after all. */
void references_end(struct references *r);

/* A version's reference after that of a slot (0: the first): 1, 0, -errno. */
int reference_next(struct store *store, uint32_t version, uint32_t *slot,
		   struct reference_row *ret);
/* Drops the rows of versions that were never published. */
int reference_recover(struct store *store);

#endif
