/*
 * io.c - read(), write() and the other functions on descriptors: they find the file and dispatch.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"
#include "skep/socket.h"

/* Whether the file was opened for reading (O_RDONLY) or writing (O_WRONLY). */
static bool may(const struct skep_file *file, int what)
{
    int mode = atomic_load_explicit(&file->flags, memory_order_relaxed) & O_ACCMODE;
    return mode == what || mode == O_RDWR;
}

static ssize_t file_read(struct skep_file *file, void *data, size_t bytes)
{
    return file->ops->read && may(file, O_RDONLY) ? file->ops->read(file, data, bytes) : -EBADF;
}

static ssize_t file_write(struct skep_file *file, const void *data, size_t bytes)
{
    return file->ops->write && may(file, O_WRONLY) ? file->ops->write(file, data, bytes) : -EBADF;
}

ssize_t read(int fd, void *data, size_t bytes)
{
    ssize_t result;
    do {
        if (skep_posix_ends_wait && skep_posix_ends_wait()) /* a stream's function fails first */
            return skep_posix_result(-EINTR);
        struct skep_file *file = skep_fd_get(fd, NULL);
        if (file == NULL)
            return skep_posix_result(-EBADF);
        result = file_read(file, data, bytes);
        skep_fd_put(file);
    } while (skep_posix_goes_on(result));
    return skep_posix_result(result);
}

static bool is_stream(struct skep_file *file)
{
    int type = SOCK_STREAM; /* of pipes, too */
    socklen_t bytes = sizeof(type);
    if (file->ops->socket != NULL)
        file->ops->socket->option_get(file, SOL_SOCKET, SO_TYPE, &type, &bytes);
    return type == SOCK_STREAM;
}

void skep_posix_written(struct skep_file *file, ssize_t result, int flags)
{
    bool raises = result == -EPIPE && !(flags & MSG_NOSIGNAL) && is_stream(file);
    skep_fd_put(file);
    if (raises)
        skep_posix_raise_here(SIGPIPE);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t result;
    size_t wanted, done = 0;
    do {
        skep_posix_may_end();
        struct skep_file *file = skep_fd_get(fd, NULL);
        if (file == NULL)
            return done != 0 ? (ssize_t)done : skep_posix_result(-EBADF);
        wanted = bytes - done;
        result = file_write(file, (const char *)data + done, wanted);
        if (result > 0 && (size_t)result < wanted)
            skep_posix_ends_later =
                false; /* a stream goes on with the rest, whose wait ends, too */
        skep_posix_written(file, result, 0);
    } while (skep_posix_writes_on(result, wanted, &done));
    return done != 0 ? (ssize_t)done : skep_posix_result(result);
}

ssize_t skep_posix_each(int fd, const struct iovec *buffers, int count, off_t offset,
                        skep_posix_mover *move)
{
    if (count < 0 || count > IOV_MAX)
        return skep_posix_result(-EINVAL);
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t bytes = move(fd, buffers[i].iov_base, buffers[i].iov_len, offset + total);
        if (bytes < 0)
            return total != 0 ? total : -1;
        total += bytes;
        if ((size_t)bytes < buffers[i].iov_len)
            break;
    }
    return total;
}

/* Whether read() has something to tell at once. */
static bool is_readable(int fd)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return true;
    bool result = file->ops->poll == NULL || (file->ops->poll(file) & POLLIN) != 0;
    skep_fd_put(file);
    return result;
}

/* After the first bytes, what would wait ends it. */
static ssize_t read_next(int fd, void *data, size_t bytes, off_t before)
{
    return before != 0 && !is_readable(fd) ? 0 : read(fd, data, bytes);
}

static ssize_t write_next(int fd, void *data, size_t bytes, off_t unused)
{
    return write(fd, data, bytes);
}

/* Of a socket all buffers move at once: as one datagram, or in as few segments as a stream needs. Else one moves after the
 * other, and NULL is returned with the call's result. */
static struct skep_file *socket_or_each(int fd, const struct iovec *buffers, int count,
                                        skep_posix_mover *move, ssize_t *result)
{
    skep_posix_may_end();
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL) {
        *result = skep_posix_result(-EBADF);
        return NULL;
    }
    if (file->ops->socket != NULL && count > 0 && count <= IOV_MAX)
        return file;
    skep_fd_put(file);
    *result = skep_posix_each(fd, buffers, count, 0, move);
    return NULL;
}

ssize_t readv(int fd, const struct iovec *buffers, int count)
{
    ssize_t result;
    do {
        struct skep_file *file = socket_or_each(fd, buffers, count, read_next, &result);
        if (file == NULL)
            return result;
        struct msghdr all = {.msg_iov = (struct iovec *)buffers, .msg_iovlen = count};
        result = file->ops->socket->receive_message(file, &all, 0);
        skep_fd_put(file);
    } while (skep_posix_goes_on(result));
    return skep_posix_result(result);
}

ssize_t writev(int fd, const struct iovec *buffers, int count)
{
    const struct msghdr all = {.msg_iov = (struct iovec *)buffers, .msg_iovlen = count};
    ssize_t result;
    do {
        struct skep_file *file = socket_or_each(fd, buffers, count, write_next, &result);
        if (file == NULL)
            return result;
        result = file->ops->socket->send_message(file, &all, 0);
        skep_posix_written(file, result, 0);
    } while (skep_posix_goes_on(result));
    return skep_posix_result(result);
}

int close(int fd)
{
    return (int)skep_posix_result(skep_posix_fd_close(fd));
}

int dup(int fd)
{
    return (int)skep_posix_result(skep_posix_fd_dup(fd, 0, false));
}

int dup2(int fd, int target)
{
    return (int)skep_posix_result(skep_posix_fd_dup_to(fd, target, false));
}

int dup3(int fd, int target, int flags)
{
    bool is_right = fd != target && (flags & ~O_CLOEXEC) == 0;
    return (int)skep_posix_result(is_right ? skep_posix_fd_dup_to(fd, target, flags != 0)
                                           : -EINVAL);
}

off_t lseek(int fd, off_t offset, int whence)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return skep_posix_result(-EBADF);
    off_t result = file->ops->lseek ? file->ops->lseek(file, offset, whence) : -ESPIPE;
    skep_fd_put(file);
    return skep_posix_result(result);
}

int fstat(int fd, struct stat *out)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = 0;
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFCHR | 0600;
    out->st_blksize = 1024;
    if (file->ops->stat)
        result = file->ops->stat(file, out);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

static void change_flags(struct skep_file *file, int mask, int flags)
{
    int old = atomic_load_explicit(&file->flags, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&file->flags, &old,
                                                  (old & ~mask) | (flags & mask),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    if (file->ops->flags_changed)
        file->ops->flags_changed(file);
}

/* Locks on files are for processes to agree on, and there is only one: it gets each of them. */
static int file_lock(const struct skep_file *file, int command, struct flock *lock)
{
    bool is_place = lock->l_whence == SEEK_CUR || lock->l_whence == SEEK_END ||
                    (lock->l_whence == SEEK_SET && lock->l_start >= 0);
    bool is_lock = lock->l_type == F_RDLCK || lock->l_type == F_WRLCK;
    if (!is_place || !(is_lock || (lock->l_type == F_UNLCK && command != F_GETLK)))
        return -EINVAL;
    if (command == F_GETLK)
        lock->l_type = F_UNLCK;
    else if (is_lock && !may(file, lock->l_type == F_RDLCK ? O_RDONLY : O_WRONLY))
        return -EBADF;
    return 0;
}

static int file_fcntl(struct skep_file *file, int fd, int command, long argument)
{
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return skep_posix_fd_dup(fd, (int)argument, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return skep_posix_fd_closes(fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
        skep_posix_fd_set_closes(fd, file, (argument & FD_CLOEXEC) != 0);
        return 0;
    case F_GETFL:
        return atomic_load_explicit(&file->flags, memory_order_relaxed);
    case F_SETFL:
        change_flags(file, O_NONBLOCK | O_APPEND, (int)argument);
        return 0;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
        return file_lock(file, command, (struct flock *)argument);
    default:
        return -EINVAL;
    }
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long); /* an int or a pointer: both come in a register */
    va_end(arguments);

    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = file_fcntl(file, fd, command, argument);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

static int file_ioctl(struct skep_file *file, int fd, unsigned long request, void *argument)
{
    if (request == FIOCLEX || request == FIONCLEX) {
        skep_posix_fd_set_closes(fd, file, request == FIOCLEX);
        return 0;
    }
    if (request == FIONBIO) {
        change_flags(file, O_NONBLOCK, *(int *)argument ? O_NONBLOCK : 0);
        return 0;
    }
    return file->ops->ioctl ? file->ops->ioctl(file, request, argument) : -ENOTTY;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);

    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = file_ioctl(file, fd, request, argument);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}
