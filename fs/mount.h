/*
 * mount.h - the `mount` subcommand: options, checks, the step into the background.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#define MOUNT_USAGE "mount STORE MOUNTPOINT [-f] [-o OPTIONS] [-c FILE] | mount STORE --print"

/* argv[0] is the subcommand's name. Returns the exit status: 0, 1 failure, 2 usage. */
int mount_main(int argc, char **argv);

#endif
