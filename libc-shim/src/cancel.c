/*
 * cancel.c - cancellation of threads. One that defers it ends in a function that can wait, at its beginning or when its wait
 * was interrupted and the function has given back what it had. One that doesn't (PTHREAD_CANCEL_ASYNCHRONOUS) ends there,
 * too, and amid its own code: the scheduler asks before it goes on with that, and calls the end instead.
 *
 * In a function on a stream that is when newlib has given back the stream's lock: the wait below fails with EINTR, the
 * function fails with that, and the thread ends amid the unlocking. Who has locked a stream by flockfile() and waits for
 * something else sees that one wait end early, as after a signal.
 *
 * Known shortcomings: what waits for a disk isn't interrupted, nor is what has another one of newlib's locks, as
 * fflush(NULL) has and handlers of atexit(). A thread that doesn't defer it, and is amid a function of the library other than
 * the three that it may call, leaves no lock of the library's locked, but may lose what that had allocated.
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

_Noreturn static void end_now(struct skep_context *unused)
{
    (void)unused;
    pthread_exit(PTHREAD_CANCELED);
}

skep_detour *skep_posix_asks_for_end(void)
{
    bool ends = pthread_self()->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS && is_to_end();
    return ends ? end_now : NULL;
}

/* The caller has changed what it makes of it. */
static void end_if_asynchronous(void)
{
    if (pthread_self()->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS)
        skep_posix_cancellation_point();
}

/* Of a thread that has ended this changes nothing. */
int pthread_cancel(pthread_t thread)
{
    atomic_store_explicit(&thread->is_to_end, true, memory_order_relaxed);
    skep_posix_interrupt(thread->signals); /* after that: who sees its count sees it */
    end_if_asynchronous();
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
    end_if_asynchronous();
    return 0;
}

int pthread_setcanceltype(int type, int *old)
{
    struct skep_pthread *self = pthread_self();
    if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS)
        return EINVAL;
    if (old != NULL)
        *old = self->cancel_type;
    self->cancel_type = type;
    end_if_asynchronous();
    return 0;
}

void pthread_testcancel(void)
{
    skep_posix_cancellation_point();
}
