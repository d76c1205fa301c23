/*
 * name.h - what may be called what: names of artifacts, runs and roles, version names, references.
 */
#ifndef CORE_NAME_H
#define CORE_NAME_H

#include "codec.h"

/*
 * [A-Za-z0-9_.=+,@-], 1 to NAME_MAX_BYTES bytes, no leading dot or underscore.
 */
bool name_valid(struct slice name);

/* "v12" -> 12; -ENOENT when it is not a version's name (leading zeros, too large, no digits). */
int version_name_parse(struct slice name, uint32_t *ret);

/* What a reference to a version says; slices are borrowed from its text. */
struct reference {
	struct slice artifact;
	struct slice version; /* a version's name or an alias */
	struct slice path;    /* below files/: empty, or without leading and trailing slash */
	struct slice alias;   /* that the version is to be seen behind; or empty */
};

/*
 * The short form `mnist:v3`, `mnist:latest`, `mnist:latest:v3` (v3, and the run is to see it behind
 * latest), or a path, relative or absolute, that ends in
 * artifacts/<name>/<version or alias>[/files[/<path>]]. -EINVAL: neither.
 */
int reference_parse(struct slice text, struct reference *ret);

/* Adds a path without what says nothing: doubled and trailing slashes, components ".". */
void path_tidy(struct slice path, struct buf *ret);

#endif
