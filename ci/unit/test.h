/*
 * test.h - cmocka with the headers that it wants, and the leak check that closes each suite.
 */
#ifndef CI_UNIT_TEST_H
#define CI_UNIT_TEST_H

/* clang-format off: cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "core/frame.h"
#include "core/image.h"
#include "fake.h"

struct baseline {
    uint64_t frames[SKEP_FRAME_TYPES];
    uint64_t promised;
};

static inline void baseline_take(struct baseline *baseline)
{
    memset(baseline, 0, sizeof(*baseline));
    frame_counts(baseline->frames);
    baseline->promised = promise_taken();
}

/* Every frame is back, by type, and every promise. */
static inline void baseline_check(const struct baseline *baseline)
{
    struct baseline now;
    fake_settle();
    baseline_take(&now);
    for (unsigned i = 0; i < SKEP_FRAME_TYPES; i++) {
        assert_int_equal(now.frames[i], baseline->frames[i]);
    }
    assert_int_equal(now.promised, baseline->promised);
}

/* Lets time pass until the vCPU runs on this CPU. The control service never waits in these tests and has ten times
 * a guest's weight. */
static inline void run_until(struct vcpu *vcpu)
{
    for (int i = 0; i < 500 && fake_interrupts() != vcpu; i++) {
        fake_clock_advance(10000000);
    }
    assert_ptr_equal(fake_cpu->current, vcpu);
}

/* A running guest of one vCPU, and its vCPU on the CPU that the test acts as. */
static inline struct guest *guest_running(uint64_t memory_bytes)
{
    struct guest *guest = fake_find(fake_guest(fake_image(), memory_bytes, 1));
    assert_non_null(guest);
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    return guest;
}

/* Destroys a guest and its image. */
static inline void guest_gone(struct guest *guest)
{
    uint64_t image = guest->image_handle;
    guest_destroy(guest);
    fake_settle();
    int error;
    do {
        error = image_destroy(image);
    } while (error == -SKEP_EAGAIN);
    assert_int_equal(error, 0);
}

#endif
