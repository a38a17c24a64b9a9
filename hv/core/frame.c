/*
 * frame.c - the frame table, the buddy allocator and promises.
 *
 * The table is an array indexed by frame number; free blocks are linked through it. A free block's first frame
 * carries the block's order, its other frames ORDER_NONE, so that a buddy is recognised in one look. Frames are
 * scrubbed when they are taken, but for some that a CPU with nothing else to do has zeroed before: those are in a list of
 * their own, free like all others, and out of the buddies' sight. Known shortcoming: one lock for all CPUs, and holes in the
 * memory map cost table space.
 */
#include "core/frame.h"

#include <stdatomic.h>

#include "arch/arch.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/string.h"

#define ORDER_NONE  0xffu
#define PINS_MAX    65535u
#define PIN_ORPHAN  0x80000000u /* freed while pinned */
#define CLEAN_MAX   1024u       /* frames that are zeroed ahead of time */
#define CLEAN_ORDER 4u          /* of the block that one step zeroes */
/* Frames kept back: for pinned orphans, and the block that a step has just taken. */
#define PROMISE_SLACK (64u + (1u << CLEAN_ORDER))

struct frame {
    union {
        uint32_t owner;
        pfn_t previous; /* free block */
    };
    union {
        _Atomic uint32_t shares;
        pfn_t next; /* free block */
    };
    _Atomic uint32_t pins;
    uint8_t type;
    uint8_t order;
    uint16_t reserved;
};
_Static_assert(sizeof(struct frame) == 16, "the frame table is budgeted at 0.4 % of RAM");

static struct frame *table;
static pfn_t table_frames; /* entries */

static struct spinlock frame_lock = {.kind = LOCK_FRAME};
static pfn_t free_heads[FRAME_ORDER_MAX + 1];
static uint64_t type_counts[SKEP_FRAME_TYPES];
static pfn_t clean_head, clean_tail; /* zeroed frames, linked by `next` */
static _Atomic uint32_t clean_count; /* may be read without the lock */
static bool cleaning;                /* a CPU zeroes some */

static struct spinlock promise_lock = {.kind = LOCK_PROMISE};
static uint64_t promised, promisable;

static void set_type(pfn_t pfn, enum skep_frame_type type)
{
    type_counts[table[pfn].type]--;
    type_counts[type]++;
    table[pfn].type = (uint8_t)type;
}

static void list_push(pfn_t pfn, uint32_t order)
{
    pfn_t head = free_heads[order];
    table[pfn].order = (uint8_t)order;
    table[pfn].previous = PFN_NONE;
    table[pfn].next = head;
    if (head) {
        table[head].previous = pfn;
    }
    free_heads[order] = pfn;
}

static void list_remove(pfn_t pfn, uint32_t order)
{
    pfn_t previous = table[pfn].previous;
    pfn_t next = table[pfn].next;
    if (previous) {
        table[previous].next = next;
    } else {
        free_heads[order] = next;
    }
    if (next) {
        table[next].previous = previous;
    }
    table[pfn].order = ORDER_NONE;
}

/* Puts a block of free-typed frames on the lists, merged with its buddies. Holds frame_lock. */
static void release(pfn_t pfn, uint32_t order)
{
    while (order < FRAME_ORDER_MAX) {
        pfn_t buddy = pfn ^ (1u << order);
        if (buddy >= table_frames || table[buddy].type != SKEP_FRAME_FREE ||
            table[buddy].order != order) {
            break;
        }
        list_remove(buddy, order);
        pfn &= ~(1u << order);
        order++;
    }
    list_push(pfn, order);
}

/* Takes a block off the lists, split down to `order`. Holds frame_lock. */
static pfn_t take(uint32_t order)
{
    uint32_t found = order;
    while (found <= FRAME_ORDER_MAX && !free_heads[found]) {
        found++;
    }
    if (found > FRAME_ORDER_MAX) {
        return PFN_NONE;
    }
    pfn_t pfn = free_heads[found];
    list_remove(pfn, found);
    while (found > order) {
        found--;
        list_push(pfn + (1u << found), found);
    }
    return pfn;
}

static void scrub(pfn_t pfn, uint32_t order)
{
    memset(frame_data(pfn), 0, PAGE_SIZE << order);
}

/* ---- zeroed ahead of time; all but who only asks hold frame_lock ---- */

static uint32_t clean_frames(void)
{
    return atomic_load_explicit(&clean_count, memory_order_relaxed);
}

static void clean_frames_set(uint32_t count)
{
    atomic_store_explicit(&clean_count, count, memory_order_relaxed);
}

/* First in, first out: what lies side by side is used so, and a disk's request has fewer parts. */
static void clean_put(pfn_t pfn)
{
    table[pfn].next = PFN_NONE;
    *(clean_head ? &table[clean_tail].next : &clean_head) = pfn;
    clean_tail = pfn;
    clean_frames_set(clean_frames() + 1);
}

static pfn_t clean_take(void)
{
    pfn_t pfn = clean_head;
    if (pfn) {
        clean_head = table[pfn].next;
        clean_frames_set(clean_frames() - 1);
    }
    return pfn;
}

/* Back among the others, where larger blocks come together again. For who wants one: the boot. */
static void clean_give_back(void)
{
    for (pfn_t pfn = clean_take(); pfn; pfn = clean_take()) {
        release(pfn, 0);
    }
}

/* ---- taking and giving back ---- */

/* Makes a free frame somebody's. Holds frame_lock. */
static void assign(pfn_t pfn, enum skep_frame_type type, uint32_t owner)
{
    set_type(pfn, type);
    table[pfn].owner = owner;
    atomic_store_explicit(&table[pfn].shares, 0, memory_order_relaxed);
    atomic_store_explicit(&table[pfn].pins, 0, memory_order_relaxed);
}

uint32_t frame_alloc_singles(uint32_t count, enum skep_frame_type type, uint32_t owner,
                             pfn_t pfns[])
{
    uint32_t taken = 0;
    uint32_t clean = 0; /* the first of them */
    spin_lock(&frame_lock);
    for (; taken < count; taken++) {
        pfn_t pfn = clean_take();
        clean += pfn != PFN_NONE;
        pfn = pfn ? pfn : take(0);
        if (!pfn) {
            break;
        }
        assign(pfn, type, owner);
        pfns[taken] = pfn;
    }
    spin_unlock(&frame_lock);
    for (uint32_t i = 0; i < taken; i++) {
        arch_frames_mark(pfn_to_paddr(pfns[i]), PAGE_SIZE, false);
        if (i >= clean) {
            scrub(pfns[i], 0);
        }
    }
    return taken;
}

static pfn_t alloc_block(uint32_t order, enum skep_frame_type type, uint32_t owner)
{
    spin_lock(&frame_lock);
    pfn_t pfn = take(order);
    if (!pfn) {
        clean_give_back();
        pfn = take(order);
    }
    for (uint32_t i = 0; pfn && i < 1u << order; i++) {
        assign(pfn + i, type, owner);
    }
    spin_unlock(&frame_lock);
    if (pfn) {
        arch_frames_mark(pfn_to_paddr(pfn), PAGE_SIZE << order, false);
        scrub(pfn, order);
    }
    return pfn;
}

pfn_t frame_alloc(uint32_t order, enum skep_frame_type type, uint32_t owner)
{
    CHECK(order <= FRAME_ORDER_MAX);
    pfn_t pfn;
    if (order) {
        return alloc_block(order, type, owner);
    }
    return frame_alloc_singles(1, type, owner, &pfn) ? pfn : PFN_NONE;
}

pfn_t frame_alloc_raw(enum skep_frame_type type, uint32_t owner)
{
    spin_lock(&frame_lock);
    pfn_t pfn = take(0);
    pfn = pfn ? pfn : clean_take();
    if (pfn) {
        assign(pfn, type, owner);
    }
    spin_unlock(&frame_lock);
    if (pfn) {
        arch_frames_mark(pfn_to_paddr(pfn), PAGE_SIZE, false);
    }
    return pfn;
}

static bool clean_wanted(void)
{
    return clean_frames() <= CLEAN_MAX - (1u << CLEAN_ORDER);
}

/* A block to zero, as large as a step has it: 0 frames = none. Holds frame_lock. */
static uint32_t dirty_take(pfn_t *first)
{
    uint32_t order = CLEAN_ORDER;
    *first = take(order);
    while (!*first && order) {
        *first = take(--order);
    }
    return *first ? 1u << order : 0;
}

bool frame_clean_step(void)
{
    pfn_t first;
    uint32_t count = 0;
    if (!clean_wanted()) {
        return false;
    }
    spin_lock(&frame_lock);
    if (!cleaning) {
        count = dirty_take(&first);
        cleaning = count;
    }
    spin_unlock(&frame_lock);
    if (!count) {
        return false;
    }
    arch_frames_mark(pfn_to_paddr(first), count * PAGE_SIZE, false);
    memset(frame_data(first), 0, count * PAGE_SIZE);
    arch_frames_mark(pfn_to_paddr(first), count * PAGE_SIZE, true);
    spin_lock(&frame_lock);
    for (uint32_t i = 0; i < count; i++) {
        clean_put(first + i);
    }
    cleaning = false;
    spin_unlock(&frame_lock);
    return clean_wanted();
}

static void give_back(pfn_t pfn, uint32_t order)
{
    arch_frames_mark(pfn_to_paddr(pfn), PAGE_SIZE << order, true);
    spin_lock(&frame_lock);
    for (uint32_t i = 0; i < 1u << order; i++) {
        CHECK(table[pfn + i].type != SKEP_FRAME_FREE && table[pfn + i].type != SKEP_FRAME_RESERVED);
        set_type(pfn + i, SKEP_FRAME_FREE);
        table[pfn + i].order = ORDER_NONE;
    }
    release(pfn, order);
    spin_unlock(&frame_lock);
}

void frame_free(pfn_t pfn, uint32_t order)
{
    CHECK(frame_valid(pfn));
    if (order == 0) {
        /* Acquire-release pairs with frame_unpin(): whoever comes last gives the frame back. */
        uint32_t pins =
            atomic_fetch_or_explicit(&table[pfn].pins, PIN_ORPHAN, memory_order_acq_rel);
        CHECK(!(pins & PIN_ORPHAN));
        if (pins) {
            return;
        }
    }
    give_back(pfn, order);
}

int frame_pin(pfn_t pfn)
{
    uint32_t pins = atomic_fetch_add_explicit(&table[pfn].pins, 1, memory_order_acquire);
    if ((pins & ~PIN_ORPHAN) >= PINS_MAX) {
        atomic_fetch_sub_explicit(&table[pfn].pins, 1, memory_order_release);
        return -SKEP_EBUSY;
    }
    return 0;
}

void frame_unpin(pfn_t pfn)
{
    uint32_t pins = atomic_fetch_sub_explicit(&table[pfn].pins, 1, memory_order_acq_rel);
    CHECK(pins & ~PIN_ORPHAN);
    if (pins == (PIN_ORPHAN | 1)) {
        give_back(pfn, 0);
    }
}

void *frame_data(pfn_t pfn)
{
    return arch_direct(pfn_to_paddr(pfn));
}

pfn_t frame_of(const void *data)
{
    return paddr_to_pfn(arch_direct_paddr(data));
}

bool frame_valid(pfn_t pfn)
{
    return pfn != PFN_NONE && pfn < table_frames && table[pfn].type != SKEP_FRAME_RESERVED;
}

void frame_adopt(pfn_t pfn, enum skep_frame_type type, uint32_t owner)
{
    spin_lock(&frame_lock);
    CHECK(frame_valid(pfn) && table[pfn].type == SKEP_FRAME_CORE);
    set_type(pfn, type);
    table[pfn].owner = owner;
    spin_unlock(&frame_lock);
}

enum skep_frame_type frame_type(pfn_t pfn)
{
    return (enum skep_frame_type)table[pfn].type;
}

uint32_t frame_owner(pfn_t pfn)
{
    return table[pfn].owner;
}

uint32_t frame_pins(pfn_t pfn)
{
    return atomic_load_explicit(&table[pfn].pins, memory_order_relaxed) & ~PIN_ORPHAN;
}

void frame_share(pfn_t pfn)
{
    atomic_fetch_add_explicit(&table[pfn].shares, 1, memory_order_relaxed);
}

void frame_unshare(pfn_t pfn)
{
    uint32_t shares = atomic_fetch_sub_explicit(&table[pfn].shares, 1, memory_order_relaxed);
    CHECK(shares);
}

uint32_t frame_shares(pfn_t pfn)
{
    return atomic_load_explicit(&table[pfn].shares, memory_order_relaxed);
}

void frame_link_set(pfn_t pfn, pfn_t link)
{
    atomic_store_explicit(&table[pfn].shares, link, memory_order_relaxed);
}

pfn_t frame_link(pfn_t pfn)
{
    return frame_shares(pfn);
}

void frame_counts(uint64_t counts[SKEP_FRAME_TYPES])
{
    spin_lock(&frame_lock);
    memcpy(counts, type_counts, sizeof(type_counts));
    spin_unlock(&frame_lock);
    counts[SKEP_FRAME_RESERVED] = 0;
}

uint64_t frame_total(void)
{
    uint64_t counts[SKEP_FRAME_TYPES];
    uint64_t total = 0;
    frame_counts(counts);
    for (unsigned i = SKEP_FRAME_FREE; i < SKEP_FRAME_TYPES; i++) {
        total += counts[i];
    }
    return total;
}

/* ---- boot ---- */

static uint64_t region_end(const struct boot_region *region)
{
    return region->base + region->bytes;
}

/* Finds room for the table at the end of the highest free region that can hold it. */
static uint64_t table_place(const struct boot_info *boot, uint64_t bytes)
{
    for (uint32_t i = boot->region_count; i-- > 0;) {
        const struct boot_region *region = &boot->regions[i];
        if (region->kind == BOOT_REGION_FREE && region->bytes >= bytes) {
            return region_end(region) - bytes;
        }
    }
    panic("no room for the frame table (%lu bytes)", (unsigned long)bytes);
}

/* Largest naturally aligned blocks that cover [first, end). */
static void free_span(pfn_t first, pfn_t end)
{
    while (first < end) {
        uint32_t order = 0;
        while (order < FRAME_ORDER_MAX && !(first & (1u << order)) &&
               first + (2u << order) <= end) {
            order++;
        }
        release(first, order);
        first += 1u << order;
    }
}

static void type_span(pfn_t first, pfn_t end, enum skep_frame_type type)
{
    for (pfn_t pfn = first; pfn < end; pfn++) {
        table[pfn].order = ORDER_NONE;
        set_type(pfn, type);
    }
}

/* The frame table, where it lies in this region, lies at its end; frame 0 is never given out. */
static void add_region(const struct boot_region *region, pfn_t table_first)
{
    pfn_t first = (pfn_t)(region->base >> SKEP_PAGE_SHIFT);
    pfn_t end = (pfn_t)(region_end(region) >> SKEP_PAGE_SHIFT);
    pfn_t free_first = first ? first : 1;
    pfn_t free_end = table_first >= first && table_first < end ? table_first : end;
    if (region->kind != BOOT_REGION_FREE) {
        free_end = free_first = end;
    }
    type_span(first, free_first, SKEP_FRAME_CORE);
    type_span(free_first, free_end, SKEP_FRAME_FREE);
    type_span(free_end, end, SKEP_FRAME_CORE);
    free_span(free_first, free_end);
}

void frame_init(const struct boot_info *boot)
{
    CHECK(boot->region_count);
    uint64_t end = region_end(&boot->regions[boot->region_count - 1]);
    CHECK(end >> SKEP_PAGE_SHIFT < UINT32_MAX);
    table_frames = (pfn_t)(end >> SKEP_PAGE_SHIFT);
    uint64_t bytes = page_align_up(table_frames * sizeof(struct frame));
    uint64_t place = table_place(boot, bytes);
    table = arch_direct(paddr(place));
    memset(table, 0, bytes);
    type_counts[SKEP_FRAME_RESERVED] = table_frames;
    for (uint32_t i = 0; i < boot->region_count; i++) {
        add_region(&boot->regions[i], (pfn_t)(place >> SKEP_PAGE_SHIFT));
    }
}

/* ---- promises ---- */

void promise_open(void)
{
    uint64_t counts[SKEP_FRAME_TYPES];
    frame_counts(counts);
    CHECK(counts[SKEP_FRAME_FREE] > PROMISE_SLACK);
    promisable = counts[SKEP_FRAME_FREE] - PROMISE_SLACK;
}

int promise_take(uint64_t frames)
{
    spin_lock(&promise_lock);
    bool fits = frames <= promisable - promised;
    if (fits) {
        promised += frames;
    }
    spin_unlock(&promise_lock);
    return fits ? 0 : -SKEP_ENOMEM;
}

void promise_give(uint64_t frames)
{
    spin_lock(&promise_lock);
    CHECK(frames <= promised);
    promised -= frames;
    spin_unlock(&promise_lock);
}

uint64_t promise_taken(void)
{
    spin_lock(&promise_lock);
    uint64_t frames = promised;
    spin_unlock(&promise_lock);
    return frames;
}

uint64_t promise_limit(void)
{
    return promisable;
}
