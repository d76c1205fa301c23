#include "ops_private.h"

#include "negotiate.h"

#include <fcntl.h>

/* Bounds how long a copy_file_range(2) cannot be interrupted. */
#define MAX_COPY ((size_t)1 << 28)

static struct open_file *remember(struct ops *ops, struct handle *handle)
{
	struct open_file *file = xmalloc(sizeof(*file));

	LOCKED(&ops->lock);
	*file = (struct open_file){ .handle = handle, .next = ops->open, .link = &ops->open };
	if (file->next)
		file->next->link = &file->next;
	ops->open = file;
	return file;
}

void ops_release_file(struct ops *ops, struct open_file *file)
{
	pthread_mutex_lock(&ops->lock);
	*file->link = file->next;
	if (file->next)
		file->next->link = file->link;
	pthread_mutex_unlock(&ops->lock);
	vfs_release(file->handle);
	free(file);
}

static void reply_count(fuse_req_t req, ssize_t n)
{
	if (n < 0)
		reply_status(req, n);
	else
		fuse_reply_write(req, (size_t)n);
}

/*
 * entry is given for a file that was created. A reply that the kernel does not take, because the
 * caller was interrupted, is undone.
 */
static void reply_open(fuse_req_t req, const struct vfs_open *open, const struct vfs_entry *entry,
		       struct fuse_file_info *fi)
{
	struct ops *ops = ops_of(req);
	struct open_file *file = remember(ops, open->handle);
	struct fuse_entry_param e;
	int err;

	fi->fh = (uintptr_t)file;
	fi->direct_io = open->direct_io;
	fi->keep_cache = open->keep_cache;
	/* What was opened for reading has nothing to flush: that saves a round trip a file. */
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	negotiate_open(fi, open->backing);
	if (!entry) {
		err = fuse_reply_open(req, fi);
	} else {
		e = entry_param(entry);
		err = fuse_reply_create(req, &e, fi);
	}
	negotiate_open(fi, 0);
	if (err) {
		ops_release_file(ops, file);
		if (entry)
			vfs_forget(ops->vfs, entry->attr.st_ino, 1);
	}
}

static int create(fuse_req_t req, const struct vfs_call *call, fuse_ino_t parent,
		  const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct vfs_entry entry;
	struct vfs_open open = { 0 };
	int err = vfs_create(vfs_of(req), call, parent, name, mode, fi->flags, &entry, &open);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	if (err)
		reply_change(req, "create", parent, name, err);
	else
		reply_open(req, &open, &entry, fi);
	return 0;
}

static void create_patiently(struct patient_request *r)
{
	create(r->req, &r->call, r->ino, r->name, r->mode, &r->fi);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct vfs_call call = call_of(req);

	if (create(req, &call, parent, name, mode, fi) == VFS_PATIENCE)
		ops_be_patient(req, parent, name, mode, fi, create_patiently);
}

static int open_file(fuse_req_t req, const struct vfs_call *call, fuse_ino_t ino,
		     struct fuse_file_info *fi)
{
	struct vfs_open open = { 0 };
	int err = vfs_open(vfs_of(req), call, ino, fi->flags, &open);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	if (err)
		reply_change(req, "open", ino, NULL, err);
	else
		reply_open(req, &open, NULL, fi);
	return 0;
}

static void open_patiently(struct patient_request *r)
{
	open_file(r->req, &r->call, r->ino, &r->fi);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_call call = call_of(req);

	if (open_file(req, &call, ino, fi) == VFS_PATIENCE)
		ops_be_patient(req, ino, "", 0, fi, open_patiently);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	ops_release_file(ops_of(req), (struct open_file *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	char *to = ops_scratch(size);

	(void)ino;
	reply_bytes(req, to, vfs_read(handle_of(fi), to, size, offset));
}

/* A write, or without data a flush, that may take long. */
struct slow_request {
	struct job job;
	fuse_req_t req;
	fuse_ino_t ino;
	struct handle *handle;
	struct vfs_call call;
	bool flush;
	off_t offset;
	size_t len;
	char data[];
};

static void on_interrupt(fuse_req_t req, void *job)
{
	(void)req;
	job_interrupt(job);
}

static void run_slow(struct job *job)
{
	struct slow_request *slow = container_of(job, struct slow_request, job);
	ssize_t n;

	fuse_req_interrupt_func(slow->req, on_interrupt, job);
	if (slow->flush)
		n = vfs_flush(slow->handle, &slow->call);
	else
		n = vfs_write(slow->handle, &slow->call, slow->data, slow->len, slow->offset);
	/* Waits for on_interrupt(): after the reply nothing would keep it from a freed job. */
	fuse_req_interrupt_func(slow->req, NULL, NULL);
	note_refused(slow->req, "write", slow->ino, NULL, slice(slow->data, slow->len), n);
	if (slow->flush)
		reply_status(slow->req, n);
	else
		reply_count(slow->req, n);
}

static void start_slow(fuse_req_t req, fuse_ino_t ino, struct handle *handle, bool flush,
		       const char *data, size_t len, off_t offset)
{
	struct slow_request *slow = xmalloc(sizeof(*slow) + len);

	*slow = (struct slow_request){
		.req = req,
		.ino = ino,
		.handle = handle,
		.call = call_of(req),
		.flush = flush,
		.offset = offset,
		.len = len,
	};
	slow->call.interrupted = &slow->job.interrupted;
	if (len)
		memcpy(slow->data, data, len);
	jobs_start(&ops_of(req)->jobs, &slow->job, run_slow);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len, off_t offset,
		     struct fuse_file_info *fi)
{
	struct handle *handle = handle_of(fi);
	struct vfs_call call = call_of(req);

	ssize_t n;

	if (vfs_write_is_slow(handle)) {
		start_slow(req, ino, handle, false, data, len, offset);
		return;
	}
	n = vfs_write(handle, &call, data, len, offset);
	note_refused(req, "write", ino, NULL, slice(data, len), n);
	reply_count(req, n);
}

static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *handle = handle_of(fi);
	struct vfs_call call = call_of(req);

	if (vfs_write_is_slow(handle))
		start_slow(req, ino, handle, true, NULL, 0, 0);
	else
		reply_change(req, "close", ino, NULL, vfs_flush(handle, &call));
}

/* Waits for the disk: not on a thread that others need. */
struct sync_request {
	struct job job;
	fuse_req_t req;
	struct handle *handle;
	bool data_only;
};

static void run_sync(struct job *job)
{
	struct sync_request *sync = container_of(job, struct sync_request, job);

	reply_status(sync->req, vfs_fsync(sync->handle, sync->data_only));
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	struct sync_request *sync = xmalloc(sizeof(*sync));

	(void)ino;
	*sync = (struct sync_request){ .req = req, .handle = handle_of(fi),
				       .data_only = data_only };
	jobs_start(&ops_of(req)->jobs, &sync->job, run_sync);
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
			 struct fuse_file_info *fi)
{
	(void)ino;
	reply_status(req, vfs_fallocate(handle_of(fi), mode, offset, len));
}

struct copy_request {
	struct job job;
	fuse_req_t req;
	struct handle *from, *to;
	off_t from_offset, to_offset;
	size_t len;
	unsigned flags;
};

static void run_copy(struct job *job)
{
	struct copy_request *c = container_of(job, struct copy_request, job);

	reply_count(c->req, vfs_copy_file_range(c->from, c->from_offset, c->to, c->to_offset,
						c->len, c->flags));
}

static void on_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset,
			       struct fuse_file_info *fi, fuse_ino_t to_ino, off_t to_offset,
			       struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct copy_request *c = xmalloc(sizeof(*c));

	(void)ino;
	(void)to_ino;
	*c = (struct copy_request){
		.req = req,
		.from = handle_of(fi),
		.to = handle_of(to_fi),
		.from_offset = offset,
		.to_offset = to_offset,
		.len = len < MAX_COPY ? len : MAX_COPY,
		.flags = (unsigned)flags,
	};
	jobs_start(&ops_of(req)->jobs, &c->job, run_copy);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	off_t found = vfs_lseek(handle_of(fi), offset, whence);

	(void)ino;
	if (found < 0)
		reply_status(req, found);
	else
		fuse_reply_lseek(req, found);
}

/* Directories. */

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_call call = call_of(req);
	struct vfs_open open = { 0 };
	int err = vfs_opendir(vfs_of(req), &call, ino, &open);

	if (err) {
		reply_status(req, err);
		return;
	}
	fi->cache_readdir = open.keep_cache;
	reply_open(req, &open, NULL, fi);
}

/* One answer to readdir: entries are packed until it is full. */
struct listing {
	fuse_req_t req;
	bool plus;
	char *to;
	size_t size, used;
	uint64_t *looked_up; /* to be forgotten should the kernel not take the answer */
	size_t count, cap;
};

static int pack(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie)
{
	struct listing *l = arg;
	size_t room = l->size - l->used, need;

	if (l->plus) {
		struct fuse_entry_param e = entry_param(entry);

		if (entry->bare)
			e.ino = 0; /* no lookup */
		need = fuse_add_direntry_plus(l->req, l->to + l->used, room, name, &e, cookie);
	} else {
		need = fuse_add_direntry(l->req, l->to + l->used, room, name, &entry->attr, cookie);
	}
	if (need > room)
		return 1;
	l->used += need;
	if (l->plus && !entry->bare) {
		l->looked_up = xgrow(l->looked_up, &l->cap, l->count + 1, sizeof(*l->looked_up));
		l->looked_up[l->count++] = entry->attr.st_ino;
	}
	return 0;
}

static void list(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi, bool plus)
{
	struct listing l = { .req = req, .plus = plus, .to = ops_scratch(size), .size = size };
	struct vfs *vfs = vfs_of(req);
	struct vfs_call call = call_of(req);
	int err = vfs_readdir(handle_of(fi), &call, offset, plus, pack, &l);

	/* An error after some entries comes again with the next request. */
	if (err < 0 && l.used == 0)
		reply_status(req, err);
	else if (fuse_reply_buf(req, l.to, l.used) != 0)
		while (l.count > 0)
			vfs_forget(vfs, l.looked_up[--l.count], 1);
	free(l.looked_up);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, offset, fi, false);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, offset, fi, true);
}

static void on_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)ino;
	reply_status(req, vfs_fsyncdir(handle_of(fi), data_only));
}

void ops_add_files(struct fuse_lowlevel_ops *table)
{
	table->create = on_create;
	table->open = on_open;
	table->release = on_release;
	table->read = on_read;
	table->write = on_write;
	table->flush = on_flush;
	table->fsync = on_fsync;
	table->fallocate = on_fallocate;
	table->copy_file_range = on_copy_file_range;
	table->lseek = on_lseek;
	table->opendir = on_opendir;
	table->releasedir = on_release;
	table->readdir = on_readdir;
	table->readdirplus = on_readdirplus;
	table->fsyncdir = on_fsyncdir;
}
