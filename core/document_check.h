/*
 * document_check.h - `lineagefs fsck` and what answers it: requests and answers (the same as
 * core/document_control.h has), and its report as JSON.
 *
 *   {"command": "fsck", "repair": true, "deep": true, "cursor": {...}}   a step; no cursor: first
 */
#ifndef CORE_DOCUMENT_CHECK_H
#define CORE_DOCUMENT_CHECK_H

#include "check.h"

void check_ask(const struct check_options *options, const struct check_cursor *cursor,
	       struct buf *ret);

/* What came of a step. */
struct check_answer {
	struct check_report report;
	struct check_cursor cursor; /* of the next one */
	bool done;
	char *phase;	   /* what is looked at next */
	uint64_t expected; /* rows in all, about; 0: nobody knows */
};

void check_answer_release(struct check_answer *a);
/* -EINVAL: it is no answer. */
int check_answer_read(struct slice answer, struct check_answer *ret);

/* The report of a whole check. unlisted: problems that are counted alone. */
struct check_summary {
	const struct check_report *report;
	uint64_t unlisted;
	uint64_t counts[CHECK_OUTCOMES];
	const struct check_cursor *end;
	bool deep, complete;
};

void check_print(const struct check_summary *s, struct buf *ret);

#endif
