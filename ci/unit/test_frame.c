/*
 * test_frame.c - the frame table, the buddy allocator, pins and promises.
 */
#include "test.h"

static struct baseline before;

static void blocks_are_aligned_and_zeroed(void **state)
{
    (void)state;
    for (uint32_t order = 0; order <= FRAME_ORDER_MAX; order++) {
        pfn_t pfn = frame_alloc(order, SKEP_FRAME_DEVICE, OWNER_CORE);
        assert_int_not_equal(pfn, PFN_NONE);
        assert_int_equal(pfn & ((1u << order) - 1), 0);
        const char *data = frame_data(pfn);
        for (uint64_t i = 0; i < PAGE_SIZE << order; i += 64) {
            assert_int_equal(data[i], 0);
        }
        memset(frame_data(pfn), 0xa5, PAGE_SIZE << order);
        frame_free(pfn, order);
    }
    baseline_check(&before);
}

static void memory_is_exhausted_and_comes_back(void **state)
{
    (void)state;
    static pfn_t taken[8192];
    uint32_t count = 0;
    while (count < ARRAY_COUNT(taken)) {
        pfn_t pfn = frame_alloc(count % 3, SKEP_FRAME_GUEST, 7);
        if (!pfn) {
            break;
        }
        taken[count++] = pfn;
    }
    assert_in_range(count, 100, ARRAY_COUNT(taken) - 1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (i * 7919) % count;
        if (taken[place]) {
            frame_free(taken[place], place % 3);
            taken[place] = PFN_NONE;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (taken[i]) {
            frame_free(taken[i], i % 3);
        }
    }
    baseline_check(&before);
    pfn_t large = frame_alloc(FRAME_ORDER_MAX, SKEP_FRAME_DEVICE, OWNER_CORE);
    assert_int_not_equal(large, PFN_NONE);
    frame_free(large, FRAME_ORDER_MAX);
}

static void pinned_frame_stays_until_the_last_pin(void **state)
{
    (void)state;
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_GUEST, 3);
    assert_int_equal(frame_pin(pfn), 0);
    assert_int_equal(frame_pin(pfn), 0);
    frame_free(pfn, 0);
    assert_int_equal(frame_type(pfn), SKEP_FRAME_GUEST);
    assert_int_equal(frame_owner(pfn), 3);
    frame_unpin(pfn);
    assert_int_equal(frame_pins(pfn), 1);
    assert_int_equal(frame_type(pfn), SKEP_FRAME_GUEST);
    frame_unpin(pfn);
    assert_int_equal(frame_type(pfn), SKEP_FRAME_FREE);
    baseline_check(&before);
}

static void pins_are_bounded(void **state)
{
    (void)state;
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_GUEST, 3);
    for (int i = 0; i < 65535; i++) {
        assert_int_equal(frame_pin(pfn), 0);
    }
    assert_int_equal(frame_pin(pfn), -SKEP_EBUSY);
    for (int i = 0; i < 65535; i++) {
        frame_unpin(pfn);
    }
    frame_free(pfn, 0);
    baseline_check(&before);
}

static void promises_never_exceed_what_there_is(void **state)
{
    (void)state;
    uint64_t left = promise_limit() - promise_taken();
    assert_int_equal(promise_take(left + 1), -SKEP_ENOMEM);
    assert_int_equal(promise_take(UINT64_MAX), -SKEP_ENOMEM);
    assert_int_equal(promise_take(left), 0);
    assert_int_equal(promise_take(1), -SKEP_ENOMEM);
    promise_give(left);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(48 << 20, 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_zeroed),
        cmocka_unit_test(memory_is_exhausted_and_comes_back),
        cmocka_unit_test(pinned_frame_stays_until_the_last_pin),
        cmocka_unit_test(pins_are_bounded),
        cmocka_unit_test(promises_never_exceed_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
