#include "ops_private.h"

#include <signal.h>
#include <stdio.h>

#include "refused.h"

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

struct scratch {
	size_t size;
	char data[];
};

static void scratch_init(void)
{
	if (pthread_key_create(&scratch_key, free) != 0)
		abort();
}

char *ops_scratch(size_t size)
{
	struct scratch *s;

	pthread_once(&scratch_once, scratch_init);
	s = pthread_getspecific(scratch_key);
	if (!s || s->size < size) {
		free(s);
		s = xmalloc(sizeof(*s) + size);
		s->size = size;
		pthread_setspecific(scratch_key, s);
	}
	return s->data;
}

void reply_status(fuse_req_t req, ssize_t err)
{
	fuse_reply_err(req, err < 0 ? (int)-err : 0);
}

void note_refused(fuse_req_t req, const char *operation, fuse_ino_t ino, const char *name,
		  struct slice with, ssize_t err)
{
	struct vfs_call call = call_of(req);

	if (err < 0)
		refused(vfs_of(req), &call, operation, ino, slice_str(name ? name : ""), with, err);
}

void reply_change(fuse_req_t req, const char *operation, fuse_ino_t ino, const char *name,
		  ssize_t err)
{
	note_refused(req, operation, ino, name, slice("", 0), err);
	reply_status(req, err);
}

void reply_bytes(fuse_req_t req, const char *bytes, ssize_t n)
{
	if (n < 0)
		reply_status(req, n);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
}

/* A reply that the kernel does not take, because the caller was interrupted, is undone. */
static void reply_entry(fuse_req_t req, int err, const struct vfs_entry *entry)
{
	struct vfs *vfs = vfs_of(req);
	struct fuse_entry_param e;

	if (err) {
		reply_status(req, err);
		return;
	}
	e = entry_param(entry);
	if (fuse_reply_entry(req, &e) != 0)
		vfs_forget(vfs, e.ino, 1);
}

static void reply_attr(fuse_req_t req, int err, const struct stat *attr, double ttl)
{
	if (err)
		reply_status(req, err);
	else
		fuse_reply_attr(req, attr, ttl);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct vfs_call call = call_of(req);
	struct vfs_entry entry;
	int err = vfs_lookup(vfs_of(req), &call, parent, name, &entry);

	if (err == -ENAMETOOLONG)
		note_refused(req, "lookup", parent, name, slice("", 0), err);
	reply_entry(req, err, &entry);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	vfs_forget(vfs_of(req), ino, lookups);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < n; i++)
		vfs_forget(vfs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vfs_call call = call_of(req);
	struct stat attr;
	double ttl;
	int err = vfs_getattr(vfs_of(req), &call, ino, handle_of(fi), &attr, &ttl);

	reply_attr(req, err, &attr, ttl);
}

/* A signal that ends a process is SIGKILL to each of its threads. */
static bool is_killed(pid_t thread)
{
	AUTO(buf_release) struct buf path = BUF_INIT;
	unsigned long long pending = 0;
	char line[128];
	FILE *f;

	if (thread <= 0)
		return false;
	buf_printf(&path, "/proc/%d/status", (int)thread);
	f = fopen(buf_str(&path), "re");
	if (!f)
		return errno == ENOENT;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "SigPnd:", 7))
			pending = strtoull(line + 7, NULL, 16);
	fclose(f);
	return pending >> (SIGKILL - 1) & 1;
}

static void on_interrupt(fuse_req_t req, void *job)
{
	if (is_killed(fuse_req_ctx(req)->pid))
		job_interrupt(job);
}

void ops_begin_patience(fuse_req_t req, struct job *job)
{
	fuse_req_interrupt_func(req, on_interrupt, job);
}

void ops_end_patience(fuse_req_t req, const struct vfs_call *call)
{
	/* Waits for on_interrupt(): after the reply nothing would keep it from a freed job. */
	if (call->patient)
		fuse_req_interrupt_func(req, NULL, NULL);
}

static void run_patient(struct job *job)
{
	struct patient_request *r = container_of(job, struct patient_request, job);

	ops_begin_patience(r->req, job);
	r->serve(r);
}

void ops_be_patient(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
		    const struct fuse_file_info *fi, void (*serve)(struct patient_request *r))
{
	size_t size = strlen(name) + 1;
	struct patient_request *r = xmalloc(sizeof(*r) + size);

	*r = (struct patient_request){
		.req = req, .serve = serve, .call = call_of(req), .ino = ino, .mode = mode,
	};
	r->call.patient = true;
	r->call.interrupted = &r->job.interrupted;
	if (fi)
		r->fi = *fi;
	memcpy(r->name, name, size);
	jobs_start(&ops_of(req)->jobs, &r->job, run_patient);
}

struct setattr_request {
	struct job job;
	fuse_req_t req;
	struct vfs_call call;
	fuse_ino_t ino;
	struct handle *handle;
	struct stat set;
	unsigned what;
};

static int set_attr(fuse_req_t req, const struct vfs_call *call, fuse_ino_t ino,
		    struct handle *handle, const struct stat *set, unsigned what)
{
	struct stat attr;
	double ttl;
	int err = vfs_setattr(vfs_of(req), call, ino, handle, set, what, &attr, &ttl);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	note_refused(req, what & VFS_SET_SIZE ? "truncate" : "setattr", ino, NULL, slice("", 0),
		     err);
	reply_attr(req, err, &attr, ttl);
	return 0;
}

static void set_attr_patiently(struct job *job)
{
	struct setattr_request *s = container_of(job, struct setattr_request, job);

	ops_begin_patience(s->req, job);
	set_attr(s->req, &s->call, s->ino, s->handle, &s->set, s->what);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *set, int to_set,
		       struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		unsigned vfs;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, VFS_SET_MODE },
		{ FUSE_SET_ATTR_UID, VFS_SET_UID },
		{ FUSE_SET_ATTR_GID, VFS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, VFS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, VFS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, VFS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, VFS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, VFS_SET_MTIME_NOW },
	};
	struct vfs_call call = call_of(req);
	struct setattr_request *s;
	unsigned what = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (to_set & bits[i].fuse)
			what |= bits[i].vfs;
	if (set_attr(req, &call, ino, handle_of(fi), set, what) != VFS_PATIENCE)
		return;
	s = xmalloc(sizeof(*s));
	*s = (struct setattr_request){
		.req = req,
		.call = call,
		.ino = ino,
		.handle = handle_of(fi),
		.set = *set,
		.what = what,
	};
	s->call.patient = true;
	s->call.interrupted = &s->job.interrupted;
	jobs_start(&ops_of(req)->jobs, &s->job, set_attr_patiently);
}

static int read_link(fuse_req_t req, const struct vfs_call *call, fuse_ino_t ino)
{
	AUTO(buf_release) struct buf target = BUF_INIT;
	int err = vfs_readlink(vfs_of(req), call, ino, &target);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	if (err)
		reply_status(req, err);
	else
		fuse_reply_readlink(req, buf_str(&target));
	return 0;
}

static void read_link_patiently(struct patient_request *r)
{
	read_link(r->req, &r->call, r->ino);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct vfs_call call = call_of(req);

	if (read_link(req, &call, ino) == VFS_PATIENCE)
		ops_be_patient(req, ino, "", 0, NULL, read_link_patiently);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct ops *ops = ops_of(req);
	struct vfs_call call = call_of(req);
	struct vfs_entry entry;
	int err;

	ops_begin_change(req, parent);
	err = vfs_mknod(ops->vfs, &call, parent, name, mode, rdev, &entry);
	note_refused(req, "mknod", parent, name, slice("", 0), err);
	reply_entry(req, err, &entry);
	ops_end_change(ops, parent);
}

static int make_directory(fuse_req_t req, const struct vfs_call *call, fuse_ino_t parent,
			  const char *name, mode_t mode)
{
	struct ops *ops = ops_of(req);
	struct vfs_entry entry;
	int err = vfs_mkdir(ops->vfs, call, parent, name, mode, &entry);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	note_refused(req, "mkdir", parent, name, slice("", 0), err);
	reply_entry(req, err, &entry);
	ops_end_change(ops, parent);
	return 0;
}

static void make_directory_patiently(struct patient_request *r)
{
	make_directory(r->req, &r->call, r->ino, r->name, r->mode);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct vfs_call call = call_of(req);

	ops_begin_change(req, parent);
	if (make_directory(req, &call, parent, name, mode) == VFS_PATIENCE)
		ops_be_patient(req, parent, name, mode, NULL, make_directory_patiently);
}

static int make_link(fuse_req_t req, const struct vfs_call *call, const char *target,
		     fuse_ino_t parent, const char *name)
{
	struct ops *ops = ops_of(req);
	struct vfs_entry entry;
	int err = vfs_symlink(ops->vfs, call, target, parent, name, &entry);

	if (err == VFS_PATIENCE)
		return err;
	ops_end_patience(req, call);
	note_refused(req, "symlink", parent, name, slice_str(target), err);
	reply_entry(req, err, &entry);
	ops_end_change(ops, parent);
	return 0;
}

/* The target stands behind the name, after a slash, which is in no name. */
static void make_link_patiently(struct patient_request *r)
{
	char *slash = strchr(r->name, '/');

	*slash = '\0';
	make_link(r->req, &r->call, slash + 1, r->ino, r->name);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct vfs_call call = call_of(req);

	ops_begin_change(req, parent);
	if (make_link(req, &call, target, parent, name) == VFS_PATIENCE) {
		autofree char *both = xasprintf("%s/%s", name, target);

		ops_be_patient(req, parent, both, 0, NULL, make_link_patiently);
	}
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct ops *ops = ops_of(req);
	struct vfs_call call = call_of(req);
	struct vfs_entry entry;
	int err;

	ops_begin_change(req, parent);
	err = vfs_link(ops->vfs, &call, ino, parent, name, &entry);
	note_refused(req, "link", parent, name, slice("", 0), err);
	reply_entry(req, err, &entry);
	ops_end_change(ops, parent);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops *ops = ops_of(req);
	struct vfs_call call = call_of(req);

	ops_begin_change(req, parent);
	reply_change(req, "unlink", parent, name, vfs_unlink(ops->vfs, &call, parent, name));
	ops_end_change(ops, parent);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops *ops = ops_of(req);
	struct vfs_call call = call_of(req);

	ops_begin_change(req, parent);
	reply_change(req, "rmdir", parent, name, vfs_rmdir(ops->vfs, &call, parent, name));
	ops_end_change(ops, parent);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct ops *ops = ops_of(req);
	struct vfs_call call = call_of(req);
	int err;

	ops_begin_change(req, parent);
	ops_begin_change(req, new_parent);
	err = vfs_rename(ops->vfs, &call, parent, name, new_parent, new_name, flags);
	note_refused(req, "rename", parent, name, slice_str(new_name), err);
	reply_status(req, err);
	ops_end_change(ops, new_parent);
	ops_end_change(ops, parent);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs space = { 0 };
	int err = vfs_statfs(vfs_of(req), &space);

	(void)ino;
	if (err)
		reply_status(req, err);
	else
		fuse_reply_statfs(req, &space);
}

/* The kernel asks for security.* and system.* names all the time; the vfs need not hear of them. */
static bool known_xattr(fuse_req_t req, const char *name)
{
	if (!strncmp(name, "user.", 5))
		return true;
	fuse_reply_err(req, EOPNOTSUPP);
	return false;
}

static void reply_xattr(fuse_req_t req, const char *bytes, ssize_t n, size_t size)
{
	if (n >= 0 && size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		reply_bytes(req, bytes, n);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *to;

	if (!known_xattr(req, name))
		return;
	to = ops_scratch(size);
	reply_xattr(req, to, vfs_getxattr(vfs_of(req), ino, name, to, size), size);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *to = ops_scratch(size);

	reply_xattr(req, to, vfs_listxattr(vfs_of(req), ino, to, size), size);
}

static void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	if (known_xattr(req, name))
		reply_change(req, "setxattr", ino, name,
			     vfs_setxattr(vfs_of(req), ino, name, value, size, flags));
}

static void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (known_xattr(req, name))
		reply_change(req, "removexattr", ino, name,
			     vfs_removexattr(vfs_of(req), ino, name));
}

void ops_add_names(struct fuse_lowlevel_ops *table)
{
	table->lookup = on_lookup;
	table->forget = on_forget;
	table->forget_multi = on_forget_multi;
	table->getattr = on_getattr;
	table->setattr = on_setattr;
	table->readlink = on_readlink;
	table->mknod = on_mknod;
	table->mkdir = on_mkdir;
	table->symlink = on_symlink;
	table->link = on_link;
	table->unlink = on_unlink;
	table->rmdir = on_rmdir;
	table->rename = on_rename;
	table->statfs = on_statfs;
	table->getxattr = on_getxattr;
	table->listxattr = on_listxattr;
	table->setxattr = on_setxattr;
	table->removexattr = on_removexattr;
}
