/*
 * heap.h - a binary heap of nodes embedded in their owners: O(log n) insert, remove and re-key, O(1) minimum.
 */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H

#include "core/types.h"

struct heap_node {
    uint64_t key;
    uint32_t place; /* index + 1 in the heap's array, 0 = not in a heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count, capacity;
};

/* False when the heap is full. The node must not be in a heap. */
bool heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);

/* Removes the node; harmless when it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline struct heap_node *heap_min(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

#endif
