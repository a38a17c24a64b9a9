/*
 * range.c - tables of ranges.
 */
#include "core/range.h"

#include "core/pagetable.h"
#include "core/string.h"

/* ---- looking ---- */

uint32_t ranges_index(const struct ranges *ranges, uint64_t address)
{
    uint32_t low = 0;
    uint32_t high = ranges->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (ranges->at[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct range *find(const struct ranges *ranges, uint64_t address)
{
    uint32_t index = ranges_index(ranges, address);
    bool inside = index < ranges->count && ranges->at[index].start <= address;
    return inside ? &ranges->at[index] : NULL;
}

const struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
    return find(ranges, address);
}

uint64_t ranges_gap(const struct ranges *ranges, uint64_t start, uint64_t end, uint64_t bytes)
{
    for (uint32_t i = ranges_index(ranges, start); i < ranges->count; i++) {
        const struct range *range = &ranges->at[i];
        if (range->start >= end || (range->start > start && range->start - start >= bytes)) {
            break;
        }
        start = range->end;
    }
    return start < end && end - start >= bytes ? start : 0;
}

int ranges_changeable(const struct ranges *ranges, uint64_t start, uint64_t end, uint32_t prot,
                      bool holes)
{
    for (uint32_t i = ranges_index(ranges, start); start < end; i++) {
        uint64_t next = i < ranges->count ? ranges->at[i].start : end;
        if (next > start && !holes) {
            return -SKEP_EFAULT;
        }
        if (next >= end) {
            break;
        }
        const struct range *range = &ranges->at[i];
        if (range->kind == RANGE_FIXED || range->kind == RANGE_GUARD) {
            return -SKEP_EPERM;
        }
        if ((prot & SKEP_PROT_EXEC) && (range->kind != RANGE_IMAGE || range->ever_owned)) {
            return -SKEP_EPERM;
        }
        start = range->end;
    }
    return 0;
}

uint64_t ranges_first(const struct ranges *ranges, uint64_t start, uint64_t end)
{
    uint32_t i = ranges_index(ranges, start);
    uint64_t first = i < ranges->count ? ranges->at[i].start : end;
    first = first < end ? first : end;
    return first > start ? first : start;
}

uint64_t ranges_alike(const struct ranges *ranges, uint64_t start, uint64_t end)
{
    uint32_t i = ranges_index(ranges, start);
    bool reserved = ranges->at[i].kind == RANGE_RESERVED;
    for (; start < end && i < ranges->count && ranges->at[i].start <= start &&
           (ranges->at[i].kind == RANGE_RESERVED) == reserved;
         i++) {
        start = ranges->at[i].end;
    }
    return start < end ? start : end;
}

void ranges_hole(const struct ranges *ranges, uint64_t address, uint64_t *low, uint64_t *high)
{
    uint32_t above = ranges_index(ranges, address);
    uint32_t below = above;
    while (below > 0 && ranges->at[below - 1].kind == RANGE_GUARD) {
        below--;
    }
    while (above < ranges->count && ranges->at[above].kind == RANGE_GUARD) {
        above++;
    }
    *low = below > 0 ? ranges->at[below - 1].end : 0;
    *high = above < ranges->count ? ranges->at[above].start : SKEP_GUEST_VA_MAX + PAGE_SIZE;
}

void ranges_describe(const struct ranges *ranges, uint64_t address, struct skep_mapping *mapping)
{
    uint32_t index = ranges_index(ranges, address);
    const struct range *range = find(ranges, address);
    uint64_t end;
    *mapping = (struct skep_mapping){.kind = SKEP_MAPPING_NONE};
    if (range) {
        mapping->kind = range->mapping;
        mapping->prot = range->prot;
        mapping->start = range->start;
        end = range->end;
    } else if (address >= SKEP_GUEST_VA_MAX) {
        mapping->start = SKEP_GUEST_VA_MAX;
        end = 0; /* what no guest can have, to the top */
    } else {
        mapping->start = index > 0 ? ranges->at[index - 1].end : 0;
        end = index < ranges->count ? ranges->at[index].start : SKEP_GUEST_VA_MAX;
    }
    mapping->bytes = end - mapping->start;
}

/* ---- cost ---- */

/* An image's read-only pages are shared and cost nothing. */
static uint64_t pages_owned(const struct range *range)
{
    bool owned = range->kind != RANGE_FIXED && range->ever_owned;
    return owned ? (range->end - range->start) >> SKEP_PAGE_SHIFT : 0;
}

/* Page tables that a span with nothing in it would need, beyond those that the ranges around it need as well. */
static uint64_t tables_alone(const struct ranges *ranges, uint64_t start, uint64_t end)
{
    uint64_t tables = 0;
    uint64_t low;
    uint64_t high;
    ranges_hole(ranges, start, &low, &high);
    for (uint32_t level = 1; level < PAGETABLE_LEVELS; level++) {
        uint32_t shift = pagetable_shift(level);
        uint64_t below = low ? ((low - 1) >> shift) + 1 : 0;
        uint64_t first = start >> shift;
        uint64_t past = ((end - 1) >> shift) + 1;
        first = first > below ? first : below;
        past = past < high >> shift ? past : high >> shift;
        tables += past > first ? past - first : 0;
    }
    return tables;
}

static uint64_t cost_alone(const struct ranges *ranges, const struct range *range)
{
    bool guard = range->kind == RANGE_GUARD;
    return guard ? 0 : pages_owned(range) + tables_alone(ranges, range->start, range->end);
}

/* ---- changing ---- */

static void insert_at(struct ranges *ranges, uint32_t index, const struct range *range)
{
    memmove(&ranges->at[index + 1], &ranges->at[index],
            (ranges->count - index) * sizeof(struct range));
    ranges->at[index] = *range;
    ranges->count++;
}

static void remove_at(struct ranges *ranges, uint32_t first, uint32_t end)
{
    memmove(&ranges->at[first], &ranges->at[end], (ranges->count - end) * sizeof(struct range));
    ranges->count -= end - first;
}

static bool mergeable(const struct range *a, const struct range *b)
{
    if (a->end != b->start || a->kind != b->kind || a->prot != b->prot ||
        a->ever_owned != b->ever_owned || a->mapping != b->mapping) {
        return false;
    }
    uint64_t pages = (a->end - a->start) >> SKEP_PAGE_SHIFT;
    return a->kind == RANGE_ANON || a->kind == RANGE_RESERVED ||
           (a->kind == RANGE_IMAGE && a->first_page + pages == b->first_page);
}

/* Joins what can be joined in and at [start, end], in one pass. */
static void merge(struct ranges *ranges, uint64_t start, uint64_t end)
{
    uint32_t to = ranges_index(ranges, start);
    to -= to > 0;
    uint32_t from = to + 1;
    for (; from < ranges->count && ranges->at[from].start <= end; from++) {
        if (mergeable(&ranges->at[to], &ranges->at[from])) {
            ranges->at[to].end = ranges->at[from].end;
        } else {
            ranges->at[++to] = ranges->at[from];
        }
    }
    if (from > to + 1) {
        remove_at(ranges, to + 1, from);
    }
}

int ranges_add(struct ranges *ranges, const struct range *range, uint64_t frames_max)
{
    uint32_t index = ranges_index(ranges, range->start);
    if (index < ranges->count && ranges->at[index].start < range->end) {
        return -SKEP_EEXIST;
    }
    /* Two spare entries, so that a guest whose table is full can still unmap. */
    if (ranges->count + 3 > RANGES_MAX) {
        return -SKEP_ENOSPC;
    }
    uint64_t cost = ranges->cost + cost_alone(ranges, range);
    if (cost > frames_max) {
        return -SKEP_ENOMEM;
    }
    ranges->cost = cost;
    insert_at(ranges, index, range);
    merge(ranges, range->start, range->end);
    return 0;
}

/* The range that has the address strictly inside, or NULL. */
static struct range *straddling(const struct ranges *ranges, uint64_t address)
{
    struct range *range = find(ranges, address);
    return range && range->start < address ? range : NULL;
}

static void split_at(struct ranges *ranges, uint64_t address)
{
    struct range *range = straddling(ranges, address);
    if (!range) {
        return;
    }
    struct range upper = *range;
    upper.start = address;
    if (range->kind == RANGE_IMAGE) {
        upper.first_page += (uint32_t)((address - range->start) >> SKEP_PAGE_SHIFT);
    }
    range->end = address;
    insert_at(ranges, (uint32_t)(range - ranges->at) + 1, &upper);
}

/* Makes the span begin and end where ranges do. */
static int split_around(struct ranges *ranges, uint64_t start, uint64_t end)
{
    uint32_t more = (straddling(ranges, start) != NULL) + (straddling(ranges, end) != NULL);
    if (ranges->count + more > RANGES_MAX) {
        return -SKEP_ENOSPC;
    }
    split_at(ranges, start);
    split_at(ranges, end);
    return 0;
}

/* Whether a range with these rights may come to have frames of the guest's own that count before they are touched. */
static bool owns(const struct range *range, uint32_t prot)
{
    return (range->kind == RANGE_ANON && prot != SKEP_PROT_NONE) ||
           (range->kind == RANGE_IMAGE && (prot & SKEP_PROT_WRITE));
}

/* Pages that the span costs more with these rights. */
static uint64_t protect_cost(const struct ranges *ranges, uint64_t start, uint64_t end,
                             uint32_t prot)
{
    uint64_t pages = 0;
    for (uint32_t i = ranges_index(ranges, start); i < ranges->count; i++) {
        const struct range *range = &ranges->at[i];
        if (range->start >= end) {
            break;
        }
        if (owns(range, prot) && !range->ever_owned) {
            uint64_t from = range->start > start ? range->start : start;
            uint64_t to = range->end < end ? range->end : end;
            pages += (to - from) >> SKEP_PAGE_SHIFT;
        }
    }
    return pages;
}

int ranges_protect(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t prot,
                   uint64_t frames_max)
{
    uint64_t cost = protect_cost(ranges, start, end, prot);
    if (cost && ranges->cost + cost > frames_max) {
        return -SKEP_ENOMEM;
    }
    int error = split_around(ranges, start, end);
    if (error) {
        return error;
    }
    for (uint32_t i = ranges_index(ranges, start); i < ranges->count; i++) {
        struct range *range = &ranges->at[i];
        if (range->start >= end) {
            break;
        }
        range->prot = (uint8_t)prot;
        range->ever_owned |= owns(range, prot);
    }
    ranges->cost += cost;
    merge(ranges, start, end); /* or each part of a long call would leave a range behind */
    return 0;
}

int ranges_remove(struct ranges *ranges, uint64_t start, uint64_t end)
{
    int error = split_around(ranges, start, end);
    if (error) {
        return error;
    }
    uint32_t first = ranges_index(ranges, start);
    uint32_t past = ranges_index(ranges, end);
    for (uint32_t i = first; i < past; i++) {
        ranges->cost -= pages_owned(&ranges->at[i]);
    }
    remove_at(ranges, first, past);
    ranges->cost -= tables_alone(ranges, start, end);
    return 0;
}

void ranges_drop(struct ranges *ranges, uint64_t end)
{
    struct range *last = &ranges->at[ranges->count - 1];
    struct range gone = *last;
    gone.end = end;
    last->start = end; /* its first page is looked at no more */
    ranges->count -= last->start >= last->end;
    ranges->cost -= cost_alone(ranges, &gone);
}
