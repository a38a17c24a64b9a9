/*
 * errand.c - what a thread that waits does for all, such as to take packets in.
 */
#include "sched.h"

static void (*errand)(void);

void skep_errand_run(void)
{
    errand();
}

bool skep_errands_refuse(bool refuse)
{
    struct skep_thread *self = skep_thread_self();
    bool before = self->on_other_stack;
    self->on_other_stack = refuse;
    return before;
}

void skep_errand_set(void (*function)(void))
{
    errand = function;
}

/* Whether it has room where the thread waits: not on a stack of the program's own, of which nobody knows here how much is
 * left. struct skep_thread lies above the thread's. */
static bool has_errand_room(const struct skep_thread *thread)
{
    return !thread->on_other_stack && thread->rsp < (uint64_t)thread &&
           thread->rsp >= thread->stack_base + SKEP_ERRAND_STACK_BYTES;
}

bool skep_errand_give(void)
{
    const struct vcpu *vcpu = vcpu_here();
    spin_take(&skep_sched.lock);
    struct skep_thread *thread = vcpu->current == NULL && !list_empty(&skep_sched.interruptible)
                                     ? thread_of_interruptible(skep_sched.interruptible.next)
                                     : NULL;
    bool given = thread != NULL && has_errand_room(thread);
    if (given)
        skep_sched_end_wait(vcpu, thread, ERRAND);
    spin_drop(&skep_sched.lock); /* handle_events() will look */
    return given;
}
