/*
 * fsck.h - checks a disk of Skep's, without changing it.
 *
 * It reads what volumes_open() reads, and more, with code of its own, so that the one shows the other's mistakes. What a
 * replay of the journal would bring home counts as being there.
 */
#ifndef CONTROL_STORAGE_FSCK_H
#define CONTROL_STORAGE_FSCK_H

#include <stdint.h>

#include "bdev.h"

struct fsck_result {
    uint32_t errors;   /* what makes a disk "damaged" */
    uint32_t warnings; /* what opening it mends, or what a power cut leaves */
    uint32_t volumes, snapshots;
    uint32_t replayed; /* transactions */
    uint32_t chunks, chunks_used, chunks_shared;
    uint32_t metas, metas_used;
};

/* say() gets a line for each error and warning. 0 when the disk could be read, or a negative SKEP_E… code: -SKEP_ENODEV, it
 * is no disk of Skep's. */
int fsck_disk(struct bdev *dev, void (*say)(void *argument, const char *line), void *argument,
              struct fsck_result *out);

#endif
