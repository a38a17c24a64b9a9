/* overlay.c - blocks that were written, in a hash table over the device below. */
#include "storage/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "skep/abi.h"

/* Where the block is, or would be; NULL if the table is full. */
static uint8_t **find(struct overlay *o, uint64_t number)
{
    uint32_t start = (uint32_t)(number * 0x9e3779b97f4a7c15ull >> 40) % OVERLAY_BLOCKS_MAX;

    for (uint32_t i = 0; i < OVERLAY_BLOCKS_MAX; i++) {
        uint32_t at = (start + i) % OVERLAY_BLOCKS_MAX;
        if (o->blocks[at].data && o->blocks[at].number != number)
            continue;
        o->blocks[at].number = number;
        return &o->blocks[at].data;
    }
    return NULL;
}

static int overlay_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    struct overlay *o = (struct overlay *)dev;

    for (; bytes; bytes -= BDEV_BLOCK, offset += BDEV_BLOCK, data = (char *)data + BDEV_BLOCK) {
        uint8_t **block = find(o, offset / BDEV_BLOCK);
        int result = 0;
        if (block && *block)
            memcpy(data, *block, BDEV_BLOCK);
        else
            result = o->below->read(o->below, offset, data, BDEV_BLOCK);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Of zeroes without data. */
static int put(struct overlay *o, uint64_t offset, const void *data)
{
    uint8_t **block = find(o, offset / BDEV_BLOCK);

    if (block && !*block)
        *block = malloc(BDEV_BLOCK);
    if (!block || !*block)
        return -SKEP_ENOMEM;
    if (data)
        memcpy(*block, data, BDEV_BLOCK);
    else
        memset(*block, 0, BDEV_BLOCK);
    return 0;
}

static int overlay_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    int result = 0;

    for (size_t done = 0; result == 0 && done < bytes; done += BDEV_BLOCK)
        result = put((struct overlay *)dev, offset + done, (const char *)data + done);
    return result;
}

static int overlay_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    int result = 0;

    for (uint64_t done = 0; result == 0 && done < bytes; done += BDEV_BLOCK)
        result = put((struct overlay *)dev, offset + done, NULL);
    return result;
}

static int overlay_flush(struct bdev *dev)
{
    (void)dev;
    return 0;
}

void overlay_init(struct overlay *o, struct bdev *below)
{
    memset(o, 0, sizeof(*o));
    o->below = below;
    o->dev = (struct bdev){.bytes = below->bytes,
                           .read = overlay_read,
                           .write = overlay_write,
                           .zero = overlay_zero,
                           .flush = overlay_flush};
}

void overlay_free(struct overlay *o)
{
    for (uint32_t i = 0; i < OVERLAY_BLOCKS_MAX; i++)
        free(o->blocks[i].data);
}
