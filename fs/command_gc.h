/*
 * command_gc.h - the `gc` subcommand: takes away what nobody needs, in a store that is mounted or
 * not.
 */
#ifndef FS_COMMAND_GC_H
#define FS_COMMAND_GC_H

#define GC_USAGE                                                                         \
	"gc STORE|MOUNTPOINT [--dry-run] [--keep-last N] [--unused-for DAYS] "           \
	"[--empty-trash] [--json] [-c FILE]"

/* argv[0] is the subcommand's name. Returns the exit status: 0, 1 failure, 2 usage. */
int gc_main(int argc, char **argv);

#endif
