/*
 * disk.c - block devices in memory for the tests.
 */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/block.h"

#define SECTOR 512u

struct write {
    uint64_t offset, bytes;
    uint32_t flushes; /* that had ended before */
    char *data;       /* NULL = zeros */
};

static struct disk {
    char name[40];
    char *data;
    uint64_t bytes;
    uint32_t block_bytes, flags;

    char *start; /* the disk when the log began */
    struct write *log;
    uint32_t log_count, log_room;
    uint32_t flushes;
    bool frozen; /* after a cut: the log is what there was before it */

    uint64_t fail_at[DISK_OPS];
    bool fail_forever[DISK_OPS];
    int fail_error[DISK_OPS];
    struct disk_counts counts;
} disks[DISKS_MAX];
static unsigned disk_count;

uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

static void *checked(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

unsigned disk_new(const char *name, uint64_t bytes, uint32_t block_bytes)
{
    if (disk_count == DISKS_MAX)
        abort();
    struct disk *disk = &disks[disk_count];
    memset(disk, 0, sizeof(*disk));
    strncpy(disk->name, name, sizeof(disk->name) - 1);
    disk->data = checked(calloc(1, bytes));
    disk->bytes = bytes;
    disk->block_bytes = block_bytes;
    return disk_count++;
}

static void forget_log(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->log_count; i++)
        free(disk->log[i].data);
    free(disk->log);
    free(disk->start);
    disk->log = NULL;
    disk->start = NULL;
    disk->log_count = disk->log_room = disk->flushes = 0;
    disk->frozen = false;
}

void disk_delete_all(void)
{
    while (disk_count > 0) {
        struct disk *disk = &disks[--disk_count];
        forget_log(disk);
        free(disk->data);
    }
}

char *disk_data(unsigned device)
{
    return disks[device].data;
}

uint64_t disk_bytes(unsigned device)
{
    return disks[device].bytes;
}

void disk_set_flags(unsigned device, uint32_t flags)
{
    disks[device].flags = flags;
}

/*
 * The log, and power cuts
 */

void disk_log_start(unsigned device)
{
    struct disk *disk = &disks[device];
    forget_log(disk);
    disk->start = checked(malloc(disk->bytes));
    memcpy(disk->start, disk->data, disk->bytes);
}

uint32_t disk_log_position(unsigned device)
{
    return disks[device].log_count;
}

static void log_write(struct disk *disk, uint64_t offset, const char *data, uint64_t bytes)
{
    if (disk->start == NULL || disk->frozen)
        return;
    if (disk->log_count == disk->log_room) {
        disk->log_room = disk->log_room ? disk->log_room * 2 : 1024;
        disk->log = checked(realloc(disk->log, disk->log_room * sizeof(*disk->log)));
    }
    struct write *write = &disk->log[disk->log_count++];
    *write = (struct write){.offset = offset, .bytes = bytes, .flushes = disk->flushes};
    if (data != NULL) {
        write->data = checked(malloc(bytes));
        memcpy(write->data, data, bytes);
    }
}

static void put(struct disk *disk, const struct write *write, uint64_t from, uint64_t bytes)
{
    if (write->data != NULL)
        memcpy(disk->data + write->offset + from, write->data + from, bytes);
    else
        memset(disk->data + write->offset + from, 0, bytes);
}

/* None, all, or some sectors of a write. */
static void put_some(struct disk *disk, const struct write *write, uint64_t *state)
{
    uint64_t kind = random_below(state, 4);
    for (uint64_t at = 0, bytes; at < write->bytes; at += bytes) {
        bytes = write->bytes - at < SECTOR ? write->bytes - at : SECTOR;
        if (kind == 0 || (kind == 1 && random_below(state, 2)))
            put(disk, write, at, bytes);
    }
}

/* How many flushes had ended: those before the next write, or, at a moment that isn't the first, before the last one. */
static uint32_t flushes_at(const struct disk *disk, uint32_t first, uint32_t position,
                           uint64_t *state)
{
    if (position > first && random_below(state, 2))
        return disk->log[position - 1].flushes;
    return position < disk->log_count ? disk->log[position].flushes : disk->flushes;
}

void disk_cut(unsigned device, uint32_t first, uint32_t last, uint64_t seed)
{
    struct disk *disk = &disks[device];
    uint64_t state = seed;
    bool late = random_below(&state, 2) == 0; /* where commits end */
    uint32_t position = late ? last : first + (uint32_t)random_below(&state, last - first + 1);
    uint32_t flushes = flushes_at(disk, first, position, &state);
    memcpy(disk->data, disk->start, disk->bytes);
    for (uint32_t i = 0; i < position; i++)
        if (disk->log[i].flushes < flushes)
            put(disk, &disk->log[i], 0, disk->log[i].bytes);
    disk->frozen = true;
    for (uint32_t i = 0; i < position; i++)
        if (disk->log[i].flushes >= flushes && i + 1 == position && late)
            put(disk, &disk->log[i], 0, disk->log[i].bytes);
        else if (disk->log[i].flushes >= flushes)
            put_some(disk, &disk->log[i], &state);
}

/*
 * Requests
 */

void disk_fail(unsigned device, enum disk_op op, uint64_t n, bool forever, int error)
{
    disks[device].fail_at[op] = n;
    disks[device].fail_forever[op] = forever;
    disks[device].fail_error[op] = error;
}

static int maybe_fail(struct disk *disk, enum disk_op op, uint64_t bytes)
{
    disk->counts.requests[op]++;
    disk->counts.bytes[op] += bytes;
    if (disk->fail_at[op] == 0)
        return 0;
    if (disk->fail_at[op] > 1) {
        disk->fail_at[op]--;
        return 0;
    }
    if (!disk->fail_forever[op])
        disk->fail_at[op] = 0;
    return disk->fail_error[op];
}

struct disk_counts disk_counts(unsigned device)
{
    return disks[device].counts;
}

static int check(unsigned device, uint64_t offset, uint64_t bytes)
{
    if (device >= disk_count)
        return -SKEP_ENODEV;
    struct disk *disk = &disks[device];
    if ((offset | bytes) % disk->block_bytes != 0 || offset > disk->bytes ||
        bytes > disk->bytes - offset)
        return -SKEP_EINVAL;
    return 0;
}

int skep_block_info(unsigned device, struct skep_block_info *info)
{
    if (device >= disk_count)
        return -SKEP_ENODEV;
    *info = (struct skep_block_info){
        .bytes = disks[device].bytes,
        .block_bytes = disks[device].block_bytes,
        .discard_bytes = 65536,
        .flags = disks[device].flags,
    };
    memcpy(info->name, disks[device].name, sizeof(info->name));
    return 0;
}

int skep_block_find(const char *name)
{
    for (unsigned device = 0; device < disk_count; device++)
        if (strcmp(disks[device].name, name) == 0)
            return (int)device;
    return -SKEP_ENODEV;
}

int skep_block_read(unsigned device, uint64_t offset, void *data, size_t bytes)
{
    int result = check(device, offset, bytes);
    if (result == 0)
        result = maybe_fail(&disks[device], DISK_READ, bytes);
    if (result == 0)
        memcpy(data, disks[device].data + offset, bytes);
    return result;
}

static int put_data(unsigned device, uint64_t offset, const char *data, uint64_t bytes)
{
    int result = check(device, offset, bytes);
    if (result == 0 && (disks[device].flags & SKEP_BLOCK_READ_ONLY))
        result = -SKEP_EIO;
    if (result == 0)
        result = maybe_fail(&disks[device], DISK_WRITE, bytes);
    if (result != 0)
        return result;
    log_write(&disks[device], offset, data, bytes);
    if (data != NULL)
        memcpy(disks[device].data + offset, data, bytes);
    else
        memset(disks[device].data + offset, 0, bytes);
    return 0;
}

int skep_block_write(unsigned device, uint64_t offset, const void *data, size_t bytes)
{
    return put_data(device, offset, data, bytes);
}

int skep_block_zero(unsigned device, uint64_t offset, uint64_t bytes)
{
    return put_data(device, offset, NULL, bytes);
}

/* Reads as anything afterwards: here as bytes that nobody wrote. */
int skep_block_trim(unsigned device, uint64_t offset, uint64_t bytes)
{
    char *junk = checked(malloc(bytes));
    memset(junk, 0xdb, bytes);
    int result = put_data(device, offset, junk, bytes);
    free(junk);
    return result;
}

int skep_block_flush(unsigned device)
{
    int result = maybe_fail(&disks[device], DISK_FLUSH, 0);
    if (result == 0 && !disks[device].frozen)
        disks[device].flushes++;
    return result;
}

/* Only what the file systems submit: writes in parts, which they wait for. */
int skep_block_submit(unsigned device, struct skep_block_io *io)
{
    uint64_t bytes = 0;
    if (io->op != SKEP_BLOCK_WRITE || io->done != NULL || io->part_count > SKEP_BLOCK_PARTS_MAX - 2)
        abort();
    for (unsigned i = 0; i < io->part_count; i++)
        bytes += io->parts[i].bytes;
    if (bytes > SKEP_BLOCK_BYTES_MAX)
        abort();
    return check(device, io->offset, bytes);
}

int skep_block_wait(unsigned device, struct skep_block_io *io)
{
    uint64_t offset = io->offset, bytes = 0;
    for (unsigned i = 0; i < io->part_count; i++)
        bytes += io->parts[i].bytes;
    char *data = checked(malloc(bytes + 1)), *end = data;
    for (unsigned i = 0; i < io->part_count; i++) {
        memcpy(end, io->parts[i].data, io->parts[i].bytes);
        end += io->parts[i].bytes;
    }
    io->result = put_data(device, offset, data, bytes);
    free(data);
    return io->result;
}

/*
 * Images in files
 */

void disk_save(unsigned device, const char *path)
{
    FILE *file = checked(fopen(path, "wb"));
    if (fwrite(disks[device].data, 1, disks[device].bytes, file) != disks[device].bytes ||
        fclose(file) != 0)
        abort();
}

void disk_load(unsigned device, const char *path)
{
    FILE *file = checked(fopen(path, "rb"));
    if (fread(disks[device].data, 1, disks[device].bytes, file) != disks[device].bytes)
        abort();
    fclose(file);
}
