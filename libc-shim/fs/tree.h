/*
 * tree.h - mounted volumes by path, and what POSIX's calls do there. posix.c gives them POSIX's names.
 *
 * Results are 0 (or a positive result) or a negative errno; FS_OUTSIDE = the path is in no volume, and nothing was done.
 * Any thread may call any of these functions; each volume has one lock, which is held while its disk is waited for.
 */
#ifndef LIBC_SHIM_FS_TREE_H
#define LIBC_SHIM_FS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define FS_OUTSIDE    1
#define FS_PATH_BYTES 1024
#define FS_NAME_BYTES 256

struct fs_volume;
struct fs_node;

/* Copies what there is room for, and ends it. */
static inline void fs_copy_text(char *out, size_t room, const char *text)
{
    size_t length = strlen(text);
    if (length >= room)
        length = room - 1;
    memcpy(out, text, length);
    out[length] = 0;
}

/* An open file or folder. */
struct fs_file {
    struct fs_volume *volume;
    struct fs_node *node;
    uint64_t position; /* guarded by the volume's lock */
};

struct fs_usage {
    uint64_t block_bytes, blocks, free_blocks, files, free_files;
    bool read_only;
};

/* Mounts the block device called name at an absolute path that is in no other volume and has none. */
int fs_tree_mount(const char *name, const char *path, unsigned flags);

/* Unmounts everything. The first error. Nothing is open any more, and nobody else is there. */
int fs_tree_unmount(void);

/* The same at the end of a program whose other threads may still run: they wait for ever from now on. -ETIMEDOUT: one of
 * them had a volume until the deadline. */
int fs_tree_end(uint64_t deadline_ns);

/* As a power cut would: nothing more is written. For tests. */
void fs_tree_discard(void);

/* Volumes' paths, for the listing of the folder that they are in; NULL behind the last. */
const char *fs_tree_path(unsigned index);

int fs_tree_commit_all(void);

/* Of these two FS_OUTSIDE also writes the path, as fs_canonical() does, unless `outside` is NULL. */
int fs_open(const char *path, int flags, mode_t mode, struct fs_file **out,
            char outside[FS_PATH_BYTES]);
int fs_stat(const char *path, bool follow, struct stat *out, char outside[FS_PATH_BYTES]);

void fs_close(struct fs_file *file);
ssize_t fs_read(struct fs_file *file, void *data, size_t bytes);
ssize_t fs_write(struct fs_file *file, const void *data, size_t bytes, int flags);
ssize_t fs_pread(struct fs_file *file, void *data, size_t bytes, off_t offset);
ssize_t fs_pwrite(struct fs_file *file, const void *data, size_t bytes, off_t offset, int flags);
off_t fs_seek(struct fs_file *file, off_t offset, int whence);
int fs_stat_file(struct fs_file *file, struct stat *out);
int fs_sync(struct fs_file *file, bool data_only);
int fs_resize(struct fs_file *file, off_t bytes);
int fs_allocate(struct fs_file *file, off_t offset, off_t bytes);
int fs_chmod_file(struct fs_file *file, mode_t mode);
int fs_chown_file(struct fs_file *file, uid_t user, gid_t group);
int fs_set_times_file(struct fs_file *file, const struct timespec times[2]);
int fs_usage_file(struct fs_file *file, struct fs_usage *out);

/* The next name of a folder, at file->position, which it moves on; 0 = there are no more, 1 = out is one. */
struct fs_name {
    uint64_t number, next; /* next: the position behind it */
    unsigned type;         /* an EXT2_FT_… */
    char name[FS_NAME_BYTES];
};
int fs_read_folder(struct fs_file *file, struct fs_name *out);

int fs_unlink(const char *path);
int fs_mkdir(const char *path, mode_t mode);
int fs_rmdir(const char *path);
int fs_rename(const char *old_path, const char *new_path);
int fs_link(const char *old_path, const char *new_path);
int fs_symlink(const char *target, const char *path);
ssize_t fs_readlink(const char *path, char *out, size_t bytes);
int fs_truncate(const char *path, off_t bytes);
int fs_chmod(const char *path, mode_t mode);
int fs_chown(const char *path, bool follow, uid_t user, gid_t group);
int fs_set_times(const char *path, bool follow, const struct timespec times[2]);
int fs_usage(const char *path, struct fs_usage *out);

/* The current folder, as an absolute path. FS_OUTSIDE: out is the path, which may not exist. */
int fs_chdir(const char *path);
int fs_canonical(const char *path, char out[FS_PATH_BYTES]);
int fs_real_path(const char *path,
                 char out[FS_PATH_BYTES]); /* the same for what is no folder, too */
int fs_path_of(struct fs_file *file, char out[FS_PATH_BYTES]);
void fs_current(char out[FS_PATH_BYTES]);
void fs_set_current(const char *path);

#endif
