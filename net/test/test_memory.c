/*
 * test_memory.c - lwIP's allocator: blocks are apart, aligned, used again, and bounded when kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lwip/memory.h"

#define COUNT 200u

static void blocks_are_apart(void **state)
{
    (void)state;
    static uint8_t *blocks[COUNT];
    static size_t sizes[COUNT];
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = (unsigned)rand() % COUNT;
        if (blocks[i] != NULL) {
            for (size_t at = 0; at < sizes[i]; at++)
                assert_int_equal(blocks[i][at], (uint8_t)i);
            network_free(blocks[i]);
        }
        sizes[i] = (size_t)rand() % (round % 5 == 0 ? 4000 : 300);
        blocks[i] = network_malloc(sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 8, 0);
        memset(blocks[i], (int)i, sizes[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        if (blocks[i] != NULL)
            network_free(blocks[i]);
}

static void freed_blocks_come_again(void **state)
{
    (void)state;
    void *first = network_malloc(100);
    network_free(first);
    void *second = network_malloc(101);
    assert_ptr_equal(first, second);
    network_free(second);
}

/* Those of long segments, but for no longer than data is sent. */
static void long_blocks_come_again(void **state)
{
    (void)state;
    uint8_t *longest = network_malloc(60000), *longer = network_malloc(50000);
    uint8_t *long_one = network_malloc(5000);
    network_free(long_one);
    network_free(longer);
    network_free(longest); /* the first one goes */
    assert_ptr_equal(network_malloc(50001), longest);
    uint8_t *third = network_malloc(5000); /* doesn't get so much more */
    assert_ptr_not_equal(third, longer);
    assert_ptr_equal(network_malloc(40000), longer);
    network_free(longest);
    network_free(longer);
    network_free(third);
    network_memory_trim();
    network_memory_trim();
    uint8_t *much = network_malloc(100000); /* none of those that are kept */
    network_free(much);
}

static void zeroed(void **state)
{
    (void)state;
    uint8_t *dirty = network_malloc(500);
    memset(dirty, 0xff, 500);
    network_free(dirty);
    uint8_t *clean = network_calloc(5, 100);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(clean[i], 0);
    network_free(clean);
}

static void too_much(void **state)
{
    (void)state;
    assert_null(network_malloc(SIZE_MAX));
    assert_null(network_malloc(SIZE_MAX - 8));
    assert_null(network_calloc(SIZE_MAX / 2, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* While little is kept: later, a freed block may go back to malloc(). */
        cmocka_unit_test(freed_blocks_come_again),
        cmocka_unit_test(long_blocks_come_again),
        cmocka_unit_test(zeroed),
        cmocka_unit_test(blocks_are_apart),
        cmocka_unit_test(too_much),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
