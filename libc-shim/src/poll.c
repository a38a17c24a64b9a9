/*
 * poll.c - poll() and select() on the table of descriptors.
 *
 * There is one counter of changes for all files: whoever makes a file ready counts it up, and who
 * waits looks at its files again. That is simple and right; it is slow with many threads in poll()
 * at once.
 */
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

#include "fd_internal.h"
#include "shim.h"

static _Atomic uint32_t changes;
static _Atomic uint32_t pollers; /* threads that wait, or are about to */

void skep_poll_notify(void)
{
    /* Sequentially consistent, as is the poller's part: either it sees the change, or we see it. */
    atomic_fetch_add_explicit(&changes, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&pollers, memory_order_seq_cst) != 0)
        skep_wake(&changes, SKEP_WAKE_ALL);
}

/* Errors and hang-ups are told whether asked for or not. */
static short ready(int fd, short events)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return POLLNVAL;
    short now = file->ops->poll ? file->ops->poll(file) : POLLIN | POLLOUT;
    skep_fd_put(file);
    if (now & POLLIN)
        now |= POLLRDNORM;
    if (now & POLLOUT)
        now |= POLLWRNORM;
    return (short)(now & (events | POLLERR | POLLHUP));
}

static int scan(struct pollfd *fds, nfds_t count)
{
    int found = 0;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = fds[i].fd < 0 ? 0 : ready(fds[i].fd, fds[i].events);
        found += fds[i].revents != 0;
    }
    return found;
}

static int scan_until(struct pollfd *fds, nfds_t count, uint64_t deadline_ns)
{
    uint32_t signals = atomic_load_explicit(&skep_posix_signal_count, memory_order_acquire);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&changes, memory_order_seq_cst);
        int found = scan(fds, count);
        if (found != 0)
            return found;
        if (atomic_load_explicit(&skep_posix_signal_count, memory_order_acquire) != signals)
            return -EINTR;
        if (skep_wait(&changes, seen, deadline_ns) == -ETIMEDOUT)
            return scan(fds, count);
    }
}

static int poll_until(struct pollfd *fds, nfds_t count, uint64_t deadline_ns)
{
    atomic_fetch_add_explicit(&pollers, 1, memory_order_seq_cst);
    int found = scan_until(fds, count, deadline_ns);
    atomic_fetch_sub_explicit(&pollers, 1, memory_order_relaxed);
    return found;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    uint64_t deadline_ns =
        timeout_ms < 0 ? SKEP_FOREVER : skep_posix_deadline_in((uint64_t)timeout_ms * 1000000);
    return (int)skep_posix_result(poll_until(fds, count, deadline_ns));
}

static uint64_t deadline_of_timespec(const struct timespec *timeout)
{
    if (timeout == NULL)
        return SKEP_FOREVER;
    if ((uint64_t)timeout->tv_sec > SKEP_FOREVER / NS_PER_SECOND - 2)
        return SKEP_FOREVER;
    return skep_posix_deadline_in((uint64_t)timeout->tv_sec * NS_PER_SECOND +
                                  (uint64_t)timeout->tv_nsec);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    return (int)skep_posix_result(poll_until(fds, count, deadline_of_timespec(timeout)));
}

/*
 * select(): its sets are turned into poll()'s array, of descriptors that are in one of them.
 */

static bool in_set(int fd, const fd_set *set)
{
    return set != NULL && FD_ISSET(fd, set);
}

static nfds_t array_of_sets(struct pollfd *fds, int limit, const fd_set *reads,
                            const fd_set *writes, const fd_set *errors)
{
    nfds_t count = 0;
    for (int fd = 0; fd < limit; fd++) {
        short events =
            (short)((in_set(fd, reads) ? POLLIN : 0) | (in_set(fd, writes) ? POLLOUT : 0) |
                    (in_set(fd, errors) ? POLLPRI : 0));
        if (events != 0)
            fds[count++] = (struct pollfd){.fd = fd, .events = events};
    }
    return count;
}

/* Leaves in a set the descriptors that have one of the events. Returns how many. */
static int keep(fd_set *set, const struct pollfd *fds, nfds_t count, short asked, short events)
{
    int kept = 0;
    if (set == NULL)
        return 0;
    FD_ZERO(set);
    for (nfds_t i = 0; i < count; i++) {
        if (!(fds[i].events & asked) || !(fds[i].revents & events))
            continue;
        FD_SET(fds[i].fd, set);
        kept++;
    }
    return kept;
}

int pselect(int limit, fd_set *reads, fd_set *writes, fd_set *errors,
            const struct timespec *timeout, const sigset_t *mask)
{
    if (limit < 0 || limit > FD_SETSIZE)
        return (int)skep_posix_result(-EINVAL);
    struct pollfd *fds = __builtin_alloca(((size_t)limit + 1) * sizeof(*fds));
    nfds_t count = array_of_sets(fds, limit, reads, writes, errors);
    int found = poll_until(fds, count, deadline_of_timespec(timeout));
    if (found < 0)
        return (int)skep_posix_result(found);
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents & POLLNVAL)
            return (int)skep_posix_result(-EBADF);
    return keep(reads, fds, count, POLLIN, POLLIN | POLLHUP | POLLERR) +
           keep(writes, fds, count, POLLOUT, POLLOUT | POLLERR) +
           keep(errors, fds, count, POLLPRI, POLLPRI);
}

int select(int limit, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout)
{
    if (timeout == NULL)
        return pselect(limit, reads, writes, errors, NULL, NULL);
    struct timespec span = {timeout->tv_sec, timeout->tv_usec * 1000};
    return pselect(limit, reads, writes, errors, &span, NULL);
}
