/*
 * paths.c - calls on paths of a program that has no volumes: its files are those in its image, and read-only. With volumes
 * fs/posix.c has these names.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

int open(const char *path, int flags, ...)
{
    return (int)skep_posix_result(skep_posix_file_open(path, flags));
}

int stat(const char *path, struct stat *out)
{
    return (int)skep_posix_result(skep_posix_file_stat(path, out));
}

int lstat(const char *path, struct stat *out)
{
    return stat(path, out);
}

int access(const char *path, int mode)
{
    struct stat unused;
    if (stat(path, &unused) < 0)
        return -1;
    return mode & W_OK ? (int)skep_posix_result(-EROFS) : 0;
}

int link(const char *old_path, const char *new_path)
{
    return (int)skep_posix_result(-EROFS);
}

int unlink(const char *path)
{
    return (int)skep_posix_result(-EROFS);
}

int mkdir(const char *path, mode_t mode)
{
    return (int)skep_posix_result(-EROFS);
}

int rmdir(const char *path)
{
    return (int)skep_posix_result(-EROFS);
}

/* rename() is newlib's and calls this. */
int _rename(const char *old_path, const char *new_path);

int _rename(const char *old_path, const char *new_path)
{
    return (int)skep_posix_result(-EROFS);
}

char *getcwd(char *buffer, size_t bytes)
{
    if (buffer == NULL)
        return strdup("/");
    if (bytes < 2) {
        errno = bytes == 0 ? EINVAL : ERANGE;
        return NULL;
    }
    return memcpy(buffer, "/", 2);
}

int chdir(const char *path)
{
    return strcmp(path, "/") == 0 ? 0 : (int)skep_posix_result(-ENOENT);
}
