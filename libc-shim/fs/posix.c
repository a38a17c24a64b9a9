/*
 * posix.c - POSIX's calls on paths and files for programs with volumes. Paths outside them lead to the image's files, as
 * they do without (src/paths.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../src/shim.h"
#include "posix.h"
#include "skep/fd.h"
#include "tree.h"
#include "walk.h"

static int flags_of(const struct skep_file *file)
{
    return atomic_load_explicit(&file->flags, memory_order_relaxed);
}

static ssize_t volume_read(struct skep_file *file, void *data, size_t bytes)
{
    return fs_read(file->object, data, bytes);
}

static ssize_t volume_write(struct skep_file *file, const void *data, size_t bytes)
{
    return fs_write(file->object, data, bytes, flags_of(file));
}

static ssize_t volume_pread(struct skep_file *file, void *data, size_t bytes, off_t offset)
{
    return fs_pread(file->object, data, bytes, offset);
}

static ssize_t volume_pwrite(struct skep_file *file, const void *data, size_t bytes, off_t offset)
{
    return fs_pwrite(file->object, data, bytes, offset, flags_of(file));
}

static void volume_close(struct skep_file *file)
{
    fs_close(file->object);
}

static off_t volume_lseek(struct skep_file *file, off_t offset, int whence)
{
    return fs_seek(file->object, offset, whence);
}

static int volume_stat(struct skep_file *file, struct stat *out)
{
    return fs_stat_file(file->object, out);
}

static int volume_resize(struct skep_file *file, off_t bytes)
{
    return fs_resize(file->object, bytes);
}

static int volume_sync(struct skep_file *file, bool data_only)
{
    return fs_sync(file->object, data_only);
}

const struct skep_fd_ops skep_posix_volume_ops = {
    .read = volume_read,
    .write = volume_write,
    .pread = volume_pread,
    .pwrite = volume_pwrite,
    .close = volume_close,
    .lseek = volume_lseek,
    .stat = volume_stat,
    .resize = volume_resize,
    .sync = volume_sync,
};

/* Of what removes or changes the name, or adds it: outside volumes nothing changes, and nothing is there but the image's
 * files and the folders on the way to them. */
static int removed(const char *path, int result)
{
    return (int)skep_posix_result(result == FS_OUTSIDE ? skep_posix_keeps(path) : result);
}

static int added(const char *path, int result)
{
    return (int)skep_posix_result(result == FS_OUTSIDE ? skep_posix_adds_nothing(path) : result);
}

int fs_check_outside(const char *path)
{
    struct stat status;
    int result = skep_posix_file_stat(path, &status);
    return result == 0 && !S_ISDIR(status.st_mode) ? -ENOTDIR : result;
}

int skep_posix_folder_path(int fd, char out[SKEP_POSIX_PATH_BYTES])
{
    struct stat status;
    struct skep_file *file = skep_fd_get(fd, &skep_posix_volume_ops);
    if (file == NULL)
        return skep_posix_file_path(fd, out);
    int result = fs_stat_file(file->object, &status);
    if (result == 0 && !S_ISDIR(status.st_mode))
        result = -ENOTDIR;
    if (result == 0)
        result = fs_path_of(file->object, out);
    skep_fd_put(file);
    return result;
}

/*
 * Opening and looking
 */

/* What a new file or folder gets of the mode that was asked for. */
static mode_t masked(mode_t mode)
{
    return mode & ~atomic_load_explicit(&skep_posix_mask, memory_order_relaxed);
}

static int open_path(const char *path, int flags, mode_t mode)
{
    char outside[FS_PATH_BYTES];
    struct fs_file *file;
    int result = fs_open(path, flags, masked(mode), &file, outside);
    if (result == FS_OUTSIDE)
        return skep_posix_file_open(outside,
                                    flags | (skep_posix_means_folder(path) ? O_DIRECTORY : 0));
    if (result != 0)
        return result;
    int fd = skep_fd_open(&skep_posix_volume_ops, file,
                          flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_CLOEXEC));
    if (fd < 0)
        fs_close(file);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
    va_end(arguments);
    return (int)skep_posix_result(open_path(path, flags, mode));
}

static int stat_path(const char *path, bool follow, struct stat *out)
{
    char outside[FS_PATH_BYTES];
    if (skep_unix_path_stat(path, out) == 0)
        return 0;
    int result = fs_stat(path, follow, out, outside);
    if (result != FS_OUTSIDE)
        return result;
    result = skep_posix_file_stat(outside, out);
    return result == 0 && skep_posix_means_folder(path) && !S_ISDIR(out->st_mode) ? -ENOTDIR
                                                                                  : result;
}

int stat(const char *path, struct stat *out)
{
    return (int)skep_posix_result(stat_path(path, true, out));
}

int lstat(const char *path, struct stat *out)
{
    return (int)skep_posix_result(stat_path(path, false, out));
}

/* A guest is root: it may do anything that the volume lets it, but execute what nobody may. */
int access(const char *path, int mode)
{
    struct fs_usage usage;
    struct stat status;
    int result = mode & ~(R_OK | W_OK | X_OK) ? -EINVAL : stat_path(path, true, &status);
    if (result == 0)
        result = S_ISSOCK(status.st_mode) ? FS_OUTSIDE : fs_usage(path, &usage);
    if (result == FS_OUTSIDE)
        result = skep_posix_check_access(&status, mode);
    else if (result == 0 && (mode & W_OK) && usage.read_only)
        result = -EROFS;
    else if (result == 0 && (mode & X_OK) && !(status.st_mode & 0111) && !S_ISDIR(status.st_mode))
        result = -EACCES;
    return (int)skep_posix_result(result);
}

ssize_t readlink(const char *path, char *out, size_t bytes)
{
    ssize_t result = fs_readlink(path, out, bytes);
    struct stat unused;
    /* FS_OUTSIDE is a length as well, so the path has to be asked again. */
    if (result == FS_OUTSIDE && fs_stat(path, false, &unused, NULL) == FS_OUTSIDE) {
        int found = stat_path(path, false, &unused);
        result = found != 0 ? found : -EINVAL;
    }
    return skep_posix_result(result);
}

/*
 * Names
 */

/* A UNIX socket's name goes first, or a file. */
static int unlink_path(const char *path)
{
    int result = skep_unix_path_remove(path);
    return result == -ENOENT ? fs_unlink(path) : result;
}

int unlink(const char *path)
{
    return removed(path, unlink_path(path));
}

int rmdir(const char *path)
{
    return removed(path, fs_rmdir(path));
}

int remove(const char *path)
{
    int result = unlink_path(path);
    return removed(path, result == -EISDIR ? fs_rmdir(path) : result);
}

/* newlib's own callers use this name, and would bring its remove() with it. */
int _remove_r(struct _reent *reent, const char *path)
{
    return remove(path);
}

int mkdir(const char *path, mode_t mode)
{
    return added(path, fs_mkdir(path, masked(mode)));
}

int link(const char *old_path, const char *new_path)
{
    return removed(old_path, fs_link(old_path, new_path));
}

int symlink(const char *target, const char *path)
{
    return added(path, fs_symlink(target, path));
}

/* rename() is newlib's and calls this. */
int _rename(const char *old_path, const char *new_path);

int _rename(const char *old_path, const char *new_path)
{
    int result = skep_unix_path_rename(old_path, new_path);
    if (result == -ENOENT) {
        result = fs_rename(old_path, new_path);
        if (result == 0)
            skep_unix_path_remove(new_path); /* the file is what has the name now */
    }
    return removed(old_path, result);
}

/*
 * What files are
 */

int truncate(const char *path, off_t bytes)
{
    return removed(path, fs_truncate(path, bytes));
}

int chmod(const char *path, mode_t mode)
{
    int result = skep_unix_path_chmod(path, mode);
    return removed(path, result == -ENOENT ? fs_chmod(path, mode) : result);
}

int chown(const char *path, uid_t user, gid_t group)
{
    int result = skep_unix_path_chown(path, user, group);
    return removed(path, result == -ENOENT ? fs_chown(path, true, user, group) : result);
}

int lchown(const char *path, uid_t user, gid_t group)
{
    int result = skep_unix_path_chown(path, user, group);
    return removed(path, result == -ENOENT ? fs_chown(path, false, user, group) : result);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    struct skep_posix_at at;
    if (flags & ~AT_SYMLINK_NOFOLLOW)
        return (int)skep_posix_result(-EINVAL);
    path = skep_posix_at(folder, path, &at);
    if (path == NULL)
        return -1;
    return removed(path, fs_set_times(path, !(flags & AT_SYMLINK_NOFOLLOW), times));
}

/* The file behind a descriptor, if it lies in a volume: else NULL, and errno, `error` for another file. skep_fd_put()
 * gives it back. */
static struct skep_file *volume_file(int fd, int error)
{
    struct skep_file *file = skep_fd_get(fd, &skep_posix_volume_ops);
    if (file != NULL)
        return file;
    struct skep_file *other = skep_fd_get(fd, NULL);
    if (other != NULL)
        skep_fd_put(other);
    errno = other != NULL ? error : EBADF;
    return NULL;
}

int fchmod(int fd, mode_t mode)
{
    struct skep_file *file = volume_file(fd, EROFS);
    if (file == NULL)
        return -1;
    int result = fs_chmod_file(file->object, mode);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

int fchown(int fd, uid_t user, gid_t group)
{
    struct skep_file *file = volume_file(fd, EROFS);
    if (file == NULL)
        return -1;
    int result = fs_chown_file(file->object, user, group);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

int futimens(int fd, const struct timespec times[2])
{
    struct skep_file *file = volume_file(fd, EROFS);
    if (file == NULL)
        return -1;
    int result = fs_set_times_file(file->object, times);
    skep_fd_put(file);
    return (int)skep_posix_result(result);
}

/* Its result is the error, errno stays. */
int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    int before = errno, result;
    struct skep_file *file = volume_file(fd, ENODEV);
    if (file == NULL) {
        result = errno;
    } else {
        result = (flags_of(file) & O_ACCMODE) == O_RDONLY
                     ? EBADF
                     : -fs_allocate(file->object, offset, bytes);
        skep_fd_put(file);
    }
    errno = before;
    return result;
}

static void fill_statvfs(const struct fs_usage *usage, struct statvfs *out)
{
    *out = (struct statvfs){
        .f_bsize = usage->block_bytes,
        .f_frsize = usage->block_bytes,
        .f_blocks = usage->blocks,
        .f_bfree = usage->free_blocks,
        .f_bavail = usage->free_blocks,
        .f_files = usage->files,
        .f_ffree = usage->free_files,
        .f_favail = usage->free_files,
        .f_flag = usage->read_only ? ST_RDONLY : 0,
        .f_namemax = FS_NAME_BYTES - 1,
    };
}

int statvfs(const char *path, struct statvfs *out)
{
    struct fs_usage usage;
    struct stat unused;
    int result = fs_usage(path, &usage);
    if (result == 0) {
        fill_statvfs(&usage, out);
    } else if (result == FS_OUTSIDE) {
        result = stat_path(path, true, &unused);
        skep_posix_outside_usage(out);
    }
    return (int)skep_posix_result(result);
}

int fstatvfs(int fd, struct statvfs *out)
{
    struct fs_usage usage;
    struct skep_file *file = volume_file(fd, EROFS);
    if (file == NULL && errno == EBADF)
        return -1;
    if (file == NULL) {
        skep_posix_outside_usage(out);
        return 0;
    }
    int result = fs_usage_file(file->object, &usage);
    skep_fd_put(file);
    fill_statvfs(&usage, out);
    return (int)skep_posix_result(result);
}

void sync(void)
{
    fs_tree_commit_all();
}

/*
 * The current folder
 */

int chdir(const char *path)
{
    char canonical[FS_PATH_BYTES];
    int result = fs_chdir(path);
    if (result == FS_OUTSIDE) {
        result = fs_canonical(path, canonical);
        if (result == FS_OUTSIDE) {
            struct stat status;
            result = stat_path(path, true, &status);
            if (result == 0 && !S_ISDIR(status.st_mode))
                result = -ENOTDIR;
            if (result == 0)
                fs_set_current(canonical);
        }
    }
    return (int)skep_posix_result(result);
}

char *realpath(const char *path, char *resolved)
{
    char canonical[FS_PATH_BYTES];
    int result = path != NULL ? fs_real_path(path, canonical) : -EINVAL;
    struct stat status;
    if (result == FS_OUTSIDE)
        result = stat_path(path, true, &status);
    if (result == 0)
        return resolved != NULL ? memcpy(resolved, canonical, strlen(canonical) + 1)
                                : strdup(canonical);
    errno = -result;
    return NULL;
}

char *getcwd(char *buffer, size_t bytes)
{
    char current[FS_PATH_BYTES];
    struct stat status;
    fs_current(current);
    int result = stat_path(current, true, &status);
    if (result != 0) {
        errno = -result; /* it has been removed */
        return NULL;
    }
    if (buffer == NULL)
        return strdup(current);
    if (bytes <= strlen(current)) {
        errno = bytes == 0 ? EINVAL : ERANGE;
        return NULL;
    }
    fs_copy_text(buffer, bytes, current);
    return buffer;
}
