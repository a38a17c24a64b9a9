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
    int fd;
    bool is_outside;                   /* of volumes */
    struct skep_posix_listing listing; /* there */
    struct dirent entry;
};

/* Whose folder it is. */
static int look(DIR *folder)
{
    char path[SKEP_POSIX_PATH_BYTES];
    struct stat status;
    struct skep_file *file = skep_fd_get(folder->fd, &skep_posix_volume_ops);
    folder->is_outside = file == NULL;
    if (folder->is_outside) {
        int result = skep_posix_file_path(folder->fd, path);
        return result == 0 ? skep_posix_listing_open(&folder->listing, path) : result;
    }
    fs_stat_file(file->object, &status);
    skep_fd_put(file);
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

DIR *fdopendir(int fd)
{
    DIR *folder = calloc(1, sizeof(*folder));
    if (folder == NULL)
        return NULL;
    folder->fd = fd;
    int result = look(folder);
    if (result == 0)
        return folder;
    free(folder);
    errno = -result;
    return NULL;
}

DIR *opendir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && folder == NULL)
        close(fd);
    return folder;
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
    if (folder->is_outside)
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
    if (folder->is_outside)
        skep_posix_listing_seek(&folder->listing, position);
    else
        lseek(folder->fd, position, SEEK_SET);
}

long telldir(DIR *folder)
{
    return folder->is_outside ? folder->listing.position : lseek(folder->fd, 0, SEEK_CUR);
}

void rewinddir(DIR *folder)
{
    seekdir(folder, 0);
}

int dirfd(DIR *folder)
{
    return folder->fd;
}

int closedir(DIR *folder)
{
    int result = close(folder->fd);
    free(folder->listing.path);
    free(folder);
    return result;
}
