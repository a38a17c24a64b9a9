/*
 * sigwait.c - waiting for signals: until a handler has run, or to take them without one.
 */
#include <signal.h>
#include <unistd.h>

#include "pending.h"
#include "shim.h"
#include "skep/fd.h"

/* Waits until a handler has run. */
static void wait_for_signal(uint64_t seen)
{
    static _Atomic uint32_t nothing;
    while (skep_wait_interruptibly(&nothing, 0, SKEP_FOREVER, &seen, SKEP_NEVER_RESTARTS) != -EINTR)
        ;
}

int pause(void)
{
    wait_for_signal(skep_interrupts_seen());
    return (int)skep_posix_result(-EINTR);
}

/* A signal that is pending is delivered by the change of the mask, and counts. */
int sigsuspend(const sigset_t *mask)
{
    sigset_t old;
    uint64_t seen = skep_interrupts_seen();
    pthread_sigmask(SIG_SETMASK, mask, &old);
    wait_for_signal(seen);
    skep_posix_signals_handle();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return (int)skep_posix_result(-EINTR);
}

/* The signals in set are blocked, so that they become pending; of several threads one gets it. */
static int wait_until(const sigset_t *set, siginfo_t *info, uint64_t deadline_ns)
{
    siginfo_t taken;
    uint64_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&skep_posix_signals_sent, memory_order_acquire);
        int signal = skep_posix_take_pending(*set, &taken);
        if (signal != 0 && info != NULL)
            *info = taken;
        if (signal != 0)
            return signal;
        int result = skep_wait_interruptibly(&skep_posix_signals_sent, seen, deadline_ns,
                                             &interrupts, SKEP_NEVER_RESTARTS);
        if (result == -ETIMEDOUT)
            return -EAGAIN;
        if (result == -EINTR)
            return -EINTR;
    }
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    uint64_t span_ns;
    if (timeout == NULL)
        return sigwaitinfo(set, info);
    if (!skep_posix_span(timeout, &span_ns))
        return (int)skep_posix_result(-EINVAL);
    return (int)skep_posix_result(wait_until(set, info, skep_posix_deadline_in(span_ns)));
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    return (int)skep_posix_result(wait_until(set, info, SKEP_FOREVER));
}

int sigwait(const sigset_t *set, int *signal)
{
    int result;
    while ((result = wait_until(set, NULL, SKEP_FOREVER)) == -EINTR)
        skep_posix_signals_handle();
    *signal = result;
    return 0;
}
