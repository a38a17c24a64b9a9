/*
 * volumes_open.c - reads a disk: journal, table, index and map blocks, once, and counts what they name.
 *
 * Whatever is not as it must be is noted with its place, and then nothing is written to this disk: the counts can't be
 * trusted any more. Volumes whose blocks are all whole can still be read.
 */
#include "storage/volumes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void damaged(struct volumes *vs, const char *format,
                                                          ...)
{
    va_list list;

    va_start(list, format);
    if (vs->damage_count < VOLUMES_DAMAGE_MAX)
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
        vsnprintf(vs->damage[vs->damage_count], VOLUMES_DAMAGE_TEXT, format, list);
    va_end(list);
    vs->damage_count++;
    vs->state = VOLUMES_DAMAGED;
}

int volumes_read_entries(struct volumes *vs, uint32_t kind, uint32_t number, uint64_t owner,
                         uint32_t position)
{
    const struct format_header *h = &vs->entries.header;
    int result = format_read(vs->dev, &vs->super, kind, number, &vs->entries);

    if (result == 0 && (h->owner != owner || h->position != position))
        result = FORMAT_DAMAGED;
    return result;
}

/* What is home was in the journal before. If the journal doesn't have it any more, it has lost a transaction, of which other
 * blocks may not be home. */
static bool is_too_new(const struct volumes *vs, const struct format_header *header)
{
    return header->sequence >= vs->journal.sequence;
}

/*
 * Maps
 */

/* Counts a metadata block of the volume's; false if it can't be its own. */
static bool claim_meta(struct volumes *vs, struct volume *v, uint32_t number)
{
    uint32_t n = number - vs->super.meta_first;

    if (number >= vs->super.meta_first && n < vs->super.meta_blocks &&
        usage_refs(&vs->metas, n) == 0) {
        usage_ref(&vs->metas, n);
        return true;
    }
    damaged(vs, "volume %s: block %" PRIu32 " is not its own", v->record.name, number);
    v->damaged = true;
    return false;
}

/* Reads a block into vs->entries; 1, or 0 if it is damaged, or an error of the device. */
static int read_block(struct volumes *vs, struct volume *v, uint32_t kind, uint32_t number,
                      uint32_t position)
{
    int result = volumes_read_entries(vs, kind, number, v->record.id, position);

    if (result == 0 && is_too_new(vs, &vs->entries.header))
        result = FORMAT_DAMAGED;
    if (result == 0)
        return 1;
    if (result != FORMAT_DAMAGED)
        return result;
    damaged(vs, "volume %s: %s block %" PRIu32 " is damaged", v->record.name,
            kind == FORMAT_MAP ? "map" : "index", number);
    v->damaged = true;
    return 0;
}

static void count_entry(struct volumes *vs, struct volume *v, uint32_t chunk, uint32_t entry)
{
    if (entry == SKEP_CHUNK_NONE)
        return;
    if (chunk >= v->chunk_count || entry >= vs->super.chunk_count) {
        damaged(vs, "volume %s: its chunk %" PRIu32 " is nowhere on the disk", v->record.name,
                chunk);
        v->damaged = true;
        return;
    }
    if (usage_refs(&vs->chunks, entry) == USAGE_REFS_MAX) {
        damaged(vs, "volume %s: chunk %" PRIu32 " of the disk is named too often", v->record.name,
                entry);
        v->damaged = true;
        return;
    }
    usage_ref(&vs->chunks, entry);
    v->mapped++;
}

static int load_map(struct volumes *vs, struct volume *v, uint32_t position)
{
    int result;

    if (!claim_meta(vs, v, v->maps[position]))
        return 0;
    result = read_block(vs, v, FORMAT_MAP, v->maps[position], position);
    for (uint32_t i = 0; result > 0 && i < FORMAT_ENTRIES; i++)
        count_entry(vs, v, position * FORMAT_ENTRIES + i, vs->entries.entries[i]);
    return result < 0 ? result : 0;
}

static int load_index(struct volumes *vs, struct volume *v, uint32_t root)
{
    uint32_t first = root * FORMAT_ENTRIES, count = volume_map_count(v->chunk_count);
    int result;

    if (v->record.roots[root] == 0 || !claim_meta(vs, v, v->record.roots[root]))
        return 0;
    result = read_block(vs, v, FORMAT_INDEX, v->record.roots[root], root);
    if (result <= 0)
        return result;
    for (uint32_t i = 0; i < FORMAT_ENTRIES; i++) {
        if (first + i < count) {
            v->maps[first + i] = vs->entries.entries[i];
        } else if (vs->entries.entries[i]) {
            damaged(vs, "volume %s: index %" PRIu32 " names maps beyond its end", v->record.name,
                    root);
            v->damaged = true;
            return 0;
        }
    }
    for (uint32_t i = first; result >= 0 && i < first + FORMAT_ENTRIES && i < count; i++)
        result = v->maps[i] ? load_map(vs, v, i) : 0;
    return result < 0 ? result : 0;
}

/*
 * The table
 */

static bool record_is_sane(struct volumes *vs, const struct format_volume *r)
{
    return (r->kind == FORMAT_VOLUME || r->kind == FORMAT_SNAPSHOT) &&
           memchr(r->name, '\0', sizeof(r->name)) && volume_name_valid(r->name) &&
           memchr(r->parent, '\0', sizeof(r->parent)) &&
           (r->parent[0] == '\0' || volume_name_valid(r->parent)) &&
           format_labels_are_sane(r->labels) && r->bytes % BDEV_BLOCK == 0 &&
           volume_chunks(vs, r->bytes) != 0 && !volumes_find(vs, r->name) &&
           !volumes_by_id(vs, r->id);
}

static int load_volume(struct volumes *vs, const struct format_volume *record, uint32_t slot)
{
    struct volume *v;
    int result = 0;

    if (record->kind == FORMAT_FREE)
        return 0;
    if (!record_is_sane(vs, record)) {
        damaged(vs, "volume table: record %" PRIu32 " makes no sense", slot);
        return 0;
    }
    v = calloc(1, sizeof(*v));
    if (!v)
        return -SKEP_ENOMEM;
    v->record = *record;
    v->slot = slot;
    v->damaged = vs->report.old_home;
    v->chunk_count = volume_chunks(vs, record->bytes);
    v->maps = calloc(volume_map_count(v->chunk_count), sizeof(*v->maps));
    if (!v->maps) {
        free(v);
        return -SKEP_ENOMEM;
    }
    volumes_insert(vs, v);
    for (uint32_t root = 0; result == 0 && root < FORMAT_ROOTS; root++)
        result = load_index(vs, v, root);
    return result;
}

static int load_table(struct volumes *vs, struct format_table *table)
{
    for (uint32_t i = 0; i < vs->super.table_blocks; i++) {
        uint32_t number = vs->super.table_first + i;
        int result = format_read(vs->dev, &vs->super, FORMAT_TABLE, number, table);

        if (result == FORMAT_DAMAGED || (result == 0 && is_too_new(vs, &table->header))) {
            damaged(vs, "volume table: block %" PRIu32 " is damaged; its volumes are not known",
                    number);
            continue;
        }
        for (uint32_t slot = 0; result == 0 && slot < FORMAT_SLOTS; slot++)
            result = load_volume(vs, &table->volumes[slot], i * FORMAT_SLOTS + slot);
        if (result != 0)
            return result;
    }
    return 0;
}

/*
 * The region for Skep's own state
 */

static struct volumes *of_system(struct bdev *dev)
{
    return (struct volumes *)(void *)((char *)dev - offsetof(struct volumes, system));
}

static bool is_inside(const struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    return offset <= dev->bytes && bytes <= dev->bytes - offset;
}

static uint64_t system_offset(const struct volumes *vs)
{
    return (uint64_t)vs->super.system_first * BDEV_BLOCK;
}

static int system_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    struct volumes *vs = of_system(dev);

    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    return vs->dev->read(vs->dev, system_offset(vs) + offset, data, bytes);
}

static int system_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    struct volumes *vs = of_system(dev);

    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    if (vs->state != VOLUMES_ONLINE)
        return -SKEP_EIO;
    return vs->dev->write(vs->dev, system_offset(vs) + offset, data, bytes);
}

static int system_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    struct volumes *vs = of_system(dev);

    if (!is_inside(dev, offset, bytes))
        return -SKEP_EINVAL;
    if (vs->state != VOLUMES_ONLINE)
        return -SKEP_EIO;
    return vs->dev->zero(vs->dev, system_offset(vs) + offset, bytes);
}

static int system_flush(struct bdev *dev)
{
    struct volumes *vs = of_system(dev);
    return vs->dev->flush(vs->dev);
}

/*
 * Opening
 */

static void note_journal(struct volumes *vs)
{
    if (vs->report.heads_damaged)
        damaged(vs, "journal: both heads, blocks 1 and 2, are damaged");
    if (vs->report.commit_damaged)
        damaged(vs, "journal: the transaction at block %" PRIu32 " is damaged",
                vs->report.damaged_block);
    if (vs->report.strange_home)
        damaged(vs, "journal: a transaction changes blocks that are no metadata");
    if (vs->report.old_home)
        damaged(vs, "journal: not all that it has is home, so no volume is known to be whole");
}

/* The first writes to a disk of which all is well. */
static int put_to_use(struct volumes *vs, int good_supers)
{
    int result = journal_start(&vs->journal);

    if (result == 0 && good_supers != 3) {
        result = format_write_supers(vs->dev, &vs->super, good_supers);
        vs->super_repaired = result == 0;
    }
    return result;
}

static int load(struct volumes *vs, int good_supers)
{
    struct format_table *table;
    int result = journal_open(&vs->journal, vs->dev, &vs->super, &vs->report);

    if (result != 0)
        return result;
    note_journal(vs);
    /* Then it says nothing about how new blocks may be. */
    if (journal_is_damaged(&vs->report))
        vs->journal.sequence = UINT64_MAX;
    table = malloc(sizeof(*table));
    if (!table)
        return -SKEP_ENOMEM;
    result = load_table(vs, table);
    free(table);
    return result == 0 && vs->state == VOLUMES_ONLINE ? put_to_use(vs, good_supers) : result;
}

int volumes_open(struct volumes *vs, struct bdev *dev)
{
    int result;

    memset(vs, 0, sizeof(*vs));
    vs->dev = dev;
    result = format_find(dev, &vs->super);
    if (result <= 0)
        return result < 0 ? result : -SKEP_ENODEV;
    vs->system = (struct bdev){.bytes = (uint64_t)vs->super.system_blocks * BDEV_BLOCK,
                               .read = system_read,
                               .write = system_write,
                               .zero = system_zero,
                               .flush = system_flush};
    if (!usage_init(&vs->chunks, vs->super.chunk_count) ||
        !usage_init(&vs->metas, vs->super.meta_blocks)) {
        volumes_close(vs);
        return -SKEP_ENOMEM;
    }
    result = load(vs, result);
    if (result != 0)
        volumes_close(vs);
    return result;
}

void volumes_close(struct volumes *vs)
{
    while (vs->first) {
        struct volume *v = vs->first;
        vs->first = v->next;
        free(v->maps);
        free(v);
    }
    journal_close(&vs->journal);
    usage_free(&vs->chunks);
    usage_free(&vs->metas);
}
