#include "refused.h"

#include <time.h>

#include "core/log.h"
#include "vfs_private.h"

#define LINES_A_SECOND 20
#define TEXT_MAX 100

static struct {
	pthread_mutex_t lock;
	time_t second;
	unsigned lines, left_out;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local const char *because;

void refused_because(const char *why)
{
	because = why;
}

static bool is_worth_a_line(const char *operation, ssize_t err)
{
	switch (err) {
	case -EINVAL:
	case -ENAMETOOLONG:
	case -EROFS:
	case -EPERM:
	case -EXDEV:
		return true;
	case -ENOENT:
		/* An input that is not there. */
		return !strcmp(operation, "symlink");
	default:
		return false;
	}
}

static void say_left_out(void)
{
	if (sink.left_out)
		log_info("%u more requests were refused", sink.left_out);
	sink.left_out = 0;
}

static bool may_speak(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	LOCKED(&sink.lock);
	if (now.tv_sec != sink.second) {
		say_left_out();
		sink.second = now.tv_sec;
		sink.lines = 0;
	}
	if (sink.lines++ < LINES_A_SECOND)
		return true;
	sink.left_out++;
	return false;
}

static void add_text(struct buf *line, const char *before, struct slice text)
{
	bool cut = text.len > TEXT_MAX;

	if (text.len == 0)
		return;
	buf_printf(line, "%s'", before);
	buf_add(line, text.data, cut ? TEXT_MAX : text.len);
	buf_add_str(line, cut ? "...'" : "'");
}

void refused(struct vfs *vfs, const struct vfs_call *call, const char *operation, uint64_t ino,
	     struct slice name, struct slice with, ssize_t err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	const char *why = because;
	struct node *node;

	because = NULL;
	if (!is_worth_a_line(operation, err) || !may_speak())
		return;
	buf_printf(&line, "refused: %s", operation);
	add_text(&line, " ", name);
	add_text(&line, name.len ? " with " : " ", with);
	node = node_get(vfs->nodes, ino);
	buf_printf(&line, " at %s (node %llu)", node ? node->kind->name : "a node",
		   (unsigned long long)ino);
	if (node)
		node_put(vfs->nodes, node);
	log_info("%s by uid %u, pid %d: %s%s%s", buf_str(&line), call->uid, (int)call->pid,
		 strerrorname_np((int)-err), why ? ": " : "", why ? why : "");
}

void refused_text(const struct vfs_call *call, const struct node *node, const char *why)
{
	if (may_speak())
		log_info("refused: %s at %s (node %llu) by uid %u, pid %d: EINVAL", why,
			 node->kind->name, (unsigned long long)node->ino, call->uid,
			 (int)call->pid);
}

void refused_end(void)
{
	LOCKED(&sink.lock);
	say_left_out();
}
