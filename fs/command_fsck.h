/*
 * command_fsck.h - the `fsck` subcommand: is a store whole? It is mounted or not.
 */
#ifndef FS_COMMAND_FSCK_H
#define FS_COMMAND_FSCK_H

#define FSCK_USAGE "fsck STORE|MOUNTPOINT [--repair] [--deep] [--json] [-q] [-c FILE]"

/*
 * argv[0] is the subcommand's name. Returns the exit status, as fsck(8) has them, added up: 1
 * something was repaired or set aside, 4 something is wrong and left, 8 it could not be done, 16
 * usage, 32 it was interrupted.
 */
int fsck_main(int argc, char **argv);

#endif
