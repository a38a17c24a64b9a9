/*
 * limits.c - what there is of what, and how much of it: sysconf(), pathconf(), confstr(), and the limits of processes.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pthread_internal.h"
#include "shim.h"
#include "skep/fd.h"
#include "stream.h"

uint64_t skep_posix_memory_bytes(void)
{
    return atomic_load_explicit(&skep_start_info()->memory_bytes, memory_order_relaxed);
}

int getpagesize(void)
{
    return SKEP_PAGE_SIZE;
}

int getdtablesize(void)
{
    return skep_fd_limit();
}

/*
 * sysconf()
 */

/* What never changes. Names of what isn't there, or has no limit, are missing: -1. */
static const struct constant {
    int name;
    long value;
} constants[] = {
    {_SC_PAGESIZE, SKEP_PAGE_SIZE},
    {_SC_CLK_TCK, CLOCKS_PER_SEC},
    {_SC_HOST_NAME_MAX, HOST_NAME_MAX},
    {_SC_LOGIN_NAME_MAX, LOGIN_NAME_MAX},
    {_SC_TTY_NAME_MAX, TTY_NAME_MAX},
    {_SC_GETPW_R_SIZE_MAX, 256},
    {_SC_GETGR_R_SIZE_MAX, 256},
    {_SC_ARG_MAX, ARG_MAX},
    {_SC_CHILD_MAX, 0},
    {_SC_NGROUPS_MAX, NGROUPS_MAX},
    {_SC_IOV_MAX, IOV_MAX},
    {_SC_LINE_MAX, LINE_MAX},
    {_SC_RE_DUP_MAX, RE_DUP_MAX},
    {_SC_SYMLOOP_MAX, SYMLOOP_MAX},
    {_SC_THREAD_KEYS_MAX, PTHREAD_KEYS_MAX},
    {_SC_THREAD_DESTRUCTOR_ITERATIONS, PTHREAD_DESTRUCTOR_ITERATIONS},
    {_SC_THREAD_STACK_MIN, PTHREAD_STACK_MIN},
    {_SC_SEM_VALUE_MAX, SEM_VALUE_MAX},
    {_SC_RTSIG_MAX, RTSIG_MAX},
    {_SC_SIGQUEUE_MAX, SIGQUEUE_MAX},
    {_SC_DELAYTIMER_MAX, DELAYTIMER_MAX},
    {_SC_VERSION, 200809},
    {_SC_2_VERSION, 200809},
    {_SC_SAVED_IDS, 200809},
    {_SC_FSYNC, 200809},
    {_SC_IPV6, 200809},
    {_SC_REGEXP, 1},
    {_SC_MAPPED_FILES, 200809},
    {_SC_MEMORY_PROTECTION, 200809},
    {_SC_REALTIME_SIGNALS, 200809},
    {_SC_SEMAPHORES, 200809},
    {_SC_SYNCHRONIZED_IO, 200809},
    {_SC_TIMERS, 200809},
    {_SC_TIMEOUTS, 200809},
    {_SC_MONOTONIC_CLOCK, 200809},
    {_SC_CLOCK_SELECTION, 200809},
    {_SC_CPUTIME, 200809},
    {_SC_THREADS, 200809},
    {_SC_THREAD_ATTR_STACKADDR, 200809},
    {_SC_THREAD_ATTR_STACKSIZE, 200809},
    {_SC_THREAD_SAFE_FUNCTIONS, 200809},
    {_SC_BARRIERS, 200809},
    {_SC_SPIN_LOCKS, 200809},
    {_SC_READER_WRITER_LOCKS, 200809},
    {_SC_V7_LP64_OFF64, 1},
};

/* What the guest's promise and vCPUs say, now or at its start; 0: another name. */
static long changing_value(int name)
{
    const struct skep_start_info *info = skep_start_info();
    switch (name) {
    case _SC_OPEN_MAX:
    case _SC_STREAM_MAX:
        return skep_fd_limit();
    case _SC_NPROCESSORS_CONF:
        return info->vcpu_max;
    case _SC_NPROCESSORS_ONLN:
        return atomic_load_explicit(&info->vcpu_count, memory_order_relaxed);
    case _SC_PHYS_PAGES:
    case _SC_AVPHYS_PAGES:
        return (long)(skep_posix_memory_bytes() / SKEP_PAGE_SIZE);
    default:
        return 0;
    }
}

long sysconf(int name)
{
    long value = changing_value(name);
    if (value != 0)
        return value;
    for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
        if (constants[i].name == name)
            return constants[i].value;
    return name >= 0 && name <= _SC_POSIX_26_VERSION ? -1 : skep_posix_result(-EINVAL);
}

/*
 * pathconf(): the same for all paths
 */

static long path_limit(int name)
{
    switch (name) {
    case _PC_NAME_MAX:
        return NAME_MAX;
    case _PC_PATH_MAX:
        return SKEP_POSIX_PATH_BYTES;
    case _PC_PIPE_BUF:
        return STREAM_PIECE_BYTES;
    case _PC_LINK_MAX:
        return LINK_MAX;
    case _PC_FILESIZEBITS:
        return 64;
    case _PC_CHOWN_RESTRICTED:
    case _PC_NO_TRUNC:
    case _PC_SYNC_IO:
        return 1;
    default:
        return name >= 0 && name <= _PC_TIMESTAMP_RESOLUTION ? -1 : skep_posix_result(-EINVAL);
    }
}

long pathconf(const char *path, int name)
{
    struct stat unused;
    return stat(path, &unused) == 0 ? path_limit(name) : -1;
}

long fpathconf(int fd, int name)
{
    struct stat unused;
    return fstat(fd, &unused) == 0 ? path_limit(name) : -1;
}

/* Where programs would be. */
size_t confstr(int name, char *value, size_t bytes)
{
    static const char path[] = "/bin:/usr/bin";
    if (name != _CS_PATH) {
        errno = EINVAL;
        return 0;
    }
    if (bytes != 0) {
        size_t copied = bytes < sizeof(path) ? bytes : sizeof(path);
        memcpy(value, path, copied);
        value[copied - 1] = 0;
    }
    return sizeof(path);
}

/*
 * Limits. They are what they are: a process may lower what it is told, which changes nothing else, and raise it again as
 * far as it was.
 */

static struct skep_mutex lock; /* guards lowered */
static struct rlimit lowered[RLIMIT_NLIMITS];
static bool is_lowered[RLIMIT_NLIMITS];

static rlim_t hard_limit(int what)
{
    switch (what) {
    case RLIMIT_NOFILE:
        return (rlim_t)skep_fd_limit();
    case RLIMIT_AS:
    case RLIMIT_DATA:
    case RLIMIT_RSS:
        return skep_posix_memory_bytes();
    case RLIMIT_STACK:
        return skep_start_info()->stack_bytes;
    case RLIMIT_CORE:
        return 0;
    case RLIMIT_NPROC:
        return 1;
    default:
        return RLIM_INFINITY;
    }
}

/* The lock is held. */
static struct rlimit limit_of(int what)
{
    rlim_t most = hard_limit(what);
    return is_lowered[what] ? lowered[what] : (struct rlimit){most, most};
}

static int swap_limit(int what, const struct rlimit *wanted, struct rlimit *old)
{
    if (what < 0 || what >= RLIMIT_NLIMITS || (wanted && wanted->rlim_cur > wanted->rlim_max))
        return -EINVAL;
    skep_mutex_lock(&lock);
    struct rlimit now = limit_of(what);
    int result = wanted != NULL && wanted->rlim_max > now.rlim_max ? -EPERM : 0;
    if (result == 0 && wanted != NULL) {
        lowered[what] = *wanted;
        is_lowered[what] = true;
    }
    skep_mutex_unlock(&lock);
    if (result == 0 && old != NULL)
        *old = now;
    return result;
}

int getrlimit(int what, struct rlimit *limit)
{
    return (int)skep_posix_result(swap_limit(what, NULL, limit));
}

int setrlimit(int what, const struct rlimit *limit)
{
    return (int)skep_posix_result(swap_limit(what, limit, NULL));
}

int prlimit(pid_t process, int what, const struct rlimit *limit, struct rlimit *old)
{
    if (process != 0 && process != getpid())
        return (int)skep_posix_result(-ESRCH);
    return (int)skep_posix_result(swap_limit(what, limit, old));
}

/*
 * Priorities are kept and told. How much of a CPU the guest gets is its weight's business.
 */

static _Atomic int niceness;

static bool is_this(int which, id_t who)
{
    switch (which) {
    case PRIO_PROCESS:
        return skep_posix_thread_find((pid_t)who) != NULL;
    case PRIO_PGRP:
        return who == 0 || who == (id_t)getpid();
    case PRIO_USER:
        return who == 0 || who == getuid();
    default:
        return false;
    }
}

static int check_who(int which, id_t who)
{
    bool is_known = which == PRIO_PROCESS || which == PRIO_PGRP || which == PRIO_USER;
    return !is_known ? -EINVAL : is_this(which, who) ? 0 : -ESRCH;
}

/* A result of -1 is none of an error. */
int getpriority(int which, id_t who)
{
    int result = check_who(which, who);
    if (result != 0)
        return (int)skep_posix_result(result);
    return atomic_load_explicit(&niceness, memory_order_relaxed);
}

int setpriority(int which, id_t who, int value)
{
    int result = check_who(which, who);
    if (result == 0)
        atomic_store_explicit(&niceness,
                              value < -20  ? -20
                              : value > 19 ? 19
                                           : value,
                              memory_order_relaxed);
    return (int)skep_posix_result(result);
}

int nice(int more)
{
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + more);
    return getpriority(PRIO_PROCESS, 0);
}
