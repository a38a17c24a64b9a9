/*
 * time.c - clocks and sleep. CLOCK_REALTIME is the start-info's UNIX time plus the clock; a machine
 * that doesn't know the time starts in 1970. A deadline of that clock is turned into one of the other when
 * it is given: who waits doesn't notice that the wall clock is set.
 */
#include <limits.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <unistd.h>

#include "shim.h"
#include "skep/fd.h"

static uint64_t wall_offset_ns(void)
{
    return atomic_load_explicit(&skep_start_info()->wall_ns, memory_order_relaxed);
}

static bool clock_read(clockid_t clock, uint64_t *now_ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *now_ns = wall_offset_ns() + skep_clock_ns();
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *now_ns = skep_clock_ns();
        return true;
    case CLOCK_PROCESS_CPUTIME_ID:
        *now_ns = skep_cpu_ns();
        return true;
    default:
        return false;
    }
}

bool skep_posix_span(const struct timespec *time, uint64_t *ns)
{
    if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= (long)NS_PER_SECOND)
        return false;
    *ns = (uint64_t)time->tv_sec >= SKEP_FOREVER / NS_PER_SECOND
              ? SKEP_FOREVER
              : (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
    return true;
}

struct timespec skep_posix_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND)};
}

uint64_t skep_posix_deadline_in(uint64_t span)
{
    uint64_t now = skep_clock_ns();
    return span >= SKEP_FOREVER - now ? SKEP_FOREVER : now + span;
}

bool skep_posix_deadline(clockid_t clock, const struct timespec *time, uint64_t *deadline_ns)
{
    uint64_t ns;
    if (!skep_posix_span(time, &ns))
        return false;
    switch (clock) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        *deadline_ns = ns;
        return true;
    case CLOCK_REALTIME:
        *deadline_ns = ns == SKEP_FOREVER ? ns : ns < wall_offset_ns() ? 0 : ns - wall_offset_ns();
        return true;
    default:
        return false;
    }
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t now;
    if (!clock_read(clock, &now))
        return (int)skep_posix_result(-EINVAL);
    *out = skep_posix_timespec(now);
    return 0;
}

int clock_getres(clockid_t clock, struct timespec *out)
{
    uint64_t unused;
    if (!clock_read(clock, &unused))
        return (int)skep_posix_result(-EINVAL);
    if (out != NULL)
        *out = (struct timespec){0, 1};
    return 0;
}

/* Its result is the error. */
int clock_getcpuclockid(pid_t process, clockid_t *clock)
{
    if (process != 0 && process != getpid())
        return ESRCH;
    *clock = CLOCK_PROCESS_CPUTIME_ID;
    return 0;
}

int clock_settime(clockid_t clock, const struct timespec *time)
{
    return (int)skep_posix_result(-EPERM);
}

/* The zone is a relic, and UTC: the environment's TZ is what counts. */
int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    if (zone != NULL)
        *(struct timezone *)zone = (struct timezone){0};
    uint64_t now = wall_offset_ns() + skep_clock_ns();
    *out = (struct timeval){(time_t)(now / NS_PER_SECOND), (long)(now % NS_PER_SECOND / 1000)};
    return 0;
}

clock_t times(struct tms *out)
{
    *out = (struct tms){.tms_utime = (clock_t)(skep_cpu_ns() / (NS_PER_SECOND / CLOCKS_PER_SEC))};
    return (clock_t)(skep_clock_ns() / (NS_PER_SECOND / CLOCKS_PER_SEC));
}

/* All of it is the program's own: what Skep does for it isn't told apart. */
int getrusage(int who, struct rusage *out)
{
    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN)
        return (int)skep_posix_result(-EINVAL);
    uint64_t used = who == RUSAGE_SELF ? skep_cpu_ns() : 0;
    *out = (struct rusage){
        .ru_utime = {(time_t)(used / NS_PER_SECOND), (long)(used % NS_PER_SECOND / 1000)}};
    return 0;
}

/* 0, or EINTR when a signal handler ran. */
static int sleep_until(uint64_t deadline_ns)
{
    static _Atomic uint32_t nothing;
    skep_posix_may_end();
    uint64_t seen = skep_interrupts_seen();
    for (;;) {
        int result = skep_wait_interruptibly(&nothing, 0, deadline_ns, &seen, SKEP_NEVER_RESTARTS);
        if (result == -ETIMEDOUT)
            return 0;
        if (result == -EINTR) {
            skep_posix_signals_handle();
            skep_posix_may_end();
            return EINTR;
        }
    }
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    uint64_t deadline;
    if (flags & TIMER_ABSTIME)
        return skep_posix_deadline(clock, time, &deadline) ? sleep_until(deadline) : EINVAL;
    if (!skep_posix_span(time, &deadline))
        return EINVAL;
    deadline = skep_posix_deadline_in(deadline);
    int error = sleep_until(deadline);
    if (error == EINTR && left != NULL) {
        uint64_t now = skep_clock_ns();
        *left = skep_posix_timespec(now < deadline ? deadline - now : 0);
    }
    return error;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    return (int)skep_posix_result(-clock_nanosleep(CLOCK_MONOTONIC, 0, time, left));
}

int usleep(useconds_t microseconds)
{
    return (int)skep_posix_result(
        -sleep_until(skep_posix_deadline_in((uint64_t)microseconds * 1000)));
}

unsigned sleep(unsigned seconds)
{
    struct timespec left = {0};
    if (nanosleep(&(struct timespec){.tv_sec = seconds}, &left) == 0)
        return 0;
    return (unsigned)left.tv_sec + (left.tv_nsec >= (long)NS_PER_SECOND / 2);
}
