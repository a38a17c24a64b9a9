/*
 * test_pending.c - libc-shim's queue of signals that are pending: order, receivers, timers, and what happens when it is full.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Of the guest's headers, what the queue needs; the host's have it in other ways. */
#define LIBC_SHIM_SHIM_H
#define LIBC_SHIM_TIMERS_H
#undef si_value
#undef si_overrun
struct test_siginfo {
    int si_signo, si_code, si_value, si_overrun;
    void *__timer;
};
struct skep_mutex {
    int holders;
};
struct skep_timer {
    _Atomic uint32_t overruns;
    uint32_t missed;
    bool is_pending;
};

static void skep_mutex_lock(struct skep_mutex *mutex)
{
    assert_int_equal(mutex->holders++, 0);
}

static void skep_mutex_unlock(struct skep_mutex *mutex)
{
    assert_int_equal(--mutex->holders, 0);
}

#define siginfo_t struct test_siginfo
#undef SIGRTMIN
#define SIGRTMIN     32
#define SIGQUEUE_MAX 8

#include "../../libc-shim/src/pending.c" /* NOLINT(bugprone-suspicious-include): it has no header for the host */

#define REAL_TIME (SIGRTMIN + 2)
#define ALL       (~0ull)

static _Atomic uint64_t process, thread;

static int add_to(_Atomic uint64_t *receiver, int signal, int code, int value)
{
    return skep_posix_pending_add(
        receiver, &(siginfo_t){.si_signo = signal, .si_code = code, .si_value = value});
}

/* The number of what is taken; its value in *value. */
static int take_from(_Atomic uint64_t *receiver, uint64_t wanted, int *value)
{
    siginfo_t info = {.si_value = -1};
    int signal = skep_posix_pending_take(receiver, wanted, &info);
    *value = info.si_value;
    return signal;
}

static void check_taken(_Atomic uint64_t *receiver, int signal, int value)
{
    int taken;
    assert_int_equal(take_from(receiver, ALL, &taken), signal);
    assert_int_equal(taken, value);
}

static int empty(void **state)
{
    (void)state;
    skep_posix_pending_forget(&process);
    skep_posix_pending_forget(&thread);
    assert_null(pending.first);
    return 0;
}

/* Once, with where the first one came from. */
static void test_plain_signals(void **state)
{
    int value;
    assert_int_equal(take_from(&process, ALL, &value), 0);
    assert_int_equal(add_to(&process, SIGTERM, SI_QUEUE, 1), 0);
    assert_int_equal(add_to(&process, SIGTERM, SI_QUEUE, 2), 0);
    assert_int_equal(add_to(&process, SIGHUP, SI_QUEUE, 3), 0);
    assert_int_equal(process, bit(SIGTERM) | bit(SIGHUP));
    check_taken(&process, SIGHUP, 3);
    check_taken(&process, SIGTERM, 1);
    assert_int_equal(process, 0);
    assert_int_equal(take_from(&process, ALL, &value), 0);
}

/* Each time, in their order; only those that are wanted. */
static void test_queued_signals(void **state)
{
    int value;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, i), 0);
        assert_int_equal(add_to(&process, REAL_TIME + 1, SI_QUEUE, 10 + i), 0);
    }
    assert_int_equal(take_from(&process, bit(SIGTERM), &value), 0);
    assert_int_equal(take_from(&process, bit(REAL_TIME + 1), &value), REAL_TIME + 1);
    assert_int_equal(value, 10);
    for (int i = 0; i < 3; i++)
        check_taken(&process, REAL_TIME, i);
    assert_int_equal(process, bit(REAL_TIME + 1));
    check_taken(&process, REAL_TIME + 1, 11);
    check_taken(&process, REAL_TIME + 1, 12);
    assert_int_equal(process, 0);
}

/* One receiver's signals are not another's, and go with it. */
static void test_receivers(void **state)
{
    int value;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(add_to(&thread, REAL_TIME, SI_QUEUE, i), 0);
        assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, 10 + i), 0);
    }
    check_taken(&process, REAL_TIME, 10);
    skep_posix_pending_forget(&thread);
    assert_int_equal(take_from(&thread, ALL, &value), 0);
    check_taken(&process, REAL_TIME, 11);
    assert_null(pending.first);
    assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, 12), 0); /* the end is known again */
    assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, 13), 0);
    check_taken(&process, REAL_TIME, 12);
    check_taken(&process, REAL_TIME, 13);
}

/* What was queued is refused, of what wasn't is known that it was sent. */
static void test_full(void **state)
{
    for (int i = 0; i < SIGQUEUE_MAX; i++)
        assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, i), 0);
    assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, -1), -EAGAIN);
    assert_int_equal(add_to(&process, SIGTERM, SI_USER, 5), 0);
    check_taken(&process, SIGTERM, 0);
    check_taken(&process, REAL_TIME, 0);
    assert_int_equal(add_to(&process, REAL_TIME, SI_QUEUE, SIGQUEUE_MAX), 0);
    for (int i = 1; i <= SIGQUEUE_MAX; i++)
        check_taken(&process, REAL_TIME, i);
    assert_int_equal(process, 0);
}

/* Against a list of what was sent, for long. */
static void test_any_order(void **state)
{
    struct {
        _Atomic uint64_t *receiver;
        int signal, value;
    } sent[SIGQUEUE_MAX];
    int count = 0;
    unsigned random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345;
        _Atomic uint64_t *receiver = random >> 20 & 1 ? &process : &thread;
        int signal = REAL_TIME + (int)(random >> 16 & 3), value = -1, oldest = 0;
        if (random >> 24 & 1) {
            int expected = count < SIGQUEUE_MAX ? 0 : -EAGAIN;
            assert_int_equal(add_to(receiver, signal, SI_QUEUE, i), expected);
            if (expected == 0) {
                sent[count].receiver = receiver;
                sent[count].signal = signal;
                sent[count++].value = i;
            }
            continue;
        }
        while (oldest < count &&
               (sent[oldest].receiver != receiver || sent[oldest].signal != signal))
            oldest++;
        assert_int_equal(take_from(receiver, bit(signal), &value), oldest < count ? signal : 0);
        if (oldest == count)
            continue;
        assert_int_equal(value, sent[oldest].value);
        for (count--; oldest < count; oldest++)
            sent[oldest] = sent[oldest + 1];
    }
}

static int add_of(struct skep_timer *timer, int signal, int late)
{
    return skep_posix_pending_add(&process, &(siginfo_t){.si_signo = signal,
                                                         .si_code = SI_TIMER,
                                                         .si_overrun = late,
                                                         .__timer = timer});
}

/* A timer has one signal there, and counts what it is late by. */
static void test_timers(void **state)
{
    struct skep_timer timer = {0}, other = {0};
    siginfo_t info;
    for (int i = 0; i < 2; i++) { /* it begins anew when its signal is taken */
        assert_int_equal(add_of(&timer, REAL_TIME, 3), 0);
        assert_int_equal(add_of(&timer, REAL_TIME, 0), 0);
        assert_int_equal(add_of(&other, REAL_TIME, 0), 0);
        assert_int_equal(skep_posix_pending_take(&process, ALL, &info), REAL_TIME);
        assert_ptr_equal(info.__timer, &timer);
        assert_int_equal(info.si_overrun, 4);
        assert_int_equal(timer.overruns, 4);
        assert_int_equal(skep_posix_pending_take(&process, ALL, &info), REAL_TIME);
        assert_ptr_equal(info.__timer, &other);
        assert_int_equal(info.si_overrun, 0);
        assert_int_equal(process, 0);
    }
}

/* Its signal is taken after its end. */
static void test_end_of_a_timer(void **state)
{
    struct skep_timer *timer = calloc(1, sizeof(*timer));
    siginfo_t info;
    assert_non_null(timer);
    assert_int_equal(add_of(timer, REAL_TIME, 1), 0);
    skep_posix_pending_disown(timer);
    free(timer);
    assert_int_equal(skep_posix_pending_take(&process, ALL, &info), REAL_TIME);
    assert_null(info.__timer);
    assert_int_equal(process, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plain_signals, empty),
        cmocka_unit_test_setup(test_queued_signals, empty),
        cmocka_unit_test_setup(test_receivers, empty),
        cmocka_unit_test_setup(test_full, empty),
        cmocka_unit_test_setup(test_any_order, empty),
        cmocka_unit_test_setup(test_timers, empty),
        cmocka_unit_test_setup(test_end_of_a_timer, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
