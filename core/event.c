#include "event.h"

#include <stdio.h>

static const char *const names[EVENT_KINDS] = {
	[EVENT_RUN_STARTED] = "run_started",
	[EVENT_RUN_ENDED] = "run_ended",
	[EVENT_RUN_RESUMED] = "run_resumed",
	[EVENT_RUN_REMOVED] = "run_removed",
	[EVENT_LOGGED] = "logged",
	[EVENT_LOGGED_EQUAL] = "logged_equal",
	[EVENT_INPUT] = "input",
	[EVENT_INPUT_REMOVED] = "input_removed",
	[EVENT_INPUT_RENAMED] = "input_renamed",
	[EVENT_PEEKED] = "draft_read",
	[EVENT_ALIAS] = "alias",
	[EVENT_TAGGED] = "tagged",
	[EVENT_UNTAGGED] = "untagged",
	[EVENT_TEXT] = "text",
	[EVENT_OWNER] = "owner",
	[EVENT_COLLECTION_MADE] = "collection_made",
	[EVENT_COLLECTION_REMOVED] = "collection_removed",
	[EVENT_REMOVED] = "removed",
	[EVENT_RESTORED] = "restored",
	[EVENT_PURGED] = "purged",
	[EVENT_DAMAGED] = "damaged",
	[EVENT_HEALED] = "healed",
};

static _Thread_local struct actor current;
static _Thread_local bool is_set;

struct actor actor_get(void)
{
	return is_set ? current : (struct actor){ .uid = geteuid(), .pid = getpid() };
}

struct actor actor_set(struct actor actor)
{
	struct actor before = actor_get();

	current = actor;
	is_set = true;
	return before;
}

const char *event_kind_name(enum event_kind kind)
{
	return kind < EVENT_KINDS ? names[kind] : NULL;
}

static void put_optional(struct buf *b, const char *s)
{
	put_str(b, s ? s : "");
}

static void encode(struct buf *b, const struct event *e)
{
	struct actor actor = actor_get();
	size_t n = 0;

	for (size_t i = 0; i < EVENT_DETAILS && e->details[i].name; i++)
		n += e->details[i].value != NULL;
	put_u64(b, e->kind);
	put_u64(b, store_now());
	put_u64(b, actor.uid);
	put_u64(b, (uint32_t)actor.pid);
	put_u64(b, e->version);
	put_optional(b, e->run);
	put_optional(b, e->object);
	put_u64(b, n);
	for (size_t i = 0; i < EVENT_DETAILS && e->details[i].name; i++) {
		if (!e->details[i].value)
			continue;
		put_str(b, e->details[i].name);
		put_str(b, e->details[i].value);
	}
}

int event_put(struct kv_txn *txn, struct store *store, const struct event *event)
{
	AUTO(buf_release) struct buf b = BUF_INIT;
	uint64_t number;
	int err = store_new_ids(store, ID_EVENT, 1, &number);

	if (err < 0)
		return err;
	encode(&b, event);
	err = kv_put(txn, KV_META, KEY(event(number)), buf_slice(&b));
	/* Before the commit: a journal that looks too early looks once more. */
	atomic_store(&store->events_put, true);
	return err;
}

int event_put_owner(struct kv_txn *txn, struct store *store, const char *run, const char *object,
		    uid_t uid, gid_t gid, mode_t mode)
{
	char owner[16], group[16], bits[16];

	snprintf(owner, sizeof(owner), "%u", (unsigned)uid);
	snprintf(group, sizeof(group), "%u", (unsigned)gid);
	snprintf(bits, sizeof(bits), "%04o", (unsigned)mode);
	return event_put(txn, store, &(struct event){
		.kind = EVENT_OWNER, .run = run, .object = object,
		.details = { { "owner", owner }, { "group", group }, { "mode", bits } },
	});
}

void event_record_release(struct event_record *r)
{
	free(r->run);
	free(r->object);
	for (size_t i = 0; i < ARRAY_SIZE(r->details); i++)
		free(r->details[i]);
	*r = (struct event_record){ 0 };
}

int event_decode(struct slice s, struct event_record *ret)
{
	struct reader r = reader_of(s);
	struct event_record e = { 0 };
	uint64_t kind = get_u64(&r), n;

	e.kind = (enum event_kind)kind;
	e.time = get_u64(&r);
	e.actor.uid = get_u32(&r);
	e.actor.pid = (pid_t)get_u32(&r);
	e.version = get_u32(&r);
	e.run = get_str(&r);
	e.object = get_str(&r);
	n = get_u64(&r);
	for (; e.detail_count < n && e.detail_count < EVENT_DETAILS; e.detail_count++) {
		e.details[2 * e.detail_count] = get_str(&r);
		e.details[2 * e.detail_count + 1] = get_str(&r);
	}
	if (reader_end(&r) < 0 || kind >= EVENT_KINDS) {
		event_record_release(&e);
		return -EIO;
	}
	*ret = e;
	return 0;
}
