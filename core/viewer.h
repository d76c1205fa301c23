/*
 * viewer.h - what somebody may see of the store, for views that gather things from all over it. The
 * rule is one: who could come to know a thing by walking /artifacts and /runs sees it there too.
 *
 * A viewer is one thread's, and is meant for one answer: it keeps what it has learnt.
 */
#ifndef CORE_VIEWER_H
#define CORE_VIEWER_H

#include "artifact.h"

struct viewer {
	struct cred cred;
	const struct cred *real; /* borrowed */
	/* The last group that was asked for, and the answer: finding out reads the caller's. */
	struct viewer_group {
		bool known, in;
		gid_t gid;
	} group;
	/* The last collection: versions come by the hundred from one. */
	struct collection collection;
};

/* NULL: nobody in particular, who sees what everybody may. */
void viewer_init(struct viewer *v, const struct cred *cred);
void viewer_release(struct viewer *v);

/*
 * In a transaction: 1 and the thing, 0: it is not there or not to be seen, -errno. What they fill
 * is borrowed from the viewer until the next call.
 *
 * A collection is seen by who may read what is said of it. A version is seen while it is live, by
 * who gets to it and may read it. A run is seen by who may read what is said of it.
 */
int viewer_collection(struct viewer *v, struct kv_txn *txn, uint32_t id,
		      const struct collection **ret);
int viewer_version(struct viewer *v, struct kv_txn *txn, uint32_t id, struct version *ret,
		   const struct collection **ret_collection);
struct run;
bool viewer_sees_run(struct viewer *v, const struct run *run);

#endif
