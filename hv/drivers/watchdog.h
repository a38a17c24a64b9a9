/*
 * watchdog.h - a timer in hardware that resets the machine when ring 0 doesn't go on.
 *
 * `watchdog=off|SECONDS` on the command line (30 by default). It is fed by CPU 0, a few times in that span, and only when
 * each CPU has gone through core_resume() since it was last asked to, and no CPU's timer is overdue. A guest
 * that hangs doesn't keep ring 0 from that.
 */
#ifndef DRIVERS_WATCHDOG_H
#define DRIVERS_WATCHDOG_H

#include "core/cpu.h"
#include "core/types.h"

extern uint64_t watchdog_deadline_ns; /* when it is due to be fed; TIME_NEVER = there is none */

/* Finds and starts it. Boot CPU, once, when the other CPUs run. */
void watchdog_init(void);

/* Looks at the CPUs and feeds it, when that is due. CPU 0, after its timer. */
void watchdog_step(void);

/* When this CPU must come to watchdog_step(). */
static inline uint64_t watchdog_next(const struct cpu *cpu)
{
    return cpu->index == 0 ? watchdog_deadline_ns : TIME_NEVER;
}

#endif
