/*
 * main.c - the command line: a table of subcommands.
 */
#include <fcntl.h>
#include <stdio.h>

#include "command_audit.h"
#include "command_du.h"
#include "command_fsck.h"
#include "command_gc.h"
#include "command_lineage.h"
#include "command_run.h"
#include "command_verify.h"
#include "conf/conf.h"
#include "core/store.h"
#include "mount.h"
#include "ops.h"

#ifndef LINEAGEFS_VERSION
#define LINEAGEFS_VERSION "0.1"
#endif

struct command {
	const char *name;
	const char *usage;
	const char *sentence;
	/* argv[0] is the command's name; returns the exit status: 0, 1 failure, 2 usage. */
	int (*run)(int argc, char **argv);
};

static int help_main(int argc, char **argv);
static int version_main(int argc, char **argv);

static const struct command commands[] = {
	{ "mount", MOUNT_USAGE,
	  "mount a store, which is created if there is none; --print lists its tree instead",
	  mount_main },
	{ "run", RUN_USAGE,
	  "run a command as a run: what it reads and writes becomes lineage; run --help says more",
	  run_main },
	{ "lineage", LINEAGE_USAGE,
	  "show what a version or a run was made from and what was made from it", lineage_main },
	{ "audit", AUDIT_USAGE, "check that nobody has edited the audit log", audit_main },
	{ "verify", VERIFY_USAGE,
	  "are the files that links of a version lead to what they were when it was logged?",
	  verify_main },
	{ "du", DU_USAGE,
	  "show how many bytes versions hold, and what removing them would free", du_main },
	{ "gc", GC_USAGE,
	  "take away what nobody needs: old removed versions, and old versions if so wanted",
	  gc_main },
	{ "fsck", FSCK_USAGE,
	  "look whether a store is whole; repair what can be, set aside what cannot", fsck_main },
	{ "help", "help", "print this", help_main },
	{ "version", "version", "print the versions of lineagefs, libfuse and the store",
	  version_main },
};

static const struct {
	const char *alias, *name;
} aliases[] = { { "--help", "help" }, { "-h", "help" }, { "--version", "version" } };

static int end_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "lineagefs: cannot write to standard output: %s\n", strerror(errno));
	return 1;
}

static int help_main(int argc, char **argv)
{
	AUTO(buf_release) struct buf options = BUF_INIT;

	(void)argc;
	(void)argv;
	printf("lineagefs shows machine-learning artifacts and their lineage as directories.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  lineagefs %s\n      %s\n", commands[i].usage, commands[i].sentence);
	printf("\n  -f       stay in the foreground, log to standard error\n"
	       "  -o LIST  options, separated by commas; they win over FILE\n"
	       "  -c FILE  options from FILE; else from $LINEAGEFS_CONF or /etc/lineagefs.ini\n"
	       "\nUnmount with umount, fusermount3 -u or SIGTERM.\n\nOptions:\n");
	conf_describe(&options);
	fputs(buf_str(&options), stdout);
	return end_output();
}

static int version_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("lineagefs %s (libfuse %s, store schema %d)\n", LINEAGEFS_VERSION, ops_library(),
	       STORE_SCHEMA);
	return end_output();
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(name, aliases[i].alias))
			name = aliases[i].name;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

/*
 * What is opened first must not get the number of a standard stream that the caller has closed;
 * closed they stay for what we execute.
 */
static void fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;

	fill_stdio();
	if (argc < 2) {
		fprintf(stderr, "lineagefs: which command? `lineagefs help` lists them\n");
		return 2;
	}
	command = find(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	/* mount(8) and fstab(5) call `lineagefs STORE MOUNTPOINT -o ...` for fuse.lineagefs. */
	if (strchr(argv[1], '/'))
		return mount_main(argc, argv);
	fprintf(stderr, "lineagefs: no such command: %s; `lineagefs help` lists them\n", argv[1]);
	return 2;
}
