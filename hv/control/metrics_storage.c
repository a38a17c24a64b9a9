/* metrics_storage.c - metrics of disks and volumes. */
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "metrics.h"
#include "storage.h"

/* A volume's counters are ring 0's: they begin anew when it is closed, which it is when no guest has used it for a while. */
static const struct {
    const char *name, *help;
    size_t offset; /* in struct skep_volume_status */
} families[] = {
    {"skep_volume_reads", "Read requests.", offsetof(struct skep_volume_status, reads)},
    {"skep_volume_writes", "Write requests.", offsetof(struct skep_volume_status, writes)},
    {"skep_volume_flushes", "Flush requests.", offsetof(struct skep_volume_status, flushes)},
    {"skep_volume_discards", "Discard requests.", offsetof(struct skep_volume_status, discards)},
    {"skep_volume_errors", "Requests that failed.", offsetof(struct skep_volume_status, errors)},
    {"skep_volume_read_bytes", "Bytes that were read.",
     offsetof(struct skep_volume_status, read_bytes)},
    {"skep_volume_written_bytes", "Bytes that were written.",
     offsetof(struct skep_volume_status, written_bytes)},
};

static const struct {
    const char *name, *help;
    size_t offset; /* in struct skep_disk_info */
} disk_families[] = {
    {"skep_disk_reads", "Read requests.", offsetof(struct skep_disk_info, reads)},
    {"skep_disk_writes", "Write requests.", offsetof(struct skep_disk_info, writes)},
    {"skep_disk_flushes", "Flush requests.", offsetof(struct skep_disk_info, flushes)},
    {"skep_disk_errors", "Requests that failed.", offsetof(struct skep_disk_info, errors)},
    {"skep_disk_read_bytes", "Bytes that were read.", offsetof(struct skep_disk_info, read_bytes)},
    {"skep_disk_written_bytes", "Bytes that were written.",
     offsetof(struct skep_disk_info, written_bytes)},
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct row {
    char name[FORMAT_VOLUME_NAME];
    const char *state;
    uint32_t disk;
    uint64_t size_bytes, allocated_bytes, guests;
    uint64_t values[COUNT(families)];
};

struct metrics_volumes {
    unsigned count;
    struct row rows[];
};

/*
 * Volumes
 */

static void take_volume(struct row *row, const struct disk *disk, const struct volume *v)
{
    struct skep_volume_status s;
    uint64_t allocated;

    memcpy(row->name, v->record.name, sizeof(row->name));
    row->state = storage_look(disk, v, &s, &allocated);
    row->disk = storage_disk_index(disk);
    row->size_bytes = v->record.bytes;
    row->allocated_bytes = allocated;
    row->guests = s.users;
    for (unsigned i = 0; i < COUNT(families); i++)
        row->values[i] = metrics_value(&s, families[i].offset);
}

static const struct volume *first_volume(uint32_t disk)
{
    const struct disk *d = storage_disk(disk);
    return d && d->volumes ? d->volumes->first : NULL;
}

/* All at one moment: an open one costs a look at ring 0's status, the others nothing. */
struct metrics_volumes *metrics_take_volumes(void)
{
    struct metrics_volumes *all;
    unsigned count = 0;

    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        for (const struct volume *v = first_volume(i); v; v = v->next)
            count++;
    all = calloc(1, sizeof(*all) + count * sizeof(*all->rows));
    for (uint32_t i = 0; all && i < SKEP_DISKS_MAX; i++)
        for (const struct volume *v = first_volume(i); v; v = v->next)
            if (access_sees(v->record.name))
                take_volume(&all->rows[all->count++], storage_disk(i), v);
    storage_unlock();
    return all;
}

void metrics_free_volumes(struct metrics_volumes *all)
{
    free(all);
}

static void label_volume(struct exposition *x, const struct row *row)
{
    exposition_label(x, "volume", row->name);
}

static void write_gauge(struct exposition *x, const struct metrics_volumes *all, const char *name,
                        const char *help, size_t offset)
{
    exposition_family(x, METRIC_GAUGE, name, help);
    for (const struct row *row = all->rows; row < all->rows + all->count; row++) {
        label_volume(x, row);
        exposition_number(x, metrics_value(row, offset));
    }
}

void metrics_write_volumes(struct exposition *x, const struct metrics_volumes *all)
{
    exposition_family(x, METRIC_GAUGE, "skep_volume_state",
                      "1 for the state that the volume is in.");
    for (const struct row *row = all->rows; row < all->rows + all->count; row++) {
        label_volume(x, row);
        exposition_label_number(x, "disk", row->disk);
        exposition_label(x, "state", row->state);
        exposition_number(x, 1);
    }
    write_gauge(x, all, "skep_volume_size_bytes", "Bytes of the volume as guests see it.",
                offsetof(struct row, size_bytes));
    write_gauge(x, all, "skep_volume_allocated_bytes", "Bytes of the disk that it has.",
                offsetof(struct row, allocated_bytes));
    write_gauge(x, all, "skep_volume_guests", "Guests that have it.", offsetof(struct row, guests));
    for (unsigned i = 0; i < COUNT(families); i++) {
        exposition_family(x, METRIC_COUNTER, families[i].name, families[i].help);
        for (const struct row *row = all->rows; row < all->rows + all->count; row++) {
            label_volume(x, row);
            exposition_number(x, row->values[i]);
        }
    }
}

/*
 * Disks
 */

struct disk_row {
    const char *state; /* NULL = there is no such disk */
    struct skep_disk_info info;
    uint64_t capacity_bytes, used_bytes;
};

static void take_disk(struct disk_row *row, uint32_t index)
{
    const struct disk *disk = storage_disk(index);

    if (!disk || core_disk_info(index, &row->info) != 0)
        return;
    row->state = storage_state_text(disk->state);
    if (disk->volumes)
        storage_usage(disk->volumes, &row->capacity_bytes, &row->used_bytes);
}

static void write_disk_gauge(struct exposition *x, const struct disk_row rows[SKEP_DISKS_MAX],
                             const char *name, const char *help, size_t offset)
{
    exposition_family(x, METRIC_GAUGE, name, help);
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        if (!rows[i].state)
            continue;
        exposition_label_number(x, "disk", i);
        exposition_number(x, metrics_value(&rows[i], offset));
    }
}

static void write_disk_counters(struct exposition *x, const struct disk_row rows[SKEP_DISKS_MAX],
                                unsigned family)
{
    exposition_family(x, METRIC_COUNTER, disk_families[family].name, disk_families[family].help);
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        if (!rows[i].state)
            continue;
        exposition_label_number(x, "disk", i);
        exposition_number(x, metrics_value(&rows[i].info, disk_families[family].offset));
    }
}

void metrics_write_disks(struct exposition *x)
{
    struct disk_row rows[SKEP_DISKS_MAX] = {0};

    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        take_disk(&rows[i], i);
    storage_unlock();
    exposition_family(x, METRIC_GAUGE, "skep_disk_state", "1 for the state that the disk is in.");
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        if (!rows[i].state)
            continue;
        exposition_label_number(x, "disk", i);
        exposition_label(x, "state", rows[i].state);
        exposition_number(x, 1);
    }
    write_disk_gauge(x, rows, "skep_disk_size_bytes", "Bytes of the disk.",
                     offsetof(struct disk_row, info.bytes));
    write_disk_gauge(x, rows, "skep_disk_capacity_bytes", "Bytes of it that volumes can have.",
                     offsetof(struct disk_row, capacity_bytes));
    write_disk_gauge(x, rows, "skep_disk_used_bytes", "Bytes of these that they have.",
                     offsetof(struct disk_row, used_bytes));
    for (unsigned i = 0; i < COUNT(disk_families); i++)
        write_disk_counters(x, rows, i);
}
