/*
 * mlock.c - memory that is to stay: all of it does. Its pages come when they are touched, locked or not.
 */
#include <sys/mman.h>

#include "shim.h"

/* ENOMEM: the span goes beyond all addresses. */
static int check_span(const void *address, size_t bytes)
{
    uintptr_t end;
    bool is_right = !__builtin_add_overflow((uintptr_t)address, bytes, &end) &&
                    (bytes == 0 || end <= SKEP_GUEST_VA_MAX);
    return (int)skep_posix_result(is_right ? 0 : -ENOMEM);
}

int mlock(const void *address, size_t bytes)
{
    return check_span(address, bytes);
}

int mlock2(const void *address, size_t bytes, unsigned flags)
{
    return flags & ~MLOCK_ONFAULT ? (int)skep_posix_result(-EINVAL) : mlock(address, bytes);
}

int munlock(const void *address, size_t bytes)
{
    return check_span(address, bytes);
}

int mlockall(int flags)
{
    bool is_right =
        flags & (MCL_CURRENT | MCL_FUTURE) && !(flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
    return (int)skep_posix_result(is_right ? 0 : -EINVAL);
}

int munlockall(void)
{
    return 0;
}
