/*
 * fuzz_disk.c - what a disk says that somebody else has written: a good one with edits, whose checksums may be right again.
 *
 * An edit has eight bytes: where (area, and whether the block is sealed anew; block of the area; offset), and a word. Then
 * the disk is checked, opened and used. What the checker finds clean is opened as such, and still is clean after use.
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "storage/fsck.h"
#include "storage/volumes.h"
#include "test/cut_disk.h"

#define DISK_BYTES (32ull << 20)
#define CHUNK      65536ull
#define EDITS_MAX  64u
#define SEALED     0x80u

static struct cut_disk base, disk;
static struct format_super super;
static const uint8_t uuid[16] = {1};

static struct volume *make(struct volumes *vs, const char *name, uint64_t chunks)
{
    struct volumes_wish wish = {.name = name, .bytes = chunks * CHUNK, .overcommit = true};
    struct volume *v = NULL;

    return volumes_create(vs, &wish, &v) == 0 ? v : NULL;
}

static int write_some(struct volumes *vs, struct volume *v, uint32_t count)
{
    struct skep_volume_change changes[16] = {0};
    uint32_t chunks[16];
    int taken = volumes_take(vs, count, chunks);

    for (int i = 0; i < taken; i++)
        changes[i] = (struct skep_volume_change){.chunk = (uint32_t)i, .to = chunks[i]};
    return taken > 0 ? volumes_apply(vs, v, changes, (uint32_t)taken) : taken;
}

void fuzz_start(void)
{
    static struct volumes vs;
    struct volumes_wish wish = {.name = "snap"};
    struct volume *v;

    cut_disk_init(&base, DISK_BYTES);
    FUZZ_CHECK(format_disk(&base.dev, uuid, 0) == 0);
    FUZZ_CHECK(volumes_open(&vs, &base.dev) == 0);
    v = make(&vs, "first", 20);
    FUZZ_CHECK(v && write_some(&vs, v, 10) == 0);
    FUZZ_CHECK(volumes_copy(&vs, v, true, &wish, &v) == 0);
    v = make(&vs, "second", 2000);
    FUZZ_CHECK(v && write_some(&vs, v, 5) == 0);
    super = vs.super;
    volumes_close(&vs);
    FUZZ_CHECK(base.dev.flush(&base.dev) == 0);
}

static uint32_t block_of(uint8_t area, uint8_t block)
{
    switch (area % 6) {
    case 0:
        return block % 2 ? super.blocks - 1 : 0;
    case 1:
        return FORMAT_HEAD_FIRST + block % 2;
    case 2:
        return super.journal_first + block % super.journal_blocks;
    case 3:
        return super.table_first + block % super.table_blocks;
    case 4:
        return super.meta_first + block % 8;
    default:
        return block;
    }
}

static void edit(struct input *input)
{
    static _Alignas(8) uint8_t data[BDEV_BLOCK];
    const struct format_header *header = (const struct format_header *)(void *)data;
    uint8_t where[8];
    uint32_t block;
    uint16_t offset;

    input_take(input, where, sizeof(where));
    block = block_of(where[0] & (SEALED - 1), where[1]);
    memcpy(&offset, where + 2, sizeof(offset));
    memcpy(data, cut_disk_block(&disk, block), BDEV_BLOCK);
    memcpy(data + offset % (BDEV_BLOCK - 3), where + 4, 4);
    if (where[0] & SEALED)
        format_seal(&super, data, header->kind, block, header->sequence);
    FUZZ_CHECK(disk.dev.write(&disk.dev, (uint64_t)block * BDEV_BLOCK, data, BDEV_BLOCK) == 0);
}

/* Each volume is read, copied, written and deleted, as far as the disk lets it. */
static void use(struct volumes *vs)
{
    static uint32_t entries[64];
    struct volumes_wish wish = {.name = "copy", .overcommit = true};
    struct volume *v, *copied;
    uint64_t ids[32];
    unsigned count = 0;

    for (v = vs->first; v && count < 32; v = v->next)
        ids[count++] = v->record.id;
    for (unsigned i = 0; i < count; i++) {
        v = volumes_by_id(vs, ids[i]);
        volumes_map(vs, v, 0, v->chunk_count < 64 ? v->chunk_count : 64, entries);
        if (volumes_copy(vs, v, i % 2, &wish, &copied) == 0 && i % 2 == 0)
            write_some(vs, copied, 3);
        write_some(vs, v, 3);
        if (volumes_find(vs, "copy"))
            volumes_delete(vs, volumes_find(vs, "copy"));
        volumes_resize(vs, v, v->record.bytes + CHUNK, true, &v->record.limits, v->record.labels);
        if (i % 2)
            volumes_delete(vs, v);
    }
    make(vs, "new", 3);
}

static uint64_t check(bool was_clean)
{
    struct fsck_result after;
    struct volumes *vs = malloc(sizeof(*vs));
    int result = volumes_open(vs, &disk.dev);
    uint64_t way = (uint64_t)(uint32_t)result;

    if (result == 0) {
        FUZZ_CHECK(!was_clean || vs->state == VOLUMES_ONLINE);
        use(vs);
        way = way_add(way, vs->damage_count);
        way = way_add(way, vs->chunks.free_count);
        FUZZ_CHECK(vs->chunks.free_count <= vs->chunks.count);
        volumes_close(vs);
        FUZZ_CHECK(fsck_disk(&disk.dev, NULL, NULL, &after) == 0);
        FUZZ_CHECK(!was_clean || after.errors == 0);
    }
    free(vs);
    return way;
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    uint64_t random = 0, way;
    struct fsck_result before;
    int result;

    cut_disk_cut(&disk, &base, &random); /* nothing waits for a flush there: a copy */
    for (unsigned i = 0; i < EDITS_MAX && input_left(&input); i++)
        edit(&input);
    result = fsck_disk(&disk.dev, NULL, NULL, &before);
    way = check(result == 0 && before.errors == 0);
    cut_disk_free(&disk);
    return way_add(way, before.errors);
}
