/*
 * state.h - a store of named records and blobs that outlives the machine, on a part of a disk.
 *
 * A put or delete is durable when it returns, and atomic: after a power cut at any moment there is the old value or the
 * new one. Names are words of [a-z0-9.-] joined by '/'. Errors are negative SKEP_E… codes: -SKEP_ENOENT (no such name),
 * -SKEP_ENOSPC (full; nothing changed), -SKEP_EIO (the disk failed, or what it holds is damaged: after a failed write
 * nothing is written any more until the store is opened again), -SKEP_ENODEV (the store isn't open).
 *
 * Any thread may call any function, but two puts of the same name, or a put and a delete of it, must not overlap. A big
 * put lets others in between its parts.
 */
#ifndef CONTROL_STATE_H
#define CONTROL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bdev.h"

#define STATE_NAME_MAX  160u /* with its NUL */
#define STATE_BYTES_MIN (64u * BDEV_BLOCK)
#define STATE_BYTES_MAX (1ull << 32)
#define STATE_LOG_MAX   256u /* blocks */
#define STATE_DIGEST    24u  /* bytes of SHA-256 that tell a value from others */

/* The device stays the caller's, and open, until state_close(). One whose first block reads as zeroes is new: it is
 * formatted if format_if_empty, else -SKEP_ENOENT. */
int state_open(struct bdev *dev, bool format_if_empty);
void state_close(void);

int state_put(const char *name, const void *data, size_t bytes);

/* The bytes of the value, which is stored if it fits into the room, and has been checked then. */
int64_t state_get(const char *name, void *data, size_t room);
int state_delete(const char *name);

/* Stores the value's digest, and gives its bytes, without reading them. */
int64_t state_digest(const char *name, uint8_t digest[STATE_DIGEST]);
void state_digest_of(const void *data, size_t bytes, uint8_t digest[STATE_DIGEST]);

/*
 * The log: a sixteenth of the device, at most STATE_LOG_MAX blocks, that are overwritten in place. A store of before there
 * was a log has none. A block can go along with a change: both are durable by the same flush, and a power cut before it
 * leaves any of both.
 */
struct state_log {
    uint32_t block;
    const void *data; /* BDEV_BLOCK bytes */
};

uint32_t state_log_blocks(void);
int state_log_read(uint32_t block, void *data);
int state_log_write(const struct state_log *log); /* durable when it returns */
int state_put_with(const char *name, const void *data, size_t bytes, const struct state_log *log);
int state_delete_with(const char *name, const struct state_log *log);

/* All names that begin with the prefix, in no order: each ended by a NUL, and an empty one last. The caller frees it. */
int state_list(const char *prefix, char **names);

/* Bytes of the store, and of these in use, to within some blocks. */
void state_usage(uint64_t *bytes, uint64_t *used);

#endif
