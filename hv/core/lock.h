/*
 * lock.h - spin locks.
 *
 * Each kind has its place in the lock order, which enum lock_kind states, outermost first: a function takes them only
 * in this order, and never two of one kind together. Debug builds panic when that is broken (lock.c). Interrupts are
 * off in ring 0, so that no lock is taken twice by one CPU, and nobody waits for another CPU while holding one:
 * shootdowns are asynchronous (aspace.c).
 */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include <stdatomic.h>

#include "arch/arch.h"

enum lock_kind {
    LOCK_NONE,    /* forgotten: debug builds panic */
    LOCK_SCRATCH, /* control_calls.c */
    LOCK_PORT,    /* io/switch.h */
    LOCK_NIC,     /* drivers/nic.h */
    LOCK_VOLUME,  /* io/volume.h */
    LOCK_DISK,    /* of a disk, or one of its queues: io/disks.c, drivers/virtio_blk.c */
    LOCK_GUESTS,  /* guest.c */
    LOCK_IMAGES,  /* image.c */
    LOCK_GUEST,
    LOCK_CONSOLE,
    LOCK_NOTIFY,
    LOCK_TIMER,
    LOCK_SCHED,
    LOCK_KMAP, /* of ring 0's own mappings (x86_64/paging.c) */
    LOCK_FRAME,
    LOCK_PROMISE, /* frame.c */
    LOCK_SWITCH,  /* io/switch.c */
    LOCK_WORK,    /* io/volume_work.c */
    LOCK_REAP,
    LOCK_LOG,
    LOCK_WALL, /* wall.c */
    LOCK_MSI,
    LOCK_PCI,
    LOCK_CLOCK, /* x86_64/clock.c */
    LOCK_KINDS,
};

struct spinlock {
    _Atomic uint32_t held;
    enum lock_kind kind;
};

/* From now on debug builds check the order; `chaos=SEED` on the command line has them also delay each CPU for a
 * moment, at random, before it takes a lock and before it gives one back. Boot CPU. */
void lock_check_start(void);

/* For debug builds: this CPU wants a lock, gives it back. */
void lock_order_enter(enum lock_kind kind);
void lock_order_leave(enum lock_kind kind);

static inline void spin_lock(struct spinlock *lock)
{
    if (SKEP_DEBUG) {
        lock_order_enter(lock->kind);
    }
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
    if (SKEP_DEBUG) {
        lock_order_leave(lock->kind);
    }
    atomic_store_explicit(&lock->held, 0, memory_order_release);
    arch_lock_given();
}

#endif
