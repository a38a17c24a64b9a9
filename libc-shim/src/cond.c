/*
 * cond.c - condition variables and semaphores.
 */
#include <pthread.h>
#include <semaphore.h>

#include "shim.h"
#include "skep/fd.h"

static _Atomic uint32_t *word(unsigned *field)
{
    return (_Atomic uint32_t *)field;
}

/* Of __waiters: pthread_cond_destroy() waits for them. */
#define DESTROYING (1u << 31)

/* The condition may be gone after this. */
static void leave(pthread_cond_t *cond)
{
    if (atomic_fetch_sub_explicit(word(&cond->__waiters), 1, memory_order_acq_rel) ==
        (DESTROYING | 1))
        skep_wake(word(&cond->__waiters), 1);
}

/*
 * A waiter reads the sequence before it unlocks the mutex, so that a signal after that changes what
 * it waits for. The count of waiters only spares signals that nobody waits for the wake-up; it is
 * sequentially consistent with the sequence, so that one of the two sides sees the other. It is given
 * back before the mutex is taken: who destroys the condition may hold that. What interrupts ends the wait as a
 * signal does that nobody sent.
 */
static int wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    uint64_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    atomic_fetch_add_explicit(word(&cond->__waiters), 1, memory_order_seq_cst);
    uint32_t seen = atomic_load_explicit(word(&cond->__sequence), memory_order_seq_cst);
    int error = pthread_mutex_unlock(mutex);
    if (error != 0) {
        leave(cond);
        return error;
    }
    int result = skep_wait_interruptibly(word(&cond->__sequence), seen, deadline_ns, &interrupts,
                                         SKEP_NEVER_RESTARTS);
    error = result == -ETIMEDOUT ? ETIMEDOUT : 0;
    /* Who is cancelled leaves a signal that came, too, to another. One that is so only from here on has had the signal,
     * and ends where it may end the next time. */
    bool ends = skep_posix_ends_wait && skep_posix_ends_wait();
    if (ends)
        skep_wake(word(&cond->__sequence), 1);
    leave(cond);
    if (result == -EINTR)
        skep_posix_signals_handle();
    int relock_error = pthread_mutex_lock(mutex); /* of a robust one */
    if (ends)
        skep_posix_may_end();
    return relock_error != 0 ? relock_error : error;
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

/* Threads that were told may still be on their way out. */
int pthread_cond_destroy(pthread_cond_t *cond)
{
    uint32_t inside =
        atomic_fetch_or_explicit(word(&cond->__waiters), DESTROYING, memory_order_acq_rel);
    while ((inside & ~DESTROYING) != 0) {
        skep_wait(word(&cond->__waiters), inside | DESTROYING, SKEP_FOREVER);
        inside = atomic_load_explicit(word(&cond->__waiters), memory_order_acquire);
    }
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
 * Semaphores. Value and waiters change together, and sem_post() doesn't look at either after it has
 * raised the value: the thread that takes it may free the semaphore at once.
 */

#define WAITER (1ull << 32)

static _Atomic uint64_t *state(sem_t *sem)
{
    return (_Atomic uint64_t *)&sem->__state;
}

/* The value, which waiters wait to change from 0. */
static _Atomic uint32_t *value_word(sem_t *sem)
{
    return (_Atomic uint32_t *)&sem->__state;
}

int sem_init(sem_t *sem, int shared, unsigned value)
{
    if (value > SEM_VALUE_MAX)
        return (int)skep_posix_result(-EINVAL);
    *sem = (sem_t){.__state = value};
    return 0;
}

int sem_destroy(sem_t *sem)
{
    return 0;
}

/* waiter: WAITER if the caller is counted as one, which it is no more when it has got the value, else 0. */
static bool try_take(sem_t *sem, uint64_t waiter)
{
    uint64_t seen = atomic_load_explicit(state(sem), memory_order_relaxed);
    while ((uint32_t)seen != 0)
        if (atomic_compare_exchange_weak_explicit(state(sem), &seen, seen - 1 - waiter,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static int take_until(sem_t *sem, uint64_t deadline_ns)
{
    uint64_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    if (try_take(sem, 0))
        return 0;
    atomic_fetch_add_explicit(state(sem), WAITER, memory_order_relaxed);
    while (!try_take(sem, WAITER)) {
        int result =
            skep_wait_interruptibly(value_word(sem), 0, deadline_ns, &interrupts, SKEP_RESTARTS);
        if (result != -ETIMEDOUT && result != -EINTR)
            continue;
        if (try_take(sem, WAITER))
            return 0;
        atomic_fetch_sub_explicit(state(sem), WAITER, memory_order_relaxed);
        return result;
    }
    return 0;
}

static int wait_until_posted(sem_t *sem, uint64_t deadline_ns)
{
    int result;
    do
        result = take_until(sem, deadline_ns);
    while (skep_posix_goes_on(result));
    return (int)skep_posix_result(result);
}

int sem_wait(sem_t *sem)
{
    return wait_until_posted(sem, SKEP_FOREVER);
}

int sem_trywait(sem_t *sem)
{
    return try_take(sem, 0) ? 0 : (int)skep_posix_result(-EAGAIN);
}

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(clock, deadline, &deadline_ns))
        return (int)skep_posix_result(-EINVAL);
    return wait_until_posted(sem, deadline_ns);
}

int sem_timedwait(sem_t *sem, const struct timespec *deadline)
{
    return sem_clockwait(sem, CLOCK_REALTIME, deadline);
}

int sem_post(sem_t *sem)
{
    uint64_t seen = atomic_load_explicit(state(sem), memory_order_relaxed);
    do {
        if ((uint32_t)seen == SEM_VALUE_MAX)
            return (int)skep_posix_result(-EOVERFLOW);
    } while (!atomic_compare_exchange_weak_explicit(state(sem), &seen, seen + 1,
                                                    memory_order_release, memory_order_relaxed));
    if (seen >= WAITER)
        skep_wake(value_word(sem), 1);
    return 0;
}

int sem_getvalue(sem_t *sem, int *value)
{
    *value = (int)atomic_load_explicit(value_word(sem), memory_order_relaxed);
    return 0;
}
