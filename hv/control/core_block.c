/* core_block.c - disks of the machine, by the block devices that ring 0 gives the control service: device n is disk n. */
#include "bdev.h"
#include "core.h"
#include "skep/block.h"

struct block_disk {
    struct bdev dev;
    unsigned device;
};

static unsigned device_of(struct bdev *dev)
{
    return ((struct block_disk *)dev)->device;
}

static int block_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    return skep_block_read(device_of(dev), offset, data, bytes);
}

static int block_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    return skep_block_write(device_of(dev), offset, data, bytes);
}

static int block_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    return skep_block_zero(device_of(dev), offset, bytes);
}

static int block_flush(struct bdev *dev)
{
    return skep_block_flush(device_of(dev));
}

struct bdev *core_disk_bdev(uint32_t disk)
{
    static struct block_disk disks[SKEP_DISKS_MAX];
    struct skep_block_info info;
    struct block_disk *d;

    if (disk >= SKEP_DISKS_MAX || skep_block_info(disk, &info) != 0)
        return NULL;
    d = &disks[disk];
    *d = (struct block_disk){.dev = {.bytes = info.bytes / BDEV_BLOCK * BDEV_BLOCK,
                                     .read = block_read,
                                     .write = block_write,
                                     .zero = block_zero,
                                     .flush = block_flush},
                             .device = disk};
    return &d->dev;
}
