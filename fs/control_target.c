#include "control_target.h"

#include <sys/stat.h>

#include "control_client.h"
#include "core/document_control.h"
#include "mount_find.h"
#include "store_conf.h"

/* So often, and so long after each, is a store looked at that somebody has. */
#define BUSY_TRIES 50
#define BUSY_NS 100000000

#define OWNER_ONLY "only root and the owner of the store may do that"

static bool is_there(const char *directory, const char *name)
{
	autofree char *path = xasprintf("%s/%s", directory, name);

	return access(path, F_OK) == 0;
}

static int say(struct buf *why, int err, const char *text)
{
	buf_add_str(why, text);
	return err;
}

static int connect_to(struct control_target *t, const char *mount, struct buf *why)
{
	t->fd = control_connect(mount, why);
	return t->fd < 0 ? t->fd : 0;
}

/* Nobody has the store, so it is opened here; somebody has it, so that is asked. */
static int open_or_connect(struct control_target *t, const char *path, const char *conf_file,
			   bool salvage, struct buf *why)
{
	AUTO(buf_release) struct buf where = BUF_INIT, closed = BUF_INIT;
	struct store_options options;
	autofree char *mount = NULL;
	struct stat st;
	int err;

	/* As somebody else than its owner one would make files in it that the owner cannot use. */
	if (stat(path, &st) == 0 && geteuid() != 0 && st.st_uid != geteuid())
		return say(why, -EPERM, OWNER_ONLY);
	err = store_conf_read(&t->conf, conf_file, why);
	if (err < 0)
		return err;
	log_set_level(t->conf.log_level < LOG_LEVEL_WARNING ? t->conf.log_level :
							      LOG_LEVEL_WARNING);
	options = store_conf_options(&t->conf);
	options.idle = true;
	options.salvage = salvage;
	/* A daemon that was just unmounted, or is about to mount, has it and no mount. */
	for (unsigned i = 0; i < BUSY_TRIES; i++) {
		buf_reset(&closed);
		buf_reset(&where);
		err = store_open(path, &options, &closed, &t->store);
		if (err == 0)
			return 0;
		if (err != -EBUSY)
			return say(why, err, buf_str(&closed));
		if (mount_find_of(path, &where, &mount) == 0)
			return connect_to(t, mount, why);
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_NS }, NULL);
	}
	return say(why, -EBUSY, buf_str(&where));
}

int control_target_open(struct control_target *t, const char *path, const char *conf_file,
			bool salvage, struct buf *why)
{
	autofree char *mount = NULL;
	int err;

	*t = (struct control_target){ .fd = -1 };
	conf_init(&t->conf);
	if (is_there(path, "lineagefs-store"))
		return open_or_connect(t, path, conf_file, salvage, why);
	if (errno == EACCES)
		return say(why, -EPERM, OWNER_ONLY);
	if (errno != ENOTCONN && !is_there(path, "_status.json")) {
		buf_printf(why, "%s is neither a store nor where one is mounted", path);
		return -EINVAL;
	}
	err = mount_find(path, why, &mount);
	return err < 0 ? err : connect_to(t, mount, why);
}

void control_target_release(struct control_target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	store_close(t->store);
	conf_release(&t->conf);
}

int control_target_ask(struct control_target *t, struct slice request, struct buf *answer,
		       struct buf *why)
{
	const struct control_caller caller = { { .uid = geteuid(), .gid = getegid() }, NULL };
	int err = t->store ? control_answer(t->store, &caller, request, answer) :
			     control_ask(t->fd, request, answer);

	if (err == -ENOTCONN || err == -ECONNABORTED)
		return say(why, err, "the daemon has gone; what was done is done, and the rest can "
			   "be done at any time");
	if (err < 0)
		control_error(buf_slice(answer), why);
	if (err < 0 && why->len == 0)
		buf_add_str(why, strerror(-err));
	return err;
}
