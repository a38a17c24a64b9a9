/*
 * heap_cache.h - what a block is checked by, and the blocks that each thread keeps for itself: most calls of malloc() and
 * free() need no more, and so no lock.
 *
 * A small block that is given back goes to the thread that gives it, unless that has as much as it may. It is looked at as
 * any other, but without the lock: where something doesn't fit, because the next block is being changed or because it was
 * overwritten, the call is made again with the lock, which tells. Neighbours take a block of a cache for one in use.
 */
#ifndef LIBC_SHIM_HEAP_CACHE_H
#define LIBC_SHIM_HEAP_CACHE_H

#include "heap.h"

#define HEAP_CACHE_UNITS 512 /* of a thread's own blocks: 8 KiB; … */
#define HEAP_CACHE_FEW   63 /* … while most of the heap is free: not one of HEAP_SMALL_MAX bytes */
#define HEAP_UNITS_LEAST 2u /* of a block: header, links, length */

/* Fewer sizes make it likelier that one of the wanted size is kept. */
#define HEAP_EXACT_UNITS 16u

extern struct heap_keys {
    uint64_t factor, addend, pattern;
} skep_heap_keys;

static inline struct heap_block *heap_block_of(const void *memory)
{
    return (struct heap_block *)memory - 1;
}

static inline void *heap_memory_of(struct heap_block *block)
{
    return block + 1;
}

static inline uint64_t heap_seal_of(const struct heap_block *block)
{
    uint64_t sum = (uint64_t)block->state << 32 ^ (uint64_t)block;
    return sum * skep_heap_keys.factor + skep_heap_keys.addend;
}

static inline bool heap_is_whole(const struct heap_block *block)
{
    return block->seal == heap_seal_of(block);
}

/*
 * What lies behind what was asked for, as far as it is the block's: the first and the last word of it are those of a pattern
 * that goes on from the block's end to its begin. Of less than a word its bytes are the pattern's last.
 */

/* A word wherever it lies. */
typedef uint64_t heap_word __attribute__((aligned(1), may_alias));
#define HEAP_WORD ((uint32_t)sizeof(heap_word))

/* The pattern's word that begins so many bytes before the end. */
static inline uint64_t heap_pattern_at(uint32_t slack)
{
    uint64_t pattern = skep_heap_keys.pattern;
    uint32_t bits = slack * 8;
    return pattern << (bits & 63) | pattern >> (-bits & 63);
}

/* Of a block in which there is nothing yet: its last bytes may be the program's. */
static inline void heap_pattern_begin(char *end, uint32_t slack)
{
    *(heap_word *)(end - HEAP_WORD) = skep_heap_keys.pattern;
    if (slack > HEAP_WORD)
        *(heap_word *)(end - slack) = heap_pattern_at(slack);
}

static inline void heap_pattern_put(char *end, uint32_t slack)
{
    heap_word *last = (heap_word *)(end - HEAP_WORD);
    if (slack >= HEAP_WORD) {
        heap_pattern_begin(end, slack);
    } else {
        uint64_t own = ~0ull >> slack * 8;
        *last = (*last & own) | (skep_heap_keys.pattern & ~own);
    }
}

static inline bool heap_pattern_whole(const char *end, uint32_t slack)
{
    uint64_t last = *(const heap_word *)(end - HEAP_WORD);
    if (slack >= HEAP_WORD)
        return last == skep_heap_keys.pattern &&
               *(const heap_word *)(end - slack) == heap_pattern_at(slack);
    return slack == 0 || (last ^ skep_heap_keys.pattern) >> (HEAP_WORD - slack) * 8 == 0;
}

/* Of a block in the heap: whoever wrote over the next header has written over the pattern, if there was room for a word. */
static inline bool heap_end_is_whole(const struct heap_block *block, uint32_t units)
{
    const struct heap_block *next = block + units;
    uint32_t slack = block->slack;
    if (slack < HEAP_WORD && !heap_is_whole(next))
        return false;
    return heap_pattern_whole((const char *)next, slack);
}

/* The units of a block for so many bytes, HEAP_SMALL_MAX at most. */
static inline uint32_t heap_small_units(size_t bytes)
{
    uint32_t units = ((uint32_t)bytes - (bytes > 0)) / HEAP_ALIGNMENT + HEAP_UNITS_LEAST;
    if (units <= HEAP_EXACT_UNITS)
        return units;
    return units <= 2 * HEAP_EXACT_UNITS ? (units + 1) & ~1u : (units + 3) & ~3u;
}

static inline uint16_t heap_slack_for(uint32_t units, size_t bytes)
{
    return (uint16_t)((units - 1) * HEAP_ALIGNMENT - (uint32_t)bytes);
}

/*
 * Lists of kept blocks
 */

/* What lies behind a kept block's header. */
struct heap_link {
    struct heap_block *next;
    uint64_t check; /* whether the program has written to it since */
};

static inline uint64_t heap_check_of(const struct heap_block *next)
{
    return (uint64_t)next ^ skep_heap_keys.pattern;
}

static inline bool heap_link_is_whole(struct heap_block *kept)
{
    const struct heap_link *link = heap_memory_of(kept);
    return link->check == heap_check_of(link->next);
}

static inline void heap_push(struct heap_block **first, struct heap_block *block)
{
    *(struct heap_link *)heap_memory_of(block) = (struct heap_link){*first, heap_check_of(*first)};
    *first = block;
}

/*
 * What malloc() and free() do first
 */

/* HEAP_SMALL_MAX bytes at most; NULL: the heap may have some. The header is looked at when the block is given back. */
static inline void *heap_cache_take(struct heap_cache *cache, size_t bytes)
{
    uint32_t units = heap_small_units(bytes);
    struct heap_block *block = cache->first[units];
    if (block == NULL || !heap_link_is_whole(block))
        return NULL;
    const struct heap_link *link = heap_memory_of(block);
    cache->first[units] = link->next;
    cache->room += (int32_t)units;
    block->kept = 0;
    block->slack = heap_slack_for(units, bytes);
    heap_pattern_begin((char *)(block + units), block->slack);
    return heap_memory_of(block);
}

/* Whether it is a small block of the heap, in use and whole, whose units are its state's. False: it is another, or not whole,
 * or it may be. */
static inline bool heap_small_and_whole(const struct heap_block *block, uint32_t units)
{
    return heap_is_whole(block) && units <= HEAP_SMALL_UNITS && block->kept == 0 &&
           heap_end_is_whole(block, units);
}

/* Very many of a block that isn't in use. */
static inline uint32_t heap_used_units(const struct heap_block *block)
{
    return block->state - HEAP_IN_USE;
}

/* Memory of the heap. False: it is for the heap to look at. */
static inline bool heap_cache_give(struct heap_cache *cache, void *memory)
{
    if ((uintptr_t)memory % HEAP_ALIGNMENT != 0)
        return false;
    struct heap_block *block = heap_block_of(memory);
    uint32_t units = heap_used_units(block);
    if (!heap_small_and_whole(block, units) || cache->room < (int32_t)units)
        return false;
    cache->room -= (int32_t)units;
    block->kept = 1;
    heap_push(&cache->first[units], block);
    return true;
}

/* Whether memory of the heap has so many bytes now, since it needs as many units as before. */
static inline bool heap_resize_within(void *memory, size_t bytes)
{
    if ((uintptr_t)memory % HEAP_ALIGNMENT != 0 || bytes > HEAP_SMALL_MAX)
        return false;
    struct heap_block *block = heap_block_of(memory);
    uint32_t units = heap_used_units(block);
    if (heap_small_units(bytes) != units || !heap_small_and_whole(block, units))
        return false;
    block->slack = heap_slack_for(units, bytes);
    heap_pattern_put((char *)(block + units), block->slack);
    return true;
}

#endif
