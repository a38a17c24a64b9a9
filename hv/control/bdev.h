/*
 * bdev.h - a disk, or a part of one, as the control service's storage code sees it.
 *
 * Offsets and lengths are in bytes, multiples of 4096. Calls block. 0, or a negative SKEP_E… code; after an error nothing
 * is known of what was written. What was written is durable after the next flush.
 */
#ifndef CONTROL_BDEV_H
#define CONTROL_BDEV_H

#include <stddef.h>
#include <stdint.h>

#define BDEV_BLOCK 4096u

struct bdev {
    uint64_t bytes;
    int (*read)(struct bdev *dev, uint64_t offset, void *data, size_t bytes);
    int (*write)(struct bdev *dev, uint64_t offset, const void *data, size_t bytes);
    int (*zero)(struct bdev *dev, uint64_t offset, uint64_t bytes); /* reads as zeroes then */
    int (*flush)(struct bdev *dev);
};

#endif
