/*
 * timerfd.c - a timer behind a descriptor: reading waits until it is due, and says how often it has been.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"
#include "timers.h"

static ssize_t timer_read(struct skep_file *file, void *data, size_t bytes)
{
    struct skep_timer *timer = file->object;
    if (bytes < sizeof(uint64_t))
        return -EINVAL;
    uint64_t interrupts = skep_interrupts_seen();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&timer->changes, memory_order_acquire);
        uint64_t times = atomic_exchange_explicit(&timer->expirations, 0, memory_order_relaxed);
        if (times != 0) {
            memcpy(data, &times, sizeof(times));
            return sizeof(times);
        }
        if (atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK)
            return -EAGAIN;
        if (skep_wait_interruptibly(&timer->changes, seen, SKEP_FOREVER, &interrupts,
                                    SKEP_RESTARTS) == -EINTR)
            return -EINTR;
    }
}

static short timer_poll(struct skep_file *file)
{
    const struct skep_timer *timer = file->object;
    return atomic_load_explicit(&timer->expirations, memory_order_relaxed) != 0 ? POLLIN : 0;
}

static struct skep_poll_source *timer_source(struct skep_file *file)
{
    struct skep_timer *timer = file->object;
    return &timer->source;
}

static void timer_close(struct skep_file *file)
{
    skep_posix_timer_set(file->object, false, &(struct itimerspec){0}, NULL);
    free(file->object);
}

static const struct skep_fd_ops timer_ops = {
    .read = timer_read,
    .close = timer_close,
    .poll = timer_poll,
    .source = timer_source,
};

int timerfd_create(int clock, int flags)
{
    uint64_t unused;
    if (!skep_posix_deadline((clockid_t)clock, &(struct timespec){0}, &unused) ||
        (flags & ~(TFD_NONBLOCK | TFD_CLOEXEC)) != 0)
        return (int)skep_posix_result(-EINVAL);
    struct skep_timer *timer = calloc(1, sizeof(*timer));
    if (timer == NULL)
        return (int)skep_posix_result(-ENOMEM);
    timer->clock = (clockid_t)clock;
    timer->event.sigev_notify = SIGEV_NONE;
    int fd = skep_fd_open(&timer_ops, timer, O_RDWR | flags);
    if (fd < 0)
        free(timer);
    return (int)skep_posix_result(fd);
}

/* The timer of a descriptor, with a reference to its file. */
static int get(int fd, struct skep_file **file)
{
    *file = skep_fd_get(fd, NULL);
    if (*file == NULL)
        return -EBADF;
    if ((*file)->ops == &timer_ops)
        return 0;
    skep_fd_put(*file);
    return -EINVAL;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
    struct skep_file *file;
    int result = (flags & ~TFD_TIMER_ABSTIME) == 0 ? get(fd, &file) : -EINVAL;
    if (result == 0) {
        result = skep_posix_timer_set(file->object, flags != 0, value, old);
        skep_fd_put(file);
    }
    return (int)skep_posix_result(result);
}

int timerfd_gettime(int fd, struct itimerspec *value)
{
    struct skep_file *file;
    int result = get(fd, &file);
    if (result == 0) {
        skep_posix_timer_get(file->object, value);
        skep_fd_put(file);
    }
    return (int)skep_posix_result(result);
}
