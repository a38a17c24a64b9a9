/*
 * volume.h - a mounted ext4 file system, as the files of this folder share it.
 *
 * Results are 0 (or a positive result) or a negative errno. Functions hold the volume's lock unless they say otherwise.
 */
#ifndef LIBC_SHIM_FS_VOLUME_H
#define LIBC_SHIM_FS_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache.h"
#include "ext2fs/ext2_fs.h"
#include "ext2fs/ext2fs.h"
#include "journal.h"
#include "skep/thread.h"

/* Blocks that data may not take, so that a folder can always grow and a file's extents always be split. */
#define FS_RESERVED_BLOCKS 16u

/* How many changed blocks bring about a commit, and how many logged ones a checkpoint: what the cache may take in memory. */
#define FS_CACHE_BLOCKS_CHANGED 128u
#define FS_CACHE_BLOCKS_LOGGED  256u

/* Shorter ranges aren't given back to the disk. */
#define FS_TRIM_BYTES_MIN 65536u

struct fs_extent {
    uint64_t logical, physical, length; /* physical 0 = a hole */
    bool unwritten;                     /* has blocks, and reads as zeros */
};

/* A file or folder in memory, once however often it is open. */
struct fs_node {
    struct fs_node *next;
    ext2_ino_t number;
    uint32_t references;
    struct ext2_inode_large inode;
    bool changed; /* inode is newer than in the cache */
    bool
        changed_data; /* what fdatasync() must keep may have changed since the last commit: name, size, blocks */
    int error;              /* of a write behind the caller's back: the next fsync() tells */
    struct fs_extent known; /* the last extent that was looked up; length 0 = none */
    /* The block that was last written or read in part. */
    char *page;
    uint64_t page_block;
    bool page_valid, page_changed;
};

struct fs_range {
    uint64_t start;
    uint32_t length;
};

struct fs_volume {
    struct skep_mutex lock; /* guards all below */
    ext2_filsys fs;
    struct fs_cache cache;
    struct fs_journal journal;
    char name[40];
    char *path; /* where it is mounted: absolute, canonical */
    bool read_only;
    bool failed; /* an error made it read-only */
    struct fs_node *nodes;
    uint32_t node_count;

    /* Blocks given back in the running transaction: taken in the bitmap in memory until it is committed. */
    struct fs_range *freed;
    uint32_t freed_count, freed_room;
    uint64_t freed_blocks;

    uint8_t *dirty_groups;              /* by group: whose bitmaps have changed */
    char *descriptors;                  /* the group descriptors as they were committed last */
    struct ext2_super_block super;      /* and the superblock */
    struct ext2_super_block home_super; /* the superblock as it is at home */
    bool trim;                          /* the device takes space back */
};

/* mount.c. Without the lock: the volume is nobody else's yet, or no more. */
enum { FS_MOUNT_READ_ONLY = 1, FS_MOUNT_FORMAT = 2 };
int fs_volume_mount(struct fs_volume *volume, unsigned device, const char *name, unsigned flags);
int fs_volume_stop(struct fs_volume *volume); /* all is on the disk, in order */
int fs_volume_unmount(struct fs_volume *volume);
void fs_volume_discard(struct fs_volume *volume); /* as a power cut would */

/* format.c: makes a file system on an empty device. */
int fs_volume_format(struct fs_cache *cache);

/* io.c: libext2fs' way to the cache whose address the channel's name is. */
extern struct struct_io_manager fs_io_manager;
#define FS_IO_NAME_BYTES 24
void fs_io_name(const struct fs_cache *cache, char name[FS_IO_NAME_BYTES]);

/* An error of libext2fs as a negative errno. */
int fs_errno(errcode_t error);

/* commit.c: the transaction. */

/* After an error that may have left something half done: nothing is written any more. Returns the error. */
int fs_volume_fail(struct fs_volume *volume, const char *what, int error);

/* Before a change: -EROFS, or 0 and there is room for one in the transaction. */
int fs_change_begin(struct fs_volume *volume);

/* After it: passes the result on, and fails the volume if that is one that leaves something half done. */
int fs_change_end(struct fs_volume *volume, int result);

/* Makes everything durable, and nothing but the data when data_only. */
int fs_commit(struct fs_volume *volume);
int fs_commit_if_large(struct fs_volume *volume);
int fs_checkpoint(struct fs_volume *volume, bool stop);
void fs_alloc_hook(struct fs_volume *volume);
int fs_super_write_home(struct fs_volume *volume);

/* Blocks that may be taken now, and with what the next commit gives back. */
uint64_t fs_free_now(const struct fs_volume *volume);
uint64_t fs_free_blocks(const struct fs_volume *volume);

/* Makes sure that count blocks are free beside the reserve: -ENOSPC. */
int fs_reserve(struct fs_volume *volume, uint64_t count);

/* node.c */
int fs_node_get(struct fs_volume *volume, ext2_ino_t number, struct fs_node **out);
int fs_node_put(struct fs_volume *volume, struct fs_node *node);
struct fs_node *fs_node_find(struct fs_volume *volume, ext2_ino_t number);

/* The inode in memory to the cache, and back after libext2fs has changed it there. */
int fs_node_write(struct fs_volume *volume, struct fs_node *node);
int fs_node_reload(struct fs_volume *volume, struct fs_node *node);

enum { FS_ACCESSED = 1, FS_MODIFIED = 2, FS_CHANGED = 4 };
void fs_node_touch(struct fs_node *node, unsigned times);
void fs_time_set(struct fs_node *node, unsigned time, int64_t seconds, uint32_t nanoseconds);
void fs_time_get(const struct fs_node *node, unsigned time, int64_t *seconds,
                 uint32_t *nanoseconds);

int fs_node_new(struct fs_volume *volume, ext2_ino_t folder, mode_t mode, struct fs_node **out);
uint64_t fs_node_size(const struct fs_node *node);

/* The file's last name is gone: it goes with its last user, or a power cut. */
int fs_node_orphan(struct fs_volume *volume, struct fs_node *node);

/* The same list, for a file that keeps its name while it is made shorter in more than one transaction. */
int fs_node_unorphan(struct fs_volume *volume, struct fs_node *node);
int fs_orphans_free(struct fs_volume *volume);

/* extent.c */
int fs_extent_find(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                   struct fs_extent *out);

/* Gives blocks to a part of a hole, or makes unwritten ones written. Their contents are the caller's business.
 * *out: what has blocks from logical on, at most length. */
int fs_extent_fill(struct fs_volume *volume, struct fs_node *node, uint64_t logical,
                   uint64_t length, struct fs_extent *out);

/* Gives back the blocks from first on to last. One transaction, so for at most one extent of a file. */
int fs_extent_free(struct fs_volume *volume, struct fs_node *node, uint64_t first, uint64_t last);

/* Gives back all blocks from first on, in as many transactions as it takes. */
int fs_extent_cut(struct fs_volume *volume, struct fs_node *node, uint64_t first);

/* data.c */
ssize_t fs_data_read(struct fs_volume *volume, struct fs_node *node, uint64_t offset, void *data,
                     size_t bytes);
ssize_t fs_data_write(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                      const void *data, size_t bytes);
int fs_data_resize(struct fs_volume *volume, struct fs_node *node, uint64_t bytes);
int fs_data_allocate(struct fs_volume *volume, struct fs_node *node, uint64_t offset,
                     uint64_t bytes);
int fs_page_flush(struct fs_volume *volume, struct fs_node *node);
void fs_page_forget(struct fs_node *node);

/* folder.c */
int fs_folder_find(struct fs_volume *volume, ext2_ino_t folder, const char *name, ext2_ino_t *out);
int fs_folder_add(struct fs_volume *volume, ext2_ino_t folder, const char *name,
                  const struct fs_node *node);
int fs_folder_remove(struct fs_volume *volume, ext2_ino_t folder, const char *name,
                     ext2_ino_t number);
int fs_folder_replace(struct fs_volume *volume, ext2_ino_t folder, const char *name,
                      const struct fs_node *node);
int fs_folder_is_empty(struct fs_volume *volume, ext2_ino_t folder); /* 1, 0 */
int fs_folder_parent(struct fs_volume *volume, ext2_ino_t folder, ext2_ino_t *out);
/* The name that a folder has in its parent, and the name's length. */
int fs_folder_name(struct fs_volume *volume, ext2_ino_t parent, ext2_ino_t folder,
                   char out[EXT2_NAME_LEN + 1]);
int fs_folder_block(struct fs_volume *volume, struct fs_node *folder, uint64_t block, char *out);

int fs_change_links(struct fs_volume *volume, ext2_ino_t number, int by);

#endif
