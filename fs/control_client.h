/*
 * control_client.h - asking a live daemon, through /_control of its mount.
 */
#ifndef FS_CONTROL_CLIENT_H
#define FS_CONTROL_CLIENT_H

#include "core/base.h"
#include "core/buf.h"

/* A descriptor to ask by; -errno and a sentence in why. */
int control_connect(const char *mount, struct buf *why);
/* The answer, also when it says why not. -E2BIG: the request is longer than the kernel takes. */
int control_ask(int fd, struct slice request, struct buf *ret);

#endif
