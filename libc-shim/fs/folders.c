/*
 * folders.c - opendir() and its friends for a program that has volumes. Outside them src/listing.c knows what there is.
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
    int fd;                            /* -1: outside volumes */
    struct skep_posix_listing listing; /* there */
    struct dirent entry;
};

static DIR *make(int fd)
{
    DIR *folder = calloc(1, sizeof(*folder));
    if (folder != NULL)
        folder->fd = fd;
    return folder;
}

static DIR *open_outside(const char *path)
{
    char canonical[FS_PATH_BYTES];
    DIR *folder = make(-1);
    int result = folder != NULL ? fs_canonical(path, canonical) : -ENOMEM;
    if (result == FS_OUTSIDE)
        result = skep_posix_listing_open(&folder->listing, canonical);
    else if (result == 0)
        result = -ENOENT;
    if (result == 0)
        return folder;
    free(folder);
    errno = -result;
    return NULL;
}

DIR *opendir(const char *path)
{
    struct fs_file *file;
    int result = fs_open(path, O_RDONLY | O_DIRECTORY, 0, &file, NULL);
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
    DIR *folder = make(fd);
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
    return make(fd);
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
        return skep_posix_listing_next(&folder->listing, &folder->entry) ? &folder->entry : NULL;
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
        skep_posix_listing_seek(&folder->listing, position);
    else
        lseek(folder->fd, position, SEEK_SET);
}

long telldir(DIR *folder)
{
    return folder->fd < 0 ? folder->listing.position : lseek(folder->fd, 0, SEEK_CUR);
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
    free(folder->listing.path);
    free(folder);
    return result;
}
