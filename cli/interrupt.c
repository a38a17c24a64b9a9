/* interrupt.c - Ctrl-C as a wish to end. */
#include "interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t came;

static void remember(int number)
{
    came = 1;
}

void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = remember};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_came(void)
{
    return came;
}

/* The signals are let in while it waits only, so that none can come between the look and the wait. */
static bool wait_for(struct pollfd *p, const struct timespec *time)
{
    sigset_t both, before;

    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before);
    if (!came)
        (void)ppoll(p, p ? 1 : 0, time, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !came;
}

bool interrupt_sleep(unsigned milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    return wait_for(NULL, &time);
}

bool interrupt_read(int descriptor)
{
    struct pollfd p = {.fd = descriptor, .events = POLLIN};
    return wait_for(&p, NULL);
}
