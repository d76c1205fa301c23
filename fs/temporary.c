#include "temporary.h"

#include "core/process.h"
#include "tree.h"

/* When there are more, the oldest, which nobody took away, goes. */
#define LINKS_MAX 4096
#define PREFIX "Cu"
#define RANDOM_LENGTH 6

void temporary_links_init(struct temporary_links *links)
{
	pthread_mutex_init(&links->lock, NULL);
}

void temporary_link_release(struct temporary_link *link)
{
	free(link->name);
	free(link->shown);
	free(link->meant);
	*link = (struct temporary_link){ 0 };
}

void temporary_links_release(struct temporary_links *links)
{
	for (size_t i = 0; i < links->count; i++)
		temporary_link_release(&links->all[i]);
	free(links->all);
	pthread_mutex_destroy(&links->lock);
}

static bool looks_temporary(const char *name)
{
	size_t n = strlen(PREFIX);

	return !strncmp(name, PREFIX, n) && strlen(name) == n + RANDOM_LENGTH &&
	       strspn(name + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789") == RANDOM_LENGTH;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The programs that make such names; some prefix them with a g. */
static bool makes_temporaries(const char *program)
{
	static const char *const programs[] = { "ln", "cp", "mv", "coreutils" };

	program = last_component(program);
	program += *program == 'g';
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(program, programs[i]))
			return true;
	return false;
}

/*
 * Customer looks temporary too. It is meant where the command says it, and where another program
 * makes it.
 */
static bool is_asked_for(const struct buf *command, const char *name)
{
	const char *at = command->data, *end = at + command->len;

	if (command->len == 0)
		return false;
	if (!makes_temporaries(at))
		return true;
	for (; at < end; at += strlen(at) + 1)
		if (!strcmp(last_component(at), name))
			return true;
	return false;
}

int temporary_is_meant(const struct vfs_call *call, const char *name)
{
	AUTO(buf_release) struct buf command = BUF_INIT;

	if (!looks_temporary(name))
		return 0;
	if (!call->patient)
		return VFS_PATIENCE;
	/* Of a caller that cannot be seen the name is all there is. */
	if (call->pid > 0)
		process_command(call->pid, &command);
	return !is_asked_for(&command, name);
}

/* Lock held. */
static struct temporary_link *find(struct temporary_links *links, uint64_t directory,
				   const char *name)
{
	for (size_t i = 0; i < links->count; i++)
		if (links->all[i].directory == directory && !strcmp(links->all[i].name, name))
			return &links->all[i];
	return NULL;
}

static struct temporary_link *find_number(struct temporary_links *links, uint64_t ino)
{
	for (size_t i = 0; i < links->count; i++)
		if (ino_of_number(INO_TEMPORARY, links->all[i].number) == ino)
			return &links->all[i];
	return NULL;
}

static struct temporary_link *oldest(struct temporary_links *links)
{
	struct temporary_link *first = links->all;

	for (size_t i = 1; i < links->count; i++)
		if (links->all[i].number < first->number)
			first = &links->all[i];
	return first;
}

static void drop(struct temporary_links *links, struct temporary_link *link)
{
	temporary_link_release(link);
	*link = links->all[--links->count];
}

static void link_node(const struct temporary_link *link, struct node *ret)
{
	*ret = (struct node){
		.ino = ino_of_number(INO_TEMPORARY, link->number),
		.kind = &kind_temporary,
	};
}

int temporary_add(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name,
		  struct temporary_link *link, struct node *ret)
{
	struct temporary_links *links = &vfs->temporary_links;

	LOCKED(&links->lock);
	if (find(links, dir->ino, name)) {
		temporary_link_release(link);
		return -EEXIST;
	}
	if (links->count == LINKS_MAX)
		drop(links, oldest(links));
	link->directory = dir->ino;
	link->name = xstrdup(name);
	link->number = ++links->last;
	link->uid = call->uid;
	link->gid = call->gid;
	links->all = xgrow(links->all, &links->cap, links->count + 1, sizeof(*link));
	links->all[links->count++] = *link;
	link_node(link, ret);
	*link = (struct temporary_link){ 0 };
	return 0;
}

int temporary_find(struct vfs *vfs, struct node *dir, const char *name, struct node *ret)
{
	struct temporary_links *links = &vfs->temporary_links;
	struct temporary_link *link;

	if (!looks_temporary(name))
		return -ENOENT;
	LOCKED(&links->lock);
	link = find(links, dir->ino, name);
	if (!link)
		return -ENOENT;
	link_node(link, ret);
	return 0;
}

int temporary_get(struct vfs *vfs, struct node *dir, const char *name, struct temporary_link *ret)
{
	struct temporary_links *links = &vfs->temporary_links;
	struct temporary_link *link;

	if (!looks_temporary(name))
		return -ENOENT;
	LOCKED(&links->lock);
	link = find(links, dir->ino, name);
	if (!link)
		return -ENOENT;
	*ret = *link;
	ret->name = xstrdup(link->name);
	ret->shown = xstrdup(link->shown);
	ret->meant = xstrdup(link->meant);
	return 0;
}

int temporary_remove(struct vfs *vfs, struct node *dir, const char *name)
{
	struct temporary_links *links = &vfs->temporary_links;
	struct temporary_link *link;

	if (!looks_temporary(name))
		return -ENOENT;
	LOCKED(&links->lock);
	link = find(links, dir->ino, name);
	if (!link)
		return -ENOENT;
	drop(links, link);
	return 0;
}

int temporary_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	struct temporary_links *links = &vfs->temporary_links;
	struct temporary_link *link;

	LOCKED(&links->lock);
	link = find_number(links, node->ino);
	if (!link)
		return -ESTALE;
	st->st_mode = 0777;
	st->st_uid = link->uid;
	st->st_gid = link->gid;
	return 0;
}

int temporary_target(struct vfs *vfs, const struct vfs_call *call, struct node *node,
		     struct buf *ret)
{
	struct temporary_links *links = &vfs->temporary_links;
	struct temporary_link *link;

	(void)call;
	LOCKED(&links->lock);
	link = find_number(links, node->ino);
	if (!link)
		return -ENOENT;
	buf_add_str(ret, link->shown);
	return 0;
}
