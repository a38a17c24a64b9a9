/*
 * frame.h - the frame table and the buddy allocator below everything.
 *
 * Each page of RAM has one 16-byte entry: what it is, whose it is, how many mappings share it and how many device
 * transfers pin it. A frame that is released while pinned stays its owner's until the last pin goes.
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include "core/types.h"

#define PFN_NONE        ((pfn_t)0)
#define FRAME_ORDER_MAX 10u /* 4 MiB */

/* Owners: ring 0, a guest by its index, an image by its index. */
#define OWNER_CORE  0u
#define OWNER_IMAGE 0x80000000u
static inline uint32_t owner_of_guest(uint32_t index)
{
    return index + 1;
}

struct boot_info;

/* Builds the table from the boot memory map. Boot CPU, once. */
void frame_init(const struct boot_info *boot);

/* Takes 2^order contiguous, naturally aligned frames; contents are zeroed. PFN_NONE when there are none. */
pfn_t frame_alloc(uint32_t order, enum skep_frame_type type, uint32_t owner);

/* Takes up to `count` single frames at once, zeroed: pfns[] and how many. */
uint32_t frame_alloc_singles(uint32_t count, enum skep_frame_type type, uint32_t owner,
                             pfn_t pfns[]);

/* Takes one frame whose contents the caller will overwrite whole, at once. */
pfn_t frame_alloc_raw(enum skep_frame_type type, uint32_t owner);

/* For a CPU with nothing else to do: zeroes some free frames, which frame_alloc() then gives first. They count as free, and
 * are there for every other use, but for a few while this is at them. True: there are more to zero. */
bool frame_clean_step(void);

/* Gives back what frame_alloc() gave. A single frame (order 0) may still be pinned: then the last
 * frame_unpin() gives it back. */
void frame_free(pfn_t pfn, uint32_t order);

/* Where ring 0 sees a frame. */
void *frame_data(pfn_t pfn);

/* The frame that holds an address of the direct map. */
pfn_t frame_of(const void *data);

/* True for RAM in the table. */
bool frame_valid(pfn_t pfn);

/* Turns a frame of the boot file into another type and owner (the control service's image). */
void frame_adopt(pfn_t pfn, enum skep_frame_type type, uint32_t owner);

/* Pins: the frame is not reused before as many unpins. At most 65535 at once; -SKEP_EBUSY beyond. */
int frame_pin(pfn_t pfn);
void frame_unpin(pfn_t pfn);

enum skep_frame_type frame_type(pfn_t pfn);
uint32_t frame_owner(pfn_t pfn);
uint32_t frame_pins(pfn_t pfn);

/* Sharers of an image frame: mappings that exist. */
void frame_share(pfn_t pfn);
void frame_unshare(pfn_t pfn);
uint32_t frame_shares(pfn_t pfn);

/* A word of the table for whoever holds a private frame: links of lists. It shares its place with the count of
 * sharers, which only image frames have. */
void frame_link_set(pfn_t pfn, pfn_t link);
pfn_t frame_link(pfn_t pfn);

/* Frames by type, and all RAM frames. */
void frame_counts(uint64_t counts[SKEP_FRAME_TYPES]);
uint64_t frame_total(void);

/*
 * Promises: the sum never exceeds what the machine has. A promise is made at admission; frames taken under it can't
 * fail for want of memory.
 */
/* What is free now may be promised from now on. Once, when the drivers have taken theirs. */
void promise_open(void);

int promise_take(uint64_t frames);  /* 0, or -SKEP_ENOMEM */
void promise_give(uint64_t frames); /* gives back a promise */
uint64_t promise_taken(void);
uint64_t promise_limit(void); /* the most that can be promised in all, frames */

#endif
