/*
 * test_io_limits.c - limits of bytes and requests a second, and what a guest is told of a volume, at once or later.
 */
#include "block_fixture.h"

#define SECTORS (CHUNK / 512)

static struct rider rider;
static uint64_t volume;

static void opened(uint32_t chunks)
{
    volume = volume_opened(chunks);
    rider_create(&rider, volume, 0);
}

static void closed(void)
{
    rider_destroy(&rider);
    volume_closed(volume);
}

/* ---- limits ---- */

static void limited(uint64_t bytes_second, uint64_t bytes_burst, uint32_t requests_second,
                    uint32_t requests_burst)
{
    struct skep_volume_limits limits = {bytes_second, bytes_burst, requests_second, requests_burst};
    memcpy(control_page, &limits, sizeof(limits));
    assert_int_equal(volume_set(volume, SKEP_VOLUME_LIMITS, control_page_at, 0, 0), 0);
}

static uint32_t done_of(const uint32_t *requests, uint32_t count)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        done += rider_status(&rider, requests[i]) == SKEP_BLOCK_S_OK;
    }
    return done;
}

static void advance(uint64_t ns)
{
    fake_clock_advance(ns);
    settle();
}

static void requests_a_second_are_limited(void **state)
{
    uint32_t requests[8];
    (void)state;
    opened(4);
    limited(0, 0, 100, 3);
    for (uint32_t i = 0; i < 8; i++) {
        requests[i] = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    }
    settle();
    assert_int_equal(done_of(requests, 8), 3);
    assert_int_equal(status_of(volume).held, 5);
    assert_true(io_deadline() <= arch_clock_ns() + 10000000);
    advance(9999999);
    assert_int_equal(done_of(requests, 8), 3);
    advance(1);
    assert_int_equal(done_of(requests, 8), 4);
    advance(20000000);
    assert_int_equal(done_of(requests, 8), 6);
    limited(0, 0, 0, 0);
    settle();
    assert_int_equal(done_of(requests, 8), 8);
    closed();
}

static void bytes_a_second_are_limited(void **state)
{
    uint32_t requests[4];
    (void)state;
    opened(4);
    limited(65536, 0, 0, 0);
    for (uint32_t i = 0; i < 4; i++) {
        requests[i] = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 65536);
    }
    settle();
    assert_int_equal(done_of(requests, 4), 1); /* at least one */
    advance(1000000000);
    assert_int_equal(done_of(requests, 4), 2);
    advance(1000000000);
    assert_int_equal(done_of(requests, 4), 3);
    rider_destroy(&rider); /* with one that waits */
    volume_closed(volume);
    assert_int_equal(io_deadline(), TIME_NEVER);
}

/* The CPU's timer is set to it: nobody else wakes it. */
static void timer_wakes_the_limited(void **state)
{
    (void)state;
    opened(4);
    run_until(rider.vcpu);
    limited(0, 0, 1, 1);
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    uint32_t second = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    settle();
    fake_interrupts();
    assert_true(fake_cpu->arch.timer_ns <= arch_clock_ns() + 1000000000);
    for (int i = 0; i < 2000 && rider_status(&rider, second) == NOT_DONE; i++) {
        fake_clock_advance(1000000);
        fake_interrupts();
    }
    assert_int_equal(rider_status(&rider, second), SKEP_BLOCK_S_OK);
    closed();
}

/* ---- changes while a guest runs ---- */

static const struct skep_block *info(void)
{
    const struct skep_start_info *start = frame_data(rider.guest->start_info[0]);
    return &start->block[0];
}

static bool change_event(void)
{
    uint64_t bit = 1ull << SKEP_EVENT_CHANGE;
    return atomic_fetch_and(&rider.vcpu->page->pending, ~bit) & bit;
}

static void start_info_says_what_there_is(void **state)
{
    (void)state;
    opened(4);
    const struct skep_start_info *start = frame_data(rider.guest->start_info[0]);
    assert_int_equal(start->block_count, 1);
    assert_int_equal(info()->bytes, 4 * CHUNK);
    assert_int_equal(info()->flags, SKEP_BLOCK_DISCARD);
    assert_int_equal(info()->block_bytes, 512);
    assert_int_equal(info()->discard_bytes, CHUNK);
    assert_string_equal(info()->name, "data");
    assert_false(change_event());
    closed();
}

static void resize_is_told(void **state)
{
    (void)state;
    opened(4);
    pool_give(volume, 10, 4);
    uint32_t beyond = rider_add(&rider, SKEP_BLOCK_T_OUT, 4 * SECTORS, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, beyond), SKEP_BLOCK_S_IOERR);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_RESIZE, 3 * CHUNK, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_RESIZE, 8 * CHUNK + 4096, 0, 0), 0);
    assert_true(change_event());
    assert_int_equal(info()->bytes, 8 * CHUNK + 4096);
    write_ok(&rider, 4 * SECTORS, 1, 512);
    write_ok(&rider, 8 * SECTORS + 7, 1, 512);
    beyond = rider_add(&rider, SKEP_BLOCK_T_OUT, 8 * SECTORS + 8, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, beyond), SKEP_BLOCK_S_IOERR);
    uint64_t rest = promise_limit() - promise_taken();
    assert_int_equal(promise_take(rest), 0);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_RESIZE, 2000ull * CHUNK, 0, 0), -SKEP_ENOMEM);
    promise_give(rest);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_RESIZE, 2000ull * CHUNK, 0, 0), 0);
    closed();
}

static void flags_are_told(void **state)
{
    (void)state;
    opened(4);
    uint32_t held = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    assert_int_equal(volume_set(volume, SKEP_VOLUME_FLAGS, SKEP_VOLUME_READ_ONLY, 0, 0), 0);
    assert_true(change_event());
    assert_int_equal(info()->flags, SKEP_BLOCK_READ_ONLY);
    settle();
    assert_int_equal(rider_status(&rider, held), SKEP_BLOCK_S_IOERR);
    read_is(&rider, 0, 0, 512);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    uint32_t discard = rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
    settle();
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, discard), SKEP_BLOCK_S_IOERR);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_FLAGS, SKEP_VOLUME_OFFLINE, 0, 0), 0);
    assert_int_equal(info()->flags, SKEP_BLOCK_DISCARD | SKEP_BLOCK_OFFLINE);
    uint32_t read = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    settle();
    assert_int_equal(rider_status(&rider, read), SKEP_BLOCK_S_IOERR);
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_IOERR);
    closed();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_fixture_begin, block_fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_a_second_are_limited),
        TEST(bytes_a_second_are_limited),
        TEST(timer_wakes_the_limited),
        TEST(start_info_says_what_there_is),
        TEST(resize_is_told),
        TEST(flags_are_told),
    };
    return cmocka_run_group_tests(tests, block_fixture_boot, NULL);
}
