#include "print.h"

#include "core/buf.h"
#include "core/log.h"
#include "vfs.h"

/* A node that was looked up and is still to be printed. */
struct item {
	uint64_t ino;
	struct stat attr;
	char *path;
};

/* The last is printed next, so that depth costs memory only, not stack. */
struct walk {
	struct vfs *vfs;
	struct vfs_call call;
	FILE *out;
	struct item *items;
	size_t count, cap;
};

static void push(struct walk *walk, const struct stat *attr, char *path)
{
	walk->items = xgrow(walk->items, &walk->cap, walk->count + 1, sizeof(*walk->items));
	walk->items[walk->count++] = (struct item){ attr->st_ino, *attr, path };
}

/* What would break the line or the terminal goes out as \ooo. */
static void print_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f || c == '\\')
			fprintf(out, "\\%03o", c);
		else
			putc(c, out);
	}
}

static char type_letter(mode_t mode)
{
	static const struct {
		mode_t type;
		char letter;
	} types[] = { { S_IFREG, '-' },
		      { S_IFDIR, 'd' },
		      { S_IFLNK, 'l' },
		      { S_IFIFO, 'p' },
		      { S_IFSOCK, 's' } };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].type)
			return types[i].letter;
	return '?';
}

static int print_item(struct walk *walk, const struct item *item)
{
	AUTO(buf_release) struct buf target = BUF_INIT;
	int err = 0;

	fprintf(walk->out, "%c %04o %10lld ", type_letter(item->attr.st_mode),
		(unsigned)item->attr.st_mode & 07777, (long long)item->attr.st_size);
	print_text(walk->out, item->path[0] ? item->path : "/");
	if (S_ISLNK(item->attr.st_mode)) {
		err = vfs_readlink(walk->vfs, &walk->call, item->ino, &target);
		if (err)
			log_errno(err, "cannot read the link %s", item->path);
		fputs(" -> ", walk->out);
		print_text(walk->out, buf_str(&target));
	}
	putc('\n', walk->out);
	return err;
}

/* Where the entries of one directory go. */
struct children {
	struct walk *walk;
	const char *parent;
	off_t last;
	size_t taken;
};

static int take(void *arg, const char *name, const struct vfs_entry *entry, off_t cookie)
{
	struct children *children = arg;

	children->last = cookie;
	children->taken++;
	if (strcmp(name, ".") && strcmp(name, ".."))
		push(children->walk, &entry->attr, xasprintf("%s/%s", children->parent, name));
	return 0;
}

static int push_children(struct walk *walk, const struct item *item)
{
	struct children children = { .walk = walk, .parent = item->path };
	struct vfs_open open = { 0 };
	size_t first = walk->count;
	int err = vfs_opendir(walk->vfs, &walk->call, item->ino, &open);

	if (err)
		return log_errno(err, "cannot open %s", item->path);
	do {
		children.taken = 0;
		err = vfs_readdir(open.handle, &walk->call, children.last, true, take, &children);
	} while (err >= 0 && children.taken > 0);
	vfs_release(open.handle);

	for (size_t a = first, b = walk->count; a + 1 < b; a++) {
		struct item swapped = walk->items[--b];

		walk->items[b] = walk->items[a];
		walk->items[a] = swapped;
	}
	return err < 0 ? log_errno(err, "cannot list %s", item->path) : 0;
}

int print_tree(struct vfs *vfs, FILE *out)
{
	struct walk walk = { .vfs = vfs, .out = out };
	struct stat root;
	double ttl;
	int result, err;

	walk.call.uid = geteuid();
	walk.call.gid = getegid();
	walk.call.pid = getpid();
	result = vfs_getattr(vfs, &walk.call, VFS_ROOT, NULL, &root, &ttl);
	if (result)
		return log_errno(result, "cannot look at the root");
	root.st_ino = VFS_ROOT;
	push(&walk, &root, xstrdup(""));
	while (walk.count > 0) {
		struct item item = walk.items[--walk.count];

		err = print_item(&walk, &item);
		result = result ? result : err;
		if (S_ISDIR(item.attr.st_mode)) {
			err = push_children(&walk, &item);
			result = result ? result : err;
		}
		if (item.ino != VFS_ROOT)
			vfs_forget(vfs, item.ino, 1);
		free(item.path);
	}
	free(walk.items);
	if (fflush(out) != 0 || ferror(out))
		result = result ? result : log_errno(-EIO, "cannot write the tree");
	return result;
}
