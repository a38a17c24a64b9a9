/*
 * sched.c - how the process is scheduled: as all threads of a guest are, in turn, without priorities. Shares of a CPU are
 * the guest's weight.
 */
#include <sched.h>

#include "pthread_internal.h"
#include "shim.h"

int sched_yield(void)
{
    skep_thread_yield();
    return 0;
}

int sched_getcpu(void)
{
    return (int)skep_vcpu_index();
}

/* Of whom is asked: the process, or the calling thread. */
static int check_process(pid_t process)
{
    return process < 0 ? -EINVAL : skep_posix_thread_find(process) != NULL ? 0 : -ESRCH;
}

/* Whether that is a policy. */
static bool is_policy(int policy)
{
    return policy == SCHED_OTHER || policy == SCHED_FIFO || policy == SCHED_RR;
}

int sched_getscheduler(pid_t process)
{
    int result = check_process(process);
    return (int)skep_posix_result(result == 0 ? SCHED_OTHER : result);
}

int sched_setscheduler(pid_t process, int policy, const struct sched_param *parameters)
{
    int result = check_process(process);
    if (result == 0 && policy != SCHED_OTHER)
        result = is_policy(policy) ? -EPERM : -EINVAL;
    if (result == 0 && parameters->sched_priority != 0)
        result = -EINVAL;
    return (int)skep_posix_result(result);
}

int sched_getparam(pid_t process, struct sched_param *parameters)
{
    int result = check_process(process);
    if (result == 0)
        *parameters = (struct sched_param){0};
    return (int)skep_posix_result(result);
}

int sched_setparam(pid_t process, const struct sched_param *parameters)
{
    return sched_setscheduler(process, SCHED_OTHER, parameters);
}

__attribute__((weak)) int sched_rr_get_interval(pid_t process, struct timespec *interval)
{
    int result = check_process(process);
    if (result == 0)
        *interval = skep_posix_timespec(SKEP_SLICE_NS);
    return (int)skep_posix_result(result);
}

/* The policies that are refused have Linux' range. */
int sched_get_priority_max(int policy)
{
    return (int)skep_posix_result(!is_policy(policy) ? -EINVAL : policy == SCHED_OTHER ? 0 : 99);
}

int sched_get_priority_min(int policy)
{
    return (int)skep_posix_result(!is_policy(policy) ? -EINVAL : policy == SCHED_OTHER ? 0 : 1);
}
