#include "text.h"

#include <assert.h>

/* A name is shown as it is; of others the digest. Nothing is no text. Owned. */
static char *shown(const struct text_change *change, struct slice text)
{
	AUTO(hasher_freep) struct hasher *h = NULL;
	char hex[DIGEST_HEX_SIZE + 1];
	struct digest d;

	if (text.len == 0)
		return NULL;
	if (!strcmp(change->what, "type") || !strcmp(change->what, "job_type"))
		return xstrndup(text.data, text.len);
	h = hasher_new();
	hasher_add(h, text.data, text.len);
	if (change->line)
		hasher_add(h, "\n", 1);
	hasher_end(h, &d);
	digest_to_hex(&d, hex);
	return xasprintf("sha256:%s", hex);
}

int text_changed(struct kv_txn *txn, struct store *store, const struct text_change *change)
{
	autofree char *from = shown(change, change->from), *to = shown(change, change->to);

	assert(!slice_equal(change->from, change->to));
	return event_put(txn, store, &(struct event){
		.kind = EVENT_TEXT, .run = change->run, .object = change->object,
		.version = change->version,
		.details = { { "what", change->what }, { "from", from }, { "to", to } },
	});
}
