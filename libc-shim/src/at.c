/*
 * at.c - calls on paths that begin at an open folder, by the calls without: those of a program with volumes, or without.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "shim.h"

const char *skep_posix_at(int folder, const char *path, struct skep_posix_at *at)
{
    if (folder == AT_FDCWD || path[0] == '/')
        return path;
    int result = path[0] == 0 ? -ENOENT : skep_posix_folder_path(folder, at->text);
    size_t length = result == 0 ? strlen(at->text) : 0, bytes = strlen(path) + 1;
    if (result == 0 && bytes > SKEP_POSIX_PATH_BYTES)
        result = -ENAMETOOLONG;
    if (result != 0) {
        errno = -result;
        return NULL;
    }
    at->text[length] = '/';
    memcpy(at->text + length + 1, path, bytes);
    return at->text;
}

int openat(int folder, const char *path, int flags, ...)
{
    struct skep_posix_at at;
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : open(path, flags, mode);
}

/* Whether a call knows its flags. Of others it says EINVAL. */
static bool knows(int flags, int known)
{
    if (flags & ~known)
        errno = EINVAL;
    return !(flags & ~known);
}

int fstatat(int folder, const char *path, struct stat *out, int flags)
{
    struct skep_posix_at at;
    if (!knows(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -1;
    if (path[0] == 0 && flags & AT_EMPTY_PATH)
        return folder == AT_FDCWD ? stat(".", out) : fstat(folder, out);
    path = skep_posix_at(folder, path, &at);
    if (path == NULL)
        return -1;
    return flags & AT_SYMLINK_NOFOLLOW ? lstat(path, out) : stat(path, out);
}

int faccessat(int folder, const char *path, int mode, int flags)
{
    struct skep_posix_at at;
    struct stat status;
    if (!knows(flags, AT_EACCESS | AT_SYMLINK_NOFOLLOW))
        return -1;
    path = skep_posix_at(folder, path, &at);
    if (path == NULL)
        return -1;
    bool is_link =
        flags & AT_SYMLINK_NOFOLLOW && lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
    return is_link ? 0 : access(path, mode);
}

ssize_t readlinkat(int folder, const char *path, char *out, size_t bytes)
{
    struct skep_posix_at at;
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : readlink(path, out, bytes);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    struct skep_posix_at at;
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : mkdir(path, mode);
}

int unlinkat(int folder, const char *path, int flags)
{
    struct skep_posix_at at;
    if (!knows(flags, AT_REMOVEDIR))
        return -1;
    path = skep_posix_at(folder, path, &at);
    if (path == NULL)
        return -1;
    return flags & AT_REMOVEDIR ? rmdir(path) : unlink(path);
}

int renameat(int old_folder, const char *old_path, int new_folder, const char *new_path)
{
    struct skep_posix_at old, new;
    old_path = skep_posix_at(old_folder, old_path, &old);
    new_path = skep_posix_at(new_folder, new_path, &new);
    return old_path == NULL || new_path == NULL ? -1 : rename(old_path, new_path);
}

int linkat(int old_folder, const char *old_path, int new_folder, const char *new_path, int flags)
{
    struct skep_posix_at old, new;
    char followed[SKEP_POSIX_PATH_BYTES];
    if (!knows(flags, AT_SYMLINK_FOLLOW))
        return -1;
    old_path = skep_posix_at(old_folder, old_path, &old);
    new_path = skep_posix_at(new_folder, new_path, &new);
    if (old_path != NULL && flags & AT_SYMLINK_FOLLOW)
        old_path = realpath(old_path, followed);
    return old_path == NULL || new_path == NULL ? -1 : link(old_path, new_path);
}

int symlinkat(const char *target, int folder, const char *path)
{
    struct skep_posix_at at;
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : symlink(target, path);
}

/* A link has no mode of its own that could be changed. */
int fchmodat(int folder, const char *path, mode_t mode, int flags)
{
    struct skep_posix_at at;
    if (!knows(flags, AT_SYMLINK_NOFOLLOW))
        return -1;
    if (flags & AT_SYMLINK_NOFOLLOW)
        return (int)skep_posix_result(-EOPNOTSUPP);
    path = skep_posix_at(folder, path, &at);
    return path == NULL ? -1 : chmod(path, mode);
}

int fchownat(int folder, const char *path, uid_t user, gid_t group, int flags)
{
    struct skep_posix_at at;
    if (!knows(flags, AT_SYMLINK_NOFOLLOW))
        return -1;
    path = skep_posix_at(folder, path, &at);
    if (path == NULL)
        return -1;
    return flags & AT_SYMLINK_NOFOLLOW ? lchown(path, user, group) : chown(path, user, group);
}

int fchdir(int folder)
{
    struct skep_posix_at at;
    int result = skep_posix_folder_path(folder, at.text);
    return result == 0 ? chdir(at.text) : (int)skep_posix_result(result);
}

/* No file system has pipes or devices. */

int mkfifo(const char *path, mode_t mode)
{
    return (int)skep_posix_result(-EPERM);
}

int mkfifoat(int folder, const char *path, mode_t mode)
{
    return (int)skep_posix_result(-EPERM);
}

int mknod(const char *path, mode_t mode, dev_t device)
{
    return (int)skep_posix_result(-EPERM);
}

int mknodat(int folder, const char *path, mode_t mode, dev_t device)
{
    return (int)skep_posix_result(-EPERM);
}

/*
 * The older ways of setting times
 */

int utimes(const char *path, const struct timeval times[2])
{
    struct timespec exact[2];
    if (times == NULL)
        return utimensat(AT_FDCWD, path, NULL, 0);
    for (int i = 0; i < 2; i++)
        exact[i] = (struct timespec){.tv_sec = times[i].tv_sec, .tv_nsec = times[i].tv_usec * 1000};
    return utimensat(AT_FDCWD, path, exact, 0);
}

int utime(const char *path, const struct utimbuf *times)
{
    if (times == NULL)
        return utimensat(AT_FDCWD, path, NULL, 0);
    const struct timespec exact[2] = {{.tv_sec = times->actime}, {.tv_sec = times->modtime}};
    return utimensat(AT_FDCWD, path, exact, 0);
}
