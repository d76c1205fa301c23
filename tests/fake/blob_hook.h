/*
 * blob_hook.h - a layer over any blob store that counts calls and lets a test act in the middle of
 * one. For tests.
 */
#ifndef TESTS_FAKE_BLOB_HOOK_H
#define TESTS_FAKE_BLOB_HOOK_H

#include "core/blob.h"

enum blob_call { BLOB_PUT_PACKED, BLOB_PUT_FILE, BLOB_OPEN, BLOB_REMOVE, BLOB_CALLS };

struct blob_hook {
	struct blob_store base;
	struct blob_store *under;
	uint64_t calls[BLOB_CALLS];
	uint64_t items; /* of put_packed, added up */
	/*
	 * Called before the call goes on, unless NULL. A result that is not 0 is what the call
	 * returns instead.
	 */
	int (*before)(struct blob_hook *hook, enum blob_call call);
	/* The same after a call that succeeded. */
	int (*after)(struct blob_hook *hook, enum blob_call call);
	void *arg;
};

/* Closing the base closes under too; the struct is the caller's and outlives it. */
void blob_hook_init(struct blob_hook *hook, struct blob_store *under);

#endif
