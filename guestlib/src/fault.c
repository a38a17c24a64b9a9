/*
 * fault.c - faults of threads that the program handles.
 *
 * Ring 0 delivers a fault as an upcall. On the vCPU's stack the library is asked what handles it; then what was interrupted
 * is moved to where that is to run, and the vCPU goes there, as the thread. Only there the fault counts as taken: until then
 * another one, such as for want of stack, ends the guest with the record of the first.
 */
#include <string.h>

#include "internal.h"
#include "skep/fault.h"

static skep_fault_ask *_Atomic ask;

/* On the stack where the fault is handled. */
struct handling {
    struct skep_context context; /* with which the thread goes on */
    struct skep_fault fault;
    skep_fault_handler *function;
};

void skep_faults_ask(skep_fault_ask *wanted)
{
    atomic_store_explicit(&ask, wanted, memory_order_release);
    skep_vcpus_tell_faults();
}

/* The thread, with upcalls masked, which may go on on another vCPU as soon as they aren't. */
_Noreturn static void run(struct handling *handling)
{
    atomic_store_explicit(&vcpu_here()->page->fault_reason, 0, memory_order_relaxed);
    skep_upcalls_restore(false);
    handling->function(&handling->fault, &handling->context);
    skep_upcalls_mask();
    handling->context.gs_base = (uint64_t)vcpu_here()->page;
    skep_fault_return(handling->fault.extended, &handling->context);
}

/* Where what is left of a stack begins, from high to low: extended state, struct handling. NULL: there is no room. */
static struct handling *place(uint64_t rsp, const struct skep_stack *stack)
{
    uint64_t base = (uint64_t)stack->base;
    uint64_t top = base != 0 ? base + stack->bytes : rsp - SKEP_BELOW_STACK;
    uint64_t at = ((top - skep_extended_bytes()) & ~63ull) - round_up(sizeof(struct handling), 16);
    return base != 0 && (at < base + SKEP_BELOW_STACK || at > top) ? NULL : (struct handling *)at;
}

_Noreturn void skep_fault_upcall(struct vcpu *vcpu)
{
    struct skep_vcpu_page *page = vcpu->page;
    const struct skep_thread *thread = vcpu->current;
    struct skep_stack stack = {0};
    struct skep_fault fault = {
        .reason = atomic_load_explicit(&page->fault_reason, memory_order_relaxed),
        .mapped = page->fault_mapped,
        .address = page->fault_address,
        .error = page->fault_error,
        .extended = thread->extended,
    };
    skep_fault_handler *function =
        atomic_load_explicit(&ask, memory_order_acquire)(&fault, page->context.rsp, &stack);
    struct handling *handling = place(page->context.rsp, &stack);
    if (function == NULL || handling == NULL)
        __builtin_trap(); /* a fault not taken: ring 0 ends the guest for it */
    uint8_t *extended = (uint8_t *)handling + round_up(sizeof(*handling), 16);
    memcpy(extended, thread->extended, skep_extended_bytes());
    fault.extended = extended;
    *handling = (struct handling){page->context, fault, function};
    uint64_t *return_to = (uint64_t *)handling - 1;
    *return_to = page->context.rip; /* for backtraces */
    skep_fault_call(run, handling, return_to, page->context.rbp);
}
