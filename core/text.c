#include "text.h"

#include <assert.h>

int text_changed(struct kv_txn *txn, struct store *store, const struct text_change *change)
{
	char from[DIGEST_HEX_SIZE + 1], to[DIGEST_HEX_SIZE + 1];
	struct digest d;

	assert(!slice_equal(change->from, change->to));
	digest_of(change->from, &d);
	digest_to_hex(&d, from);
	digest_of(change->to, &d);
	digest_to_hex(&d, to);
	return event_put(txn, store, &(struct event){
		.kind = EVENT_TEXT, .run = change->run, .object = change->object,
		.version = change->version,
		.details = { { "what", change->what }, { "from", from }, { "to", to } },
	});
}
