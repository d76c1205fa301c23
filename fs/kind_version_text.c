/*
 * kind_version_text.c - what people may write in artifacts/<name>/v<N>/: description and
 * metadata.json. Who may write in the collection may, who may not read the version does not get
 * there.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document.h"
#include "core/version_note.h"
#include "refused.h"

/* Owner, group and who may write are the collection's; so is who may enter. */
static int place_stat(struct vfs *vfs, struct node *node, struct version *ret, struct stat *st)
{
	AUTO(collection_release) struct collection c = { 0 };
	int err = version_get_by_id(vfs->store, node->a, ret);

	if (err == 0 && ret->purged)
		err = -ESTALE;
	if (err == 0)
		err = collection_get(vfs->store, ret->collection, &c);
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	st->st_uid = c.uid;
	st->st_gid = c.gid;
	st->st_mode = c.mode & 0333;
	st->st_mtim = timespec_of_ns(ret->created);
	return 0;
}

/* What only they could reach who may enter the collection is theirs in the trash as well. */
static mode_t closed_as(const struct stat *place, const struct stat *st)
{
	mode_t enter = place->st_mode & 0111;

	if (st->st_uid != place->st_uid)
		enter |= 0100;
	if (st->st_gid != place->st_gid)
		enter = (enter & ~0010u) | (enter & 0001 ? 0010 : 0);
	return ~(mode_t)0777 | enter | enter << 1 | enter << 2;
}

/*
 * The version's directory, in which tools make a temporary file beside a text. One that everybody
 * may read is its collection's in all other respects. What only some may read stays theirs, and
 * they may write there if the collection's mode says so of the same owner and group.
 */
int version_place_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct stat place;
	struct version v;
	mode_t writable = 0;
	int err = version_top_attr(vfs, node, st);

	if (err == 0)
		err = place_stat(vfs, node, &v, &place);
	if (err < 0)
		return err;
	if ((st->st_mode & 0555) == 0555) {
		st->st_uid = place.st_uid;
		st->st_gid = place.st_gid;
		writable = 0222;
	} else if (st->st_uid == place.st_uid) {
		writable = st->st_gid == place.st_gid ? 0222 : 0200;
	}
	/* Not for who may not even read. */
	st->st_mode |= place.st_mode & writable & (st->st_mode >> 1);
	if (v.removed)
		st->st_mode &= closed_as(&place, st);
	return 0;
}

int version_note_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	bool directory = node->kind->type == S_IFDIR;
	struct version v;
	int err = place_stat(vfs, node, &v, st);

	st->st_mode = (st->st_mode & 0222) | (directory ? 0555 : 0444);
	return err;
}

int version_description_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	int err = version_text_read(vfs->store, node->a, VERSION_DESCRIPTION, ret);

	if (err == 0 && ret->len)
		buf_add_char(ret, '\n');
	return err;
}

int version_description_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			       struct slice text)
{
	(void)call;
	return version_text_write(vfs->store, node->a, VERSION_DESCRIPTION, text);
}

int version_metadata_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	return version_text_read(vfs->store, node->a, VERSION_METADATA, ret);
}

static void refuse_json(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			const struct version *v, const char *why)
{
	autofree char *collection = version_collection_name(vfs->store, v);
	AUTO(buf_release) struct buf text = BUF_INIT;

	version_label(&text, collection, v->number);
	buf_printf(&text, ": %s", why);
	refused_text(call, node, buf_str(&text));
}

int version_metadata_accept(struct vfs *vfs, const struct vfs_call *call, struct node *node,
			    struct slice text)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct version v;
	int err = version_get_by_id(vfs->store, node->a, &v);

	if (err < 0)
		return err;
	if (document_check(text, true, &why) < 0) {
		refuse_json(vfs, call, node, &v, buf_str(&why));
		return -EINVAL;
	}
	return version_text_write(vfs->store, node->a, VERSION_METADATA, text);
}
