#include "mount.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "conf/conf.h"
#include "core/log.h"
#include "core/store.h"
#include "core/watch.h"
#include "mountpoint.h"
#include "ops.h"
#include "print.h"
#include "store_conf.h"
#include "vfs.h"

/* What the daemon writes into the pipe to its parent when the mount answers; else a sentence. */
#define ANSWERS '+'

struct mounting {
	struct conf conf;
	struct buf options; /* everything given to -o */
	struct buf flags;   /* the part of it that is for the kernel */
	const char *conf_file;
	bool foreground, print;
	char *store, *mountpoint; /* resolved */
	int report;		  /* the pipe to the parent; -1: nobody waits */
	bool failed;
};

static void mounting_release(struct mounting *m)
{
	conf_release(&m->conf);
	buf_release(&m->options);
	buf_release(&m->flags);
	free(m->store);
	free(m->mountpoint);
	if (m->report >= 0)
		close(m->report);
}

/* Tells the user why not: through the parent once that is all there is to reach the terminal. */
static int refuse(struct mounting *m, const struct buf *why)
{
	m->failed = true;
	if (m->report < 0)
		fprintf(stderr, "lineagefs: %s\n", buf_str(why));
	else if (write(m->report, why->data, why->len) != (ssize_t)why->len)
		log_error("%s", buf_str(why));
	return 1;
}

static int usage(const char *wrong, const char *what)
{
	fprintf(stderr, "lineagefs: %s%s\nusage: lineagefs " MOUNT_USAGE "\n", wrong, what);
	return 2;
}

static int parse(struct mounting *m, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "print", no_argument, NULL, 'p' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "options", required_argument, NULL, 'o' },
		{ "config", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":fo:c:", long_options, NULL)) != -1) {
		switch (c) {
		case 'f':
			m->foreground = true;
			break;
		case 'p':
			m->print = true;
			break;
		case 'c':
			m->conf_file = optarg;
			break;
		case 'o':
			buf_printf(&m->options, "%s%s", m->options.len ? "," : "", optarg);
			break;
		case ':':
			return usage("an argument is missing after ", argv[optind - 1]);
		default:
			return usage("no such option: ", argv[optind - 1]);
		}
	}
	if (argc - optind < 1)
		return usage("STORE is missing", "");
	if (argc - optind < 2 && !m->print)
		return usage("MOUNTPOINT is missing", "");
	if (argc - optind > 2)
		return usage("too many arguments: ", argv[optind + 2]);
	for (int i = optind; i < argc; i++)
		if (!argv[i][0])
			return usage("an empty path", "");
	m->store = path_resolve(argv[optind]);
	m->mountpoint = argc - optind < 2 ? NULL : path_resolve(argv[optind + 1]);
	return 0;
}

/*
 * Options of mount(8) and fstab(5) that reach every filesystem: some are for the kernel, the others
 * mean nothing here or (nosuid, nodev) hold anyway.
 */
static const struct {
	const char *name;
	bool kernel;
} generic_options[] = {
	{ "ro", true },	     { "noexec", true },  { "noatime", true },	 { "rw", false },
	{ "exec", false },   { "suid", false },	  { "nosuid", false },	 { "dev", false },
	{ "nodev", false },  { "atime", false },  { "relatime", false }, { "auto", false },
	{ "noauto", false }, { "user", false },	  { "users", false },	 { "nouser", false },
	{ "owner", false },  { "nofail", false }, { "_netdev", false },	 { "defaults", false },
};

static bool take_generic(struct mounting *m, struct slice word)
{
	if (slice_starts(word, slice_str("x-")))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(generic_options); i++) {
		if (!slice_equal(word, slice_str(generic_options[i].name)))
			continue;
		if (generic_options[i].kernel)
			buf_printf(&m->flags, "%s%s", m->flags.len ? "," : "",
				   generic_options[i].name);
		return true;
	}
	return false;
}

static int read_options(struct mounting *m, struct buf *why)
{
	AUTO(buf_release) struct buf ours = BUF_INIT;
	const char *at = buf_str(&m->options);

	while (*at) {
		const char *end = strchrnul(at, ',');
		struct slice word = slice(at, (size_t)(end - at));

		if (word.len && !take_generic(m, word)) {
			if (ours.len)
				buf_add_char(&ours, ',');
			buf_add_slice(&ours, word);
		}
		at = *end ? end + 1 : end;
	}
	return ours.len ? conf_read_list(&m->conf, buf_str(&ours), why) : 0;
}

static int read_conf(struct mounting *m, struct buf *why)
{
	int err = store_conf_read(&m->conf, m->conf_file, why);

	if (!err)
		err = read_options(m, why);
	if (!err)
		log_set_level(m->conf.log_level);
	return err;
}

static int check_paths(struct mounting *m, struct buf *why)
{
	int err = mountpoint_check(m->mountpoint, why);

	if (err)
		return err;
	if (path_within(m->store, m->mountpoint)) {
		buf_printf(why, "the store %s lies in the mountpoint %s", m->store, m->mountpoint);
		return -EINVAL;
	}
	if (path_within(m->mountpoint, m->store)) {
		buf_printf(why, "the mountpoint %s lies in the store %s", m->mountpoint, m->store);
		return -EINVAL;
	}
	return 0;
}

/* Every open file of the mount is one of ours, and RocksDB has its own. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	FILE *f;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	f = geteuid() == 0 ? fopen("/proc/sys/fs/nr_open", "re") : NULL;
	if (f) {
		unsigned long long most;
		struct rlimit wanted;

		if (fscanf(f, "%llu", &most) == 1 && most > limit.rlim_max) {
			wanted = (struct rlimit){ most, most };
			if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
				limit = wanted;
		}
		fclose(f);
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void detach_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

static void on_ready(void *arg, int err)
{
	struct mounting *m = arg;

	if (err) {
		AUTO(buf_release) struct buf why = BUF_INIT;

		buf_printf(&why, "the mount on %s does not answer: %s", m->mountpoint,
			   strerror(-err));
		refuse(m, &why);
		kill(getpid(), SIGTERM);
		return;
	}
	log_info("%s is mounted on %s", m->store, m->mountpoint);
	if (m->report < 0)
		return;
	detach_stdio();
	if (write(m->report, &(char){ ANSWERS }, 1) != 1)
		log_warning("whoever asked for the mount is gone");
	close(m->report);
	m->report = -1;
}

static int serve_store(struct mounting *m, struct store *store)
{
	const struct ops_options options = {
		.source = m->store,
		.flags = m->flags.len ? buf_str(&m->flags) : NULL,
		.allow_other = m->conf.allow_other,
		.passthrough = m->conf.passthrough,
		.threads = m->conf.threads,
		.ready = on_ready,
		.ready_arg = m,
	};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct vfs *vfs = NULL;
	struct ops *ops;
	int err = vfs_new(store, &vfs);

	if (err) {
		buf_printf(&why, "cannot serve %s: %s", m->store, strerror(-err));
		return refuse(m, &why);
	}
	if (ops_mount(vfs, &options, m->mountpoint, &why, &ops) != 0) {
		vfs_free(vfs);
		return refuse(m, &why);
	}
	err = ops_serve(ops);
	/* What is told from now on has nobody to tell the kernel. */
	watch_on_change(store->watch, NULL, NULL);
	ops_unmount(ops);
	vfs_free(vfs);
	return err || m->failed;
}

/* The daemon's life. */
static int serve(struct mounting *m)
{
	const struct store_options options = store_conf_options(&m->conf);
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct store *store;
	sigset_t stops;
	int status;

	/* Only ops_serve() lets these through; no other thread, of RocksDB say, is to see them. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &stops, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0); /* modes of drafts are exact: the kernel has applied the caller's */
	raise_file_limit();

	if (store_open(m->store, &options, &why, &store) != 0)
		return refuse(m, &why);
	store->mountpoint = m->mountpoint;
	status = serve_store(m, store);
	store_close(store);
	if (!status)
		log_info("%s is unmounted from %s", m->store, m->mountpoint);
	return status;
}

static int start_log(struct mounting *m, struct buf *why)
{
	int err = 0;

	if (m->conf.log_file && m->conf.log_file[0])
		err = log_to_file(m->conf.log_file);
	else if (!m->foreground)
		log_to_syslog();
	if (err)
		buf_printf(why, "cannot write the log %s: %s", m->conf.log_file, strerror(-err));
	return err;
}

static int run_daemon(struct mounting *m)
{
	AUTO(buf_release) struct buf why = BUF_INIT;

	setsid();
	/* What the caller had open (a lock, a pipe) is not ours to keep for as long as we live. */
	if (m->report != STDERR_FILENO + 1) {
		m->report = dup3(m->report, STDERR_FILENO + 1, O_CLOEXEC);
		if (m->report < 0)
			return 1;
	}
	close_range(STDERR_FILENO + 2, ~0U, 0);
	if (start_log(m, &why) != 0)
		return refuse(m, &why);
	if (chdir("/") != 0)
		log_errno(-errno, "cannot change to /");
	return serve(m);
}

/* Waits until the daemon says that the mount answers, or ends. */
static int await_daemon(pid_t daemon, int pipe_fd)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	int status = 0;
	ssize_t n;

	do {
		n = read(pipe_fd, buf_reserve(&said, 512), 512);
		if (n > 0)
			said.len += (size_t)n;
		if (said.len && said.data[0] == ANSWERS)
			return 0;
	} while (n > 0 || (n < 0 && errno == EINTR));

	while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
		;
	if (said.len)
		fprintf(stderr, "lineagefs: %.*s\n", (int)said.len, said.data);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "lineagefs: the daemon was ended by signal %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "lineagefs: the daemon ended before the mount answered\n");
	return 1;
}

/* Forks before the store is opened: threads do not survive a fork. */
static int daemonise(struct mounting *m)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	int ends[2];
	int status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		buf_printf(&why, "cannot make a pipe: %s", strerror(errno));
		return refuse(m, &why);
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		buf_printf(&why, "cannot start the daemon: %s", strerror(errno));
		status = refuse(m, &why);
	} else if (pid == 0) {
		close(ends[0]);
		m->report = ends[1];
		return run_daemon(m);
	} else {
		close(ends[1]);
		ends[1] = -1;
		status = await_daemon(pid, ends[0]);
	}
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return status;
}

/* --print: no mount, so also for a store that may not be mounted here. */
static int print_store(struct mounting *m)
{
	const struct store_options options = store_conf_options(&m->conf);
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct store *store;
	struct vfs *vfs;
	int empty = directory_is_empty(m->store);
	int err;

	if (empty == 1 || empty == -ENOENT) {
		buf_printf(&why, "there is no store at %s", m->store);
		return refuse(m, &why);
	}
	if (store_open(m->store, &options, &why, &store) != 0)
		return refuse(m, &why);
	err = vfs_new(store, &vfs);
	if (!err) {
		err = print_tree(vfs, stdout);
		vfs_free(vfs);
	}
	store_close(store);
	return err ? 1 : 0;
}

int mount_main(int argc, char **argv)
{
	AUTO(mounting_release) struct mounting m = { .report = -1 };
	AUTO(buf_release) struct buf why = BUF_INIT;
	int status;

	conf_init(&m.conf);
	status = parse(&m, argc, argv);
	if (status)
		return status;
	if (read_conf(&m, &why) != 0)
		return refuse(&m, &why);
	if (m.print)
		return print_store(&m);
	if (check_paths(&m, &why) != 0)
		return refuse(&m, &why);
	if (!m.foreground)
		return daemonise(&m);
	if (start_log(&m, &why) != 0)
		return refuse(&m, &why);
	return serve(&m);
}
