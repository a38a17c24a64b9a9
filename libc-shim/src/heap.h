/*
 * heap.h - blocks of memory, with checks. malloc.c is above it and has the lock.
 */
#ifndef LIBC_SHIM_HEAP_H
#define LIBC_SHIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_ALIGNMENT   16u
#define HEAP_SMALL_MAX   1008u /* bytes of what threads keep for themselves */
#define HEAP_SMALL_UNITS ((HEAP_SMALL_MAX + (uint32_t)sizeof(struct heap_block)) / HEAP_ALIGNMENT)
#define HEAP_UNITS_MAX   0x7fffffffu
#define HEAP_BYTES_MAX   ((size_t)HEAP_UNITS_MAX * HEAP_ALIGNMENT - sizeof(struct heap_block))
#define HEAP_IN_USE      0x80000000u

/* What memory that is given back turns out to be. */
enum heap_check {
    HEAP_GOOD,
    HEAP_NO_BLOCK, /* nothing that was given out, or its header was overwritten */
    HEAP_FREED,    /* given back already */
    HEAP_OVERFLOW, /* written beyond its end */
    HEAP_MUCH, /* good, and with it much was given back: there may be much to join, and to give to the hypervisor */
};

/* The header in front of memory, also of memory that has a mapping of its own. What isn't under the lock is changed by
 * whoever has the block alone. */
struct heap_block {
    uint32_t state; /* units of 16 bytes, this header included, and HEAP_IN_USE; under the lock */
    uint16_t slack; /* bytes at its end that were not asked for */
    uint8_t
        kept; /* given back, but kept for the next of its size: its neighbours take it for in use */
    uint8_t prev_free; /* the block before changes it; under the lock */
    uint64_t seal;     /* a keyed sum of the state and the address; under the lock */
};
_Static_assert(sizeof(struct heap_block) == HEAP_ALIGNMENT, "alignment");

/* A thread's small blocks that it has given back and may take again without the lock: see heap_cache.h. */
struct heap_cache {
    struct heap_block *first[HEAP_SMALL_UNITS + 1]; /* by units; each has a link in its memory */
    int32_t room;                                   /* units that it may have beside these */
    int32_t room_of_all;                            /* units that it may have */
    struct heap_cache *next, *previous;             /* of all that may have any; under the lock */
};

/* Sets the keys of all seals and the pattern, before anything else. */
void skep_heap_start(const uint64_t keys[3]);

/* Makes [start, start + bytes) part of the heap: multiples of 16, 64 bytes at least, above all that there
 * is. A region right behind the last one continues it. */
void skep_heap_add(void *start, size_t bytes);

/* The end of the last region, NULL = there is none. */
void *skep_heap_end(void);

/* Memory with an alignment (a power of two), or NULL when there is no room. */
void *skep_heap_take(size_t bytes, size_t alignment);

/* HEAP_SMALL_MAX bytes at most, or NULL when no block for as many was given back: skep_heap_take() may have one. The cache
 * had none, and gets some. */
void *skep_heap_take_small(struct heap_cache *cache, size_t bytes);

/* Moves a few blocks of a cache to those that the heap keeps. *list: where to look, 0 at first. *much becomes true as for
 * HEAP_MUCH. False: there is none left, and the cache has the room that it may have. */
bool skep_heap_flush(struct heap_cache *cache, uint32_t *list, bool *much);

/* Ends a cache that was just flushed: it may have nothing any more. */
void skep_heap_cache_end(struct heap_cache *cache);

/* Gives memory back if it is as it should be: HEAP_GOOD or HEAP_MUCH. */
enum heap_check skep_heap_give(void *memory);

/* Whether the blocks that were kept as they are come to more than so many bytes, and than one part in so many of what the
 * program has. */
bool skep_heap_keeps_over(size_t bytes, uint32_t part);

/* Joins one of the blocks that were kept as they are with its neighbours. *list: where to look, 0 at first.
 * False: there is none left. */
bool skep_heap_join_kept(uint32_t *list);

/* Changes the size of memory that is as it should be, where it is. False: there is no room. */
bool skep_heap_resize(void *memory, size_t bytes);

/* Free bytes at the end of the last region. */
size_t skep_heap_free_at_end(void);

/* Takes bytes, a multiple of 16 and 64 fewer than those, off the end. */
void skep_heap_cut(size_t bytes);

/* From the first byte that the program can have to the end of the last region. */
extern struct heap_span {
    uintptr_t first;
    size_t bytes;
} skep_heap_span;

/* Whether an address lies where memory in the heap can. */
static inline bool skep_heap_has(uintptr_t address)
{
    return address - skep_heap_span.first < skep_heap_span.bytes;
}

/* Bytes of all blocks, headers included: the heap's, and of those what the program has, which isn't what caches have. */
void skep_heap_totals(size_t *all, size_t *used);

/* Bytes that were asked for. */
static inline size_t skep_heap_bytes(const void *memory)
{
    const struct heap_block *block = (const struct heap_block *)memory - 1;
    return (size_t)(block->state & HEAP_UNITS_MAX) * HEAP_ALIGNMENT - sizeof(*block) - block->slack;
}

enum heap_check skep_heap_check(const void *memory);

/* For memory that isn't in the heap: makes its header, with bytes asked for of those up to end. */
void skep_heap_seal_apart(void *memory, size_t bytes, const char *end);

/* malloc.c: ends the guest; what the heap itself keeps in free memory was overwritten near there. */
_Noreturn void skep_heap_broken(const void *where);

#endif
