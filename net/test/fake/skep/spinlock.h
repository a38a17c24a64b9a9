/*
 * spinlock.h - guestlib's spin locks, as functions that the test's guestlib.c has.
 */
#ifndef SKEP_SPINLOCK_H
#define SKEP_SPINLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct skep_spinlock {
    _Atomic uint32_t held;
};

bool skep_spin_lock(struct skep_spinlock *lock);
void skep_spin_unlock(struct skep_spinlock *lock, bool were_masked);

#endif
