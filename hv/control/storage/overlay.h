/* overlay.h - a device on which writes stay in memory: for looking at a disk without changing it. */
#ifndef CONTROL_STORAGE_OVERLAY_H
#define CONTROL_STORAGE_OVERLAY_H

#include "bdev.h"

#define OVERLAY_BLOCKS_MAX 8192u /* more than a journal has; further ones end with -SKEP_ENOMEM */

struct overlay {
    struct bdev dev; /* the device as it would be */
    struct bdev *below;
    struct {
        uint64_t number;
        uint8_t *data; /* NULL = free */
    } blocks[OVERLAY_BLOCKS_MAX];
};

void overlay_init(struct overlay *o, struct bdev *below);
void overlay_free(struct overlay *o);

#endif
