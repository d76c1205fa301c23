/*
 * document_control.h - what commands say to the store and hear from it: one JSON object each way.
 * A live daemon is asked through a file of its mount (fs/kind_control.c); who has opened the store
 * himself asks control_answer() just so.
 *
 * Whoever asks is the one whose credentials come along. No request takes long, but for what it
 * measures first: large work is asked for step by step, and what is done is done.
 *
 *   {"command": "du", "versions": ["mnist:v3", "mnist", ...]}
 *   {"command": "gc", "survey": true, "names": false, POLICY}       what would go
 *   {"command": "gc", "cursor": {...}, POLICY}                      a step; no cursor: the first
 *   {"command": "fsck", ...}                                        core/document_check.h
 *   POLICY: "empty_trash": true, "keep_last": N, "unused_days": D, each may be left out
 *
 * An answer has "error", a sentence, if that is all there is.
 */
#ifndef CORE_DOCUMENT_CONTROL_H
#define CORE_DOCUMENT_CONTROL_H

#include "gc.h"

struct control_caller {
	struct cred cred;
	const bool *stop; /* becomes true when the caller no longer waits; NULL: never */
};

/*
 * Adds the answer, also to what fails. -EINVAL: no such request; -EPERM: not for this caller;
 * -EACCES, -ENOENT: what it names; -EINTR.
 */
int control_answer(struct store *store, const struct control_caller *caller, struct slice request,
		   struct buf *ret);

/* ---- the other side ---- */

/* Why it failed, from an answer; "" if it does not say. */
void control_error(struct slice answer, struct buf *ret);

void control_ask_du(const char *const *names, size_t count, struct buf *ret);

struct control_usage {
	char *name; /* NULL: all of them together */
	uint64_t unreadable; /* versions of it that were left out */
	struct usage usage;
};

struct control_du {
	struct control_usage *list;
	size_t count; /* the last is the sum */
};

void control_du_release(struct control_du *du);
/* -EINVAL: it is no answer. */
int control_read_du(struct slice answer, struct control_du *ret);

void control_ask_survey(const struct gc_policy *policy, bool names, struct buf *ret);
void control_ask_step(const struct gc_policy *policy, const struct gc_cursor *cursor,
		      struct buf *ret);

struct control_gc {
	uint64_t versions; /* that would go, or went in this step */
	uint64_t bytes;	   /* that would go */
	uint64_t freed;	   /* since the store was opened, by whomever: differences count */
	struct gc_cursor cursor; /* of the next step */
	char **names;
	size_t name_count;
};

void control_gc_release(struct control_gc *gc);
int control_read_gc(struct slice answer, struct control_gc *ret);
/* {"versions": ..., "bytes": ...}, and "names" if there are any. */
void control_print_gc(const struct control_gc *gc, struct buf *ret);

#endif
