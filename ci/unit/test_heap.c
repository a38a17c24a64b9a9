/*
 * test_heap.c - the heap of embedded nodes against a sorted model.
 */
#include "test.h"

#include <stdlib.h>

#include "core/heap.h"

#define NODES 200

static void gives_ascending_keys(void **state)
{
    (void)state;
    struct heap_node nodes[NODES] = {0};
    struct heap heap = {0};
    srand(1);
    for (int i = 0; i < NODES; i++) {
        heap_insert(&heap, &nodes[i], (uint64_t)(rand() % 50));
    }
    uint64_t last = 0;
    for (int i = 0; i < NODES; i++) {
        struct heap_node *node = heap_min(&heap);
        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
        assert_false(heap_holds(node));
    }
    assert_null(heap_min(&heap));
}

static uint32_t rank_of(const struct heap_node *node)
{
    return node ? node->rank : 0;
}

/* Order, parents and ranks of a whole tree. */
static void check_tree(const struct heap *heap)
{
    const struct heap_node *stack[NODES + 1] = {heap->root};
    uint32_t depth = heap->root != NULL;
    assert_true(!heap->root || !heap->root->parent);
    while (depth) {
        const struct heap_node *node = stack[--depth];
        const struct heap_node *children[] = {node->left, node->right};
        assert_true(rank_of(node->left) >= rank_of(node->right));
        assert_int_equal(node->rank, rank_of(node->right) + 1);
        for (int i = 0; i < 2; i++) {
            if (children[i]) {
                assert_ptr_equal(children[i]->parent, node);
                assert_true(children[i]->key >= node->key);
                stack[depth++] = children[i];
            }
        }
    }
}

static void removes_from_the_middle(void **state)
{
    (void)state;
    struct heap_node nodes[NODES] = {0};
    struct heap heap = {0};
    for (int round = 0; round < 2000; round++) {
        struct heap_node *node = &nodes[rand() % NODES];
        if (heap_holds(node)) {
            heap_remove(&heap, node);
        } else {
            heap_insert(&heap, node, (uint64_t)rand());
        }
        check_tree(&heap);
        uint64_t least = UINT64_MAX;
        for (int i = 0; i < NODES; i++) {
            if (heap_holds(&nodes[i]) && nodes[i].key < least) {
                least = nodes[i].key;
            }
        }
        assert_int_equal(heap_min(&heap) ? heap_min(&heap)->key : UINT64_MAX, least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_ascending_keys),
        cmocka_unit_test(removes_from_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
