/*
 * command_lineage.h - `lineagefs lineage`: what is above and below a version or a run, on a
 * terminal. It reads /lineage through the mount.
 */
#ifndef FS_COMMAND_LINEAGE_H
#define FS_COMMAND_LINEAGE_H

#define LINEAGE_USAGE                                                                    \
	"lineage [-m MOUNTPOINT] NAME:REF|NAME|RUN [--up|--down] [--depth N]\n"           \
	"                    [--type T] [--json|--tree]"

int lineage_main(int argc, char **argv);

#endif
