/*
 * timers.h - timers: what timer_create(), setitimer(), alarm() and timerfd_create() are made of.
 */
#ifndef LIBC_SHIM_TIMERS_H
#define LIBC_SHIM_TIMERS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "skep/fd.h"

/* Guarded by timers.c's lock, but for what is atomic or doesn't change. */
struct skep_timer {
    uint64_t due_ns;                /* 0 = not set */
    uint64_t period_ns;             /* 0 = once */
    clockid_t clock;                /* of absolute times */
    struct sigevent event;          /* what its thread does each time */
    struct skep_poll_source source; /* notified each time */
    _Atomic uint64_t expirations;   /* since they were taken */
    _Atomic uint32_t overruns;      /* expirations that the latest one came late for */
    uint32_t missed;                /* those since its signal is pending; pending.c's lock */
    bool is_pending;                /* pending.c's lock */
    _Atomic uint32_t changes;       /* counts expirations; readers wait on it */
    struct skep_timer *next;        /* of those that are set, by due_ns */
};

/* Sets the timer, or takes it back (it_value = 0), and says what it was set to; old may be NULL. 0 or -errno: -EINVAL, or
 * -EAGAIN without memory for the thread that waits for timers. */
int skep_posix_timer_set(struct skep_timer *timer, bool is_absolute, const struct itimerspec *value,
                         struct itimerspec *old);
void skep_posix_timer_get(struct skep_timer *timer, struct itimerspec *out);

/* signal.c: sends the program the timer's signal, which is late by some of its periods. */
void skep_posix_raise_timer(struct skep_timer *timer, const struct sigevent *event, uint32_t late);

#endif
