/*
 * ram_disk.h - a disk in memory that remembers what was written, and what a power cut may leave of it.
 */
#ifndef CONTROL_RAM_DISK_H
#define CONTROL_RAM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bdev.h"

struct ram_op {
    uint64_t offset;
    size_t bytes;
    uint8_t *data; /* NULL = a flush */
};

struct ram_disk {
    struct bdev dev;
    uint8_t *data; /* the caller's */
    bool log;
    struct ram_op *ops;
    size_t op_count;
    unsigned writes, flushes, reads;
    int fails_after; /* writes and flushes that still succeed, -1 = all */
};

void ram_disk_init(struct ram_disk *disk, void *data, uint64_t bytes);

/* Forgets the log. */
void ram_disk_reset(struct ram_disk *disk);

/* What may be on the medium when the power is cut after the first `op_count` operations of the log: whatever came
 * before the last flush, and of the rest what `how` says. Any of several writes of one sector may be the last. */
enum ram_cut { CUT_NONE, CUT_ALL, CUT_WRITES, CUT_SECTORS, CUT_KINDS };
void ram_disk_cut(const struct ram_disk *disk, uint8_t *medium, size_t op_count, enum ram_cut how,
                  uint32_t *seed);

#endif
