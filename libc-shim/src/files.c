/*
 * files.c - the read-only files in a guest's image, and /dev/null, /dev/zero and /dev/urandom.
 *
 * The build puts files into the array __start_skep_files; a guest without files has no such array.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

struct embedded_file {
    const char *path;
    const char *data;
    uint64_t bytes;
};

extern const struct embedded_file __start_skep_files[] __attribute__((weak));
extern const struct embedded_file __stop_skep_files[] __attribute__((weak));

/* An open embedded file. */
struct position {
    const struct embedded_file *file;
    struct skep_mutex lock; /* guards offset */
    uint64_t offset;
};

/* Paths are absolute; the current folder is the root. */
static const struct embedded_file *find(const char *path)
{
    while (*path == '/' || (path[0] == '.' && path[1] == '/'))
        path++;
    for (const struct embedded_file *file = __start_skep_files; file < __stop_skep_files; file++)
        if (strcmp(file->path + 1, path) == 0)
            return file;
    return NULL;
}

static void fill_stat(const struct embedded_file *file, struct stat *out)
{
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFREG | 0444;
    out->st_nlink = 1;
    out->st_ino = (ino_t)(file - __start_skep_files + 1);
    out->st_size = (off_t)file->bytes;
    out->st_blksize = 4096;
}

static ssize_t embedded_read(struct skep_file *open_file, void *data, size_t bytes)
{
    struct position *position = open_file->object;
    skep_mutex_lock(&position->lock);
    uint64_t left = position->file->bytes - position->offset;
    if (bytes > left)
        bytes = left;
    memcpy(data, position->file->data + position->offset, bytes);
    position->offset += bytes;
    skep_mutex_unlock(&position->lock);
    return (ssize_t)bytes;
}

static ssize_t embedded_pread(struct skep_file *open_file, void *data, size_t bytes, off_t offset)
{
    const struct position *position = open_file->object;
    if (offset < 0)
        return -EINVAL;
    uint64_t size = position->file->bytes,
             left = (uint64_t)offset < size ? size - (uint64_t)offset : 0;
    if (bytes > left)
        bytes = left;
    if (bytes > 0)
        memcpy(data, position->file->data + offset, bytes);
    return (ssize_t)bytes;
}

static off_t embedded_lseek(struct skep_file *open_file, off_t offset, int whence)
{
    struct position *position = open_file->object;
    off_t size = (off_t)position->file->bytes;
    skep_mutex_lock(&position->lock);
    off_t from = whence == SEEK_SET ? 0 : whence == SEEK_END ? size : (off_t)position->offset;
    off_t target = -EINVAL;
    if (offset >= -from && offset <= size - from) {
        target = from + offset;
        position->offset = (uint64_t)target;
    }
    skep_mutex_unlock(&position->lock);
    return target;
}

static int embedded_stat(struct skep_file *open_file, struct stat *out)
{
    struct position *position = open_file->object;
    fill_stat(position->file, out);
    return 0;
}

static void embedded_close(struct skep_file *open_file)
{
    free(open_file->object);
}

static const struct skep_fd_ops embedded_ops = {
    .read = embedded_read,
    .pread = embedded_pread,
    .lseek = embedded_lseek,
    .stat = embedded_stat,
    .close = embedded_close,
};

static ssize_t null_read(struct skep_file *file, void *data, size_t bytes)
{
    return 0;
}

static ssize_t zero_read(struct skep_file *file, void *data, size_t bytes)
{
    memset(data, 0, bytes);
    return (ssize_t)bytes;
}

static ssize_t random_read(struct skep_file *file, void *data, size_t bytes)
{
    skep_random(data, bytes);
    return (ssize_t)bytes;
}

static ssize_t null_write(struct skep_file *file, const void *data, size_t bytes)
{
    return (ssize_t)bytes;
}

static void null_close(struct skep_file *file)
{
}

static const struct {
    const char *path;
    struct skep_fd_ops ops;
} devices[] = {
    {"/dev/null", {.read = null_read, .write = null_write, .close = null_close}},
    {"/dev/zero", {.read = zero_read, .write = null_write, .close = null_close}},
    {"/dev/random", {.read = random_read, .write = null_write, .close = null_close}},
    {"/dev/urandom", {.read = random_read, .write = null_write, .close = null_close}},
};

static const struct skep_fd_ops *find_device(const char *path)
{
    for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
        if (strcmp(devices[i].path, path) == 0)
            return &devices[i].ops;
    return NULL;
}

int skep_posix_file_open(const char *path, int flags)
{
    const struct skep_fd_ops *device = find_device(path);
    if (device != NULL)
        return skep_fd_open(device, NULL, flags);
    const struct embedded_file *file = find(path);
    if (file == NULL)
        return flags & O_CREAT ? -EROFS : -ENOENT;
    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EROFS;

    struct position *position = calloc(1, sizeof(*position));
    if (position == NULL)
        return -ENOMEM;
    position->file = file;
    int fd = skep_fd_open(&embedded_ops, position, flags);
    if (fd < 0)
        free(position);
    return fd;
}

int skep_posix_file_stat(const char *path, struct stat *out)
{
    const struct embedded_file *file = find(path);
    if (file != NULL) {
        fill_stat(file, out);
        return 0;
    }
    if (find_device(path) == NULL && strcmp(path, "/") != 0)
        return -ENOENT;
    memset(out, 0, sizeof(*out));
    out->st_mode = find_device(path) ? S_IFCHR | 0666 : S_IFDIR | 0555;
    return 0;
}

const char *skep_posix_file_path(unsigned index)
{
    return index < (size_t)(__stop_skep_files - __start_skep_files) ? __start_skep_files[index].path
                                                                    : NULL;
}
