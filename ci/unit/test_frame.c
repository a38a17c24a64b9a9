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

static pfn_t all[16384];

static uint64_t free_frames(void)
{
    uint64_t counts[SKEP_FRAME_TYPES];
    frame_counts(counts);
    return counts[SKEP_FRAME_FREE];
}

static bool is_zero(pfn_t pfn)
{
    static const char zeros[PAGE_SIZE];
    return memcmp(frame_data(pfn), zeros, PAGE_SIZE) == 0;
}

/* All that is free, as single frames; then all of it given back, with something in it. */
static void take_all_and_spoil(void)
{
    uint64_t there = free_frames();
    assert_in_range(there, 2048, ARRAY_COUNT(all));
    uint32_t count = frame_alloc_singles(ARRAY_COUNT(all), SKEP_FRAME_GUEST, 3, all);
    assert_int_equal(count, there);
    assert_int_equal(free_frames(), 0);
    assert_int_equal(frame_alloc(0, SKEP_FRAME_GUEST, 3), PFN_NONE);
    assert_int_equal(frame_alloc_raw(SKEP_FRAME_GUEST, 3), PFN_NONE);
    assert_false(frame_clean_step());
    for (uint32_t i = 0; i < count; i++) {
        assert_true(is_zero(all[i]));
        assert_int_equal(frame_owner(all[i]), 3);
        memset(frame_data(all[i]), 0xa5, PAGE_SIZE);
    }
    for (uint32_t i = 0; i < count; i++) {
        frame_free(all[i], 0);
    }
    assert_int_equal(free_frames(), there);
}

static uint32_t clean_steps(void)
{
    uint32_t steps = 1;
    while (frame_clean_step()) {
        assert_in_range(++steps, 1, 1024);
    }
    return steps;
}

/* A large block of which some has been zeroed is given as a whole: there is nothing else to zero, nor to give. */
static void large_blocks_come_together(void)
{
    pfn_t large = frame_alloc(FRAME_ORDER_MAX, SKEP_FRAME_DEVICE, OWNER_CORE);
    assert_int_not_equal(large, PFN_NONE);
    uint32_t count = frame_alloc_singles(ARRAY_COUNT(all), SKEP_FRAME_GUEST, 3, all);
    frame_free(large, FRAME_ORDER_MAX);
    clean_steps();
    assert_int_equal(frame_alloc(FRAME_ORDER_MAX, SKEP_FRAME_DEVICE, OWNER_CORE), large);
    assert_int_equal(free_frames(), 0);
    frame_free(large, FRAME_ORDER_MAX);
    while (count) {
        frame_free(all[--count], 0);
    }
}

/* What was zeroed ahead of time is as free as the rest: all of it is found by every kind of use, zeroed where that is
 * promised, and blocks of any size come together again. */
static void frames_zeroed_ahead_are_free(void **state)
{
    (void)state;
    uint64_t there = free_frames();
    for (int round = 0; round < 3; round++) {
        take_all_and_spoil();
        assert_in_range(clean_steps(), 8, 1024);
        assert_false(frame_clean_step());
        assert_int_equal(free_frames(), there);
    }
    uint32_t count = 0;
    for (pfn_t pfn; (pfn = frame_alloc_raw(SKEP_FRAME_GUEST, 3)); count++) {
        all[count] = pfn;
    }
    assert_int_equal(count, there);
    while (count) {
        frame_free(all[--count], 0);
    }
    large_blocks_come_together();
    baseline_check(&before);
}

/* Frames that lie side by side are given so, for the sake of devices. */
static void frames_zeroed_ahead_keep_their_order(void **state)
{
    (void)state;
    take_all_and_spoil();
    clean_steps();
    uint32_t count = frame_alloc_singles(64, SKEP_FRAME_GUEST, 3, all);
    uint32_t runs = 1;
    for (uint32_t i = 1; i < count; i++) {
        runs += all[i] != all[i - 1] + 1;
    }
    assert_int_equal(count, 64);
    assert_in_range(runs, 1, 5);
    for (uint32_t i = 0; i < count; i++) {
        frame_free(all[i], 0);
    }
    baseline_check(&before);
}

/* A CPU with nothing to do zeroes frames until there are enough, a part at a time, and then sleeps. */
static void idle_cpus_zero_frames(void **state)
{
    (void)state;
    take_all_and_spoil();
    fake_cpu_set(1);
    assert_null(fake_interrupts());
    assert_int_equal(fake_cpu->arch.ipis, 1);
    uint32_t rounds = 1;
    while (fake_cpu->arch.ipis) {
        assert_null(fake_interrupts());
        assert_in_range(++rounds, 1, 1024);
    }
    assert_in_range(rounds, 8, 1024);
    assert_false(frame_clean_step());
    fake_cpu_set(0);
    baseline_check(&before);
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
    fake_boot(48 << 20, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_zeroed),
        cmocka_unit_test(memory_is_exhausted_and_comes_back),
        cmocka_unit_test(frames_zeroed_ahead_are_free),
        cmocka_unit_test(frames_zeroed_ahead_keep_their_order),
        cmocka_unit_test(idle_cpus_zero_frames),
        cmocka_unit_test(pinned_frame_stays_until_the_last_pin),
        cmocka_unit_test(pins_are_bounded),
        cmocka_unit_test(promises_never_exceed_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
