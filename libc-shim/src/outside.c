/*
 * outside.c - what calls on paths and files have in common where there is no volume: everywhere in a program without
 * FILESYSTEM, and outside volumes in one with it. Nothing changes there.
 */
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "shim.h"

int skep_posix_keeps(const char *path)
{
    struct stat unused;
    return lstat(path, &unused) < 0 ? -errno : -EROFS;
}

/* The folder that a path's last name is in. */
static int look_at_parent(const char *path)
{
    struct stat status;
    char parent[SKEP_POSIX_PATH_BYTES];
    size_t bytes = strlen(path);
    while (bytes > 0 && path[bytes - 1] == '/')
        bytes--;
    while (bytes > 0 && path[bytes - 1] != '/')
        bytes--;
    if (bytes >= sizeof(parent))
        return -ENAMETOOLONG;
    memcpy(parent, path, bytes);
    parent[bytes] = 0;
    if (stat(bytes > 0 ? parent : ".", &status) < 0)
        return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int skep_posix_adds_nothing(const char *path)
{
    struct stat unused;
    if (path[0] == 0)
        return -ENOENT;
    if (lstat(path, &unused) == 0)
        return -EEXIST;
    int result = look_at_parent(path);
    return result != 0 ? result : -EROFS;
}

void skep_posix_outside_usage(struct statvfs *out)
{
    *out = (struct statvfs){
        .f_bsize = SKEP_PAGE_SIZE,
        .f_frsize = SKEP_PAGE_SIZE,
        .f_flag = ST_RDONLY,
        .f_namemax = 255,
    };
}

/*
 * Names of UNIX sockets, for a program that has none: with them unix_names.c has these functions
 */

__attribute__((weak)) int skep_unix_path_stat(const char *path, struct stat *out)
{
    return -ENOENT;
}

__attribute__((weak)) int skep_unix_path_chmod(const char *path, mode_t mode)
{
    return -ENOENT;
}

__attribute__((weak)) int skep_unix_path_chown(const char *path, uid_t user, gid_t group)
{
    return -ENOENT;
}

__attribute__((weak)) int skep_unix_path_remove(const char *path)
{
    return -ENOENT;
}

__attribute__((weak)) int skep_unix_path_rename(const char *path, const char *to)
{
    return -ENOENT;
}
