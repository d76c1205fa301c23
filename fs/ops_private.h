/*
 * ops_private.h - what the files of ops share: ops.c is the session, ops_names.c the requests for
 * names and attributes, ops_files.c those for open files and directories.
 */
#ifndef FS_OPS_PRIVATE_H
#define FS_OPS_PRIVATE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "jobs.h"
#include "ops.h"
#include "vfs.h"

struct notifier;

/* Requests under way that change names of a directory, by its number: so many counters. */
#define OPS_DIRECTORIES 256

struct ops {
	struct vfs *vfs;
	struct fuse_session *session;
	struct ops_options options;
	char *mountpoint;
	dev_t device; /* of the mount */
	bool cut;     /* the connection was ended, without unmounting */
	struct jobs jobs;
	struct notifier *notifier;
	atomic_uint changing[OPS_DIRECTORIES];
	pthread_t server; /* the thread in ops_serve() */
	sem_t served;	  /* it has left the session's loop */
	pthread_mutex_t lock;
	struct open_file *open; /* everything the kernel has not released yet */
};

/* What fuse_file_info.fh points to. */
struct open_file {
	struct handle *handle;
	struct open_file *next, **link;
};

static inline struct ops *ops_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct vfs *vfs_of(fuse_req_t req)
{
	return ops_of(req)->vfs;
}

static inline struct vfs_call call_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct vfs_call){
		.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid, .umask = ctx->umask
	};
}

/*
 * From a request that changes names of a directory to its answer, during which the kernel holds the
 * directory's lock. Whoever tells the kernel to forget one of its names waits for that lock; and if
 * the daemon is killed just then, neither ever ends (Linux 6.18: the thread cannot die while it
 * waits, so /dev/fuse stays open, and the request unanswered). So such requests are let pass first.
 */
static inline atomic_uint *ops_changing(struct ops *ops, uint64_t directory)
{
	return &ops->changing[(directory * 0x9e3779b97f4a7c15u) >> 56];
}

static inline void ops_begin_change(fuse_req_t req, fuse_ino_t directory)
{
	atomic_fetch_add(ops_changing(ops_of(req), directory), 1);
}

static inline void ops_end_change(struct ops *ops, fuse_ino_t directory)
{
	atomic_fetch_sub(ops_changing(ops, directory), 1);
}

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? ((struct open_file *)(uintptr_t)fi->fh)->handle : NULL;
}

static inline struct fuse_entry_param entry_param(const struct vfs_entry *entry)
{
	return (struct fuse_entry_param){
		.ino = entry->attr.st_ino,
		.generation = entry->generation,
		.attr = entry->attr,
		.attr_timeout = entry->attr_ttl,
		.entry_timeout = entry->entry_ttl,
	};
}

/*
 * An operation that must look into its caller (VFS_PATIENCE) is made again, patiently, on a thread
 * of its own: reading a process's memory may wait for a page that only our threads can bring.
 */
struct patient_request {
	struct job job;
	fuse_req_t req;
	void (*serve)(struct patient_request *r);
	struct vfs_call call;
	fuse_ino_t ino; /* or the parent */
	mode_t mode;
	struct fuse_file_info fi;
	char name[]; /* "" where there is none */
};

void ops_be_patient(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
		    const struct fuse_file_info *fi, void (*serve)(struct patient_request *r));

/*
 * Around a patient operation: from now on its job is interrupted when its caller is killed. Other
 * signals do not stop it, as they stop nothing that is done to a local file; and not all programs
 * would try again. It ends before the reply.
 */
void ops_begin_patience(fuse_req_t req, struct job *job);
void ops_end_patience(fuse_req_t req, const struct vfs_call *call);

/* Each fills in the requests it serves. */
void ops_add_names(struct fuse_lowlevel_ops *table);
void ops_add_files(struct fuse_lowlevel_ops *table);

/*
 * A buffer of the calling thread, for an answer of up to size bytes: allocating a megabyte for
 * each read would map and unmap it each time.
 */
char *ops_scratch(size_t size);

void reply_status(fuse_req_t req, ssize_t err);
/*
 * The same for what was to be changed at a node, with a line in the log when it may not be: see
 * fs/refused.h.
 */
void reply_change(fuse_req_t req, const char *operation, fuse_ino_t ino, const char *name,
		  ssize_t err);
/* Only the line. */
void note_refused(fuse_req_t req, const char *operation, fuse_ino_t ino, const char *name,
		  struct slice with, ssize_t err);
void reply_bytes(fuse_req_t req, const char *bytes, ssize_t n);

/* Frees what the kernel has released, or never will. */
void ops_release_file(struct ops *ops, struct open_file *file);

#endif
