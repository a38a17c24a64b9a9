/*
 * heap.c - the heap below malloc(): two-level segregated fit (Masmano and others, "TLSF", 2004), so that
 * taking and giving cost the same whatever the heap looks like, with checks of what programs do to it.
 *
 * A block is a header of 16 bytes and memory. The header says how long the block is and carries a seal, a
 * sum keyed anew at each start: one that was overwritten, made up or left over doesn't fit. What was not
 * asked for at a block's end holds a pattern. Giving back looks at the block's seal, its pattern and the
 * next block's seal, and so finds a double free, an invalid one, and an overflow by as little as a byte.
 *
 * A free block has its links in the first 8 bytes of its memory, as unit numbers from the heap's start, and
 * its length in the last 4, where the next block finds it to join the two. All that is checked before it is
 * believed. Each region ends with the header of a block that is never free.
 *
 * Most programs take and give the same few sizes again and again. So blocks of up to 16 KiB that are given back
 * are kept as they are, and only joined with others when there is need: before the heap grows, and after much was
 * freed. Taking a small one for as many bytes as before looks at its header and link, and leaves its seal and pattern
 * to be looked at when it is given back.
 *
 * Known shortcoming: a double free is called so until the memory is used again; then it is an invalid one,
 * or frees what the new owner has.
 */
#include "heap.h"

#include <string.h>

#define UNIT_BYTES   16u
#define UNITS_MIN    2u /* header, links, length */
#define UNITS_MAX    0x7fffffffu
#define HEADER_BYTES ((uint32_t)sizeof(struct heap_block))

#define IN_USE 1u
#define APART  2u /* not in the heap */
/* Not sealed, and the highest bits of a header's first word for that: */
#define PREV_FREE 0x4000u /* the block before changes it */
#define KEPT \
    0x8000u /* given back, but kept for the next of its size: its neighbours take it for in use */

/* Fewer sizes make it likelier that one of the wanted size is kept. */
#define EXACT_UNITS_MAX 16u

/* The largest block that is kept with those of its size alone, and the largest that is kept at all. */
#define SORTED_UNITS_MAX ((HEAP_SMALL_MAX + HEADER_BYTES) / UNIT_BYTES)
#define KEPT_UNITS_MAX   1023u
#define KEPT_LISTS       (SORTED_UNITS_MAX + 1 + 4 * STEPS)
/* Free: it may pay to give it back. Freed since the last time: to join what is kept, too; more than that, if it was
 * used again the last time. */
#define MUCH_UNITS     8192u
#define MUCH_UNITS_MAX 262144u

#define STEP_BITS 3u /* 8 lists for each power of two */
#define STEPS     (1u << STEP_BITS)
#define POWERS    32u

#define SPREAD 0x9e3779b97f4a7c15ull

/* Of a free block: what lies behind its header, as units from the heap's start, 0 = none. */
struct links {
    uint32_t next, prev;
};

struct heap_span skep_heap_span;

static struct {
    uint64_t key, pattern;
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
} heap;

void skep_heap_start(const uint64_t key[2])
{
    heap.key = key[0];
    heap.pattern = key[1] | 0x0101010101010101ull; /* no zero, which overflows write most often */
    heap.then_used = UINT32_MAX;
    heap.much = MUCH_UNITS;
}

/*
 * Blocks
 */

static struct heap_block *block_of(const void *memory)
{
    return (struct heap_block *)((char *)memory - HEADER_BYTES);
}

static void *memory_of(struct heap_block *block)
{
    return (char *)block + HEADER_BYTES;
}

static struct heap_block *at(uint32_t unit)
{
    return (struct heap_block *)(heap.start + (size_t)unit * UNIT_BYTES);
}

static uint32_t unit_of(const struct heap_block *block)
{
    return (uint32_t)(((const char *)block - heap.start) / UNIT_BYTES);
}

static char *end_of(const struct heap_block *block)
{
    return (char *)block + (size_t)block->units * UNIT_BYTES;
}

static struct heap_block *next_of(const struct heap_block *block)
{
    return (struct heap_block *)end_of(block);
}

static inline uint64_t word_of(const struct heap_block *block)
{
    return *(const uint64_t *)block;
}

static inline uint64_t seal_of(const struct heap_block *block)
{
    uint64_t sum = (word_of(block) << 2 ^ (uint64_t)block ^ heap.key) * SPREAD;
    return sum ^ sum >> 29 ^ heap.key;
}

static void seal(struct heap_block *block)
{
    block->seal = seal_of(block);
}

static bool is_whole(const struct heap_block *block)
{
    return block->seal == seal_of(block);
}

/* A block that must be whole, since only the heap itself can have led here. */
static struct heap_block *believed(struct heap_block *block)
{
    if (!is_whole(block))
        skep_heap_broken(block);
    return block;
}

/* What lies behind what was asked for, as far as it is the block's and no longer than two words. The first word may
 * begin with bytes of the program's. */
struct behind {
    uint64_t *words;
    unsigned own_bits, count;
};

static inline struct behind behind(const struct heap_block *block)
{
    uint32_t slack = block->slack;
    uintptr_t from = (uintptr_t)end_of(block) - slack;
    unsigned count = slack > 8 ? 2 : slack > 0;
    return (struct behind){(uint64_t *)(from & ~7ul), (unsigned)(from & 7) * 8, count};
}

static inline void pattern_put(const struct heap_block *block)
{
    struct behind where = behind(block);
    uint64_t own = (1ull << where.own_bits) - 1;
    if (where.count == 0)
        return;
    where.words[0] = (where.words[0] & own) | (heap.pattern & ~own);
    if (where.count > 1)
        where.words[1] = heap.pattern;
}

static inline bool pattern_whole(const struct heap_block *block)
{
    struct behind where = behind(block);
    if (where.count == 0)
        return true;
    uint64_t wrong = (where.words[0] ^ heap.pattern) >> where.own_bits;
    if (where.count > 1)
        wrong |= where.words[1] ^ heap.pattern;
    return wrong == 0;
}

/* The units of a block for so many bytes, HEAP_SMALL_MAX at most. */
static inline uint32_t small_units_for(size_t bytes)
{
    uint32_t units = ((uint32_t)bytes + HEADER_BYTES + UNIT_BYTES - 1) / UNIT_BYTES;
    if (units <= EXACT_UNITS_MAX)
        return units < UNITS_MIN ? UNITS_MIN : units;
    return units <= 2 * EXACT_UNITS_MAX ? (units + 1) & ~1u : (units + 3) & ~3u;
}

/* 0 = no block is that large. */
static inline uint32_t units_for(size_t bytes)
{
    if (bytes <= HEAP_SMALL_MAX)
        return small_units_for(bytes);
    if (bytes > (size_t)UNITS_MAX * UNIT_BYTES - HEADER_BYTES)
        return 0;
    return (uint32_t)((bytes + HEADER_BYTES + UNIT_BYTES - 1) / UNIT_BYTES);
}

static inline uint16_t slack_for(uint32_t units, size_t bytes)
{
    return (uint16_t)((size_t)units * UNIT_BYTES - HEADER_BYTES - bytes);
}

static inline void ask_for(struct heap_block *block, size_t bytes)
{
    block->slack = slack_for(block->units, bytes);
    seal(block);
    pattern_put(block);
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
    return memory_of(block);
}

static void list_add(struct heap_block *block)
{
    struct place place = place_of(block->units);
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
    if (unit > unit_of((const struct heap_block *)heap.end) - UNITS_MIN || !is_whole(at(unit)))
        return false;
    const struct links *links = links_of(at(unit));
    return (by_prev ? links->prev : links->next) == back;
}

static void list_remove(struct heap_block *block)
{
    struct place place = place_of(block->units);
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
    return (uint32_t *)(end_of(block) - sizeof(uint32_t));
}

static void make_free(struct heap_block *block, uint32_t units)
{
    block->units = units;
    block->slack = 0;
    block->flags &= PREV_FREE;
    seal(block);
    *length_at_end(block) = units;
    next_of(block)->flags |= PREV_FREE;
    list_add(block);
}

static struct heap_block *prev_of(struct heap_block *block)
{
    uint32_t units = ((const uint32_t *)block)[-1];
    if (units > unit_of(block))
        skep_heap_broken(block);
    struct heap_block *prev = at(unit_of(block) - units);
    if (!is_whole(prev) || prev->units != units || (prev->flags & IN_USE))
        skep_heap_broken(block);
    return prev;
}

/* A block that belongs to no list becomes a free one, with its free neighbours. */
static void join_and_free(struct heap_block *block)
{
    struct heap_block *next = believed(next_of(block));
    uint32_t units = block->units;
    if (!(next->flags & IN_USE)) {
        list_remove(next);
        units += next->units;
    }
    if (block->flags & PREV_FREE) {
        block = prev_of(block);
        list_remove(block);
        units += block->units;
    }
    make_free(block, units);
}

/* Gives back what a block in use has beyond so many units. */
static void split(struct heap_block *block, uint32_t units)
{
    uint32_t rest = block->units - units;
    if (rest < UNITS_MIN)
        return;
    block->units = units;
    struct heap_block *tail = next_of(block);
    *tail = (struct heap_block){.units = rest};
    join_and_free(tail);
}

/* Gives back what lies before the first aligned address in a block in use; returns what is there. */
static struct heap_block *align(struct heap_block *block, size_t alignment)
{
    uintptr_t memory = (uintptr_t)memory_of(block);
    uintptr_t aligned = (memory + alignment - 1) & ~(alignment - 1);
    if (aligned == memory)
        return block;
    if (aligned - memory < (size_t)UNITS_MIN * UNIT_BYTES)
        aligned += alignment;
    struct heap_block *rest = block_of((void *)aligned);
    uint32_t before = (uint32_t)((aligned - memory) / UNIT_BYTES);
    *rest = (struct heap_block){.units = block->units - before, .flags = IN_USE};
    block->units = before;
    seal(rest);
    join_and_free(block);
    return rest;
}

/* The same for one that was given out. It may become the middle of another: its header says then that it
 * was freed. */
static __attribute__((noinline)) void release(struct heap_block *block)
{
    block->slack = 0;
    block->flags &= PREV_FREE;
    seal(block);
    join_and_free(block);
}

/*
 * Kept blocks
 */

/* The list of a size: its own, or, of larger ones, one of 8 for each power of two. */
static inline uint32_t kept_list(uint32_t units)
{
    if (units <= SORTED_UNITS_MAX)
        return units;
    struct place place = place_of(units);
    return SORTED_UNITS_MAX + 1 + (place.power - place_of(SORTED_UNITS_MAX).power) * STEPS +
           place.step;
}

/* Of a kept block: what lies behind its header. */
struct kept_link {
    struct heap_block *next;
    uint64_t check; /* whether the program has written to it since */
};

static inline uint64_t check_of(const struct heap_block *next)
{
    return (uint64_t)next ^ heap.pattern;
}

static inline void keep(uint32_t list, struct heap_block *block)
{
    struct heap_block *next = heap.kept[list];
    block->flags |= KEPT;
    *(struct kept_link *)memory_of(block) = (struct kept_link){next, check_of(next)};
    heap.kept[list] = block;
    heap.kept_units += block->units;
}

/* The first of a list, which isn't empty. */
static inline struct heap_block *kept_first(uint32_t list)
{
    struct heap_block *block = heap.kept[list];
    const struct kept_link *link = memory_of(block);
    if (!(block->flags & KEPT) || !is_whole(block) || kept_list(block->units) != list ||
        link->check != check_of(link->next))
        skep_heap_broken(block);
    return block;
}

static inline void kept_remove(uint32_t list, struct heap_block *first)
{
    heap.kept[list] = ((const struct kept_link *)memory_of(first))->next;
    heap.kept_units -= first->units;
}

/* A kept block of at least so many units, if one comes first among those of about that size. */
static inline struct heap_block *kept_take(uint32_t units)
{
    uint32_t list = kept_list(units);
    if (heap.kept[list] == NULL)
        return NULL;
    struct heap_block *block = kept_first(list);
    if (block->units < units)
        return NULL;
    kept_remove(list, block);
    block->flags &= (uint16_t)~KEPT;
    return block;
}

bool skep_heap_join_kept(uint32_t *list)
{
    for (; *list < KEPT_LISTS; ++*list) {
        if (heap.kept[*list] == NULL)
            continue;
        struct heap_block *block = kept_first(*list);
        kept_remove(*list, block);
        release(block);
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

void skep_heap_add(void *start, size_t bytes)
{
    struct heap_block *first = start;
    heap.units += (uint32_t)(bytes / UNIT_BYTES);
    if (heap.start == NULL)
        heap.start = (char *)start - UNIT_BYTES;
    if (heap.end == start) { /* the last header begins the new block */
        first = (struct heap_block *)heap.end - 1;
        first->units = 0;
        bytes += HEADER_BYTES;
    } else {
        first->flags = 0;
    }
    end_at((char *)first + bytes);
    first->units = (uint32_t)(bytes / UNIT_BYTES) - 1;
    struct heap_block *last = next_of(first);
    *last = (struct heap_block){.units = 1, .flags = IN_USE};
    seal(last);
    join_and_free(first);
}

void *skep_heap_end(void)
{
    return heap.end;
}

void skep_heap_totals(size_t *all, size_t *used)
{
    *all = (size_t)heap.units * UNIT_BYTES;
    *used = (size_t)heap.used_units * UNIT_BYTES;
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
    next_of(block)->flags &= (uint16_t)~PREV_FREE;
    block->flags |= IN_USE;
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
    heap.used_units += block->units;
    ask_for(block, bytes);
    return memory_of(block);
}

/* What is asked for as many bytes as before has its seal, which is looked at when it is given back, and its pattern,
 * where the link wasn't. */
void *skep_heap_take_small(size_t bytes)
{
    uint32_t units = small_units_for(bytes);
    struct heap_block *block = heap.kept[units];
    if (block == NULL)
        return NULL;
    const struct kept_link *link = memory_of(block);
    uint64_t before =
        units | (uint64_t)slack_for(units, bytes) << 32 | (uint64_t)(IN_USE | KEPT) << 48;
    bool same = (word_of(block) & ~((uint64_t)PREV_FREE << 48)) == before &&
                link->check == check_of(link->next);
    if (!same)
        kept_first(units);
    kept_remove(units, block);
    block->flags &= (uint16_t)~KEPT;
    heap.used_units += units;
    if (!same)
        ask_for(block, bytes);
    else if (units == UNITS_MIN)
        pattern_put(block);
    return memory_of(block);
}

static inline enum heap_check check_memory(const void *memory)
{
    const struct heap_block *block = block_of(memory);
    if ((uintptr_t)memory % HEAP_ALIGNMENT != 0 || !is_whole(block))
        return HEAP_NO_BLOCK;
    if ((block->flags & (IN_USE | KEPT)) != IN_USE)
        return HEAP_FREED;
    /* Whoever wrote over the next header has written over the pattern, if there was room for one. */
    bool next_matters = block->slack < sizeof(heap.pattern) && !(block->flags & APART);
    if (!pattern_whole(block) || (next_matters && !is_whole(next_of(block))))
        return HEAP_OVERFLOW;
    return HEAP_GOOD;
}

enum heap_check skep_heap_check(const void *memory)
{
    return check_memory(memory);
}

/* Whether all behind the block is free. */
static inline bool is_last(const struct heap_block *block)
{
    const struct heap_block *next = next_of(block), *end = (struct heap_block *)heap.end - 1;
    return next == end || (!(next->flags & IN_USE) && next_of(next) == end);
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
enum heap_check skep_heap_give(void *memory)
{
    enum heap_check check = check_memory(memory);
    if (check != HEAP_GOOD)
        return check;
    struct heap_block *block = block_of(memory);
    uint32_t units = block->units, used = heap.used_units;
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

bool skep_heap_resize(void *memory, size_t bytes)
{
    struct heap_block *block = block_of(memory), *next = next_of(block);
    uint32_t units = units_for(bytes), had = block->units;
    if (units == 0)
        return false;
    if (units > block->units) {
        if ((next->flags & IN_USE) || next->units < units - block->units)
            return false;
        list_remove(next);
        block->units += next->units;
        next_of(block)->flags &= (uint16_t)~PREV_FREE;
    }
    split(block, units);
    heap.used_units += block->units - had;
    ask_for(block, bytes);
    return true;
}

static struct heap_block *last_free(void)
{
    struct heap_block *last = (struct heap_block *)heap.end - 1;
    return heap.end != NULL && (last->flags & PREV_FREE) ? prev_of(last) : NULL;
}

size_t skep_heap_free_at_end(void)
{
    const struct heap_block *block = last_free();
    return block == NULL ? 0 : (size_t)block->units * UNIT_BYTES;
}

void skep_heap_cut(size_t bytes)
{
    struct heap_block *block = last_free();
    list_remove(block);
    end_at(heap.end - bytes);
    heap.units -= (uint32_t)(bytes / UNIT_BYTES);
    block->units -= (uint32_t)(bytes / UNIT_BYTES);
    struct heap_block *last = next_of(block);
    *last = (struct heap_block){.units = 1, .flags = IN_USE};
    seal(last);
    make_free(block, block->units);
}

void skep_heap_seal_apart(void *memory, size_t bytes, const char *end)
{
    struct heap_block *block = block_of(memory);
    block->units = (uint32_t)((size_t)(end - (const char *)block) / UNIT_BYTES);
    block->flags = IN_USE | APART;
    ask_for(block, bytes);
}
