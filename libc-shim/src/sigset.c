/*
 * sigset.c - sets of signals.
 */
#include <signal.h>

#include "shim.h"

static uint64_t bit(int signal)
{
    return 1ull << signal;
}

static int check(int signal)
{
    return signal > 0 && signal < NSIG ? 0 : (int)skep_posix_result(-EINVAL);
}

int sigemptyset(sigset_t *set)
{
    *set = 0;
    return 0;
}

int sigfillset(sigset_t *set)
{
    *set = ~0ul;
    return 0;
}

int sigaddset(sigset_t *set, int signal)
{
    if (check(signal) < 0)
        return -1;
    *set |= bit(signal);
    return 0;
}

int sigdelset(sigset_t *set, int signal)
{
    if (check(signal) < 0)
        return -1;
    *set &= ~bit(signal);
    return 0;
}

int sigismember(const sigset_t *set, int signal)
{
    return check(signal) < 0 ? -1 : (*set & bit(signal)) != 0;
}

__attribute__((weak)) int sigisemptyset(const sigset_t *set)
{
    return *set == 0;
}

__attribute__((weak)) int sigandset(sigset_t *out, const sigset_t *one, const sigset_t *other)
{
    *out = *one & *other;
    return 0;
}

__attribute__((weak)) int sigorset(sigset_t *out, const sigset_t *one, const sigset_t *other)
{
    *out = *one | *other;
    return 0;
}
