/*
 * readonly.c - what changes files, for a program without volumes: of its files nothing changes. With volumes fs/posix.c
 * has these names.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

/* Of a path: the error that looking for it has, else the change's. */
static int refuse(const char *path)
{
    struct stat unused;
    return stat(path, &unused) < 0 ? -1 : (int)skep_posix_result(-EROFS);
}

static int refuse_open(int fd)
{
    struct stat unused;
    return fstat(fd, &unused) < 0 ? -1 : (int)skep_posix_result(-EROFS);
}

int chmod(const char *path, mode_t mode)
{
    return skep_unix_path_chmod(path, mode) == 0 ? 0 : refuse(path);
}

int chown(const char *path, uid_t user, gid_t group)
{
    return skep_unix_path_chown(path, user, group) == 0 ? 0 : refuse(path);
}

int lchown(const char *path, uid_t user, gid_t group)
{
    return skep_unix_path_chown(path, user, group) == 0 ? 0 : refuse(path);
}

int truncate(const char *path, off_t bytes)
{
    return refuse(path);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    struct skep_posix_at at;
    if (flags & ~AT_SYMLINK_NOFOLLOW)
        return (int)skep_posix_result(-EINVAL);
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : refuse(path);
}

int fchmod(int fd, mode_t mode)
{
    return refuse_open(fd);
}

int fchown(int fd, uid_t user, gid_t group)
{
    return refuse_open(fd);
}

int futimens(int fd, const struct timespec times[2])
{
    return refuse_open(fd);
}

/* Its result is the error, errno stays. */
int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return EBADF;
    skep_fd_put(file);
    return ENODEV;
}

int symlink(const char *target, const char *path)
{
    return (int)skep_posix_result(target[0] != 0 ? skep_posix_adds_nothing(path) : -ENOENT);
}

/* There are none. */
ssize_t readlink(const char *path, char *out, size_t bytes)
{
    struct stat unused;
    return stat(path, &unused) < 0 ? -1 : skep_posix_result(-EINVAL);
}

int statvfs(const char *path, struct statvfs *out)
{
    struct stat unused;
    if (stat(path, &unused) < 0)
        return -1;
    skep_posix_outside_usage(out);
    return 0;
}

int fstatvfs(int fd, struct statvfs *out)
{
    struct stat unused;
    if (fstat(fd, &unused) < 0)
        return -1;
    skep_posix_outside_usage(out);
    return 0;
}

void sync(void)
{
}
