/*
 * command_verify.h - `lineagefs verify`: are the files that a version refers to what they were? It
 * works through the mount alone, and looks at the files as whoever calls it sees them.
 */
#ifndef FS_COMMAND_VERIFY_H
#define FS_COMMAND_VERIFY_H

#define VERIFY_USAGE "verify [OPTION...] NAME[:REF]"

/* 0: nothing changed; 1: something did, or cannot be told; 2: wrong usage. */
int verify_main(int argc, char **argv);

#endif
