/*
 * folders.c - opendir() and its friends for a program that has no volumes; with volumes fs/folders.c has these names.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim.h"

struct skep_folder {
    int fd;
    struct skep_posix_listing listing;
    struct dirent entry;
};

DIR *fdopendir(int fd)
{
    char path[SKEP_POSIX_PATH_BYTES];
    DIR *folder = malloc(sizeof(*folder));
    int result = folder != NULL ? skep_posix_file_path(fd, path) : -ENOMEM;
    if (result == 0)
        result = skep_posix_listing_open(&folder->listing, path);
    if (result == 0) {
        folder->fd = fd;
        return folder;
    }
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

struct dirent *readdir(DIR *folder)
{
    return skep_posix_listing_next(&folder->listing, &folder->entry) ? &folder->entry : NULL;
}

void seekdir(DIR *folder, long position)
{
    skep_posix_listing_seek(&folder->listing, position);
}

long telldir(DIR *folder)
{
    return folder->listing.position;
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
