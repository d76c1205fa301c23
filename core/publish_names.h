/*
 * publish_names.h - the aliases and tags that a version gets in the transaction that logs it. For
 * publish.c alone.
 */
#ifndef CORE_PUBLISH_NAMES_H
#define CORE_PUBLISH_NAMES_H

#include "publish.h"

/*
 * May they be given? Asked before anything is read. -EINVAL: no such name can be; -EPERM: `latest`,
 * or a protected alias. why says which.
 */
int publish_names_check(struct store *store, const struct publish_request *request,
			struct buf *why);
/* In the transaction: gives them. A tag that is there already is fine. */
int publish_names_put(struct kv_txn *txn, struct store *store,
		      const struct publish_request *request, const char *run,
		      const struct collection *c, const struct version *v);

#endif
