/*
 * wall.h - UNIX time: an offset to the clock, from the real-time clock at boot, later from the control service.
 *
 * Guests find it in their start-info. It is put there when a vCPU is about to run: a change makes every CPU look, and
 * whoever doesn't run now sees it before its next instruction. So it costs nothing for each guest there is.
 */
#ifndef CORE_WALL_H
#define CORE_WALL_H

#include <stdatomic.h>

#include "core/guest.h"
#include "core/types.h"

extern _Atomic uint64_t wall_offset_ns;

/* UNIX time in ns at arch_clock_ns() == 0; 0 = unknown. */
static inline uint64_t wall_ns(void)
{
    return atomic_load_explicit(&wall_offset_ns, memory_order_relaxed);
}

/* Sets it, for guests that run as well. */
void wall_set(uint64_t ns);

/* Puts it into the guest's start-info. A CPU is about to run the guest. */
void wall_update(struct guest *guest);

static inline void wall_show(struct guest *guest)
{
    if (atomic_load_explicit(&guest->wall_ns, memory_order_relaxed) != wall_ns()) {
        wall_update(guest);
    }
}

#endif
