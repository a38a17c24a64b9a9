/*
 * block_span.h - what block_go.c, which decides about requests, and block_span.c, which carries it out, share.
 *
 * All functions hold volume.lock.
 */
#ifndef IO_BLOCK_SPAN_H
#define IO_BLOCK_SPAN_H

#include "io/block.h"

enum turn {
    TURN_ON,   /* it can have another turn */
    TURN_AWAY, /* it is on the disk or held, or its request has ended */
};

/* Until volume.retry; `wanting`: for the control service's sake. (block_go.c) */
enum turn block_hold(struct block_slot *slot, bool wanting);

/* Before any device is attached. */
void span_init(void);

/* A page of zeroes. */
const void *span_zeroes(void);

/* Begins a span at the slot's byte `done`, which is at this byte of the disk. It counts from here on: what the map said
 * stays true. A request without parts writes zeroes. */
enum turn span_begin(struct block_slot *slot, enum disk_op op, uint64_t byte, uint64_t bytes);

/* Goes on with it: pins pieces, and submits it when it has all. */
enum turn span_turn(struct block_go *go, struct block_slot *slot);

/* slot.part and part_at become the place of the slot's byte `done`. */
void span_seek(struct block_slot *slot);

/* They go on by so many bytes, which are all of one part. */
void span_advance(struct block_slot *slot, uint32_t bytes);

/* The request ends, wherever it is: nothing of it is on the disk. */
enum turn span_finish(struct block_slot *slot, uint32_t status);
enum turn span_finish_well(struct block_slot *slot);

/* The same, as the guest's memory at slot.part could not be used. -SKEP_EFAULT and -SKEP_ENOMEM end the guest. */
enum turn span_memory_failed(struct block_slot *slot, int error);

#endif
