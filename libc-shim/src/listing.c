/*
 * listing.c - folders outside volumes: what the paths of files (files.c) and of volumes imply.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

/* fs/walk.c, linked only if the program has volumes: their paths by number; NULL behind the last. */
const char *fs_tree_path(unsigned index) __attribute__((weak));

static const char *volume_path(long index)
{
    return fs_tree_path != NULL ? fs_tree_path((unsigned)index) : NULL;
}

/* What follows a folder's path in another, or NULL. */
static const char *below(const char *upper, const char *lower)
{
    size_t length = strcmp(upper, "/") == 0 ? 0 : strlen(upper);
    return strncmp(lower, upper, length) == 0 && lower[length] == '/' ? lower + length + 1 : NULL;
}

bool skep_posix_leads_to_volume(const char *path)
{
    const char *volume;
    for (long i = 0; (volume = volume_path(i)) != NULL; i++)
        if (below(path, volume) != NULL)
            return true;
    return false;
}

bool skep_posix_means_folder(const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash != NULL ? slash + 1 : path;
    return *last == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

int skep_posix_check_access(const struct stat *status, int mode)
{
    if (mode & W_OK)
        return S_ISCHR(status->st_mode) || S_ISSOCK(status->st_mode) ? 0 : -EROFS;
    return mode & X_OK && !(status->st_mode & 0111) ? -EACCES : 0;
}

/* Whether one of the first `count` volumes is, or lies below, this name of the folder. */
static bool volume_has(const char *folder, long count, const char *name, size_t length)
{
    const char *path;
    for (long i = 0; i < count && (path = volume_path(i)) != NULL; i++) {
        const char *other = below(folder, path);
        if (other != NULL && strcspn(other, "/") == length && memcmp(other, name, length) == 0)
            return true;
    }
    return false;
}

static void fill(struct skep_posix_listing *listing, struct dirent *out, const char *name,
                 size_t length, unsigned char type)
{
    memcpy(out->d_name, name, length);
    out->d_name[length] = 0;
    out->d_ino = (ino_t)listing->position;
    out->d_off = listing->position;
    out->d_type = type;
}

static bool next_volume(struct skep_posix_listing *listing, struct dirent *out)
{
    const char *path;
    while ((path = volume_path(listing->position)) != NULL) {
        const char *name = below(listing->path, path);
        size_t length = name != NULL ? strcspn(name, "/") : 0;
        long index = listing->position++;
        if (length == 0 || length >= sizeof(out->d_name) ||
            volume_has(listing->path, index, name, length))
            continue;
        fill(listing, out, name, length, DT_DIR);
        return true;
    }
    return false;
}

bool skep_posix_listing_next(struct skep_posix_listing *listing, struct dirent *out)
{
    char name[sizeof(listing->last)];
    unsigned char type;
    if (next_volume(listing, out))
        return true;
    while (skep_posix_file_next(listing->path, listing->last, name, &type)) {
        size_t length = strlen(name);
        memcpy(listing->last, name, length + 1);
        listing->position++;
        if (volume_has(listing->path, listing->position, name, length))
            continue;
        fill(listing, out, name, length, type);
        return true;
    }
    return false;
}

int skep_posix_listing_open(struct skep_posix_listing *listing, const char *path)
{
    memset(listing, 0, sizeof(*listing));
    listing->path = strdup(path);
    return listing->path != NULL ? 0 : -ENOMEM;
}

void skep_posix_listing_seek(struct skep_posix_listing *listing, long position)
{
    struct dirent unused;
    listing->position = 0;
    listing->last[0] = 0;
    while (listing->position < position && skep_posix_listing_next(listing, &unused))
        continue;
}
