/*
 * paths.c - calls on paths of a program that has no volumes: its files are those of its image and its spec, and
 * read-only. With volumes fs/posix.c has these names.
 */
#include "paths.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct skep_mutex current_lock; /* guards current */
static char *current; /* the current folder, canonical, on the heap; NULL = the root */

static size_t take_current(char out[SKEP_POSIX_PATH_BYTES])
{
    skep_mutex_lock(&current_lock);
    size_t length = current != NULL ? strlen(current) : 0;
    if (length > 0)
        memcpy(out, current, length + 1);
    skep_mutex_unlock(&current_lock);
    return length;
}

/* Without its last name. What it leaves must be a folder, as on the way of any system. */
static int go_up(char *path, size_t *length)
{
    struct stat status;
    path[*length] = 0;
    int result = *length > 0 ? skep_posix_file_stat(path, &status) : 0;
    if (result == 0 && *length > 0 && !S_ISDIR(status.st_mode))
        result = -ENOTDIR;
    while (result == 0 && *length > 0 && path[--*length] != '/')
        continue;
    return result;
}

static int add_name(char *path, size_t *length, const char *name, size_t bytes)
{
    if (*length + bytes + 2 > SKEP_POSIX_PATH_BYTES || bytes >= 256)
        return -ENAMETOOLONG;
    path[(*length)++] = '/';
    memcpy(path + *length, name, bytes);
    *length += bytes;
    return 0;
}

int skep_posix_canonical(const char *path, char out[SKEP_POSIX_PATH_BYTES])
{
    size_t length = path[0] == '/' ? 0 : take_current(out);
    int result = path[0] == 0 ? -ENOENT : 0;
    while (result == 0 && path[strspn(path, "/")] != 0) {
        path += strspn(path, "/");
        size_t bytes = strcspn(path, "/");
        if (bytes == 2 && memcmp(path, "..", 2) == 0)
            result = go_up(out, &length);
        else if (bytes != 1 || path[0] != '.')
            result = add_name(out, &length, path, bytes);
        path += bytes;
    }
    if (length == 0)
        out[length++] = '/';
    out[length] = 0;
    return result;
}

int skep_posix_folder_path(int fd, char out[SKEP_POSIX_PATH_BYTES])
{
    return skep_posix_file_path(fd, out);
}

static int look(const char *path, char canonical[SKEP_POSIX_PATH_BYTES], struct stat *out)
{
    int result = skep_posix_canonical(path, canonical);
    if (result == 0 && skep_unix_path_stat(path, out) != 0)
        result = skep_posix_file_stat(canonical, out);
    return result == 0 && skep_posix_means_folder(path) && !S_ISDIR(out->st_mode) ? -ENOTDIR
                                                                                  : result;
}

int open(const char *path, int flags, ...)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    int result = skep_posix_canonical(path, canonical);
    if (result == 0 && skep_posix_means_folder(path))
        flags |= O_DIRECTORY;
    if (result == 0)
        result = skep_posix_file_open(canonical, flags);
    return (int)skep_posix_result(result);
}

int stat(const char *path, struct stat *out)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    return (int)skep_posix_result(look(path, canonical, out));
}

int lstat(const char *path, struct stat *out)
{
    return stat(path, out);
}

int access(const char *path, int mode)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    struct stat status;
    int result = mode & ~(R_OK | W_OK | X_OK) ? -EINVAL : look(path, canonical, &status);
    return (int)skep_posix_result(result == 0 ? skep_posix_check_access(&status, mode) : result);
}

char *realpath(const char *path, char *resolved)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    struct stat status;
    int result = path != NULL ? look(path, canonical, &status) : -EINVAL;
    if (result == 0)
        return resolved != NULL ? memcpy(resolved, canonical, strlen(canonical) + 1)
                                : strdup(canonical);
    errno = -result;
    return NULL;
}

int link(const char *old_path, const char *new_path)
{
    int result = skep_posix_keeps(old_path);
    return (int)skep_posix_result(result == -EROFS ? skep_posix_adds_nothing(new_path) : result);
}

int unlink(const char *path)
{
    int result = skep_unix_path_remove(path);
    return (int)skep_posix_result(result == -ENOENT ? skep_posix_keeps(path) : result);
}

int mkdir(const char *path, mode_t mode)
{
    return (int)skep_posix_result(skep_posix_adds_nothing(path));
}

int rmdir(const char *path)
{
    return (int)skep_posix_result(skep_posix_keeps(path));
}

/* rename() is newlib's and calls this. */
int _rename(const char *old_path, const char *new_path);

int _rename(const char *old_path, const char *new_path)
{
    int result = skep_unix_path_rename(old_path, new_path);
    return (int)skep_posix_result(result == -ENOENT ? skep_posix_keeps(old_path) : result);
}

char *getcwd(char *buffer, size_t bytes)
{
    char path[SKEP_POSIX_PATH_BYTES];
    skep_posix_canonical(".", path);
    if (buffer == NULL)
        return strdup(path);
    if (bytes <= strlen(path)) {
        errno = bytes == 0 ? EINVAL : ERANGE;
        return NULL;
    }
    return memcpy(buffer, path, strlen(path) + 1);
}

int chdir(const char *path)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    struct stat status;
    int result = look(path, canonical, &status);
    if (result == 0 && !S_ISDIR(status.st_mode))
        result = -ENOTDIR;
    char *copy = NULL;
    if (result == 0 && strcmp(canonical, "/") != 0 && (copy = strdup(canonical)) == NULL)
        result = -ENOMEM;
    if (result != 0)
        return (int)skep_posix_result(result);
    skep_mutex_lock(&current_lock);
    char *former = current;
    current = copy;
    skep_mutex_unlock(&current_lock);
    free(former);
    return 0;
}
