/*
 * attributes.c - what threads, mutexes and barriers are to be like. What a guest's threads aren't is refused (ENOTSUP): they
 * run in the order in which they became runnable, on all of its vCPUs.
 */
#include <pthread.h>

#include "shim.h"

_Static_assert(PTHREAD_STACK_MIN == SKEP_STACK_BYTES_MIN, "two names of one number");

int pthread_attr_init(pthread_attr_t *attributes)
{
    *attributes = (pthread_attr_t){.stacksize = SKEP_STACK_BYTES_DEFAULT,
                                   .guardsize = SKEP_PAGE_SIZE,
                                   .detachstate = PTHREAD_CREATE_JOINABLE,
                                   .inherits = 1};
    return 0;
}

int pthread_attr_destroy(pthread_attr_t *attributes)
{
    return 0;
}

int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t bytes)
{
    if (bytes < SKEP_STACK_BYTES_MIN)
        return EINVAL;
    attributes->stacksize = bytes;
    return 0;
}

int pthread_attr_getstacksize(const pthread_attr_t *attributes, size_t *bytes)
{
    *bytes = attributes->stacksize;
    return 0;
}

/* There is one guard page below each stack that isn't the creator's, whatever is asked for. */
int pthread_attr_setguardsize(pthread_attr_t *attributes, size_t bytes)
{
    attributes->guardsize = bytes;
    return 0;
}

int pthread_attr_getguardsize(const pthread_attr_t *attributes, size_t *bytes)
{
    *bytes = attributes->guardsize;
    return 0;
}

int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
{
    if (state != PTHREAD_CREATE_DETACHED && state != PTHREAD_CREATE_JOINABLE)
        return EINVAL;
    attributes->detachstate = state;
    return 0;
}

int pthread_attr_getdetachstate(const pthread_attr_t *attributes, int *state)
{
    *state = attributes->detachstate;
    return 0;
}

int pthread_attr_setstack(pthread_attr_t *attributes, void *stack, size_t bytes)
{
    if (bytes < PTHREAD_STACK_MIN || (((uintptr_t)stack | bytes) & 15) != 0)
        return EINVAL;
    attributes->stackaddr = stack;
    attributes->stacksize = bytes;
    return 0;
}

int pthread_attr_getstack(const pthread_attr_t *attributes, void **stack, size_t *bytes)
{
    *stack = attributes->stackaddr;
    *bytes = attributes->stacksize;
    return 0;
}

static int check_choice(int choice, int only, int other)
{
    return choice == only ? 0 : choice == other ? ENOTSUP : EINVAL;
}

int pthread_attr_setscope(pthread_attr_t *attributes, int scope)
{
    return check_choice(scope, PTHREAD_SCOPE_SYSTEM, PTHREAD_SCOPE_PROCESS);
}

int pthread_attr_getscope(const pthread_attr_t *attributes, int *scope)
{
    *scope = PTHREAD_SCOPE_SYSTEM;
    return 0;
}

/* It is the same whether a thread inherits the only way of scheduling or asks for it. */
int pthread_attr_setinheritsched(pthread_attr_t *attributes, int inherits)
{
    if (inherits != PTHREAD_INHERIT_SCHED && inherits != PTHREAD_EXPLICIT_SCHED)
        return EINVAL;
    attributes->inherits = inherits == PTHREAD_INHERIT_SCHED;
    return 0;
}

int pthread_attr_getinheritsched(const pthread_attr_t *attributes, int *inherits)
{
    *inherits = attributes->inherits ? PTHREAD_INHERIT_SCHED : PTHREAD_EXPLICIT_SCHED;
    return 0;
}

static int check_policy(int policy)
{
    return policy == SCHED_OTHER                        ? 0
           : policy == SCHED_FIFO || policy == SCHED_RR ? ENOTSUP
                                                        : EINVAL;
}

int pthread_attr_setschedpolicy(pthread_attr_t *attributes, int policy)
{
    return check_policy(policy);
}

int pthread_attr_getschedpolicy(const pthread_attr_t *attributes, int *policy)
{
    *policy = SCHED_OTHER;
    return 0;
}

int pthread_attr_setschedparam(pthread_attr_t *attributes, const struct sched_param *parameters)
{
    return parameters->sched_priority == 0 ? 0 : EINVAL;
}

int pthread_attr_getschedparam(const pthread_attr_t *attributes, struct sched_param *parameters)
{
    *parameters = (struct sched_param){0};
    return 0;
}

int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *parameters)
{
    int error = check_policy(policy);
    return error != 0 ? error : pthread_attr_setschedparam(NULL, parameters);
}

int pthread_getschedparam(pthread_t thread, int *policy, struct sched_param *parameters)
{
    *policy = SCHED_OTHER;
    return pthread_attr_getschedparam(NULL, parameters);
}

int pthread_setschedprio(pthread_t thread, int priority)
{
    return priority == 0 ? 0 : EINVAL;
}

static _Atomic int concurrency;

int pthread_setconcurrency(int level)
{
    if (level < 0)
        return EINVAL;
    atomic_store_explicit(&concurrency, level, memory_order_relaxed);
    return 0;
}

int pthread_getconcurrency(void)
{
    return atomic_load_explicit(&concurrency, memory_order_relaxed);
}

/*
 * Mutexes
 */

int pthread_mutexattr_setprotocol(pthread_mutexattr_t *attributes, int protocol)
{
    if (protocol < PTHREAD_PRIO_NONE || protocol > PTHREAD_PRIO_PROTECT)
        return EINVAL;
    attributes->protocol = protocol;
    return 0;
}

int pthread_mutexattr_getprotocol(const pthread_mutexattr_t *restrict attributes,
                                  int *restrict protocol)
{
    *protocol = attributes->protocol;
    return 0;
}

bool skep_posix_is_ceiling(int priority)
{
    return priority >= sched_get_priority_min(SCHED_FIFO) &&
           priority <= sched_get_priority_max(SCHED_FIFO);
}

int pthread_mutexattr_setprioceiling(pthread_mutexattr_t *attributes, int ceiling)
{
    if (!skep_posix_is_ceiling(ceiling))
        return EINVAL;
    attributes->ceiling = ceiling;
    return 0;
}

int pthread_mutexattr_getprioceiling(const pthread_mutexattr_t *restrict attributes,
                                     int *restrict ceiling)
{
    *ceiling = attributes->ceiling;
    return 0;
}

int pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robust)
{
    if (robust != PTHREAD_MUTEX_STALLED && robust != PTHREAD_MUTEX_ROBUST)
        return EINVAL;
    attributes->robust = robust;
    return 0;
}

int pthread_mutexattr_getrobust(const pthread_mutexattr_t *restrict attributes,
                                int *restrict robust)
{
    *robust = attributes->robust;
    return 0;
}

/*
 * Barriers
 */

int pthread_barrierattr_init(pthread_barrierattr_t *attributes)
{
    *attributes = (pthread_barrierattr_t){.process_shared = PTHREAD_PROCESS_PRIVATE};
    return 0;
}

int pthread_barrierattr_destroy(pthread_barrierattr_t *attributes)
{
    return 0;
}

int pthread_barrierattr_setpshared(pthread_barrierattr_t *attributes, int shared)
{
    if (shared != PTHREAD_PROCESS_PRIVATE && shared != PTHREAD_PROCESS_SHARED)
        return EINVAL;
    attributes->process_shared = shared;
    return 0;
}

int pthread_barrierattr_getpshared(const pthread_barrierattr_t *attributes, int *shared)
{
    *shared = attributes->process_shared;
    return 0;
}
