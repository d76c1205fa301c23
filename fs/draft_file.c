/*
 * draft_file.c - open files of drafts. Every handle has a descriptor of its own on the backing
 * file; when that file is replaced by one of its own (draft_unshare), every reading handle's
 * descriptor is replaced in place, so whoever had it open before the first writer goes on seeing
 * the same file. Where the kernel reads the file by itself (fs/backing.h), the node stays with the
 * old file instead, and the name gets a new one (struct swap).
 */
#include "draft_node.h"
#include "tree.h"

#include "core/borrow.h"
#include "core/log.h"
#include "core/observe.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>

/* A log that asks the kernel who writes keeps writers out for some microseconds. */
#define LEASE_TRIES 1000
#define LEASE_PAUSE_US 1000
/* So soon does who waits for another's copy see that it is no longer wanted. */
#define STOP_NS 50000000

/* What the kernel adds to the flags of an open that is an execve(2); fcntl.h keeps it to itself. */
#define OPENED_TO_EXECUTE 0x20

int draft_open_flags(int flags)
{
	/*
	 * The kernel appends by itself, at the size it knows; with O_APPEND pwrite(2) would ignore
	 * its offset. Direct I/O wants aligned buffers, which requests are not.
	 */
	flags &= ~(OPENED_TO_EXECUTE | O_APPEND | O_DIRECT | O_CREAT | O_EXCL | O_NOCTTY);
	return flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static ssize_t file_read(struct handle *h, void *to, size_t len, off_t offset)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(d->fd, (char *)to + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/*
 * A run that failed keeps its drafts as they are, whoever still has them open. When it has
 * finished, scratch and what was unlinked are nobody's any more; the rest was logged.
 */
static int file_begin_change(struct handle *h)
{
	const struct draft_file *f = draft_file(h->node);
	bool lost = f->gone || f->top->name[0] == '.';
	int err = draft_begin_change(f->area, lost);

	/* What was refused may come from a mapping: its page is not to be read by others. */
	if (err < 0)
		vfs_forget_cached(h->vfs, h->node->ino);
	return err;
}

static void file_end_change(struct handle *h)
{
	draft_end_change(draft_file(h->node)->area);
}

static ssize_t write_all(int fd, const void *from, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)from + done, len - done,
				   offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t file_write(struct handle *h, const struct vfs_call *call, const void *from,
			  size_t len, off_t offset)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	ssize_t n = file_begin_change(h);

	(void)call;
	if (n < 0)
		return n;
	n = write_all(d->fd, from, len, offset);
	file_end_change(h);
	return n;
}

/*
 * A writer closes the file. If it does so because it is killed, the file may be half written;
 * forked workers that inherited it and end do not count. If it closes in order what another left
 * half written, it has seen to that.
 */
static void note_end(struct draft_handle *d, const struct vfs_call *call)
{
	struct cred cred = vfs_cred(call);
	int signal = caller_killed_by(&cred, &d->opener);

	if (signal)
		draft_mark_torn(d->fd, signal);
	else if (d->torn)
		draft_mark_whole(d->fd);
	d->torn = d->torn && signal;
}

static int file_flush(struct handle *h, const struct vfs_call *call)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	int copy, err;

	if (d->writer) {
		note_end(d, call);
		draft_writer_flush(d->writer);
	}
	/* Some filesystems report what failed at close. */
	copy = dup(d->fd);
	if (copy < 0 || close(copy) == 0)
		return 0;
	err = -errno;
	draft_mark_bad(d->fd);
	return err;
}

static int file_fsync(struct handle *h, bool data_only)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);

	return draft_sync(d->fd, data_only);
}

static int file_fd(struct handle *h)
{
	return container_of(h, struct draft_handle, handle)->fd;
}

static void file_release(struct handle *h)
{
	struct draft_handle *d = container_of(h, struct draft_handle, handle);
	struct draft_file *f = draft_file(h->node);

	pthread_mutex_lock(&f->area->mutex);
	for (struct draft_handle **at = &f->handles; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	pthread_mutex_unlock(&f->area->mutex);
	/* Closed first: who sees no writer finds no descriptor either. */
	close(d->fd);
	if (d->next_fd >= 0)
		close(d->next_fd);
	if (d->writer)
		draft_writer_close(d->writer);
	backing_end(f->vfs, h->node->ino);
	free(d);
}

static const struct handle_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.fsync = file_fsync,
	.fd = file_fd,
	.begin_change = file_begin_change,
	.end_change = file_end_change,
	.release = file_release,
};

struct vfs_open draft_handle_new(struct node *node, int fd, int flags, ino_t ino,
				 const struct caller *opener)
{
	struct draft_file *f = draft_file(node);
	struct draft_handle *d = xcalloc(1, sizeof(*d));
	int backing;

	d->handle = (struct handle){ &file_ops, f->vfs, node };
	d->fd = fd;
	d->next_fd = -1;
	d->executes = flags & OPENED_TO_EXECUTE;
	d->opener = *opener;
	d->torn = writes(flags) && draft_is_torn(fd);
	if (writes(flags))
		d->writer = draft_writer_open(f->top, ino);
	/*
	 * Whoever only reads does not start it: the file may be logged, and written again by somebody
	 * else, while it reads on, and for that it would have to become another file.
	 */
	backing = backing_begin(f->vfs, node->ino, fd, writes(flags));
	LOCKED(&f->area->mutex);
	d->next = f->handles;
	f->handles = d;
	return (struct vfs_open){ .handle = &d->handle, .keep_cache = true,
				  .backing = backing };
}

/* A new description of the file, for a descriptor that is in use. */
static int open_next(int new_fd, int flags, int *ret)
{
	struct draft_path path;
	int fd;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", new_fd);
	fd = open(path.text, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* The file is about to have another inode. */
static int prepare_swap(struct draft_file *f, int new_fd)
{
	int err = 0;

	LOCKED(&f->area->mutex);
	if (f->fd >= 0)
		err = open_next(new_fd, O_PATH, &f->next_fd);
	for (struct draft_handle *d = f->handles; d && err == 0; d = d->next) {
		/* A shared inode has none, and the node had that inode until now. */
		assert(!d->writer);
		err = open_next(new_fd, O_RDONLY, &d->next_fd);
	}
	return err;
}

/* The next descriptor goes, after it was put behind the one in use if so wanted. */
static void settle_next(int *next_fd, int fd, bool use)
{
	if (*next_fd < 0)
		return;
	if (use)
		dup3(*next_fd, fd, O_CLOEXEC);
	close(*next_fd);
	*next_fd = -1;
}

static void end_swap(struct draft_file *f, bool swapped)
{
	LOCKED(&f->area->mutex);
	settle_next(&f->next_fd, f->fd, swapped);
	for (struct draft_handle *d = f->handles; d; d = d->next)
		settle_next(&d->next_fd, d->fd, swapped);
}

/*
 * The kernel itself reads the old inode, and would go on to for as long as anybody has the node
 * open: so the node stays with it, as if another file had been renamed over it, and the names lead
 * to a new node.
 */
struct swap {
	struct node *node;
	int old_fd; /* on the old inode, borrowed */
	bool named; /* it has a name */
	bool left;  /* the node stayed behind */
};

static int prepare_leaving(struct swap *swap)
{
	struct draft_file *f = draft_file(swap->node);
	struct draft_path path;
	struct stat st;
	nlink_t names;
	int err;

	swap->left = true;
	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", swap->old_fd);
	err = draft_count_names(f->area->store, path.text, &st, &names);
	/* Without a name nobody could look the new inode up; of several the kernel is told one. */
	if (err == 0 && (!swap->named || names > 1))
		err = -ETXTBSY;
	return err < 0 ? err : open_next(swap->old_fd, O_PATH, &f->next_fd);
}

static void leave(struct swap *swap)
{
	struct draft_file *f = draft_file(swap->node);

	f->fd = f->next_fd;
	f->next_fd = -1;
	f->gone = f->left = true;
	vfs_forget_name(f->vfs, draft_parent_number(f), f->name);
}

static int swap_inode(void *arg, int new_fd, const struct stat *st)
{
	struct swap *swap = arg;
	struct node *node = swap->node;
	struct draft_file *f = draft_file(node);

	if (!st && backing_is_used(f->vfs, node->ino))
		return prepare_leaving(swap);
	if (!st)
		return prepare_swap(f, new_fd);
	if (swap->left) {
		leave(swap);
		return 0;
	}
	node_rebase(f->vfs->nodes, node, st->st_ino);
	end_swap(f, true);
	return 0;
}

/* Where one name of the file is, for as long as the shared lock is held; NULL: it has none. */
static int name_of(struct node *node, const char **ret_name)
{
	struct draft_file *f = draft_file(node);
	struct draft_spot spot = { f->vfs, f->area, f->top, f->parent };

	*ret_name = f->fd >= 0 ? NULL : f->name;
	return f->fd >= 0 ? -1 : draft_spot_fd(&spot);
}

/*
 * A descriptor to read the shared inode by, and a name of it. 1: shared; 2: borrowed; 0: neither.
 */
static int open_shared(struct node *node, int *ret_fd, int *ret_directory, char **ret_name)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	const char *name;
	struct stat st;
	int err;

	SHARED(&f->area->lock);
	err = draft_may_change(f->area);
	if (err == 0)
		err = draft_node_stat(node, &st);
	if (err < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= BLOB_PACK_MAX)
		return err;
	err = draft_node_path(node, &path);
	if (err < 0)
		return err;
	*ret_fd = open(path.text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*ret_fd < 0)
		return -errno;
	if (borrow_fd_is(*ret_fd, &st, NULL))
		return 2;
	if (st.st_nlink < 1 || !draft_fd_is_shared(*ret_fd, &st, NULL))
		return 0;
	*ret_directory = name_of(node, &name);
	if (name && *ret_directory >= 0) {
		*ret_directory = fcntl(*ret_directory, F_DUPFD_CLOEXEC, 0);
		if (*ret_directory < 0)
			return -errno;
		*ret_name = xstrdup(name);
	}
	return 1;
}

static bool is_stopped(const struct vfs_call *call)
{
	return call->interrupted && __atomic_load_n(call->interrupted, __ATOMIC_RELAXED);
}

/*
 * One at a time for a file: the second would take the inode that the first has replaced for the
 * node's, as it was opened before.
 */
static int begin_unshare(struct draft_file *f, const struct vfs_call *call)
{
	LOCKED(&f->area->mutex);
	while (f->unsharing) {
		struct timespec until = moment_after(STOP_NS);

		if (!call->patient)
			return VFS_PATIENCE;
		if (is_stopped(call))
			return -EINTR;
		pthread_cond_timedwait(&f->area->closed, &f->area->mutex, &until);
	}
	f->unsharing = true;
	return 0;
}

static void end_unshare(struct draft_file *f)
{
	LOCKED(&f->area->mutex);
	f->unsharing = false;
	pthread_cond_broadcast(&f->area->closed);
}

/*
 * Names may change meanwhile, the file that it is open on does not. The kernel never reads a
 * borrowed file by itself: only who writes makes it begin.
 */
static int make_own(struct swap *swap, const struct vfs_call *call, bool truncate)
{
	struct draft_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", swap->old_fd);
	return borrow_own(draft_file(swap->node)->top, path.text, truncate, call->interrupted,
			  swap_inode, swap);
}

int draft_node_unshare(struct node *node, const struct vfs_call *call, bool truncate)
{
	struct draft_file *f = draft_file(node);
	autofree char *name = NULL;
	autoclose int fd = -1, directory = -1;
	int err = begin_unshare(f, call);

	if (err < 0)
		return err;
	err = open_shared(node, &fd, &directory, &name);
	if (err > 0 && !truncate && !call->patient)
		err = VFS_PATIENCE;
	if (err > 0) {
		struct swap swap = { .node = node, .old_fd = fd, .named = name != NULL };

		err = err == 2 ? make_own(&swap, call, truncate) :
				 draft_unshare(f->top, fd, directory, name, truncate,
					       call->interrupted, swap_inode, &swap);
		if (err < 0)
			end_swap(f, false);
		/* The kernel looks the name up again, and tries once more. */
		else if (swap.left)
			err = -ESTALE;
	}
	end_unshare(f);
	return err;
}

/*
 * The kernel itself refuses to open what runs for writing, but leaves it to us when O_TRUNC comes
 * with O_RDONLY.
 */
static bool is_executed(struct draft_file *f)
{
	LOCKED(&f->area->mutex);
	for (const struct draft_handle *d = f->handles; d; d = d->next)
		if (d->executes)
			return true;
	return false;
}

/* The blob's file takes the place of the one that borrows from it. */
static int read_borrowed(const struct draft_file *f, const struct blob_id *id,
			 const struct stat *st, int *fd)
{
	int blob = borrow_open(f->vfs->store, id, (uint64_t)st->st_size);

	if (blob < 0)
		return blob;
	close(*fd);
	*fd = blob;
	return 0;
}

/* One try: 1 when the file is shared and must not be; -EAGAIN when it is leased at this moment. */
static int open_once(struct node *node, const struct caller *opener, int flags,
		     struct vfs_open *ret)
{
	struct draft_file *f = draft_file(node);
	struct draft_path path;
	struct blob_id id;
	bool borrows;
	struct stat st;
	int fd, err = 0;

	SHARED(&f->area->lock);
	if (f->left)
		return -ESTALE;
	if (writes(flags) || (flags & O_TRUNC))
		err = draft_may_change(f->area);
	if (err == 0 && (flags & O_TRUNC) && is_executed(f))
		err = -ETXTBSY;
	if (err == 0)
		err = draft_node_path(node, &path);
	if (err < 0)
		return err;
	/* Not truncated by the open: what it truncates is only known afterwards. */
	fd = open(path.text, f->fd >= 0 ? draft_open_flags(flags & ~O_TRUNC) & ~O_NOFOLLOW :
					  draft_open_flags(flags & ~O_TRUNC));
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) < 0 ? -errno : 0;
	borrows = err == 0 && borrow_fd_is(fd, &st, &id);
	if (err == 0 && (writes(flags) || (flags & O_TRUNC)) &&
	    (borrows || draft_fd_is_shared(fd, &st, NULL)))
		err = 1;
	if (err == 0 && borrows)
		err = read_borrowed(f, &id, &st, &fd);
	if (err == 0 && flags & O_TRUNC) {
		draft_touch(f->top, st.st_ino);
		err = (writes(flags) ? ftruncate(fd, 0) : truncate(path.text, 0)) < 0 ? -errno : 0;
		if (err == 0)
			draft_mark_good(path.text);
	}
	if (err != 0) {
		close(fd);
		return err;
	}
	*ret = draft_handle_new(node, fd, flags, st.st_ino, opener);
	return 0;
}

static int open_unleased(struct node *node, const struct vfs_call *call,
			 const struct caller *opener, int flags, struct vfs_open *ret)
{
	int err = open_once(node, opener, flags, ret);

	if (err == -EAGAIN && !call->patient)
		return VFS_PATIENCE;
	for (unsigned i = 0; err == -EAGAIN && i < LEASE_TRIES; i++) {
		usleep(LEASE_PAUSE_US);
		err = open_once(node, opener, flags, ret);
	}
	return err;
}

/* Who reads what another run has not logged depends on that run. */
static int observe(struct vfs *vfs, const struct caller *caller, const struct node *node,
		   int flags)
{
	if (caller->run == 0 || caller->run == node->a || (flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return observe_draft(vfs->store, caller->run, node->a);
}

int draft_open(struct vfs *vfs, const struct vfs_call *call, struct node *node, int flags,
	       struct vfs_open *ret)
{
	struct caller caller;
	int err;

	if (S_ISDIR(draft_file(node)->type))
		return -EISDIR;
	err = vfs_caller(vfs, call, &caller);
	if (err == 0)
		err = observe(vfs, &caller, node, flags);
	if (err < 0)
		return err;
	for (unsigned i = 0; i < DRAFT_TRIES; i++) {
		err = open_unleased(node, call, &caller, flags, ret);
		if (err <= 0)
			return err;
		err = draft_node_unshare(node, call, flags & O_TRUNC);
		if (err < 0)
			return err;
	}
	return -EAGAIN;
}
