/*
 * xattr.c - extended attributes, which no file has.
 */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "shim.h"

/* found: what looking for the file gave. */
static int refuse(int found)
{
    return found < 0 ? -1 : (int)skep_posix_result(-ENOTSUP);
}

ssize_t getxattr(const char *path, const char *name, void *value, size_t bytes)
{
    return refuse(stat(path, &(struct stat){0}));
}

ssize_t lgetxattr(const char *path, const char *name, void *value, size_t bytes)
{
    return refuse(lstat(path, &(struct stat){0}));
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t bytes)
{
    return refuse(fstat(fd, &(struct stat){0}));
}

ssize_t listxattr(const char *path, char *list, size_t bytes)
{
    return refuse(stat(path, &(struct stat){0}));
}

ssize_t llistxattr(const char *path, char *list, size_t bytes)
{
    return refuse(lstat(path, &(struct stat){0}));
}

ssize_t flistxattr(int fd, char *list, size_t bytes)
{
    return refuse(fstat(fd, &(struct stat){0}));
}

int setxattr(const char *path, const char *name, const void *value, size_t bytes, int flags)
{
    return refuse(stat(path, &(struct stat){0}));
}

int lsetxattr(const char *path, const char *name, const void *value, size_t bytes, int flags)
{
    return refuse(lstat(path, &(struct stat){0}));
}

int fsetxattr(int fd, const char *name, const void *value, size_t bytes, int flags)
{
    return refuse(fstat(fd, &(struct stat){0}));
}

int removexattr(const char *path, const char *name)
{
    return refuse(stat(path, &(struct stat){0}));
}

int lremovexattr(const char *path, const char *name)
{
    return refuse(lstat(path, &(struct stat){0}));
}

int fremovexattr(int fd, const char *name)
{
    return refuse(fstat(fd, &(struct stat){0}));
}
