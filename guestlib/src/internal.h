/*
 * internal.h - what guestlib's files share. Nothing outside guestlib/src includes it.
 */
#ifndef GUESTLIB_INTERNAL_H
#define GUESTLIB_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"
#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"
#include "sleepers.h"

#define PAGE_MASK ((uint64_t)SKEP_PAGE_SIZE - 1)

static inline uint64_t round_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* A doubly linked ring; the head is a node too. */
struct list {
    struct list *next, *prev;
};

/*
 * A thread. FS points here: the compiler's TLS lies just below (variant II of the ELF TLS ABI), and
 * it knows the first and the sixth word. switch.S knows rsp and extended by their offsets.
 */
struct skep_thread {
    struct skep_thread *self; /* %fs:0 */
    uint64_t reserved0;
    uint64_t rsp;      /* when it gave up its CPU in skep_switch_out() */
    uint8_t *extended; /* FPU and vector registers, when it was preempted */
    uint64_t reserved1;
    uint64_t canary; /* %fs:0x28, the same in all threads */

    /* Guarded by the scheduler's lock. */
    bool preempted;   /* its registers are in context and extended, not on its stack */
    bool sleeping;    /* sleeper is in the heap */
    int wait_result;  /* of skep_wait() */
    uint64_t left_ns; /* of a turn that was interrupted, 0 = the next is a whole one */
    struct list node; /* in a run queue, or among the waiters for wait_word */
    struct skep_sleeper sleeper;
    _Atomic uint32_t *wait_word;
    bool interruptible;         /* waits in skep_wait_while() */
    struct list interruptibles; /* among all that do */
    struct skep_context context;
    _Atomic uint32_t *gone;            /* to be told of the end, NULL = nobody is */
    skep_detour *(*_Atomic ask)(void); /* of skep_thread_divert(), NULL = nothing to ask */
    _Atomic bool is_to_ask;            /* since then it hasn't been */

    /* Constant after creation. */
    void (*function)(void *);
    void *argument;
    uint64_t map_base, map_bytes; /* 0 for the first thread, and on memory of the creator's */
    uint64_t stack_base;          /* lowest address of the stack */

    /* The thread's own. */
    bool defers;         /* skep_wakes_defer() */
    bool on_other_stack; /* skep_errands_refuse() */
};
_Static_assert(offsetof(struct skep_thread, rsp) == 16, "switch.S");
_Static_assert(offsetof(struct skep_thread, extended) == 24, "switch.S");
_Static_assert(offsetof(struct skep_thread, canary) == 0x28, "the compiler");

#define VCPU_STACK_BYTES 16384u
#define VCPUS_MAX        32u

/* A virtual CPU, as its own scheduler sees it. Used only by the vCPU itself, with upcalls masked, but
 * for what is marked. */
struct vcpu {
    struct skep_thread *current; /* NULL while idle; switch.S */
    struct skep_thread *dead;    /* has ended; its memory waits to be given back */
    struct skep_vcpu_page *page;
    uint64_t stack_top;      /* of the stack for upcalls and the scheduler */
    uint64_t fs_base;        /* as loaded */
    uint64_t timer_at_ns;    /* as set with ring 0, SKEP_FOREVER = off */
    uint64_t slice_end_ns;   /* when current has had its turn, 0 = nobody waits; scheduler's lock */
    uint32_t index, bit;     /* constant */
    uint32_t to_tell;        /* vCPUs to send SKEP_EVENT_IPI when the lock is released */
    bool in_handlers;        /* event handlers run now */
    bool stop;               /* is to stop: vcpu_count has fallen; scheduler's lock */
    struct skep_thread idle; /* what FS points to when no thread may be touched */
};
_Static_assert(offsetof(struct vcpu, current) == 0, "switch.S");

/* As skep/spinlock.h's. */
#define GS_VCPU 96
_Static_assert(offsetof(struct skep_vcpu_page, pending) == SKEP_GS_PENDING, "GS");
_Static_assert(offsetof(struct skep_vcpu_page, mask) == SKEP_GS_MASK, "GS");
_Static_assert(offsetof(struct skep_vcpu_page, upcall_masked) == SKEP_GS_UPCALL_MASKED, "GS");
_Static_assert(offsetof(struct skep_vcpu_page, guest_private) == GS_VCPU, "GS");
_Static_assert(offsetof(struct skep_context, rsp) == 56, "switch.S");
_Static_assert(offsetof(struct skep_context, r15) == 120, "switch.S");
_Static_assert(offsetof(struct skep_context, rflags) == 136, "switch.S");
_Static_assert(SKEP_HC_YIELD == 5, "switch.S");
_Static_assert(SKEP_HC_RESUME == 8, "switch.S");

/* The vCPU that runs this. Only with upcalls masked does it stay the same. */
static inline struct vcpu *vcpu_here(void)
{
    struct vcpu *vcpu;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(vcpu) : "i"(GS_VCPU));
    return vcpu;
}

/* start.c */
extern const struct skep_start_info *skep_info;

/* sched.c */

/* With upcalls masked already. */
static inline void spin_take(struct skep_spinlock *lock)
{
    if (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
        skep_spin_wait(lock);
}

static inline void spin_drop(struct skep_spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* Makes the calling code the current thread of vCPU 0 and lets upcalls come. */
void skep_sched_start(struct vcpu *vcpu, struct skep_thread *first);

/* Whether a vCPU that is set up has to be started: it is off. From then on it counts as running. */
bool skep_sched_vcpu_on(struct vcpu *vcpu);
void skep_sched_vcpu_failed(struct vcpu *vcpu);

/* Has a vCPU stop as soon as it can, if it runs; its threads go on elsewhere. */
void skep_sched_vcpu_off(struct vcpu *vcpu);

/* What a vCPU that was started does, on its own stack, with upcalls masked. */
_Noreturn void skep_sched_run(struct vcpu *vcpu);

/* Makes a new thread runnable. */
void skep_sched_add(struct skep_thread *thread);

/* Ends the current thread. gone (may be NULL): becomes 1 when it is off its stack, with a wake-up. */
_Noreturn void skep_sched_end_current(_Atomic uint32_t *gone);

/* switch.S calls these on the vCPU's own stack, with upcalls masked; schedule with the
 * scheduler's lock held. */
_Noreturn void skep_schedule(struct vcpu *vcpu);
_Noreturn void skep_upcall(struct vcpu *vcpu);
_Noreturn void skep_fault_upcall(struct vcpu *vcpu); /* fault.c */

/* What code that is interrupted may use of the stack below RSP: leaf functions, and skep_resume(). */
#define SKEP_BELOW_STACK 256u

/* vcpu.c */

/* Fills in what is the same for all vCPUs. FS base and GS base are the caller's to load. */
void skep_vcpu_init(struct vcpu *vcpu, uint32_t index, uint64_t stack_top, uint64_t canary);

/* vCPU 0's; the rest of them is started by skep_vcpus_adjust(). */
struct vcpu *skep_vcpu_first(uint64_t canary);

/* Starts and stops vCPUs until as many run as start-info says. On vCPU 0, with upcalls masked. */
void skep_vcpus_adjust(void);

/* Has ring 0 tell of faults on all vCPUs, from now on. */
void skep_vcpus_tell_faults(void);

/* event.c: calls the handlers of what is pending, with upcalls masked. Returns the events. */
uint64_t skep_events_run(struct skep_vcpu_page *page);

/* thread.c */

/* Bytes that a thread needs for TLS, struct skep_thread and extended state, and their set-up at the
 * end of a block that ends at top (64-byte aligned, zeroed). Returns the thread; its stack can start
 * at *stack_top. */
size_t skep_thread_block_bytes(void);
size_t skep_extended_bytes(void);
struct skep_thread *skep_thread_block_init(uint64_t top, uint64_t *stack_top);
void skep_thread_block_free(struct skep_thread *thread);

/* random.c */
void skep_random_start(void);

/* switch.S */
extern uint32_t skep_xsave_mask[2]; /* XCR0, or 0: FXSAVE only */

/* Saves the thread's callee-saved registers on its stack and goes on in skep_schedule() on the
 * vCPU's stack. Returns when the thread is switched in again, with upcalls masked. */
void skep_switch_out(struct skep_thread *thread, struct vcpu *vcpu, uint64_t vcpu_stack);

/* Goes on where a thread called skep_switch_out(). */
_Noreturn void skep_switch_in(uint64_t rsp);

/* Goes on where an upcall interrupted the thread that FS points to, and unmasks upcalls. */
_Noreturn void skep_resume(const uint8_t *extended, const struct skep_context *context);

/* Where ring 0 delivers upcalls, and faults. */
void skep_upcall_entry(void);
void skep_fault_entry(void);

/* Goes on in function(handling) on the stack at return_to, where a return address is. */
struct handling;
_Noreturn void skep_fault_call(void (*function)(struct handling *), struct handling *handling,
                               uint64_t *return_to, uint64_t rbp);

/* Goes on where a fault was, and unmasks upcalls; context has the bases, too. */
_Noreturn void skep_fault_return(const uint8_t *extended, const struct skep_context *context);

#endif
