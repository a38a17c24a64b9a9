/* cut_disk.c - a disk in memory and its power cuts. */
#include "test/cut_disk.h"

#include <stdlib.h>
#include <string.h>

#include "skep/abi.h"

#define SECTOR 512u

struct cut_page {
    struct cut_page *next;
    uint8_t data[BDEV_BLOCK];
};

static const uint8_t zeroes[BDEV_BLOCK];

uint32_t cut_random(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((*state >> 33) % below);
}

static uint8_t *new_page(struct cut_disk *disk, const uint8_t *data)
{
    struct cut_page *page = malloc(sizeof(*page));

    if (!page)
        abort();
    page->next = disk->pages;
    disk->pages = page;
    memcpy(page->data, data ? data : zeroes, BDEV_BLOCK);
    return page->data;
}

const uint8_t *cut_disk_block(const struct cut_disk *disk, uint32_t block)
{
    return disk->current[block] ? disk->current[block] : zeroes;
}

static struct cut_disk *of(struct bdev *dev)
{
    return (struct cut_disk *)dev;
}

static bool is_inside(const struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    return offset % BDEV_BLOCK == 0 && bytes % BDEV_BLOCK == 0 && bytes <= dev->bytes &&
           offset <= dev->bytes - bytes;
}

/* Whether the device does what it is asked. */
static bool event(struct cut_disk *disk)
{
    if (disk->on_event)
        disk->on_event(disk);
    if (disk->fail_after > 0)
        disk->fail_after--;
    return disk->fail_after != 0;
}

static int disk_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    for (size_t done = 0; done < bytes; done += BDEV_BLOCK)
        memcpy((char *)data + done,
               cut_disk_block(of(dev), (uint32_t)((offset + done) / BDEV_BLOCK)), BDEV_BLOCK);
    return 0;
}

static void put(struct cut_disk *disk, uint32_t block, const uint8_t *data)
{
    if (disk->write_count == disk->write_room) {
        disk->write_room = disk->write_room * 2 + 64;
        disk->writes = realloc(disk->writes, disk->write_room * sizeof(*disk->writes));
        if (!disk->writes)
            abort();
    }
    disk->writes[disk->write_count++] = (struct cut_write){.block = block, .data = data};
    disk->current[block] = data;
}

static int disk_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    struct cut_disk *disk = of(dev);

    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    for (size_t done = 0; done < bytes; done += BDEV_BLOCK) {
        if (!event(disk))
            return -SKEP_EIO;
        put(disk, (uint32_t)((offset + done) / BDEV_BLOCK),
            new_page(disk, (const uint8_t *)data + done));
    }
    return 0;
}

static int disk_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    struct cut_disk *disk = of(dev);

    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    if (!event(disk))
        return -SKEP_EIO;
    for (uint64_t done = 0; done < bytes; done += BDEV_BLOCK)
        put(disk, (uint32_t)((offset + done) / BDEV_BLOCK), NULL);
    return 0;
}

static int disk_flush(struct bdev *dev)
{
    struct cut_disk *disk = of(dev);

    if (!event(disk))
        return -SKEP_EIO;
    for (uint32_t i = 0; i < disk->write_count; i++)
        disk->durable[disk->writes[i].block] = disk->writes[i].data;
    disk->write_count = 0;
    return 0;
}

void cut_disk_init(struct cut_disk *disk, uint64_t bytes)
{
    memset(disk, 0, sizeof(*disk));
    disk->dev = (struct bdev){.bytes = bytes,
                              .read = disk_read,
                              .write = disk_write,
                              .zero = disk_zero,
                              .flush = disk_flush};
    disk->block_count = (uint32_t)(bytes / BDEV_BLOCK);
    disk->fail_after = -1;
    disk->durable = calloc(disk->block_count, sizeof(*disk->durable));
    disk->current = calloc(disk->block_count, sizeof(*disk->current));
    if (!disk->durable || !disk->current)
        abort();
}

void cut_disk_free(struct cut_disk *disk)
{
    while (disk->pages) {
        struct cut_page *page = disk->pages;
        disk->pages = page->next;
        free(page);
    }
    free(disk->durable);
    free(disk->current);
    free(disk->writes);
}

/* Some sectors of the write, or all of them. */
static void survive(struct cut_disk *image, const struct cut_write *w, uint64_t *random)
{
    uint32_t mask = cut_random(random, 3) ? 0xff : cut_random(random, 256);
    const uint8_t *from = w->data ? w->data : zeroes;
    uint8_t *page;

    if (mask == 0xff) {
        image->current[w->block] = w->data;
        return;
    }
    page = new_page(image, image->current[w->block]);
    for (uint32_t i = 0; i < BDEV_BLOCK / SECTOR; i++)
        if (mask >> i & 1)
            memcpy(page + i * SECTOR, from + i * SECTOR, SECTOR);
    image->current[w->block] = page;
}

static void shuffle(uint32_t *order, uint32_t count, uint64_t *random)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = cut_random(random, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* Which of the writes survive: 0 = none … 4 = all, in order; ALL_BUT_ONE finds what relies on an order. */
#define ALL         4u
#define ALL_BUT_ONE 5u

void cut_disk_cut(struct cut_disk *image, const struct cut_disk *disk, uint64_t *random)
{
    uint32_t odds = cut_random(random, 7), lost = cut_random(random, disk->write_count + 1);
    uint32_t *order = calloc(disk->write_count + 1, sizeof(*order));

    if (!order)
        abort();
    cut_disk_init(image, disk->dev.bytes);
    memcpy(image->current, disk->durable, disk->block_count * sizeof(*image->current));
    for (uint32_t i = 0; i < disk->write_count; i++)
        order[i] = i;
    if (odds < ALL)
        shuffle(order, disk->write_count, random);
    for (uint32_t i = 0; i < disk->write_count; i++) {
        const struct cut_write *w = &disk->writes[order[i]];
        if (odds == ALL || (odds >= ALL_BUT_ONE && i != lost))
            image->current[w->block] = w->data;
        else if (odds < ALL && cut_random(random, 4) < odds)
            survive(image, w, random);
    }
    memcpy(image->durable, image->current, disk->block_count * sizeof(*image->current));
    free(order);
}

void cut_disk_flip(struct cut_disk *disk, uint32_t block, uint32_t bit)
{
    uint8_t *page = new_page(disk, disk->current[block]);

    page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    disk->current[block] = disk->durable[block] = page;
}
