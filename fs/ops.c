#include "ops_private.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "core/log.h"
#include "mountpoint.h"
#include "negotiate.h"
#include "notify.h"
#include "passthrough.h"
#include "refused.h"

#define MAX_WRITE (1u << 20)
/* So long a change of a directory's names is let pass before the kernel is to forget one. */
#define CHANGE_TRIES 500
#define CHANGE_PAUSE_US 200

/* Where libfuse's own messages go while a mount is attempted: into the sentence for the user. */
static _Thread_local struct buf *capture;

__attribute__((format(printf, 2, 0))) static void on_library_log(enum fuse_log_level level,
								 const char *fmt, va_list args)
{
	char *raw = NULL;
	const char *text;
	size_t len;

	if (vasprintf(&raw, fmt, args) < 0)
		return;
	text = strncmp(raw, "fuse: ", 6) ? raw : raw + 6;
	len = strlen(text);
	while (len > 0 && text[len - 1] == '\n')
		len--;
	if (capture)
		buf_printf(capture, "%s%.*s", capture->len ? "; " : "", (int)len, text);
	else if (level <= FUSE_LOG_ERR)
		log_error("libfuse: %.*s", (int)len, text);
	else if (level == FUSE_LOG_WARNING)
		log_warning("libfuse: %.*s", (int)len, text);
	else
		log_debug("libfuse: %.*s", (int)len, text);
	free(raw);
}

/*
 * The 32 bits of want are all we need. libfuse 3.17 has 64 and functions for them, but takes these
 * as well, and its functions differ between its releases.
 */
static void want(struct fuse_conn_info *conn, uint64_t capability, bool wanted)
{
	if (wanted)
		conn->want |= conn->capable & (uint32_t)capability;
	else
		conn->want &= ~(uint32_t)capability;
}

static void on_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	/* There are no set-id bits or file capabilities that a write would have to clear. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, true);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2, true);
#endif
	/* Guessing whether attributes are wanted costs more than sending them always. */
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	/* We say what changed; guessing it from times gave stale data under byte-range locks. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, false);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, false);
	want(conn, FUSE_CAP_DONT_MASK, false);
	/* The kernel keeps locks itself. */
	want(conn, FUSE_CAP_POSIX_LOCKS, false);
	want(conn, FUSE_CAP_FLOCK_LOCKS, false);
	/* A plain buffer is faster than splice(2). */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	negotiate_want_passthrough(conn);
	if (conn->max_write > MAX_WRITE)
		conn->max_write = MAX_WRITE;
}

/* What the notifier does for us, on its thread. */

static int open_backing(void *arg, int fd)
{
	return passthrough_open(((struct ops *)arg)->session, fd);
}

static void close_backing(void *arg, int id)
{
	passthrough_close(((struct ops *)arg)->session, id);
}

static const char *why_not(int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		return "the kernel or libfuse does not have it";
	case -EPERM:
		return "it takes CAP_SYS_ADMIN";
	case -EMEDIUMTYPE:
		return "the store lies on tmpfs";
	case -ELOOP:
		return "the store lies on a stacked filesystem";
	default:
		return "the kernel refused";
	}
}

/* Are the files below for the kernel to read and write itself? */
static void choose_passthrough(struct ops *ops)
{
	const struct vfs_backing backing = { ops, open_backing, close_backing };
	int err = ops->options.passthrough ? passthrough_probe(ops->session, vfs_probe_fd(ops->vfs)) :
					     -ECANCELED;

	if (err == 0) {
		log_info("passthrough: the kernel reads and writes large files by itself");
		vfs_set_backing(ops->vfs, &backing, NULL);
		return;
	}
	vfs_set_backing(ops->vfs, &(struct vfs_backing){ 0 },
			err == -ECANCELED ? "the option passthrough says no" : why_not(err));
	log_info("no passthrough: %s", err == -ECANCELED ? "the option says no" : why_not(err));
}

/* Asks the mount something: the answer comes when the session's threads serve requests. */
static void on_begin(void *arg)
{
	struct ops *ops = arg;
	struct statvfs space;
	int err = statvfs(ops->mountpoint, &space) ? -errno : 0;

	/* Whoever was faster goes through us, which is right too. */
	if (err == 0)
		choose_passthrough(ops);
	if (ops->options.ready)
		ops->options.ready(ops->options.ready_arg, err);
}

static void check_notified(int err, const char *what, uint64_t ino)
{
	/* Not cached, or the mount is going away. */
	if (err && err != -ENOENT && err != -ENODEV && err != -ENOTCONN && err != -EBADF)
		log_errno(err, "telling the kernel to forget a %s of node %llu", what,
			  (unsigned long long)ino);
}

/* See ops_changing(): it makes what it is for rare, so it does not wait for long. */
static void await_changes(struct ops *ops, uint64_t directory)
{
	for (unsigned i = 0; i < CHANGE_TRIES && atomic_load(ops_changing(ops, directory)); i++)
		usleep(CHANGE_PAUSE_US);
}

static void on_entry_changed(void *arg, uint64_t parent, const char *name)
{
	struct ops *ops = arg;

	await_changes(ops, parent);
	check_notified(fuse_lowlevel_notify_inval_entry(ops->session, parent, name, strlen(name)),
		       "name", parent);
}

static void on_inode_changed(void *arg, uint64_t ino)
{
	struct ops *ops = arg;

	check_notified(fuse_lowlevel_notify_inval_inode(ops->session, ino, 0, 0), "content", ino);
}

/*
 * Ends the session's loop. It waits in a system call that only a signal ends, and a signal that
 * comes just before that call is lost: so again, until it has ended.
 */
static void on_end(void *arg)
{
	struct ops *ops = arg;
	struct timespec until;

	fuse_session_exit(ops->session);
	if (sem_trywait(&ops->served) == 0)
		return;
	do {
		pthread_kill(ops->server, SIGTERM);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 20 * 1000 * 1000;
		if (until.tv_nsec >= 1000 * 1000 * 1000) {
			until.tv_nsec -= 1000 * 1000 * 1000;
			until.tv_sec++;
		}
	} while (sem_timedwait(&ops->served, &until) != 0);
}

static const struct notifier_ops notifier_ops = {
	.begin = on_begin,
	.entry = on_entry_changed,
	.inode = on_inode_changed,
	.end = on_end,
};

static void queue_entry(void *arg, uint64_t parent, const char *name)
{
	struct ops *ops = arg;

	notifier_entry(ops->notifier, parent, name);
}

static void queue_inode(void *arg, uint64_t ino)
{
	struct ops *ops = arg;

	notifier_inode(ops->notifier, ino);
}

static void settle(void *arg)
{
	struct ops *ops = arg;

	notifier_settle(ops->notifier);
}

/* Mounting. */

/* fsname may hold anything; libfuse takes a comma for the next option. */
static void add_escaped(struct buf *options, const char *value)
{
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			buf_add_char(options, '\\');
		buf_add_char(options, *value);
	}
}

static struct fuse_session *new_session(struct ops *ops, const struct ops_options *options)
{
	AUTO(buf_release) struct buf list = BUF_INIT;
	struct fuse_lowlevel_ops table = { .init = on_init };
	char *argv[] = { (char[]){ "lineagefs" }, (char[]){ "-o" }, NULL };
	struct fuse_args args = { 0 };
	struct fuse_session *session = NULL;

	buf_add_str(&list, "default_permissions,subtype=lineagefs,fsname=");
	add_escaped(&list, options->source);
	if (options->allow_other)
		buf_add_str(&list, ",allow_other");
	if (options->flags)
		buf_printf(&list, ",%s", options->flags);
	ops_add_names(&table);
	ops_add_files(&table);
	if (!fuse_opt_add_arg(&args, argv[0]) && !fuse_opt_add_arg(&args, argv[1]) &&
	    !fuse_opt_add_arg(&args, buf_str(&list)))
		session = fuse_session_new(&args, &table, sizeof(table), ops);
	fuse_opt_free_args(&args);
	return session;
}

/*
 * libfuse unmounts by path. If ours was taken away meanwhile, lazily perhaps, so that somebody
 * still uses it, another may have been mounted there: then only the connection ends.
 */
static void unmount(struct ops *ops)
{
	autoclose int null = -1;
	dev_t there;

	if (ops->cut)
		return;
	if (mountpoint_device(ops->mountpoint, &there) < 0 || there == ops->device) {
		fuse_session_unmount(ops->session);
		return;
	}
	log_info("another filesystem is mounted on %s now", ops->mountpoint);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0)
		dup3(null, fuse_session_fd(ops->session), O_CLOEXEC);
	ops->cut = true;
}

static void session_free(struct ops *ops)
{
	/* Until the process ends: without unmounting, libfuse does not free all of it. */
	static struct fuse_session *volatile kept __attribute__((unused));

	if (ops->cut)
		kept = ops->session;
	else if (ops->session)
		fuse_session_destroy(ops->session);
}

static void ops_free(struct ops *ops)
{
	session_free(ops);
	notifier_free(ops->notifier);
	jobs_release(&ops->jobs);
	pthread_mutex_destroy(&ops->lock);
	sem_destroy(&ops->served);
	free(ops->mountpoint);
	free(ops);
}

int ops_mount(struct vfs *vfs, const struct ops_options *options, const char *mountpoint,
	      struct buf *why, struct ops **ret)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	struct ops *ops = xcalloc(1, sizeof(*ops));
	bool mounted;

	ops->vfs = vfs;
	ops->options = *options;
	ops->mountpoint = xstrdup(mountpoint);
	jobs_init(&ops->jobs);
	pthread_mutex_init(&ops->lock, NULL);
	sem_init(&ops->served, 0, 0);
	fuse_set_log_func(on_library_log);

	capture = &said;
	ops->session = new_session(ops, options);
	mounted = ops->session && fuse_session_mount(ops->session, mountpoint) == 0 &&
		  negotiate_begin(ops->session) == 0;
	capture = NULL;
	if (!mounted) {
		if (!said.len) /* it has told the user why, on standard error */
			buf_add_str(&said, geteuid() ? "fusermount3 refused" : "libfuse refused");
		buf_printf(why, "cannot mount on %s: %s", mountpoint, buf_str(&said));
		if (ops->session)
			fuse_session_unmount(ops->session);
		ops_free(ops);
		return -EIO;
	}
	mountpoint_device(mountpoint, &ops->device);
	/* Borrowed for this call only. */
	ops->options.source = NULL;
	ops->options.flags = NULL;
	*ret = ops;
	return 0;
}

/* Serving. */

static struct notifier *stop_target;

static void on_stop_signal(int signal)
{
	int saved = errno;

	(void)signal;
	notifier_stop(stop_target);
	errno = saved;
}

static const int stop_signals[] = { SIGTERM, SIGINT, SIGHUP };

static int run_loop(struct ops *ops)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct sigaction action = { .sa_handler = on_stop_signal }; /* no SA_RESTART */
	struct sigaction old[ARRAY_SIZE(stop_signals)];
	sigset_t set, old_set;
	int err;

	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, ops->options.threads);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		sigaction(stop_signals[i], &action, &old[i]);
		sigaddset(&set, stop_signals[i]);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, &old_set);
	err = fuse_session_loop_mt(ops->session, config);
	sem_post(&ops->served);
	pthread_sigmask(SIG_SETMASK, &old_set, NULL);
	fuse_loop_cfg_destroy(config);
	if (err < 0) {
		log_errno(err, "serving %s", ops->mountpoint);
		/* Whoever still waits for an answer gets an error; our threads among them. */
		unmount(ops);
	}
	/* Before the handlers go: the notifier may still send us their signal. */
	notifier_join(ops->notifier);
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++)
		sigaction(stop_signals[i], &old[i], NULL);
	return err < 0 ? err : 0;
}

int ops_serve(struct ops *ops)
{
	const struct vfs_notify notify = { ops, queue_entry, queue_inode, settle };
	int err;

	ops->server = pthread_self();
	err = notifier_new(&notifier_ops, ops, &ops->notifier);
	if (err)
		return err;
	stop_target = ops->notifier;
	vfs_set_notify(ops->vfs, &notify);
	return run_loop(ops);
}

void ops_unmount(struct ops *ops)
{
	const struct vfs_notify nobody = { NULL, NULL, NULL, NULL };

	if (!ops)
		return;
	/* First the threads that may reply: unmounting closes the session's descriptor. */
	jobs_finish(&ops->jobs);
	refused_end();
	unmount(ops);
	while (ops->open)
		ops_release_file(ops, ops->open);
	vfs_set_notify(ops->vfs, &nobody);
	ops_free(ops);
}

const char *ops_library(void)
{
	return fuse_pkgversion();
}
