/*
 * disks.h - the machine's disks: submitting requests, when their drivers are polled, and what is counted.
 *
 * A disk has an index, from 0 in the order in which they were found; it keeps it, failed or not.
 *
 * To submit: fill a struct disk_request with op, sector, sectors, pieces and piece_count, done and owner; call
 * disks_submit() for it, any number of times; then disks_kick() on the same CPU, in the same trap. Request, pieces and the
 * memory that they name belong to the disk until done(request) is called: later, from io_work(), on any CPU, with no lock
 * held, with request->error set. done() may submit again. A request that was not taken is still the caller's.
 *
 * A write is durable once a FLUSH that was submitted after its done() is done. Disks without a cache of their own
 * (no SKEP_DISK_FLUSH) take FLUSH too.
 */
#ifndef IO_DISKS_H
#define IO_DISKS_H

#include "drivers/disk.h"

/* What the drivers call. */
extern const struct disk_client disks_client;

/* Whom to tell; any CPU, no lock held. */
struct disks_listener {
    void (*room)(
        uint32_t index); /* disks_submit() said -SKEP_EAGAIN, and may take requests again */
    void (*changed)(uint32_t index); /* it failed, or its capacity changed */
};

/* The one listener, NULL = none. Before guests run. */
void disks_listen(const struct disks_listener *listener);

/* Numbers a disk that was started. -SKEP_ENOSPC when there are SKEP_DISKS_MAX. Boot CPU. */
int disks_add(struct disk *disk);

uint32_t disks_count(void);

/* NULL = there is none with this index. */
struct disk *disks_get(uint32_t index);

/* Takes a request: 0, or
 *   -SKEP_ENODEV  there is no such disk
 *   -SKEP_EINVAL  it is misaligned, or leaves the disk, or its pieces are not `sectors`, or it writes to a read-only disk,
 *                 or discards or zeroes more than the disk can at once (disk->discard_max, zeroes_max)
 *   -SKEP_EIO     the disk has failed
 *   -SKEP_EAGAIN  no room now; the listener hears when there is */
int disks_submit(uint32_t index, struct disk_request *request);

/* Lets the disk start on what this CPU submitted. */
void disks_kick(uint32_t index);

/* Queues that ask to be polled, a bit for each. */
extern _Atomic uint32_t disks_wanted_queues;

/* Whether any disk asks to be polled. */
static inline bool disks_wanted(void)
{
    return atomic_load_explicit(&disks_wanted_queues, memory_order_relaxed) != 0;
}

/* Polls one queue of a disk that asks for it and that no other CPU polls; true = one was polled. Bounded: at most
 * DISKS_POLL_BUDGET requests are handed back. */
#define DISKS_POLL_BUDGET 4u
bool disks_poll(void);

/* When disks_look() is due, TIME_NEVER = no disk has anything to do. */
extern _Atomic uint64_t disks_look_ns;

/* Finds disks that don't answer. On any CPU, in the trap of its timer. */
void disks_look(void);

/* State and counters. -SKEP_ENOENT = there is no such disk. */
int disks_info(uint32_t index, struct skep_disk_info *info);

#endif
