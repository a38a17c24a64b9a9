/*
 * heap.h - a heap of nodes embedded in their owners (a leftist tree): O(log n) insert and remove, O(1) minimum, no
 * memory of its own.
 */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H

#include "core/types.h"

struct heap_node {
    uint64_t key;
    struct heap_node *left, *right, *parent;
    uint32_t rank; /* nodes on the way down to the right, itself included; 0 = not in a heap */
};

struct heap {
    struct heap_node *root;
};

/* The node must not be in a heap. Of equal keys the older stays first at the top. */
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);

/* Removes the node; harmless when it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline struct heap_node *heap_min(const struct heap *heap)
{
    return heap->root;
}

static inline bool heap_holds(const struct heap_node *node)
{
    return node->rank;
}

#endif
