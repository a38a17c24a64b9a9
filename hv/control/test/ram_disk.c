/* ram_disk.c - a disk in memory, its log, and power cuts. */
#include "ram_disk.h"

#include <stdlib.h>
#include <string.h>

#include "skep/abi.h"

#define SECTOR 512u

static bool fails(struct ram_disk *disk)
{
    if (disk->fails_after > 0)
        disk->fails_after--;
    else if (disk->fails_after == 0)
        return true;
    return false;
}

static bool is_outside(const struct ram_disk *disk, uint64_t offset, uint64_t bytes)
{
    return offset % BDEV_BLOCK || bytes % BDEV_BLOCK || offset > disk->dev.bytes ||
           bytes > disk->dev.bytes - offset;
}

static void note(struct ram_disk *disk, uint64_t offset, const void *data, size_t bytes)
{
    struct ram_op *op;

    if (!disk->log)
        return;
    disk->ops = realloc(disk->ops, (disk->op_count + 1) * sizeof(*disk->ops));
    if (!disk->ops)
        abort();
    op = &disk->ops[disk->op_count++];
    *op = (struct ram_op){.offset = offset, .bytes = bytes};
    if (data) {
        op->data = malloc(bytes);
        if (!op->data)
            abort();
        memcpy(op->data, data, bytes);
    }
}

static int disk_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    struct ram_disk *disk = (struct ram_disk *)dev;

    if (is_outside(disk, offset, bytes))
        return -SKEP_EINVAL;
    disk->reads++;
    memcpy(data, disk->data + offset, bytes);
    return 0;
}

static int disk_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    struct ram_disk *disk = (struct ram_disk *)dev;

    if (is_outside(disk, offset, bytes))
        return -SKEP_EINVAL;
    if (fails(disk))
        return -SKEP_EIO;
    disk->writes++;
    note(disk, offset, data, bytes);
    memcpy(disk->data + offset, data, bytes);
    return 0;
}

static int disk_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    static const uint8_t zeroes[BDEV_BLOCK];
    int result = 0;

    for (uint64_t at = 0; at < bytes && result == 0; at += BDEV_BLOCK)
        result = disk_write(dev, offset + at, zeroes, BDEV_BLOCK);
    return result;
}

static int disk_flush(struct bdev *dev)
{
    struct ram_disk *disk = (struct ram_disk *)dev;

    if (fails(disk))
        return -SKEP_EIO;
    disk->flushes++;
    note(disk, 0, NULL, 0);
    return 0;
}

void ram_disk_init(struct ram_disk *disk, void *data, uint64_t bytes)
{
    *disk = (struct ram_disk){
        .dev = {bytes, disk_read, disk_write, disk_zero, disk_flush},
        .data = data,
        .fails_after = -1,
    };
}

void ram_disk_reset(struct ram_disk *disk)
{
    for (size_t i = 0; i < disk->op_count; i++)
        free(disk->ops[i].data);
    free(disk->ops);
    disk->ops = NULL;
    disk->op_count = 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void apply(const struct ram_op *op, uint8_t *medium, enum ram_cut how, uint32_t *seed)
{
    bool all = how == CUT_ALL || (how == CUT_WRITES && next_random(seed) % 2);

    for (size_t at = 0; at < op->bytes; at += SECTOR)
        if (all || (how == CUT_SECTORS && next_random(seed) % 2))
            memcpy(medium + op->offset + at, op->data + at, SECTOR);
}

void ram_disk_cut(const struct ram_disk *disk, uint8_t *medium, size_t op_count, enum ram_cut how,
                  uint32_t *seed)
{
    size_t flushed = op_count;

    while (flushed > 0 && disk->ops[flushed - 1].data)
        flushed--;
    for (size_t i = 0; i < op_count; i++)
        if (disk->ops[i].data)
            apply(&disk->ops[i], medium, i < flushed ? CUT_ALL : how, seed);
}
