/*
 * data.c - what files contain. Whole blocks go straight between the caller's memory and the disk; a block that is read or
 * written in part stays in memory, one for each file, until another one is or a commit comes.
 *
 * What lies behind the end of a file in its last block may be anything. It is made zeros when the file grows over it, not
 * when it shrinks: then the old end may still be what is left after a power cut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume.h"

#define PIECE_BYTES_MAX (1u << 20) /* written in one change */
#define FILE_BYTES_MAX  ((1ull << 44) - 4096)

static uint64_t block_bytes(const struct fs_volume *volume)
{
    return volume->fs->blocksize;
}

static void set_size(struct fs_node *node, uint64_t bytes)
{
    node->inode.i_size = (uint32_t)bytes;
    node->inode.i_size_high = (uint32_t)(bytes >> 32);
    node->changed = node->changed_data = true;
}

static bool is_written(const struct fs_extent *extent)
{
    return extent->physical != 0 && !extent->unwritten;
}

/*
 * The block in memory
 */

void fs_page_forget(struct fs_node *node)
{
    node->page_valid = node->page_changed = false;
}

int fs_page_flush(struct fs_volume *volume, struct fs_node *node)
{
    if (!node->page_changed)
        return 0;
    struct fs_extent extent;
    int result = fs_extent_find(volume, node, node->page_block, &extent);
    if (result == 0 && !is_written(&extent))
        result = -EIO;
    if (result == 0)
        result = fs_device_write(&volume->cache, extent.physical * block_bytes(volume), node->page,
                                 block_bytes(volume));
    if (result == 0)
        node->page_changed = false;
    else if (node->error == 0)
        node->error = result;
    return result;
}

static bool page_has(const struct fs_node *node, uint64_t block)
{
    return node->page_valid && node->page_block == block;
}

/* Makes room for a block: afterwards nothing that isn't on the disk is lost when another one is read. */
static int page_prepare(struct fs_volume *volume, struct fs_node *node)
{
    int result = fs_page_flush(volume, node);
    if (result == 0 && node->page == NULL && (node->page = malloc(block_bytes(volume))) == NULL)
        result = -ENOMEM;
    return result;
}

static int page_load(struct fs_volume *volume, struct fs_node *node, uint64_t block)
{
    if (page_has(node, block))
        return 0;
    struct fs_extent extent;
    int result = page_prepare(volume, node);
    if (result == 0)
        result = fs_extent_find(volume, node, block, &extent);
    if (result != 0)
        return result;
    node->page_valid = false;
    if (is_written(&extent))
        result = fs_device_read(&volume->cache, extent.physical * block_bytes(volume), node->page,
                                block_bytes(volume));
    else
        memset(node->page, 0, block_bytes(volume));
    node->page_block = block;
    node->page_valid = result == 0;
    return result;
}

/* The block in memory, with blocks on the disk for it. */
static int page_load_to_write(struct fs_volume *volume, struct fs_node *node, uint64_t block)
{
    struct fs_extent extent;
    int result = page_load(volume, node, block); /* of a hole: zeros */
    if (result == 0)
        result = fs_extent_find(volume, node, block, &extent);
    if (result == 0 && !is_written(&extent))
        result = fs_extent_fill(volume, node, block, 1, &extent);
    if (result == 0)
        node->page_changed = true;
    return result;
}

/* Zeros from the end of the file on, when it is about to grow to `end`. */
static int zero_tail(struct fs_volume *volume, struct fs_node *node, uint64_t end)
{
    uint64_t size = fs_node_size(node), within = size % block_bytes(volume);
    struct fs_extent extent;
    if (within == 0 || end <= size)
        return 0;
    int result = fs_extent_find(volume, node, size / block_bytes(volume), &extent);
    if (result != 0 || (!is_written(&extent) && !page_has(node, extent.logical)))
        return result;
    result = page_load(volume, node, size / block_bytes(volume));
    if (result != 0)
        return result;
    uint64_t length =
        end - size < block_bytes(volume) - within ? end - size : block_bytes(volume) - within;
    memset(node->page + within, 0, length);
    if (is_written(&extent))
        node->page_changed = true;
    return 0;
}

/*
 * Reading
 */

/* Whole blocks, as many as lie together; the bytes that were read. */
static ssize_t read_blocks(struct fs_volume *volume, struct fs_node *node, uint64_t block,
                           char *data, uint64_t count)
{
    struct fs_extent extent;
    uint64_t unit = block_bytes(volume);
    int result = fs_extent_find(volume, node, block, &extent);
    if (result != 0)
        return result;
    if (count > extent.length)
        count = extent.length;
    if (is_written(&extent))
        result = fs_device_read(&volume->cache, extent.physical * unit, data, count * unit);
    else
        memset(data, 0, count * unit);
    if (result != 0)
        return result;
    if (node->page_changed && node->page_block - block < count)
        memcpy(data + (node->page_block - block) * unit, node->page, unit);
    return (ssize_t)(count * unit);
}

static ssize_t read_part(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                         char *data, size_t bytes)
{
    uint64_t unit = block_bytes(volume), within = offset % unit;
    int result = page_load(volume, node, offset / unit);
    if (result != 0)
        return result;
    if (bytes > unit - within)
        bytes = unit - within;
    memcpy(data, node->page + within, bytes);
    return (ssize_t)bytes;
}

ssize_t fs_data_read(struct fs_volume *volume, struct fs_node *node, uint64_t offset, void *data,
                     size_t bytes)
{
    uint64_t size = fs_node_size(node), unit = block_bytes(volume);
    size_t done = 0;
    if (offset >= size)
        return 0;
    if (bytes > size - offset)
        bytes = size - offset;
    while (done < bytes) {
        char *out = (char *)data + done;
        uint64_t at = offset + done;
        size_t left = bytes - done;
        ssize_t part = at % unit == 0 && left >= unit
                           ? read_blocks(volume, node, at / unit, out, left / unit)
                           : read_part(volume, node, at, out, left);
        if (part < 0)
            return done > 0 ? (ssize_t)done : part;
        done += (size_t)part;
    }
    return (ssize_t)done;
}

/*
 * Writing
 */

static ssize_t write_part(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                          const char *data, size_t bytes)
{
    uint64_t unit = block_bytes(volume), within = offset % unit;
    int result = page_load_to_write(volume, node, offset / unit);
    if (result != 0)
        return result;
    if (bytes > unit - within)
        bytes = unit - within;
    memcpy(node->page + within, data, bytes);
    return (ssize_t)bytes;
}

/* What has just got blocks, and didn't get its data: a hole again. The first error is the one that counts. */
static int undo_fill(struct fs_volume *volume, struct fs_node *node, const struct fs_extent *extent,
                     int error)
{
    int result =
        fs_extent_free(volume, node, extent->logical, extent->logical + extent->length - 1);
    if (result != 0)
        fs_volume_fail(volume, "blocks can't be given back", result);
    return error;
}

static ssize_t write_blocks(struct fs_volume *volume, struct fs_node *node, uint64_t block,
                            const char *data, uint64_t count)
{
    struct fs_extent extent;
    uint64_t unit = block_bytes(volume);
    int result = fs_extent_find(volume, node, block, &extent);
    bool is_new = result == 0 && !is_written(&extent);
    if (is_new)
        result = fs_extent_fill(volume, node, block, count, &extent);
    if (result != 0)
        return result;
    if (count > extent.length)
        count = extent.length;
    extent.length = count;
    if (node->page_valid && node->page_block - block < count)
        fs_page_forget(node);
    result = fs_device_write(&volume->cache, extent.physical * unit, data, count * unit);
    if (result != 0 && is_new)
        result = undo_fill(volume, node, &extent, result);
    return result != 0 ? result : (ssize_t)(count * unit);
}

static ssize_t write_piece(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                           const char *data, size_t bytes)
{
    uint64_t unit = block_bytes(volume);
    if (bytes > PIECE_BYTES_MAX)
        bytes = PIECE_BYTES_MAX;
    ssize_t part = zero_tail(volume, node, offset);
    if (part == 0)
        part = offset % unit == 0 && bytes >= unit
                   ? write_blocks(volume, node, offset / unit, data, bytes / unit)
                   : write_part(volume, node, offset, data, bytes);
    if (part > 0 && offset + (uint64_t)part > fs_node_size(node))
        set_size(node, offset + (uint64_t)part);
    return part;
}

/* Whether a commit would bring space: the file system has none, and not the disk below. */
static bool commit_frees(const struct fs_volume *volume)
{
    return volume->freed_blocks > 0 && fs_free_now(volume) <= FS_RESERVED_BLOCKS;
}

/* An error of the disk under a file's data is its writer's, and leaves the file system whole. */
static ssize_t write_one_change(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                                const char *data, size_t bytes)
{
    ssize_t part = fs_change_begin(volume);
    if (part == 0)
        part = write_piece(volume, node, offset, data, bytes);
    if (part == -ENOSPC && commit_frees(volume)) {
        part = fs_commit(volume);
        if (part == 0)
            part = write_piece(volume, node, offset, data, bytes);
    }
    return volume->failed && part >= 0 ? -EIO : part;
}

ssize_t fs_data_write(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                      const void *data, size_t bytes)
{
    size_t done = 0;
    if (volume->read_only)
        return -EROFS;
    if (offset >= FILE_BYTES_MAX && bytes > 0)
        return -EFBIG;
    if (bytes > FILE_BYTES_MAX - offset)
        bytes = FILE_BYTES_MAX - offset;
    if (bytes > 0)
        fs_node_touch(node, FS_MODIFIED | FS_CHANGED);
    while (done < bytes) {
        ssize_t part =
            write_one_change(volume, node, offset + done, (const char *)data + done, bytes - done);
        if (part < 0)
            return done > 0 ? (ssize_t)done : part;
        done += (size_t)part;
    }
    return (ssize_t)done;
}

/*
 * Sizes
 */

static int shrink(struct fs_volume *volume, struct fs_node *node, uint64_t bytes)
{
    uint64_t unit = block_bytes(volume), keep = (bytes + unit - 1) / unit;
    if (node->page_valid && node->page_block >= keep)
        fs_page_forget(node);
    set_size(node, bytes);
    if (!ext2fs_inode_has_valid_blocks2(volume->fs, (struct ext2_inode *)&node->inode))
        return 0;
    bool has_name = node->inode.i_links_count > 0;
    int result = has_name ? fs_node_orphan(volume, node) : 0;
    if (result == 0)
        result = fs_extent_cut(volume, node, keep);
    if (result == 0 && has_name)
        result = fs_node_unorphan(volume, node);
    return result;
}

int fs_data_resize(struct fs_volume *volume, struct fs_node *node, uint64_t bytes)
{
    if (bytes > FILE_BYTES_MAX)
        return -EFBIG;
    int result = fs_change_begin(volume);
    if (result != 0)
        return result;
    if (bytes < fs_node_size(node)) {
        result = shrink(volume, node, bytes);
    } else if (bytes > fs_node_size(node)) {
        result = zero_tail(volume, node, bytes);
        if (result != 0)
            return result;
        set_size(node, bytes);
    }
    fs_node_touch(node, FS_MODIFIED | FS_CHANGED);
    return fs_change_end(volume, result);
}

static int allocate_step(struct fs_volume *volume, struct fs_node *node, uint64_t block,
                         uint64_t count, uint64_t *done)
{
    struct fs_extent extent;
    uint64_t unit = block_bytes(volume);
    int result = fs_extent_find(volume, node, block, &extent);
    if (result != 0)
        return result;
    if (!is_written(&extent)) {
        result = fs_extent_fill(volume, node, block, count, &extent);
        if (result != 0)
            return result;
        result = fs_device_zero(&volume->cache, extent.physical * unit, extent.length * unit);
        if (result != 0)
            return undo_fill(volume, node, &extent, result);
    }
    *done = extent.length < count ? extent.length : count;
    return 0;
}

/* Blocks behind the end of a file are for nobody: it grows with them, and shrinks again if there aren't enough. */
int fs_data_allocate(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                     uint64_t bytes)
{
    uint64_t unit = block_bytes(volume), old_size = fs_node_size(node), end = offset + bytes;
    if (end > FILE_BYTES_MAX || end < offset)
        return -EFBIG;
    int result = end > old_size ? zero_tail(volume, node, end) : 0;
    uint64_t block = offset / unit, last = (end + unit - 1) / unit, done = 0;
    for (; block < last && result == 0; block += done) {
        result = fs_change_begin(volume);
        if (result == 0)
            result = allocate_step(volume, node, block, last - block, &done);
        if (result == -ENOSPC && commit_frees(volume)) {
            done = 0;
            result = fs_commit(volume);
        } else if (result == 0) {
            uint64_t reached = (block + done) * unit < end ? (block + done) * unit : end;
            if (reached > fs_node_size(node))
                set_size(node, reached);
        }
    }
    if (result != 0 && !volume->read_only && fs_node_size(node) > old_size)
        fs_data_resize(volume, node, old_size);
    fs_node_touch(node, FS_CHANGED);
    return volume->failed ? -EIO : result;
}
