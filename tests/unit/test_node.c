/* The table of nodes: which numbers mean the same node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fs/tree.h"

static struct node *draft(struct node_table *t, uint32_t run, uint64_t backing)
{
	struct node spec = {
		.ino = ino_of_number(INO_DRAFT, backing), .kind = &kind_draft, .a = run,
		.backing = backing,
	};

	return node_intern(t, &spec);
}

/* One lookup and one reference. */
static void drop(struct node_table *t, struct node *node)
{
	node_forget(t, node->ino, 1);
	node_put(t, node);
}

static void a_backing_inode_is_one_node(void **state)
{
	struct node_table *t = node_table_new();
	struct node *one = draft(t, 1, 7), *same = draft(t, 1, 7);

	(void)state;
	assert_ptr_equal(one, same);
	assert_int_equal(one->lookups, 2);
	drop(t, one);
	drop(t, one);
	assert_null(node_get(t, ino_of_number(INO_DRAFT, 7)));
	node_table_free(t);
}

/* The janitor removed what run 1 had; its inode is used again while the kernel knows the node. */
static void another_run_has_nodes_of_its_own(void **state)
{
	struct node_table *t = node_table_new();
	struct node *old = draft(t, 1, 7), *new = draft(t, 2, 7), *again;

	(void)state;
	assert_ptr_not_equal(old, new);
	assert_true(old->ino != new->ino);
	again = node_get_backing(t, 2, 7);
	assert_ptr_equal(again, new);
	node_put(t, again);
	again = node_get_backing(t, 1, 7);
	assert_ptr_equal(again, old);
	node_put(t, again);
	drop(t, old);
	again = draft(t, 2, 7);
	assert_ptr_equal(again, new);
	drop(t, new);
	drop(t, new);
	node_table_free(t);
}

static void a_rebased_node_is_found_by_its_new_inode(void **state)
{
	struct node_table *t = node_table_new();
	struct node *node = draft(t, 1, 7), *other;

	(void)state;
	node_rebase(t, node, 8);
	assert_null(node_get_backing(t, 1, 7));
	other = draft(t, 1, 8);
	assert_ptr_equal(other, node);
	drop(t, other);
	other = draft(t, 1, 7);
	assert_ptr_not_equal(other, node);
	drop(t, other);
	drop(t, node);
	node_table_free(t);
}

/* A name was linked to a node while it got another inode. */
static void a_node_is_had_again_whatever_its_inode(void **state)
{
	struct node_table *t = node_table_new();
	struct node *node = draft(t, 1, 7);

	(void)state;
	node_rebase(t, node, 8);
	node_again(t, node);
	assert_int_equal(node->lookups, 2);
	drop(t, node);
	drop(t, node);
	node_table_free(t);
}

static struct node_table *chain_table;

static void put_parent(struct node *node)
{
	if (node->data)
		node_put(chain_table, node->data);
}

/* Directories a million deep, of which only the last is known when it goes. */
static void a_long_chain_of_nodes_goes(void **state)
{
	static const struct node_kind link = { .name = "link", .release = put_parent };
	struct node *last = NULL;

	(void)state;
	chain_table = node_table_new();
	for (uint64_t i = 1; i <= 1000000; i++) {
		struct node spec = { .ino = i, .kind = &link, .data = last };

		last = node_intern(chain_table, &spec);
		node_forget(chain_table, i, 1);
	}
	node_put(chain_table, last);
	assert_null(node_get(chain_table, 1));
	node_table_free(chain_table);
}

static struct node *hashed(struct node_table *t, const struct node_kind *kind, const char *name)
{
	struct node spec = {
		.ino = ino_of_number(INO_BY_TAG, 5), .kind = kind, .name = xstrdup(name),
	};

	return node_intern(t, &spec);
}

/* Two names of one hash are two things. */
static void a_number_that_is_a_hash_may_be_taken(void **state)
{
	struct node_table *t = node_table_new();
	struct node *a = hashed(t, &kind_by_tag, "a"), *b = hashed(t, &kind_by_tag, "b"), *again;

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_true(a->ino != b->ino);
	assert_string_equal(a->name, "a");
	assert_string_equal(b->name, "b");
	again = hashed(t, &kind_by_tag, "a");
	assert_ptr_equal(again, a);
	drop(t, again);
	drop(t, a);
	drop(t, b);
	b = hashed(t, &kind_by_tag, "b");
	assert_int_equal(b->ino, ino_of_number(INO_BY_TAG, 5));
	drop(t, b);
	node_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backing_inode_is_one_node),
		cmocka_unit_test(another_run_has_nodes_of_its_own),
		cmocka_unit_test(a_rebased_node_is_found_by_its_new_inode),
		cmocka_unit_test(a_node_is_had_again_whatever_its_inode),
		cmocka_unit_test(a_long_chain_of_nodes_goes),
		cmocka_unit_test(a_number_that_is_a_hash_may_be_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
