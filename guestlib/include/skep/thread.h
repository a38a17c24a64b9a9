/*
 * thread.h - preemptive threads of a guest, and the one primitive on which everything that blocks is
 * built: wait on a 32-bit word, as with a futex. Most programs use pthreads instead.
 *
 * Errors are negative errno values. Deadlines are in nanoseconds of skep_clock_ns();
 * SKEP_FOREVER never comes.
 */
#ifndef SKEP_THREAD_H
#define SKEP_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/spinlock.h"

#define SKEP_FOREVER UINT64_MAX

/* How long a thread runs while others wait for its CPU. */
#define SKEP_SLICE_NS 10000000ull

/* The stack of a thread when none is asked for. Only pages that are touched cost memory. */
#define SKEP_STACK_BYTES_DEFAULT (128u * 1024u)
#define SKEP_STACK_BYTES_MIN     (16u * 1024u)

struct skep_thread;
struct skep_context;

/* Starts a thread that runs function(argument) and ends when that returns. stack_bytes is rounded up
 * to pages; 0 = the default; a guard page below is added. The thread's memory is given back when it
 * ends, so *out (may be NULL) is only a name: compare it, don't look through it.
 * -ENOMEM: no memory for the stack's first pages. The others are only reserved: a touch of one when
 * all of the guest's memory is used ends the guest. */
int skep_thread_create(struct skep_thread **out, size_t stack_bytes, void (*function)(void *),
                       void *argument);

/* From its lowest address on; what a thread has beside, such as its thread-local storage, is at the upper end. */
struct skep_stack {
    void *base; /* NULL: one is to be made, of that many bytes */
    size_t bytes;
};

/* The same on memory of the caller's, which gets no guard page and stays the caller's: it is free when the thread has told
 * so (skep_thread_exit_telling()). Where a stack was made, *stack says where, before the thread begins.
 * -EINVAL: the caller's memory is too small. */
int skep_thread_create_on(struct skep_thread **out, struct skep_stack *stack,
                          void (*function)(void *), void *argument);

/* Ends the calling thread. Not for the first one, whose end is skep_exit(). */
_Noreturn void skep_thread_exit(void);

/* The same, and when the thread is off its stack *gone becomes 1 and those who wait on it are woken. */
_Noreturn void skep_thread_exit_telling(_Atomic uint32_t *gone);

/* If there is one, each thread that ends calls it before: a library gives back what it keeps for the thread. */
void skep_thread_ends(void) __attribute__((weak));

/* FS points to the thread, whose first word is its own address. */
static inline struct skep_thread *skep_thread_self(void)
{
    struct skep_thread *self;
    __asm__("movq %%fs:0, %0" : "=r"(self));
    return self;
}

/* The vCPU that runs the caller, from 0. It may be another one by the time that this returns. */
unsigned skep_vcpu_index(void);

/* Lets other runnable threads go first. */
void skep_thread_yield(void);

void skep_sleep_until(uint64_t deadline_ns);

/* Blocks until skep_wake() on the same word, if the word still holds expected (else -EAGAIN at once).
 * -ETIMEDOUT: the deadline passed. Wake-ups can be spurious: look at the word again. Not from event
 * handlers. */
int skep_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* The same, while another word holds also_expected, too: who changes that calls skep_thread_divert(). */
int skep_wait_while(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                    _Atomic uint32_t *also, uint32_t also_expected);

/* What a thread in skep_wait_while() does for all, such as to take packets in: if what it waits for is among them, it finds
 * that without another thread's doing. The errand takes a bounded time, waits for no lock that such a thread may hold, and
 * has SKEP_ERRAND_STACK_BYTES of stack. There is one, set once, before it is given. */
void skep_errand_set(void (*function)(void));
#define SKEP_ERRAND_STACK_BYTES 8192u

/* The calling thread is to run none, as on a small stack within its own; or it may again. Returns what held before. */
bool skep_errands_refuse(bool refuse);

/* For event handlers: has the thread that was the last to begin such a wait run the errand before it waits on. False: there
 * is none that could, or this vCPU has something else to do, and somebody else must see to it. */
bool skep_errand_give(void);

/*
 * Detours: calls that a thread makes amid what it does, since another one wants it to.
 *
 * The detour gets the registers with which the thread will go on, and may change them: what it computes with, its FPU's and
 * vector registers among that, is kept for it. NULL: the thread is in a call of guestlib's, as any function may be. A detour
 * may also leave for good, as longjmp() and the thread's end do.
 */
typedef void skep_detour(struct skep_context *interrupted);

/* Has a thread, another one, look whether it is to make a detour: ask() is called as if by it, with its thread-local
 * storage, but maybe on another stack and with upcalls masked: it may look, but not wait, nor change much. What it returns is
 * the detour, NULL = none is to be made now. That is soon where the thread computes, and a skep_wait() that it is in ends as
 * by a wake-up; from then on ask() is called each time that it goes on after an upcall or a wait. Not from event handlers.
 * The thread must not have ended. */
void skep_thread_divert(struct skep_thread *thread, skep_detour *(*ask)(void));

/* Makes the detour that the calling thread is to make now, if any: for who has changed what ask() says. */
void skep_detour_make(void);

/* A thread is not asked while it holds detours, as it does with each struct skep_mutex: it is when it holds none. */
struct skep_detours {
    unsigned held;
    bool due; /* it was to be asked meanwhile */
};
extern _Thread_local struct skep_detours skep_detours;

void skep_detours_catch_up(void);

static inline void skep_detours_hold(void)
{
    skep_detours.held++;
    atomic_signal_fence(memory_order_seq_cst); /* with the look of an upcall at it */
}

/* Whether skep_detours_catch_up() is to be called now. */
static inline bool skep_detours_let_go(void)
{
    atomic_signal_fence(memory_order_seq_cst); /* as above */
    bool none_held = --skep_detours.held == 0;
    atomic_signal_fence(memory_order_seq_cst);
    return none_held && skep_detours.due;
}

static inline void skep_detours_release(void)
{
    if (skep_detours_let_go())
        skep_detours_catch_up();
}

/* Wakes up to count threads that wait on the word, the longest waiting first, and returns how many.
 * Threads and event handlers may call it. */
unsigned skep_wake(_Atomic uint32_t *word, unsigned count);
#define SKEP_WAKE_ALL (~0u)

/* For a thread that wakes others shortly before it waits itself: those are runnable at once, but no other vCPU is told of
 * them and no turn of theirs begins, until the thread waits, or skep_wait() returns at once, or skep_wakes_tell(). */
void skep_wakes_defer(void);
void skep_wakes_tell(void);

/* A lock that threads sleep on, zero-initialised, not recursive. Not for event handlers. */
struct skep_mutex {
    _Atomic uint32_t state; /* 0 = free, 1 = held, 2 = held and somebody may wait */
};
#define SKEP_MUTEX_INIT ((struct skep_mutex){0})
/* Takes the lock by the deadline, or -ETIMEDOUT. */
int skep_mutex_lock_until(struct skep_mutex *mutex, uint64_t deadline_ns);
void skep_mutex_lock(struct skep_mutex *mutex);
bool skep_mutex_try(struct skep_mutex *mutex);
void skep_mutex_unlock(struct skep_mutex *mutex);

/* The same without a hold of detours, for what a program locks for as long as it likes. */
int skep_mutex_take_until(struct skep_mutex *mutex, uint64_t deadline_ns);
void skep_mutex_give(struct skep_mutex *mutex);

static inline bool skep_mutex_take_try(struct skep_mutex *mutex)
{
    uint32_t expected = 0;
    return atomic_compare_exchange_strong_explicit(&mutex->state, &expected, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* True: the caller is to wake one that waits on the state. */
static inline bool skep_mutex_give_awaited(struct skep_mutex *mutex)
{
    return atomic_exchange_explicit(&mutex->state, 0, memory_order_release) == 2;
}

#endif
