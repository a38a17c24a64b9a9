/*
 * io.c - libext2fs' way to a volume's blocks: an io_manager over the cache.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "volume.h"

int fs_errno(errcode_t error)
{
    switch (error) {
    case 0:
        return 0;
    case EXT2_ET_FILE_NOT_FOUND:
        return -ENOENT;
    case EXT2_ET_DIR_EXISTS:
        return -EEXIST;
    case EXT2_ET_BLOCK_ALLOC_FAIL:
    case EXT2_ET_INODE_ALLOC_FAIL:
    case EXT2_ET_DIR_NO_SPACE:
        return -ENOSPC;
    case EXT2_ET_NO_MEMORY:
        return -ENOMEM;
    case EXT2_ET_NO_DIRECTORY:
        return -ENOTDIR;
    case EXT2_ET_RO_FILSYS:
        return -EROFS;
    default: /* damage is an error of the disk as well */
        return error > 0 && error < 256 ? -(int)error : -EIO;
    }
}

static struct fs_cache *cache_of(io_channel channel)
{
    return channel->private_data;
}

void fs_io_name(const struct fs_cache *cache, char name[FS_IO_NAME_BYTES])
{
    snprintf(name, FS_IO_NAME_BYTES, "%llx", (unsigned long long)(uintptr_t)cache);
}

static errcode_t io_open(const char *name, int flags, io_channel *out)
{
    struct struct_io_channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL || (channel->name = strdup(name)) == NULL) {
        free(channel);
        return EXT2_ET_NO_MEMORY;
    }
    channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    channel->manager = &fs_io_manager;
    channel->block_size = 1024;
    channel->refcount = 1;
    channel->private_data = (void *)(uintptr_t)strtoull(name, NULL, 16);
    *out = channel;
    return 0;
}

static errcode_t io_close(io_channel channel)
{
    if (--channel->refcount > 0)
        return 0;
    free(channel->name);
    free(channel);
    return 0;
}

static errcode_t io_set_block_size(io_channel channel, int bytes)
{
    channel->block_size = bytes;
    return 0;
}

/* A negative count is one of bytes. */
static size_t length_of(io_channel channel, int count)
{
    return count < 0 ? (size_t) - (long)count : (size_t)count * (size_t)channel->block_size;
}

static errcode_t io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
    return -fs_cache_read(cache_of(channel), block * (unsigned)channel->block_size, data,
                          length_of(channel, count));
}

static errcode_t io_write64(io_channel channel, unsigned long long block, int count,
                            const void *data)
{
    return -fs_cache_write(cache_of(channel), block * (unsigned)channel->block_size, data,
                           length_of(channel, count));
}

static errcode_t io_read(io_channel channel, unsigned long block, int count, void *data)
{
    return io_read64(channel, block, count, data);
}

static errcode_t io_write(io_channel channel, unsigned long block, int count, const void *data)
{
    return io_write64(channel, block, count, data);
}

static errcode_t io_write_byte(io_channel channel, unsigned long offset, int bytes,
                               const void *data)
{
    return -fs_cache_write(cache_of(channel), offset, data, (size_t)bytes);
}

static errcode_t io_flush(io_channel channel)
{
    return -fs_device_flush(cache_of(channel));
}

/* Before the file system is mounted only: later zeros belong into transactions, as all metadata. */
static errcode_t io_zero(io_channel channel, unsigned long long block, unsigned long long count)
{
    if (cache_of(channel)->block_bytes != 0)
        return EXT2_ET_UNIMPLEMENTED;
    unsigned long long bytes = (unsigned)channel->block_size;
    return -fs_device_zero(cache_of(channel), block * bytes, count * bytes);
}

static errcode_t io_read_ahead(io_channel channel, unsigned long long block,
                               unsigned long long count)
{
    return 0;
}

struct struct_io_manager fs_io_manager = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "Skep volume",
    .open = io_open,
    .close = io_close,
    .set_blksize = io_set_block_size,
    .read_blk = io_read,
    .write_blk = io_write,
    .flush = io_flush,
    .write_byte = io_write_byte,
    .read_blk64 = io_read64,
    .write_blk64 = io_write64,
    .cache_readahead = io_read_ahead,
    .zeroout = io_zero,
};
