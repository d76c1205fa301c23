/*
 * provenance.h - where the files of a version come from, as extended attributes, which tools that
 * keep those (cp --preserve=xattr, rsync -X, tar --xattrs) carry out of the mount:
 *
 *   user.lineagefs.digest    of a file the SHA-256 of its bytes, of a directory that of its
 *                            content; of a version's directory, and of files/, the version's own
 *   user.lineagefs.producer  the run that logged the version first
 *   user.lineagefs.type      the collection's type; left out while it has none
 *   user.lineagefs.version   "model:v3"
 *
 * A draft takes them back and keeps none (fs/kind_draft.c). Links have none, as on any filesystem.
 */
#ifndef FS_PROVENANCE_H
#define FS_PROVENANCE_H

#include "core/artifact.h"

struct provenance {
	struct digest digest;
	uint32_t collection, number;
	uint32_t run;
};

struct provenance provenance_of(const struct version *v);
/* As getxattr(2) and listxattr(2): size 0 asks for the length; -ENODATA, -ERANGE. */
ssize_t provenance_get(struct store *store, const struct provenance *p, const char *name, void *to,
		       size_t size);
ssize_t provenance_list(struct store *store, const struct provenance *p, char *to, size_t size);

#endif
