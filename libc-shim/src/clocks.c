/*
 * clocks.c - the wall clock in the words of C and BSD. The host sets it.
 */
#include <sys/time.h>

#include "shim.h"

int timespec_get(struct timespec *out, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

int timespec_getres(struct timespec *out, int base)
{
    return base == TIME_UTC && clock_getres(CLOCK_REALTIME, out) == 0 ? base : 0;
}

int settimeofday(const struct timeval *time, const struct timezone *zone)
{
    return clock_settime(CLOCK_REALTIME, NULL);
}

/* Linux' adjtime() of nothing tells what is left of the last one: nothing. */
int adjtime(const struct timeval *by, struct timeval *left)
{
    if (by != NULL)
        return clock_settime(CLOCK_REALTIME, NULL);
    if (left != NULL)
        *left = (struct timeval){0};
    return 0;
}
