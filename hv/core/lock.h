/*
 * lock.h - spin locks.
 *
 * Lock order, outermost first; a function takes them only in this order:
 *   scratch_lock (control_calls.c)  ->  port.lock (io/switch.h)  ->  nic.lock (drivers)  ->  guests_lock (guest.c)
 *   ->  images_lock (image.c)  ->  guest.lock  ->  console.lock  ->  notify_lock  ->  timer_lock  ->  sched_lock
 *   ->  frame_lock, promise_lock (frame.c)  ->  switch_lock (io/switch.c)  ->  reap_lock, log_lock
 * Two locks of one kind are never held together. Interrupts are off in ring 0, so that no lock is taken twice by one
 * CPU, and nobody waits for another CPU while holding one: shootdowns are asynchronous (aspace.c).
 */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include <stdatomic.h>

#include "arch/arch.h"

struct spinlock {
    _Atomic uint32_t held;
};

static inline void spin_lock(struct spinlock *lock)
{
    /* Acquire pairs with the release in spin_unlock(): what the last holder wrote is visible. */
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed)) {
            arch_spin_hint();
        }
    }
    arch_lock_taken();
}

static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
    arch_lock_given();
}

#endif
