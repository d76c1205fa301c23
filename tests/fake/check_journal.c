#include "check_private.h"
#include "core/document_event.h"

void check_event(struct check *c, struct slice key, struct slice value)
{
	AUTO(event_record_release) struct event_record e = { 0 };

	if (key.len != 9 || event_decode(value, &e) < 0)
		wrong(c, "event %llu cannot be read", U(key_u64_at(key, 1)));
}

/* Each line has the hash of the one before it, and the next number. */
void check_line(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct journal_head *head = &c->journal;
	struct digest prev;
	uint64_t number;

	head->count++;
	head->bytes += value.len;
	if (key.len != 9 || key_u64_at(key, 1) != head->bytes)
		wrong(c, "line %llu of the journal ends at %llu, not %llu", U(head->count),
		      U(key_u64_at(key, 1)), U(head->bytes));
	if (document_event_read(value, &number, &prev, &why) < 0)
		wrong(c, "line %llu of the journal: %s", U(head->count), buf_str(&why));
	else if (number != head->count || !digest_equal(&prev, &head->digest))
		wrong(c, "line %llu of the journal does not follow the one before",
		      U(head->count));
	digest_of(value, &head->digest);
}

void check_journal_head(struct check *c)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct journal_head head = { 0 };

	if (get(c, KEY(store("journal")), &b) && decode_journal_head(buf_slice(&b), &head) < 0)
		wrong(c, "the head of the journal cannot be read");
	if (head.count != c->journal.count || head.bytes != c->journal.bytes ||
	    !digest_equal(&head.digest, &c->journal.digest))
		wrong(c, "the journal does not end as its head says");
	if (head.broken)
		wrong(c, "the journal is broken since line %llu", U(head.broken));
}
