/*
 * fd.c - the table of file descriptors; fd.h is its contract.
 *
 * skep_fd_get(), which each call on a descriptor begins with, takes no lock. It may find a file that is closed before it
 * has its reference: so the structs of files are never given back, only used again; a count of 0 gives no reference; and
 * a reference counts only if the table still has the file afterwards.
 */
#include "skep/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

/* Guards changes of the table, and the free structs, which are linked through `object`. */
static struct skep_spinlock table_lock;
static _Atomic(struct skep_file *) table[SKEP_FD_MAX];
static struct skep_file *free_files;

/* Descriptors that exec() would close (FD_CLOEXEC), a bit each. Nothing execs: it is kept and told. Guarded by the lock. */
static uint64_t closing[SKEP_FD_MAX / 64];
_Static_assert(FD_SETSIZE >= SKEP_FD_MAX, "select() takes any descriptor");

/* How much of the table is used. Before main() starts it is set once. */
enum { FD_MIN = 64 };
static int limit = FD_MIN;

int skep_fd_limit(void)
{
    return limit;
}

static struct skep_file *file_alloc(void)
{
    bool were_masked = skep_spin_lock(&table_lock);
    struct skep_file *file = free_files;
    if (file != NULL)
        free_files = file->object;
    skep_spin_unlock(&table_lock, were_masked);
    return file != NULL ? file : malloc(sizeof(*file));
}

static void file_free(struct skep_file *file)
{
    bool were_masked = skep_spin_lock(&table_lock);
    file->object = free_files;
    free_files = file;
    skep_spin_unlock(&table_lock, were_masked);
}

bool skep_posix_fd_hold(struct skep_file *file)
{
    uint32_t count = atomic_load_explicit(&file->references, memory_order_relaxed);
    skep_detours_hold();
    /* Acquire: pairs with skep_fd_open()'s release, should the struct have become another file's. */
    while (count != 0)
        if (atomic_compare_exchange_weak_explicit(&file->references, &count, count + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    skep_detours_release();
    return false;
}

/* For who has a reference to a file that has left the table. Seldom, so not inlined. */
static __attribute__((noinline)) struct skep_file *get_again(struct skep_file *file, int fd,
                                                             const struct skep_fd_ops *ops)
{
    skep_fd_put(file);
    return skep_fd_get(fd, ops);
}

struct skep_file *skep_fd_get(int fd, const struct skep_fd_ops *ops)
{
    if (fd < 0 || fd >= SKEP_FD_MAX)
        return NULL;
    struct skep_file *file;
    do {
        /* Acquire: pairs with the release of who put it there, so that the struct is filled in. */
        file = atomic_load_explicit(&table[fd], memory_order_acquire);
        if (file == NULL)
            return NULL;
    } while (!skep_posix_fd_hold(file)); /* one without references has left the table before */
    if (atomic_load_explicit(&table[fd], memory_order_relaxed) != file)
        return get_again(file, fd, ops);
    if (ops != NULL && file->ops != ops) {
        skep_fd_put(file);
        return NULL;
    }
    return file;
}

/* Of the table's. */
static void drop(struct skep_file *file)
{
    if (atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1)
        return;
    if (file->ops->source != NULL && skep_posix_epoll_forget)
        skep_posix_epoll_forget(file->ops->source(file));
    file->ops->close(file);
    file_free(file);
}

void skep_fd_put(struct skep_file *file)
{
    drop(file);
    skep_detours_release();
}

/* The lock is held. */
static void set_closes(int fd, bool closes)
{
    uint64_t bit = 1ull << fd % 64;
    closing[fd / 64] = closes ? closing[fd / 64] | bit : closing[fd / 64] & ~bit;
}

/* Puts the file at the lowest free descriptor from first on. The reference passes to the table. */
static int install(struct skep_file *file, int first, bool closes)
{
    int fd = first;
    bool were_masked = skep_spin_lock(&table_lock);
    while (fd < limit && atomic_load_explicit(&table[fd], memory_order_relaxed) != NULL)
        fd++;
    if (fd < limit) {
        set_closes(fd, closes);
        atomic_store_explicit(&table[fd], file, memory_order_release);
    }
    skep_spin_unlock(&table_lock, were_masked);
    return fd < limit ? fd : -EMFILE;
}

/* Takes what is at a descriptor out of the table, its reference with it, and puts file there. */
static struct skep_file *replace(int fd, struct skep_file *file, bool closes)
{
    bool were_masked = skep_spin_lock(&table_lock);
    set_closes(fd, closes);
    struct skep_file *old = atomic_exchange_explicit(&table[fd], file, memory_order_acq_rel);
    skep_spin_unlock(&table_lock, were_masked);
    return old;
}

static void close_nothing(struct skep_file *file)
{
    (void)file;
}

/* Of a file that found no descriptor: its object stays the caller's. */
static const struct skep_fd_ops unopened_ops = {.close = close_nothing};

int skep_fd_open(const struct skep_fd_ops *ops, void *object, int flags)
{
    struct skep_file *file = file_alloc();
    if (file == NULL)
        return -ENOMEM;
    file->ops = ops;
    file->object = object;
    atomic_store_explicit(&file->flags, flags & ~O_CLOEXEC, memory_order_relaxed);
    /* Release: pairs with skep_posix_fd_hold(), of who found the struct's last file. */
    atomic_store_explicit(&file->references, 1, memory_order_release);
    int fd = install(file, 0, (flags & O_CLOEXEC) != 0);
    if (fd < 0) {
        file->ops = &unopened_ops;
        drop(file);
    }
    return fd;
}

int skep_posix_fd_close(int fd)
{
    if (fd < 0 || fd >= SKEP_FD_MAX)
        return -EBADF;
    skep_detours_hold(); /* before the table's reference is this call's */
    struct skep_file *file = replace(fd, NULL, false);
    if (file == NULL) {
        skep_detours_release();
        return -EBADF;
    }
    skep_fd_put(file);
    return 0;
}

int skep_posix_fd_give(struct skep_file *file, bool closes)
{
    return install(file, 0, closes);
}

bool skep_posix_fd_closes(int fd)
{
    bool were_masked = skep_spin_lock(&table_lock);
    bool closes = (closing[fd / 64] >> fd % 64 & 1) != 0;
    skep_spin_unlock(&table_lock, were_masked);
    return closes;
}

void skep_posix_fd_set_closes(int fd, const struct skep_file *file, bool closes)
{
    bool were_masked = skep_spin_lock(&table_lock);
    if (atomic_load_explicit(&table[fd], memory_order_relaxed) == file)
        set_closes(fd, closes);
    skep_spin_unlock(&table_lock, were_masked);
}

int skep_posix_fd_dup(int fd, int first, bool closes)
{
    if (first < 0 || first >= limit)
        return -EINVAL;
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    int copy = install(file, first, closes);
    if (copy < 0)
        skep_fd_put(file);
    else
        skep_detours_release(); /* the table's now */
    return copy;
}

int skep_posix_fd_dup_to(int fd, int target, bool closes)
{
    if (target < 0 || target >= limit)
        return -EBADF;
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    if (fd == target) { /* nothing changes, FD_CLOEXEC neither */
        skep_fd_put(file);
        return target;
    }
    struct skep_file *old = replace(target, file, closes);
    if (old != NULL)
        drop(old);
    skep_detours_release(); /* the table's now */
    return target;
}

/*
 * The console
 */

static struct skep_poll_source console_changes;
static _Atomic uint32_t console_inputs; /* counts them; readers wait on it */

static void console_notify(void)
{
    atomic_fetch_add_explicit(&console_inputs, 1, memory_order_release);
    skep_wake(&console_inputs, SKEP_WAKE_ALL);
    skep_poll_notify_source(&console_changes);
}

static _Atomic int console_tenths = -1; /* that reads wait; < 0: for ever */

void skep_posix_console_waits(int tenths)
{
    atomic_store_explicit(&console_tenths, tenths, memory_order_relaxed);
}

static ssize_t console_read(struct skep_file *file, void *data, size_t bytes)
{
    uint64_t interrupts = skep_interrupts_seen();
    int tenths = atomic_load_explicit(&console_tenths, memory_order_relaxed);
    uint64_t deadline =
        tenths < 0 ? SKEP_FOREVER : skep_clock_ns() + (uint64_t)tenths * (NS_PER_SECOND / 10);
    skep_console_on_input(console_notify);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&console_inputs, memory_order_acquire);
        ssize_t result = skep_console_read(data, bytes, 0);
        if (result != -ETIMEDOUT)
            return result;
        if (atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK)
            return -EAGAIN;
        result =
            skep_wait_interruptibly(&console_inputs, seen, deadline, &interrupts, SKEP_RESTARTS);
        if (result == -EINTR)
            return -EINTR;
        if (result == -ETIMEDOUT)
            return 0;
    }
}

static ssize_t console_write(struct skep_file *file, const void *data, size_t bytes)
{
    skep_console_write(data, bytes);
    return (ssize_t)bytes;
}

static struct skep_poll_source *console_source(struct skep_file *file)
{
    (void)file;
    return &console_changes;
}

static short console_poll(struct skep_file *file)
{
    skep_console_on_input(console_notify);
    return (short)(POLLOUT | (skep_console_readable() != 0 ? POLLIN : 0));
}

static int console_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    (void)file;
    switch (request) {
    case FIONREAD:
        *(int *)argument = (int)skep_console_readable();
        return 0;
    case TIOCGWINSZ:
        *(struct winsize *)argument = (struct winsize){.ws_row = 24, .ws_col = 80};
        return 0;
    default:
        return -ENOTTY;
    }
}

const struct skep_fd_ops skep_posix_console_ops = {
    .read = console_read,
    .write = console_write,
    .close = close_nothing,
    .ioctl = console_ioctl,
    .poll = console_poll,
    .source = console_source,
};

bool skep_posix_fd_is_console(const struct skep_file *file)
{
    return file->ops == &skep_posix_console_ops;
}

void skep_posix_fd_start(void)
{
    static struct skep_file console = {
        .ops = &skep_posix_console_ops, .flags = O_RDWR, .references = 4};
    uint64_t pages = skep_posix_memory_bytes() / SKEP_PAGE_SIZE;
    limit = pages < FD_MIN ? FD_MIN : pages > SKEP_FD_MAX ? SKEP_FD_MAX : (int)pages;
    for (int fd = 0; fd < 3; fd++)
        atomic_init(&table[fd], &console); /* its references never go away: it is not on the heap */
}
