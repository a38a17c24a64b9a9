/*
 * timer.c - one heap of deadlines for the machine.
 *
 * One CPU at a time is responsible for the earliest deadline: the one that inserted it, or the one that handled the
 * last. The others need not wake for it.
 */
#include "core/timer.h"

#include "core/event.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/sched.h"

#define EXPIRE_MAX 16u

static struct spinlock timer_lock = {.kind = LOCK_TIMER};
static struct heap timers;
static struct cpu *responsible;

/* heap_min()'s key, for a look without the lock. Who isn't responsible need not see the latest: a deadline that another
 * CPU sets meanwhile is that CPU's, and one that is gone costs a needless wake-up. */
_Atomic uint64_t timer_earliest = TIME_NEVER;

static struct vcpu *vcpu_of(struct heap_node *node)
{
    return (struct vcpu *)((char *)node - offsetof(struct vcpu, timer_node));
}

/* Ends each change of the heap. */
static void change_end(void)
{
    const struct heap_node *first = heap_min(&timers);
    atomic_store_explicit(&timer_earliest, first ? first->key : TIME_NEVER, memory_order_relaxed);
    spin_unlock(&timer_lock);
}

/* Puts the vCPU where its earlier deadline belongs. Holds timer_lock. */
static void place(struct vcpu *vcpu)
{
    uint64_t deadline = vcpu->wait_deadline_ns < vcpu->event_deadline_ns ? vcpu->wait_deadline_ns
                                                                         : vcpu->event_deadline_ns;
    if (heap_holds(&vcpu->timer_node) && vcpu->timer_node.key == deadline) {
        return;
    }
    heap_remove(&timers, &vcpu->timer_node);
    if (deadline == TIME_NEVER) {
        return;
    }
    heap_insert(&timers, &vcpu->timer_node, deadline);
    if (heap_min(&timers) == &vcpu->timer_node) {
        responsible = arch_cpu();
        atomic_store(&responsible->resched, 1);
    }
}

void timer_wait_set(struct vcpu *vcpu, uint64_t deadline_ns)
{
    spin_lock(&timer_lock);
    vcpu->wait_deadline_ns = deadline_ns;
    place(vcpu);
    change_end();
}

void timer_event_set(struct vcpu *vcpu, uint64_t deadline_ns)
{
    spin_lock(&timer_lock);
    vcpu->event_deadline_ns = deadline_ns;
    place(vcpu);
    change_end();
}

void timer_cancel(struct vcpu *vcpu)
{
    spin_lock(&timer_lock);
    vcpu->wait_deadline_ns = vcpu->event_deadline_ns = TIME_NEVER;
    heap_remove(&timers, &vcpu->timer_node);
    change_end();
}

/* Handles one vCPU whose deadline has passed. Holds timer_lock, so that timer_cancel() waits for it. */
static void expire(struct vcpu *vcpu, uint64_t now)
{
    if (vcpu->event_deadline_ns <= now) {
        vcpu->event_deadline_ns = TIME_NEVER;
        event_raise(vcpu, SKEP_EVENT_TIMER);
    }
    if (vcpu->wait_deadline_ns <= now) {
        __atomic_store_n(&vcpu->wait_deadline_ns, TIME_NEVER, __ATOMIC_RELAXED);
        sched_wake(vcpu, -SKEP_ETIMEDOUT, now);
    }
    place(vcpu);
}

void timer_expire(void)
{
    uint64_t now = arch_clock_ns();
    spin_lock(&timer_lock);
    for (unsigned i = 0; i < EXPIRE_MAX; i++) {
        struct heap_node *first = heap_min(&timers);
        if (!first || first->key > now) {
            break;
        }
        responsible = arch_cpu();
        expire(vcpu_of(first), now);
    }
    change_end();
}

uint64_t timer_next(struct cpu *cpu)
{
    /* Only this CPU makes itself responsible. */
    bool ours = __atomic_load_n(&responsible, __ATOMIC_RELAXED) == cpu;
    return ours ? atomic_load_explicit(&timer_earliest, memory_order_relaxed) : TIME_NEVER;
}
