/*
 * times.c - BSD's ways of setting files' times.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "shim.h"

/* NULL: now; a wrong number of microseconds becomes one of nanoseconds, and is refused. */
static const struct timespec *exactly(const struct timeval times[2], struct timespec exact[2])
{
    for (int i = 0; times != NULL && i < 2; i++) {
        bool is_right = times[i].tv_usec >= 0 && times[i].tv_usec < 1000000;
        exact[i] = (struct timespec){.tv_sec = times[i].tv_sec,
                                     .tv_nsec = is_right ? times[i].tv_usec * 1000 : 1000000000};
    }
    return times != NULL ? exact : NULL;
}

int futimes(int fd, const struct timeval times[2])
{
    struct timespec exact[2];
    return futimens(fd, exactly(times, exact));
}

int lutimes(const char *path, const struct timeval times[2])
{
    struct timespec exact[2];
    return utimensat(AT_FDCWD, path, exactly(times, exact), AT_SYMLINK_NOFOLLOW);
}
