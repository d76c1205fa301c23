#include "viewer.h"

static bool in_group(const struct cred *cred, gid_t gid)
{
	struct viewer *v = container_of((struct cred *)(uintptr_t)cred, struct viewer, cred);

	if (!v->group.known || v->group.gid != gid)
		v->group = (struct viewer_group){ true, v->real->in_group(v->real, gid), gid };
	return v->group.in;
}

void viewer_init(struct viewer *v, const struct cred *cred)
{
	*v = (struct viewer){ .real = cred };
	if (cred)
		v->cred = *cred;
	else
		v->cred = (struct cred){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (v->cred.in_group)
		v->cred.in_group = in_group;
}

void viewer_release(struct viewer *v)
{
	collection_release(&v->collection);
}

/* 1: v->collection is it; 0: there is no such collection. */
static int fetch_collection(struct viewer *v, struct kv_txn *txn, uint32_t id)
{
	int err;

	if (v->collection.name && v->collection.id == id)
		return 1;
	collection_release(&v->collection);
	v->collection = (struct collection){ 0 };
	err = collection_read(txn, id, &v->collection);
	if (err < 0)
		v->collection = (struct collection){ 0 };
	return err == -ENOENT ? 0 : err < 0 ? err : 1;
}

int viewer_collection(struct viewer *v, struct kv_txn *txn, uint32_t id,
		      const struct collection **ret)
{
	const struct collection *c = &v->collection;
	int there = fetch_collection(v, txn, id);

	if (there <= 0)
		return there;
	*ret = c;
	return cred_may(&v->cred, c->uid, c->gid, c->mode, 5);
}

int viewer_version(struct viewer *v, struct kv_txn *txn, uint32_t id, struct version *ret,
		   const struct collection **ret_collection)
{
	const struct collection *c = &v->collection;
	int there = version_read_by_id(txn, id, ret);

	if (there < 0)
		return there == -ENOENT ? 0 : there;
	if (ret->removed || ret->purged ||
	    !cred_may(&v->cred, ret->uid, ret->gid, version_directory_mode(ret), 4))
		return 0;
	there = fetch_collection(v, txn, ret->collection);
	if (there <= 0)
		return there;
	*ret_collection = c;
	return cred_may(&v->cred, c->uid, c->gid, c->mode, 1);
}

bool viewer_sees_run(struct viewer *v, const struct run *run)
{
	return cred_may(&v->cred, run->uid, run->gid, run->mode, 5);
}
