/*
 * guest.h - a guest: its identity, state, memory and vCPUs. One order-0 frame holds the struct.
 *
 * Lifetime: guest_find() takes a reference. A guest that ends gives its memory back through `dying` in bounded
 * steps (reap.c); the struct itself goes when it is destroyed and the last reference is dropped.
 */
#ifndef CORE_GUEST_H
#define CORE_GUEST_H

#include <stdatomic.h>

#include "core/aspace.h"
#include "core/console.h"
#include "core/lock.h"
#include "core/sched.h"
#include "core/types.h"
#include "core/vcpu.h"

#define GUEST_VCPUS_MAX        32u
#define GUEST_MEMORY_BYTES_MAX (1ull << 40)

struct block;
struct image;
struct port;

enum reap_state {
    REAP_LIVE,         /* none of the reaper's business: reap_wake() does nothing */
    REAP_ASIDE,        /* waiting for a CPU or a device to let go */
    REAP_QUEUED,       /* in the reaper's list */
    REAP_ACTIVE,       /* a CPU is at it */
    REAP_ACTIVE_AGAIN, /* and has to look once more */
};

struct guest {
    uint64_t handle; /* generation << 32 | index */
    _Atomic uint32_t references;
    bool is_control;
    char name[SKEP_NAME_MAX];
    struct image *image; /* NULL once reaped */
    struct image *files; /* the same, and NULL if it has none */
    uint64_t image_handle;
    uint64_t image_base;
    _Atomic uint64_t wall_ns; /* as its start-info says (wall.h) */

    struct spinlock lock; /* guards the fields up to `ports` */
    struct aspace aspace;
    enum skep_guest_state state;
    enum skep_guest_state final_state; /* what it becomes when its memory is given back */
    bool destroy;                      /* asked for: free the struct after that */
    bool reaped;                       /* its memory is given back */
    uint32_t exit_code;
    uint64_t promise_frames, charged_frames; /* the promise, and what is taken of it */
    uint64_t fixed_frames;                   /* of those, ring 0's objects */
    uint64_t peak_frames;                    /* the most that were charged at once */
    uint64_t created_ns, started_ns, ended_ns;
    uint64_t ended_cpu_ns, ended_ready_ns, ended_hypercalls,
        ended_page_faults; /* of vCPUs that are gone */
    uint32_t vcpu_count, vcpu_max;
    uint32_t vcpus_reserved; /* whose frames are in fixed_frames, made or not */
    struct vcpu *vcpus[GUEST_VCPUS_MAX];
    pfn_t start_info[SKEP_START_INFO_PAGES], vcpu_pages[GUEST_VCPUS_MAX];
    struct console console;
    struct skep_crash crash;

    uint32_t net_count;
    struct skep_net_counters ended_net[SKEP_NETS_MAX]; /* of ports that are gone */

    /* Of block devices, also those that are gone. Counted under the lock of the device's volume, read without. */
    struct guest_block_counters {
        _Atomic uint64_t reads, writes, flushes, discards, read_bytes, written_bytes;
    } block_counters[SKEP_BLOCKS_MAX];

    /* Guarded by switch_lock (hv/io); NULL = no such device. */
    struct port *ports[SKEP_NETS_MAX];

    /* Set when it is created, and NULL again when the reaper has taken them down; NULL = no such device. */
    struct block *blocks[SKEP_BLOCKS_MAX];

    /* Guarded by reap_lock. */
    enum reap_state reap_state;
    struct guest *reap_next; /* in the reaper's list */

    struct share share; /* guarded by sched_lock */
};

_Static_assert(sizeof(struct guest) <= SKEP_PAGE_SIZE, "a guest is one frame");

/* Takes the table for `capacity` guests. Boot CPU, once. */
void guest_init(uint32_t capacity);

/* The guest with this handle and a reference to it, or NULL. */
struct guest *guest_find(uint64_t handle);
void guest_release(struct guest *guest);

/* The next guest after `handle` (0 = from the start) that isn't the control service; 0 = none. */
uint64_t guest_next(uint64_t handle);
uint32_t guest_count(void);

/* Creates a guest of a sealed image, not running. `caller` is the guest whose memory spec->strings points into. The
 * handle, or: -SKEP_EINVAL (a field out of range), -SKEP_ENOENT (image, volume), -SKEP_ENOMEM (promise), -SKEP_EEXIST (MAC or
 * address), -SKEP_EBUSY (another guest may write to the volume), -SKEP_ENOSPC (too many guests or vCPUs, or users of a
 * volume), -SKEP_EFAULT (strings). */
int64_t guest_create(struct guest *caller, const struct skep_guest_spec *spec);

/* Creates the control service's guest from the boot file's image. The handle or an error, as above. */
int64_t guest_create_control(struct image *image, uint64_t memory_bytes);

/* Changes of state; each checks that it may happen now: -SKEP_EBUSY when not. */
int guest_start(struct guest *guest);    /* created, paused -> running; -SKEP_EAGAIN: call again */
int guest_pause(struct guest *guest);    /* running -> paused */
int guest_shutdown(struct guest *guest); /* running -> stopping, with SKEP_EVENT_SHUTDOWN */

/* Ends the guest in any state; harmless when it has ended already. Its memory comes back through dying. A guest that
 * is killed has exited with SKEP_CRASH_KILLED as its reason. */
void guest_end(struct guest *guest, uint32_t exit_code);
void guest_kill(struct guest *guest);

/* Ends the guest and lets its struct go, too, after that. */
void guest_destroy(struct guest *guest);

/* Console input for the guest: bytes taken, or -SKEP_EBUSY when it has ended. */
int guest_input(struct guest *guest, const char *text, uint32_t bytes);

/* All of it; or what its first SKEP_GUEST_BRIEF_BYTES have, and nothing of worth behind them. */
void guest_status(struct guest *guest, struct skep_guest_status *status);
void guest_status_brief(struct guest *guest, struct skep_guest_status *status);

/* A bounded step of giving back ended guests' memory, on any CPU between traps. True: there is more to do now. */
bool guest_reap_step(void);

/* To be called when the guest has ended. */
void reap_begin(struct guest *guest);

/* To be called by who lets go of the guest: a CPU that leaves its address space, a device that returns the last of its
 * pages, who held a port. Nothing happens if it hasn't ended: it may be one whose creation fails (guest_create.c). */
void reap_wake(struct guest *guest);

/* vCPU `index`, NULL when it hasn't been made. It stays until no CPU runs the guest. Needs no lock in its own calls. */
static inline struct vcpu *guest_vcpu(struct guest *guest, uint64_t index)
{
    /* Set with release when the vCPU is there; read with acquire. */
    return index < GUEST_VCPUS_MAX ? __atomic_load_n(&guest->vcpus[index], __ATOMIC_ACQUIRE) : NULL;
}

/* SKEP_CTL_GUEST_SET: all of the change is made, or nothing. -SKEP_EINVAL (a field out of range), -SKEP_EBUSY (it has
 * ended, or uses more memory than it would have), -SKEP_ENOMEM (memory that can't be promised, or no room under the
 * promise for a further vCPU), -SKEP_ENOSPC (vCPUs); -SKEP_EAGAIN: part is done, call again. */
int guest_change(struct guest *guest, const struct skep_guest_change *change);

/* -SKEP_EINVAL when there can be no such vCPU. One that was never there is off. */
int guest_vcpu_status(struct guest *guest, uint64_t index, struct skep_vcpu_status *status);

/* What the guest wrote about itself. -SKEP_ENOENT: it has no vCPU any more. */
int guest_stats(struct guest *guest, struct skep_stat stats[SKEP_STATS_MAX]);

/* Sets up and starts vCPU `index`, which must be off. -SKEP_EINVAL, -SKEP_EBUSY. */
int guest_vcpu_start(struct guest *guest, uint32_t index, const struct skep_context *context);

/* Ends the guest because of what its vCPU did (fault, bad hypercall, broken ring). Only this guest is stopped. The
 * vCPU may be any of the guest's; the record names it. Takes guest.lock. Any context that holds no lock after
 * port.lock in the lock order. */
void guest_crash(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address,
                 uint64_t error);

/* The same with a message of fewer than 128 bytes. */
void guest_crash_message(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address,
                         uint64_t error, const char *message, uint32_t message_bytes);

/* Frames that the guest holds or may come to need for what is mapped: the least that its promise can be. Holds
 * guest.lock. */
uint64_t guest_frames_committed(const struct guest *guest);

/* Takes a frame under the guest's promise, charged to it, zeroed. PFN_NONE when the promise is used up. Holds
 * guest.lock. */
pfn_t guest_frame_alloc(struct guest *guest, enum skep_frame_type type);

/* Takes up to `count` at once, likewise: pfns[] and how many. */
uint32_t guest_frames_alloc(struct guest *guest, enum skep_frame_type type, uint32_t count,
                            pfn_t pfns[]);

/* One with undefined contents, which the caller overwrites whole. */
pfn_t guest_frame_alloc_raw(struct guest *guest, enum skep_frame_type type);
void guest_frame_free(struct guest *guest, pfn_t pfn);

#endif
