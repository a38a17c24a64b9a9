/*
 * extent.c - which blocks a file has: looking them up, taking new ones, giving them back.
 */
#include <errno.h>

#include "volume.h"

#define LOGICAL_MAX (1ull << 32) /* blocks of a file, that extents can name */

/* At most this many blocks in one go, so that a change stays small. */
#define FILL_BLOCKS_MAX    2048u
#define CONVERT_BLOCKS_MAX 64u

static struct ext2_inode *plain(struct fs_node *node)
{
    return (struct ext2_inode *)&node->inode;
}

static bool has_extents(const struct fs_node *node)
{
    return node->inode.i_flags & EXT4_EXTENTS_FL;
}

static void set_hole(struct fs_extent *out, uint64_t logical, uint64_t end)
{
    *out = (struct fs_extent){.logical = logical, .length = end > logical ? end - logical : 0};
}

static void set_extent(struct fs_extent *out, const struct ext2fs_extent *extent)
{
    *out = (struct fs_extent){
        .logical = extent->e_lblk,
        .physical = extent->e_pblk,
        .length = extent->e_len,
        .unwritten = (extent->e_flags & EXT2_EXTENT_FLAGS_UNINIT) != 0,
    };
}

/* The extent behind the current one, which the tree was searched for. (EXT2_EXTENT_NEXT_LEAF knows the way on only if it
 * has come all the way.) */
static errcode_t next_leaf(ext2_extent_handle_t handle, struct ext2fs_extent *extent)
{
    errcode_t error;
    while ((error = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT_SIB, extent)) ==
           EXT2_ET_EXTENT_NO_NEXT) {
        error = ext2fs_extent_get(handle, EXT2_EXTENT_UP, extent);
        if (error != 0)
            return error == EXT2_ET_EXTENT_NO_UP ? EXT2_ET_EXTENT_NO_NEXT : error;
    }
    while (error == 0 && !(extent->e_flags & EXT2_EXTENT_FLAGS_LEAF))
        error = ext2fs_extent_get(handle, EXT2_EXTENT_DOWN, extent);
    return error;
}

/* The extent that has the block, or the hole. */
static errcode_t look_up(ext2_extent_handle_t handle, uint64_t logical, struct fs_extent *out)
{
    struct ext2fs_extent extent;
    errcode_t found = ext2fs_extent_goto(handle, logical);
    if (found != 0 && found != EXT2_ET_EXTENT_NOT_FOUND)
        return found;
    errcode_t error = ext2fs_extent_get(handle, EXT2_EXTENT_CURRENT, &extent);
    if (error == EXT2_ET_NO_CURRENT_NODE) {
        set_hole(out, logical, LOGICAL_MAX);
        return 0;
    }
    if (error != 0)
        return error;
    if (found == 0) {
        set_extent(out, &extent);
        return 0;
    }
    if (extent.e_lblk < logical) {
        error = next_leaf(handle, &extent);
        if (error == EXT2_ET_EXTENT_NO_NEXT) {
            set_hole(out, logical, LOGICAL_MAX);
            return 0;
        }
        if (error != 0)
            return error;
    }
    set_hole(out, logical, extent.e_lblk);
    return 0;
}

static int find_old(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                    struct fs_extent *out)
{
    blk64_t physical;
    errcode_t error =
        ext2fs_bmap2(volume->fs, node->number, plain(node), NULL, 0, logical, NULL, &physical);
    *out = (struct fs_extent){.logical = logical, .physical = physical, .length = 1};
    return fs_errno(error);
}

static int read_extent(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                       struct fs_extent *out)
{
    if (!has_extents(node))
        return find_old(volume, node, logical, out);
    ext2_extent_handle_t handle;
    errcode_t error = ext2fs_extent_open2(volume->fs, node->number, plain(node), &handle);
    if (error != 0)
        return -EIO;
    error = look_up(handle, logical, out);
    ext2fs_extent_free(handle);
    if (error == 0 && out->physical != 0)
        node->known = *out;
    return fs_errno(error);
}

/* From logical on. */
static void clip(struct fs_extent *extent, uint64_t logical)
{
    uint64_t skip = logical - extent->logical;
    extent->logical = logical;
    extent->length -= skip;
    if (extent->physical != 0)
        extent->physical += skip;
}

int fs_extent_find(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                   struct fs_extent *out)
{
    int result = 0;
    *out = (struct fs_extent){0};
    if (logical - node->known.logical < node->known.length)
        *out = node->known;
    else
        result = read_extent(volume, node, logical, out);
    if (result != 0)
        return result;
    clip(out, logical);
    uint64_t blocks = ext2fs_blocks_count(volume->fs->super);
    bool damaged =
        out->length == 0 ||
        (out->physical != 0 && (out->physical >= blocks || out->length > blocks - out->physical));
    return damaged ? -EIO : 0;
}

/*
 * Taking blocks
 */

/* Where the next block of the file had best lie. */
static int find_goal(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                     uint64_t *goal)
{
    if (logical > 0) {
        struct fs_extent before;
        int result = fs_extent_find(volume, node, logical - 1, &before);
        if (result != 0)
            return result;
        if (before.physical != 0) {
            *goal = before.physical + 1;
            return 0;
        }
    }
    *goal = ext2fs_find_inode_goal(volume->fs, node->number, plain(node), logical);
    return 0;
}

/* The first free run from goal on, of at most length blocks. */
static int find_free(struct fs_volume *volume, uint64_t goal, uint64_t length, struct fs_range *out)
{
    ext2_filsys fs = volume->fs;
    blk64_t first = fs->super->s_first_data_block, last = ext2fs_blocks_count(fs->super) - 1, start,
            stop;
    if (goal < first || goal > last)
        goal = first;
    errcode_t error = ext2fs_find_first_zero_block_bitmap2(fs->block_map, goal, last, &start);
    if (error == ENOENT && goal > first)
        error = ext2fs_find_first_zero_block_bitmap2(fs->block_map, first, goal - 1, &start);
    if (error != 0)
        return error == ENOENT ? -ENOSPC : fs_errno(error);
    uint64_t end = last - start < length ? last : start + length - 1;
    error = ext2fs_find_first_set_block_bitmap2(fs->block_map, start, end, &stop);
    if (error != 0 && error != ENOENT)
        return fs_errno(error);
    *out = (struct fs_range){start, (uint32_t)((error == 0 ? stop : end + 1) - start)};
    return 0;
}

/* Whether the extent goes on with these blocks. */
static bool continues(const struct ext2fs_extent *extent, uint64_t logical,
                      const struct fs_range *blocks)
{
    return extent->e_lblk + extent->e_len == logical &&
           extent->e_pblk + extent->e_len == blocks->start &&
           !(extent->e_flags & EXT2_EXTENT_FLAGS_UNINIT) &&
           extent->e_len + blocks->length < EXT_INIT_MAX_LEN;
}

static errcode_t insert(ext2_extent_handle_t handle, uint64_t logical,
                        const struct fs_range *blocks)
{
    struct ext2fs_extent near, extent = {
                                   .e_lblk = logical,
                                   .e_pblk = blocks->start,
                                   .e_len = blocks->length,
                                   .e_flags = EXT2_EXTENT_FLAGS_LEAF,
                               };
    errcode_t error = ext2fs_extent_goto(handle, logical);
    if (error != EXT2_ET_EXTENT_NOT_FOUND)
        return error == 0 ? EXT2_ET_EXTENT_INVALID_LENGTH : error;
    error = ext2fs_extent_get(handle, EXT2_EXTENT_CURRENT, &near);
    if (error == EXT2_ET_NO_CURRENT_NODE)
        return ext2fs_extent_insert(handle, 0, &extent);
    if (error != 0)
        return error;
    if (continues(&near, logical, blocks)) {
        near.e_len += blocks->length;
        return ext2fs_extent_replace(handle, 0, &near);
    }
    error =
        ext2fs_extent_insert(handle, near.e_lblk > logical ? 0 : EXT2_EXTENT_INSERT_AFTER, &extent);
    return error != 0 ? error : ext2fs_extent_fix_parents(handle);
}

static void take(struct fs_volume *volume, const struct fs_range *blocks)
{
    ext2fs_block_alloc_stats_range(volume->fs, blocks->start, blocks->length, +1);
    dgrp_t last = ext2fs_group_of_blk2(volume->fs, blocks->start + blocks->length - 1);
    for (dgrp_t group = ext2fs_group_of_blk2(volume->fs, blocks->start); group <= last; group++)
        volume->dirty_groups[group] = 1;
}

/* The reserve is for this not to fail for lack of space. */
static int filled(struct fs_volume *volume, errcode_t error)
{
    return error == 0 ? 0 : fs_volume_fail(volume, "a file's new blocks can't be recorded", -EIO);
}

static int fill_hole(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                     uint64_t length, struct fs_extent *out)
{
    uint64_t goal, now = fs_free_now(volume);
    struct fs_range blocks = {0, 0};
    if (now <= FS_RESERVED_BLOCKS)
        return -ENOSPC;
    if (length > now - FS_RESERVED_BLOCKS)
        length = now - FS_RESERVED_BLOCKS;
    if (length > FILL_BLOCKS_MAX)
        length = FILL_BLOCKS_MAX;
    int result = find_goal(volume, node, logical, &goal);
    if (result == 0)
        result = find_free(volume, goal, length, &blocks);
    if (result != 0)
        return result;

    ext2_extent_handle_t handle;
    errcode_t error = ext2fs_extent_open2(volume->fs, node->number, plain(node), &handle);
    if (error != 0)
        return fs_errno(error);
    take(volume, &blocks); /* before the extents' own blocks are looked for */
    error = insert(handle, logical, &blocks);
    ext2fs_extent_free(handle);
    if (error == 0)
        error = ext2fs_iblk_add_blocks(volume->fs, plain(node), blocks.length);
    node->known.length = 0;
    node->changed = node->changed_data = true;
    *out =
        (struct fs_extent){.logical = logical, .physical = blocks.start, .length = blocks.length};
    return filled(volume, error);
}

/* Makes the beginning of an unwritten extent a written one. */
static int convert(struct fs_volume *volume, struct fs_node *node, struct fs_extent *extent)
{
    ext2_extent_handle_t handle;
    if (extent->length > CONVERT_BLOCKS_MAX)
        extent->length = CONVERT_BLOCKS_MAX;
    errcode_t error = ext2fs_extent_open2(volume->fs, node->number, plain(node), &handle);
    if (error != 0)
        return fs_errno(error);
    for (uint64_t i = 0; i < extent->length && error == 0; i++)
        error = ext2fs_extent_set_bmap(handle, extent->logical + i, extent->physical + i, 0);
    ext2fs_extent_free(handle);
    node->known.length = 0;
    node->changed = node->changed_data = true;
    extent->unwritten = false;
    return filled(volume, error);
}

int fs_extent_fill(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                   uint64_t length, struct fs_extent *out)
{
    if (!has_extents(node))
        return -EOPNOTSUPP;
    int result = fs_extent_find(volume, node, logical, out);
    if (result != 0)
        return result;
    if (out->length > length)
        out->length = length;
    return out->physical == 0 ? fill_hole(volume, node, logical, out->length, out)
                              : convert(volume, node, out);
}

/*
 * Giving blocks back
 */

int fs_extent_free(struct fs_volume *volume, struct fs_node *node, uint64_t first, uint64_t last)
{
    node->known.length = 0;
    node->changed = node->changed_data = true;
    return fs_errno(ext2fs_punch(volume->fs, node->number, plain(node), NULL, first, last));
}

/* Where the last extent begins and ends; 0 and 0 = there is none. */
static int find_last(struct fs_volume *volume, struct fs_node *node, uint64_t *start, uint64_t *end)
{
    ext2_extent_handle_t handle;
    struct ext2fs_extent extent;
    *start = *end = 0;
    errcode_t error = ext2fs_extent_open2(volume->fs, node->number, plain(node), &handle);
    if (error != 0)
        return fs_errno(error);
    error = ext2fs_extent_goto(handle, LOGICAL_MAX - 1);
    if (error == 0 || error == EXT2_ET_EXTENT_NOT_FOUND)
        error = ext2fs_extent_get(handle, EXT2_EXTENT_CURRENT, &extent);
    ext2fs_extent_free(handle);
    if (error == EXT2_ET_NO_CURRENT_NODE)
        return 0;
    if (error == 0) {
        *start = extent.e_lblk;
        *end = extent.e_lblk + extent.e_len;
    }
    return fs_errno(error);
}

int fs_extent_cut(struct fs_volume *volume, struct fs_node *node, uint64_t first)
{
    if (!has_extents(node)) /* an old file: all in one go */
        return fs_extent_free(volume, node, first, ~0ull);
    for (;;) {
        uint64_t start, end;
        int result = find_last(volume, node, &start, &end);
        if (result != 0 || end <= first)
            return result;
        result = fs_extent_free(volume, node, start > first ? start : first, ~0ull);
        if (result == 0)
            result = fs_commit_if_large(volume);
        if (result != 0)
            return result;
    }
}
