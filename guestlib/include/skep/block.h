/*
 * block.h - a guest's block devices.
 *
 * Offsets and lengths are in bytes and multiples of the device's block_bytes; what isn't is -SKEP_EINVAL. Memory may lie
 * anywhere, aligned or not; ring 0 passes it to the disk without copying. Any thread may call any function; event
 * handlers may call skep_block_submit() and skep_block_kick().
 *
 * Errors: -SKEP_EIO (the device failed or is offline, or it is read-only), -SKEP_ENOSPC (no space for what is written for
 * the first time), -SKEP_ENODEV (no such device), -SKEP_EINVAL (misaligned, or beyond the end).
 *
 * A write is durable once a flush that was submitted after the write had ended has ended.
 */
#ifndef SKEP_BLOCK_H
#define SKEP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"

struct skep_block_info {
    uint64_t bytes; /* may grow */
    uint32_t block_bytes;
    uint32_t discard_bytes;
    uint32_t flags; /* SKEP_BLOCK_… */
    char name[40];
};

unsigned skep_block_count(void);
int skep_block_info(unsigned device, struct skep_block_info *info);

/* The device with this name, or -SKEP_ENODEV. */
int skep_block_find(const char *name);

enum skep_block_op {
    SKEP_BLOCK_READ,
    SKEP_BLOCK_WRITE,
    SKEP_BLOCK_WRITE_DURABLE, /* a write and the flush that covers it */
    SKEP_BLOCK_FLUSH,
    SKEP_BLOCK_TRIM, /* what is discarded reads as anything until it is written */
    SKEP_BLOCK_ZERO,
};

struct skep_block_part {
    void *data;
    size_t bytes;
};

/* A request. The caller's from the start and again once it is done; in between it stays where it is. At most
 * SKEP_BLOCK_BYTES_MAX bytes in SKEP_BLOCK_PARTS_MAX - 2 parts; TRIM and ZERO have no parts and any length. */
struct skep_block_io {
    enum skep_block_op op;
    uint64_t offset;
    uint64_t bytes; /* for TRIM and ZERO; else it is that of the parts */
    const struct skep_block_part *parts;
    unsigned part_count;

    /* Called when it is done, in an event handler's place; NULL = somebody waits for it. */
    void (*done)(struct skep_block_io *io);
    void *argument; /* the caller's */

    int result; /* OUT: 0, or an error */

    struct skep_block_io *next; /* the library's from here on */
    _Atomic uint32_t state;
    uint8_t status, stage;
    struct skep_block_header header;
    struct skep_block_range range;
};

/* Takes the request; it may wait in the library when the queue is full. 0, or -SKEP_ENODEV or -SKEP_EINVAL, and then it is
 * not done. skep_block_kick() shows what was submitted to the device: once for many. */
int skep_block_submit(unsigned device, struct skep_block_io *io);
void skep_block_kick(unsigned device);

/* Kicks, and waits until the request is done; its result. Its done is NULL. */
int skep_block_wait(unsigned device, struct skep_block_io *io);

/* One after the other; each of any length. 0 or an error. */
int skep_block_read(unsigned device, uint64_t offset, void *data, size_t bytes);
int skep_block_write(unsigned device, uint64_t offset, const void *data, size_t bytes);
int skep_block_flush(unsigned device);
int skep_block_trim(unsigned device, uint64_t offset, uint64_t bytes);
int skep_block_zero(unsigned device, uint64_t offset, uint64_t bytes);

#endif
