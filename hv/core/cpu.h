/*
 * cpu.h - per-CPU state of the core.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "arch/arch.h"
#include "core/types.h"

struct guest;
struct trace_slot;
struct vcpu;

/* In `resched`, by a CPU itself: to_interrupt isn't empty. Alone, it doesn't have the CPU choose anew. */
#define RESCHED_SEND 2u

/* Written by its own CPU only, unless a field says otherwise. */
struct cpu {
    struct arch_cpu arch; /* first: entry code finds its fields by offset */
    uint32_t index;
    bool online;
    /* Guarded by sched_lock. */
    struct vcpu *current; /* the vCPU that runs here, NULL = none */
    uint64_t turn_end_ns; /* of current, when others wait */
    uint64_t look_ns;     /* when the scheduler wants to be asked again, TIME_NEVER = it doesn't */
    uint64_t online_ns;   /* since when it runs */
    uint64_t guest_ns;
    /* Not 0: something is due before returning to ring 3; 1: a look at the run queue. */
    _Atomic uint32_t resched;

    /* How long it has slept. While it sleeps, that less the time since when and 1: below 0, and still one word that
     * others may read without a lock. */
    _Atomic int64_t idle_ns;

    uint32_t
        to_interrupt; /* CPUs, a bit each, that have to look, by an interrupt that is not yet sent */

    struct vcpu
        *loaded; /* whose state the CPU holds and nobody else has changed, NULL = nobody's */
    struct guest *space; /* whose address space the CPU is on, NULL = ring 0's own */
    uint64_t armed_ns;   /* what the timer is set to */
    uint64_t chore_ns;   /* when it must come by for the watchdog or the log */
    uint64_t work_ns;    /* when left-over work is looked at, TIME_NEVER = there was none */
    uint64_t traps, hypercalls, switches, ipis;
    uint64_t crash_trap;          /* number of the trap in which a guest crashed last, 0 = none */
    uint32_t locks_held;          /* a bit for each kind; debug builds only */
    uint64_t chaos;               /* random state of lock.c; debug builds only */
    struct trace_slot *trace;     /* SKEP_TRACE_CPU_MAX of them */
    _Atomic uint64_t trace_count; /* that were ever written; read by any CPU */
};

/* CPU `index`; the structs of all CPUs are static. */
struct cpu *cpu_at(uint32_t index);

/* How many CPUs the machine has (1 to CPUS_MAX). */
uint32_t cpu_count(void);

/* Takes zeroed memory for the core's own tables, for good. Boot CPU. */
void *core_array(uint64_t count, uint64_t bytes_each);

#endif
