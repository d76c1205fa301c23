/*
 * codec_key.c - the keys of codec.h.
 */
#include "codec.h"

#include <assert.h>

static struct key key_of(char kind)
{
	struct key k;

	k.bytes[0] = (uint8_t)kind;
	k.len = 1;
	return k;
}

static void key_add(struct key *k, const void *data, size_t len)
{
	assert(k->len + len <= sizeof(k->bytes));
	if (len)
		memcpy(k->bytes + k->len, data, len);
	k->len += len;
}

static void key_add_number(struct key *k, uint64_t n, unsigned width)
{
	uint8_t be[8];

	for (unsigned i = 0; i < width; i++)
		be[i] = (uint8_t)(n >> (8 * (width - 1 - i)));
	key_add(k, be, width);
}

static struct key key_name(char kind, struct slice name)
{
	struct key k = key_of(kind);

	key_add(&k, name.data, name.len);
	return k;
}

static struct key key_id(char kind, uint32_t id)
{
	struct key k = key_of(kind);

	key_add_number(&k, id, 4);
	return k;
}

static struct key key_pair(char kind, uint32_t a, uint32_t b)
{
	struct key k = key_id(kind, a);

	key_add_number(&k, b, 4);
	return k;
}

static struct key key_id_name(char kind, uint32_t id, struct slice name)
{
	struct key k = key_id(kind, id);

	key_add(&k, name.data, name.len);
	return k;
}

static struct key key_digest(char kind, const struct digest *digest)
{
	struct key k = key_of(kind);

	key_add(&k, digest->bytes, DIGEST_SIZE);
	return k;
}

static struct key key_wide(char kind, uint64_t id)
{
	struct key k = key_of(kind);

	key_add_number(&k, id, 8);
	return k;
}

struct key key_store(const char *what)
{
	return key_name('M', slice_str(what));
}

struct key key_next_id(uint8_t kind)
{
	struct key k = key_of('I');

	key_add_number(&k, kind, 1);
	return k;
}

struct key key_collection_name(struct slice name)
{
	return key_name('c', name);
}

struct key key_collection(uint32_t collection)
{
	return key_id('C', collection);
}

struct key key_version(uint32_t collection, uint32_t number)
{
	return key_pair('V', collection, number);
}

struct key key_prefix_versions(uint32_t collection, uint32_t number)
{
	struct key k = key_version(collection, number);

	k.len--;
	return k;
}

struct key key_removed(uint32_t collection, uint32_t number)
{
	return key_pair('X', collection, number);
}

struct key key_purged(uint32_t collection, uint32_t number)
{
	return key_pair('G', collection, number);
}

struct key key_alias(uint32_t collection, struct slice alias)
{
	return key_id_name('A', collection, alias);
}

struct key key_alias_of(uint32_t version, struct slice alias)
{
	return key_id_name('m', version, alias);
}

struct key key_version_note(uint32_t version)
{
	return key_id('W', version);
}

struct key key_version_metadata(uint32_t version)
{
	return key_id('J', version);
}

struct key key_version_tag(uint32_t version, struct slice tag)
{
	return key_id_name('s', version, tag);
}

struct key key_last_use(uint32_t version)
{
	return key_id('K', version);
}

struct key key_reference(uint32_t version, uint32_t slot)
{
	return key_pair('O', version, slot);
}

struct key key_prefix_named(char kind, struct slice name)
{
	struct key k = key_name(kind, name);

	key_add_number(&k, 0, 1);
	return k;
}

struct key key_after_named(char kind, struct slice name)
{
	struct key k = key_name(kind, name);

	key_add_number(&k, 1, 1);
	return k;
}

struct slice key_named(struct slice key)
{
	struct slice name = key_name_after(key, 1);
	const char *end = memchr(name.data, '\0', name.len);

	return end ? slice(name.data, (size_t)(end - (const char *)name.data)) : name;
}

struct key key_tagged(struct slice tag, enum tagged kind, uint32_t id)
{
	struct key k = key_prefix_named('S', tag);

	key_add_number(&k, kind, 1);
	key_add_number(&k, id, 4);
	return k;
}

struct key key_of_type(struct slice type, uint32_t collection)
{
	struct key k = key_prefix_named('Y', type);

	key_add_number(&k, collection, 4);
	return k;
}

struct key key_of_job(struct slice job_type, uint32_t run)
{
	struct key k = key_prefix_named('H', job_type);

	key_add_number(&k, run, 4);
	return k;
}

struct key key_event(uint64_t event)
{
	return key_wide('E', event);
}

struct key key_journal(uint64_t end)
{
	return key_wide('L', end);
}

struct key key_version_id(uint32_t version)
{
	return key_id('v', version);
}

struct key key_equal(uint32_t collection, const struct digest *digest)
{
	struct key k = key_id('D', collection);

	key_add(&k, digest->bytes, DIGEST_SIZE);
	return k;
}

struct key key_run_name(struct slice name)
{
	return key_name('r', name);
}

struct key key_run(uint32_t run)
{
	return key_id('R', run);
}

struct key key_run_log(uint32_t run)
{
	return key_id('l', run);
}

struct key key_process(uint32_t run, uint32_t slot)
{
	return key_pair('q', run, slot);
}

struct key key_watched(uint32_t run)
{
	return key_id('Q', run);
}

struct key key_pin(uint32_t run, uint32_t collection, struct slice alias)
{
	struct key k = key_pair('k', run, collection);

	key_add(&k, alias.data, alias.len);
	return k;
}

struct key key_prefix_pins(uint32_t run, uint32_t collection)
{
	return key_pair('k', run, collection);
}

struct key key_view(uint32_t run, uint32_t version)
{
	return key_pair('w', run, version);
}

struct key key_peeked(uint32_t run, uint32_t other)
{
	return key_pair('f', run, other);
}

struct key key_peeked_by(uint32_t other, uint32_t run)
{
	return key_pair('a', other, run);
}

struct key key_unseen(uint32_t version)
{
	return key_id('U', version);
}

struct key key_run_json(uint32_t run, struct slice what)
{
	return key_id_name('j', run, what);
}

struct key key_run_tag(uint32_t run, struct slice tag)
{
	return key_id_name('g', run, tag);
}

struct key key_input(uint32_t run, struct slice role)
{
	return key_id_name('i', run, role);
}

struct key key_use(uint32_t run, uint32_t version)
{
	return key_pair('e', run, version);
}

struct key key_used_by(uint32_t version, uint32_t run)
{
	return key_pair('u', version, run);
}

struct key key_logged(uint32_t run, uint32_t version)
{
	return key_pair('o', run, version);
}

struct key key_logged_by(uint32_t version, uint32_t run)
{
	return key_pair('p', version, run);
}

struct key key_draft(uint32_t run, struct slice name)
{
	return key_id_name('d', run, name);
}

struct key key_prefix_known_files(uint32_t run, struct slice name)
{
	struct key k = key_id_name('h', run, name);

	key_add_number(&k, 0, 1);
	return k;
}

struct key key_known_files(uint32_t run, struct slice name, uint32_t chunk)
{
	struct key k = key_prefix_known_files(run, name);

	key_add_number(&k, chunk, 4);
	return k;
}

struct key key_page_digest(const struct digest *digest)
{
	return key_digest('t', digest);
}

struct key key_page(uint64_t page)
{
	return key_wide('T', page);
}

struct key key_prefix_page_refs(uint64_t page)
{
	return key_wide('P', page);
}

struct key key_page_ref(uint64_t page, enum referrer kind, uint64_t id)
{
	struct key k = key_prefix_page_refs(page);

	key_add_number(&k, kind, 1);
	key_add_number(&k, id, 8);
	return k;
}

struct key key_blob(const struct digest *digest)
{
	return key_digest('B', digest);
}

struct key key_prefix_blob_refs(const struct digest *digest)
{
	return key_digest('b', digest);
}

struct key key_blob_ref(const struct digest *digest, uint64_t page)
{
	struct key k = key_prefix_blob_refs(digest);

	key_add_number(&k, page, 8);
	return k;
}

struct key key_borrowed(uint32_t run, uint64_t page)
{
	struct key k = key_id('F', run);

	key_add_number(&k, page, 8);
	return k;
}

struct key key_intent(uint64_t intent)
{
	return key_wide('N', intent);
}

struct key key_prefix_intent_parts(uint64_t intent)
{
	return key_wide('n', intent);
}

struct key key_intent_part(uint64_t intent, uint32_t part)
{
	struct key k = key_prefix_intent_parts(intent);

	key_add_number(&k, part, 4);
	return k;
}

struct key key_damaged(const struct digest *digest)
{
	return key_digest('!', digest);
}

struct key key_doomed_page(uint64_t page)
{
	return key_wide('x', page);
}

struct key key_doomed_blob(const struct digest *digest)
{
	return key_digest('y', digest);
}

struct key key_removed_blob(const struct blob_id *id)
{
	struct key k = key_digest('z', &id->digest);

	key_add_number(&k, id->generation, 8);
	return k;
}

struct key key_prefix(char kind)
{
	return key_of(kind);
}

struct key key_prefix_id(char kind, uint32_t id)
{
	return key_id(kind, id);
}

struct slice key_name_after(struct slice key, size_t fixed)
{
	return key.len < fixed ? slice("", 0) :
				 slice((const uint8_t *)key.data + fixed, key.len - fixed);
}

static uint64_t key_number_at(struct slice key, size_t at, unsigned width)
{
	const uint8_t *p = key.data;
	uint64_t n = 0;

	if (key.len < at + width)
		return 0;
	for (unsigned i = 0; i < width; i++)
		n = n << 8 | p[at + i];
	return n;
}

uint32_t key_u32_at(struct slice key, size_t at)
{
	return (uint32_t)key_number_at(key, at, 4);
}

uint64_t key_u64_at(struct slice key, size_t at)
{
	return key_number_at(key, at, 8);
}

int key_digest_at(struct slice key, size_t at, struct digest *ret)
{
	if (key.len < at + DIGEST_SIZE)
		return -EIO;
	memcpy(ret->bytes, (const uint8_t *)key.data + at, DIGEST_SIZE);
	return 0;
}
