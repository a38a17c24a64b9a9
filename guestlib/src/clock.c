/*
 * clock.c - time from the time-stamp counter, or from ring 0 where that is no clock.
 */
#include "internal.h"

uint64_t skep_clock_ns(void)
{
    if (!(skep_info->features & SKEP_FEATURE_CLOCK_TSC))
        return (uint64_t)skep_hc_clock_read();
    const struct skep_clock *clock = &skep_info->clock;
    /* Else the counter may be read before what stands above it, such as a look at another vCPU's time. */
    __builtin_ia32_lfence();
    uint64_t counter = __builtin_ia32_rdtsc(), base = clock->base_ticks;
    uint64_t ticks = counter > base ? counter - base : 0; /* another CPU's may be a little behind */
    return clock->base_ns + (uint64_t)((unsigned __int128)ticks * clock->mult >> 32);
}

uint64_t skep_wall_clock_ns(void)
{
    uint64_t wall_ns = atomic_load_explicit(&skep_info->wall_ns, memory_order_relaxed);
    return wall_ns == 0 ? 0 : wall_ns + skep_clock_ns();
}
