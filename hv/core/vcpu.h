/*
 * vcpu.h - one virtual CPU. It lives in a frame of its own: this struct, then the extended state.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include "arch/arch.h"
#include "core/heap.h"
#include "core/types.h"

struct guest;

#define VCPU_FRAMES       2u    /* its own and its page */
#define VCPU_XSAVE_OFFSET 1024u /* in its own; AVX-512's area of 2,688 bytes fits behind it */

/* sched_lock guards the state and its changes. */
enum vcpu_state {
    VCPU_OFF,      /* not started, or stopped by the guest */
    VCPU_BLOCKED,  /* in SKEP_HC_WAIT */
    VCPU_RUNNABLE, /* wants to run: queued, unless held */
    VCPU_RUNNING,  /* on a CPU */
};

/* Reasons why a runnable vCPU is not queued. */
#define VCPU_HOLD_PAUSED 1u
#define VCPU_HOLD_ENDED  2u
#define VCPU_HOLD_COUNT  4u /* beyond a vcpu_count that was lowered */

struct vcpu {
    struct arch_vcpu arch; /* first: entry code finds its fields by offset */
    struct guest *guest;
    struct skep_vcpu_page *page; /* shared with the guest, seen through the direct map */
    uint32_t index;
    uint64_t trace_who; /* trace.h */

    /* Guarded by sched_lock. */
    enum vcpu_state state;
    uint32_t hold;
    uint32_t cpu; /* that it runs on, or ran on last */
    bool queued;
    bool woken;                   /* it has not had to make room for another since it was woken */
    struct vcpu *next, *previous; /* in its guest's queue */
    uint64_t started_ns;          /* for the first time, 0 = never */
    uint64_t run_ns, ready_ns, switches;
    uint64_t charged_ns;                   /* until when its run is in the accounts */
    uint64_t ready_since_ns, run_since_ns; /* of its latest turn */

    /* Guarded by timer_lock. */
    struct heap_node timer_node; /* key = deadline */
    uint64_t wait_deadline_ns;   /* of SKEP_HC_WAIT; TIME_NEVER once it has passed */
    uint64_t event_deadline_ns;  /* of SKEP_HC_TIMER_SET */

    uint64_t
        wait_asked_ns; /* deadline of the latest SKEP_HC_WAIT; written by the CPU that runs it */

    /* Counters, written by the CPU that runs it, but for events: whoever sends one. */
    uint64_t page_faults, upcalls;
    _Atomic uint64_t events;
    uint64_t hypercalls[SKEP_HC_GUEST_COUNT + 1]; /* by number; the last counts all others */
};

/* Hypercalls of all numbers. */
static inline uint64_t vcpu_hypercalls(const struct vcpu *vcpu)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= SKEP_HC_GUEST_COUNT; i++) {
        sum += vcpu->hypercalls[i];
    }
    return sum;
}

#endif
