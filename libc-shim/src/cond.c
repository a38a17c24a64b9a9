/*
 * cond.c - condition variables and semaphores.
 */
#include <pthread.h>
#include <semaphore.h>

#include "shim.h"

static _Atomic uint32_t *word(unsigned *field)
{
    return (_Atomic uint32_t *)field;
}

/*
 * A waiter reads the sequence before it unlocks the mutex, so that a signal after that changes what
 * it waits for. The count of waiters only spares signals that nobody waits for the wake-up; it is
 * sequentially consistent with the sequence, so that one of the two sides sees the other.
 */
static int wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    atomic_fetch_add_explicit(word(&cond->__waiters), 1, memory_order_seq_cst);
    uint32_t seen = atomic_load_explicit(word(&cond->__sequence), memory_order_seq_cst);
    int error = pthread_mutex_unlock(mutex);
    if (error == 0) {
        error = skep_wait(word(&cond->__sequence), seen, deadline_ns) == -ETIMEDOUT ? ETIMEDOUT : 0;
        pthread_mutex_lock(mutex);
    }
    atomic_fetch_sub_explicit(word(&cond->__waiters), 1, memory_order_relaxed);
    return error;
}

static void wake(pthread_cond_t *cond, unsigned count)
{
    atomic_fetch_add_explicit(word(&cond->__sequence), 1, memory_order_seq_cst);
    if (atomic_load_explicit(word(&cond->__waiters), memory_order_seq_cst) != 0)
        skep_wake(word(&cond->__sequence), count);
}

int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
    *cond = (pthread_cond_t){.__clock = attributes ? attributes->clock : 0};
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *cond)
{
    return 0;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    return wait_until(cond, mutex, SKEP_FOREVER);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(clock, deadline, &deadline_ns))
        return EINVAL;
    return wait_until(cond, mutex, deadline_ns);
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *deadline)
{
    clockid_t clock = cond->__clock ? (clockid_t)cond->__clock : CLOCK_REALTIME;
    return pthread_cond_clockwait(cond, mutex, clock, deadline);
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    wake(cond, 1);
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    wake(cond, SKEP_WAKE_ALL);
    return 0;
}

int pthread_condattr_init(pthread_condattr_t *attributes)
{
    *attributes = (pthread_condattr_t){.clock = CLOCK_REALTIME};
    return 0;
}

int pthread_condattr_destroy(pthread_condattr_t *attributes)
{
    return 0;
}

int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return EINVAL;
    attributes->clock = (int)clock;
    return 0;
}

int pthread_condattr_getclock(const pthread_condattr_t *attributes, clockid_t *clock)
{
    *clock = (clockid_t)attributes->clock;
    return 0;
}

int pthread_condattr_setpshared(pthread_condattr_t *attributes, int shared)
{
    attributes->process_shared = shared;
    return 0;
}

int pthread_condattr_getpshared(const pthread_condattr_t *attributes, int *shared)
{
    *shared = attributes->process_shared;
    return 0;
}

/*
 * Semaphores
 */

int sem_init(sem_t *sem, int shared, unsigned value)
{
    if (value > SEM_VALUE_MAX)
        return (int)skep_posix_result(-EINVAL);
    *sem = (sem_t){.__value = value};
    return 0;
}

int sem_destroy(sem_t *sem)
{
    return 0;
}

static bool try_take(sem_t *sem)
{
    uint32_t value = atomic_load_explicit(word(&sem->__value), memory_order_relaxed);
    while (value != 0)
        if (atomic_compare_exchange_weak_explicit(word(&sem->__value), &value, value - 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* Counted as a waiter before the value is looked at: sem_post() raises the value and then looks for
 * waiters, so one of the two sees the other. */
static int take_until(sem_t *sem, uint64_t deadline_ns)
{
    if (try_take(sem))
        return 0;
    int error = 0;
    atomic_fetch_add_explicit(word(&sem->__waiters), 1, memory_order_seq_cst);
    while (error == 0 && !try_take(sem))
        if (skep_wait(word(&sem->__value), 0, deadline_ns) == -ETIMEDOUT)
            error = -ETIMEDOUT;
    atomic_fetch_sub_explicit(word(&sem->__waiters), 1, memory_order_relaxed);
    return error;
}

int sem_wait(sem_t *sem)
{
    return (int)skep_posix_result(take_until(sem, SKEP_FOREVER));
}

int sem_trywait(sem_t *sem)
{
    return try_take(sem) ? 0 : (int)skep_posix_result(-EAGAIN);
}

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(clock, deadline, &deadline_ns))
        return (int)skep_posix_result(-EINVAL);
    return (int)skep_posix_result(take_until(sem, deadline_ns));
}

int sem_timedwait(sem_t *sem, const struct timespec *deadline)
{
    return sem_clockwait(sem, CLOCK_REALTIME, deadline);
}

int sem_post(sem_t *sem)
{
    uint32_t value = atomic_load_explicit(word(&sem->__value), memory_order_relaxed);
    do {
        if (value == SEM_VALUE_MAX)
            return (int)skep_posix_result(-EOVERFLOW);
    } while (!atomic_compare_exchange_weak_explicit(word(&sem->__value), &value, value + 1,
                                                    memory_order_seq_cst, memory_order_relaxed));
    if (atomic_load_explicit(word(&sem->__waiters), memory_order_seq_cst) != 0)
        skep_wake(word(&sem->__value), 1);
    return 0;
}

int sem_getvalue(sem_t *sem, int *value)
{
    *value = (int)atomic_load_explicit(word(&sem->__value), memory_order_relaxed);
    return 0;
}
