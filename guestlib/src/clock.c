/*
 * clock.c - time from the time-stamp counter, or from ring 0 where that is no clock.
 */
#include "internal.h"

uint64_t skep_clock_ns(void)
{
    if (!(skep_info->features & SKEP_FEATURE_CLOCK_TSC))
        return (uint64_t)skep_hc_clock_read();
    const struct skep_clock *clock = &skep_info->clock;
    int64_t ticks = (int64_t)(__builtin_ia32_rdtsc() - clock->base_ticks);
    if (ticks < 0) /* another CPU's counter, a little behind */
        ticks = 0;
    return clock->base_ns + (uint64_t)(((unsigned __int128)ticks * clock->mult) >> 32);
}

uint64_t skep_wall_clock_ns(void)
{
    return skep_info->wall_ns == 0 ? 0 : skep_info->wall_ns + skep_clock_ns();
}
