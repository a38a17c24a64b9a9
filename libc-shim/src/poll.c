/*
 * poll.c - poll() and select() on the table of descriptors.
 *
 * There is one counter of changes for all files: whoever makes a file ready counts it up, and who
 * waits looks at its files again. That is simple and right; it is slow with many threads in poll()
 * at once.
 */
#include <poll.h>
#include <signal.h>
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

void skep_poll_notify_source(struct skep_poll_source *source)
{
    skep_poll_notify();
    /* After that, sequentially consistent as epoll_ctl()'s part: either it sees the change, or we see its watch. */
    if (atomic_load_explicit(&source->watches, memory_order_seq_cst) != NULL)
        skep_posix_epoll_changed(source);
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

static int scan_until(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, uint64_t interrupts)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&changes, memory_order_seq_cst);
        int found = scan(fds, count);
        if (found != 0)
            return found;
        int result =
            skep_wait_interruptibly(&changes, seen, deadline_ns, &interrupts, SKEP_NEVER_RESTARTS);
        if (result == -EINTR)
            return -EINTR;
        if (result == -ETIMEDOUT)
            return scan(fds, count);
    }
}

/* mask: what the thread blocks meanwhile; NULL: as ever. What that unblocks interrupts. */
static int poll_until(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, const sigset_t *mask)
{
    sigset_t old;
    uint64_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    if (count > (nfds_t)skep_fd_limit())
        return -EINVAL;
    if (mask != NULL)
        pthread_sigmask(SIG_SETMASK, mask, &old);
    skep_detours_hold(); /* a handler may leave: it runs when this is counted back */
    atomic_fetch_add_explicit(&pollers, 1, memory_order_seq_cst);
    int found = scan_until(fds, count, deadline_ns, interrupts);
    atomic_fetch_sub_explicit(&pollers, 1, memory_order_relaxed);
    skep_detours_release();
    if (mask != NULL) {
        skep_posix_signals_handle();
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    return found;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    uint64_t deadline_ns =
        timeout_ms < 0 ? SKEP_FOREVER : skep_posix_deadline_in((uint64_t)timeout_ms * 1000000);
    return (int)skep_posix_result(poll_until(fds, count, deadline_ns, NULL));
}

/* NULL: for ever. False: not a valid time span. */
static bool deadline_of(const struct timespec *timeout, uint64_t *deadline_ns)
{
    *deadline_ns = SKEP_FOREVER;
    if (timeout == NULL)
        return true;
    uint64_t span_ns;
    if (!skep_posix_span(timeout, &span_ns))
        return false;
    *deadline_ns = skep_posix_deadline_in(span_ns);
    return true;
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    uint64_t deadline_ns;
    if (!deadline_of(timeout, &deadline_ns))
        return (int)skep_posix_result(-EINVAL);
    return (int)skep_posix_result(poll_until(fds, count, deadline_ns, mask));
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
    uint64_t deadline_ns;
    if (limit < 0 || limit > FD_SETSIZE || !deadline_of(timeout, &deadline_ns))
        return (int)skep_posix_result(-EINVAL);
    struct pollfd *fds = __builtin_alloca(((size_t)limit + 1) * sizeof(*fds));
    nfds_t count = array_of_sets(fds, limit, reads, writes, errors);
    int found = poll_until(fds, count, deadline_ns, mask);
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
    /* Linux takes more than a second of microseconds, and so do programs. */
    struct timespec span = {timeout->tv_sec + timeout->tv_usec / 1000000,
                            timeout->tv_usec % 1000000 * 1000};
    return pselect(limit, reads, writes, errors, &span, NULL);
}
