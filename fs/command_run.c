#include "command_run.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"
#include "command.h"
#include "core/document.h"
#include "core/name.h"
#include "launch_facts.h"
#include "mount_find.h"
#include "run_files.h"
#include "run_finish.h"
#include "run_id.h"

/* So many names are made up before it is said that none is free. */
#define NAMES_TRIED 100
/* config.json is no larger. */
#define CONFIG_MAX (1u << 20)

static const char help[] =
	"usage: lineagefs " RUN_USAGE "\n"
	"\n"
	"Runs COMMAND as a run of the lineagefs mounted at MOUNTPOINT. What it reads of\n"
	"artifacts becomes its inputs; what it writes below $LINEAGEFS_RUN_DIR/outputs is\n"
	"logged when it exits with 0. Its input, output, signals and exit status are its\n"
	"own; what it prints is also kept in console.log of the run.\n"
	"\n"
	"  -m, --mount DIR         where lineagefs is mounted; else $LINEAGEFS_MOUNT,\n"
	"                          else the only mount there is\n"
	"      --id ID             the name of the run; else one is made up\n"
	"      --resume ID         go on with a run that failed or crashed\n"
	"      --job-type TYPE     what sort of run it is: train, eval, ...\n"
	"      --input [ROLE=]REF  an input: mnist:v3, mnist:latest, or the path of a\n"
	"                          version or of something in it; ROLE is the artifact's\n"
	"                          name unless given\n"
	"      --tag TAG           a tag of the run\n"
	"      --config FILE       JSON, for config.json of the run\n"
	"  -h, --help              print this\n"
	"\n"
	"The command finds in its environment\n"
	"  LINEAGEFS_RUN           the name of the run\n"
	"  LINEAGEFS_RUN_DIR       its directory: inputs/ and outputs/ are there\n"
	"  LINEAGEFS_ARTIFACTS     the artifacts as this run sees them\n"
	"  LINEAGEFS_MOUNT         the mountpoint\n"
	"  LINEAGEFS_STORE         the id of the store that is mounted there\n"
	"\n"
	"The exit status is the command's; 128 and the number of the signal that killed\n"
	"it; 127 when it is not found, 126 when it cannot be run; 2 when the options are\n"
	"wrong; 1 when the run could not be started, or the command succeeded but logging\n"
	"did not.\n";

struct texts {
	const char **list;
	size_t count, cap;
};

struct command_run {
	const char *mount, *id, *resume, *job_type, *config_file;
	struct texts inputs, tags;
	char *const *command;
	struct buf config;
	struct run_files files;
	struct child child;
};

static void command_run_release(struct command_run *r)
{
	free(r->inputs.list);
	free(r->tags.list);
	buf_release(&r->config);
	run_files_release(&r->files);
}

static void add_text(struct texts *t, const char *text)
{
	t->list = xgrow(t->list, &t->cap, t->count + 1, sizeof(*t->list));
	t->list[t->count++] = text;
}

#define refuse(status, ...) command_refuse("run", status, __VA_ARGS__)

/* ---- options ---- */

enum { OPTION_ID = 256, OPTION_RESUME, OPTION_JOB_TYPE, OPTION_INPUT, OPTION_TAG, OPTION_CONFIG };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	{ "id", required_argument, NULL, OPTION_ID },
	{ "resume", required_argument, NULL, OPTION_RESUME },
	{ "job-type", required_argument, NULL, OPTION_JOB_TYPE },
	{ "input", required_argument, NULL, OPTION_INPUT },
	{ "tag", required_argument, NULL, OPTION_TAG },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ NULL, 0, NULL, 0 },
};

static int check_names(const struct command_run *r)
{
	static const char rule[] = "names are made of A-Z a-z 0-9 _ . = + , @ -, have 128 bytes at "
				   "most and start with neither dot nor underscore";
	const char *id = r->id ? r->id : r->resume;

	if (r->id && r->resume)
		return refuse(2, "--id and --resume exclude each other");
	if (id && !name_valid(slice_str(id)))
		return refuse(2, "'%s' cannot be the name of a run: %s", id, rule);
	if (r->job_type && !name_valid(slice_str(r->job_type)))
		return refuse(2, "'%s' cannot be a job type: %s", r->job_type, rule);
	for (size_t i = 0; i < r->tags.count; i++)
		if (!name_valid(slice_str(r->tags.list[i])))
			return refuse(2, "'%s' cannot be a tag: %s", r->tags.list[i], rule);
	for (size_t i = 0; i < r->inputs.count; i++)
		if (!strpbrk(r->inputs.list[i], ":/"))
			return refuse(2,
				      "'%s' is no input: mnist:latest or ROLE=mnist:v3 is one",
				      r->inputs.list[i]);
	return 0;
}

/* 0; 2: wrong; -1: all is said. */
static int parse(struct command_run *r, int argc, char **argv)
{
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "+:m:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			r->mount = optarg;
			break;
		case OPTION_ID:
			r->id = optarg;
			break;
		case OPTION_RESUME:
			r->resume = optarg;
			break;
		case OPTION_JOB_TYPE:
			r->job_type = optarg;
			break;
		case OPTION_INPUT:
			add_text(&r->inputs, optarg);
			break;
		case OPTION_TAG:
			add_text(&r->tags, optarg);
			break;
		case OPTION_CONFIG:
			r->config_file = optarg;
			break;
		default:
			return command_option("run", help, c, argv[optind - 1]);
		}
	}
	if (optind >= argc)
		return refuse(2, "no command is given");
	r->command = argv + optind;
	return check_names(r);
}

/* Before anything is made: what cannot be a config is not made one. */
static int read_config(struct command_run *r)
{
	AUTO(buf_release) struct buf why = BUF_INIT;
	autoclose int fd = -1;
	ssize_t n = 0;

	if (!r->config_file)
		return 0;
	fd = open(r->config_file, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && r->config.len <= CONFIG_MAX &&
	       (n = read(fd, buf_reserve(&r->config, 1u << 16), 1u << 16)) > 0) {
		r->config.len += (size_t)n;
		r->config.data[r->config.len] = '\0';
	}
	if (fd < 0 || n < 0)
		return refuse(1, "%s cannot be read: %s", r->config_file, strerror(errno));
	if (r->config.len > CONFIG_MAX)
		return refuse(1, "%s is larger than 1 MiB", r->config_file);
	if (document_check(buf_slice(&r->config), false, &why) < 0)
		return refuse(1, "%s is not JSON: %s", r->config_file, buf_str(&why));
	return 0;
}

/* ---- making the run ---- */

static int make_run(struct command_run *r, char *mount)
{
	for (int i = 0; i < NAMES_TRIED; i++) {
		char *id = r->id ? xstrdup(r->id) : run_id_new();

		run_files_release(&r->files);
		run_files_init(&r->files, xstrdup(mount), id);
		if (mkdir(r->files.path, 0777) == 0)
			return 0;
		if (errno != EEXIST || r->id)
			break;
	}
	if (errno == EEXIST && r->id)
		return refuse(1, "there is a run %s already; --resume goes on with one that failed",
			      r->id);
	return refuse(1, "the run %s cannot be made: %s", r->files.path, strerror(errno));
}

static int resume_run(struct command_run *r, char *mount)
{
	AUTO(buf_release) struct buf state = BUF_INIT;
	int err;

	run_files_init(&r->files, xstrdup(mount), xstrdup(r->resume));
	err = run_file_read(&r->files, "state", &state);
	if (err == -ENOENT)
		return refuse(1, "there is no run %s", r->resume);
	if (err == 0 && !strcmp(buf_str(&state), "running\n"))
		return refuse(1, "run %s is running", r->resume);
	if (err == 0 && !strcmp(buf_str(&state), "finished\n"))
		return refuse(1, "run %s has finished, and cannot go on", r->resume);
	if (err == 0)
		err = run_file_write(&r->files, "state", slice_str("running\n"));
	if (err < 0)
		return refuse(1, "run %s cannot go on: %s", r->resume, strerror(-err));
	return 0;
}

/* Is there an artifact of the name that a reference starts with? Paths are taken as they are. */
static bool names_artifact(const struct command_run *r, const char *reference)
{
	size_t n = strcspn(reference, ":");
	autofree char *path = NULL;

	if (strchr(reference, '/'))
		return true;
	path = xasprintf("%s/artifacts/%.*s", r->files.mount, (int)n, reference);
	return n > 0 && access(path, F_OK) == 0;
}

/*
 * Where the reference in [ROLE=]REF starts. Names may have '=' in them: what is before the first
 * '=' after which an artifact is named is the role; else there is none.
 */
static const char *find_reference(const struct command_run *r, const char *text)
{
	const char *first = NULL;

	for (const char *at = text; (at = strchr(at, '=')); at++) {
		if (!name_valid(slice(text, (size_t)(at - text))))
			continue;
		if (names_artifact(r, at + 1))
			return at + 1;
		first = first ? first : at + 1;
	}
	return names_artifact(r, text) || !first ? text : first;
}

/* The name of the artifact in mnist:v3 or in .../artifacts/mnist/v3/... */
static char *default_role(const char *reference)
{
	struct reference parsed;

	if (reference_parse(slice_str(reference), &parsed) < 0)
		return xstrdup(reference);
	return xstrndup(parsed.artifact.data, parsed.artifact.len);
}

static int declare(struct command_run *r, const char *text)
{
	const char *reference = find_reference(r, text);
	bool given = reference != text;
	autofree char *role = given ? xstrndup(text, (size_t)(reference - text) - 1) :
				      default_role(reference);

	for (unsigned i = 1;; i++) {
		autofree char *path = i == 1 ? xasprintf("%s/inputs/%s", r->files.path, role) :
					       xasprintf("%s/inputs/%s-%u", r->files.path, role, i);

		if (symlink(reference, path) == 0)
			return 0;
		if (errno != EEXIST || given)
			break;
	}
	if (errno == EEXIST && r->resume)
		return 0;
	if (errno == EEXIST)
		return refuse(1, "there are two inputs of the role %s", role);
	if (errno == ENOENT)
		return refuse(1, "there is no %s", reference);
	if (errno == EINVAL)
		return refuse(1, "'%s' cannot be an input: neither like mnist:v3 nor a path of a "
				 "version", text);
	return refuse(1, "%s cannot be an input: %s", reference, strerror(errno));
}

static int add_tag(struct command_run *r, const char *tag)
{
	autofree char *path = xasprintf("%s/tags/%s", r->files.path, tag);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		return refuse(1, "the tag %s cannot be made: %s", tag, strerror(errno));
	close(fd);
	return 0;
}

static int write_note(struct command_run *r, const char *name, struct slice text)
{
	AUTO(buf_release) struct buf reason = BUF_INIT;
	int err = run_file_write(&r->files, name, text);

	if (err == 0)
		return 0;
	if (err == -EINVAL)
		run_file_reason(&r->files, &reason);
	return refuse(1, "%s of the run cannot be written: %s", name,
		      reason.len ? buf_str(&reason) : strerror(-err));
}

static int describe(struct command_run *r)
{
	AUTO(launch_release) struct launch launch = { 0 };
	AUTO(buf_release) struct buf metadata = BUF_INIT;
	int status = 0;

	for (size_t i = 0; status == 0 && i < r->inputs.count; i++)
		status = declare(r, r->inputs.list[i]);
	for (size_t i = 0; status == 0 && i < r->tags.count; i++)
		status = add_tag(r, r->tags.list[i]);
	if (status == 0 && r->job_type)
		status = write_note(r, "job_type", slice_str(r->job_type));
	if (status == 0 && r->config.len)
		status = write_note(r, "config.json", buf_slice(&r->config));
	if (status)
		return status;
	launch_find_facts(&launch, r->command);
	launch_encode(&launch, &metadata);
	return write_note(r, "metadata.json", buf_slice(&metadata));
}

/* A run that was made, but never started, goes again; one that was resumed has failed again. */
static void undo(struct command_run *r)
{
	autofree char *inputs = run_file_path(&r->files, "inputs");
	DIR *dir = r->resume ? NULL : opendir(inputs);

	if (dir) {
		for (struct dirent *e; (e = readdir(dir));)
			if (e->d_name[0] != '.')
				unlinkat(dirfd(dir), e->d_name, 0);
		closedir(dir);
		if (rmdir(r->files.path) == 0)
			return;
	}
	run_file_write(&r->files, "state", slice_str("failed\n"));
}

/* ---- the command ---- */

/* A store whose runs have no `procs` goes without. */
static void enlist(void *arg, pid_t pid)
{
	const struct command_run *r = arg;
	AUTO(buf_release) struct buf text = BUF_INIT;
	int err;

	buf_printf(&text, "%d\n", (int)pid);
	err = run_file_write(&r->files, "procs", buf_slice(&text));
	if (err < 0 && err != -ENOENT)
		fprintf(stderr, "lineagefs run: process %d cannot be made known to the run: %s\n",
			(int)pid, strerror(-err));
}

static void set_environment(const struct command_run *r)
{
	autofree char *view = xasprintf("%s/view/%s", r->files.mount, r->files.id);
	AUTO(buf_release) struct buf status = BUF_INIT, store = BUF_INIT;

	setenv("LINEAGEFS_RUN", r->files.id, 1);
	setenv("LINEAGEFS_RUN_DIR", r->files.path, 1);
	setenv("LINEAGEFS_ARTIFACTS", view, 1);
	setenv("LINEAGEFS_MOUNT", r->files.mount, 1);
	/* A run of the same name in another store that is read from is not meant. */
	if (run_file_read(&r->files, "../../_status.json", &status) == 0 &&
	    document_store_id(buf_slice(&status), &store) == 0)
		setenv("LINEAGEFS_STORE", buf_str(&store), 1);
	else
		unsetenv("LINEAGEFS_STORE");
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_command(struct command_run *r)
{
	AUTO(buf_release) struct buf why = BUF_INIT, gap = BUF_INIT;
	autofree char *console = run_file_path(&r->files, "console.log");
	int err, status, result;

	/* What the command leaves behind becomes our child, so its end is seen. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	enlist(r, getpid());
	set_environment(r);
	err = child_start(&r->child, r->command, console, enlist, r, &why);
	status = r->child.pid > 0 ? child_wait(&r->child) : 1 << 8;
	child_release(&r->child, &gap);
	if (err < 0) {
		status = (why.len ? 1 : err == -ENOENT ? 127 : 126) << 8;
		if (why.len)
			fprintf(stderr, "lineagefs run: %s\n", buf_str(&why));
		else
			fprintf(stderr, "lineagefs run: %s cannot be run: %s\n", r->command[0],
				strerror(-err));
	}
	if (gap.len)
		fprintf(stderr, "lineagefs: %s\n", buf_str(&gap));
	result = run_finish(&r->files, status, &r->child.signals);
	return result < 0 && exit_status(status) == 0 ? 1 : exit_status(status);
}

int run_main(int argc, char **argv)
{
	AUTO(command_run_release) struct command_run r = { .config = BUF_INIT };
	AUTO(buf_release) struct buf why = BUF_INIT;
	autofree char *mount = NULL;
	int status = parse(&r, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	child_init(&r.child);
	status = read_config(&r);
	if (status)
		return status;
	if (mount_find(r.mount, &why, &mount) < 0)
		return refuse(1, "%s", buf_str(&why));
	status = r.resume ? resume_run(&r, mount) : make_run(&r, mount);
	if (status)
		return status;
	status = describe(&r);
	if (status) {
		undo(&r);
		return status;
	}
	if (!r.id && !r.resume && isatty(2))
		fprintf(stderr, "lineagefs: run %s\n", r.files.id);
	return run_command(&r);
}
