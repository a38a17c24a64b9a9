/*
 * fileio.c - calls on descriptors that only files answer: at an offset, of their size, of their way to the disk.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

static bool may(const struct skep_file *file, int what)
{
    int mode = atomic_load_explicit(&file->flags, memory_order_relaxed) & O_ACCMODE;
    return mode == what || mode == O_RDWR;
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return skep_posix_result(-EBADF);
    ssize_t result = -EBADF;
    if (may(file, O_RDONLY))
        result = file->ops->pread ? file->ops->pread(file, data, bytes, offset) : -ESPIPE;
    skep_fd_put(file);
    return skep_posix_result(result);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return skep_posix_result(-EBADF);
    ssize_t result = -EBADF;
    if (may(file, O_WRONLY))
        result = file->ops->pwrite ? file->ops->pwrite(file, data, bytes, offset) : -ESPIPE;
    skep_fd_put(file);
    return skep_posix_result(result);
}

ssize_t preadv(int fd, const struct iovec *buffers, int count, off_t offset)
{
    return skep_posix_each(fd, buffers, count, offset, pread);
}

static ssize_t write_at(int fd, void *data, size_t bytes, off_t offset)
{
    return pwrite(fd, data, bytes, offset);
}

ssize_t pwritev(int fd, const struct iovec *buffers, int count, off_t offset)
{
    return skep_posix_each(fd, buffers, count, offset, write_at);
}

int ftruncate(int fd, off_t bytes)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = -EINVAL;
    if (file->ops->resize && may(file, O_WRONLY))
        result = file->ops->resize(file, bytes);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

static int sync_file(int fd, bool data_only)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = file->ops->sync    ? file->ops->sync(file, data_only)
                 : file->ops->pread ? 0 /* a file that nobody writes */
                                    : -EINVAL;
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

int fsync(int fd)
{
    return sync_file(fd, false);
}

int fdatasync(int fd)
{
    return sync_file(fd, true);
}

/* Nothing is read ahead, and nothing that was read is kept. Its result is the error. */
int posix_fadvise(int fd, off_t offset, off_t bytes, int advice)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return EBADF;
    bool is_file = file->ops->pread != NULL;
    skep_fd_put(file);
    bool is_known = advice >= POSIX_FADV_NORMAL && advice <= POSIX_FADV_NOREUSE;
    return !is_known || bytes < 0 ? EINVAL : is_file ? 0 : ESPIPE;
}

/* There is one process: it gets each lock. */

int lockf(int fd, int command, off_t bytes)
{
    if (command < F_ULOCK || command > F_TEST)
        return (int)skep_posix_result(-EINVAL);
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    int result = command == F_TEST || may(file, O_WRONLY) ? 0 : -EBADF;
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

int flock(int fd, int operation)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    skep_fd_put(file);
    return 0;
}
