/*
 * timer.h - deadlines of vCPUs: the end of a wait, and the timer event.
 */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include <stdatomic.h>

#include "core/cpu.h"
#include "core/vcpu.h"

/* Sets the deadline (ns since boot, TIME_NEVER = none) of the vCPU's wait, or of its SKEP_EVENT_TIMER. */
void timer_wait_set(struct vcpu *vcpu, uint64_t deadline_ns);
void timer_event_set(struct vcpu *vcpu, uint64_t deadline_ns);

/* Forgets the vCPU: when it returns, no CPU is handling a timer of it. */
void timer_cancel(struct vcpu *vcpu);

/* For timer_due(). */
extern _Atomic uint64_t timer_earliest;

/* Whether timer_expire() has something to do. A hint, without the lock. */
static inline bool timer_due(uint64_t now)
{
    return atomic_load_explicit(&timer_earliest, memory_order_relaxed) <= now;
}

/* Handles what has expired, a bounded number. */
void timer_expire(void);

/* Until when this CPU may sleep for the timers' sake. */
uint64_t timer_next(struct cpu *cpu);

#endif
