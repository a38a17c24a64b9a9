/*
 * mount.c - from a block device to a mounted file system, and back.
 *
 * Mounting replays the journal (e2fsprogs' code), then frees the files that had no name when the power went. Unmounting
 * leaves nothing in the journal, so that it doesn't matter who mounts next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "volume.h"

/* In debugfs/journal.c. */
errcode_t ext2fs_run_ext3_journal(ext2_filsys *fs);

#define INCOMPATIBLE_KNOWN                                                                         \
    (EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_RECOVER |                              \
     EXT2_FEATURE_INCOMPAT_META_BG | EXT3_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_64BIT | \
     EXT4_FEATURE_INCOMPAT_FLEX_BG | EXT4_FEATURE_INCOMPAT_CSUM_SEED)
#define READ_ONLY_COMPATIBLE_KNOWN                                             \
    (EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE | \
     EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_GDT_CSUM |      \
     EXT4_FEATURE_RO_COMPAT_DIR_NLINK | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |   \
     EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)

static int refuse(struct fs_volume *volume, const char *why, int error)
{
    fs_message("%s: can't be mounted: %s", volume->name, why);
    return error;
}

static int check(struct fs_volume *volume)
{
    const struct ext2_super_block *super = volume->fs->super;
    if (super->s_feature_incompat & ~INCOMPATIBLE_KNOWN)
        return refuse(volume, "it has features that aren't known here", -EINVAL);
    if (volume->read_only)
        return 0;
    if (super->s_feature_ro_compat & ~READ_ONLY_COMPATIBLE_KNOWN)
        return refuse(volume, "it has features with which it can be mounted read-only at most",
                      -EINVAL);
    if (super->s_feature_compat &
        (EXT4_FEATURE_COMPAT_FAST_COMMIT | EXT4_FEATURE_COMPAT_ORPHAN_FILE))
        return refuse(volume, "it has fast commits or an orphan file, which aren't known here",
                      -EINVAL);
    if (!ext2fs_has_feature_journal(volume->fs->super) || super->s_journal_inum == 0)
        return refuse(volume, "it has no journal of its own", -EINVAL);
    if (volume->fs->blocksize < volume->cache.device_unit)
        return refuse(volume, "its blocks are smaller than the disk's", -EINVAL);
    if (super->s_state & EXT2_ERROR_FS)
        return refuse(volume, "it is marked as damaged: e2fsck may mend it", -EIO);
    return 0;
}

/* The superblock is two sectors, which a power cut may part. All that ever changes in it is in the first, but for the
 * checksum. So either of them is right, and the checksum is made right as soon as something is written. */
static errcode_t open_torn(struct fs_volume *volume, const char *name, int flags)
{
    errcode_t error =
        ext2fs_open(name, flags | EXT2_FLAG_IGNORE_CSUM_ERRORS, 0, 0, &fs_io_manager, &volume->fs);
    if (error != 0)
        return error;
    fs_message("%s: the superblock's checksum is wrong, as after a power cut", volume->name);
    volume->fs->flags &= ~EXT2_FLAG_IGNORE_CSUM_ERRORS;
    if (volume->cache.device_read_only)
        return 0;
    return -fs_super_write_home(volume);
}

static int open_fs(struct fs_volume *volume)
{
    char name[FS_IO_NAME_BYTES];
    int flags =
        EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP | (volume->cache.device_read_only ? 0 : EXT2_FLAG_RW);
    fs_io_name(&volume->cache, name);
    errcode_t error = ext2fs_open(name, flags, 0, 0, &fs_io_manager, &volume->fs);
    if (error == EXT2_ET_SB_CSUM_INVALID)
        error = open_torn(volume, name, flags);
    if (error == EXT2_ET_BAD_MAGIC)
        return -ENODATA;
    if (error == EXT2_ET_SHORT_READ || error == EXT2_ET_UNSUPP_FEATURE ||
        error == EXT2_ET_RO_UNSUPP_FEATURE)
        return refuse(volume, "it has features that aren't known here", -EINVAL);
    return error == 0
               ? 0
               : refuse(volume, "its superblock can't be read, or is damaged", fs_errno(error));
}

/* Formats a volume whose beginning was never written. */
static int format(struct fs_volume *volume)
{
    char start[4096];
    int result = fs_device_read(&volume->cache, 0, start, sizeof(start));
    if (result != 0)
        return refuse(volume, "it can't be read", result);
    for (size_t i = 0; i < sizeof(start); i++)
        if (start[i] != 0)
            return refuse(volume, "there is something on it that is no ext4, so it isn't formatted",
                          -EINVAL);
    if (volume->cache.device_read_only)
        return refuse(volume, "it is empty and read-only", -EROFS);
    result = fs_volume_format(&volume->cache);
    if (result != 0)
        return refuse(
            volume, "it can't be formatted: it may be too small (8 MiB), or have no space", result);
    return open_fs(volume);
}

static int replay(struct fs_volume *volume)
{
    if (!ext2fs_has_feature_journal_needs_recovery(volume->fs->super))
        return 0;
    if (volume->cache.device_read_only)
        return refuse(volume, "its journal has to be replayed, and it is read-only", -EROFS);
    errcode_t error = ext2fs_run_ext3_journal(&volume->fs);
    if (error != 0)
        return refuse(volume, "its journal can't be replayed", fs_errno(error));
    int result = fs_device_flush(&volume->cache);
    if (result == 0)
        result = fs_super_write_home(volume);
    return result == 0 ? 0 : refuse(volume, "its superblock can't be written", result);
}

static int allocate(struct fs_volume *volume)
{
    size_t groups = volume->fs->group_desc_count,
           bytes = groups * EXT2_DESC_SIZE(volume->fs->super);
    volume->dirty_groups = calloc(1, groups);
    volume->descriptors = malloc(bytes);
    if (volume->dirty_groups == NULL || volume->descriptors == NULL)
        return -ENOMEM;
    memcpy(volume->descriptors, volume->fs->group_desc, bytes);
    volume->super = volume->home_super = *volume->fs->super;
    return 0;
}

/* Where the journal lies. */
static int map_journal(struct fs_volume *volume, struct fs_node *node, struct fs_journal_run **out,
                       uint32_t *count)
{
    uint64_t end = fs_node_size(node) / volume->fs->blocksize;
    struct fs_journal_run *runs = NULL;
    for (uint64_t at = 0, length; at < end; at += length) {
        struct fs_extent extent;
        int result = fs_extent_find(volume, node, at, &extent);
        if (result == 0 && extent.physical == 0)
            result = -EIO;
        struct fs_journal_run *grown =
            result == 0 ? realloc(runs, (*count + 1) * sizeof(*runs)) : NULL;
        if (grown == NULL) {
            free(runs);
            return result != 0 ? result : -ENOMEM;
        }
        runs = grown;
        runs[(*count)++] = (struct fs_journal_run){(uint32_t)at, extent.physical};
        length = extent.length;
    }
    *out = runs;
    return runs == NULL ? -EIO : 0;
}

static int open_journal(struct fs_volume *volume)
{
    struct fs_node *node;
    struct fs_journal_run *runs = NULL;
    uint32_t count = 0;
    int result = fs_node_get(volume, volume->fs->super->s_journal_inum, &node);
    if (result != 0)
        return refuse(volume, "its journal can't be read", result);
    result = map_journal(volume, node, &runs, &count);
    fs_node_put(volume, node);
    if (result == 0)
        result = fs_journal_open(&volume->journal, &volume->cache, volume->fs->blocksize,
                                 ext2fs_has_feature_64bit(volume->fs->super), runs, count);
    return result == 0
               ? 0
               : refuse(volume, "its journal is damaged, or none that can be written here", result);
}

static int start_changes(struct fs_volume *volume)
{
    int result = open_journal(volume);
    if (result != 0)
        return result;
    fs_alloc_hook(volume);
    fs_cache_hold(&volume->cache, volume->fs->blocksize);
    volume->fs->super->s_mtime = (uint32_t)time(NULL);
    volume->super.s_mtime = volume->fs->super->s_mtime; /* it alone is no change to commit */
    result = fs_orphans_free(volume);
    if (result == 0 && volume->cache.changed_count > 0)
        result = fs_commit(volume);
    return result == 0 ? 0 : refuse(volume, "files without a name can't be freed", result);
}

static int set_up(struct fs_volume *volume, unsigned flags)
{
    int result = open_fs(volume);
    if (result == -ENODATA)
        result = flags & FS_MOUNT_FORMAT ? format(volume)
                                         : refuse(volume, "there is no ext4 on it", -EINVAL);
    if (result == 0)
        result = check(volume);
    if (result == 0)
        result = replay(volume);
    if (result != 0)
        return result;
    errcode_t error = ext2fs_read_bitmaps(volume->fs);
    if (error != 0)
        return refuse(volume, "its bitmaps can't be read, or are damaged", fs_errno(error));
    result = allocate(volume);
    if (result != 0)
        return refuse(volume, "there isn't enough memory", result);
    if (!volume->read_only)
        return start_changes(volume);
    fs_cache_hold(&volume->cache, volume->fs->blocksize);
    return 0;
}

void fs_volume_discard(struct fs_volume *volume)
{
    while (volume->nodes != NULL) {
        struct fs_node *node = volume->nodes;
        volume->nodes = node->next;
        free(node->page);
        free(node);
    }
    fs_journal_close(&volume->journal);
    fs_cache_release(&volume->cache);
    free(volume->freed);
    free(volume->dirty_groups);
    free(volume->descriptors);
    free(volume->path);
    if (volume->fs != NULL)
        ext2fs_free(volume->fs);
    memset(volume, 0, sizeof(*volume));
}

int fs_volume_mount(struct fs_volume *volume, unsigned device, const char *name, unsigned flags)
{
    memset(volume, 0, sizeof(*volume));
    strncpy(volume->name, name, sizeof(volume->name) - 1);
    int result = fs_cache_init(&volume->cache, device);
    if (result != 0)
        return refuse(volume, "there is no such block device", result);
    volume->read_only = (flags & FS_MOUNT_READ_ONLY) || volume->cache.device_read_only;
    volume->trim = volume->cache.device_trims;
    result = set_up(volume, flags);
    if (result != 0)
        fs_volume_discard(volume);
    return result;
}

static int stop(struct fs_volume *volume)
{
    int result = fs_commit(volume);
    if (result != 0 || !volume->journal.live)
        return result;
    result = fs_checkpoint(volume, true);
    if (result != 0)
        return result;
    ext2fs_clear_feature_journal_needs_recovery(volume->fs->super);
    return fs_super_write_home(volume);
}

int fs_volume_stop(struct fs_volume *volume)
{
    int result = volume->read_only && !volume->failed ? 0 : stop(volume);
    if (result != 0)
        fs_message("%s: not unmounted in order: error %d", volume->name, -result);
    return result;
}

int fs_volume_unmount(struct fs_volume *volume)
{
    int result = fs_volume_stop(volume);
    fs_volume_discard(volume);
    return result;
}
