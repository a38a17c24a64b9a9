/*
 * trace.h - what happened lately: a ring of records for each CPU, always on.
 *
 * Each ring is written by its own CPU alone, without a lock, and read by any. The control service's own doings are not
 * recorded. A guest's index may have been another guest's before: readers leave out what is older than the guest.
 *
 * `trace_count` in struct cpu is how many records the CPU has written, and the next one's place. A writer stores the
 * record, then the new count. A reader copies a record first and looks at the count again afterwards: the slot of
 * record n may be in the hands of the writer from the moment that the count is n + SKEP_TRACE_CPU_MAX.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include <stdatomic.h>

#include "core/cpu.h"
#include "core/guest.h"
#include "core/types.h"

/* A struct skep_trace_record: the second word is guest, kind, cpu and vcpu. Readers put the CPU in. */
struct trace_slot {
    _Atomic uint64_t clock_ns, who, a, b;
};
_Static_assert(sizeof(struct trace_slot) == sizeof(struct skep_trace_record), "a record");

/* Takes the rings' memory. Boot CPU, once, before there are guests. */
void trace_init(void);

/* What a record of vCPU `index` has in its second word; 0 = nothing is recorded. */
static inline uint64_t trace_who(const struct guest *guest, uint32_t index)
{
    return guest->is_control ? 0 : (uint32_t)guest->handle | (uint64_t)index << 56;
}

/* Appends a record of what happens `now`. Inline and short, as it is always on. */
static inline void trace_add(uint64_t who, uint64_t now, enum skep_trace_kind kind, uint64_t a,
                             uint64_t b)
{
    struct cpu *cpu = arch_cpu();
    if (!who) {
        return;
    }
    uint64_t count = atomic_load_explicit(&cpu->trace_count, memory_order_relaxed);
    struct trace_slot *slot = &cpu->trace[count % SKEP_TRACE_CPU_MAX];
    /* Pairs with the fence in get(): whoever sees a word of this record sees the last one's count, too. */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&slot->clock_ns, now, memory_order_relaxed);
    atomic_store_explicit(&slot->who, who | (uint64_t)kind << 32, memory_order_relaxed);
    atomic_store_explicit(&slot->a, a, memory_order_relaxed);
    atomic_store_explicit(&slot->b, b, memory_order_relaxed);
    /* Pairs with written(): the record is there before it counts. */
    atomic_store_explicit(&cpu->trace_count, count + 1, memory_order_release);
}

static inline void trace_vcpu(const struct vcpu *vcpu, uint64_t now, enum skep_trace_kind kind,
                              uint64_t a, uint64_t b)
{
    trace_add(vcpu->trace_who, now, kind, a, b);
}

/* Copies records of the guest from one CPU's ring, oldest first, from the `*next`th that it ever wrote on, and moves
 * `*next` behind the last one looked at. How many were copied; 0 = there are no more. */
uint32_t trace_read(const struct guest *guest, uint32_t cpu, uint64_t *next,
                    struct skep_trace_record *records, uint32_t capacity);

/* The guest's latest records over all CPUs, oldest first; how many there are. Looks at 512 records at most. */
uint32_t trace_latest(const struct guest *guest, struct skep_trace_record *records,
                      uint32_t capacity);

#endif
