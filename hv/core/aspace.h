/*
 * aspace.h - a guest's address space: sorted ranges say what may be where, page tables say what is.
 *
 * Guarded by guest.lock. Pages are supplied on touch: zeroed for private memory, shared read-only or copied for an
 * image's.
 */
#ifndef CORE_ASPACE_H
#define CORE_ASPACE_H

#include "core/pagetable.h"
#include "core/range.h"
#include "core/types.h"

struct guest;

struct aspace {
    struct pagetable tables;
    struct ranges ranges;
    _Atomic uint32_t loaded_on; /* CPUs that may hold translations, a bit each */
    _Atomic uint32_t flush_wait;
    pfn_t quarantine; /* unmapped frames that wait for flush_wait to become 0 */
    pfn_t held; /* unmapped frames that a device or a queue has pinned; charged until it lets go */
    pfn_t held_seen;              /* of them, those that were looked at in this round */
    uint64_t unmapped_frames;     /* in these lists */
    uint64_t reserved_frames;     /* pages that are present in reserved ranges */
    uint64_t heap_base, heap_end; /* where SKEP_HC_MEM_MAP places what has no address */
};

/* How the last part of a supply went. */
enum supply {
    SUPPLY_OK,
    SUPPLY_NO_RANGE,      /* nothing may be there, or not with these rights */
    SUPPLY_GUARD,         /* a guard range, or memory without any right */
    SUPPLY_OUT_OF_MEMORY, /* a reserved page, and the promise is used up */
};

/* All of these hold guest.lock. */

/* Takes and prepares the root tables and the range table. -SKEP_ENOMEM. */
int aspace_init(struct guest *guest);

/* Adds a range to a guest that is being created; whether all of them fit the promise is seen at the end. -SKEP_EEXIST
 * when it overlaps one, -SKEP_ENOSPC when the table is full. */
int aspace_range_add(struct guest *guest, const struct range *range);

/* What is at an address, for people; for a hole its bounds. */
void aspace_describe(struct guest *guest, uint64_t address, struct skep_mapping *mapping);

/* Maps one of the guest's own frames at an address inside a RANGE_FIXED range. -SKEP_ENOMEM. */
int aspace_fixed_map(struct guest *guest, uint64_t address, pfn_t pfn, uint32_t prot);

/* Makes one page present with the asked right (SKEP_FAULT_WRITE, _EXEC bits). *pfn is its frame. */
enum supply aspace_supply(struct guest *guest, uint64_t address, uint32_t access, pfn_t *pfn);

/* The same for a touch of the guest's own. Others that it is likely to touch next are made present, too: none that could
 * be had for anything else. */
enum supply aspace_touch(struct guest *guest, uint64_t address, uint32_t access);

/* Frames of the pages from `address` on that are present with that right, up to `count` and to where another page table
 * begins: how many. Nothing is supplied. */
uint32_t aspace_present(struct guest *guest, uint64_t address, uint32_t access, uint32_t count,
                        pfn_t pfns[]);

/* SKEP_HC_MEM_MAP: places at `address`, or anywhere in the heap area when it is 0; `how` has protection and SKEP_MAP_…. The
 * address or an error; -SKEP_EAGAIN: there would be room if other CPUs had let go of what was unmapped, which they are
 * about to. */
int64_t aspace_map(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t how);

/* SKEP_HC_MEM_PROTECT and _UNMAP, for a bounded part: *done bytes from `address` on. Another CPU may go by what was
 * there before, and frames of it count, until aspace_settle(), which gives back a bounded part, is true. */
int aspace_protect(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t prot,
                   uint64_t *done);
/* how: SKEP_UNMAP_… */
int aspace_unmap(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t how,
                 uint64_t *done);
bool aspace_settle(struct guest *guest);

/* Frames that the guest may come to hold for what is mapped, of reserved ranges what it holds, and still holds of what
 * was: without ring 0's objects. */
uint64_t aspace_committed(const struct guest *guest);

/* Gives back what is left, a bounded part at a call. True when all of it is gone, tables included; the caller
 * knows that no CPU has it loaded. */
bool aspace_reap(struct guest *guest);

/* This CPU starts or ceases to hold translations of the address space. _leave() and _flushed() give back quarantined
 * frames when this CPU was the last that they waited for; they take guest.lock themselves. */
void aspace_enter(struct guest *guest, uint32_t cpu_index);
void aspace_leave(struct guest *guest, uint32_t cpu_index);

/* Whether a CPU that has nothing to run may go on holding translations: not of a guest that is ending. It takes guest.lock,
 * so that a CPU that was told that it may is among those that aspace_expel() then interrupts. */
bool aspace_stays(struct guest *guest);

/* Has the other CPUs look again whether they stay. Holds guest.lock; the guest is ending. */
void aspace_expel(struct guest *guest);
void aspace_flushed(struct guest *guest, uint32_t cpu_index);

#endif
