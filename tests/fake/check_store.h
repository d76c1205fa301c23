/*
 * check_store.h - is a store consistent, and clean? For tests.
 *
 * Reads every row and every blob and compares them with each other: no key that is not known, no
 * intent, part or doomed entry left, every reference there from both sides, every version whole and
 * readable with the digests, counts and sizes of its record, every blob named by its row and
 * nothing else in the blob store, every edge on both sides, and no draft that could write to a
 * blob.
 */
#ifndef TESTS_FAKE_CHECK_STORE_H
#define TESTS_FAKE_CHECK_STORE_H

#include "core/store.h"

/* Adds a line to ret for everything that is wrong; returns how many were. Nothing else uses it. */
unsigned check_store(struct store *store, struct buf *ret);

/*
 * The content of a version as text, one entry a line, in the order of a walk: `f` or `x` (an
 * executable file) or `d` or `l`, the path, and the file's size and first bytes or the
 * link's target.
 */
int check_describe(struct store *store, uint64_t page, struct buf *ret);

#endif
