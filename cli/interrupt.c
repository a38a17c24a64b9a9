/* interrupt.c - Ctrl-C as a wish to end. */
#include "interrupt.h"

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
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = remember}, before;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
}

bool interrupt_came(void)
{
    return came;
}

/* The signals are let in while it waits only, so that none can come between the look and the wait. */
bool interrupt_poll(struct pollfd *p, nfds_t count, int milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    sigset_t all, before;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    if (!came)
        (void)ppoll(p, count, milliseconds < 0 ? NULL : &time, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !came;
}

bool interrupt_sleep(unsigned milliseconds)
{
    return interrupt_poll(NULL, 0, (int)milliseconds);
}

bool interrupt_read(int descriptor)
{
    struct pollfd p = {.fd = descriptor, .events = POLLIN};
    return interrupt_poll(&p, 1, -1);
}
