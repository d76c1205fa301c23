#include "publish_names.h"

#include "alias.h"
#include "version_note.h"

static int refuse(struct buf *why, int err, const char *what, struct slice name)
{
	buf_reset(why);
	buf_add_str(why, what);
	buf_add_slice(why, slice(name.data, name.len < 200 ? name.len : 200));
	return err;
}

int publish_names_check(struct store *store, const struct publish_request *request,
			struct buf *why)
{
	for (size_t i = 0; i < request->alias_count; i++) {
		struct slice name = request->aliases[i];
		int err = alias_name_check(name);

		if (err == -EPERM)
			return refuse(why, err, "moves by itself: alias ", name);
		if (err < 0)
			return refuse(why, -EINVAL, "no alias can be called ", name);
		if (!alias_may_change(store, name, request->cred->uid))
			return refuse(why, -EPERM, "protected: alias ", name);
	}
	for (size_t i = 0; i < request->tag_count; i++)
		if (!name_valid(request->tags[i]))
			return refuse(why, -EINVAL, "no tag can be called ", request->tags[i]);
	return 0;
}

int publish_names_put(struct kv_txn *txn, struct store *store,
		      const struct publish_request *request, const char *run,
		      const struct collection *c, const struct version *v)
{
	AUTO(buf_release) struct buf label = BUF_INIT;
	int err = 0;

	for (size_t i = 0; err == 0 && i < request->alias_count; i++)
		err = alias_put(txn, store, c, request->aliases[i], v, run);
	version_label(&label, c->name, v->number);
	for (size_t i = 0; err == 0 && i < request->tag_count; i++) {
		err = version_tag_put(txn, store, v->id, buf_str(&label), request->tags[i]);
		if (err == -EEXIST)
			err = 0;
	}
	return err;
}
