/*
 * tree.h - ordered sets whose members carry their own links, so that nothing is allocated and nothing can fail: the
 * indexes of the table of guests. All operations take O(log n) steps, and none recurses.
 *
 * A tree is a treap: a search tree by key and a heap by priorities that the tree draws itself, so that no order in
 * which clients choose names makes it deep. Keys differ from each other; they are read through compare().
 */
#ifndef CONTROL_TREE_H
#define CONTROL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree_node {
    struct tree_node *left, *right;
    uint32_t priority;
};

struct tree {
    struct tree_node *root;
    int (*compare)(const void *key, const struct tree_node *node); /* as strcmp does */
};

/* The node isn't in the tree yet; key is its key. */
void tree_insert(struct tree *tree, struct tree_node *node, const void *key);

/* The node is in the tree, with this key. */
void tree_remove(struct tree *tree, const struct tree_node *node, const void *key);

/* NULL if there is none. */
struct tree_node *tree_find(const struct tree *tree, const void *key);
struct tree_node *tree_first(const struct tree *tree);

/* The first one above the key; with or_equal the key itself counts too. */
struct tree_node *tree_after(const struct tree *tree, const void *key, bool or_equal);

#endif
