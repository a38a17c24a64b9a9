/*
 * thread.h - of guestlib's threads what the file systems use: their locks. Tests have one thread, and check that a lock
 * that is taken is free and given back once.
 */
#ifndef SKEP_THREAD_H
#define SKEP_THREAD_H

#include <stdint.h>
#include <stdlib.h>

struct skep_mutex {
    _Atomic uint32_t state;
};

static inline void skep_mutex_lock(struct skep_mutex *mutex)
{
    if (mutex->state != 0)
        abort();
    mutex->state = 1;
}

static inline void skep_mutex_unlock(struct skep_mutex *mutex)
{
    if (mutex->state != 1)
        abort();
    mutex->state = 0;
}

static inline int skep_mutex_lock_until(struct skep_mutex *mutex, uint64_t deadline_ns)
{
    skep_mutex_lock(mutex);
    return 0;
}

#endif
