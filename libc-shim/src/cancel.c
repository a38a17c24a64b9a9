/*
 * cancel.c - cancellation of threads, which is always deferred: a thread ends in a function that can wait, at its
 * beginning or when its wait was interrupted and the function has given back what it had.
 *
 * In a function on a stream that is when newlib has given back the stream's lock: the wait below fails with EINTR, the
 * function fails with that, and the thread ends amid the unlocking. Who has locked a stream by flockfile() and waits for
 * something else sees that one wait end early, as after a signal.
 *
 * Known shortcomings: what waits for a disk isn't interrupted, nor is what has another one of newlib's locks, as
 * fflush(NULL) has and handlers of atexit().
 */
#include "pthread_internal.h"

static bool is_to_end(void)
{
    const struct skep_pthread *self = pthread_self();
    return atomic_load_explicit(&self->is_to_end, memory_order_relaxed) && !self->cancel_disabled &&
           skep_posix_locks_held == 0 && !skep_posix_signals_is_helper();
}

bool skep_posix_ends_wait(void)
{
    if (skep_posix_ends_later || !is_to_end())
        return false;
    skep_posix_ends_later = skep_posix_streams_locked != 0;
    return true;
}

void skep_posix_cancellation_point(void)
{
    if (skep_posix_streams_locked == 0 && is_to_end())
        pthread_exit(PTHREAD_CANCELED);
}

/* Of a thread that has ended this changes nothing. */
int pthread_cancel(pthread_t thread)
{
    atomic_store_explicit(&thread->is_to_end, true, memory_order_relaxed);
    skep_posix_interrupt(thread->signals); /* counts after that: who sees the count sees it */
    return 0;
}

int pthread_setcancelstate(int state, int *old)
{
    struct skep_pthread *self = pthread_self();
    if (state != PTHREAD_CANCEL_ENABLE && state != PTHREAD_CANCEL_DISABLE)
        return EINVAL;
    if (old != NULL)
        *old = self->cancel_disabled ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
    self->cancel_disabled = state == PTHREAD_CANCEL_DISABLE;
    return 0;
}

/* Kept and told. */
int pthread_setcanceltype(int type, int *old)
{
    struct skep_pthread *self = pthread_self();
    if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS)
        return EINVAL;
    if (old != NULL)
        *old = self->cancel_type;
    self->cancel_type = type;
    return 0;
}

void pthread_testcancel(void)
{
    skep_posix_cancellation_point();
}
