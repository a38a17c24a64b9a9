/*
 * fileio.c - calls on descriptors that only files answer: at an offset, of their size, of their way to the disk.
 */
#include <fcntl.h>
#include <sys/file.h>
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
    int result = file->ops->sync ? file->ops->sync(file, data_only) : 0;
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

/* There is one process: it gets each lock. */
int flock(int fd, int operation)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return (int)skep_posix_result(-EBADF);
    skep_fd_put(file);
    return 0;
}
