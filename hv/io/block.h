/*
 * block.h - guests' block devices, and what becomes of a request.
 *
 * A request is decoded into a slot, which keeps it until it ends; a device has a fixed number of slots, in frames that are
 * reserved of its guest's promise when it is attached, and taken when its queue is set up. Its data aren't copied: the guest's pages are pinned and lent to the disk, a
 * span at a time (bytes that lie together on the disk, in as many pieces as a disk's request may have).
 *
 * volume.lock guards all of it. Errors are negative SKEP_E… codes.
 */
#ifndef IO_BLOCK_H
#define IO_BLOCK_H

#include "io/disks.h"
#include "io/queue.h"
#include "io/volume.h"

#define BLOCK_PARTS_MAX (SKEP_BLOCK_PARTS_MAX - 2u) /* of a request's data */

/* What one go may cost, in pages that are pinned and given to the disk, some 150 instructions each. */
#define BLOCK_WORK 40

struct block;

struct block_slot {
    struct block *block;
    struct work_link link; /* in the device's free slots, or one of the volume's lists */
    uint16_t head;
    bool wanting;  /* held for the control service's sake */
    bool admitted; /* by the limits */
    bool malformed;
    bool waits;    /* for the copy of its chunk */
    bool failed;   /* which could not be made */
    bool spanning; /* a span has begun: it is counted in volume.underway */
    bool writing;  /* which is counted in volume.writes */
    bool
        replaces; /* it writes the whole of a shared chunk, to a place of its own; counted in volume.writes, too */
    uint32_t type; /* SKEP_BLOCK_T_… */
    uint32_t range_flags;
    uint64_t offset, bytes, done; /* of the volume */
    uint64_t sequence;            /* FLUSH: changes before it must be committed */
    paddr_t status_at;            /* pinned */
    uint32_t chunk, to;           /* that it replaces, or whose copy it waits for; by what */
    uint32_t epoch;
    uint64_t span;                  /* bytes */
    uint32_t pinned, part, part_at; /* bytes of the span in pieces; where the next piece begins */
    uint32_t part_count;
    struct disk_request request;
    struct queue_part parts[BLOCK_PARTS_MAX];
    struct disk_piece pieces[DISK_PIECES_MAX];
};

#define BLOCK_SLOTS_PER_FRAME (SKEP_PAGE_SIZE / (uint32_t)sizeof(struct block_slot))
#define BLOCK_SLOT_FRAMES     11u
#define BLOCK_SLOTS           (BLOCK_SLOTS_PER_FRAME * BLOCK_SLOT_FRAMES)

/* One block device of a guest, in a frame of the guest's promise. */
struct block {
    struct guest *guest;
    uint32_t index;
    uint32_t flags; /* SKEP_BLOCK_READ_ONLY, of the guest's spec */
    struct volume *volume;
    struct block *next; /* of the volume's devices */
    struct queue queue;
    bool closed;  /* the guest has ended: queue and memory are not touched */
    bool starved; /* its queue has requests, and no slot is free */
    struct work_link kicked;
    struct work_link free; /* slots */
    uint32_t active;       /* slots that aren't free */
    struct block_slot *slots[BLOCK_SLOT_FRAMES +
                             1]; /* by frame; NULL behind the last, or until its queue is set up */
};
_Static_assert(sizeof(struct block) <= SKEP_PAGE_SIZE, "a frame holds a block device");

/* A bounded part of a volume's work. */
struct block_go {
    struct volume *volume;
    int32_t work; /* left */
    bool kick;    /* the disk was given something */
};

/* ---- block.c ---- */

/* Attaches a volume, or the disk of that index, to a guest that doesn't run yet. -SKEP_EBUSY when another guest may write
 * to the volume, -SKEP_ENOSPC for too many users, -SKEP_ENOMEM. */
int block_attach(struct guest *guest, uint32_t index, struct volume *volume, uint32_t flags);

/* Sets up the device's queue, as queue_setup(). Holds no lock. */
int block_queue_setup(struct block *block, const struct skep_queue_setup *setup);

/* Before any device is attached. */
void block_init(void);

/* The volume that is a disk as a whole. */
struct volume *block_raw(uint32_t disk);

/* Tells the guests of a volume what has changed of it. Holds volume.lock. */
void block_show(struct volume *volume);

/* Takes a dead guest's device down; may be called again. True when it is gone. */
bool block_close(struct block *block);

/* The queue may have new requests, which block_go() takes: false when it takes none now. Holds no lock. */
bool block_kick(struct block *block);

/* Takes the next request of a device that is in volume.kicked into a slot of volume.ready. Holds volume.lock. */
void block_take(struct block_go *go, struct block *block);

/* The slot's request ends with this status. Holds volume.lock. */
void block_finish(struct block_slot *slot, uint32_t status, uint32_t bytes_written);

/* The guest broke its ring, or named memory that it doesn't have. Holds volume.lock. */
void block_broken(struct block *block, int error, enum queue_fault fault, uint64_t address);

/* Gives a slot back whose device has closed. Holds volume.lock. */
void block_slot_free(struct block_slot *slot);

struct block_slot *block_slot_at(const struct block *block, uint32_t index);

/* ---- block_go.c ---- */

/* Does some of a volume's work; goes on by the work list if there is more: true. Holds no lock. */
bool block_go(struct volume *volume);

/* One share of io_work(): false = there was nothing to do. */
bool block_work(void);

/* ---- block_copy.c ---- */

/* Memory for copies is promised while volumes are open: -SKEP_ENOMEM. */
int block_copies_take(void);
void block_copies_give(void);

/* Hold volume.lock, as all that follow. There is space: a copy of the chunk is on its way. False: all copies are
 * underway; the volume is told when one has ended. */
bool block_copy_start(struct volume *volume, uint32_t chunk, uint32_t from);

/* Submits what is due. */
void block_copies_go(struct block_go *go);

#endif
