/*
 * sighold.c - System V's way with signals, one at a time.
 */
#include <signal.h>

#include "shim.h"

static int change(int how, int signal, sigset_t *old)
{
    sigset_t set;
    sigemptyset(&set);
    return sigaddset(&set, signal) < 0 ? -1 : sigprocmask(how, &set, old);
}

int sighold(int signal)
{
    return change(SIG_BLOCK, signal, NULL);
}

int sigrelse(int signal)
{
    return change(SIG_UNBLOCK, signal, NULL);
}

int sigignore(int signal)
{
    return sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

int sigpause(int signal)
{
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    return sigdelset(&mask, signal) < 0 ? -1 : sigsuspend(&mask);
}

_sig_func_ptr sigset(int signal, _sig_func_ptr action)
{
    sigset_t mask;
    struct sigaction old, new = {.sa_handler = action};
    bool holds = action == SIG_HOLD;
    if (sigaction(signal, holds ? NULL : &new, &old) < 0 ||
        change(holds ? SIG_BLOCK : SIG_UNBLOCK, signal, &mask) < 0)
        return SIG_ERR;
    return sigismember(&mask, signal) ? SIG_HOLD : old.sa_handler;
}
