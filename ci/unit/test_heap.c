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
    struct heap_node *places[NODES];
    struct heap heap = {.nodes = places, .capacity = NODES};
    srand(1);
    for (int i = 0; i < NODES; i++) {
        assert_true(heap_insert(&heap, &nodes[i], (uint64_t)(rand() % 50)));
    }
    assert_false(heap_insert(&heap, &nodes[0], 1));
    uint64_t last = 0;
    for (int i = 0; i < NODES; i++) {
        struct heap_node *node = heap_min(&heap);
        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
        assert_int_equal(node->place, 0);
    }
    assert_null(heap_min(&heap));
}

static void removes_from_the_middle(void **state)
{
    (void)state;
    struct heap_node nodes[NODES] = {0};
    struct heap_node *places[NODES];
    struct heap heap = {.nodes = places, .capacity = NODES};
    for (int round = 0; round < 2000; round++) {
        struct heap_node *node = &nodes[rand() % NODES];
        if (node->place) {
            heap_remove(&heap, node);
        } else {
            assert_true(heap_insert(&heap, node, (uint64_t)rand()));
        }
        for (uint32_t i = 0; i < heap.count; i++) {
            assert_int_equal(places[i]->place, i + 1);
            assert_true(places[i]->key >= heap_min(&heap)->key);
        }
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
