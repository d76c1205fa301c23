/*
 * document_private.h - what the documents share. For document*.c alone.
 */
#ifndef CORE_DOCUMENT_PRIVATE_H
#define CORE_DOCUMENT_PRIVATE_H

#include "document.h"

#include <jansson.h>

#ifndef LINEAGEFS_VERSION
#define LINEAGEFS_VERSION "0.1"
#endif

/* May everybody read it? Documents are for everybody, so others are shown without a name. */
static inline bool json_is_public(mode_t mode)
{
	return mode & 04;
}

json_t *json_time(uint64_t ns); /* RFC 3339, UTC; null for 0 */
json_t *json_number(uint64_t n);
json_t *json_digest(const struct digest *d);
/* Text of people: null if it is empty, or not UTF-8. */
json_t *json_said(const struct buf *text);
/* JSON of people; an empty object if it cannot be read. */
json_t *json_of_text(const struct buf *text);
json_t *json_label(struct store *store, const struct version *v); /* "mnist:v3" */
json_t *json_user(uid_t uid); /* the name, or the number where there is none */
/* The roles under which a run declared a version. */
json_t *json_roles(struct store *store, uint32_t run, uint32_t version);
/* The names that people gave a version: its aliases, `latest` first; its tags. */
json_t *json_aliases(struct store *store, const struct collection *c, const struct version *v);
json_t *json_tags(struct store *store, uint32_t version);
/* What of it is damaged, if anything is (document_damage.c). */
int json_add_damage(struct store *store, const struct version *v, json_t *root);
/* The references of a version, if it has any, as members of its document. */
int json_add_references(struct store *store, uint32_t version, json_t *root);
/*
 * Bytes as a string, or as {"base64": ...} where they are not UTF-8; and back: owned, NULL if it is
 * neither (launch.c).
 */
json_t *json_exact(const char *bytes);
char *json_exact_value(const json_t *value);
/*
 * A step of a check (document_check.c), its answer as members of ret. As check_step(); -EINVAL:
 * what is asked for is none.
 */
int json_answer_check(struct store *store, const bool *stop, const json_t *request, json_t *ret);
/* The text of a document, which is freed. */
void json_finish(json_t *root, struct buf *ret);

#endif
