/*
 * pagetable.h - a guest's page tables: a cache of what it has touched. Written by ring 0 only.
 *
 * Guarded by guest.lock. What a leaf entry means, and when a frame may be reused, is aspace.c's business.
 */
#ifndef CORE_PAGETABLE_H
#define CORE_PAGETABLE_H

#include "arch/arch.h"
#include "core/types.h"

struct guest;

#define PAGETABLE_LEVELS 4u

/* log2 of the bytes that an entry of this level spans: 0 = a page. */
static inline uint32_t pagetable_shift(uint32_t level)
{
    return SKEP_PAGE_SHIFT + 9 * level;
}

/* A leaf table, by the number of its 2 MiB. */
struct leaf_table {
    uint64_t number;
    uint64_t *entries; /* NULL = none */
};

#define RECENT_TABLES 4u

struct pagetable {
    struct arch_root root;
    pfn_t root_pfns[ARCH_ROOT_FRAMES];
    struct leaf_table
        recent[RECENT_TABLES]; /* walked to lately, so that most accesses of ring 0 need no walk */
    uint32_t recent_next;      /* the one to be replaced */
    uint32_t recent_latest;    /* where the last one was found */
};

/* Takes and prepares the root tables. -SKEP_ENOMEM. */
int pagetable_init(struct guest *guest);

/* The leaf entry of an address, when its table was used lately; else NULL. */
uint64_t *pagetable_recent(struct pagetable *tables, uint64_t address);

/* The leaf entry of an address, with missing tables made. NULL: the promise is used up. */
uint64_t *pagetable_leaf(struct guest *guest, uint64_t address);

/* The next present leaf entry at or after *address, below `end`, whose address becomes *address; NULL = none, or *work
 * is used up, of which each absent page that is passed costs 1, and each absent table PAGETABLE_WALK_WORK. */
#define PAGETABLE_WALK_WORK 16u
uint64_t *pagetable_next(struct pagetable *tables, uint64_t *address, uint64_t end, uint32_t *work);

/* Unlinks the tables that [start, end) reaches and that lie wholly in [low, high), where no entry is present any more,
 * and hands each one's frame to `release`: a CPU may still use it. Costs no more than to walk [start, end). */
void pagetable_trim(struct guest *guest, uint64_t start, uint64_t end, uint64_t low, uint64_t high,
                    void (*release)(struct guest *guest, pfn_t pfn));

/* Gives back the root; all else has been trimmed. No CPU uses it. */
void pagetable_free(struct guest *guest);

#endif
