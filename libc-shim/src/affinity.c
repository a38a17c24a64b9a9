/*
 * affinity.c - on which CPUs threads may run. It is kept and told: threads run wherever a CPU is free.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "pthread_internal.h"
#include "shim.h"

/* The guest's CPUs, a bit for each. */
static uint64_t all(void)
{
    uint32_t count = atomic_load_explicit(&skep_start_info()->vcpu_count, memory_order_relaxed);
    return count < 64 ? (1ull << count) - 1 : ~0ull;
}

int pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *set)
{
    uint64_t wanted = 0;
    memcpy(&wanted, set, bytes < sizeof(wanted) ? bytes : sizeof(wanted));
    wanted &= all();
    if (wanted == 0)
        return EINVAL;
    atomic_store_explicit(&thread->affinity, wanted, memory_order_relaxed);
    return 0;
}

/* CPUs that have gone since are told no more. */
int pthread_getaffinity_np(pthread_t thread, size_t bytes, cpu_set_t *set)
{
    uint64_t chosen = atomic_load_explicit(&thread->affinity, memory_order_relaxed) & all();
    if (bytes % sizeof(long) != 0 || bytes * 8 < skep_start_info()->vcpu_max)
        return EINVAL;
    if (chosen == 0)
        chosen = all();
    memset(set, 0, bytes);
    memcpy(set, &chosen, sizeof(chosen));
    return 0;
}

int sched_setaffinity(pid_t id, size_t bytes, const cpu_set_t *set)
{
    pthread_t thread = skep_posix_thread_find(id);
    int error = thread != NULL ? pthread_setaffinity_np(thread, bytes, set) : ESRCH;
    return (int)skep_posix_result(-error);
}

int sched_getaffinity(pid_t id, size_t bytes, cpu_set_t *set)
{
    pthread_t thread = skep_posix_thread_find(id);
    int error = thread != NULL ? pthread_getaffinity_np(thread, bytes, set) : ESRCH;
    return (int)skep_posix_result(-error);
}
