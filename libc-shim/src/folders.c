/*
 * folders.c - opendir() and its friends for a program that has no volumes; with volumes fs/folders.c has these names.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "paths.h"
#include "shim.h"

struct skep_folder {
    int fd; /* whose folder it is; -1: none's */
    struct skep_posix_listing listing;
    struct dirent entry;
};

DIR *opendir(const char *path)
{
    char canonical[SKEP_POSIX_PATH_BYTES];
    DIR *folder = malloc(sizeof(*folder));
    int result = folder != NULL ? skep_posix_canonical(path, canonical) : -ENOMEM;
    if (result == 0)
        result = skep_posix_listing_open(&folder->listing, canonical);
    if (result == 0) {
        folder->fd = -1;
        return folder;
    }
    free(folder);
    errno = -result;
    return NULL;
}

DIR *fdopendir(int fd)
{
    char path[SKEP_POSIX_PATH_BYTES];
    int result = skep_posix_file_path(fd, path);
    if (result != 0) {
        errno = -result;
        return NULL;
    }
    DIR *folder = opendir(path);
    if (folder != NULL)
        folder->fd = fd;
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
    return folder->fd < 0 ? (int)skep_posix_result(-ENOTSUP) : folder->fd;
}

int closedir(DIR *folder)
{
    int result = folder->fd < 0 ? 0 : close(folder->fd);
    free(folder->listing.path);
    free(folder);
    return result;
}
