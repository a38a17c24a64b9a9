/*
 * folder.c - names: looking them up in folders, adding, removing and replacing them. Folders are searched from their
 * beginning to their end, those with an index as well.
 */
#include <errno.h>
#include <string.h>

#include "volume.h"

int fs_folder_find(struct fs_volume *volume, ext2_ino_t folder, const char *name, ext2_ino_t *out)
{
    return fs_errno(ext2fs_lookup(volume->fs, folder, name, (int)strlen(name), NULL, out));
}

static int type_of(const struct fs_node *node)
{
    switch (node->inode.i_mode & LINUX_S_IFMT) {
    case LINUX_S_IFREG:
        return EXT2_FT_REG_FILE;
    case LINUX_S_IFDIR:
        return EXT2_FT_DIR;
    case LINUX_S_IFLNK:
        return EXT2_FT_SYMLINK;
    case LINUX_S_IFCHR:
        return EXT2_FT_CHRDEV;
    case LINUX_S_IFBLK:
        return EXT2_FT_BLKDEV;
    case LINUX_S_IFIFO:
        return EXT2_FT_FIFO;
    case LINUX_S_IFSOCK:
        return EXT2_FT_SOCK;
    default:
        return EXT2_FT_UNKNOWN;
    }
}

/* libext2fs changes a folder's inode behind the node's back. */
static int begin(struct fs_volume *volume, ext2_ino_t folder, struct fs_node **out)
{
    int result = fs_node_get(volume, folder, out);
    return result != 0 ? result : fs_node_write(volume, *out);
}

static int end(struct fs_volume *volume, struct fs_node *folder, int result)
{
    if (result == 0)
        result = fs_node_reload(volume, folder);
    folder->known.length = 0;
    if (result == 0)
        fs_node_touch(folder, FS_MODIFIED | FS_CHANGED);
    int put = fs_node_put(volume, folder);
    return result != 0 ? result : put;
}

int fs_folder_add(struct fs_volume *volume, ext2_ino_t number, const char *name,
                  const struct fs_node *node)
{
    struct fs_node *folder;
    int result = begin(volume, number, &folder);
    if (result != 0)
        return result;
    errcode_t error = ext2fs_link(volume->fs, number, name, node->number, type_of(node));
    if (error == EXT2_ET_DIR_NO_SPACE) {
        error = ext2fs_expand_dir(volume->fs, number);
        if (error == 0)
            error = ext2fs_link(volume->fs, number, name, node->number, type_of(node));
    }
    return end(volume, folder, fs_errno(error));
}

int fs_folder_remove(struct fs_volume *volume, ext2_ino_t number, const char *name, ext2_ino_t file)
{
    struct fs_node *folder;
    int result = begin(volume, number, &folder);
    if (result != 0)
        return result;
    errcode_t error = ext2fs_unlink(volume->fs, number, name, file, 0);
    return end(volume, folder, error == EXT2_ET_DIR_NO_SPACE ? -EIO : fs_errno(error));
}

struct replacement {
    const char *name;
    const struct fs_node *node;
    bool done;
};

static int replace_entry(struct ext2_dir_entry *entry, int offset, int block_bytes, char *block,
                         void *argument)
{
    struct replacement *replacement = argument;
    size_t length = strlen(replacement->name);
    if (entry->inode == 0 || (size_t)ext2fs_dirent_name_len(entry) != length ||
        memcmp(entry->name, replacement->name, length) != 0)
        return 0;
    entry->inode = replacement->node->number;
    ext2fs_dirent_set_file_type(entry, type_of(replacement->node));
    replacement->done = true;
    return DIRENT_CHANGED | DIRENT_ABORT;
}

int fs_folder_replace(struct fs_volume *volume, ext2_ino_t number, const char *name,
                      const struct fs_node *node)
{
    struct replacement replacement = {name, node, false};
    struct fs_node *folder;
    int result = begin(volume, number, &folder);
    if (result != 0)
        return result;
    errcode_t error = ext2fs_dir_iterate(volume->fs, number, 0, NULL, replace_entry, &replacement);
    return end(volume, folder, error == 0 && !replacement.done ? -EIO : fs_errno(error));
}

static int count_entry(struct ext2_dir_entry *entry, int offset, int block_bytes, char *block,
                       void *argument)
{
    int *others = argument, length = ext2fs_dirent_name_len(entry);
    bool is_dots = (length == 1 && entry->name[0] == '.') ||
                   (length == 2 && memcmp(entry->name, "..", 2) == 0);
    if (entry->inode == 0 || is_dots)
        return 0;
    ++*others;
    return DIRENT_ABORT;
}

int fs_folder_is_empty(struct fs_volume *volume, ext2_ino_t folder)
{
    int others = 0;
    errcode_t error = ext2fs_dir_iterate(volume->fs, folder, 0, NULL, count_entry, &others);
    return error != 0 ? fs_errno(error) : others == 0;
}

int fs_folder_parent(struct fs_volume *volume, ext2_ino_t folder, ext2_ino_t *out)
{
    return fs_folder_find(volume, folder, "..", out);
}

struct naming {
    ext2_ino_t folder;
    char *out;
    int length; /* -ENOENT until it is found */
};

static int name_entry(struct ext2_dir_entry *entry, int offset, int block_bytes, char *block,
                      void *argument)
{
    struct naming *naming = argument;
    if (entry->inode != naming->folder)
        return 0;
    naming->length = ext2fs_dirent_name_len(entry);
    memcpy(naming->out, entry->name, (size_t)naming->length);
    naming->out[naming->length] = 0;
    return DIRENT_ABORT;
}

int fs_folder_name(struct fs_volume *volume, ext2_ino_t parent, ext2_ino_t folder,
                   char out[EXT2_NAME_LEN + 1])
{
    struct naming naming = {folder, out, -ENOENT};
    errcode_t error = ext2fs_dir_iterate(volume->fs, parent, 0, NULL, name_entry, &naming);
    return error == 0 ? naming.length : fs_errno(error);
}

int fs_folder_block(struct fs_volume *volume, struct fs_node *folder, uint64_t block, char *out)
{
    struct fs_extent extent;
    int result = fs_extent_find(volume, folder, block, &extent);
    if (result != 0)
        return result;
    if (extent.physical == 0)
        return -EIO;
    return fs_errno(ext2fs_read_dir_block4(volume->fs, extent.physical, out, 0, folder->number));
}

int fs_change_links(struct fs_volume *volume, ext2_ino_t number, int by)
{
    struct fs_node *node;
    int result = fs_node_get(volume, number, &node);
    if (result != 0)
        return result;
    node->inode.i_links_count = (uint16_t)(node->inode.i_links_count + by);
    node->changed = true;
    return fs_node_put(volume, node);
}
