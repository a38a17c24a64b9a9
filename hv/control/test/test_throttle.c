/* test_throttle.c - requests a second, known addresses, and turns at handshakes. */
#include "throttle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "test_control.h"

#define SECOND 1000000000ull

static int setup(void **state)
{
    (void)state;
    throttle_forget();
    return 0;
}

/* How many of `tries` requests at this moment are let through. */
static unsigned passing(enum throttle_kind kind, const char *caller, uint64_t now, unsigned tries)
{
    unsigned count = 0, seconds = 0;

    for (unsigned i = 0; i < tries; i++) {
        if (throttle_request(kind, caller, now, &seconds))
            count++;
        else
            assert_true(seconds > 0);
    }
    return count;
}

static void test_burst_and_rate(void **state)
{
    uint64_t now = 7 * SECOND;

    (void)state;
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "admin", now, 3000), THROTTLE_PRINCIPAL_BURST);
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "admin", now, 10), 0);
    now += SECOND;
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "admin", now, 3000), THROTTLE_PRINCIPAL_RATE);
    /* What isn't used is kept, up to a burst; not beyond, however long it is. */
    now += 3600 * SECOND;
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "admin", now, 3000), THROTTLE_PRINCIPAL_BURST);
    now += UINT64_MAX / 2;
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "admin", now, 3000), THROTTLE_PRINCIPAL_BURST);
    /* In small steps nothing is lost to rounding. */
    for (unsigned i = 0, count = 0; i <= 1000; i++) {
        now += SECOND / 1000;
        count += passing(THROTTLE_PRINCIPAL, "admin", now, 10);
        if (i == 1000)
            assert_in_range(count, THROTTLE_PRINCIPAL_RATE - 1, THROTTLE_PRINCIPAL_RATE + 1);
    }
}

static void test_callers_are_apart(void **state)
{
    (void)state;
    assert_int_equal(passing(THROTTLE_ADDRESS, "192.0.2.1", SECOND, 3000), THROTTLE_ADDRESS_BURST);
    assert_int_equal(passing(THROTTLE_ADDRESS, "192.0.2.2", SECOND, 10), 10);
    assert_int_equal(passing(THROTTLE_PRINCIPAL, "192.0.2.1", SECOND, 10), 10);
    assert_int_equal(passing(THROTTLE_ADDRESS, "192.0.2.1", SECOND, 10), 0);
}

/* As many as have room keep their count; who comes beyond that takes the place of the one that was silent longest. */
static void test_many_callers(void **state)
{
    char name[THROTTLE_CALLER_MAX];

    (void)state;
    passing(THROTTLE_ADDRESS, "first", SECOND, 3000);
    for (unsigned i = 1; i < THROTTLE_CALLERS; i++) {
        snprintf(name, sizeof(name), "caller %u", i);
        assert_int_equal(passing(THROTTLE_ADDRESS, name, SECOND + i, 1), 1);
    }
    assert_int_equal(passing(THROTTLE_ADDRESS, "first", SECOND + 200, 1), 0);
    assert_int_equal(passing(THROTTLE_ADDRESS, "one more", SECOND + 300, 1), 1);
    assert_int_equal(passing(THROTTLE_ADDRESS, "first", SECOND + 400, 1), 0);
}

static void test_known_addresses(void **state)
{
    (void)state;
    assert_false(throttle_knows(0));
    for (uint32_t i = 1; i <= THROTTLE_KNOWN_MAX; i++)
        throttle_know(i);
    for (uint32_t i = 1; i <= THROTTLE_KNOWN_MAX; i++)
        assert_true(throttle_knows(i));
    throttle_know(1); /* lately again, so it isn't the next to go */
    throttle_know(1000);
    assert_true(throttle_knows(1) && throttle_knows(1000) && throttle_knows(3));
    assert_false(throttle_knows(2));
}

static atomic_uint begun;
static atomic_bool known_first;

static void *take_turn(void *argument)
{
    const bool *is_known = argument;

    throttle_handshake_begin(*is_known);
    if (atomic_fetch_add(&begun, 1) == 0)
        atomic_store(&known_first, *is_known);
    throttle_handshake_end();
    return NULL;
}

/* With all turns taken others wait, and one of a known address goes before those that waited already. */
static void test_turns(void **state)
{
    bool yes = true, no = false;
    pthread_t unknown[8], known;

    (void)state;
    for (unsigned i = 0; i < THROTTLE_HANDSHAKES_MAX; i++)
        throttle_handshake_begin(false);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&unknown[i], NULL, take_turn, &no), 0);
    assert_int_equal(pthread_create(&known, NULL, take_turn, &yes), 0);
    while (throttle_handshakes_waiting() < 9)
        usleep(1000);
    assert_int_equal(atomic_load(&begun), 0);
    throttle_handshake_end();
    pthread_join(known, NULL);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(unknown[i], NULL);
    assert_true(atomic_load(&known_first));
    assert_int_equal(atomic_load(&begun), 9);
    for (unsigned i = 1; i < THROTTLE_HANDSHAKES_MAX; i++)
        throttle_handshake_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_burst_and_rate, setup),
        cmocka_unit_test_setup(test_callers_are_apart, setup),
        cmocka_unit_test_setup(test_many_callers, setup),
        cmocka_unit_test_setup(test_known_addresses, setup),
        cmocka_unit_test_setup(test_turns, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
