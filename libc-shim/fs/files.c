/*
 * files.c - open files, and folders that are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walk.h"

static struct fs_volume *lock(const struct fs_file *file)
{
    skep_mutex_lock(&file->volume->lock);
    return file->volume;
}

static bool wants_to_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

/*
 * Opening
 */

static int create(struct fs_place *place, mode_t mode, struct fs_node **out)
{
    struct fs_volume *volume = place->volume;
    struct fs_node *node;
    int result = fs_change_begin(volume);
    if (result == 0)
        result = fs_reserve(volume, 0);
    if (result != 0)
        return result;
    result = fs_node_new(volume, place->folder, LINUX_S_IFREG | (mode & 07777), &node);
    if (result != 0)
        return fs_change_end(volume, result);
    result = fs_folder_add(volume, place->folder, place->name, node);
    if (result != 0) {
        node->inode.i_links_count = 0;
        fs_node_orphan(volume, node);
    }
    result = fs_change_end(volume, result);
    if (result == 0)
        *out = node;
    else
        fs_node_put(volume, node);
    return result;
}

static int check_open(const struct fs_volume *volume, const struct fs_node *node, int flags)
{
    if (LINUX_S_ISDIR(node->inode.i_mode))
        return wants_to_write(flags) || (flags & O_CREAT) ? -EISDIR : 0;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if (LINUX_S_ISLNK(node->inode.i_mode))
        return -ELOOP;
    if (!LINUX_S_ISREG(node->inode.i_mode))
        return -ENXIO;
    return volume->read_only && (wants_to_write(flags) || (flags & O_TRUNC)) ? -EROFS : 0;
}

static int open_present(struct fs_place *place, int flags, struct fs_node **out)
{
    struct fs_volume *volume = place->volume;
    struct fs_node *node;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    int result = fs_node_get(volume, place->number, &node);
    if (result != 0)
        return result;
    result = check_open(volume, node, flags);
    if (result == 0 && (flags & O_TRUNC) && wants_to_write(flags) && fs_node_size(node) > 0)
        result = fs_data_resize(volume, node, 0);
    if (result == 0)
        *out = node;
    else
        fs_node_put(volume, node);
    return result;
}

static int open_place(struct fs_place *place, int flags, mode_t mode, struct fs_node **out)
{
    if (place->number != 0)
        return open_present(place, flags, out);
    if (!(flags & O_CREAT))
        return -ENOENT;
    return place->slash ? -EISDIR : create(place, mode, out);
}

int fs_open(const char *path, int flags, mode_t mode, struct fs_file **out,
            char outside[FS_PATH_BYTES])
{
    struct fs_place place;
    bool follow = !(flags & O_NOFOLLOW) && !((flags & O_CREAT) && (flags & O_EXCL));
    int result = fs_walk(path, follow, NULL, &place);
    if (result != 0)
        return fs_walk_outside(result, &place, outside);
    struct fs_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        fs_walk_end(&place, NULL);
        return -ENOMEM;
    }
    result = open_place(&place, flags, mode, &file->node);
    file->volume = place.volume;
    fs_walk_end(&place, NULL);
    if (result == 0)
        *out = file;
    else
        free(file);
    return result;
}

void fs_close(struct fs_file *file)
{
    struct fs_volume *volume = lock(file);
    fs_node_put(volume, file->node);
    skep_mutex_unlock(&volume->lock);
    free(file);
}

/*
 * Reading and writing
 */

static ssize_t read_at(struct fs_file *file, void *data, size_t bytes, uint64_t offset)
{
    if (LINUX_S_ISDIR(file->node->inode.i_mode))
        return -EISDIR;
    if (bytes > SSIZE_MAX)
        bytes = SSIZE_MAX;
    return fs_data_read(file->volume, file->node, offset, data, bytes);
}

ssize_t fs_read(struct fs_file *file, void *data, size_t bytes)
{
    struct fs_volume *volume = lock(file);
    ssize_t done = read_at(file, data, bytes, file->position);
    if (done > 0)
        file->position += (uint64_t)done;
    skep_mutex_unlock(&volume->lock);
    return done;
}

ssize_t fs_pread(struct fs_file *file, void *data, size_t bytes, off_t offset)
{
    if (offset < 0)
        return -EINVAL;
    struct fs_volume *volume = lock(file);
    ssize_t done = read_at(file, data, bytes, (uint64_t)offset);
    skep_mutex_unlock(&volume->lock);
    return done;
}

/* What a write of this file left undone before is told once. */
static int sync_locked(struct fs_file *file, bool data_only)
{
    struct fs_volume *volume = file->volume;
    struct fs_node *node = file->node;
    int result = 0;
    if (volume->failed)
        return -EIO;
    if (volume->read_only)
        return 0;
    if (data_only && !node->changed_data) {
        result = fs_page_flush(volume, node); /* nothing but times would be committed */
        if (result == 0)
            result = fs_device_flush(&volume->cache);
        if (result == -EIO)
            fs_volume_fail(volume, "file data can't be written", result);
    } else {
        result = fs_commit(volume);
    }
    if (result == 0)
        result = node->error;
    node->error = 0;
    return result;
}

static ssize_t write_at(struct fs_file *file, const void *data, size_t bytes, uint64_t offset,
                        int flags)
{
    if (bytes > SSIZE_MAX)
        bytes = SSIZE_MAX;
    ssize_t done = fs_data_write(file->volume, file->node, offset, data, bytes);
    if (done > 0 && (flags & (O_SYNC | O_DSYNC))) {
        int result = sync_locked(file, false);
        if (result != 0)
            return result;
    }
    return done;
}

ssize_t fs_write(struct fs_file *file, const void *data, size_t bytes, int flags)
{
    struct fs_volume *volume = lock(file);
    uint64_t offset = flags & O_APPEND ? fs_node_size(file->node) : file->position;
    ssize_t done = write_at(file, data, bytes, offset, flags);
    if (done > 0)
        file->position = offset + (uint64_t)done;
    skep_mutex_unlock(&volume->lock);
    return done;
}

ssize_t fs_pwrite(struct fs_file *file, const void *data, size_t bytes, off_t offset, int flags)
{
    if (offset < 0)
        return -EINVAL;
    struct fs_volume *volume = lock(file);
    ssize_t done = write_at(file, data, bytes, (uint64_t)offset, flags & ~O_APPEND);
    skep_mutex_unlock(&volume->lock);
    return done;
}

off_t fs_seek(struct fs_file *file, off_t offset, int whence)
{
    struct fs_volume *volume = lock(file);
    off_t from = 0, target = -EINVAL;
    bool good = whence == SEEK_SET || whence == SEEK_CUR || whence == SEEK_END;
    if (whence == SEEK_CUR)
        from = (off_t)file->position;
    else if (whence == SEEK_END)
        from = (off_t)fs_node_size(file->node);
    if (good && offset >= -from && offset <= INT64_MAX - from) {
        target = from + offset;
        file->position = (uint64_t)target;
    }
    skep_mutex_unlock(&volume->lock);
    return target;
}

int fs_sync(struct fs_file *file, bool data_only)
{
    struct fs_volume *volume = lock(file);
    int result = sync_locked(file, data_only);
    skep_mutex_unlock(&volume->lock);
    return result;
}

int fs_resize(struct fs_file *file, off_t bytes)
{
    if (bytes < 0)
        return -EINVAL;
    struct fs_volume *volume = lock(file);
    int result = LINUX_S_ISREG(file->node->inode.i_mode)
                     ? fs_data_resize(volume, file->node, (uint64_t)bytes)
                     : -EINVAL;
    skep_mutex_unlock(&volume->lock);
    return result;
}

int fs_allocate(struct fs_file *file, off_t offset, off_t bytes)
{
    if (offset < 0 || bytes <= 0)
        return -EINVAL;
    struct fs_volume *volume = lock(file);
    int result = -ENODEV;
    if (LINUX_S_ISREG(file->node->inode.i_mode))
        result = volume->read_only
                     ? -EROFS
                     : fs_data_allocate(volume, file->node, (uint64_t)offset, (uint64_t)bytes);
    skep_mutex_unlock(&volume->lock);
    return result;
}

/*
 * Folders
 */

/* The entry at the position, or the one behind it: 1, or 0 when the block has no more. */
static int entry_in_block(struct fs_volume *volume, const char *block, uint64_t start,
                          uint64_t position, struct fs_name *out)
{
    uint32_t bytes = volume->fs->blocksize, at = 0, length;
    while (at + EXT2_DIR_ENTRY_HEADER_LEN <= bytes) {
        struct ext2_dir_entry *entry = (struct ext2_dir_entry *)(block + at);
        if (ext2fs_get_rec_len(volume->fs, entry, &length) != 0 ||
            length < EXT2_DIR_ENTRY_HEADER_LEN || length > bytes - at)
            return -EIO;
        uint32_t name_length = (uint32_t)ext2fs_dirent_name_len(entry);
        if (start + at >= position && entry->inode != 0 && name_length > 0) {
            out->number = entry->inode;
            out->type = (unsigned)ext2fs_dirent_file_type(entry);
            out->next = start + at + length;
            memcpy(out->name, entry->name, name_length);
            out->name[name_length] = 0;
            return 1;
        }
        at += length;
    }
    return 0;
}

static int read_folder(struct fs_file *file, char *block, struct fs_name *out)
{
    struct fs_volume *volume = file->volume;
    uint64_t bytes = volume->fs->blocksize;
    while (file->position < fs_node_size(file->node)) {
        uint64_t start = file->position / bytes * bytes;
        int result = fs_folder_block(volume, file->node, start / bytes, block);
        if (result == 0)
            result = entry_in_block(volume, block, start, file->position, out);
        if (result != 0) {
            if (result > 0)
                file->position = out->next;
            return result;
        }
        file->position = start + bytes;
    }
    return 0;
}

int fs_read_folder(struct fs_file *file, struct fs_name *out)
{
    struct fs_volume *volume = lock(file);
    char *block = malloc(volume->fs->blocksize);
    int result = -ENOTDIR;
    if (block == NULL)
        result = -ENOMEM;
    else if (LINUX_S_ISDIR(file->node->inode.i_mode))
        result = read_folder(file, block, out);
    free(block);
    skep_mutex_unlock(&volume->lock);
    return result;
}
