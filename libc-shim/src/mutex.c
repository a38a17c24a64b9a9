/*
 * mutex.c - pthread mutexes, once and spin locks.
 *
 * All threads have one priority, which is below all ceilings, so that no protocol has anything to do while a mutex is held.
 * A thread has a list of the robust ones that it holds, which it unlocks when it ends.
 */
#include <pthread.h>

#include "shim.h"

_Static_assert(sizeof(struct skep_mutex) == sizeof(unsigned), "the __state of pthread_mutex_t");

static struct skep_mutex *lock_of(pthread_mutex_t *mutex)
{
    return (struct skep_mutex *)&mutex->__state;
}

/* Only the owner itself can find itself there. */
static bool is_mine(pthread_mutex_t *mutex)
{
    return __atomic_load_n(&mutex->__owner, __ATOMIC_RELAXED) == skep_thread_self();
}

static void set_owner(pthread_mutex_t *mutex, struct skep_thread *owner)
{
    __atomic_store_n(&mutex->__owner, owner, __ATOMIC_RELAXED);
}

/* In __type. */
#define ROBUST 4u

/* Of a robust mutex: what it guards is as it should be; is as a thread left it that ended; nobody has seen to that. */
enum { CONSISTENT, INCONSISTENT, NOT_RECOVERABLE };

static _Thread_local pthread_mutex_t *robust_held;

static unsigned kind_of(const pthread_mutex_t *mutex)
{
    return mutex->__type & ~ROBUST;
}

/* Of a mutex that the caller has already. */
static int lock_again(pthread_mutex_t *mutex)
{
    if (kind_of(mutex) == PTHREAD_MUTEX_ERRORCHECK)
        return EDEADLK;
    if (mutex->__depth == ~0u)
        return EAGAIN;
    mutex->__depth++;
    return 0;
}

/* The caller has locked a mutex that has an owner. */
static int took(pthread_mutex_t *mutex)
{
    if (mutex->__type & ROBUST) {
        if (mutex->__recovery == NOT_RECOVERABLE) {
            skep_mutex_give(lock_of(mutex));
            return ENOTRECOVERABLE;
        }
        mutex->__next = robust_held;
        robust_held = mutex;
    }
    set_owner(mutex, skep_thread_self());
    return mutex->__recovery == INCONSISTENT ? EOWNERDEAD : 0;
}

static int lock_until(pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    if (mutex->__type == PTHREAD_MUTEX_NORMAL)
        return -skep_mutex_take_until(lock_of(mutex), deadline_ns);
    if (kind_of(mutex) != PTHREAD_MUTEX_NORMAL && is_mine(mutex))
        return lock_again(mutex);
    int error = -skep_mutex_take_until(lock_of(mutex), deadline_ns);
    return error == 0 ? took(mutex) : error;
}

static __attribute__((noinline)) int lock(pthread_mutex_t *mutex)
{
    return lock_until(mutex, SKEP_FOREVER);
}

/* One that is free, and isn't robust, needs no more than this, which ends with whatever it calls and so needs no frame. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    unsigned type = mutex->__type;
    if ((type & ROBUST) || !skep_mutex_take_try(lock_of(mutex)))
        return lock(mutex);
    if (type != PTHREAD_MUTEX_NORMAL)
        set_owner(mutex, skep_thread_self());
    return 0;
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                            const struct timespec *deadline)
{
    uint64_t deadline_ns;
    if (!skep_posix_deadline(clock, deadline, &deadline_ns))
        return EINVAL;
    return lock_until(mutex, deadline_ns);
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *deadline)
{
    return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, deadline);
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (kind_of(mutex) == PTHREAD_MUTEX_RECURSIVE && is_mine(mutex))
        return lock_again(mutex);
    if (!skep_mutex_take_try(lock_of(mutex)))
        return EBUSY;
    return mutex->__type != PTHREAD_MUTEX_NORMAL ? took(mutex) : 0;
}

/* Its owner gives up a robust one. */
static void give_up(pthread_mutex_t *mutex)
{
    pthread_mutex_t *held = robust_held;
    if (mutex->__recovery == INCONSISTENT)
        mutex->__recovery = NOT_RECOVERABLE;
    if (held == mutex) {
        robust_held = mutex->__next;
        return;
    }
    while (held->__next != mutex)
        held = held->__next;
    held->__next = mutex->__next;
}

static __attribute__((noinline)) int wake_one(pthread_mutex_t *mutex)
{
    skep_wake(&lock_of(mutex)->state, 1);
    return 0;
}

static __attribute__((noinline)) int give_up_and_unlock(pthread_mutex_t *mutex)
{
    give_up(mutex);
    set_owner(mutex, NULL);
    skep_mutex_give(lock_of(mutex));
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (mutex->__type != PTHREAD_MUTEX_NORMAL) {
        if (!is_mine(mutex))
            return EPERM;
        if (mutex->__depth != 0) {
            mutex->__depth--;
            return 0;
        }
        if (mutex->__type & ROBUST)
            return give_up_and_unlock(mutex);
        set_owner(mutex, NULL);
    }
    return skep_mutex_give_awaited(lock_of(mutex)) ? wake_one(mutex) : 0;
}

void skep_posix_mutexes_end(void)
{
    while (robust_held != NULL) {
        pthread_mutex_t *mutex = robust_held;
        robust_held = mutex->__next;
        mutex->__recovery = INCONSISTENT;
        mutex->__depth = 0;
        set_owner(mutex, NULL);
        skep_mutex_give(lock_of(mutex));
    }
}

int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
    if (!(mutex->__type & ROBUST) || !is_mine(mutex) || mutex->__recovery != INCONSISTENT)
        return EINVAL;
    mutex->__recovery = CONSISTENT;
    return 0;
}

int pthread_mutex_getprioceiling(const pthread_mutex_t *restrict mutex, int *restrict ceiling)
{
    if (mutex->__ceiling == 0)
        return EINVAL;
    *ceiling = mutex->__ceiling;
    return 0;
}

int pthread_mutex_setprioceiling(pthread_mutex_t *restrict mutex, int ceiling, int *restrict old)
{
    if (mutex->__ceiling == 0 || !skep_posix_is_ceiling(ceiling))
        return EINVAL;
    int error = pthread_mutex_lock(mutex);
    if (error != 0)
        return error;
    if (old != NULL)
        *old = mutex->__ceiling;
    mutex->__ceiling = (unsigned short)ceiling;
    return pthread_mutex_unlock(mutex);
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    *mutex = (pthread_mutex_t){0};
    if (attributes == NULL)
        return 0;
    mutex->__type = (unsigned)attributes->type;
    if (attributes->robust == PTHREAD_MUTEX_ROBUST)
        mutex->__type |= ROBUST;
    if (attributes->protocol == PTHREAD_PRIO_PROTECT)
        mutex->__ceiling = (unsigned short)attributes->ceiling;
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    return mutex->__state != 0 ? EBUSY : 0;
}

int pthread_mutexattr_init(pthread_mutexattr_t *attributes)
{
    *attributes = (pthread_mutexattr_t){.type = PTHREAD_MUTEX_DEFAULT,
                                        .protocol = PTHREAD_PRIO_NONE,
                                        .ceiling = sched_get_priority_min(SCHED_FIFO),
                                        .robust = PTHREAD_MUTEX_STALLED};
    return 0;
}

int pthread_mutexattr_destroy(pthread_mutexattr_t *attributes)
{
    return 0;
}

int pthread_mutexattr_settype(pthread_mutexattr_t *attributes, int type)
{
    if (type < PTHREAD_MUTEX_NORMAL || type > PTHREAD_MUTEX_ERRORCHECK)
        return EINVAL;
    attributes->type = type;
    return 0;
}

int pthread_mutexattr_gettype(const pthread_mutexattr_t *attributes, int *type)
{
    *type = attributes->type;
    return 0;
}

/* There is one process, so that both kinds are the same. */
int pthread_mutexattr_setpshared(pthread_mutexattr_t *attributes, int shared)
{
    attributes->process_shared = shared;
    return 0;
}

int pthread_mutexattr_getpshared(const pthread_mutexattr_t *attributes, int *shared)
{
    *shared = attributes->process_shared;
    return 0;
}

/*
 * Once
 */

enum { ONCE_NEW, ONCE_RUNNING, ONCE_DONE };

int pthread_once(pthread_once_t *once, void (*function)(void))
{
    _Atomic uint32_t *state = (_Atomic uint32_t *)&once->__state;
    uint32_t seen = ONCE_NEW;
    if (atomic_compare_exchange_strong_explicit(state, &seen, ONCE_RUNNING, memory_order_acquire,
                                                memory_order_acquire)) {
        function();
        atomic_store_explicit(state, ONCE_DONE, memory_order_release);
        skep_wake(state, SKEP_WAKE_ALL);
        return 0;
    }
    while (atomic_load_explicit(state, memory_order_acquire) == ONCE_RUNNING)
        skep_wait(state, ONCE_RUNNING, SKEP_FOREVER);
    return 0;
}

/*
 * Spin locks. The holder may be on another vCPU and through in a moment, or wait for its turn here.
 */

#define SPINS 100

int pthread_spin_init(pthread_spinlock_t *lock, int shared)
{
    *lock = 0;
    return 0;
}

int pthread_spin_destroy(pthread_spinlock_t *lock)
{
    return 0;
}

int pthread_spin_trylock(pthread_spinlock_t *lock)
{
    return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) ? EBUSY : 0;
}

int pthread_spin_lock(pthread_spinlock_t *lock)
{
    while (pthread_spin_trylock(lock) != 0) {
        for (int i = 0; i < SPINS && __atomic_load_n(lock, __ATOMIC_RELAXED) != 0; i++)
            __builtin_ia32_pause();
        skep_thread_yield();
    }
    return 0;
}

int pthread_spin_unlock(pthread_spinlock_t *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    return 0;
}
