/*
 * pagetable.c - page tables.
 */
#include "core/pagetable.h"

#include "core/frame.h"
#include "core/guest.h"

#define ENTRIES 512u
#define TOP     (PAGETABLE_LEVELS - 1)

static uint32_t index_at(uint64_t address, uint32_t level)
{
    return (uint32_t)(address >> pagetable_shift(level)) & (ENTRIES - 1);
}

static uint64_t *table_of(uint64_t entry)
{
    return arch_direct(arch_pte_paddr(entry));
}

static uint64_t *root_of(const struct pagetable *tables)
{
    return frame_data(tables->root_pfns[0]);
}

int pagetable_init(struct guest *guest)
{
    struct pagetable *tables = &guest->aspace.tables;
    for (unsigned i = 0; i < ARCH_ROOT_FRAMES; i++) {
        tables->root_pfns[i] = guest_frame_alloc(guest, SKEP_FRAME_PAGETABLE);
        if (!tables->root_pfns[i]) {
            return -SKEP_ENOMEM;
        }
    }
    arch_root_init(&tables->root, tables->root_pfns);
    return 0;
}

/* ---- walking ---- */

uint64_t *pagetable_recent(struct pagetable *tables, uint64_t address)
{
    uint64_t number = address >> pagetable_shift(1);
    const struct leaf_table *at = &tables->recent[tables->recent_latest];
    for (uint32_t i = 0; at->number != number || !at->entries; i++) {
        if (i == RECENT_TABLES) {
            return NULL;
        }
        tables->recent_latest = i;
        at = &tables->recent[i];
    }
    return &at->entries[index_at(address, 0)];
}

static void recent_add(struct pagetable *tables, uint64_t address, uint64_t *entries)
{
    tables->recent[tables->recent_next++ % RECENT_TABLES] =
        (struct leaf_table){address >> pagetable_shift(1), entries};
}

/* Puts an entry where it belongs; the root may exist in copies. */
static void entry_set(struct pagetable *tables, uint32_t level, uint64_t *slot, uint64_t entry)
{
    if (level == TOP) {
        arch_root_set(&tables->root, (uint32_t)(slot - root_of(tables)), entry);
    } else {
        *slot = entry;
    }
}

static bool table_make(struct guest *guest, uint32_t level, uint64_t *slot)
{
    pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_PAGETABLE);
    if (pfn) {
        entry_set(&guest->aspace.tables, level, slot, arch_pte_table(pfn_to_paddr(pfn)));
    }
    return pfn;
}

uint64_t *pagetable_leaf(struct guest *guest, uint64_t address)
{
    struct pagetable *tables = &guest->aspace.tables;
    uint64_t *recent = pagetable_recent(tables, address);
    if (recent) {
        return recent;
    }
    uint64_t *table = root_of(tables);
    for (uint32_t level = TOP; level; level--) {
        uint64_t *slot = &table[index_at(address, level)];
        if (!arch_pte_present(*slot) && !table_make(guest, level, slot)) {
            return NULL;
        }
        table = table_of(*slot);
    }
    recent_add(tables, address, table);
    return &table[index_at(address, 0)];
}

/* The entry of this level for an address, or NULL with *absent = the level above whose entry is missing. */
static uint64_t *slot_find(struct pagetable *tables, uint64_t address, uint32_t level,
                           uint32_t *absent)
{
    uint64_t *table = root_of(tables);
    for (uint32_t at = TOP; at > level; at--) {
        uint64_t entry = table[index_at(address, at)];
        if (!arch_pte_present(entry)) {
            *absent = at;
            return NULL;
        }
        table = table_of(entry);
    }
    return &table[index_at(address, level)];
}

/* The first present entry from `leaf` on, within its table and below `end`. */
static uint64_t *leaf_present(uint64_t *leaf, uint64_t *address, uint64_t end, uint32_t *work)
{
    uint64_t left = (end - *address) >> SKEP_PAGE_SHIFT;
    uint32_t in_table = ENTRIES - index_at(*address, 0);
    uint32_t count = left < in_table ? (uint32_t)left : in_table;
    count = count < *work ? count : *work;
    uint32_t absent = 0;
    while (absent < count && !arch_pte_present(leaf[absent])) {
        absent++;
    }
    *address += (uint64_t)absent << SKEP_PAGE_SHIFT;
    *work -= absent;
    return absent < count ? &leaf[absent] : NULL;
}

uint64_t *pagetable_next(struct pagetable *tables, uint64_t *address, uint64_t end, uint32_t *work)
{
    uint64_t *found = NULL;
    while (!found && *address < end && *work) {
        uint32_t absent = 0;
        uint64_t *leaf = pagetable_recent(tables, *address);
        if (!leaf && (leaf = slot_find(tables, *address, 0, &absent))) {
            recent_add(tables, *address, leaf - index_at(*address, 0));
        }
        if (leaf) {
            found = leaf_present(leaf, address, end, work);
        } else {
            uint64_t span = 1ull << pagetable_shift(absent);
            *address = (*address & ~(span - 1)) + span;
            *work -= *work < PAGETABLE_WALK_WORK ? *work : PAGETABLE_WALK_WORK;
        }
    }
    return found;
}

/* ---- trimming ---- */

static void recent_remove(struct pagetable *tables, const uint64_t *entries)
{
    for (uint32_t i = 0; i < RECENT_TABLES; i++) {
        if (tables->recent[i].entries == entries) {
            tables->recent[i].entries = NULL;
        }
    }
}

static void trim_level(struct guest *guest, uint32_t level, uint64_t start, uint64_t end,
                       uint64_t low, uint64_t high, void (*release)(struct guest *guest, pfn_t pfn))
{
    struct pagetable *tables = &guest->aspace.tables;
    for (uint64_t at = start; at < end;) {
        uint32_t passed = level;
        uint64_t *slot = slot_find(tables, at, level, &passed);
        uint64_t span = 1ull << pagetable_shift(passed);
        uint64_t first = at & ~(span - 1);
        if (slot && arch_pte_present(*slot) && first >= low && first + span <= high) {
            uint64_t *table = table_of(*slot);
            entry_set(tables, level, slot, 0);
            recent_remove(tables, table);
            release(guest, frame_of(table));
        }
        at = first + span;
    }
}

void pagetable_trim(struct guest *guest, uint64_t start, uint64_t end, uint64_t low, uint64_t high,
                    void (*release)(struct guest *guest, pfn_t pfn))
{
    for (uint32_t level = 1; level < PAGETABLE_LEVELS; level++) {
        trim_level(guest, level, start, end, low, high, release);
    }
}

void pagetable_free(struct guest *guest)
{
    struct pagetable *tables = &guest->aspace.tables;
    for (unsigned i = 0; i < ARCH_ROOT_FRAMES; i++) {
        if (tables->root_pfns[i]) {
            guest_frame_free(guest, tables->root_pfns[i]);
            tables->root_pfns[i] = PFN_NONE;
        }
    }
}
