/* format.c - the layout of a disk, its superblocks, and checks of metadata blocks. */
#include "storage/format.h"

#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"

#define CHUNK_SMALL    65536u
#define CHUNK_LARGE    131072u
#define LARGE_BYTES    (256ull << 30)
#define JOURNAL_MIN    128u
#define JOURNAL_MAX    2048u
#define TABLE_MIN      8u
#define TABLE_MAX      512u
#define META_MIN       512u
#define META_COPIES    16u /* maps of the whole disk that there is room for */
#define META_SLOT      2u  /* blocks that a small volume needs */
#define SYSTEM_MIN     2048u
#define SYSTEM_MAX     262144u
#define JOURNAL_FIRST  (FORMAT_HEAD_FIRST + 2)
#define FIRST_SEQUENCE 1u

static uint32_t clamp(uint32_t value, uint32_t min, uint32_t max)
{
    return value < min ? min : value > max ? max : value;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t plan_meta(const struct format_super *s)
{
    uint32_t chunks = s->blocks / (s->chunk_bytes / BDEV_BLOCK);
    uint32_t copies = META_COPIES * (chunks / FORMAT_ENTRIES + 1);
    uint32_t slots = s->table_blocks * FORMAT_SLOTS * META_SLOT;
    uint32_t most = s->blocks / 128;

    return larger(META_MIN, larger(copies, slots < most ? slots : most));
}

bool format_plan(struct format_super *s, uint64_t bytes)
{
    uint32_t per_chunk, end;

    if (bytes < FORMAT_BYTES_MIN)
        return false;
    memset(s, 0, sizeof(*s));
    memcpy(s->name, FORMAT_NAME, sizeof(s->name));
    s->version = FORMAT_VERSION;
    s->block_bytes = BDEV_BLOCK;
    s->blocks = bytes / BDEV_BLOCK > UINT32_MAX ? UINT32_MAX : (uint32_t)(bytes / BDEV_BLOCK);
    s->chunk_bytes = bytes < LARGE_BYTES ? CHUNK_SMALL : CHUNK_LARGE;
    s->journal_first = JOURNAL_FIRST;
    s->journal_blocks = clamp(s->blocks / 64, JOURNAL_MIN, JOURNAL_MAX);
    s->table_first = s->journal_first + s->journal_blocks;
    s->table_blocks = clamp(s->blocks / 2048, TABLE_MIN, TABLE_MAX);
    s->meta_first = s->table_first + s->table_blocks;
    s->meta_blocks = plan_meta(s);
    s->system_first = s->meta_first + s->meta_blocks;
    s->system_blocks = clamp(s->blocks / 64, SYSTEM_MIN, SYSTEM_MAX);
    per_chunk = s->chunk_bytes / BDEV_BLOCK;
    end = s->system_first + s->system_blocks;
    s->chunk_first = (end + per_chunk - 1) / per_chunk * per_chunk;
    s->chunk_count = (s->blocks - 1 - s->chunk_first) / per_chunk;
    return true;
}

/* The superblock, from which the uuid is learnt, covers it as part of itself. */
static uint32_t checksum(const struct format_super *super, const void *block, uint32_t kind)
{
    static const uint32_t zero;
    const struct format_header *header = block;
    uint32_t crc = kind == FORMAT_SUPER ? 0 : crc32c(0, super->uuid, sizeof(super->uuid));
    size_t skip = offsetof(struct format_header, checksum);

    crc = crc32c(crc, header, skip);
    crc = crc32c(crc, &zero, sizeof(zero));
    skip += sizeof(zero);
    return crc32c(crc, (const char *)block + skip, BDEV_BLOCK - skip);
}

void format_seal(const struct format_super *super, void *block, uint32_t kind, uint32_t number,
                 uint64_t sequence)
{
    struct format_header *header = block;

    header->kind = kind;
    header->block = number;
    header->sequence = sequence;
    header->checksum = checksum(super, block, kind);
}

bool format_is_whole(const struct format_super *super, void *block, uint32_t kind, uint32_t number)
{
    const struct format_header *header = block;

    return header->kind == kind && header->block == number &&
           header->checksum == checksum(super, block, kind);
}

bool format_labels_are_sane(const char labels[FORMAT_LABELS])
{
    uint32_t at = 0;

    if (labels[FORMAT_LABELS - 1] != '\0')
        return false;
    for (; at < FORMAT_LABELS && labels[at]; at++) {
        if (!strchr(labels + at, '='))
            return false;
        for (; labels[at]; at++)
            if (labels[at] <= ' ' || labels[at] > '~')
                return false;
    }
    while (at < FORMAT_LABELS && labels[at] == '\0')
        at++;
    return at == FORMAT_LABELS;
}

int format_read(struct bdev *dev, const struct format_super *super, uint32_t kind, uint32_t number,
                void *block)
{
    int result = dev->read(dev, (uint64_t)number * BDEV_BLOCK, block, BDEV_BLOCK);

    if (result == 0 && !format_is_whole(super, block, kind, number))
        result = FORMAT_DAMAGED;
    return result;
}

/*
 * Superblocks
 */

/* A whole one whose areas are where this version would put them. */
static bool super_is_good(struct bdev *dev, void *block, uint32_t number)
{
    const struct format_super *s = block;
    struct format_super plan;

    if (memcmp(s->name, FORMAT_NAME, sizeof(s->name)) != 0 ||
        !format_is_whole(s, block, FORMAT_SUPER, number) ||
        (uint64_t)s->blocks * BDEV_BLOCK > dev->bytes ||
        !format_plan(&plan, (uint64_t)s->blocks * BDEV_BLOCK))
        return false;
    plan.header = s->header;
    memcpy(plan.uuid, s->uuid, sizeof(plan.uuid));
    plan.created_ns = s->created_ns;
    return memcmp(&plan, s, sizeof(plan)) == 0;
}

static int read_super(struct bdev *dev, uint32_t number, uint8_t *block, struct format_super *super)
{
    int result = dev->read(dev, (uint64_t)number * BDEV_BLOCK, block, BDEV_BLOCK);

    if (result != 0)
        return result;
    if (!super_is_good(dev, block, number))
        return 0;
    memcpy(super, block, sizeof(*super));
    return 1;
}

/* The last block that the first one names; when the first is damaged, the device's last one. */
static int find(struct bdev *dev, uint8_t *block, struct format_super *super)
{
    struct format_super other;
    int first = read_super(dev, 0, block, super);
    uint64_t blocks = first > 0 ? super->blocks : dev->bytes / BDEV_BLOCK;
    int last;

    if (first < 0 || blocks == 0)
        return first;
    last = read_super(dev, blocks > UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)blocks - 1, block,
                      first ? &other : super);
    if (last < 0)
        return last;
    /* Of another formatting: the first one counts. */
    if (first && last && memcmp(other.uuid, super->uuid, sizeof(other.uuid)) != 0)
        last = 0;
    return first | last << 1;
}

int format_find(struct bdev *dev, struct format_super *super)
{
    uint8_t *block = malloc(BDEV_BLOCK);
    int result = block ? find(dev, block, super) : -SKEP_ENOMEM;

    free(block);
    return result;
}

static int write_super(struct bdev *dev, const struct format_super *super, uint32_t number,
                       uint8_t *block)
{
    int result;

    memset(block, 0, BDEV_BLOCK);
    memcpy(block, super, sizeof(*super));
    format_seal(super, block, FORMAT_SUPER, number, 0);
    result = dev->write(dev, (uint64_t)number * BDEV_BLOCK, block, BDEV_BLOCK);
    return result ? result : dev->flush(dev);
}

/* The last one first: while the first block is none, the other one counts. */
int format_write_supers(struct bdev *dev, const struct format_super *super, int good)
{
    uint8_t *block = malloc(BDEV_BLOCK);
    int result = block ? 0 : -SKEP_ENOMEM;

    if (result == 0 && !(good & 2))
        result = write_super(dev, super, super->blocks - 1, block);
    if (result == 0 && !(good & 1))
        result = write_super(dev, super, 0, block);
    free(block);
    return result;
}

/*
 * Formatting
 */

static int write_tables(struct bdev *dev, const struct format_super *super, uint8_t *block)
{
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < super->table_blocks; i++) {
        uint32_t number = super->table_first + i;
        memset(block, 0, BDEV_BLOCK);
        format_seal(super, block, FORMAT_TABLE, number, 0);
        result = dev->write(dev, (uint64_t)number * BDEV_BLOCK, block, BDEV_BLOCK);
    }
    return result;
}

static int write_heads(struct bdev *dev, const struct format_super *super, uint8_t *block)
{
    struct format_head *head = (struct format_head *)block;
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < 2; i++) {
        memset(block, 0, BDEV_BLOCK);
        head->tail_sequence = FIRST_SEQUENCE;
        format_seal(super, block, FORMAT_HEAD, FORMAT_HEAD_FIRST + i, i);
        result = dev->write(dev, (FORMAT_HEAD_FIRST + (uint64_t)i) * BDEV_BLOCK, block, BDEV_BLOCK);
    }
    return result;
}

/* A former disk of Skep's ends with its superblocks, before anything else of it is touched. */
static int erase_supers(struct bdev *dev, const struct format_super *super)
{
    uint64_t last = (uint64_t)(super->blocks - 1) * BDEV_BLOCK;
    int result = dev->zero(dev, 0, BDEV_BLOCK);

    if (result == 0)
        result = dev->zero(dev, last, dev->bytes / BDEV_BLOCK * BDEV_BLOCK - last);
    return result ? result : dev->flush(dev);
}

/* What other disks are known by, and what must read as zeroes. */
static int erase(struct bdev *dev, const struct format_super *super)
{
    int result = erase_supers(dev, super);

    if (result == 0)
        result = dev->zero(dev, 0, (uint64_t)super->table_first * BDEV_BLOCK);
    if (result == 0)
        result = dev->zero(dev, (uint64_t)super->system_first * BDEV_BLOCK,
                           (uint64_t)super->system_blocks * BDEV_BLOCK);
    return result;
}

int format_disk(struct bdev *dev, const uint8_t uuid[16], uint64_t created_ns)
{
    struct format_super super;
    uint8_t *block;
    int result;

    if (!format_plan(&super, dev->bytes))
        return -SKEP_ENOSPC;
    memcpy(super.uuid, uuid, sizeof(super.uuid));
    super.created_ns = created_ns;
    block = malloc(BDEV_BLOCK);
    if (!block)
        return -SKEP_ENOMEM;
    result = erase(dev, &super);
    if (result == 0)
        result = write_tables(dev, &super, block);
    if (result == 0)
        result = write_heads(dev, &super, block);
    if (result == 0)
        result = dev->flush(dev);
    free(block);
    return result ? result : format_write_supers(dev, &super, 0);
}
