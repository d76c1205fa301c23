/*
 * store_conf.h - the options of whoever opens a store: from the usual ini file, as the store wants
 * them.
 */
#ifndef FS_STORE_CONF_H
#define FS_STORE_CONF_H

#include "conf/conf.h"
#include "core/store.h"

/* The ini file: given, else $LINEAGEFS_CONF, else /etc/lineagefs.ini if there is one. */
int store_conf_read(struct conf *conf, const char *file, struct buf *why);
/* Borrows strings of conf. */
struct store_options store_conf_options(const struct conf *conf);

#endif
