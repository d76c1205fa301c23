/*
 * command_run.h - `lineagefs run`: a command as a run. It works through the mount alone, as anybody
 * could who writes the same files, and needs no privileges.
 */
#ifndef FS_COMMAND_RUN_H
#define FS_COMMAND_RUN_H

#define RUN_USAGE                                                                        \
	"run [-m MOUNTPOINT] [--id ID | --resume ID] [--job-type TYPE] [--tag TAG]...\n"  \
	"                [--input [ROLE=]REF]... [--config FILE] [--] COMMAND [ARGUMENT]..."

int run_main(int argc, char **argv);

#endif
