/*
 * check_journal.c - the audit log. Nothing of it is repaired: it would not be one.
 */
#include "check_private.h"

#include "document_event.h"

void check_event(struct check *c, struct slice key, struct slice value)
{
	AUTO(event_record_release) struct event_record e = { 0 };

	if (key.len != 9 || event_decode(value, &e) < 0)
		check_wrong(c, "event-unreadable", "event %llu cannot be read",
			    U(key_u64_at(key, 1)));
}

/* Each line has the hash of the one before it, and the next number. */
void check_line(struct check *c, struct slice key, struct slice value)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct journal_head *head = &c->cursor->journal;
	struct digest prev;
	uint64_t number;

	head->count++;
	head->bytes += value.len;
	if (key.len != 9 || key_u64_at(key, 1) != head->bytes)
		check_wrong(c, "audit-log-broken", "line %llu of the audit log is not where the "
			    "one before it ends", U(head->count));
	else if (document_event_read(value, &number, &prev, &why) < 0)
		check_wrong(c, "audit-log-broken", "line %llu of the audit log: %s", U(head->count),
			    buf_str(&why));
	else if (number != head->count || !digest_equal(&prev, &head->digest))
		check_wrong(c, "audit-log-broken", "line %llu of the audit log does not follow "
			    "the one before it", U(head->count));
	/* Told once, not of each line after it. */
	if (key.len == 9)
		head->bytes = key_u64_at(key, 1);
	digest_of(value, &head->digest);
}

void check_journal_head(struct check *c)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	const struct journal_head *seen = &c->cursor->journal;
	struct journal_head head = { 0 };

	if (check_get(c, KEY(store("journal")), &b) &&
	    decode_journal_head(buf_slice(&b), &head) < 0)
		check_wrong(c, "audit-log-head", "where the audit log ends cannot be read");
	else if (head.count != seen->count || head.bytes != seen->bytes ||
		 !digest_equal(&head.digest, &seen->digest))
		check_wrong(c, "audit-log-head", "the audit log has %llu lines, and is to have "
			    "%llu", U(seen->count), U(head.count));
	if (head.broken)
		check_wrong(c, "audit-log-broken", "line %llu of the audit log was written after "
			    "somebody had edited those before", U(head.broken));
}
