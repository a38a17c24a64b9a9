/*
 * event.c - raising events. The pending word is the guest's to spoil: ring 0 only ever sets bits in it.
 */
#include "core/event.h"

#include <stdatomic.h>

#include "core/sched.h"
#include "core/trace.h"

void event_raise(struct vcpu *vcpu, uint32_t event)
{
    struct skep_vcpu_page *page = vcpu->page;
    uint64_t bit = 1ull << event;
    /* Sequentially consistent, with the guest's mask change and re-check, and with sched_block()'s look. */
    if (atomic_fetch_or(&page->pending, bit) & bit) {
        return;
    }
    atomic_fetch_add_explicit(&vcpu->events, 1, memory_order_relaxed);
    uint64_t now = arch_clock_ns();
    trace_vcpu(vcpu, now, SKEP_TRACE_EVENT, event, 0);
    if (!(atomic_load(&page->mask) & bit)) {
        sched_wake(vcpu, 0, now);
    }
}
