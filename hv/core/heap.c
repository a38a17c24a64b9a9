/*
 * heap.c - a binary min-heap of embedded nodes.
 */
#include "core/heap.h"

static void place(struct heap *heap, uint32_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void sift_up(struct heap *heap, uint32_t index, struct heap_node *node)
{
    while (index) {
        uint32_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->key <= node->key) {
            break;
        }
        place(heap, index, heap->nodes[parent]);
        index = parent;
    }
    place(heap, index, node);
}

static void sift_down(struct heap *heap, uint32_t index, struct heap_node *node)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key) {
            child++;
        }
        if (node->key <= heap->nodes[child]->key) {
            break;
        }
        place(heap, index, heap->nodes[child]);
        index = child;
    }
    place(heap, index, node);
}

bool heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    if (heap->count == heap->capacity) {
        return false;
    }
    node->key = key;
    sift_up(heap, heap->count++, node);
    return true;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!node->place) {
        return;
    }
    uint32_t index = node->place - 1;
    struct heap_node *last = heap->nodes[--heap->count];
    node->place = 0;
    if (last == node) {
        return;
    }
    if (index && heap->nodes[(index - 1) / 2]->key > last->key) {
        sift_up(heap, index, last);
    } else {
        sift_down(heap, index, last);
    }
}
