/*
 * closefrom.c - closes many descriptors.
 */
#include <fcntl.h>
#include <unistd.h>

#include "shim.h"
#include "skep/fd.h"

int close_range(unsigned first, unsigned last, int flags)
{
    if (last < first || (unsigned)flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
        return (int)skep_posix_result(-EINVAL);
    int before = errno;
    unsigned limit = (unsigned)skep_fd_limit();
    for (unsigned fd = first; fd <= last && fd < limit; fd++) {
        if (flags & (int)CLOSE_RANGE_CLOEXEC)
            fcntl((int)fd, F_SETFD, FD_CLOEXEC);
        else
            close((int)fd);
    }
    errno = before; /* most of them aren't open */
    return 0;
}

void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}
