/*
 * kind_lineage.c - /lineage: for each version and run all that it was made from, and all that was
 * made from it, as directories of links and as documents.
 *
 * Directories show a caller what it may read: a version that it may not is not named to it.
 * Documents are the same for everybody, so they name only what everybody may read.
 */
#include "tree.h"
#include "vfs_private.h"

#include "page.h"

#include "core/artifact.h"
#include "core/document.h"
#include "core/lineage.h"
#include "core/run.h"

#include <stdio.h>

/* What a number of one of the 16 classes is of. */
enum part { PART_ARTIFACT, PART_RUN, PART_TYPED, PART_TYPE };

/* A directory of a closure: of what, which way, and what is in it. */
struct spot {
	struct lineage_node of;
	enum lineage_direction direction;
	enum part part; /* of nodes in the classes of parts */
};

static bool has_part(const struct node *node)
{
	unsigned class = (unsigned)(node->ino >> INO_NUMBER_BITS);

	return class >= INO_LINEAGE_FIRST && class <= INO_LINEAGE_LAST;
}

static uint64_t part_ino(const struct spot *spot, enum part part, uint32_t id)
{
	unsigned class = INO_LINEAGE_FIRST + ((unsigned)spot->of.kind * 2 + spot->direction) * 4 +
			 part;

	return ino_of_ids((enum ino_class)class, spot->of.id, id);
}

static struct spot spot_of(const struct node *node)
{
	unsigned class = (unsigned)(node->ino >> INO_NUMBER_BITS);
	struct spot spot = { .of.id = node->a };

	if (has_part(node)) {
		class -= INO_LINEAGE_FIRST;
		spot.of.kind = (enum lineage_kind)(class / 8);
		spot.direction = (enum lineage_direction)(class / 4 % 2);
		spot.part = (enum part)(class % 4);
	} else {
		spot.of.kind = class == INO_LINEAGE_RUN ? LINEAGE_RUN : LINEAGE_VERSION;
		spot.direction = node->b >= LINEAGE_DOWN_SLOT ? LINEAGE_DOWN : LINEAGE_UP;
	}
	return spot;
}

/* ---- /lineage itself ---- */

static bool may_read(const struct vfs_call *call, const struct version *v)
{
	struct cred cred;

	if (!call)
		return v->mode & 04;
	cred = vfs_cred(call);
	return cred_may(&cred, v->uid, v->gid, version_directory_mode(v), 4);
}

static bool may_read_place(struct store *store, const struct vfs_call *call, uint32_t id,
			   const struct lineage_place *place)
{
	struct version v;

	return place->readable || (version_get_by_id(store, id, &v) == 0 && may_read(call, &v));
}

int lineages_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *child, struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	bool version = strchr(child, ':');
	struct version v;
	uint32_t id;
	int err = version ? version_find_label(vfs->store, child, &v) :
			    run_find(vfs->store, slice_str(child), &run);

	(void)dir;
	if (err == 0 && version && !may_read(call, &v))
		err = -EACCES;
	if (err < 0)
		return err;
	id = version ? v.id : run.id;
	*ret = (struct node){
		.ino = ino_of_ids(version ? INO_LINEAGE_VERSION : INO_LINEAGE_RUN, id, 0),
		.kind = &kind_lineage,
		.a = id,
	};
	return 0;
}

int lineage_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0555;
	return 0;
}

/* Who may not read a version may not know what it was made from. */
int lineage_node_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct version v;
	int err;

	st->st_mode = 0555;
	if (spot_of(node).of.kind == LINEAGE_RUN)
		return 0;
	err = version_get_by_id(vfs->store, node->a, &v);
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_uid = v.uid;
	st->st_gid = v.gid;
	st->st_mode = version_directory_mode(&v);
	return 0;
}

int lineage_text_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0444;
	return 0;
}

int lineage_link_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0777;
	return 0;
}

uint64_t lineage_parent(struct vfs *vfs, const struct node *dir)
{
	struct spot spot = spot_of(dir);
	bool up = spot.direction == LINEAGE_UP;
	enum ino_class class = spot.of.kind == LINEAGE_RUN ? INO_LINEAGE_RUN : INO_LINEAGE_VERSION;
	const struct node_kind *way = up ? &kind_lineage_up : &kind_lineage_down;

	(void)vfs;
	if (dir->kind == &kind_lineage)
		return node_fixed_number(&kind_root, INO_FIXED, 0, &kind_lineages);
	if (dir->kind == &kind_lineage_up || dir->kind == &kind_lineage_down)
		return ino_of_ids(class, dir->a, 0);
	if (dir->kind == &kind_lineage_type)
		return node_fixed_number(way, class, dir->a, &kind_lineage_types);
	return node_fixed_number(&kind_lineage, class, dir->a, way);
}

/* ---- finding ---- */

static void link_node(const struct spot *spot, enum part part, uint32_t id, struct node *ret)
{
	*ret = (struct node){
		.ino = part_ino(spot, part, id),
		.kind = &kind_lineage_link,
		.a = spot->of.id,
		.b = id,
	};
}

static void truncated_node(const struct node *dir, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_ids((enum ino_class)(dir->ino >> INO_NUMBER_BITS), dir->a,
				  dir->b + 64),
		.kind = &kind_lineage_truncated,
		.a = dir->a,
		.b = dir->b + 64,
	};
}

/* TRUNCATED itself, if the closure is; else -ENOENT. */
static int find_truncated(const struct node *dir, const struct lineage_closure *closure,
			  const char *child, struct node *ret)
{
	if (!closure->truncated || strcmp(child, "TRUNCATED") != 0)
		return -ENOENT;
	truncated_node(dir, ret);
	return 0;
}

int lineage_artifacts_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			   const char *child, struct node *ret)
{
	struct spot spot = spot_of(dir);
	struct lineage_closure *closure;
	struct version v;
	int err = lineage_closure_get(vfs->store, spot.of, spot.direction, &closure);

	if (err < 0)
		return err;
	err = version_find_label(vfs->store, child, &v);
	if (err == 0 && (!lineage_has(closure->versions, closure->version_count, v.id) ||
			 !may_read(call, &v)))
		err = -ENOENT;
	if (err == 0)
		link_node(&spot, PART_ARTIFACT, v.id, ret);
	else if (err == -ENOENT)
		err = find_truncated(dir, closure, child, ret);
	lineage_closure_put(vfs->store, closure);
	return err;
}

int lineage_runs_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *child, struct node *ret)
{
	AUTO(run_release) struct run run = { 0 };
	struct spot spot = spot_of(dir);
	struct lineage_closure *closure;
	int err = lineage_closure_get(vfs->store, spot.of, spot.direction, &closure);

	(void)call;
	if (err < 0)
		return err;
	err = run_find(vfs->store, slice_str(child), &run);
	if (err == 0 && !lineage_has(closure->runs, closure->run_count, run.id))
		err = -ENOENT;
	if (err == 0)
		link_node(&spot, PART_RUN, run.id, ret);
	else if (err == -ENOENT)
		err = find_truncated(dir, closure, child, ret);
	lineage_closure_put(vfs->store, closure);
	return err;
}

/* ---- listing ---- */

/* The collections of a listing's versions, read once each. */
struct shelf {
	struct collection *list; /* by id */
	size_t count;
};

static void shelf_release(struct shelf *s)
{
	for (size_t i = 0; i < s->count; i++)
		collection_release(&s->list[i]);
	free(s->list);
}

static int shelf_get(struct shelf *s, struct store *store, uint32_t id,
		     const struct collection **ret)
{
	if (id >= s->count) {
		size_t count = (size_t)id + 16;

		s->list = xrealloc(s->list, count * sizeof(*s->list));
		memset(s->list + s->count, 0, (count - s->count) * sizeof(*s->list));
		s->count = count;
	}
	if (!s->list[id].name) {
		int err = collection_get(store, id, &s->list[id]);

		if (err < 0)
			return err;
	}
	*ret = &s->list[id];
	return 0;
}

/* A cookie is a place in the closure, which does not change, after "." and "..". */
struct lineage_listing {
	struct listing listing;
	struct vfs *vfs;
	struct node *dir;
	struct spot spot;
	struct lineage_closure *closure;
	struct vfs_call who; /* lists */
	enum part part;
	const char *type; /* of PART_TYPED: the directory's; borrowed from the node */
	struct shelf shelf;
	struct buf name;
	off_t place;
};

static size_t item_count(const struct lineage_listing *l)
{
	return l->part == PART_RUN ? l->closure->run_count : l->closure->version_count;
}

/* 1: named; 0: not for this listing, or it went. */
static int name_version(struct lineage_listing *l, uint32_t id)
{
	struct store *store = l->vfs->store;
	const struct collection *c;
	struct lineage_place place;
	int err = lineage_place_of(store, id, &place);

	if (err == 0)
		err = shelf_get(&l->shelf, store, place.collection, &c);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if ((l->part == PART_TYPED && strcmp(c->type, l->type) != 0) ||
	    !may_read_place(store, &l->who, id, &place))
		return 0;
	version_label(&l->name, c->name, place.number);
	return 1;
}

static int name_run(struct lineage_listing *l, uint32_t id)
{
	AUTO(run_release) struct run run = { 0 };
	int err = run_get(l->vfs->store, id, &run);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	buf_add_str(&l->name, run.name);
	return 1;
}

static void list_dots(struct lineage_listing *l, struct listed *ret)
{
	ret->name = l->place == 0 ? "." : "..";
	ret->ino = l->place == 0 ? l->dir->ino : VFS_ROOT;
	ret->type = S_IFDIR;
}

static int list_next(struct listing *listing, struct listed *ret)
{
	struct lineage_listing *l = container_of(listing, struct lineage_listing, listing);
	int more = 0;

	*ret = (struct listed){ .bare = true };
	if (l->place < 2) {
		list_dots(l, ret);
		ret->cookie = ++l->place;
		return 1;
	}
	buf_reset(&l->name);
	while (more == 0) {
		size_t i = (size_t)l->place - 2;
		uint32_t id;

		if (i >= item_count(l))
			break;
		id = l->part == PART_RUN ? l->closure->runs[i] : l->closure->versions[i];
		more = l->part == PART_RUN ? name_run(l, id) : name_version(l, id);
		ret->ino = part_ino(&l->spot, l->part, id);
		ret->type = S_IFLNK;
		l->place++;
	}
	if (more == 0 && l->closure->truncated && (size_t)l->place - 2 == item_count(l)) {
		struct node node;

		truncated_node(l->dir, &node);
		buf_add_str(&l->name, "TRUNCATED");
		ret->ino = node.ino;
		ret->type = S_IFREG;
		l->place++;
		more = 1;
	}
	ret->name = buf_str(&l->name);
	ret->cookie = l->place;
	return more;
}

static int list_seek(struct listing *listing, off_t cookie)
{
	container_of(listing, struct lineage_listing, listing)->place = cookie;
	return 0;
}

static void list_close(struct listing *listing)
{
	struct lineage_listing *l = container_of(listing, struct lineage_listing, listing);

	lineage_closure_put(l->vfs->store, l->closure);
	shelf_release(&l->shelf);
	buf_release(&l->name);
	free(l);
}

static const struct listing_ops lineage_listing_ops = {
	.seek = list_seek,
	.next = list_next,
	.close = list_close,
};

static int list_part(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		     enum part part, struct listing **ret)
{
	struct spot spot = spot_of(dir);
	struct lineage_closure *closure;
	struct lineage_listing *l;
	int err = lineage_closure_get(vfs->store, spot.of, spot.direction, &closure);

	if (err < 0)
		return err;
	l = xcalloc(1, sizeof(*l));
	l->listing.ops = &lineage_listing_ops;
	l->vfs = vfs;
	l->dir = dir;
	l->spot = spot;
	l->closure = closure;
	l->who = *call;
	l->who.interrupted = NULL;
	l->part = part;
	l->type = dir->name;
	*ret = &l->listing;
	return 0;
}

int lineage_artifacts_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
			   struct listing **ret)
{
	return list_part(vfs, call, dir, PART_ARTIFACT, ret);
}

int lineage_runs_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      struct listing **ret)
{
	return list_part(vfs, call, dir, PART_RUN, ret);
}

int lineage_type_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      struct listing **ret)
{
	return list_part(vfs, call, dir, PART_TYPED, ret);
}

/* ---- types ---- */

/* The types in a closure, each with the lowest collection that has it: its number. */
struct type_list {
	struct type {
		char *name;
		uint32_t number;
	} *list;
	size_t count, cap;
};

static void type_list_release(struct type_list *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->list[i].name);
	free(t->list);
}

static void add_type(struct type_list *t, const struct collection *c)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->list[i].name, c->type) != 0)
			continue;
		if (c->id < t->list[i].number)
			t->list[i].number = c->id;
		return;
	}
	t->list = xgrow(t->list, &t->cap, t->count + 1, sizeof(*t->list));
	t->list[t->count++] = (struct type){ xstrdup(c->type), c->id };
}

static int collect_types(struct vfs *vfs, const struct vfs_call *call, const struct spot *spot,
			 struct type_list *ret)
{
	AUTO(shelf_release) struct shelf shelf = { 0 };
	struct lineage_closure *closure;
	int err = lineage_closure_get(vfs->store, spot->of, spot->direction, &closure);

	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < closure->version_count; i++) {
		const struct collection *c;
		struct lineage_place place;
		uint32_t id = closure->versions[i];

		err = lineage_place_of(vfs->store, id, &place);
		if (err == 0)
			err = shelf_get(&shelf, vfs->store, place.collection, &c);
		if (err == 0 && c->type[0] && may_read_place(vfs->store, call, id, &place))
			add_type(ret, c);
		if (err == -ENOENT)
			err = 0;
	}
	lineage_closure_put(vfs->store, closure);
	return err;
}

int lineage_types_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *child, struct node *ret)
{
	AUTO(type_list_release) struct type_list types = { 0 };
	struct spot spot = spot_of(dir);
	int err = collect_types(vfs, call, &spot, &types);

	for (size_t i = 0; err == 0 && i < types.count; i++) {
		if (strcmp(types.list[i].name, child) != 0)
			continue;
		*ret = (struct node){
			.ino = part_ino(&spot, PART_TYPE, types.list[i].number),
			.kind = &kind_lineage_type,
			.a = spot.of.id,
			.b = types.list[i].number,
			.name = xstrdup(child),
		};
		return 0;
	}
	return err < 0 ? err : -ENOENT;
}

struct types_listing {
	struct listing listing;
	struct node *dir;
	struct spot spot;
	struct type_list types;
	size_t place;
};

static int types_next(struct listing *listing, struct listed *ret)
{
	struct types_listing *l = container_of(listing, struct types_listing, listing);

	*ret = (struct listed){ .bare = true, .type = S_IFDIR };
	if (l->place >= l->types.count + 2)
		return 0;
	if (l->place < 2) {
		ret->name = l->place == 0 ? "." : "..";
		ret->ino = l->place == 0 ? l->dir->ino : VFS_ROOT;
	} else {
		ret->name = l->types.list[l->place - 2].name;
		ret->ino = part_ino(&l->spot, PART_TYPE, l->types.list[l->place - 2].number);
	}
	ret->cookie = (off_t)++l->place;
	return 1;
}

static int types_seek(struct listing *listing, off_t cookie)
{
	container_of(listing, struct types_listing, listing)->place = (size_t)cookie;
	return 0;
}

static void types_close(struct listing *listing)
{
	struct types_listing *l = container_of(listing, struct types_listing, listing);

	type_list_release(&l->types);
	free(l);
}

static const struct listing_ops types_listing_ops = {
	.seek = types_seek,
	.next = types_next,
	.close = types_close,
};

int lineage_types_list(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       struct listing **ret)
{
	struct types_listing *l = xcalloc(1, sizeof(*l));
	int err;

	l->listing.ops = &types_listing_ops;
	l->dir = dir;
	l->spot = spot_of(dir);
	err = collect_types(vfs, call, &l->spot, &l->types);
	if (err < 0) {
		types_close(&l->listing);
		return err;
	}
	*ret = &l->listing;
	return 0;
}

int lineage_type_find(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		      const char *child, struct node *ret)
{
	AUTO(collection_release) struct collection c = { 0 };
	struct spot spot = spot_of(dir);
	struct lineage_closure *closure;
	struct version v;
	int err = version_find_label(vfs->store, child, &v);

	if (err == 0)
		err = collection_get(vfs->store, v.collection, &c);
	if (err == 0 && (strcmp(c.type, dir->name) != 0 || !may_read(call, &v)))
		err = -ENOENT;
	if (err == 0)
		err = lineage_closure_get(vfs->store, spot.of, spot.direction, &closure);
	if (err < 0)
		return err;
	if (lineage_has(closure->versions, closure->version_count, v.id))
		link_node(&spot, PART_TYPED, v.id, ret);
	else
		err = -ENOENT;
	lineage_closure_put(vfs->store, closure);
	return err;
}

/* ---- links and texts ---- */

int lineage_link_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			struct buf *ret)
{
	AUTO(run_release) struct run run = { 0 };
	autofree char *name = NULL;
	enum part part = spot_of(node).part;
	struct version v;
	int err;

	(void)call;
	if (part == PART_RUN) {
		err = run_get(vfs->store, node->b, &run);
		if (err == 0)
			buf_printf(ret, "../../../../runs/%s", run.name);
		return err;
	}
	err = version_get_by_id(vfs->store, node->b, &v);
	if (err < 0)
		return err;
	name = version_collection_name(vfs->store, &v);
	buf_printf(ret, "%s../../../", part == PART_TYPED ? "../" : "");
	/* What is gone for good has a directory here alone. */
	if (v.purged) {
		version_label(ret, name, v.number);
	} else {
		buf_add_str(ret, "../");
		version_path(ret, name, &v);
	}
	return 0;
}

int lineage_truncated_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	(void)node;
	buf_printf(ret, "There is more: this directory shows %zu nodes (option lineage_nodes).\n",
		   vfs->store->options.lineage_nodes);
	return 0;
}

/* The node that a document is of; NULL: the whole store. */
static const struct lineage_node *document_node(const struct node *node,
						struct lineage_node *of)
{
	if (node->ino >> INO_NUMBER_BITS == INO_FIXED)
		return NULL;
	*of = spot_of(node).of;
	return of;
}

int graph_json_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	struct lineage_node of;

	return document_graph(vfs->store, document_node(node, &of), ret);
}

int graph_html_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	AUTO(buf_release) struct buf graph = BUF_INIT;
	int err = graph_json_render(vfs, node, &graph);

	if (err == 0)
		page_write(buf_slice(&graph), ret);
	return err;
}

int graph_dot_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	struct lineage_node of;

	return document_dot(vfs->store, document_node(node, &of), ret);
}

int openlineage_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	struct lineage_node of;

	return document_openlineage(vfs->store, document_node(node, &of), ret);
}
