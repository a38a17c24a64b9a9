/*
 * test_virtqueue.c - the driver's side of a virtqueue against a back-end that the test plays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"
#include "skep/virtqueue.h"

enum { NUMBER = 3, SIZE = 8 };

static _Alignas(4096) uint8_t page[4096];
static struct skep_virtqueue queue;

static int setup(void **state)
{
    (void)state;
    backend_reset();
    memset(page, 0, sizeof(page));
    return skep_virtqueue_setup(&queue, NUMBER, SIZE, page, 0);
}

static int add(const void *data, uint32_t bytes)
{
    struct skep_vring_desc part = {.addr = (uintptr_t)data, .len = bytes};
    return skep_virtqueue_add(&queue, &part, 1);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct skep_virtqueue other;
    assert_int_equal(skep_virtqueue_setup(&other, 0, 0, page, 0), -SKEP_EINVAL);
    assert_int_equal(skep_virtqueue_setup(&other, 0, 1, page, 0), -SKEP_EINVAL);
    assert_int_equal(skep_virtqueue_setup(&other, 0, 48, page, 0), -SKEP_EINVAL);
    assert_int_equal(skep_virtqueue_setup(&other, 0, 256, page, 0), -SKEP_EINVAL);
    backend_setup_result = -SKEP_ENODEV;
    assert_int_equal(skep_virtqueue_setup(&other, 0, 8, page, 0), -SKEP_ENODEV);
}

static void parts_lie_in_the_page(void **state)
{
    (void)state;
    for (unsigned size = 2; size <= SKEP_VIRTQUEUE_SIZE_MAX; size *= 2) {
        assert_int_equal(skep_virtqueue_setup(&queue, NUMBER, size, page, 0), 0);
        const struct skep_queue_setup *told = &backend_queues[NUMBER].setup;
        assert_int_equal(told->size, size);
        assert_int_equal(told->desc % 16, 0);
        assert_int_equal(told->avail % 2, 0);
        assert_int_equal(told->used % 4, 0);
        assert_true(told->avail >= told->desc + 16 * size);
        assert_true(told->used >= told->avail + 6 + 2 * size);
        assert_true(told->used + 6 + 8 * size <= (uintptr_t)page + sizeof(page));
    }
}

static void chains_go_round(void **state)
{
    (void)state;
    char text[] = "abcdef";
    /* More rounds than a 16-bit index has values, with all lengths of chains. */
    for (unsigned round = 0; round < 70000; round++) {
        unsigned count = 1 + round % SIZE;
        struct skep_vring_desc parts[SIZE];
        for (unsigned i = 0; i < count; i++)
            parts[i] = (struct skep_vring_desc){
                .addr = (uintptr_t)&text[i % 6], .len = 1, .flags = SKEP_VRING_DESC_WRITE};
        int head = skep_virtqueue_add(&queue, parts, count);
        assert_in_range(head, 0, SIZE - 1);
        skep_virtqueue_kick(&queue);
        assert_int_equal(backend_next(NUMBER), head);
        char out[SIZE];
        assert_int_equal(backend_gather(NUMBER, head, out, sizeof(out)), count);
        assert_int_equal(out[count - 1], text[(count - 1) % 6]);
        backend_use(NUMBER, head, round);
        uint32_t bytes;
        assert_int_equal(skep_virtqueue_take(&queue, &bytes), head);
        assert_int_equal(bytes, round);
        assert_int_equal(queue.free_count, SIZE);
    }
    uint32_t bytes;
    assert_int_equal(skep_virtqueue_take(&queue, &bytes), -1);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    int heads[SIZE];
    for (unsigned i = 0; i < SIZE; i++)
        heads[i] = add("x", 1);
    assert_int_equal(add("x", 1), -SKEP_ENOSPC);
    skep_virtqueue_kick(&queue);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(backend_next(NUMBER), heads[i]);
    /* Used in another order than they came. */
    backend_use(NUMBER, heads[5], 0);
    uint32_t bytes;
    assert_int_equal(skep_virtqueue_take(&queue, &bytes), heads[5]);
    assert_int_equal(add("x", 1), heads[5]);
    struct skep_vring_desc none;
    assert_int_equal(skep_virtqueue_add(&queue, &none, 0), -SKEP_ENOSPC);
}

static void held_chains_are_queued_as_they_were(void **state)
{
    (void)state;
    const char text[] = "abcd";
    int heads[SIZE];
    for (unsigned i = 0; i < SIZE; i++)
        heads[i] = add(&text[i % 4], 1);
    /* Each round two are used, and come back in another order. */
    for (unsigned round = 0; round < 70000; round++) {
        skep_virtqueue_kick(&queue);
        uint32_t bytes;
        int used[2];
        for (unsigned i = 0; i < 2; i++) {
            char out;
            used[i] = backend_next(NUMBER);
            assert_in_range(used[i], 0, SIZE - 1);
            assert_int_equal(backend_gather(NUMBER, used[i], &out, 1), 1);
            assert_int_equal(out, text[used[i] % 4]);
            backend_use(NUMBER, used[i], round + i);
        }
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(skep_virtqueue_take_held(&queue, &bytes), used[i]);
            assert_int_equal(bytes, round + i);
        }
        assert_int_equal(skep_virtqueue_take_held(&queue, &bytes), -1);
        assert_int_equal(add("x", 1), -SKEP_ENOSPC);
        skep_virtqueue_repeat(&queue, (unsigned)used[1]);
        skep_virtqueue_repeat(&queue, (unsigned)used[0]);
    }
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(heads[i], i);
}

static void kicks_are_suppressed(void **state)
{
    (void)state;
    assert_int_equal(backend_next(NUMBER), -1); /* asks for a kick */
    add("x", 1);
    assert_int_equal(backend_queues[NUMBER].kicks, 0);
    skep_virtqueue_kick(&queue);
    skep_virtqueue_kick(&queue);
    assert_int_equal(backend_queues[NUMBER].kicks, 1);
    /* The back-end hasn't looked again: it knows. */
    add("x", 1);
    skep_virtqueue_kick(&queue);
    assert_int_equal(backend_queues[NUMBER].kicks, 1);
    while (backend_next(NUMBER) >= 0) {
    }
    add("x", 1);
    skep_virtqueue_kick(&queue);
    assert_int_equal(backend_queues[NUMBER].kicks, 2);
}

static void events_are_suppressed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        add("x", 1);
    skep_virtqueue_kick(&queue);
    backend_use(NUMBER, backend_next(NUMBER), 0);
    assert_int_equal(backend_queues[NUMBER].events, 0); /* nobody asked */

    assert_true(skep_virtqueue_arm(&queue, 0)); /* one is there already */
    uint32_t bytes;
    assert_true(skep_virtqueue_take(&queue, &bytes) >= 0);
    assert_false(skep_virtqueue_arm(&queue, 0));
    backend_use(NUMBER, backend_next(NUMBER), 0);
    backend_use(NUMBER, backend_next(NUMBER), 0);
    assert_int_equal(backend_queues[NUMBER].events, 1); /* the first of them only */

    while (skep_virtqueue_take(&queue, &bytes) >= 0) {
    }
    assert_false(skep_virtqueue_arm(&queue, 1));
    backend_use(NUMBER, backend_next(NUMBER), 0);
    assert_int_equal(backend_queues[NUMBER].events, 1);
    backend_use(NUMBER, backend_next(NUMBER), 0);
    assert_int_equal(backend_queues[NUMBER].events, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sizes_are_checked, setup),
        cmocka_unit_test_setup(parts_lie_in_the_page, setup),
        cmocka_unit_test_setup(chains_go_round, setup),
        cmocka_unit_test_setup(a_full_queue_refuses, setup),
        cmocka_unit_test_setup(held_chains_are_queued_as_they_were, setup),
        cmocka_unit_test_setup(kicks_are_suppressed, setup),
        cmocka_unit_test_setup(events_are_suppressed, setup),
    };
    return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
