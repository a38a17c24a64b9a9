/*
 * cut_disk.h - a disk in memory that remembers which writes were not flushed yet, and makes of itself what a power cut may
 * leave: all that was flushed, and of the rest any sectors, in any order.
 */
#ifndef CONTROL_TEST_CUT_DISK_H
#define CONTROL_TEST_CUT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "bdev.h"

struct cut_write {
    uint32_t block;
    const uint8_t *data; /* NULL = zeroes */
};

struct cut_disk {
    struct bdev dev;
    uint32_t block_count;
    const uint8_t **durable, **current; /* NULL = zeroes */
    struct cut_write *writes;           /* since the last flush */
    uint32_t write_count, write_room;
    struct cut_page *pages; /* all that it has allocated */

    /* Called before each block that is written and each flush. */
    void (*on_event)(struct cut_disk *disk);
    int64_t fail_after; /* events, then each write and flush ends with an error; -1 = never */
};

uint32_t cut_random(uint64_t *state, uint32_t below);

void cut_disk_init(struct cut_disk *disk, uint64_t bytes);

/* What a cut now leaves; it uses the former one's memory, which stays as it is meanwhile. */
void cut_disk_cut(struct cut_disk *image, const struct cut_disk *disk, uint64_t *random);
void cut_disk_free(struct cut_disk *disk);

/* Changes one bit of what is on the disk. */
void cut_disk_flip(struct cut_disk *disk, uint32_t block, uint32_t bit);

const uint8_t *cut_disk_block(const struct cut_disk *disk, uint32_t block);

#endif
