/*
 * git.h - what git says of a directory, by asking git(1) itself: a few seconds at most.
 */
#ifndef FS_GIT_H
#define FS_GIT_H

#include "core/launch.h"

/*
 * Fills commit, dirty and remote of a launch when the current directory is in a work tree and git
 * is installed; what is not known in time stays unknown. User and password are taken out of a URL.
 */
void git_describe(struct launch *l);

#endif
