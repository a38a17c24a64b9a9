/*
 * folders.c - opendir() and its friends. Outside volumes folders are what the paths of the image's files and of volumes
 * imply.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/shim.h"
#include "ext2fs/ext2_fs.h"
#include "posix.h"
#include "tree.h"

struct skep_folder {
    int fd;     /* -1: outside volumes */
    char *path; /* there */
    long index; /* there, of the next path that is looked at */
    struct dirent entry;
};

/*
 * Outside volumes
 */

/* All paths outside, by number: volumes' first. */
static const char *path_number(long index)
{
    unsigned volumes = 0;
    while (fs_tree_path(volumes) != NULL)
        volumes++;
    return index < volumes ? fs_tree_path((unsigned)index)
                           : skep_posix_file_path((unsigned)(index - volumes));
}

/* What follows a folder's path in another, or NULL. */
static const char *below(const char *upper, const char *lower)
{
    size_t length = strcmp(upper, "/") == 0 ? 0 : strlen(upper);
    return strncmp(lower, upper, length) == 0 && lower[length] == '/' ? lower + length + 1 : NULL;
}

bool skep_posix_is_folder(const char *path)
{
    if (strcmp(path, "/") == 0)
        return true;
    const char *other;
    for (long i = 0; (other = path_number(i)) != NULL; i++)
        if (below(path, other) != NULL)
            return true;
    return false;
}

/* Whether a path before this one has the same name in the folder. */
static bool was_named(const char *folder, long index, const char *name, size_t length)
{
    for (long i = 0; i < index; i++) {
        const char *other = below(folder, path_number(i));
        if (other != NULL && strcspn(other, "/") == length && memcmp(other, name, length) == 0)
            return true;
    }
    return false;
}

static struct dirent *read_outside(DIR *folder)
{
    const char *path;
    while ((path = path_number(folder->index)) != NULL) {
        const char *name = below(folder->path, path);
        size_t length = name != NULL ? strcspn(name, "/") : 0;
        long index = folder->index++;
        if (length == 0 || length >= sizeof(folder->entry.d_name) ||
            was_named(folder->path, index, name, length))
            continue;
        struct dirent *entry = &folder->entry;
        memcpy(entry->d_name, name, length);
        entry->d_name[length] = 0;
        entry->d_ino = (ino_t)(index + 1);
        entry->d_off = folder->index;
        /* A volume's path ends in a folder, an image's in a file. */
        entry->d_type =
            name[length] == '/' || fs_tree_path((unsigned)index) != NULL ? DT_DIR : DT_REG;
        return entry;
    }
    return NULL;
}

/*
 * POSIX's calls
 */

static DIR *make(int fd, const char *path)
{
    DIR *folder = calloc(1, sizeof(*folder));
    if (folder == NULL)
        return NULL;
    folder->fd = fd;
    if (path != NULL && (folder->path = strdup(path)) == NULL) {
        free(folder);
        return NULL;
    }
    return folder;
}

static DIR *open_outside(const char *path)
{
    char canonical[FS_PATH_BYTES];
    int result = fs_canonical(path, canonical);
    if (result == FS_OUTSIDE && skep_posix_is_folder(canonical))
        return make(-1, canonical);
    errno = result < 0 ? -result : ENOENT;
    return NULL;
}

DIR *opendir(const char *path)
{
    struct fs_file *file;
    int result = fs_open(path, O_RDONLY | O_DIRECTORY, 0, &file);
    if (result == FS_OUTSIDE)
        return open_outside(path);
    if (result != 0) {
        errno = -result;
        return NULL;
    }
    int fd = skep_fd_open(&skep_posix_volume_ops, file, O_RDONLY);
    if (fd < 0) {
        fs_close(file);
        errno = -fd;
        return NULL;
    }
    DIR *folder = make(fd, NULL);
    if (folder == NULL)
        close(fd);
    return folder;
}

DIR *fdopendir(int fd)
{
    struct stat status;
    struct skep_file *file = skep_fd_get(fd, &skep_posix_volume_ops);
    if (file == NULL) {
        errno = EBADF;
        return NULL;
    }
    fs_stat_file(file->object, &status);
    skep_fd_put(file);
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return NULL;
    }
    return make(fd, NULL);
}

static unsigned char type_of(unsigned type)
{
    static const unsigned char types[] = {
        [EXT2_FT_REG_FILE] = DT_REG, [EXT2_FT_DIR] = DT_DIR,   [EXT2_FT_CHRDEV] = DT_CHR,
        [EXT2_FT_BLKDEV] = DT_BLK,   [EXT2_FT_FIFO] = DT_FIFO, [EXT2_FT_SOCK] = DT_SOCK,
        [EXT2_FT_SYMLINK] = DT_LNK,
    };
    return type < sizeof(types) ? types[type] : DT_UNKNOWN;
}

struct dirent *readdir(DIR *folder)
{
    struct fs_name name;
    if (folder->fd < 0)
        return read_outside(folder);
    struct skep_file *file = skep_fd_get(folder->fd, &skep_posix_volume_ops);
    if (file == NULL) {
        errno = EBADF;
        return NULL;
    }
    int result = fs_read_folder(file->object, &name);
    skep_fd_put(file);
    if (result <= 0) {
        if (result < 0)
            errno = -result;
        return NULL;
    }
    folder->entry.d_ino = (ino_t)name.number;
    folder->entry.d_off = (off_t)name.next;
    folder->entry.d_type = type_of(name.type);
    fs_copy_text(folder->entry.d_name, sizeof(folder->entry.d_name), name.name);
    return &folder->entry;
}

void seekdir(DIR *folder, long position)
{
    if (folder->fd < 0)
        folder->index = position;
    else
        lseek(folder->fd, position, SEEK_SET);
}

long telldir(DIR *folder)
{
    return folder->fd < 0 ? folder->index : lseek(folder->fd, 0, SEEK_CUR);
}

void rewinddir(DIR *folder)
{
    seekdir(folder, 0);
}

int dirfd(DIR *folder)
{
    return folder->fd < 0 ? (int)skep_posix_result(-ENOTSUP) : folder->fd;
}

int closedir(DIR *folder)
{
    int result = folder->fd < 0 ? 0 : close(folder->fd);
    free(folder->path);
    free(folder);
    return result;
}
