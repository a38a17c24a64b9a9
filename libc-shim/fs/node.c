/*
 * node.c - inodes in memory: shared by all who use a file, written to the cache when they have changed, and freed with
 * the last user once the last name is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "volume.h"

struct fs_node *fs_node_find(struct fs_volume *volume, ext2_ino_t number)
{
    struct fs_node *node = volume->nodes;
    while (node != NULL && node->number != number)
        node = node->next;
    return node;
}

static struct ext2_inode *plain(struct fs_node *node)
{
    return (struct ext2_inode *)&node->inode;
}

int fs_node_reload(struct fs_volume *volume, struct fs_node *node)
{
    return fs_errno(
        ext2fs_read_inode_full(volume->fs, node->number, plain(node), sizeof(node->inode)));
}

int fs_node_write(struct fs_volume *volume, struct fs_node *node)
{
    if (!node->changed)
        return 0;
    int bytes = (int)EXT2_INODE_SIZE(volume->fs->super);
    if (bytes > (int)sizeof(node->inode))
        bytes = (int)sizeof(node->inode);
    int result = fs_errno(ext2fs_write_inode_full(volume->fs, node->number, plain(node), bytes));
    if (result == 0)
        node->changed = false;
    return result;
}

int fs_node_get(struct fs_volume *volume, ext2_ino_t number, struct fs_node **out)
{
    struct fs_node *node = fs_node_find(volume, number);
    if (node == NULL) {
        node = calloc(1, sizeof(*node));
        if (node == NULL)
            return -ENOMEM;
        node->number = number;
        int result = fs_node_reload(volume, node);
        if (result != 0) {
            free(node);
            return result;
        }
        node->changed_data = volume->cache.changed_count > 0; /* it may be in there */
        node->next = volume->nodes;
        volume->nodes = node;
        volume->node_count++;
    }
    node->references++;
    *out = node;
    return 0;
}

static void forget(struct fs_volume *volume, struct fs_node *node)
{
    struct fs_node **link = &volume->nodes;
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    volume->node_count--;
    free(node->page);
    free(node);
}

/*
 * Orphans: files without a name, in a list that begins in the superblock and goes on in i_dtime. Who mounts after a power
 * cut frees them.
 */

static int orphan_add(struct fs_volume *volume, struct fs_node *node)
{
    node->inode.i_dtime = volume->fs->super->s_last_orphan;
    volume->fs->super->s_last_orphan = node->number;
    node->changed = true;
    return fs_node_write(volume, node);
}

static int orphan_remove(struct fs_volume *volume, struct fs_node *node)
{
    ext2_ino_t after = node->inode.i_dtime;
    if (volume->fs->super->s_last_orphan == node->number) {
        volume->fs->super->s_last_orphan = after;
        return 0;
    }
    ext2_ino_t number = volume->fs->super->s_last_orphan;
    while (number != 0 && number <= volume->fs->super->s_inodes_count) {
        struct fs_node *before;
        int result = fs_node_get(volume, number, &before);
        if (result != 0)
            return result;
        number = before->inode.i_dtime;
        if (number == node->number) {
            before->inode.i_dtime = after;
            before->changed = true;
            result = fs_node_write(volume, before);
        }
        if (--before->references == 0)
            forget(volume, before);
        if (result != 0 || number == node->number)
            return result;
    }
    return 0;
}

int fs_node_orphan(struct fs_volume *volume, struct fs_node *node)
{
    return orphan_add(volume, node);
}

int fs_node_unorphan(struct fs_volume *volume, struct fs_node *node)
{
    int result = orphan_remove(volume, node);
    node->inode.i_dtime = 0;
    node->changed = true;
    return result;
}

static bool has_blocks(struct fs_volume *volume, struct fs_node *node)
{
    return ext2fs_inode_has_valid_blocks2(volume->fs, plain(node));
}

static int free_inode(struct fs_volume *volume, struct fs_node *node)
{
    int result = orphan_remove(volume, node);
    if (result == 0 && ext2fs_file_acl_block(volume->fs, plain(node)) != 0)
        result = fs_errno(ext2fs_free_ext_attr(volume->fs, node->number, &node->inode));
    if (result != 0)
        return result;
    node->inode.i_dtime = (uint32_t)time(NULL);
    node->inode.i_size = node->inode.i_size_high = 0;
    node->changed = true;
    result = fs_node_write(volume, node);
    ext2fs_inode_alloc_stats2(volume->fs, node->number, -1, LINUX_S_ISDIR(node->inode.i_mode));
    return result;
}

/* The last user of a file without a name is gone. */
static int free_node(struct fs_volume *volume, struct fs_node *node)
{
    if (volume->read_only)
        return 0;
    fs_page_forget(node);
    int result = fs_change_begin(volume);
    if (result == 0 && has_blocks(volume, node))
        result = fs_extent_cut(volume, node, 0);
    if (result == 0)
        result = free_inode(volume, node);
    return fs_change_end(volume, result);
}

int fs_node_put(struct fs_volume *volume, struct fs_node *node)
{
    if (--node->references > 0)
        return 0;
    int result = 0;
    if (node->inode.i_links_count == 0) {
        node->references++; /* it is found meanwhile */
        result = free_node(volume, node);
    } else if (!volume->failed) {
        result = fs_page_flush(volume, node);
        if (result == 0)
            result = fs_node_write(volume, node);
    }
    if (result == 0 || volume->failed)
        forget(volume, node); /* else it stays, for the next commit to try */
    return result;
}

/* A file that has a name was being made shorter: the rest of it. */
static int finish_cut(struct fs_volume *volume, struct fs_node *node)
{
    uint64_t block = volume->fs->blocksize;
    int result = has_blocks(volume, node)
                     ? fs_extent_cut(volume, node, (fs_node_size(node) + block - 1) / block)
                     : 0;
    return result != 0 ? result : fs_node_unorphan(volume, node);
}

int fs_orphans_free(struct fs_volume *volume)
{
    ext2_ino_t number, limit = volume->fs->super->s_inodes_count;
    for (ext2_ino_t n = 0; n < limit && (number = volume->fs->super->s_last_orphan) != 0; n++) {
        struct fs_node *node;
        if (number > limit)
            return -EIO;
        int result = fs_node_get(volume, number, &node);
        if (result == 0 && node->inode.i_links_count != 0) {
            result = fs_change_begin(volume);
            if (result == 0)
                result = fs_change_end(volume, finish_cut(volume, node));
        }
        if (result == 0)
            result = fs_node_put(volume, node);
        if (result != 0)
            return result;
        if (volume->fs->super->s_last_orphan == number)
            return -EIO;
    }
    return 0;
}

/*
 * Times: seconds in 32 bits, two more in the extra field, and nanoseconds
 */

struct time_fields {
    uint32_t *low, *extra;
};

static struct time_fields fields_of(struct fs_node *node, unsigned time)
{
    struct ext2_inode_large *inode = &node->inode;
    bool is_large = inode->i_extra_isize >=
                    offsetof(struct ext2_inode_large, i_crtime) - EXT2_GOOD_OLD_INODE_SIZE;
    switch (time) {
    case FS_ACCESSED:
        return (struct time_fields){&inode->i_atime, is_large ? &inode->i_atime_extra : NULL};
    case FS_MODIFIED:
        return (struct time_fields){&inode->i_mtime, is_large ? &inode->i_mtime_extra : NULL};
    default:
        return (struct time_fields){&inode->i_ctime, is_large ? &inode->i_ctime_extra : NULL};
    }
}

void fs_time_set(struct fs_node *node, unsigned time, int64_t seconds, uint32_t nanoseconds)
{
    struct time_fields fields = fields_of(node, time);
    *fields.low = (uint32_t)seconds;
    if (fields.extra != NULL)
        *fields.extra = (uint32_t)((seconds - (int32_t)seconds) >> 32 & 3) | nanoseconds << 2;
    node->changed = true;
}

void fs_time_get(const struct fs_node *node, unsigned time, int64_t *seconds, uint32_t *nanoseconds)
{
    struct time_fields fields = fields_of((struct fs_node *)node, time);
    *seconds = (int32_t)*fields.low;
    *nanoseconds = 0;
    if (fields.extra != NULL) {
        *seconds += (int64_t)(*fields.extra & 3) << 32;
        *nanoseconds = *fields.extra >> 2;
    }
}

void fs_node_touch(struct fs_node *node, unsigned times)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned time = FS_ACCESSED; time <= FS_CHANGED; time <<= 1)
        if (times & time)
            fs_time_set(node, time, now.tv_sec, (uint32_t)now.tv_nsec);
}

uint64_t fs_node_size(const struct fs_node *node)
{
    return EXT2_I_SIZE(&node->inode);
}

/* Sets up the root of its extents. */
static int start_extents(struct fs_volume *volume, struct fs_node *node)
{
    ext2_extent_handle_t handle;
    node->inode.i_flags |= EXT4_EXTENTS_FL;
    errcode_t error = ext2fs_extent_open2(volume->fs, node->number, plain(node), &handle);
    if (error == 0)
        ext2fs_extent_free(handle);
    return fs_errno(error);
}

int fs_node_new(struct fs_volume *volume, ext2_ino_t folder, mode_t mode, struct fs_node **out)
{
    struct fs_node *node = calloc(1, sizeof(*node));
    if (node == NULL)
        return -ENOMEM;
    int result = fs_errno(ext2fs_new_inode(volume->fs, folder, (int)mode, NULL, &node->number));
    node->inode.i_mode = (uint16_t)mode;
    node->inode.i_links_count = 1;
    if (result == 0)
        result = start_extents(volume, node);
    if (result == 0)
        result = fs_errno(ext2fs_write_new_inode(volume->fs, node->number, plain(node)));
    if (result == 0)
        result = fs_node_reload(volume, node);
    if (result != 0) {
        free(node);
        return result;
    }
    ext2fs_inode_alloc_stats2(volume->fs, node->number, +1, 0);
    fs_node_touch(node, FS_ACCESSED | FS_MODIFIED | FS_CHANGED);
    node->references = 1;
    node->changed_data = true;
    node->next = volume->nodes;
    volume->nodes = node;
    volume->node_count++;
    *out = node;
    return 0;
}
