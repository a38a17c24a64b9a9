/* tree.c - treaps. */
#include "tree.h"

/* Marsaglia's xorshift: priorities only have to be unrelated to the keys. */
static uint32_t next_priority(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Takes a tree apart: what is below the key, and what is above it. */
static void split(const struct tree *tree, struct tree_node *node, const void *key,
                  struct tree_node **below, struct tree_node **above)
{
    while (node) {
        if (tree->compare(key, node) > 0) {
            *below = node;
            below = &node->right;
            node = *below;
        } else {
            *above = node;
            above = &node->left;
            node = *above;
        }
    }
    *below = *above = NULL;
}

void tree_insert(struct tree *tree, struct tree_node *node, const void *key)
{
    struct tree_node **at = &tree->root;

    node->priority = next_priority();
    while (*at && (*at)->priority >= node->priority)
        at = tree->compare(key, *at) < 0 ? &(*at)->left : &(*at)->right;
    split(tree, *at, key, &node->left, &node->right);
    *at = node;
}

void tree_remove(struct tree *tree, const struct tree_node *node, const void *key)
{
    struct tree_node **at = &tree->root, *left = node->left, *right = node->right;

    while (*at != node)
        at = tree->compare(key, *at) < 0 ? &(*at)->left : &(*at)->right;
    /* Its two sides become one, the higher priority on top. */
    while (left && right) {
        if (left->priority >= right->priority) {
            *at = left;
            at = &left->right;
            left = *at;
        } else {
            *at = right;
            at = &right->left;
            right = *at;
        }
    }
    *at = left ? left : right;
}

struct tree_node *tree_find(const struct tree *tree, const void *key)
{
    struct tree_node *node = tree->root;

    while (node) {
        int order = tree->compare(key, node);
        if (order == 0)
            break;
        node = order < 0 ? node->left : node->right;
    }
    return node;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *node = tree->root;

    while (node && node->left)
        node = node->left;
    return node;
}

struct tree_node *tree_after(const struct tree *tree, const void *key, bool or_equal)
{
    struct tree_node *node = tree->root, *found = NULL;

    while (node) {
        int order = tree->compare(key, node);
        if (order < 0 || (order == 0 && or_equal)) {
            found = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}
