/*
 * cache.h - a volume's blocks: the metadata of its file system in memory, and everything else past it.
 *
 * Results are 0 or a negative errno.
 *
 * A block in the cache is clean (as it is on the disk at home), changed (by the transaction that is being collected), or
 * logged (committed to the journal, and not yet written home), or changed after it was logged. Only clean blocks can be
 * dropped, so the bound on the cache is one on clean blocks; the others are bounded by the journal.
 */
#ifndef LIBC_SHIM_FS_CACHE_H
#define LIBC_SHIM_FS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_CACHE_BUCKETS      256u
#define FS_CACHE_BLOCKS_CLEAN 128u

struct fs_block {
    struct fs_block *next; /* in its bucket */
    struct fs_block *older, *newer;
    uint64_t number;
    bool changed, logged;
    char data[];
};

struct fs_cache {
    unsigned device;
    uint32_t device_unit; /* what offsets and lengths of requests are multiples of */
    uint64_t device_bytes;
    bool device_read_only, device_trims;
    bool unflushed;   /* something was written since the last flush */
    char *held_super; /* where a file system that is being made puts its superblock meanwhile */

    uint32_t block_bytes; /* 0 = reads and writes of metadata go to the device at once */
    uint32_t clean_count, changed_count, logged_count;
    struct fs_block *buckets[FS_CACHE_BUCKETS];
    struct fs_block *newest, *oldest; /* of all blocks, by their last use */
};

int fs_cache_init(struct fs_cache *cache, unsigned device);

/* From now on what fs_cache_write() gets stays in memory; and from now on it doesn't, and what is in memory is lost. */
void fs_cache_hold(struct fs_cache *cache, uint32_t block_bytes);
void fs_cache_release(struct fs_cache *cache);

/* Metadata, at any offset and of any length. */
int fs_cache_read(struct fs_cache *cache, uint64_t offset, void *data, size_t bytes);
int fs_cache_write(struct fs_cache *cache, uint64_t offset, const void *data, size_t bytes);

/* The block was given back: what is in memory of it is of no use. True: the journal has it too. */
bool fs_cache_forget(struct fs_cache *cache, uint64_t number);

/* Calls function for each changed (logged) block, in ascending order, until it returns an error, which is returned. */
typedef int (*fs_block_function)(void *argument, struct fs_block *block);
int fs_cache_each_changed(struct fs_cache *cache, fs_block_function function, void *argument);

/* The changed blocks are in the journal now. */
void fs_cache_commit(struct fs_cache *cache);

/* Writes all logged blocks home; none may be changed. They count as clean when that was flushed. */
int fs_cache_write_home(struct fs_cache *cache);
void fs_cache_clean(struct fs_cache *cache);

/* Past the cache, at any offset and of any length. Writes of parts of device_unit read the rest first. */
int fs_device_read(struct fs_cache *cache, uint64_t offset, void *data, size_t bytes);
int fs_device_write(struct fs_cache *cache, uint64_t offset, const void *data, size_t bytes);
int fs_device_zero(struct fs_cache *cache, uint64_t offset, uint64_t bytes);
int fs_device_trim(struct fs_cache *cache, uint64_t offset, uint64_t bytes);
int fs_device_flush(struct fs_cache *cache);

#endif
