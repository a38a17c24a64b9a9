/* fsck.c - superblocks, journal, table, indexes and maps, and who has which chunk. */
#include "storage/fsck.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/format.h"
#include "storage/journal.h"
#include "storage/overlay.h"

#define NOBODY 0u

/* Who has a chunk: its first user in the table, and how many there are. */
struct holder {
    uint64_t family;
    uint32_t chunk;  /* of the volume: a copy has it at the same place */
    uint32_t volume; /* number of the volume that was seen last, from 1 */
    uint32_t count;
};

struct fsck {
    struct overlay overlay;
    struct bdev *dev; /* the overlay's */
    struct format_super super;
    struct journal journal;
    void (*say)(void *argument, const char *line);
    void *argument;
    struct fsck_result *out;
    uint64_t newest; /* sequence numbers are below it */
    struct holder *holders;
    uint8_t *metas;             /* 1 = used */
    struct format_volume *seen; /* volumes, in the table's order */
    uint32_t seen_count;
    struct format_table table;
    struct format_entries index, map;
};

__attribute__((format(printf, 3, 4))) static void tell(struct fsck *f, uint32_t *counter,
                                                       const char *format, ...)
{
    char line[160];
    va_list list;

    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(list);
    ++*counter;
    if (f->say)
        f->say(f->argument, line);
}

#define error(f, ...)   tell(f, &(f)->out->errors, __VA_ARGS__)
#define warning(f, ...) tell(f, &(f)->out->warnings, __VA_ARGS__)

/* Reads a block and checks all that its header says. 1, 0 = it is wrong (and told), or an error of the device. */
static int read_block(struct fsck *f, uint32_t kind, uint32_t number, void *block, const char *what)
{
    const struct format_header *h = block;
    int result = format_read(f->dev, &f->super, kind, number, block);

    if (result == FORMAT_DAMAGED) {
        error(f, "%s: block %" PRIu32 " is damaged", what, number);
        return 0;
    }
    if (result != 0)
        return result;
    if (h->sequence < f->newest)
        return 1;
    error(f, "%s: block %" PRIu32 " is newer than the journal", what, number);
    return 0;
}

/*
 * Chunks
 */

static void check_entry(struct fsck *f, const struct format_volume *v, uint32_t chunk,
                        uint32_t entry)
{
    uint64_t chunks = (v->bytes + f->super.chunk_bytes - 1) / f->super.chunk_bytes;
    struct holder *h;

    if (entry == SKEP_CHUNK_NONE)
        return;
    if (entry >= f->super.chunk_count || chunk >= chunks) {
        error(f, "volume %s: chunk %" PRIu32 " is at %" PRIu32 ", beyond the end of %s", v->name,
              chunk, entry, chunk >= chunks ? "the volume" : "the disk");
        return;
    }
    h = &f->holders[entry];
    if (h->count == 0) {
        *h = (struct holder){.family = v->family, .chunk = chunk};
        f->out->chunks_used++;
    } else if (h->volume == f->seen_count) {
        error(f, "volume %s: it has chunk %" PRIu32 " of the disk twice", v->name, entry);
    } else if (h->family != v->family || h->chunk != chunk) {
        error(f, "volume %s: chunk %" PRIu32 " of the disk is that of volume %s", v->name, entry,
              f->seen[h->volume - 1].name);
    }
    f->out->chunks_shared += h->count == 1;
    h->count++;
    h->volume = f->seen_count;
}

/*
 * Indexes and maps
 */

static bool claim(struct fsck *f, const struct format_volume *v, uint32_t number)
{
    uint32_t n = number - f->super.meta_first;

    if (number < f->super.meta_first || n >= f->super.meta_blocks) {
        error(f, "volume %s: block %" PRIu32 " is no metadata block", v->name, number);
        return false;
    }
    if (f->metas[n]) {
        error(f, "volume %s: block %" PRIu32 " is used twice", v->name, number);
        return false;
    }
    f->metas[n] = 1;
    f->out->metas_used++;
    return true;
}

static int read_entries(struct fsck *f, const struct format_volume *v, uint32_t kind,
                        uint32_t number, uint32_t position, struct format_entries *block)
{
    char what[80];
    int result;

    snprintf(what, sizeof(what), "volume %s: %s %" PRIu32, v->name,
             kind == FORMAT_MAP ? "map" : "index", position);
    if (!claim(f, v, number))
        return 0;
    result = read_block(f, kind, number, block, what);
    if (result == 1 && (block->header.owner != v->id || block->header.position != position)) {
        error(f, "%s: block %" PRIu32 " is that of something else", what, number);
        return 0;
    }
    return result;
}

static int check_index(struct fsck *f, const struct format_volume *v, uint32_t root)
{
    int result = read_entries(f, v, FORMAT_INDEX, v->roots[root], root, &f->index);

    for (uint32_t i = 0; result > 0 && i < FORMAT_ENTRIES; i++) {
        uint32_t position = root * FORMAT_ENTRIES + i;
        int whole;
        if (f->index.entries[i] == NOBODY)
            continue;
        whole = read_entries(f, v, FORMAT_MAP, f->index.entries[i], position, &f->map);
        for (uint32_t e = 0; whole > 0 && e < FORMAT_ENTRIES; e++)
            check_entry(f, v, position * FORMAT_ENTRIES + e, f->map.entries[e]);
        if (whole < 0)
            return whole;
    }
    return result < 0 ? result : 0;
}

/*
 * The table
 */

static bool name_is_good(const char *name)
{
    size_t bytes = strnlen(name, FORMAT_VOLUME_NAME);

    return bytes >= 1 && bytes < FORMAT_VOLUME_NAME && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == bytes;
}

static bool record_is_good(struct fsck *f, const struct format_volume *v, uint32_t slot)
{
    if ((v->kind != FORMAT_VOLUME && v->kind != FORMAT_SNAPSHOT) || !name_is_good(v->name) ||
        (v->parent[0] && !name_is_good(v->parent)) || v->bytes == 0 || v->bytes % BDEV_BLOCK != 0 ||
        v->bytes > (uint64_t)SKEP_CHUNKS_MAX * f->super.chunk_bytes || v->id >= f->newest ||
        v->family > v->id || !format_labels_are_sane(v->labels)) {
        error(f, "volume table: record %" PRIu32 " makes no sense", slot);
        return false;
    }
    for (uint32_t i = 0; i < f->seen_count; i++) {
        if (strcmp(f->seen[i].name, v->name) == 0 || f->seen[i].id == v->id) {
            error(f, "volume table: record %" PRIu32 " has a name or id for the second time", slot);
            return false;
        }
    }
    return true;
}

static int check_volume(struct fsck *f, const struct format_volume *v, uint32_t slot)
{
    int result = 0;

    if (v->kind == FORMAT_FREE || !record_is_good(f, v, slot))
        return 0;
    f->seen[f->seen_count++] = *v;
    f->out->volumes += v->kind == FORMAT_VOLUME;
    f->out->snapshots += v->kind == FORMAT_SNAPSHOT;
    for (uint32_t root = 0; result == 0 && root < FORMAT_ROOTS; root++)
        if (v->roots[root] != NOBODY)
            result = check_index(f, v, root);
    return result;
}

static int check_table(struct fsck *f)
{
    for (uint32_t i = 0; i < f->super.table_blocks; i++) {
        int result = read_block(f, FORMAT_TABLE, f->super.table_first + i, &f->table, "table");
        for (uint32_t slot = 0; result > 0 && slot < FORMAT_SLOTS; slot++) {
            int found = check_volume(f, &f->table.volumes[slot], i * FORMAT_SLOTS + slot);
            result = found < 0 ? found : result;
        }
        if (result < 0)
            return result;
    }
    return 0;
}

/*
 * All of it
 */

static int check_journal(struct fsck *f)
{
    struct journal_report report;
    int result = journal_open(&f->journal, f->dev, &f->super, &report);

    f->out->replayed = report.replayed;
    f->newest = f->journal.sequence;
    if (result != 0)
        return result;
    if (report.heads_damaged)
        error(f, "journal: both heads are damaged");
    if (report.commit_damaged)
        error(f, "journal: the transaction at block %" PRIu32 " is damaged", report.damaged_block);
    if (report.strange_home)
        error(f, "journal: a transaction changes blocks that are no metadata");
    if (report.old_home)
        error(f, "journal: not all that it has is home, so no volume is known to be whole");
    /* What is home can't be judged by a journal that has lost its count. */
    if (journal_is_damaged(&report))
        f->newest = UINT64_MAX;
    return 0;
}

static int check(struct fsck *f, int supers)
{
    int result;

    if (!(supers & 1))
        warning(f, "superblock: the first one is damaged or missing");
    if (!(supers & 2))
        warning(f, "superblock: the one in the last block is damaged or missing");
    f->out->chunks = f->super.chunk_count;
    f->out->metas = f->super.meta_blocks;
    f->holders = calloc(f->super.chunk_count, sizeof(*f->holders));
    f->metas = calloc(f->super.meta_blocks, 1);
    f->seen = calloc((size_t)f->super.table_blocks * FORMAT_SLOTS, sizeof(*f->seen));
    if (!f->holders || !f->metas || !f->seen)
        return -SKEP_ENOMEM;
    result = check_journal(f);
    return result ? result : check_table(f);
}

int fsck_disk(struct bdev *dev, void (*say)(void *argument, const char *line), void *argument,
              struct fsck_result *out)
{
    struct fsck *f = calloc(1, sizeof(*f));
    int result;

    memset(out, 0, sizeof(*out));
    if (!f)
        return -SKEP_ENOMEM;
    overlay_init(&f->overlay, dev);
    f->dev = &f->overlay.dev;
    f->say = say;
    f->argument = argument;
    f->out = out;
    result = format_find(dev, &f->super);
    result = result > 0 ? check(f, result) : result < 0 ? result : -SKEP_ENODEV;
    journal_close(&f->journal);
    overlay_free(&f->overlay);
    free(f->holders);
    free(f->metas);
    free(f->seen);
    free(f);
    return result;
}
