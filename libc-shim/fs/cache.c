/*
 * cache.c - a volume's blocks: the metadata of its file system in memory, and everything else past it.
 */
#include "cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "skep/block.h"

/* Where every ext4 has its first superblock. */
#define SUPERBLOCK_OFFSET 1024u
#define SUPERBLOCK_BYTES  1024u

/* The block library's errors as errno values. */
static int device_result(int result)
{
    switch (result) {
    case 0:
        return 0;
    case -SKEP_ENOSPC:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

/*
 * The device
 */

static bool aligned(const struct fs_cache *cache, uint64_t offset, uint64_t bytes)
{
    return ((offset | bytes) & (cache->device_unit - 1)) == 0;
}

/* What a request may not be a part of: the aligned range around it, in memory of its own. */
static char *surround(const struct fs_cache *cache, uint64_t *offset, size_t *bytes)
{
    uint64_t mask = cache->device_unit - 1;
    uint64_t end = (*offset + *bytes + mask) & ~mask;
    *offset &= ~mask;
    *bytes = end - *offset;
    return malloc(*bytes);
}

static bool inside(const struct fs_cache *cache, uint64_t offset, uint64_t bytes)
{
    return offset <= cache->device_bytes && bytes <= cache->device_bytes - offset;
}

int fs_device_read(struct fs_cache *cache, uint64_t offset, void *data, size_t bytes)
{
    if (!inside(cache, offset, bytes))
        return -EIO;
    if (aligned(cache, offset, bytes))
        return device_result(skep_block_read(cache->device, offset, data, bytes));
    uint64_t start = offset;
    size_t length = bytes;
    char *copy = surround(cache, &start, &length);
    if (copy == NULL)
        return -ENOMEM;
    int result = device_result(skep_block_read(cache->device, start, copy, length));
    if (result == 0)
        memcpy(data, copy + (offset - start), bytes);
    free(copy);
    return result;
}

int fs_device_write(struct fs_cache *cache, uint64_t offset, const void *data, size_t bytes)
{
    if (!inside(cache, offset, bytes))
        return -EIO;
    cache->unflushed = true;
    if (aligned(cache, offset, bytes))
        return device_result(skep_block_write(cache->device, offset, data, bytes));
    uint64_t start = offset;
    size_t length = bytes;
    char *copy = surround(cache, &start, &length);
    if (copy == NULL)
        return -ENOMEM;
    int result = device_result(skep_block_read(cache->device, start, copy, length));
    if (result == 0) {
        memcpy(copy + (offset - start), data, bytes);
        result = device_result(skep_block_write(cache->device, start, copy, length));
    }
    free(copy);
    return result;
}

int fs_device_zero(struct fs_cache *cache, uint64_t offset, uint64_t bytes)
{
    if (!inside(cache, offset, bytes) || !aligned(cache, offset, bytes))
        return -EIO;
    cache->unflushed = true;
    return device_result(skep_block_zero(cache->device, offset, bytes));
}

int fs_device_trim(struct fs_cache *cache, uint64_t offset, uint64_t bytes)
{
    if (!inside(cache, offset, bytes) || !aligned(cache, offset, bytes))
        return -EIO;
    return device_result(skep_block_trim(cache->device, offset, bytes));
}

int fs_device_flush(struct fs_cache *cache)
{
    if (!cache->unflushed)
        return 0;
    int result = device_result(skep_block_flush(cache->device));
    if (result == 0)
        cache->unflushed = false;
    return result;
}

int fs_cache_init(struct fs_cache *cache, unsigned device)
{
    struct skep_block_info info;
    memset(cache, 0, sizeof(*cache));
    if (skep_block_info(device, &info) != 0)
        return -ENODEV;
    cache->device = device;
    cache->device_unit = info.block_bytes;
    cache->device_bytes = info.bytes;
    cache->device_read_only = (info.flags & SKEP_BLOCK_READ_ONLY) != 0;
    cache->device_trims = (info.flags & SKEP_BLOCK_DISCARD) != 0;
    return 0;
}

/*
 * Blocks in memory
 */

static struct fs_block **bucket_of(struct fs_cache *cache, uint64_t number)
{
    return &cache->buckets[number % FS_CACHE_BUCKETS];
}

static struct fs_block *find(struct fs_cache *cache, uint64_t number)
{
    struct fs_block *block = *bucket_of(cache, number);
    while (block != NULL && block->number != number)
        block = block->next;
    return block;
}

static void take_from_order(struct fs_cache *cache, struct fs_block *block)
{
    if (block->newer != NULL)
        block->newer->older = block->older;
    else
        cache->newest = block->older;
    if (block->older != NULL)
        block->older->newer = block->newer;
    else
        cache->oldest = block->newer;
}

static void put_first(struct fs_cache *cache, struct fs_block *block)
{
    block->newer = NULL;
    block->older = cache->newest;
    if (cache->newest != NULL)
        cache->newest->newer = block;
    else
        cache->oldest = block;
    cache->newest = block;
}

static void count(struct fs_cache *cache, const struct fs_block *block, uint32_t change)
{
    if (block->changed)
        cache->changed_count += change;
    if (block->logged)
        cache->logged_count += change;
    if (!block->changed && !block->logged)
        cache->clean_count += change;
}

static void set_state(struct fs_cache *cache, struct fs_block *block, bool changed, bool logged)
{
    count(cache, block, -1u);
    block->changed = changed;
    block->logged = logged;
    count(cache, block, 1);
}

static void drop(struct fs_cache *cache, struct fs_block *block)
{
    struct fs_block **link = bucket_of(cache, block->number);
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    take_from_order(cache, block);
    count(cache, block, -1u);
    free(block);
}

static void drop_old(struct fs_cache *cache)
{
    struct fs_block *block = cache->oldest;
    while (cache->clean_count > FS_CACHE_BLOCKS_CLEAN && block != NULL) {
        struct fs_block *newer = block->newer;
        if (!block->changed && !block->logged)
            drop(cache, block);
        block = newer;
    }
}

/* The block in memory; its contents are read first if they are needed. */
static int get(struct fs_cache *cache, uint64_t number, bool read, struct fs_block **out)
{
    struct fs_block *block = find(cache, number);
    if (block != NULL) {
        take_from_order(cache, block);
        put_first(cache, block);
        *out = block;
        return 0;
    }
    block = calloc(1, sizeof(*block) + cache->block_bytes);
    if (block == NULL)
        return -ENOMEM;
    block->number = number;
    if (read) {
        int result =
            fs_device_read(cache, number * cache->block_bytes, block->data, cache->block_bytes);
        if (result != 0) {
            free(block);
            return result;
        }
    }
    block->next = *bucket_of(cache, number);
    *bucket_of(cache, number) = block;
    put_first(cache, block);
    count(cache, block, 1);
    *out = block;
    drop_old(cache);
    return 0;
}

void fs_cache_hold(struct fs_cache *cache, uint32_t block_bytes)
{
    cache->block_bytes = block_bytes;
}

void fs_cache_release(struct fs_cache *cache)
{
    while (cache->oldest != NULL)
        drop(cache, cache->oldest);
    cache->block_bytes = 0;
}

int fs_cache_read(struct fs_cache *cache, uint64_t offset, void *data, size_t bytes)
{
    if (cache->block_bytes == 0)
        return fs_device_read(cache, offset, data, bytes);
    char *out = data;
    while (bytes > 0) {
        size_t within = offset % cache->block_bytes, part = cache->block_bytes - within;
        if (part > bytes)
            part = bytes;
        struct fs_block *block;
        int result = get(cache, offset / cache->block_bytes, true, &block);
        if (result != 0)
            return result;
        memcpy(out, block->data + within, part);
        out += part;
        offset += part;
        bytes -= part;
    }
    return 0;
}

static int write_at_once(struct fs_cache *cache, uint64_t offset, const void *data, size_t bytes)
{
    if (cache->held_super == NULL || offset != SUPERBLOCK_OFFSET)
        return fs_device_write(cache, offset, data, bytes);
    memcpy(cache->held_super, data, bytes < SUPERBLOCK_BYTES ? bytes : SUPERBLOCK_BYTES);
    return 0;
}

int fs_cache_write(struct fs_cache *cache, uint64_t offset, const void *data, size_t bytes)
{
    if (cache->block_bytes == 0)
        return write_at_once(cache, offset, data, bytes);
    if (!inside(cache, offset, bytes))
        return -EIO;
    const char *in = data;
    while (bytes > 0) {
        size_t within = offset % cache->block_bytes, part = cache->block_bytes - within;
        if (part > bytes)
            part = bytes;
        struct fs_block *block;
        int result = get(cache, offset / cache->block_bytes, part < cache->block_bytes, &block);
        if (result != 0)
            return result;
        if (!block->changed)
            set_state(cache, block, true, block->logged);
        memcpy(block->data + within, in, part);
        in += part;
        offset += part;
        bytes -= part;
    }
    return 0;
}

bool fs_cache_forget(struct fs_cache *cache, uint64_t number)
{
    struct fs_block *block = cache->block_bytes != 0 ? find(cache, number) : NULL;
    if (block == NULL)
        return false;
    bool logged = block->logged;
    drop(cache, block);
    return logged;
}

static int by_number(const void *a, const void *b)
{
    const struct fs_block *const *first = a, *const *second = b;
    return ((*first)->number > (*second)->number) - ((*first)->number < (*second)->number);
}

/* The blocks that are changed, or logged, in ascending order; the caller frees the array. */
static int sorted(struct fs_cache *cache, bool changed, struct fs_block ***out, size_t *length)
{
    uint32_t total = changed ? cache->changed_count : cache->logged_count;
    struct fs_block **blocks = malloc((total + 1) * sizeof(struct fs_block *));
    if (blocks == NULL)
        return -ENOMEM;
    size_t n = 0;
    for (struct fs_block *block = cache->newest; block != NULL; block = block->older)
        if (changed ? block->changed : block->logged)
            blocks[n++] = block;
    qsort(blocks, n, sizeof(struct fs_block *), by_number);
    *out = blocks;
    *length = n;
    return 0;
}

int fs_cache_each_changed(struct fs_cache *cache, fs_block_function function, void *argument)
{
    struct fs_block **blocks;
    size_t length;
    int result = sorted(cache, true, &blocks, &length);
    if (result != 0)
        return result;
    for (size_t i = 0; i < length && result == 0; i++)
        result = function(argument, blocks[i]);
    free(blocks);
    return result;
}

void fs_cache_commit(struct fs_cache *cache)
{
    for (struct fs_block *block = cache->newest; block != NULL; block = block->older)
        if (block->changed)
            set_state(cache, block, false, true);
}

/* How many of the blocks follow each other on the disk, as one request can have. */
static size_t run_length(struct fs_block **blocks, size_t length, uint32_t block_bytes)
{
    size_t n = 1;
    while (n < length && n < SKEP_BLOCK_PARTS_MAX - 2 &&
           (n + 1) * block_bytes <= SKEP_BLOCK_BYTES_MAX &&
           blocks[n]->number == blocks[0]->number + n)
        n++;
    return n;
}

static int write_run(struct fs_cache *cache, struct fs_block **blocks, size_t length)
{
    struct skep_block_part parts[SKEP_BLOCK_PARTS_MAX];
    for (size_t i = 0; i < length; i++)
        parts[i] = (struct skep_block_part){blocks[i]->data, cache->block_bytes};
    struct skep_block_io io = {
        .op = SKEP_BLOCK_WRITE,
        .offset = blocks[0]->number * cache->block_bytes,
        .parts = parts,
        .part_count = (unsigned)length,
    };
    cache->unflushed = true;
    int result = skep_block_submit(cache->device, &io);
    return device_result(result != 0 ? result : skep_block_wait(cache->device, &io));
}

int fs_cache_write_home(struct fs_cache *cache)
{
    struct fs_block **blocks;
    size_t length, run;
    int result = sorted(cache, false, &blocks, &length);
    if (result != 0)
        return result;
    for (size_t i = 0; i < length && result == 0; i += run) {
        run = run_length(blocks + i, length - i, cache->block_bytes);
        result = write_run(cache, blocks + i, run);
    }
    free(blocks);
    return result;
}

void fs_cache_clean(struct fs_cache *cache)
{
    for (struct fs_block *block = cache->newest; block != NULL; block = block->older)
        if (block->logged)
            set_state(cache, block, block->changed, false);
    drop_old(cache);
}
