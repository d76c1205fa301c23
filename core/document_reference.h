/*
 * document_reference.h - the references of a version in its info.json, read back.
 */
#ifndef CORE_DOCUMENT_REFERENCE_H
#define CORE_DOCUMENT_REFERENCE_H

#include "buf.h"
#include "digest.h"

struct json_reference {
	char *path, *target, *location; /* location: what to look at; NULL: no file */
	bool known;	   /* it was there, and could be read */
	uint64_t size;
	char *mtime;	   /* as the document has it */
	bool hashed;
	struct digest digest;
};

struct json_references {
	struct json_reference *list;
	size_t count, cap;
	uint64_t unlisted; /* more than the document has */
};

void json_references_release(struct json_references *r);
/* -EINVAL: not such a document. */
int document_references(struct slice info, struct json_references *ret);
/* A time as documents have it; 0: none. */
void document_time(uint64_t ns, struct buf *ret);

/* What became of a reference, for `lineagefs verify --json`: one JSON object and a newline. */
void document_verified(const struct json_reference *r, const char *state, const char *why,
		       struct buf *ret);

#endif
