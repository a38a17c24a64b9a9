/*
 * walk.h - from a path to a place in a volume.
 */
#ifndef LIBC_SHIM_FS_WALK_H
#define LIBC_SHIM_FS_WALK_H

#include "tree.h"
#include "volume.h"

struct fs_place {
    struct fs_volume *volume; /* locked, unless it was already; NULL outside */
    ext2_ino_t
        folder; /* that has the name; 0 = the path ended in . or .. or at the volume's root */
    ext2_ino_t number; /* the file; 0 = the folder has no such name */
    bool slash;        /* the path ended in a slash, so that it must be a folder's */
    char name[FS_NAME_BYTES];
    char outside[FS_PATH_BYTES]; /* the canonical path, outside */
};

/* 0, FS_OUTSIDE, or an error; after both of the last no lock is held. `held`: a volume that the caller has locked. */
int fs_walk(const char *path, bool follow, struct fs_volume *held, struct fs_place *out);
void fs_walk_end(struct fs_place *place, struct fs_volume *held);

/* Returns what fs_walk() did. If that was FS_OUTSIDE, `outside` becomes the path, unless it is NULL. */
int fs_walk_outside(int result, const struct fs_place *place, char outside[FS_PATH_BYTES]);

/* posix.c: whether there is a folder of that path outside volumes: 0, -ENOENT or -ENOTDIR. */
int fs_check_outside(const char *path);

/* A symbolic link's target, and its length. */
ssize_t fs_link_target(struct fs_volume *volume, ext2_ino_t number, char *out, size_t bytes);

#endif
