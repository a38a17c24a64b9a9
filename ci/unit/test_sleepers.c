/*
 * test_sleepers.c - guestlib's heap of deadlines against a plain search, with seeded operations.
 */
/* clang-format off: cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdbool.h>
#include <stdlib.h>

#include "../../guestlib/src/sleepers.h"

#define COUNT 200u
#define STEPS 200000u

static struct skep_sleepers sleepers;
static struct skep_sleeper all[COUNT];
static bool asleep[COUNT];

static void check_first(void)
{
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0; i < COUNT; i++) {
        if (asleep[i] && all[i].deadline_ns < earliest) {
            earliest = all[i].deadline_ns;
        }
    }
    if (earliest == UINT64_MAX) {
        assert_null(sleepers.first);
    } else {
        assert_non_null(sleepers.first);
        assert_int_equal(sleepers.first->deadline_ns, earliest);
    }
}

/* Adds and removes at random, some deadlines equal, now and then all in order. */
static void the_first_is_the_earliest(void **state)
{
    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % COUNT;
        if (asleep[i]) {
            skep_sleepers_remove(&sleepers, &all[i]);
        } else {
            all[i].deadline_ns = (uint64_t)rand() % 300;
            skep_sleepers_add(&sleepers, &all[i]);
        }
        asleep[i] = !asleep[i];
        if (step % 1000 == 0) {
            while (sleepers.first) {
                asleep[sleepers.first - all] = false;
                skep_sleepers_remove(&sleepers, sleepers.first);
                check_first();
            }
        }
        check_first();
    }
    while (sleepers.first) {
        asleep[sleepers.first - all] = false;
        skep_sleepers_remove(&sleepers, sleepers.first);
    }
}

/* Threads that went to sleep with the same deadline wake in that order. */
static void equals_keep_their_order_when_alone(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        all[i].deadline_ns = 7;
        skep_sleepers_add(&sleepers, &all[i]);
    }
    assert_ptr_equal(sleepers.first, &all[0]);
    skep_sleepers_remove(&sleepers, &all[0]);
    assert_ptr_equal(sleepers.first, &all[1]);
    skep_sleepers_remove(&sleepers, &all[1]);
    assert_null(sleepers.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_the_earliest),
        cmocka_unit_test(equals_keep_their_order_when_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
