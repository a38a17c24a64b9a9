/*
 * rwlock.c - read-write locks, which prefer writers, and barriers.
 *
 * A thread that has one for reading passes writers that wait, which may be waiting for it.
 */
#include <pthread.h>

#include "shim.h"

static struct skep_mutex *guard(pthread_rwlock_t *lock)
{
    return (struct skep_mutex *)&lock->__lock;
}

/* Locks that this thread has for reading. */
static _Thread_local unsigned read_held;

static bool may_read(const pthread_rwlock_t *lock)
{
    return lock->__writer == NULL && (lock->__writers_waiting == 0 || read_held != 0);
}

static bool may_write(const pthread_rwlock_t *lock)
{
    return lock->__writer == NULL && lock->__readers == 0;
}

static int check_writer(const pthread_rwlock_t *lock)
{
    return lock->__writer == skep_thread_self() ? EDEADLK : 0;
}

static void take_for_reading(pthread_rwlock_t *lock)
{
    lock->__readers++;
    read_held++;
}

/* Waits for a release, with the guard dropped meanwhile. */
static int wait_for_change(pthread_rwlock_t *lock, uint64_t deadline_ns)
{
    unsigned seen = lock->__changes;
    skep_mutex_unlock(guard(lock));
    int result = skep_wait((_Atomic uint32_t *)&lock->__changes, seen, deadline_ns);
    skep_mutex_lock(guard(lock));
    return result == -ETIMEDOUT ? ETIMEDOUT : 0;
}

/* The guard is held. */
static void announce_change(pthread_rwlock_t *lock)
{
    atomic_fetch_add_explicit((_Atomic uint32_t *)&lock->__changes, 1, memory_order_release);
    skep_wake((_Atomic uint32_t *)&lock->__changes, SKEP_WAKE_ALL);
}

static int read_until(pthread_rwlock_t *lock, uint64_t deadline_ns)
{
    skep_mutex_lock(guard(lock));
    int error = check_writer(lock);
    while (error == 0 && !may_read(lock))
        error = wait_for_change(lock, deadline_ns);
    if (error == 0)
        take_for_reading(lock);
    skep_mutex_unlock(guard(lock));
    return error;
}

static int write_until(pthread_rwlock_t *lock, uint64_t deadline_ns)
{
    skep_mutex_lock(guard(lock));
    int error = check_writer(lock);
    lock->__writers_waiting++;
    while (error == 0 && !may_write(lock))
        error = wait_for_change(lock, deadline_ns);
    lock->__writers_waiting--;
    if (error == 0)
        lock->__writer = skep_thread_self();
    else
        announce_change(lock); /* readers may have waited for this writer */
    skep_mutex_unlock(guard(lock));
    return error;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    return read_until(lock, SKEP_FOREVER);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    return write_until(lock, SKEP_FOREVER);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(CLOCK_REALTIME, deadline, &deadline_ns))
        return EINVAL;
    return read_until(lock, deadline_ns);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(CLOCK_REALTIME, deadline, &deadline_ns))
        return EINVAL;
    return write_until(lock, deadline_ns);
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    skep_mutex_lock(guard(lock));
    bool ok = may_read(lock);
    if (ok)
        take_for_reading(lock);
    skep_mutex_unlock(guard(lock));
    return ok ? 0 : EBUSY;
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    skep_mutex_lock(guard(lock));
    bool ok = may_write(lock);
    if (ok)
        lock->__writer = skep_thread_self();
    skep_mutex_unlock(guard(lock));
    return ok ? 0 : EBUSY;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    skep_mutex_lock(guard(lock));
    if (lock->__writer != NULL) {
        lock->__writer = NULL;
    } else {
        lock->__readers--;
        read_held -= read_held != 0; /* another thread may have it, by mistake */
    }
    if (lock->__readers == 0)
        announce_change(lock);
    skep_mutex_unlock(guard(lock));
    return 0;
}

int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes)
{
    *lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
    return 0;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    return 0;
}

int pthread_rwlockattr_init(pthread_rwlockattr_t *attributes)
{
    *attributes = (pthread_rwlockattr_t){0};
    return 0;
}

int pthread_rwlockattr_destroy(pthread_rwlockattr_t *attributes)
{
    return 0;
}

int pthread_rwlockattr_setpshared(pthread_rwlockattr_t *attributes, int shared)
{
    attributes->process_shared = shared;
    return 0;
}

int pthread_rwlockattr_getpshared(const pthread_rwlockattr_t *attributes, int *shared)
{
    *shared = attributes->process_shared;
    return 0;
}

/*
 * Barriers
 */

int pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes,
                         unsigned count)
{
    if (count == 0)
        return EINVAL;
    *barrier = (pthread_barrier_t){.__count = count};
    return 0;
}

static _Atomic uint32_t *leaving(pthread_barrier_t *barrier)
{
    return (_Atomic uint32_t *)&barrier->__leaving;
}

/* Threads that were let through may still be on their way out. */
int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
    uint32_t inside;
    while ((inside = atomic_load_explicit(leaving(barrier), memory_order_acquire)) != 0)
        skep_wait(leaving(barrier), inside, SKEP_FOREVER);
    return 0;
}

/* Counts the caller as arrived, and the round on if it is the last. Returns whether it is. */
static bool arrive(pthread_barrier_t *barrier, uint32_t *round)
{
    struct skep_mutex *lock = (struct skep_mutex *)&barrier->__lock;
    skep_mutex_lock(lock);
    *round = barrier->__round;
    bool last = ++barrier->__arrived == barrier->__count;
    if (last) {
        barrier->__arrived = 0;
        atomic_fetch_add_explicit(leaving(barrier), barrier->__count, memory_order_relaxed);
        atomic_store_explicit((_Atomic uint32_t *)&barrier->__round, *round + 1,
                              memory_order_release);
    }
    skep_mutex_unlock(lock);
    return last;
}

/* The barrier may be gone after this. */
static void leave(pthread_barrier_t *barrier)
{
    if (atomic_fetch_sub_explicit(leaving(barrier), 1, memory_order_acq_rel) == 1)
        skep_wake(leaving(barrier), SKEP_WAKE_ALL);
}

int pthread_barrier_wait(pthread_barrier_t *barrier)
{
    _Atomic uint32_t *round = (_Atomic uint32_t *)&barrier->__round;
    uint32_t own;
    if (arrive(barrier, &own)) {
        skep_wake(round, SKEP_WAKE_ALL);
        leave(barrier);
        return PTHREAD_BARRIER_SERIAL_THREAD;
    }
    while (atomic_load_explicit(round, memory_order_acquire) == own)
        skep_wait(round, own, SKEP_FOREVER);
    leave(barrier);
    return 0;
}
