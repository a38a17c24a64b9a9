/*
 * prctl.c - prctl(): the calling thread's name, and settings that are kept and told.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

#include "pthread_internal.h"
#include "shim.h"

static _Atomic int dumpable = 1, keeps_capabilities, no_new_privileges, parent_signal;

/* From `least` to `most`. */
static int keep(_Atomic int *setting, unsigned long value, int least, int most)
{
    if (value > (unsigned long)most || (int)value < least)
        return -EINVAL;
    atomic_store_explicit(setting, (int)value, memory_order_relaxed);
    return 0;
}

static int told(_Atomic int *setting)
{
    return atomic_load_explicit(setting, memory_order_relaxed);
}

static int set_name(const char *name)
{
    char kept[NAME_BYTES];
    strlcpy(kept, name, sizeof(kept));
    return -pthread_setname_np(pthread_self(), kept);
}

int prctl(int option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    unsigned long value = va_arg(arguments, unsigned long);
    va_end(arguments);
    switch (option) {
    case PR_SET_NAME:
        return (int)skep_posix_result(set_name((const char *)value));
    case PR_GET_NAME:
        return (int)skep_posix_result(
            -pthread_getname_np(pthread_self(), (char *)value, NAME_BYTES));
    case PR_SET_DUMPABLE:
        return (int)skep_posix_result(keep(&dumpable, value, 0, 1));
    case PR_GET_DUMPABLE:
        return told(&dumpable);
    case PR_SET_KEEPCAPS:
        return (int)skep_posix_result(keep(&keeps_capabilities, value, 0, 1));
    case PR_GET_KEEPCAPS:
        return told(&keeps_capabilities);
    case PR_SET_NO_NEW_PRIVS:
        return (int)skep_posix_result(keep(&no_new_privileges, value, 1, 1));
    case PR_GET_NO_NEW_PRIVS:
        return told(&no_new_privileges);
    case PR_SET_PDEATHSIG:
        return (int)skep_posix_result(keep(&parent_signal, value, 0, NSIG - 1));
    case PR_GET_PDEATHSIG:
        *(int *)value = told(&parent_signal);
        return 0;
    default:
        return (int)skep_posix_result(-EINVAL);
    }
}
