/*
 * log.h - the daemon's log: one line an event, to standard error in the foreground and to syslog
 * once detached. Thread-safe.
 *
 * An error is logged once, where it is born, with the name of the object; never for what a user
 * caused (ENOENT, EEXIST, EROFS, a bad name), which belongs in the run's own `log` file.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above level are dropped. */
void log_set_level(enum log_level level);
/* From now on lines go to syslog(3) as well (facility daemon), and no longer to standard error. */
void log_to_syslog(void);
/* From now on lines are appended to this file, in place of standard error; -errno. */
int log_to_file(const char *path);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Logs "<text>: <strerror(-err)>" and returns err, for `return log_errno(err, ...)`. */
int log_errno(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
