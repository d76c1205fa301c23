/*
 * command_du.h - the `du` subcommand: how many bytes versions hold.
 */
#ifndef FS_COMMAND_DU_H
#define FS_COMMAND_DU_H

#define DU_USAGE "du [-m MOUNTPOINT] [-b] [--json] NAME[:REF]..."

/* argv[0] is the subcommand's name. Returns the exit status: 0, 1 failure, 2 usage. */
int du_main(int argc, char **argv);

#endif
