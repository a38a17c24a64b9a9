/*
 * heap.c - the heap below malloc(): two-level segregated fit (Masmano and others, "TLSF", 2004), so that
 * taking and giving cost the same whatever the heap looks like, with checks of what programs do to it.
 *
 * A block is a header of 16 bytes and memory. The header says how long the block is and carries a seal, a
 * sum keyed anew at each start: one that was overwritten, made up or left over doesn't fit. What was not
 * asked for at a block's end holds a pattern. Giving back looks at the block's seal, its pattern and the
 * next block's seal, and so finds a double free, an invalid one, and an overflow by as little as a byte. How long the
 * pattern is has no seal, as threads change it without the lock; a wrong length doesn't fit the pattern.
 *
 * A free block has its links in the first 8 bytes of its memory, as unit numbers from the heap's start, and
 * its length in the last 4, where the next block finds it to join the two. All that is checked before it is
 * believed. Each region ends with the header of a block that is never free.
 *
 * Most programs take and give the same few sizes again and again. So small blocks that are given back stay with the
 * thread that gave them (heap_cache.h), up to 8 KiB; what is more, and blocks of up to 16 KiB, are kept as they are for all
 * threads. They are joined with others only when there is need: before the heap grows, and after much was freed. Taking a
 * kept block looks at its link and writes no header, so that one that was overwritten meanwhile is found when the block is
 * given back.
 *
 * Known shortcoming: a double free is called so until the memory is used again; then it is an invalid one,
 * or frees what the new owner has.
 */
#include "heap_cache.h"

#include <string.h>

#define UNIT_BYTES   HEAP_ALIGNMENT
#define UNITS_MIN    HEAP_UNITS_LEAST
#define HEADER_BYTES ((uint32_t)sizeof(struct heap_block))

/* The largest block that is kept at all; small ones are kept with those of their size alone. */
#define KEPT_UNITS_MAX 1023u
#define KEPT_LISTS     (HEAP_SMALL_UNITS + 1 + 4 * STEPS)
#define CACHE_MOVED    16u /* blocks between the heap and a cache in one go */
#define CARVED_UNITS   32u /* of a free block for a cache */
/* Free: it may pay to give it back. Freed since the last time: to join what is kept, too; more than that, if it was
 * used again the last time. */
#define MUCH_UNITS     8192u
#define MUCH_UNITS_MAX 262144u

#define STEP_BITS 3u /* 8 lists for each power of two */
#define STEPS     (1u << STEP_BITS)
#define POWERS    32u

/* Of a free block: what lies behind its header, as units from the heap's start, 0 = none. */
struct links {
    uint32_t next, prev;
};

struct heap_span skep_heap_span;
struct heap_keys skep_heap_keys;

static struct {
    char *start;           /* unit 0, where there is no block */
    char *end;             /* of the last region; its last header lies before it */
    uint32_t powers;       /* that have a list with a block */
    uint8_t steps[POWERS]; /* likewise */
    uint32_t lists[POWERS][STEPS];
    struct heap_block *kept[KEPT_LISTS]; /* each has a link in its memory */
    uint32_t kept_units;                 /* of all those */
    uint32_t units, used_units;          /* of the heap, and of what the program has */
    uint32_t most_used, then_used;       /* since, and when, much had been freed the last time */
    uint32_t much;                       /* that is */
    struct heap_cache *caches;           /* the first of them */
} heap;

/* No byte of the pattern is zero, which overflows write most often. */
void skep_heap_start(const uint64_t keys[3])
{
    skep_heap_keys = (struct heap_keys){keys[0] | 1, keys[1], keys[2] | 0x0101010101010101ull};
    heap.then_used = UINT32_MAX;
    heap.much = MUCH_UNITS;
}

/*
 * Blocks
 */

static struct heap_block *at(uint32_t unit)
{
    return (struct heap_block *)(heap.start + (size_t)unit * UNIT_BYTES);
}

static uint32_t unit_of(const struct heap_block *block)
{
    return (uint32_t)(((const char *)block - heap.start) / UNIT_BYTES);
}

static inline uint32_t units_of(const struct heap_block *block)
{
    return block->state & HEAP_UNITS_MAX;
}

static inline bool is_in_use(const struct heap_block *block)
{
    return (block->state & HEAP_IN_USE) != 0;
}

static struct heap_block *next_of(const struct heap_block *block)
{
    return (struct heap_block *)block + units_of(block);
}

static inline void set_state(struct heap_block *block, uint32_t state)
{
    block->state = state;
    block->seal = heap_seal_of(block);
}

/* A block that must be whole, since only the heap itself can have led here. */
static struct heap_block *believed(struct heap_block *block)
{
    if (!heap_is_whole(block))
        skep_heap_broken(block);
    return block;
}

/* 0 = no block is that large. */
static inline uint32_t units_for(size_t bytes)
{
    if (bytes <= HEAP_SMALL_MAX)
        return heap_small_units(bytes);
    if (bytes > HEAP_BYTES_MAX)
        return 0;
    return (uint32_t)((bytes + HEADER_BYTES + UNIT_BYTES - 1) / UNIT_BYTES);
}

static inline void ask_for(struct heap_block *block, size_t bytes)
{
    block->slack = (uint16_t)((size_t)units_of(block) * UNIT_BYTES - HEADER_BYTES - bytes);
    heap_pattern_put((char *)next_of(block), block->slack);
}

/*
 * Lists of free blocks, by size
 */

struct place {
    uint32_t power, step;
};

static struct place place_of(uint32_t units)
{
    if (units < STEPS)
        return (struct place){0, units};
    uint32_t log = 31u - (uint32_t)__builtin_clz(units);
    return (struct place){log - STEP_BITS + 1, (units >> (log - STEP_BITS)) & (STEPS - 1)};
}

static struct links *links_of(struct heap_block *block)
{
    return heap_memory_of(block);
}

static void list_add(struct heap_block *block)
{
    struct place place = place_of(units_of(block));
    uint32_t *list = &heap.lists[place.power][place.step];
    *links_of(block) = (struct links){.next = *list, .prev = 0};
    if (*list != 0)
        links_of(believed(at(*list)))->prev = unit_of(block);
    *list = unit_of(block);
    heap.steps[place.power] |= (uint8_t)(1u << place.step);
    heap.powers |= 1u << place.power;
}

/* Whether a link leads into the heap, to a block that links back. */
static bool links_back(uint32_t unit, uint32_t back, bool by_prev)
{
    if (unit > unit_of((const struct heap_block *)heap.end) - UNITS_MIN || !heap_is_whole(at(unit)))
        return false;
    const struct links *links = links_of(at(unit));
    return (by_prev ? links->prev : links->next) == back;
}

static void list_remove(struct heap_block *block)
{
    struct place place = place_of(units_of(block));
    uint32_t *list = &heap.lists[place.power][place.step];
    struct links links = *links_of(block);
    uint32_t own = unit_of(block);
    if ((links.next != 0 && !links_back(links.next, own, true)) ||
        (links.prev != 0 ? !links_back(links.prev, own, false) : *list != own))
        skep_heap_broken(block);
    if (links.next != 0)
        links_of(at(links.next))->prev = links.prev;
    if (links.prev != 0) {
        links_of(at(links.prev))->next = links.next;
        return;
    }
    *list = links.next;
    if (links.next != 0)
        return;
    heap.steps[place.power] &= (uint8_t) ~(1u << place.step);
    if (heap.steps[place.power] == 0)
        heap.powers &= ~(1u << place.power);
}

/* A free block of at least so many units, from a list all of whose blocks are large enough. */
static struct heap_block *list_find(uint32_t units)
{
    if (units >= STEPS)
        units += (1u << (31u - (uint32_t)__builtin_clz(units) - STEP_BITS)) - 1;
    struct place place = place_of(units);
    uint32_t steps = heap.steps[place.power] & ~0u << place.step;
    if (steps == 0) {
        uint32_t powers = heap.powers & ~0u << place.power << 1;
        if (powers == 0)
            return NULL;
        place.power = (uint32_t)__builtin_ctz(powers);
        steps = heap.steps[place.power];
    }
    return believed(at(heap.lists[place.power][__builtin_ctz(steps)]));
}

/*
 * Free blocks: joined with their neighbours, and split
 */

/* Its length, for the block behind it. */
static uint32_t *length_at_end(const struct heap_block *block)
{
    return (uint32_t *)next_of(block) - 1;
}

static void make_free(struct heap_block *block, uint32_t units)
{
    block->slack = 0;
    block->kept = 0;
    set_state(block, units);
    *length_at_end(block) = units;
    next_of(block)->prev_free = 1;
    list_add(block);
}

static struct heap_block *prev_of(struct heap_block *block)
{
    uint32_t units = ((const uint32_t *)block)[-1];
    if (units > unit_of(block))
        skep_heap_broken(block);
    struct heap_block *prev = at(unit_of(block) - units);
    if (!heap_is_whole(prev) || prev->state != units)
        skep_heap_broken(block);
    return prev;
}

/* A block that belongs to no list becomes a free one, with its free neighbours. */
static void join_and_free(struct heap_block *block)
{
    struct heap_block *next = believed(next_of(block));
    uint32_t units = units_of(block);
    if (!is_in_use(next)) {
        list_remove(next);
        units += next->state;
    }
    if (block->prev_free != 0) {
        block = prev_of(block);
        list_remove(block);
        units += block->state;
    }
    make_free(block, units);
}

/* Gives back what a block in use has beyond so many units. */
static void split(struct heap_block *block, uint32_t units)
{
    uint32_t rest = units_of(block) - units;
    if (rest < UNITS_MIN)
        return;
    set_state(block, units | HEAP_IN_USE);
    struct heap_block *tail = next_of(block);
    *tail = (struct heap_block){.state = rest};
    join_and_free(tail);
}

/* Gives back what lies before the first aligned address in a block in use; returns what is there. */
static struct heap_block *align(struct heap_block *block, size_t alignment)
{
    uintptr_t memory = (uintptr_t)heap_memory_of(block);
    uintptr_t aligned = (memory + alignment - 1) & ~(alignment - 1);
    if (aligned == memory)
        return block;
    if (aligned - memory < (size_t)UNITS_MIN * UNIT_BYTES)
        aligned += alignment;
    struct heap_block *rest = heap_block_of((void *)aligned);
    uint32_t before = (uint32_t)((aligned - memory) / UNIT_BYTES);
    *rest = (struct heap_block){0};
    set_state(rest, (units_of(block) - before) | HEAP_IN_USE);
    block->state = before;
    join_and_free(block);
    return rest;
}

/* A block that was given out becomes a free one. It may become the middle of another: its header says then that it was
 * freed. */
static __attribute__((noinline)) void release(struct heap_block *block)
{
    block->slack = 0;
    block->kept = 0;
    set_state(block, units_of(block));
    join_and_free(block);
}

/*
 * Kept blocks
 */

/* The list of a size: its own, or, of larger ones, one of 8 for each power of two. */
static inline uint32_t kept_list(uint32_t units)
{
    if (units <= HEAP_SMALL_UNITS)
        return units;
    struct place place = place_of(units);
    return HEAP_SMALL_UNITS + 1 + (place.power - place_of(HEAP_SMALL_UNITS).power) * STEPS +
           place.step;
}

static inline void keep(uint32_t list, struct heap_block *block)
{
    block->kept = 1;
    heap_push(&heap.kept[list], block);
    heap.kept_units += units_of(block);
}

/* Takes the first of a list, which isn't empty, off it. */
static inline struct heap_block *pop(struct heap_block **first, uint32_t list)
{
    struct heap_block *block = *first;
    if (!heap_is_whole(block) || kept_list(units_of(block)) != list || !heap_link_is_whole(block))
        skep_heap_broken(block);
    const struct heap_link *link = heap_memory_of(block);
    *first = link->next;
    return block;
}

static inline struct heap_block *kept_pop(uint32_t list)
{
    struct heap_block *block = pop(&heap.kept[list], list);
    heap.kept_units -= units_of(block);
    return block;
}

/* A kept block of at least so many units, if one comes first among those of about that size. */
static inline struct heap_block *kept_take(uint32_t units)
{
    uint32_t list = kept_list(units);
    if (heap.kept[list] == NULL)
        return NULL;
    struct heap_block *block = kept_pop(list);
    if (units_of(block) < units) {
        keep(list, block);
        return NULL;
    }
    block->kept = 0;
    return block;
}

bool skep_heap_join_kept(uint32_t *list)
{
    for (; *list < KEPT_LISTS; ++*list) {
        if (heap.kept[*list] == NULL)
            continue;
        release(kept_pop(*list));
        return true;
    }
    return false;
}

bool skep_heap_keeps_over(size_t bytes, uint32_t part)
{
    return heap.kept_units > bytes / UNIT_BYTES && heap.kept_units > heap.used_units / part;
}

/*
 * What malloc.c calls
 */

static void end_at(char *end)
{
    heap.end = end;
    skep_heap_span.first = (uintptr_t)heap.start + UNIT_BYTES + HEADER_BYTES;
    skep_heap_span.bytes = (size_t)(end - heap.start) - UNIT_BYTES - HEADER_BYTES;
}

/* What ends the region. */
static void put_last(struct heap_block *last)
{
    *last = (struct heap_block){0};
    set_state(last, 1 | HEAP_IN_USE);
}

void skep_heap_add(void *start, size_t bytes)
{
    struct heap_block *first = start;
    heap.units += (uint32_t)(bytes / UNIT_BYTES);
    if (heap.start == NULL)
        heap.start = (char *)start - UNIT_BYTES;
    if (heap.end == start) { /* the last header begins the new block */
        first = (struct heap_block *)heap.end - 1;
        bytes += HEADER_BYTES;
    } else {
        first->prev_free = 0;
    }
    end_at((char *)first + bytes);
    first->state = (uint32_t)(bytes / UNIT_BYTES) - 1;
    put_last(next_of(first));
    join_and_free(first);
}

void *skep_heap_end(void)
{
    return heap.end;
}

/* Other threads change their room meanwhile. */
static uint32_t cached_units(void)
{
    int32_t sum = 0;
    for (const struct heap_cache *cache = heap.caches; cache != NULL; cache = cache->next)
        sum += cache->room_of_all - __atomic_load_n(&cache->room, __ATOMIC_RELAXED);
    return (uint32_t)sum;
}

void skep_heap_totals(size_t *all, size_t *used)
{
    *all = (size_t)heap.units * UNIT_BYTES;
    *used = (size_t)(heap.used_units - cached_units()) * UNIT_BYTES;
}

/* A block of so many units from the lists, for memory with an alignment. */
static __attribute__((noinline)) struct heap_block *list_take(uint32_t units, size_t alignment)
{
    uint32_t room = units;
    if (alignment > HEAP_ALIGNMENT)
        room = units + (uint32_t)(alignment / UNIT_BYTES) + UNITS_MIN;
    struct heap_block *block = list_find(room);
    if (block == NULL)
        return NULL;
    list_remove(block);
    next_of(block)->prev_free = 0;
    set_state(block, block->state | HEAP_IN_USE);
    if (alignment > HEAP_ALIGNMENT)
        block = align(block, alignment);
    split(block, units);
    return block;
}

void *skep_heap_take(size_t bytes, size_t alignment)
{
    uint32_t units = units_for(bytes);
    struct heap_block *block = NULL;
    if (units == 0)
        return NULL;
    if (units <= KEPT_UNITS_MAX && alignment <= HEAP_ALIGNMENT)
        block = kept_take(units);
    if (block == NULL)
        block = list_take(units, alignment);
    if (block == NULL)
        return NULL;
    heap.used_units += units_of(block);
    ask_for(block, bytes);
    return heap_memory_of(block);
}

static inline void cache_add(struct heap_cache *cache, struct heap_block *block)
{
    block->kept = 1;
    heap_push(&cache->first[units_of(block)], block);
    cache->room -= (int32_t)units_of(block);
}

/* A block of so few units with several more for the cache behind it, which together cost what one does; or NULL. */
static struct heap_block *carve(struct heap_cache *cache, uint32_t units)
{
    uint32_t count = CARVED_UNITS / units;
    struct heap_block *first = count > 1 ? list_take(count * units, HEAP_ALIGNMENT) : NULL;
    if (first == NULL)
        return NULL;
    uint32_t rest = units_of(first);
    heap.used_units += rest;
    for (struct heap_block *block = first;; block += units) {
        set_state(block, (rest < 2 * units ? rest : units) | HEAP_IN_USE);
        if (block != first)
            cache_add(cache, block);
        if (rest < 2 * units)
            return first;
        rest -= units;
        block[units] = (struct heap_block){0};
    }
}

void *skep_heap_take_small(struct heap_cache *cache, size_t bytes)
{
    uint32_t units = heap_small_units(bytes);
    if (cache->first[units] != NULL)
        skep_heap_broken(cache->first[units]);
    bool has_room = cache->room > HEAP_CACHE_UNITS / 2;
    struct heap_block *block = kept_take(units);
    if (block != NULL)
        heap.used_units += units;
    else if (has_room)
        block = carve(cache, units);
    if (block == NULL)
        return NULL;
    ask_for(block, bytes);
    for (unsigned i = 1; has_room && i < CACHE_MOVED && heap.kept[units] != NULL; i++) {
        heap.used_units += units;
        cache_add(cache, kept_pop(units));
        has_room = cache->room > HEAP_CACHE_UNITS / 2;
    }
    return heap_memory_of(block);
}

static inline enum heap_check check_memory(const void *memory)
{
    const struct heap_block *block = heap_block_of(memory);
    if ((uintptr_t)memory % HEAP_ALIGNMENT != 0 || !heap_is_whole(block))
        return HEAP_NO_BLOCK;
    if (!is_in_use(block) || block->kept != 0)
        return HEAP_FREED;
    bool good = skep_heap_has((uintptr_t)memory)
                    ? heap_end_is_whole(block, units_of(block))
                    : heap_pattern_whole((const char *)next_of(block), block->slack);
    return good ? HEAP_GOOD : HEAP_OVERFLOW;
}

enum heap_check skep_heap_check(const void *memory)
{
    return check_memory(memory);
}

/* Whether all behind the block is free. */
static inline bool is_last(const struct heap_block *block)
{
    const struct heap_block *next = next_of(block), *end = (struct heap_block *)heap.end - 1;
    return next == end || (!is_in_use(next) && next_of(next) == end);
}

/* Whether so much has been freed since the last time that looking costs little in comparison: a program that takes and
 * gives the same again and again must not pay for it each time. */
static __attribute__((noinline)) bool freed_much(bool last)
{
    uint32_t used = heap.used_units, freed = heap.most_used - used;
    /* What little is left of a program's memory should not hold what lies before it. */
    bool rest = last && used < MUCH_UNITS;
    if (freed < (rest ? used : heap.much))
        return false;
    bool again = heap.most_used > heap.then_used && heap.most_used - heap.then_used > heap.much / 2;
    heap.most_used = heap.then_used = used;
    if (rest || !again || heap.much == MUCH_UNITS_MAX)
        return true;
    heap.much *= 2;
    return false;
}

/* A block is kept, but not in the way of free memory that could be given back. */
static enum heap_check give(struct heap_block *block)
{
    uint32_t units = units_of(block), used = heap.used_units;
    if (used > heap.most_used)
        heap.most_used = used;
    used -= units;
    heap.used_units = used;
    bool last = heap.units - used >= MUCH_UNITS && is_last(block);
    if (units > KEPT_UNITS_MAX || last)
        release(block);
    else
        keep(kept_list(units), block);
    if (heap.most_used - used < heap.much && !last)
        return HEAP_GOOD;
    return freed_much(last) ? HEAP_MUCH : HEAP_GOOD;
}

enum heap_check skep_heap_give(void *memory)
{
    enum heap_check check = check_memory(memory);
    return check == HEAP_GOOD ? give(heap_block_of(memory)) : check;
}

/* What little is left of a program's memory shouldn't hold much that lies before it. */
bool skep_heap_flush(struct heap_cache *cache, uint32_t *list, bool *much)
{
    unsigned moved = 0;
    for (; *list <= HEAP_SMALL_UNITS; ++*list) {
        while (cache->first[*list] != NULL) {
            if (moved++ == CACHE_MOVED)
                return true;
            *much |= give(pop(&cache->first[*list], *list)) == HEAP_MUCH;
        }
    }
    bool little = heap.used_units < MUCH_UNITS && heap.units - heap.used_units >= MUCH_UNITS;
    if (cache->room_of_all == 0) {
        cache->next = heap.caches;
        cache->previous = NULL;
        if (heap.caches != NULL)
            heap.caches->previous = cache;
        heap.caches = cache;
    }
    cache->room = cache->room_of_all = little ? HEAP_CACHE_FEW : HEAP_CACHE_UNITS;
    return false;
}

void skep_heap_cache_end(struct heap_cache *cache)
{
    if (cache->room_of_all == 0)
        return;
    *(cache->previous != NULL ? &cache->previous->next : &heap.caches) = cache->next;
    if (cache->next != NULL)
        cache->next->previous = cache->previous;
    cache->room = cache->room_of_all = 0;
}

bool skep_heap_resize(void *memory, size_t bytes)
{
    struct heap_block *block = heap_block_of(memory), *next = next_of(block);
    uint32_t units = units_for(bytes), had = units_of(block);
    if (units == 0)
        return false;
    if (units > had) {
        if (is_in_use(next) || next->state < units - had)
            return false;
        list_remove(next);
        set_state(block, block->state + next->state);
        next_of(block)->prev_free = 0;
    }
    split(block, units);
    heap.used_units += units_of(block) - had;
    ask_for(block, bytes);
    return true;
}

static struct heap_block *last_free(void)
{
    struct heap_block *last = (struct heap_block *)heap.end - 1;
    return heap.end != NULL && last->prev_free != 0 ? prev_of(last) : NULL;
}

size_t skep_heap_free_at_end(void)
{
    const struct heap_block *block = last_free();
    return block == NULL ? 0 : (size_t)block->state * UNIT_BYTES;
}

void skep_heap_cut(size_t bytes)
{
    struct heap_block *block = last_free();
    list_remove(block);
    end_at(heap.end - bytes);
    heap.units -= (uint32_t)(bytes / UNIT_BYTES);
    block->state -= (uint32_t)(bytes / UNIT_BYTES);
    put_last(next_of(block));
    make_free(block, block->state);
}

void skep_heap_seal_apart(void *memory, size_t bytes, const char *end)
{
    struct heap_block *block = heap_block_of(memory);
    set_state(block, (uint32_t)((size_t)(end - (const char *)block) / UNIT_BYTES) | HEAP_IN_USE);
    ask_for(block, bytes);
}
