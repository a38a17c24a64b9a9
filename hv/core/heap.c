/*
 * heap.c - a leftist tree: each node's left side is at least as deep, to the next missing child, as its right side, so
 * that the way down to the right has at most log2(n + 1) nodes. Two trees merge along those ways.
 */
#include "core/heap.h"

static uint32_t rank(const struct heap_node *node)
{
    return node ? node->rank : 0;
}

/* Puts the deeper child to the left and sets the rank. False: the rank was right before. */
static bool level(struct heap_node *node)
{
    if (rank(node->left) < rank(node->right)) {
        struct heap_node *left = node->left;
        node->left = node->right;
        node->right = left;
    }
    uint32_t before = node->rank;
    node->rank = rank(node->right) + 1;
    return node->rank != before;
}

/* Merges two trees without parents. */
static struct heap_node *merge(struct heap_node *a, struct heap_node *b)
{
    struct heap_node *root = NULL;
    struct heap_node *parent = NULL;
    struct heap_node **link = &root;
    while (a && b) {
        if (b->key < a->key) {
            struct heap_node *higher = a;
            a = b;
            b = higher;
        }
        *link = a;
        a->parent = parent;
        parent = a;
        link = &a->right;
        a = a->right;
    }
    *link = a ? a : b;
    if (*link) {
        (*link)->parent = parent;
    }
    for (; parent; parent = parent->parent) {
        level(parent);
    }
    return root;
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    *node = (struct heap_node){.key = key, .rank = 1};
    heap->root = heap->root ? merge(heap->root, node) : node;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!node->rank) {
        return;
    }
    struct heap_node *parent = node->parent;
    if (!parent && !node->left) { /* the only one, as it often is */
        heap->root = NULL;
        node->rank = 0;
        return;
    }
    if (node->left) {
        node->left->parent = NULL;
    }
    if (node->right) {
        node->right->parent = NULL;
    }
    struct heap_node *rest = node->right ? merge(node->left, node->right) : node->left;
    node->rank = 0;
    if (rest) {
        rest->parent = parent;
    }
    if (!parent) {
        heap->root = rest;
        return;
    }
    *(parent->left == node ? &parent->left : &parent->right) = rest;
    /* Ranks rise on the way up, so that no more than log2(n + 1) of them can change. */
    while (parent && level(parent)) {
        parent = parent->parent;
    }
}
