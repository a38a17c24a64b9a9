/*
 * fd.c - the table of file descriptors; fd.h is its contract.
 */
#include "skep/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

/* Guards the table's entries, and the step from an entry to a reference. */
static struct skep_spinlock table_lock;
static struct skep_file *table[SKEP_FD_MAX];

struct skep_file *skep_fd_get(int fd, const struct skep_fd_ops *ops)
{
    if (fd < 0 || fd >= SKEP_FD_MAX)
        return NULL;
    bool were_masked = skep_spin_lock(&table_lock);
    struct skep_file *file = table[fd];
    if (file != NULL && ops != NULL && file->ops != ops)
        file = NULL;
    if (file != NULL)
        atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    skep_spin_unlock(&table_lock, were_masked);
    return file;
}

void skep_fd_put(struct skep_file *file)
{
    if (atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1)
        return;
    file->ops->close(file);
    free(file);
}

/* Puts the file at the lowest free descriptor from first on. The reference passes to the table. */
static int install(struct skep_file *file, int first)
{
    int fd = first;
    bool were_masked = skep_spin_lock(&table_lock);
    while (fd < SKEP_FD_MAX && table[fd] != NULL)
        fd++;
    if (fd < SKEP_FD_MAX)
        table[fd] = file;
    skep_spin_unlock(&table_lock, were_masked);
    return fd < SKEP_FD_MAX ? fd : -EMFILE;
}

/* Takes what is at a descriptor out of the table, its reference with it, and puts file there. */
static struct skep_file *replace(int fd, struct skep_file *file)
{
    bool were_masked = skep_spin_lock(&table_lock);
    struct skep_file *old = table[fd];
    table[fd] = file;
    skep_spin_unlock(&table_lock, were_masked);
    return old;
}

int skep_fd_open(const struct skep_fd_ops *ops, void *object, int flags)
{
    struct skep_file *file = malloc(sizeof(*file));
    if (file == NULL)
        return -ENOMEM;
    file->ops = ops;
    file->object = object;
    atomic_init(&file->flags, flags);
    atomic_init(&file->references, 1);
    int fd = install(file, 0);
    if (fd < 0)
        free(file);
    return fd;
}

int skep_posix_fd_close(int fd)
{
    if (fd < 0 || fd >= SKEP_FD_MAX)
        return -EBADF;
    struct skep_file *file = replace(fd, NULL);
    if (file == NULL)
        return -EBADF;
    skep_fd_put(file);
    return 0;
}

int skep_posix_fd_dup(int fd, int first)
{
    if (first < 0 || first >= SKEP_FD_MAX)
        return -EINVAL;
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    int copy = install(file, first);
    if (copy < 0)
        skep_fd_put(file);
    return copy;
}

int skep_posix_fd_dup_to(int fd, int target)
{
    if (target < 0 || target >= SKEP_FD_MAX)
        return -EBADF;
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    struct skep_file *old = replace(target, file);
    if (old != NULL)
        skep_fd_put(old);
    return target;
}

/*
 * The console
 */

static ssize_t console_read(struct skep_file *file, void *data, size_t bytes)
{
    if (atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK)
        return skep_console_readable() ? skep_console_read(data, bytes, SKEP_FOREVER) : -EAGAIN;
    return skep_console_read(data, bytes, SKEP_FOREVER);
}

static ssize_t console_write(struct skep_file *file, const void *data, size_t bytes)
{
    skep_console_write(data, bytes);
    return (ssize_t)bytes;
}

static void console_close(struct skep_file *file)
{
}

static short console_poll(struct skep_file *file)
{
    skep_console_on_input(skep_poll_notify);
    return (short)(POLLOUT | (skep_console_readable() ? POLLIN : 0));
}

static const struct skep_fd_ops console_ops = {
    .read = console_read,
    .write = console_write,
    .close = console_close,
    .poll = console_poll,
};

bool skep_posix_fd_is_console(const struct skep_file *file)
{
    return file->ops == &console_ops;
}

void skep_posix_fd_start(void)
{
    static struct skep_file console = {.ops = &console_ops, .flags = O_RDWR, .references = 4};
    for (int fd = 0; fd < 3; fd++)
        table[fd] = &console; /* its references never go away: it is not on the heap */
}
