/*
 * conf.h - every option of the mount: its name, default, bounds and a sentence, in one table.
 * The only user of inih. Options come from conf/lineagefs.ini (section [mount]); `-o` wins.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "core/base.h"
#include "core/buf.h"
#include "core/log.h"

struct conf {
	bool allow_other;        /* other users may use the mount; for root the default */
	bool passthrough;        /* the kernel reads and writes large files itself, if it can */
	unsigned threads;        /* request threads at most */
	unsigned cache_mb;       /* RocksDB's block cache, MiB */
	enum log_level log_level; /* error, warning, info, debug */
	char *log_file;          /* "" is syslog once detached, standard error in the foreground */
	char *protected_aliases; /* names divided by spaces */
	bool latest_on_equal;    /* does `latest` move back to an equal older version? */
	unsigned trash_days;     /* removed versions are purged after this age, days */
	unsigned keep_drafts_days; /* drafts of failed and crashed runs go after this age, days */
	unsigned reference_hash_mb; /* files that links lead to are hashed up to this, MiB; 0: none */
	unsigned scrub_mb; /* of large files read a second to see whether they are whole; 0: none */
	unsigned lineage_mb;	   /* memory for the lineage graph, MiB */
	unsigned lineage_nodes;	   /* of a closure, at most */
	unsigned document_nodes;   /* of a document, at most */
};

/* Defaults for this user. */
void conf_init(struct conf *conf);
void conf_release(struct conf *conf);

/*
 * Reads an ini file over what conf holds. On failure returns -EINVAL (or the errno of open) and
 * adds one plain sentence, with file and line number, to why: an unknown key or section, a value
 * out of bounds, a line that does not parse are all errors.
 */
int conf_read_file(struct conf *conf, const char *path, struct buf *why);

/* A comma-separated list as given to -o: `threads=4,allow_other`. As conf_read_file. */
int conf_read_list(struct conf *conf, const char *list, struct buf *why);

/* The table as text: name, default, sentence; for --help and for the README. */
void conf_describe(struct buf *out);

#endif
