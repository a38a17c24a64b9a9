/*
 * eventfd.c - a counter behind a descriptor: writing adds to it, reading takes it or, of a semaphore, 1.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

#define VALUE_MAX (UINT64_MAX - 1)

struct counter {
    struct skep_poll_source source;
    _Atomic uint64_t value;
    _Atomic uint32_t changes; /* of the value; who can't go on waits on it */
    bool is_semaphore;
};

/* One step of reading or writing: 0, or -EAGAIN if the value doesn't allow it. *amount is what is added, or taken. */
static int try_take(struct counter *counter, uint64_t *amount)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    do {
        if (value == 0)
            return -EAGAIN;
        *amount = counter->is_semaphore ? 1 : value;
    } while (!atomic_compare_exchange_weak_explicit(&counter->value, &value, value - *amount,
                                                    memory_order_acquire, memory_order_relaxed));
    return 0;
}

static int try_add(struct counter *counter, uint64_t *amount)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    do {
        if (*amount > VALUE_MAX - value)
            return -EAGAIN;
    } while (!atomic_compare_exchange_weak_explicit(&counter->value, &value, value + *amount,
                                                    memory_order_release, memory_order_relaxed));
    return 0;
}

static int change(struct skep_file *file, int (*try)(struct counter *, uint64_t *),
                  uint64_t *amount)
{
    struct counter *counter = file->object;
    uint64_t interrupts = skep_interrupts_seen();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&counter->changes, memory_order_acquire);
        if (try(counter, amount) == 0)
            break;
        if (atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK)
            return -EAGAIN;
        if (skep_wait_interruptibly(&counter->changes, seen, SKEP_FOREVER, &interrupts,
                                    SKEP_RESTARTS) == -EINTR)
            return -EINTR;
    }
    atomic_fetch_add_explicit(&counter->changes, 1, memory_order_release);
    skep_wake(&counter->changes, SKEP_WAKE_ALL);
    skep_poll_notify_source(&counter->source);
    return 0;
}

static ssize_t counter_read(struct skep_file *file, void *data, size_t bytes)
{
    uint64_t amount;
    if (bytes < sizeof(amount))
        return -EINVAL;
    int result = change(file, try_take, &amount);
    if (result < 0)
        return result;
    memcpy(data, &amount, sizeof(amount));
    return sizeof(amount);
}

static ssize_t counter_write(struct skep_file *file, const void *data, size_t bytes)
{
    uint64_t amount;
    if (bytes < sizeof(amount))
        return -EINVAL;
    memcpy(&amount, data, sizeof(amount));
    if (amount > VALUE_MAX)
        return -EINVAL;
    int result = change(file, try_add, &amount);
    return result < 0 ? result : (ssize_t)sizeof(amount);
}

static short counter_poll(struct skep_file *file)
{
    struct counter *counter = file->object;
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    return (short)((value != 0 ? POLLIN : 0) | (value < VALUE_MAX ? POLLOUT : 0));
}

static struct skep_poll_source *counter_source(struct skep_file *file)
{
    struct counter *counter = file->object;
    return &counter->source;
}

static void counter_close(struct skep_file *file)
{
    free(file->object);
}

static const struct skep_fd_ops counter_ops = {
    .read = counter_read,
    .write = counter_write,
    .close = counter_close,
    .poll = counter_poll,
    .source = counter_source,
};

int eventfd(unsigned value, int flags)
{
    if ((flags & ~(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)) != 0)
        return (int)skep_posix_result(-EINVAL);
    struct counter *counter = calloc(1, sizeof(*counter));
    if (counter == NULL)
        return (int)skep_posix_result(-ENOMEM);
    counter->is_semaphore = (flags & EFD_SEMAPHORE) != 0;
    atomic_init(&counter->value, value);
    int fd = skep_fd_open(&counter_ops, counter, O_RDWR | (flags & (O_NONBLOCK | O_CLOEXEC)));
    if (fd < 0)
        free(counter);
    return (int)skep_posix_result(fd);
}

int eventfd_read(int fd, eventfd_t *value)
{
    return read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

int eventfd_write(int fd, eventfd_t value)
{
    return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}
