/*
 * storage_copy.h - a full copy of a volume: it shares nothing with its source, and may be on another disk.
 *
 * What is copied is a snapshot, so the source stays in use; the snapshot and the copy are unfinished volumes (format.h),
 * which nobody else can have, and which the next start deletes if this one doesn't come to the end.
 */
#ifndef CONTROL_STORAGE_COPY_H
#define CONTROL_STORAGE_COPY_H

#include "storage.h"

struct storage_copy {
    struct storage_stream from, to;
    uint32_t step_bytes; /* the larger chunk of the two disks */
    uint8_t *data;
};

/* With the lock held: makes both volumes. 202, or -1 and the problem; 200 for a dry run, which needs no end. */
int storage_copy_begin(struct storage_copy *c, const struct storage_wish *wish, struct problem *p);

/* Without it. Copies from byte *at on, and counts it up to from.bytes; 0 or a negative SKEP_E… code. */
int storage_copy_step(struct storage_copy *c, uint64_t *at);

/* The copy is a volume like any other now; unless it is dropped, or this fails: then it is gone. */
int storage_copy_end(struct storage_copy *c, bool drop);

/* With the lock held: ends it at once, and both volumes are gone. */
void storage_copy_drop(struct storage_copy *c);

#endif
