/*
 * process.c - the parts of POSIX that are about processes, of which a guest has one, and limits.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"
#include "skep/fd.h"

void *sbrk(ptrdiff_t increment)
{
    void *old_end;
    int result = skep_heap_grow(increment, &old_end);
    if (result == 0)
        return old_end;
    errno = -result;
    return (void *)-1;
}

pid_t getpid(void)
{
    return 1;
}

pid_t getppid(void)
{
    return 0;
}

uid_t getuid(void)
{
    return 0;
}

uid_t geteuid(void)
{
    return 0;
}

gid_t getgid(void)
{
    return 0;
}

gid_t getegid(void)
{
    return 0;
}

pid_t wait(int *status)
{
    return (pid_t)skep_posix_result(-ECHILD);
}

pid_t waitpid(pid_t process, int *status, int options)
{
    return (pid_t)skep_posix_result(-ECHILD);
}

/* The host name comes by environment. */
int gethostname(char *name, size_t bytes)
{
    const char *own = getenv("HOSTNAME");
    if (bytes == 0)
        return (int)skep_posix_result(-EINVAL);
    strncpy(name, own ? own : "skep", bytes);
    name[bytes - 1] = 0;
    return 0;
}

int getpagesize(void)
{
    return SKEP_PAGE_SIZE;
}

long sysconf(int name)
{
    const struct skep_start_info *info = skep_start_info();
    switch (name) {
    case _SC_PAGESIZE:
        return SKEP_PAGE_SIZE;
    case _SC_NPROCESSORS_CONF:
        return info->vcpu_max;
    case _SC_NPROCESSORS_ONLN:
        return atomic_load_explicit(&info->vcpu_count, memory_order_relaxed);
    case _SC_PHYS_PAGES:
    case _SC_AVPHYS_PAGES:
        return (long)(atomic_load_explicit(&info->memory_bytes, memory_order_relaxed) /
                      SKEP_PAGE_SIZE);
    case _SC_OPEN_MAX:
        return SKEP_FD_MAX;
    case _SC_CLK_TCK:
        return CLOCKS_PER_SEC;
    case _SC_HOST_NAME_MAX:
        return 64;
    case _SC_THREADS:
    case _SC_MONOTONIC_CLOCK:
        return 200809L;
    default:
        return skep_posix_result(-EINVAL);
    }
}

ssize_t getrandom(void *data, size_t bytes, unsigned flags)
{
    skep_random(data, bytes);
    return (ssize_t)bytes;
}

int getentropy(void *data, size_t bytes)
{
    if (bytes > 256)
        return (int)skep_posix_result(-EIO);
    skep_random(data, bytes);
    return 0;
}
