/*
 * fd.h - the table of file descriptors: what read(), write(), close(), poll() and friends dispatch
 * through. A kind of file (console, socket, …) is one struct skep_fd_ops.
 *
 * Errors: every function here and every operation returns a negative errno; the POSIX functions on
 * top turn that into -1 and errno.
 *
 * Life of a file: skep_fd_open() makes it with one reference, held by its descriptor. dup() and
 * skep_fd_get() add one each. When the last goes, the close operation runs, once, in the thread that
 * dropped it. A thread that is blocked in an operation holds a reference, so that a descriptor can be
 * closed under it; it is the operation's business to notice.
 */
#ifndef SKEP_FD_H
#define SKEP_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stat;
struct skep_file;
struct skep_socket_ops;
struct skep_watch; /* epoll.c's */

/* What instances of epoll watch: a part of each kind's object whose state changes. All zeroes at first. */
struct skep_poll_source {
    struct skep_watch *_Atomic watches;
};

/* How many descriptors there can be at once in the largest guest. FD_SETSIZE is not smaller. */
#define SKEP_FD_MAX 4096

/* How many there can be in this guest, whichever thread asks: one for each page of the memory that it was started with,
 * 64 at least and SKEP_FD_MAX at most. It never changes. */
int skep_fd_limit(void);

/*
 * Operations on one kind of file. All may be called by several threads at once. Any but close may be
 * NULL: read and write are then -EBADF, lseek -ESPIPE, stat says "character device", ioctl -ENOTTY,
 * and poll "always ready".
 */
struct skep_fd_ops {
    /* Bytes moved, 0 at the end of the file, or a negative errno. They look at file->flags for
     * O_NONBLOCK themselves (-EAGAIN). */
    ssize_t (*read)(struct skep_file *file, void *data, size_t bytes);
    ssize_t (*write)(struct skep_file *file, const void *data, size_t bytes);
    /* Gives back file->object. Nobody uses the file any more. */
    void (*close)(struct skep_file *file);
    off_t (*lseek)(struct skep_file *file, off_t offset, int whence);
    int (*stat)(struct skep_file *file, struct stat *out);
    /* At an offset, which read and write don't see. NULL: -ESPIPE. */
    ssize_t (*pread)(struct skep_file *file, void *data, size_t bytes, off_t offset);
    ssize_t (*pwrite)(struct skep_file *file, const void *data, size_t bytes, off_t offset);
    /* ftruncate(), NULL: -EINVAL; fsync() and fdatasync(), NULL: nothing to do, or -EINVAL if there is no pread. */
    int (*resize)(struct skep_file *file, off_t bytes);
    int (*sync)(struct skep_file *file, bool data_only);
    int (*ioctl)(struct skep_file *file, unsigned long request, void *argument);
    /* Called after fcntl(F_SETFL) or ioctl(FIONBIO) has changed file->flags. */
    void (*flags_changed)(struct skep_file *file);
    /* Which of POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP hold now; never blocks. Whoever makes one
     * become true calls skep_poll_notify_source() afterwards, without a lock that poll takes. */
    short (*poll)(struct skep_file *file);
    /* The source of those changes; the same one each time. NULL: epoll refuses the file (-EPERM). */
    struct skep_poll_source *(*source)(struct skep_file *file);
    /* Of a socket (socket.h). NULL: it is none, and functions on sockets refuse it (-ENOTSOCK). */
    const struct skep_socket_ops *socket;
    /* mmap() of it is memory that is zeroed, as of no file. */
    bool maps_zeros;
};

/* An open file. The kind's own data hangs at object; only flags changes after skep_fd_open(). */
struct skep_file {
    const struct skep_fd_ops *ops;
    void *object;
    _Atomic int flags; /* O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_NONBLOCK */
    _Atomic uint32_t references;
};

/* Makes a file and gives it the lowest free descriptor, which is returned; with O_CLOEXEC among the flags that has FD_CLOEXEC.
 * -EMFILE: the table is full; -ENOMEM. On an error nothing was taken and ops->close is not called. */
int skep_fd_open(const struct skep_fd_ops *ops, void *object, int flags);

/* The file behind a descriptor, with a reference that skep_fd_put() must drop, in the same thread, which makes no detours
 * meanwhile (skep/thread.h); NULL if it is not open, or if ops is not NULL and the file is of another kind. */
struct skep_file *skep_fd_get(int fd, const struct skep_fd_ops *ops);
void skep_fd_put(struct skep_file *file);

/* Tells all threads in poll() and select() to look again. Any thread or event handler may call it;
 * without waiters it costs one atomic addition. */
void skep_poll_notify(void);

/* The same, and tells instances of epoll that watch the source. The source can't be freed meanwhile. */
void skep_poll_notify_source(struct skep_poll_source *source);

/*
 * What interrupts calls that wait: handlers of signals that have run in the thread, signals that it is to handle when it is
 * out of the call, and that it is to be cancelled.
 * Calls read at their beginning what had interrupted the thread's calls until then.
 */
uint64_t skep_interrupts_seen(void);

/* What a call does after handlers: goes on after those with SA_RESTART; ends after each; goes on after each, so that only
 * a thread that is to be cancelled ends it. */
enum skep_restart { SKEP_RESTARTS, SKEP_NEVER_RESTARTS, SKEP_ALWAYS_RESTARTS };

/* As skep_wait() in such a call. -EINTR: since there were *seen, a handler has run that interrupts it, or the thread has taken a
 * signal to handle or is to be cancelled, for which the call ends (it may begin again). Callers try first, then wait. */
int skep_wait_interruptibly(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                            uint64_t *seen, enum skep_restart restart);

/* The thread ends here if it is to be cancelled. The caller holds nothing. */
void skep_cancellation_point(void);

static inline bool skep_poll_is_watched(const struct skep_poll_source *source)
{
    return atomic_load_explicit(&source->watches, memory_order_relaxed) != NULL;
}

#endif
