/*
 * volume.h - volumes: which chunk of a guest's block device is where on its disk.
 *
 * Theory of operation: the control service opens a volume with its map, and gives it a pool of free chunks that read as
 * zeroes. Ring 0 takes chunks of the pool by itself: for the first write to a chunk that is nowhere, and for a copy of
 * one that is shared. Each change of the map is logged under a sequence number; the control service reads the log, makes
 * it durable and commits it. Flushes wait for that (block.c), so no flush ends that covers data but not their place.
 *
 * A disk chunk that leaves the map may be given to somebody else once the change is durable. Requests that were begun
 * before may still use it, though; so a change is shown only when all requests have ended that were underway when it was
 * made (it is settled). They are counted in two epochs: when those of the older one have ended, the other becomes the
 * older one, as in read-copy-update.
 *
 * The control service's own devices are disks as a whole: a volume without chunks (raw), which is always open.
 *
 * Files: volume.c (map, pool, log, limits), volume_work.c (which volumes there are, and which have work),
 * volume_calls.c (the control calls), block.c (devices of guests), block_go.c (what becomes of a request),
 * block_span.c (what of it goes to the disk), block_copy.c (copies of shared chunks).
 *
 * Shortcomings: a map is 4 bytes of memory for each chunk up to the last one in use; one lock for each volume, which is
 * held for a whole go.
 *
 * Locks: volume.lock, then disk.lock or guest.lock, and work_lock (volume_work.c) inside of all of them. Two volume locks
 * are never held together. Errors are negative SKEP_E… codes.
 */
#ifndef IO_VOLUME_H
#define IO_VOLUME_H

#include "core/guest.h"
#include "core/heap.h"
#include "core/lock.h"
#include "drivers/disk.h"
#include "io/work.h"

#define VOLUMES_MAX      16384u
#define VOLUME_USERS_MAX 64u /* guests; a change of size tells them all at once */

/* Copies of shared chunks that can be underway at once: COPIES_MAX, and one for each slot of the only device that writes.
 * There are never more chunks that a failed copy has spoilt: they don't read as zeroes any more, but the next copy may
 * have them. */
#define VOLUME_COPIES_MAX 48u

/* Lists that a volume can be in. */
enum volume_list {
    VOLUME_WORK, /* something can go on */
    VOLUME_ROOM, /* waits for room in a disk's queue */
    VOLUME_COPY, /* waits for somebody's copy to end */
    VOLUME_LISTS
};

/* What a write to a chunk that needs a place finds. */
enum volume_space {
    VOLUME_SPACE,
    VOLUME_SPACE_NOT_YET, /* it waits for the control service */
    VOLUME_SPACE_NONE,    /* there is none: NOSPC */
};

struct block;

/* A shared chunk that is being copied or replaced, and the disk chunk that will be in its place. */
struct volume_copy {
    uint32_t chunk, to;
};

/* One frame, and those that are promised to it. */
struct volume {
    uint64_t handle; /* 0 = a disk's own */
    uint32_t disk;
    bool raw;
    uint32_t chunk_shift; /* log2 of a chunk's bytes; not for raw ones */

    /* Guarded by work_lock. */
    struct work_link links[VOLUME_LISTS];
    struct heap_node due; /* key = when a limit lets the next request go */
    struct volume *next, *previous;
    uint32_t references; /* CPUs that work on it */

    _Atomic bool
        retry; /* held requests are to be looked at again; a refresh of what guests are told, too */

    struct spinlock lock; /* guards the rest */
    struct skep_volume_spec spec;
    uint32_t chunks;         /* of the capacity, the last one may be partly beyond it */
    uint64_t promise_frames; /* taken at OPEN and RESIZE: nothing that is needed later can fail */
    struct block *blocks;    /* devices that use it */
    struct block *writer;    /* of those, the one that may write */
    uint32_t users;

    pfn_t roots[2]; /* of tables of the map's pages; all are made when they are first needed */
    uint32_t mapped;

    uint32_t pool[SKEP_VOLUME_POOL_MAX]; /* a ring */
    uint32_t pool_first, pool_count;
    uint32_t pool_given;                           /* chunks that there were after the last GIVE */
    struct volume_copy copying[VOLUME_COPIES_MAX]; /* each will log a change */
    uint32_t copying_count;
    uint32_t spoilt[VOLUME_COPIES_MAX];
    uint32_t spoilt_count;
    bool full; /* writes that find the pool empty fail */

    pfn_t log[2]; /* of changes, a ring */
    uint64_t sequence, settled,
        committed;     /* of the next change; those below are shown; are durable */
    uint64_t boundary; /* what is settled when the older epoch has ended */
    bool settling;     /* it hasn't */
    uint32_t epoch;
    uint32_t underway[2]; /* requests that the disk has or is about to get, by epoch */
    uint32_t writes;      /* of those, the ones that write, and copies */
    uint32_t copies;      /* in block_copy.c */

    bool sharing;        /* writes don't begin, as long as volume_is_sharing() */
    uint32_t share_life; /* of the control service that shares */
    uint32_t share_next; /* chunk */

    bool closing;        /* its map is being given back */
    uint32_t close_next; /* page of the first root that is left */

    bool told; /* the control service, and it has not looked since */

    uint64_t bytes_clear_ns, requests_clear_ns; /* when the limits' debts are paid */

    /* Requests, by their slots. */
    struct work_link ready;   /* can go on */
    struct work_link held;    /* wait for something that sets `retry` */
    struct work_link limited; /* wait for a limit, in order */
    struct work_link kicked;  /* devices whose queue has, or may have, requests */
    uint32_t held_count, limited_count, wanting;

    uint64_t reads, writes_done, flushes, discards, errors;
    uint64_t read_bytes, written_bytes;
};
_Static_assert(sizeof(struct volume) <= SKEP_PAGE_SIZE, "a frame holds a volume");

/* ---- volume.c; all hold volume.lock ---- */

/* Its requests all end with an error: the control service said so, or its disk has failed. */
bool volume_offline(const struct volume *volume);

void volume_init(struct volume *volume, uint32_t disk);

/* The map's entry, SKEP_CHUNK_NONE beyond its end. */
uint32_t volume_entry(const struct volume *volume, uint32_t chunk);

/* Changes the map without a word in the log; the chunks are the volume's. */
void volume_entry_set(struct volume *volume, uint32_t chunk, uint32_t entry);
void volume_entries_set(struct volume *volume, uint32_t chunk, const uint32_t *entries,
                        uint32_t count);

/* Where a chunk of the disk begins, in bytes. */
uint64_t volume_chunk_byte(const struct volume *volume, uint32_t disk_chunk);

/* Whether a chunk of the pool can be taken, and its change be logged; `copy`: a spoilt one will do. When not, the control
 * service is told. */
enum volume_space volume_space(struct volume *volume, bool copy);

/* The chunk that volume_map_first() will take; there is space. */
uint32_t volume_pool_next(const struct volume *volume);

/* Gives a chunk that is nowhere a place: the map's entry. There is space. */
uint32_t volume_map_first(struct volume *volume, uint32_t chunk);

/* Whether a change can be logged; else the control service is told. */
bool volume_log_room(struct volume *volume);

/* Takes a chunk out of the map. There is room in the log. */
void volume_unmap(struct volume *volume, uint32_t chunk);

/* A copy takes a disk chunk, and a place in the log for the change; there is space. Its end changes the map, or keeps
 * what the copy spoilt. Meanwhile nobody else changes the map's entry. */
uint32_t volume_copy_begin(struct volume *volume, uint32_t chunk);
bool volume_copy_underway(const struct volume *volume, uint32_t chunk);
void volume_copy_end(struct volume *volume, uint32_t chunk, uint32_t to, bool done);

/* A request that goes to the disk enters, with the epoch as its ticket, before it looks at the map, and leaves when the
 * disk has no more to do with it. */
uint32_t volume_enter(struct volume *volume);
void volume_leave(struct volume *volume, uint32_t epoch);

/* Tells the control service to look, unless it has been told and not looked yet. */
void volume_tell(struct volume *volume);

/* 0: a request of so many bytes may go, and is counted. Else when to ask again. */
uint64_t volume_admit(struct volume *volume, uint64_t bytes);

/* Whether the map is being marked. When the control service that does so has ended, it isn't. */
bool volume_is_sharing(const struct volume *volume);
void volume_share_begin(struct volume *volume);
void volume_shares_undo(void); /* no lock is needed */

/* Marks those entries as shared that are in the same page of the map as the first: where to go on, `end` at most. */
uint32_t volume_share(struct volume *volume, uint32_t chunk, uint32_t end);

/* Changes that are settled and not committed, oldest first: how many. */
uint32_t volume_changes(struct volume *volume, struct skep_volume_change *changes, uint32_t count);

/* Chunks of the pool, spoilt ones, and those that copies are being made to: how many. */
uint32_t volume_pool_list(const struct volume *volume, uint32_t *chunks, uint32_t count);

/* Where changes that aren't committed lead, settled or not, from the first-th on: how many. A new control service knows
 * by this and by the pool which chunks are not free, whatever its disk says. */
uint32_t volume_taken_list(struct volume *volume, uint64_t first, uint32_t *chunks, uint32_t count);

/* ---- volume_work.c; no lock needed, volume.lock may be held ---- */

/* Enters an open volume in the table and gives it its handle; -SKEP_ENOSPC. */
int volume_table_add(struct volume *volume);

/* Takes it out again; -SKEP_EBUSY when a CPU works on it. Nobody uses it. */
int volume_table_remove(struct volume *volume);

/* NULL = no such volume. It stays open meanwhile: only control calls open and close volumes, one at a time. */
struct volume *volume_find(uint64_t handle);

/* The handle of the next volume, 0 = there are no more; of the first one for NULL. */
uint64_t volume_next(const struct volume *volume);

/* There is something to do. */
void volume_work_add(struct volume *volume);

/* Held requests may go on. */
void volume_wake(struct volume *volume);

/* Waits in one of the other lists; all of a list goes on. */
void volume_stall(struct volume *volume, enum volume_list list);
void volume_unstall(enum volume_list list);

/* Wakes the volume at that time. */
void volume_due_set(struct volume *volume, uint64_t due_ns);

/* Wakes all volumes, some at a time (by volume_work_next()): a disk has changed. */
void volume_wake_all(void);

/* The next volume with work, with a reference, or NULL. volume_release() gives it back. */
struct volume *volume_work_next(void);
void volume_release(struct volume *volume);

/* When the first volume is due; TIME_NEVER. */
extern _Atomic uint64_t volume_deadline_ns;

/* Whether some volume has work, but for what is due; a hint. Work added meanwhile is seen by the CPU that added it. */
extern _Atomic bool volume_work;

static inline bool volume_work_any(void)
{
    uint64_t deadline = atomic_load_explicit(&volume_deadline_ns, memory_order_relaxed);
    return atomic_load_explicit(&volume_work, memory_order_relaxed) ||
           (deadline != TIME_NEVER && deadline <= arch_clock_ns());
}

/* ---- volume_calls.c: the control calls ---- */

int64_t volume_open_call(struct guest *caller, gva_t from);
int64_t volume_set_call(struct guest *caller, const uint64_t arguments[5]);
int64_t volume_read_call(struct guest *caller, const uint64_t arguments[5]);

#endif
