/*
 * fake_disk.h - a disk for tests of hv/io: RAM behind a volatile cache, and each request waits until the test lets it go.
 *
 * What was written is in `data`, and on the `medium` after a flush, or at once when the disk has no cache (flags without
 * SKEP_DISK_FLUSH). fake_disk_power_cut() loses the rest. Order and contents of what was asked are kept in `log`.
 */
#ifndef UNIT_FAKE_DISK_H
#define UNIT_FAKE_DISK_H

#include "drivers/disk.h"

#define FAKE_DISK_HELD_MAX 256u
#define FAKE_DISK_LOG_MAX  4096u

struct fake_disk_entry {
    enum disk_op op;
    uint64_t sector;
    uint32_t sectors;
    uint32_t queue;
    int error; /* that it was done with */
};

struct fake_disk {
    struct disk disk; /* first */
    uint8_t *data, *medium;
    uint32_t room; /* requests that it still takes */

    /* Submitted, and not let go of yet, oldest first. */
    struct disk_request *held[FAKE_DISK_HELD_MAX];
    uint32_t held_queue[FAKE_DISK_HELD_MAX];
    uint32_t held_count;

    /* Let go of, and not polled yet. */
    struct disk_request *ready[DISK_QUEUES_MAX][FAKE_DISK_HELD_MAX];
    uint32_t ready_count[DISK_QUEUES_MAX];

    /* In the order in which they took effect. */
    struct fake_disk_entry log[FAKE_DISK_LOG_MAX];
    uint32_t log_count, kick_count, look_count, silent_count;
    bool starved;   /* it said -SKEP_EAGAIN since client->room() */
    bool immediate; /* lets go of each request at once, when it is kicked */
};

/* Makes a disk of this size and adds it to the machine's (disks_add()); it has all of `flags`, and both limits are 2048
 * sectors where it discards and zeroes. A disk can't be taken away again: a test program makes few. */
void fake_disk_add(struct fake_disk *fake, uint64_t bytes, uint32_t block_bytes, uint32_t flags,
                   uint32_t queue_count);

/* Lets go of held request `which`, which takes effect now and is done with `error`; or of all of them, oldest first. The
 * disk then interrupts; done() comes with the poll. */
void fake_disk_let_go(struct fake_disk *fake, uint32_t which, int error);
void fake_disk_let_all_go(struct fake_disk *fake);

/* Fails for good: everything that it holds comes back with -SKEP_EIO. */
void fake_disk_fail(struct fake_disk *fake);

/* Takes up to `room` more from now on. */
void fake_disk_room_set(struct fake_disk *fake, uint32_t room);

/* Grows or shrinks it; both within the size that it was made with. */
void fake_disk_resize(struct fake_disk *fake, uint64_t bytes);

/* What wasn't flushed is lost, held requests too: none of them is done any more. The disk is as after a boot. */
void fake_disk_power_cut(struct fake_disk *fake);

/* Polls all disks until none wants to be. */
void fake_disks_settle(void);

/* Gives the memory back. */
void fake_disk_free(struct fake_disk *fake);

#endif
