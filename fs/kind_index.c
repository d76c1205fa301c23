/*
 * kind_index.c - /types, /jobs, /tags and /digests: links to what is of a type, of a job type, has a
 * tag, or holds some bytes. Everybody finds there what it could find by walking the rest of the
 * mount, and a directory that would be empty for it is not there.
 *
 * A directory's number is a hash of its name (struct node_kind.hashed); so is that of a link below
 * /digests, of the digest and the label.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/holders.h"
#include "core/run.h"

/* So many items are read at a time. */
#define BATCH 64

static const struct place {
	const struct node_kind *top, *name; /* /tags, /tags/<tag> */
	enum ino_class class;		    /* of /tags/<tag> */
} places[] = {
	[INDEX_TYPES] = { &kind_types, &kind_by_type, INO_BY_TYPE },
	[INDEX_JOBS] = { &kind_jobs, &kind_by_job, INO_BY_JOB },
	[INDEX_TAGS] = { &kind_tags, &kind_by_tag, INO_BY_TAG },
};

static enum index index_of(const struct node *dir)
{
	enum index index = INDEX_TYPES;

	while (dir->kind != places[index].top && dir->kind != places[index].name)
		index++;
	return index;
}

static uint64_t ino_of_name(enum ino_class class, const char *name)
{
	struct digest digest;
	uint64_t number;

	digest_of(slice_str(name), &digest);
	memcpy(&number, digest.bytes, sizeof(number));
	return ino_of_number(class, number);
}

int index_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0555;
	return 0;
}

/* What a link leads to: a run, or a collection, or one and a version. */
struct thing {
	struct collection collection;
	struct run run;
	struct version version;
};

static void thing_release(struct thing *t)
{
	collection_release(&t->collection);
	run_release(&t->run);
}

static int thing_of(struct vfs *vfs, const struct node *node, struct thing *ret)
{
	uint32_t collection = node->a;
	int err = 0;

	*ret = (struct thing){ 0 };
	if (node->b == INDEX_RUN)
		return run_get(vfs->store, node->a, &ret->run);
	if (node->b == INDEX_VERSION) {
		err = version_get_by_id(vfs->store, node->a, &ret->version);
		collection = ret->version.collection;
	}
	return err < 0 ? err : collection_get(vfs->store, collection, &ret->collection);
}

/* As old as what it leads to, and of the same owner. */
int index_link_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	AUTO(thing_release) struct thing t;
	int err = thing_of(vfs, node, &t);

	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_mode = 0777;
	st->st_uid = node->b == INDEX_RUN	? t.run.uid :
		     node->b == INDEX_VERSION ? t.version.uid : t.collection.uid;
	st->st_gid = node->b == INDEX_RUN	? t.run.gid :
		     node->b == INDEX_VERSION ? t.version.gid : t.collection.gid;
	st->st_mtim = timespec_of_ns(node->b == INDEX_RUN     ? t.run.created :
				     node->b == INDEX_VERSION ? t.version.created :
								t.collection.created);
	return 0;
}

uint64_t index_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	return node_fixed_number(&kind_root, INO_FIXED, 0, places[index_of(dir)].top);
}

uint64_t digest_parent(struct vfs *vfs, const struct node *dir)
{
	(void)vfs;
	(void)dir;
	return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_digests);
}

int index_link_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		      struct buf *ret)
{
	AUTO(thing_release) struct thing t;
	int err = thing_of(vfs, node, &t);

	(void)call;
	if (err < 0)
		return err;
	if (node->b == INDEX_RUN)
		buf_printf(ret, "../../runs/%s", t.run.name);
	else
		buf_printf(ret, "../../artifacts/%s", t.collection.name);
	if (node->b == INDEX_VERSION)
		buf_printf(ret, "/v%u", t.version.number);
	return 0;
}

/* ---- /types, /jobs, /tags and what is below ---- */

static void name_node(enum index index, const char *name, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_name(places[index].class, name),
		.kind = places[index].name,
		.name = xstrdup(name),
	};
}

int index_names_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *child, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	int any = index_has(vfs->store, index_of(dir), slice_str(child), &cred);

	if (any > 0)
		name_node(index_of(dir), child, ret);
	return any < 0 ? any : any > 0 ? 0 : -ENOENT;
}

static uint64_t item_ino(enum index index, const struct index_item *item)
{
	if (index == INDEX_TAGS)
		return ino_of_ids(item->kind == INDEX_RUN ? INO_TAGGED_RUN : INO_TAGGED_VERSION,
				  item->id, item->slot);
	return ino_of_ids(index == INDEX_TYPES ? INO_TYPED : INO_WITH_JOB, item->id, 0);
}

int index_items_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     const char *child, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	struct index_item item;
	int err = index_find(vfs->store, index_of(dir), slice_str(dir->name), child, &cred, &item);

	if (err == 0)
		*ret = (struct node){
			.ino = item_ino(index_of(dir), &item),
			.kind = &kind_index_link,
			.a = item.id,
			.b = item.kind,
		};
	return err;
}

/*
 * A listing of names or items. A cookie is an entry's place: to go to one takes going through all
 * before it, which nobody does who reads on where the last read ended.
 */
struct index_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	struct cred who; /* lists */
	off_t place;
	struct buf name; /* of the last entry */
	/* Items: the batch, and where the next one begins. */
	struct index_item batch[BATCH];
	size_t count, given;
	struct buf at;
	struct holders *holders; /* below /digests */
	size_t holder;
	bool cut; /* TRUNCATED was given */
};

static int give_dots(struct index_listing *l, struct listed *ret)
{
	ret->name = l->place == 0 ? "." : "..";
	ret->ino = l->dir->ino;
	ret->type = S_IFDIR;
	ret->cookie = ++l->place;
	return 1;
}

static int give(struct index_listing *l, uint64_t ino, mode_t type, struct listed *ret)
{
	ret->name = buf_str(&l->name);
	ret->ino = ino;
	ret->type = type;
	ret->cookie = ++l->place;
	return 1;
}

static int names_next(struct listing *listing, struct listed *ret)
{
	struct index_listing *l = container_of(listing, struct index_listing, listing);
	AUTO(buf_release) struct buf name = BUF_INIT;
	enum index index = index_of(l->dir);
	int more;

	*ret = (struct listed){ .bare = true };
	if (l->place < 2)
		return give_dots(l, ret);
	more = index_next_name(l->vfs->store, index, buf_slice(&l->name), &l->who, &name);
	if (more <= 0)
		return more;
	buf_reset(&l->name);
	buf_add_slice(&l->name, buf_slice(&name));
	return give(l, ino_of_name(places[index].class, buf_str(&l->name)), S_IFDIR, ret);
}

/* The next item: 1, 0 at the end, -errno. */
static int next_item(struct index_listing *l, const struct index_item **ret)
{
	struct store *store = l->vfs->store;
	int n;

	if (l->given == l->count) {
		n = l->holders ? holders_next(store, l->holders, &l->who, &l->holder, l->batch,
					      BATCH) :
				 index_next(store, index_of(l->dir), slice_str(l->dir->name),
					    &l->who, &l->at, l->batch, BATCH);
		if (n <= 0)
			return n;
		l->count = (size_t)n;
		l->given = 0;
	}
	*ret = &l->batch[l->given++];
	return 1;
}

static int items_next(struct listing *listing, struct listed *ret)
{
	struct index_listing *l = container_of(listing, struct index_listing, listing);
	const struct index_item *item;
	int more;

	*ret = (struct listed){ .bare = true };
	if (l->place < 2)
		return give_dots(l, ret);
	more = next_item(l, &item);
	if (more <= 0)
		return more;
	buf_reset(&l->name);
	buf_add_str(&l->name, item->name);
	return give(l, item_ino(index_of(l->dir), item), S_IFLNK, ret);
}

static int list_seek(struct listing *listing, off_t cookie)
{
	struct index_listing *l = container_of(listing, struct index_listing, listing);
	struct listed entry;

	l->place = 0;
	buf_reset(&l->name);
	buf_reset(&l->at);
	l->count = l->given = l->holder = 0;
	l->cut = false;
	while (l->place < cookie) {
		int more = listing->ops->next(listing, &entry);

		if (more <= 0)
			return more;
	}
	return 0;
}

static void list_close(struct listing *listing)
{
	struct index_listing *l = container_of(listing, struct index_listing, listing);

	if (l->holders)
		holders_put(l->vfs->store, l->holders);
	buf_release(&l->name);
	buf_release(&l->at);
	free(l);
}

static struct index_listing *list_new(struct vfs *vfs, const struct vfs_call *call,
				      struct node *dir, const struct listing_ops *ops)
{
	struct index_listing *l = xcalloc(1, sizeof(*l));

	l->listing.ops = ops;
	l->vfs = vfs;
	l->dir = dir;
	l->who = vfs_cred(call);
	return l;
}

static const struct listing_ops names_ops = { list_seek, names_next, NULL, list_close };
static const struct listing_ops items_ops = { list_seek, items_next, NULL, list_close };

int index_names_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     struct listing **ret)
{
	*ret = &list_new(vfs, call, dir, &names_ops)->listing;
	return 0;
}

int index_items_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     struct listing **ret)
{
	*ret = &list_new(vfs, call, dir, &items_ops)->listing;
	return 0;
}

/* ---- /digests: its directories are found, not listed ---- */

/* In lower case, as sha256sum prints it: one name for one directory. */
int digests_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		 const char *child, struct node *ret)
{
	struct cred cred = vfs_cred(call);
	struct digest digest;
	int any;

	(void)dir;
	if (digest_from_hex(slice_str(child), &digest) < 0)
		return -ENOENT;
	any = holders_any(vfs->store, &digest, &cred);
	if (any > 0)
		*ret = (struct node){
			.ino = ino_of_name(INO_BY_DIGEST, child),
			.kind = &kind_by_digest,
			.name = xstrdup(child),
		};
	return any < 0 ? any : any > 0 ? 0 : -ENOENT;
}

static void digest_child(const struct node *dir, const struct node_kind *kind, const char *name,
			 uint32_t version, struct node *ret)
{
	*ret = (struct node){
		.kind = kind,
		.a = version,
		.b = INDEX_VERSION,
		.name = xasprintf("%s/%s", dir->name, name),
	};
	ret->ino = ino_of_name(INO_WITH_DIGEST, ret->name);
}

static struct digest digest_of_node(const struct node *dir)
{
	struct digest digest = { { 0 } };

	digest_from_hex(slice_str(dir->name), &digest);
	return digest;
}

static int find_truncated(struct vfs *vfs, const struct node *dir, struct node *ret)
{
	struct digest digest = digest_of_node(dir);
	struct holders *h;
	int err = holders_get(vfs->store, &digest, &h);

	if (err < 0)
		return err;
	if (h->truncated)
		digest_child(dir, &kind_digest_truncated, "TRUNCATED", 0, ret);
	else
		err = -ENOENT;
	holders_put(vfs->store, h);
	return err;
}

int digest_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *child,
		struct node *ret)
{
	struct digest digest = digest_of_node(dir);
	struct cred cred = vfs_cred(call);
	struct index_item item;
	int err;

	if (!strcmp(child, "TRUNCATED"))
		return find_truncated(vfs, dir, ret);
	err = holders_find(vfs->store, &digest, child, &cred, &item);
	if (err == 0)
		digest_child(dir, &kind_digest_link, child, item.id, ret);
	return err;
}

static int digest_next(struct listing *listing, struct listed *ret)
{
	struct index_listing *l = container_of(listing, struct index_listing, listing);
	const struct index_item *item;
	struct node child;
	bool cut;
	int more;

	*ret = (struct listed){ .bare = true };
	if (l->place < 2)
		return give_dots(l, ret);
	more = next_item(l, &item);
	cut = more == 0 && l->holders->truncated && !l->cut;
	if (more <= 0 && !cut)
		return more;
	l->cut |= cut;
	buf_reset(&l->name);
	buf_add_str(&l->name, cut ? "TRUNCATED" : item->name);
	digest_child(l->dir, &kind_digest_link, buf_str(&l->name), 0, &child);
	more = give(l, child.ino, cut ? S_IFREG : S_IFLNK, ret);
	node_spec_release(&child);
	return more;
}

static const struct listing_ops digest_ops = { list_seek, digest_next, NULL, list_close };

int digest_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		struct listing **ret)
{
	struct index_listing *l = list_new(vfs, call, dir, &digest_ops);
	struct digest digest = digest_of_node(dir);
	int err = holders_get(vfs->store, &digest, &l->holders);

	if (err < 0) {
		list_close(&l->listing);
		return err;
	}
	*ret = &l->listing;
	return 0;
}
