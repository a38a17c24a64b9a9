/*
 * range.h - what may be where in a guest's address space: a sorted table of ranges, in one frame.
 *
 * Nothing here knows page tables or frames. guest.lock guards a table.
 */
#ifndef CORE_RANGE_H
#define CORE_RANGE_H

#include "core/types.h"

enum range_kind {
    RANGE_ANON,     /* private, zero-filled */
    RANGE_RESERVED, /* the same, but a page costs nothing before it is touched */
    RANGE_IMAGE, /* pages of the guest's image (of its files' for SKEP_MAPPING_FILES) from first_page on */
    RANGE_FIXED, /* start-info and vCPU pages: mapped at creation */
    RANGE_GUARD, /* never mapped: a touch is a stack overflow */
};

struct range {
    uint64_t start, end; /* page-aligned, end exclusive */
    uint32_t first_page; /* RANGE_IMAGE */
    uint8_t kind;
    uint8_t prot;
    uint8_t
        ever_owned; /* had rights that give it frames of its own: counts, and never becomes executable */
    uint8_t mapping; /* enum skep_mapping_kind: what people call it */
};

#define RANGES_MAX (SKEP_PAGE_SIZE / sizeof(struct range))

struct ranges {
    struct range *at; /* a frame */
    uint32_t count;
    /* Frames that all may come to need: pages of their own but for reserved ones, and page tables beyond the root. */
    uint64_t cost;
};

/* Index of the first range that ends above the address; `count` when there is none. */
uint32_t ranges_index(const struct ranges *ranges, uint64_t address);

/* The range that the address is in, or NULL. */
const struct range *ranges_find(const struct ranges *ranges, uint64_t address);

/* Adds a range that may cost at most `frames_max` frames together with those there are. -SKEP_EEXIST when it overlaps
 * one, -SKEP_ENOSPC when the table is full, -SKEP_ENOMEM. UINT64_MAX: not counted, the caller does when it has added
 * all. */
int ranges_add(struct ranges *ranges, const struct range *range, uint64_t frames_max);

/* The start of the first gap in [start, end) of so many bytes, 0 = none. */
uint64_t ranges_gap(const struct ranges *ranges, uint64_t start, uint64_t end, uint64_t bytes);

/* Whether every byte of the span belongs to ranges that the guest may change, to these rights: 0, -SKEP_EFAULT (a
 * hole, unless there may be some) or -SKEP_EPERM. */
int ranges_changeable(const struct ranges *ranges, uint64_t start, uint64_t end, uint32_t prot,
                      bool holes);

/* The first address of the span that is in a range; its end if none is. */
uint64_t ranges_first(const struct ranges *ranges, uint64_t start, uint64_t end);

/* Where a span that begins in a changeable reserved range leaves such ranges, or the other way round, or comes to a hole; its
 * end if it does neither. */
uint64_t ranges_alike(const struct ranges *ranges, uint64_t start, uint64_t end);

/* Changes the rights of a changeable span. -SKEP_ENOMEM when all would cost more than `frames_max`, -SKEP_ENOSPC. */
int ranges_protect(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t prot,
                   uint64_t frames_max);

/* Takes a changeable span out. -SKEP_ENOSPC. */
int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t end);

/* Takes out the part of the last range that is below `end`. Never fails: for a guest that has ended. */
void ranges_drop(struct ranges *ranges, uint64_t end);

/* The hole that the address is in, for page tables: guard ranges need none and belong to it. */
void ranges_hole(const struct ranges *ranges, uint64_t address, uint64_t *low, uint64_t *high);

/* What is at an address; for a hole its bounds. */
void ranges_describe(const struct ranges *ranges, uint64_t address, struct skep_mapping *mapping);

#endif
