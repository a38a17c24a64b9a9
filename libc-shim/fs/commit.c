/*
 * commit.c - the transaction that is being collected: what it gives back, which bitmaps it changes, and its commit.
 *
 * A change is a number of calls of libext2fs between fs_change_begin() and fs_change_end(), under the volume's lock: all of
 * it is in one transaction. Should one fail half-way for another reason than that it can't be done, the volume fails: it
 * can be read, and what wasn't committed is never written.
 *
 * Blocks that are given back stay taken until the commit, since after a power cut before it their file has them again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "volume.h"

/* A change is never larger: a step of fs_extent_cut(), or a piece of fs_data_write(), which may lie in many groups. */
#define CHANGE_BLOCKS_MAX 128u

int fs_volume_fail(struct fs_volume *volume, const char *what, int error)
{
    if (!volume->failed)
        fs_message("%s: %s (error %d): the file system is read-only from now on", volume->name,
                   what, -error);
    volume->failed = volume->read_only = true;
    return error;
}

/*
 * Giving blocks back
 */

static void mark_group(struct fs_volume *volume, uint64_t block)
{
    volume->dirty_groups[ext2fs_group_of_blk2(volume->fs, block)] = 1;
}

/* Grows by one place ahead of time, since the hook can't fail. */
static int make_room_for_freed(struct fs_volume *volume, uint32_t more)
{
    if (volume->freed != NULL && volume->freed_count + more <= volume->freed_room)
        return 0;
    uint32_t room = (volume->freed_count + more) * 2;
    struct fs_range *grown = realloc(volume->freed, room * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    volume->freed = grown;
    volume->freed_room = room;
    return 0;
}

static void keep_freed(struct fs_volume *volume, uint64_t block)
{
    ext2fs_mark_block_bitmap2(volume->fs->block_map, block);
    volume->freed_blocks++;
    struct fs_range *last =
        volume->freed_count > 0 ? &volume->freed[volume->freed_count - 1] : NULL;
    if (last != NULL && last->start + last->length == block && last->length < UINT32_MAX) {
        last->length++;
        return;
    }
    if (make_room_for_freed(volume, 1) != 0) {
        fs_volume_fail(volume, "out of memory", -ENOMEM);
        return;
    }
    volume->freed[volume->freed_count++] = (struct fs_range){block, 1};
}

/* libext2fs has taken a block, or given one back. */
static void on_block(ext2_filsys fs, blk64_t block, int change)
{
    struct fs_volume *volume = fs->priv_data;
    mark_group(volume, block);
    if (change > 0)
        return;
    if (fs_cache_forget(&volume->cache, block) && fs_journal_revoke(&volume->journal, block) != 0)
        fs_volume_fail(volume, "out of memory", -ENOMEM);
    keep_freed(volume, block);
}

void fs_alloc_hook(struct fs_volume *volume)
{
    volume->fs->priv_data = volume;
    ext2fs_set_block_alloc_stats_callback(volume->fs, on_block, NULL);
}

uint64_t fs_free_blocks(const struct fs_volume *volume)
{
    return ext2fs_free_blocks_count(volume->fs->super);
}

uint64_t fs_free_now(const struct fs_volume *volume)
{
    uint64_t blocks = fs_free_blocks(volume);
    return blocks > volume->freed_blocks ? blocks - volume->freed_blocks : 0;
}

int fs_reserve(struct fs_volume *volume, uint64_t count)
{
    return fs_free_now(volume) >= count + FS_RESERVED_BLOCKS ? 0 : -ENOSPC;
}

/*
 * Bitmaps, group descriptors and the superblock
 */

static size_t descriptor_bytes(const struct fs_volume *volume)
{
    return EXT2_DESC_SIZE(volume->fs->super);
}

static char *descriptor(struct fs_volume *volume, dgrp_t group)
{
    return (char *)volume->fs->group_desc + group * descriptor_bytes(volume);
}

/* A bitmap's block, filled up with ones. */
static int write_bitmap(struct fs_volume *volume, uint64_t block, char *bits)
{
    return fs_cache_write(&volume->cache, block * volume->fs->blocksize, bits,
                          volume->fs->blocksize);
}

static int write_block_bitmap(struct fs_volume *volume, dgrp_t group, char *bits)
{
    ext2_filsys fs = volume->fs;
    uint64_t first = ext2fs_group_first_block2(fs, group);
    uint32_t count = (uint32_t)ext2fs_group_blocks_count(fs, group);
    memset(bits, 0xff, fs->blocksize);
    errcode_t error = ext2fs_get_block_bitmap_range2(fs->block_map, first, count, bits);
    if (error != 0)
        return fs_errno(error);
    for (uint32_t i = count; i % 8 != 0; i++)
        ext2fs_set_bit(i, bits);
    error = ext2fs_block_bitmap_csum_set(fs, group, bits,
                                         (int)(EXT2_CLUSTERS_PER_GROUP(fs->super) / 8));
    if (error != 0)
        return fs_errno(error);
    return write_bitmap(volume, ext2fs_block_bitmap_loc(fs, group), bits);
}

static int write_inode_bitmap(struct fs_volume *volume, dgrp_t group, char *bits)
{
    ext2_filsys fs = volume->fs;
    uint32_t count = EXT2_INODES_PER_GROUP(fs->super);
    memset(bits, 0xff, fs->blocksize);
    errcode_t error =
        ext2fs_get_inode_bitmap_range2(fs->inode_map, (uint64_t)group * count + 1, count, bits);
    if (error == 0)
        error = ext2fs_inode_bitmap_csum_set(fs, group, bits, (int)(count / 8));
    if (error != 0)
        return fs_errno(error);
    return write_bitmap(volume, ext2fs_inode_bitmap_loc(fs, group), bits);
}

static int write_group(struct fs_volume *volume, dgrp_t group, char *bits)
{
    ext2_filsys fs = volume->fs;
    int result = 0;
    if (!ext2fs_bg_flags_test(fs, group, EXT2_BG_BLOCK_UNINIT))
        result = write_block_bitmap(volume, group, bits);
    if (result == 0 && !ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT))
        result = write_inode_bitmap(volume, group, bits);
    if (result != 0)
        return result;
    ext2fs_group_desc_csum_set(fs, group);

    /* The descriptor lies in one of the blocks after the superblock, or where a meta group has it. */
    size_t bytes = descriptor_bytes(volume);
    uint32_t in_a_block = fs->blocksize / (uint32_t)bytes;
    uint64_t block =
        ext2fs_descriptor_block_loc2(fs, fs->super->s_first_data_block, group / in_a_block);
    result = fs_cache_write(&volume->cache, block * fs->blocksize + group % in_a_block * bytes,
                            descriptor(volume, group), bytes);
    memcpy(volume->descriptors + group * bytes, descriptor(volume, group), bytes);
    volume->dirty_groups[group] = 0;
    return result;
}

static bool group_changed(struct fs_volume *volume, dgrp_t group)
{
    size_t bytes = descriptor_bytes(volume);
    return volume->dirty_groups[group] ||
           memcmp(volume->descriptors + group * bytes, descriptor(volume, group), bytes) != 0;
}

static int write_super(struct fs_volume *volume)
{
    ext2_filsys fs = volume->fs;
    if (memcmp(&volume->super, fs->super, sizeof(volume->super)) == 0)
        return 0;
    fs->super->s_wtime = (uint32_t)time(NULL);
    ext2fs_superblock_csum_set(fs, fs->super);
    volume->super = *fs->super;
    return fs_cache_write(&volume->cache, SUPERBLOCK_OFFSET, fs->super, SUPERBLOCK_SIZE);
}

int fs_super_write_home(struct fs_volume *volume)
{
    ext2_filsys fs = volume->fs;
    ext2fs_superblock_csum_set(fs, fs->super);
    volume->super = *fs->super;
    int result = fs_device_write(&volume->cache, SUPERBLOCK_OFFSET, fs->super, SUPERBLOCK_SIZE);
    return result != 0 ? result : fs_device_flush(&volume->cache);
}

static int write_groups_and_super(struct fs_volume *volume)
{
    char *bits = malloc(volume->fs->blocksize);
    if (bits == NULL)
        return -ENOMEM;
    int result = 0;
    for (dgrp_t group = 0; group < volume->fs->group_desc_count && result == 0; group++)
        if (group_changed(volume, group))
            result = write_group(volume, group, bits);
    free(bits);
    return result != 0 ? result : write_super(volume);
}

/*
 * The commit
 */

static void apply_freed(struct fs_volume *volume)
{
    for (uint32_t i = 0; i < volume->freed_count; i++)
        ext2fs_unmark_block_bitmap_range2(volume->fs->block_map, volume->freed[i].start,
                                          volume->freed[i].length);
}

/* Gives the space back to the volume's disk. Only whole pieces count there, so short ranges aren't worth a request. */
static void trim_freed(struct fs_volume *volume)
{
    uint64_t block = volume->fs->blocksize;
    for (uint32_t i = 0; i < volume->freed_count; i++)
        if (volume->trim && volume->freed[i].length * block >= FS_TRIM_BYTES_MIN)
            fs_device_trim(&volume->cache, volume->freed[i].start * block,
                           volume->freed[i].length * block);
    volume->freed_count = 0;
    volume->freed_blocks = 0;
}

/* Ordered mode: data first. */
static int write_nodes(struct fs_volume *volume)
{
    int result = 0;
    for (struct fs_node *node = volume->nodes; node != NULL && result == 0; node = node->next)
        result = fs_page_flush(volume, node);
    for (struct fs_node *node = volume->nodes; node != NULL && result == 0; node = node->next)
        result = fs_node_write(volume, node);
    return result;
}

/* The flag that makes others replay the journal comes to the disk before there is something in it. */
static int start_journal(struct fs_volume *volume)
{
    if (volume->journal.live)
        return 0;
    struct ext2_super_block *super = volume->fs->super, running = *super;
    ext2fs_set_feature_journal_needs_recovery(super);
    ext2fs_set_feature_journal_needs_recovery(&volume->home_super);
    *super = volume->home_super;
    int result = fs_super_write_home(volume);
    *super = running;
    ext2fs_set_feature_journal_needs_recovery(super);
    return result != 0 ? result : fs_journal_start(&volume->journal);
}

static int write_transaction(struct fs_volume *volume)
{
    int result = start_journal(volume);
    if (result != 0)
        return result;
    apply_freed(volume);
    result = write_groups_and_super(volume);
    if (result == 0)
        result = fs_journal_commit(&volume->journal);
    if (result != 0)
        return result;
    trim_freed(volume);
    bool is_large = volume->cache.logged_count > FS_CACHE_BLOCKS_LOGGED;
    return is_large || fs_journal_wants_checkpoint(&volume->journal) ? fs_checkpoint(volume, false)
                                                                     : 0;
}

int fs_commit(struct fs_volume *volume)
{
    if (volume->failed)
        return -EIO;
    int result = volume->read_only ? 0 : write_nodes(volume);
    if (result == -ENOSPC)
        return result; /* the disk has no space for data now, and may have it later */
    if (result != 0)
        return fs_volume_fail(volume, "file data can't be written", result);
    if (volume->cache.changed_count > 0 || volume->freed_count > 0)
        result = write_transaction(volume);
    else
        result = fs_device_flush(&volume->cache);
    if (result != 0)
        return fs_volume_fail(volume, "a transaction can't be committed", result);
    for (struct fs_node *node = volume->nodes; node != NULL; node = node->next)
        node->changed_data = false;
    return 0;
}

int fs_checkpoint(struct fs_volume *volume, bool stop)
{
    int result = fs_journal_checkpoint(&volume->journal, stop);
    if (result == 0)
        volume->home_super = volume->super;
    return result;
}

int fs_commit_if_large(struct fs_volume *volume)
{
    if (volume->cache.changed_count + CHANGE_BLOCKS_MAX <= fs_journal_room(&volume->journal) &&
        volume->cache.changed_count <= FS_CACHE_BLOCKS_CHANGED)
        return 0;
    return fs_commit(volume);
}

int fs_change_begin(struct fs_volume *volume)
{
    if (volume->read_only)
        return -EROFS;
    int result = fs_commit_if_large(volume);
    if (result == 0 && fs_reserve(volume, 0) != 0 && volume->freed_blocks > 0)
        result = fs_commit(volume);
    return result;
}

int fs_change_end(struct fs_volume *volume, int result)
{
    if (result == -EIO || result == -ENOMEM)
        fs_volume_fail(volume, "a change can't be completed", result);
    else if (volume->failed && result >= 0)
        result = -EIO;
    return result;
}
