/*
 * types.h - the kinds of address and small helpers that all of ring 0 shares.
 *
 * Guest-virtual, physical and ring 0's own addresses are different types: a guest's can't be dereferenced, and
 * neither can be passed for the other.
 *
 * Errors: functions of ring 0 return 0 or a positive result, or a negative SKEP_E… code.
 */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"
#include "skep/control.h"

/* An address in a guest's lower half, as the guest sees it. Only gmem.h turns it into memory. */
typedef struct gva {
    uint64_t value;
} gva_t;

/* A physical address. */
typedef struct paddr {
    uint64_t value;
} paddr_t;

/* A page frame's number: the index into the frame table. 0 is never a usable frame and stands for none. */
typedef uint32_t pfn_t;

static inline gva_t gva(uint64_t value)
{
    return (gva_t){value};
}

static inline paddr_t paddr(uint64_t value)
{
    return (paddr_t){value};
}

static inline paddr_t pfn_to_paddr(pfn_t pfn)
{
    return (paddr_t){(uint64_t)pfn << SKEP_PAGE_SHIFT};
}

static inline pfn_t paddr_to_pfn(paddr_t address)
{
    return (pfn_t)(address.value >> SKEP_PAGE_SHIFT);
}

#define PAGE_SIZE  ((uint64_t)SKEP_PAGE_SIZE)
#define PAGE_MASK  (PAGE_SIZE - 1)
#define TIME_NEVER UINT64_MAX /* a deadline that is never reached, ns */

static inline uint64_t page_align_down(uint64_t value)
{
    return value & ~PAGE_MASK;
}

/* The caller has checked that value is at most UINT64_MAX - PAGE_MASK. */
static inline uint64_t page_align_up(uint64_t value)
{
    return (value + PAGE_MASK) & ~PAGE_MASK;
}

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
