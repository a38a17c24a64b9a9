/*
 * format.c - makes an ext4 file system on a volume, with the features that Debian's mke2fs gives one, but an index for
 * folders and room to grow.
 *
 * The superblock comes last, when all else is on the disk: a format that was cut short is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "volume.h"

#define BLOCK_LOG       2u /* 4096 bytes */
#define BLOCK_BYTES     4096u
#define BYTES_PER_INODE 16384u
#define BLOCKS_MIN      2048u
#define JOURNAL_SMALL   1024u /* blocks */
#define JOURNAL_LARGE   4096u
#define LARGE_BLOCKS    65536u
#define GROUP_BLOCKS    32768u /* the second group has a backup of the superblock */

static void set_parameters(struct ext2_super_block *super, uint64_t blocks)
{
    memset(super, 0, sizeof(*super));
    super->s_rev_level = EXT2_DYNAMIC_REV;
    super->s_log_block_size = super->s_log_cluster_size = BLOCK_LOG;
    super->s_inode_size = 256;
    super->s_inodes_count = (uint32_t)(blocks / (BYTES_PER_INODE / BLOCK_BYTES));
    super->s_log_groups_per_flex = 4;
    super->s_max_mnt_count = UINT16_MAX; /* none */
    super->s_errors = EXT2_ERRORS_RO;
    super->s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
                                EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG;
    super->s_feature_ro_compat =
        EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
        EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
        EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE;
    /* A power cut may part the superblock's two sectors. All that changes but the checksum is in the first: without it
     * either half goes with the other, and with it the backup serves. */
    if (blocks > GROUP_BLOCKS)
        super->s_feature_ro_compat |= EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
    ext2fs_blocks_count_set(super, blocks);
}

static errcode_t zero_inode_tables(ext2_filsys fs)
{
    errcode_t error = 0;
    for (dgrp_t group = 0; group < fs->group_desc_count && error == 0; group++) {
        error = io_channel_zeroout(fs->io, ext2fs_inode_table_loc(fs, group),
                                   fs->inode_blocks_per_group);
        ext2fs_bg_flags_set(fs, group, EXT2_BG_INODE_ZEROED);
        ext2fs_group_desc_csum_set(fs, group);
    }
    return error;
}

static errcode_t make_folders(ext2_filsys fs)
{
    errcode_t error = ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL);
    for (ext2_ino_t number = EXT2_BAD_INO; number < EXT2_FIRST_INODE(fs->super); number++)
        if (number != EXT2_ROOT_INO)
            ext2fs_inode_alloc_stats2(fs, number, +1, 0);
    return error != 0 ? error : ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "lost+found");
}

/* Zeros alone may take no space of the volume's disk. The journal's must be there when it is needed. */
static errcode_t fill_journal(ext2_filsys fs, uint32_t blocks)
{
    char *zeros = calloc(1, BLOCK_BYTES);
    errcode_t error = zeros == NULL ? EXT2_ET_NO_MEMORY : 0;
    for (uint32_t i = 1; i < blocks && error == 0; i++) { /* the first is its superblock */
        blk64_t home;
        error = ext2fs_bmap2(fs, EXT2_JOURNAL_INO, NULL, NULL, 0, i, NULL, &home);
        if (error == 0)
            error = io_channel_write_blk64(fs->io, home, 1, zeros);
    }
    free(zeros);
    return error;
}

static errcode_t make_journal(ext2_filsys fs, uint64_t blocks)
{
    struct ext2fs_journal_params parameters = {
        .num_journal_blocks = blocks >= LARGE_BLOCKS ? JOURNAL_LARGE : JOURNAL_SMALL,
    };
    errcode_t error =
        ext2fs_add_journal_inode3(fs, &parameters, ~0ull, EXT2_MKJOURNAL_NO_MNT_CHECK);
    return error != 0 ? error : fill_journal(fs, parameters.num_journal_blocks);
}

static errcode_t fill_in(ext2_filsys fs, uint64_t blocks)
{
    if (getentropy(fs->super->s_uuid, sizeof(fs->super->s_uuid)) != 0 ||
        getentropy(fs->super->s_hash_seed, sizeof(fs->super->s_hash_seed)) != 0)
        return EIO;
    fs->super->s_uuid[6] =
        (uint8_t)((fs->super->s_uuid[6] & 0x0f) | 0x40); /* a random one, RFC 9562 */
    fs->super->s_uuid[8] = (uint8_t)((fs->super->s_uuid[8] & 0x3f) | 0x80);
    fs->super->s_def_hash_version = EXT2_HASH_HALF_MD4;
    fs->super->s_checksum_type = EXT2_CRC32C_CHKSUM;
    ext2fs_init_csum_seed(fs);
    errcode_t error = ext2fs_allocate_tables(fs);
    if (error == 0)
        error = zero_inode_tables(fs);
    if (error == 0)
        error = make_folders(fs);
    return error != 0 ? error : make_journal(fs, blocks);
}

static int write_held_super(struct fs_cache *cache, const char *super)
{
    cache->held_super = NULL;
    int result = fs_device_flush(cache);
    if (result == 0)
        result = fs_device_write(cache, SUPERBLOCK_OFFSET, super, SUPERBLOCK_SIZE);
    return result != 0 ? result : fs_device_flush(cache);
}

int fs_volume_format(struct fs_cache *cache)
{
    struct ext2_super_block parameters;
    char name[FS_IO_NAME_BYTES], super[SUPERBLOCK_SIZE] = {0};
    uint64_t blocks = cache->device_bytes / BLOCK_BYTES;
    ext2_filsys fs;
    if (blocks < BLOCKS_MIN)
        return -ENOSPC;
    set_parameters(&parameters, blocks);
    fs_io_name(cache, name);
    cache->held_super = super;
    errcode_t error = ext2fs_initialize(name, EXT2_FLAG_64BITS, &parameters, &fs_io_manager, &fs);
    if (error == 0) {
        error = fill_in(fs, blocks);
        if (error == 0)
            error = ext2fs_flush(fs);
        ext2fs_free(fs);
    }
    int result = fs_errno(error);
    if (result == 0)
        result = write_held_super(cache, super);
    cache->held_super = NULL;
    return result;
}
