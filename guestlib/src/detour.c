/*
 * detour.c - calls that a thread makes amid what it does, since another one wants it to.
 *
 * Whoever continues a thread asks first whether it is to make one (divert() and make_detour() in sched.h). What it was
 * interrupted in is kept on its own stack meanwhile.
 */
#include <string.h>

#include "sched.h"

_Thread_local struct skep_detours skep_detours;

/* On the stack of a thread that was interrupted, while it makes one. */
struct detour {
    struct skep_context context; /* with which it goes on */
    const uint8_t *extended;
    skep_detour *function;
};

_Noreturn static void run_detour(struct detour *detour)
{
    static const uint32_t mxcsr = 0x1f80;
    __asm__ volatile("fninit\n\t"
                     "ldmxcsr %0"
                     :
                     : "m"(mxcsr));
    detour->function(&detour->context);
    skep_upcalls_mask();
    skep_resume(detour->extended, &detour->context);
}

void skep_detour_call(const struct skep_thread *thread, struct skep_context *context,
                      skep_detour *function)
{
    static const uint64_t backwards = 1u << 10; /* of strings, in RFLAGS */
    uint64_t extended = (context->rsp - SKEP_BELOW_STACK - skep_extended_bytes()) & ~63ull;
    struct detour *detour = (struct detour *)(extended - round_up(sizeof(*detour), 16));
    *detour = (struct detour){*context, (const uint8_t *)extended, function};
    memcpy((void *)extended, thread->extended, skep_extended_bytes());
    uint64_t *return_to = (uint64_t *)detour - 1;
    *return_to = context->rip; /* for backtraces */
    context->rsp = (uint64_t)return_to;
    context->rdi = (uint64_t)detour;
    context->rip = (uint64_t)run_detour;
    context->rflags &= ~backwards;
}

void skep_detour_make(void)
{
    make_detour(skep_thread_self());
}

void skep_detours_catch_up(void)
{
    skep_detours.due = false;
    skep_detour_make();
}

/* If it runs elsewhere it is interrupted; else it will be asked before it goes on. One that is about to wait has the IPI, or
 * has seen is_to_ask under the lock. */
void skep_thread_divert(struct skep_thread *thread, skep_detour *(*asked)(void))
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&skep_sched.lock);
    atomic_store_explicit(&thread->ask, asked, memory_order_relaxed);
    atomic_store_explicit(&thread->is_to_ask, true, memory_order_relaxed);
    if (thread->wait_word != NULL)
        skep_sched_end_wait(vcpu, thread, 0);
    for (uint32_t others = skep_sched.online & ~vcpu->bit; others != 0; others &= others - 1) {
        const struct vcpu *other = skep_sched_vcpu_at[__builtin_ctz(others)];
        if (other->current == thread)
            vcpu->to_tell |= other->bit;
    }
    release(vcpu);
    skep_upcalls_restore(were_masked);
}
