/*
 * ranges.c - what Linux has for ranges of files.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -1;
    if (offset < 0 || bytes <= 0)
        return (int)skep_posix_result(-EINVAL);
    if (mode != 0)
        return (int)skep_posix_result(-EOPNOTSUPP);
    if (S_ISFIFO(status.st_mode))
        return (int)skep_posix_result(-ESPIPE);
    int error = posix_fallocate(fd, offset, bytes);
    return (int)skep_posix_result(error == ENODEV ? -EOPNOTSUPP : -error);
}

/* 0 if it is a regular file, else the error is `other`. */
static int look(int fd, int other)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -1;
    return S_ISREG(status.st_mode) ? 0 : (int)skep_posix_result(-other);
}

ssize_t readahead(int fd, off_t offset, size_t bytes)
{
    return look(fd, EINVAL);
}

int sync_file_range(int fd, off_t offset, off_t bytes, unsigned flags)
{
    const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (flags & ~(wait | SYNC_FILE_RANGE_WRITE) || offset < 0 || bytes < 0)
        return (int)skep_posix_result(-EINVAL);
    if (look(fd, ESPIPE) < 0)
        return -1;
    return flags & wait ? fdatasync(fd) : 0;
}
