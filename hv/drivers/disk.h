/*
 * disk.h - what the block back-end and the drivers of disks say to each other.
 *
 * A request names one run of sectors and the pieces of memory for it. The driver has the structure and the memory until
 * client->done(). Any CPU may submit. A driver may have several queues: a CPU submits on one of them, and each is polled
 * by one CPU at a time (the client sees to that). Client functions are called without a lock. Requests are done in any
 * order.
 */
#ifndef DRIVERS_DISK_H
#define DRIVERS_DISK_H

#include "core/lock.h"
#include "core/types.h"

#define DISK_PIECES_MAX 34u
#define DISK_BYTES_MAX  1048576u
#define DISK_SECTOR     512u
#define DISK_QUEUES_MAX 4u

struct disk;

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH, /* all writes that were done before it was submitted are on the medium */
    DISK_DISCARD,
    DISK_WRITE_ZEROES,
};

/* Memory that lies together, of any number of pages; at most disk.piece_bytes_max. */
struct disk_piece {
    paddr_t address;
    uint32_t bytes;
};

struct disk_request {
    enum disk_op op;
    uint32_t piece_count; /* 0 for FLUSH, DISCARD and WRITE_ZEROES */
    uint64_t sector;      /* of 512 bytes; a multiple of the block */
    uint32_t sectors;     /* of all pieces together, or to discard or zero */
    int error;            /* OUT: 0, -SKEP_EIO, -SKEP_EINVAL (not supported) */
    const struct disk_piece *pieces;
    void (*done)(struct disk_request *request); /* the client's, as the next two */
    void *owner;
    struct disk_request *next;
};

struct disk_driver {
    /* Takes a request that the client has checked, or -SKEP_EAGAIN when there is no room; client->room() is called when
     * there is again. -SKEP_EIO: the disk has failed, and takes nothing any more. */
    int (*submit)(struct disk *disk, struct disk_request *request);

    /* Lets the device start on what this CPU submitted. */
    void (*kick)(struct disk *disk);

    /* Hands back requests of a queue until `budget` is used up; a request costs disk_cost(). True: there are more. False:
     * the device will interrupt. */
    bool (*poll)(struct disk *disk, uint32_t queue, uint32_t budget);

    /* Comes every few seconds while requests may be underway, on one CPU at a time. Wants queues that have some to be
     * polled, in case an interrupt was lost. How many calls the oldest has seen, 0 = there are none. */
    uint32_t (*look)(struct disk *disk);
};

struct disk_client {
    /* The device wants this queue to be polled. */
    void (*interrupt)(struct disk *disk, uint32_t queue);

    /* A request is done: `error` is set, the device uses its pieces no more. */
    void (*done)(struct disk *disk, struct disk_request *request);

    /* Any CPU may submit again. */
    void (*room)(struct disk *disk);

    /* It failed, or its capacity changed. Requests that it still had are handed back with -SKEP_EIO afterwards. */
    void (*changed)(struct disk *disk);
};

struct disk {
    const struct disk_driver *driver;
    const struct disk_client *client;
    uint32_t index; /* among the machine's disks; the client's */
    _Atomic uint64_t sectors;
    uint32_t block_bytes;     /* 512 or 4096 */
    uint32_t piece_bytes_max; /* at least a page's */
    uint32_t flags;           /* SKEP_DISK_… */
    uint32_t queue_count;     /* 1 to DISK_QUEUES_MAX */
    uint32_t discard_max,
        zeroes_max; /* sectors in one DISCARD and one WRITE_ZEROES, 0 = it can't */
    _Atomic bool failed;
    char serial[24];
};

/* What it costs to hand a request back: its memory is given back page by page. */
static inline uint32_t disk_cost(const struct disk_request *request)
{
    return 1 + (request->piece_count > 0 ? request->sectors / 256 : 0);
}

/* Adds memory of one page behind `count` pieces, to the last one if it ends where this page begins: how many there are
 * then. So a piece has each of its pages once, however often each was pinned. */
static inline uint32_t disk_piece_add(const struct disk *disk, struct disk_piece *pieces,
                                      uint32_t count, paddr_t address, uint32_t bytes)
{
    struct disk_piece *last = count > 0 ? &pieces[count - 1] : NULL;
    if (last != NULL && last->address.value + last->bytes == address.value &&
        (address.value & PAGE_MASK) == 0 && bytes <= disk->piece_bytes_max - last->bytes) {
        last->bytes += bytes;
        return count;
    }
    pieces[count] = (struct disk_piece){address, bytes};
    return count + 1;
}

#endif
