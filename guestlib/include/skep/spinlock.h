/*
 * spinlock.h - locks for a few instructions, and masking of upcalls. Inline: the network takes such
 * locks dozens of times for each packet.
 */
#ifndef SKEP_SPINLOCK_H
#define SKEP_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* GS points to the vCPU's page, always, so that one instruction can mask upcalls: with two, a thread
 * could be moved to another vCPU in between. These are offsets in struct skep_vcpu_page. */
#define SKEP_GS_PENDING       0
#define SKEP_GS_MASK          64
#define SKEP_GS_UPCALL_MASKED 72

/* Keeps the calling thread on its vCPU and event handlers away, at the price of one store. Nothing
 * that blocks may be called in between. Sections nest: restore gets what mask returned. */
static inline bool skep_upcalls_mask(void)
{
    uint32_t were_masked;
    __asm__ volatile("movl %%gs:%c1, %0\n\t"
                     "movl $1, %%gs:%c1"
                     : "=&r"(were_masked)
                     : "i"(SKEP_GS_UPCALL_MASKED)
                     : "memory");
    return were_masked;
}

/* True: events came while upcalls were masked, and have not made one. */
static inline bool skep_upcalls_open(void)
{
    uint64_t pending, mask;
    __asm__ volatile("movl $0, %%gs:%c2\n\t"
                     "movq %%gs:%c3, %0\n\t"
                     "movq %%gs:%c4, %1"
                     : "=&r"(pending), "=&r"(mask)
                     : "i"(SKEP_GS_UPCALL_MASKED), "i"(SKEP_GS_PENDING), "i"(SKEP_GS_MASK)
                     : "memory");
    return __builtin_expect((pending & ~mask) != 0, 0);
}

/* Handles such events; upcalls are unmasked afterwards. */
void skep_upcalls_catch_up(void);

static inline void skep_upcalls_restore(bool were_masked)
{
    if (!were_masked && skep_upcalls_open())
        skep_upcalls_catch_up();
}

/* A lock for a few instructions, shared between threads and event handlers. It masks upcalls; never
 * block while holding one. SKEP_SPINLOCK_INIT is all zeroes. */
struct skep_spinlock {
    _Atomic uint32_t held;
};
#define SKEP_SPINLOCK_INIT ((struct skep_spinlock){0})

/* Takes a lock that was seen held, with upcalls masked. */
void skep_spin_wait(struct skep_spinlock *lock);

static inline bool skep_spin_lock(struct skep_spinlock *lock)
{
    bool were_masked = skep_upcalls_mask();
    if (__builtin_expect(atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0, 0))
        skep_spin_wait(lock);
    return were_masked;
}

static inline void skep_spin_unlock(struct skep_spinlock *lock, bool were_masked)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
    skep_upcalls_restore(were_masked);
}

#endif
