/*
 * aspace.c - address spaces.
 *
 * Ranges are the truth about what a guest may touch; page tables are a cache of what it has touched. A page goes
 * absent -> present on a fault or when ring 0 needs it, and an image's page goes shared -> private on the first
 * write. Tables stay until the guest ends.
 *
 * Shootdown: an unmapped frame may be reused only when no CPU can still reach it. Each address space knows the CPUs
 * that may hold translations (loaded_on). Unmapping flushes this CPU, puts the frames into the quarantine, marks the
 * other CPUs in flush_wait and interrupts them; whoever clears the last bit gives the quarantine back. Nobody waits.
 * What a device has pinned by then stays charged to the guest until it is unpinned, so that no guest can hold more
 * than its promise.
 */
#include "core/aspace.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/guest.h"
#include "core/image.h"
#include "core/log.h"
#include "core/string.h"

#define LEVELS             4u
#define ENTRIES            512u
#define LOWER_HALF_ENTRIES 256u
#define WORK_MAX           96u /* pages or skipped tables handled in one call */
#define RELEASE_MAX \
    (2 * WORK_MAX) /* frames given back at once: more than a call unmaps, so that none pile up */

static uint32_t index_at(uint64_t address, uint32_t level)
{
    return (uint32_t)(address >> (SKEP_PAGE_SHIFT + 9 * level)) & (ENTRIES - 1);
}

static uint64_t span_of(uint32_t level)
{
    return PAGE_SIZE << (9 * level);
}

static uint64_t *table_of(uint64_t entry)
{
    return arch_direct(arch_pte_paddr(entry));
}

/* ---- page tables ---- */

static uint64_t *root_of(struct aspace *as)
{
    return frame_data(as->root_pfns[0]);
}

/* The leaf entry for an address, or NULL with *absent = the level whose entry is missing. */
static uint64_t *leaf_find(struct aspace *as, uint64_t address, uint32_t *absent)
{
    uint64_t *table = root_of(as);
    for (uint32_t level = LEVELS - 1; level; level--) {
        uint64_t entry = table[index_at(address, level)];
        if (!arch_pte_present(entry)) {
            *absent = level;
            return NULL;
        }
        table = table_of(entry);
    }
    return &table[index_at(address, 0)];
}

/* The leaf entry for an address, when its table was used lately. Tables stay until the guest ends. */
static uint64_t *leaf_recent(struct aspace *as, uint64_t address)
{
    for (uint32_t i = 0; i < RECENT_TABLES; i++) {
        if (as->recent[i].number == address / span_of(1) && as->recent[i].entries) {
            return &as->recent[i].entries[index_at(address, 0)];
        }
    }
    return NULL;
}

static void recent_add(struct aspace *as, uint64_t address, uint64_t *entries)
{
    as->recent[as->recent_next++ % RECENT_TABLES] =
        (struct leaf_table){address / span_of(1), entries};
}

/* leaf_find(), with missing tables made. NULL: the promise is used up. */
static uint64_t *leaf_make(struct guest *guest, uint64_t address)
{
    struct aspace *as = &guest->aspace;
    uint64_t *table = root_of(as);
    for (uint32_t level = LEVELS - 1; level; level--) {
        uint32_t index = index_at(address, level);
        if (!arch_pte_present(table[index])) {
            pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_PAGETABLE);
            if (!pfn) {
                return NULL;
            }
            uint64_t entry = arch_pte_table(pfn_to_paddr(pfn));
            if (level == LEVELS - 1) {
                arch_root_set(&as->root, index, entry);
            } else {
                table[index] = entry;
            }
        }
        table = table_of(table[index]);
    }
    if (!leaf_recent(as, address)) {
        recent_add(as, address, table);
    }
    return &table[index_at(address, 0)];
}

/* ---- shootdown ---- */

static uint32_t cpu_bit(uint32_t cpu_index)
{
    return 1u << cpu_index;
}

static void interrupt_others(uint32_t cpus)
{
    for (uint32_t i = 0; cpus; i++, cpus >>= 1) {
        if (cpus & 1) {
            arch_ipi_send(i);
        }
    }
}

/* CPUs other than this one that may hold translations. The fence puts the plain writes of entries before the look;
 * it pairs with aspace_enter(): either that CPU sees the cleared entry or we see its bit. */
static uint32_t others_loaded(struct aspace *as)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&as->loaded_on) & ~cpu_bit(arch_cpu()->index);
}

static void flush_self(struct aspace *as)
{
    if (atomic_load(&as->loaded_on) & cpu_bit(arch_cpu()->index)) {
        arch_tlb_flush_all();
    }
}

/* Tells every CPU to forget translations; frames unmapped before wait in the quarantine until they have. */
static void shoot_down(struct aspace *as)
{
    flush_self(as);
    uint32_t others = others_loaded(as);
    if (others) {
        atomic_fetch_or(&as->flush_wait, others);
        interrupt_others(others);
    }
}

/* The list is linked through the frame table, never through the frames: a stale writer could spoil those. */
static void quarantine_put(struct guest *guest, pfn_t pfn)
{
    struct aspace *as = &guest->aspace;
    if (!atomic_load(&as->loaded_on)) {
        guest_frame_free(guest, pfn);
        return;
    }
    frame_link_set(pfn, as->quarantine);
    as->quarantine = pfn;
}

/* Of a frame that no CPU can reach. Nobody can pin it any more. */
static void unmapped_release(struct guest *guest, pfn_t pfn)
{
    if (frame_pins(pfn)) {
        frame_link_set(pfn, guest->aspace.held);
        guest->aspace.held = pfn;
    } else {
        frame_link_set(pfn, PFN_NONE);
        guest_frame_free(guest, pfn);
    }
}

/* Looks again at what was pinned: at most the guest's rings and what the card's ring holds. */
static void held_release(struct guest *guest)
{
    pfn_t pfn = guest->aspace.held;
    guest->aspace.held = PFN_NONE;
    while (pfn) {
        pfn_t next = frame_link(pfn);
        unmapped_release(guest, pfn);
        pfn = next;
    }
}

static void quarantine_release(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    held_release(guest);
    if (atomic_load(&as->flush_wait)) {
        return;
    }
    for (uint32_t i = 0; i < RELEASE_MAX && as->quarantine; i++) {
        pfn_t pfn = as->quarantine;
        as->quarantine = frame_link(pfn);
        unmapped_release(guest, pfn);
    }
}

bool aspace_relieve(struct guest *guest)
{
    uint64_t charged = guest->charged_frames;
    quarantine_release(guest);
    return guest->aspace.quarantine || guest->charged_frames < charged;
}

void aspace_enter(struct guest *guest, uint32_t cpu_index)
{
    atomic_fetch_or(&guest->aspace.loaded_on, cpu_bit(cpu_index));
}

void aspace_flushed(struct guest *guest, uint32_t cpu_index)
{
    uint32_t bit = cpu_bit(cpu_index);
    struct aspace *as = &guest->aspace;
    if (!(atomic_load(&as->flush_wait) & bit)) {
        return;
    }
    /* Both under the lock: between them another CPU could unmap more, set the bit that is still set, and take our
     * clearing it for a flush that came after. */
    spin_lock(&guest->lock);
    arch_tlb_flush_all();
    atomic_fetch_and(&as->flush_wait, ~bit);
    quarantine_release(guest);
    spin_unlock(&guest->lock);
}

/* All under the lock: the reaper looks at loaded_on under it, and what it then frees is no longer touched here. */
void aspace_leave(struct guest *guest, uint32_t cpu_index)
{
    struct aspace *as = &guest->aspace;
    spin_lock(&guest->lock);
    atomic_fetch_and(&as->loaded_on, ~cpu_bit(cpu_index));
    atomic_fetch_and(&as->flush_wait, ~cpu_bit(cpu_index));
    quarantine_release(guest);
    spin_unlock(&guest->lock);
}

/* ---- ranges ---- */

/* Index of the first range that ends above the address. */
static uint32_t range_index(const struct aspace *as, uint64_t address)
{
    uint32_t low = 0;
    uint32_t high = as->range_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (as->ranges[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct range *range_find(struct aspace *as, uint64_t address)
{
    uint32_t index = range_index(as, address);
    bool inside = index < as->range_count && as->ranges[index].start <= address;
    return inside ? &as->ranges[index] : NULL;
}

static bool range_overlaps(const struct aspace *as, uint64_t start, uint64_t end)
{
    uint32_t index = range_index(as, start);
    return index < as->range_count && as->ranges[index].start < end;
}

static void range_insert_at(struct aspace *as, uint32_t index, const struct range *range)
{
    memmove(&as->ranges[index + 1], &as->ranges[index],
            (as->range_count - index) * sizeof(struct range));
    as->ranges[index] = *range;
    as->range_count++;
}

/* Page tables that [start, end) may need, beyond the root. */
static uint64_t tables_worst(uint64_t start, uint64_t end)
{
    uint64_t count = 0;
    for (uint32_t level = 1; level < LEVELS; level++) {
        count += (end - 1) / span_of(level) - start / span_of(level) + 1;
    }
    return count;
}

/* Frames that a range may come to need. An image's read-only pages are shared and cost nothing, and neither does
 * memory that was never accessible. */
static uint64_t range_cost(const struct range *range)
{
    uint64_t pages = (range->end - range->start) >> SKEP_PAGE_SHIFT;
    if (range->kind == RANGE_GUARD) {
        return 0;
    }
    bool owned = range->kind != RANGE_FIXED && range->ever_owned;
    return tables_worst(range->start, range->end) + (owned ? pages : 0);
}

/* Recounts what all ranges may need. They are few, and counting anew can't drift. */
static uint64_t committed(const struct aspace *as)
{
    uint64_t frames = 0;
    for (uint32_t i = 0; i < as->range_count; i++) {
        frames += range_cost(&as->ranges[i]);
    }
    return frames;
}

static bool mergeable(const struct range *a, const struct range *b)
{
    if (a->end != b->start || a->kind != b->kind || a->prot != b->prot ||
        a->ever_owned != b->ever_owned) {
        return false;
    }
    uint64_t pages = (a->end - a->start) >> SKEP_PAGE_SHIFT;
    return a->kind == RANGE_ANON ||
           (a->kind == RANGE_IMAGE && a->first_page + pages == b->first_page);
}

/* Joins what can be joined in and at [start, end], in one pass. */
static void ranges_merge(struct aspace *as, uint64_t start, uint64_t end)
{
    uint32_t to = range_index(as, start);
    to -= to > 0;
    uint32_t from = to + 1;
    for (; from < as->range_count && as->ranges[from].start <= end; from++) {
        if (mergeable(&as->ranges[to], &as->ranges[from])) {
            as->ranges[to].end = as->ranges[from].end;
        } else {
            as->ranges[++to] = as->ranges[from];
        }
    }
    if (from > to + 1) {
        memmove(&as->ranges[to + 1], &as->ranges[from],
                (as->range_count - from) * sizeof(struct range));
        as->range_count -= from - (to + 1);
    }
}

int aspace_range_add(struct guest *guest, const struct range *range)
{
    struct aspace *as = &guest->aspace;
    if (range_overlaps(as, range->start, range->end)) {
        return -SKEP_EEXIST;
    }
    /* Two spare entries, so that a split never fails half-way. */
    if (as->range_count + 3 > RANGES_MAX) {
        return -SKEP_ENOSPC;
    }
    uint64_t needed = guest->fixed_frames + committed(as) + range_cost(range);
    if (needed > guest->promise_frames) {
        return -SKEP_ENOMEM;
    }
    uint32_t index = range_index(as, range->start);
    range_insert_at(as, index, range);
    ranges_merge(as, range->start, range->end);
    return 0;
}

/* Splits the range that strictly contains the address. */
static int split_at(struct aspace *as, uint64_t address)
{
    struct range *range = range_find(as, address);
    if (!range || range->start == address) {
        return 0;
    }
    if (as->range_count + 1 > RANGES_MAX) {
        return -SKEP_ENOSPC;
    }
    struct range upper = *range;
    upper.start = address;
    if (range->kind == RANGE_IMAGE) {
        upper.first_page += (uint32_t)((address - range->start) >> SKEP_PAGE_SHIFT);
    }
    range->end = address;
    range_insert_at(as, (uint32_t)(range - as->ranges) + 1, &upper);
    return 0;
}

static int split_around(struct aspace *as, uint64_t start, uint64_t end)
{
    int error = split_at(as, start);
    return error ? error : split_at(as, end);
}

/* ---- supply ---- */

static bool range_allows(const struct range *range, uint32_t access)
{
    if (access & SKEP_FAULT_WRITE) {
        return range->prot & SKEP_PROT_WRITE;
    }
    if (access & SKEP_FAULT_EXEC) {
        return range->prot & SKEP_PROT_EXEC;
    }
    return range->prot != SKEP_PROT_NONE;
}

static pfn_t image_pfn(const struct guest *guest, const struct range *range, uint64_t address)
{
    uint32_t page = range->first_page + (uint32_t)((address - range->start) >> SKEP_PAGE_SHIFT);
    return image_page(guest->image, page);
}

/* A private copy of an image's page. */
static pfn_t copy_page(struct guest *guest, pfn_t from)
{
    pfn_t pfn = guest_frame_alloc_raw(guest, SKEP_FRAME_GUEST);
    if (pfn) {
        memcpy(frame_data(pfn), frame_data(from), PAGE_SIZE);
    }
    return pfn;
}

static bool is_shared(pfn_t pfn)
{
    return frame_type(pfn) == SKEP_FRAME_IMAGE;
}

/* First touch: the frame and the rights that the entry gets. */
static pfn_t first_frame(struct guest *guest, const struct range *range, uint64_t address,
                         uint32_t access, uint32_t *prot)
{
    *prot = range->prot;
    if (range->kind != RANGE_IMAGE) {
        return guest_frame_alloc(guest, SKEP_FRAME_GUEST);
    }
    pfn_t shared = image_pfn(guest, range, address);
    if (access & SKEP_FAULT_WRITE) {
        return copy_page(guest, shared);
    }
    *prot &= ~SKEP_PROT_WRITE;
    frame_share(shared);
    return shared;
}

static enum supply supply_first(struct guest *guest, const struct range *range, uint64_t address,
                                uint32_t access, uint64_t *leaf)
{
    uint32_t prot;
    pfn_t pfn = first_frame(guest, range, address, access, &prot);
    if (!pfn) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    *leaf = arch_pte_leaf(pfn_to_paddr(pfn), prot);
    return SUPPLY_OK;
}

/* A write to a page that is present read-only in a writable range: an image's page, copied now. */
static enum supply supply_copy(struct guest *guest, const struct range *range, uint64_t *leaf)
{
    pfn_t shared = paddr_to_pfn(arch_pte_paddr(*leaf));
    CHECK(is_shared(shared));
    pfn_t pfn = copy_page(guest, shared);
    if (!pfn) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    *leaf = arch_pte_leaf(pfn_to_paddr(pfn), range->prot);
    frame_unshare(shared);
    shoot_down(&guest->aspace);
    return SUPPLY_OK;
}

/* Whether an entry, which never has more rights than its range, allows the access as it is. */
static bool leaf_allows(uint64_t entry, uint32_t access)
{
    if (access & SKEP_FAULT_EXEC) {
        return false; /* no access of ring 0 */
    }
    return access & SKEP_FAULT_WRITE ? arch_pte_writable(entry) : arch_pte_usable(entry);
}

enum supply aspace_supply(struct guest *guest, uint64_t address, uint32_t access, pfn_t *pfn)
{
    const uint64_t *recent = leaf_recent(&guest->aspace, address);
    if (recent && leaf_allows(*recent, access)) {
        *pfn = paddr_to_pfn(arch_pte_paddr(*recent));
        return SUPPLY_OK;
    }
    struct range *range = range_find(&guest->aspace, address);
    if (!range) {
        return SUPPLY_NO_RANGE;
    }
    if (range->kind == RANGE_GUARD) {
        return SUPPLY_GUARD;
    }
    if (!range_allows(range, access)) {
        return range->prot == SKEP_PROT_NONE ? SUPPLY_GUARD : SUPPLY_NO_RANGE;
    }
    uint64_t *leaf = leaf_make(guest, address);
    if (!leaf) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    enum supply result = SUPPLY_OK;
    if (!arch_pte_present(*leaf)) {
        result = supply_first(guest, range, address, access, leaf);
    } else if ((access & SKEP_FAULT_WRITE) && !arch_pte_writable(*leaf)) {
        result = supply_copy(guest, range, leaf);
    }
    *pfn = result == SUPPLY_OK ? paddr_to_pfn(arch_pte_paddr(*leaf)) : PFN_NONE;
    return result;
}

int aspace_fixed_map(struct guest *guest, uint64_t address, pfn_t pfn, uint32_t prot)
{
    uint64_t *leaf = leaf_make(guest, address);
    if (!leaf) {
        return -SKEP_ENOMEM;
    }
    *leaf = arch_pte_leaf(pfn_to_paddr(pfn), prot);
    return 0;
}

int aspace_init(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    for (unsigned i = 0; i < ARCH_ROOT_FRAMES; i++) {
        as->root_pfns[i] = guest_frame_alloc(guest, SKEP_FRAME_PAGETABLE);
        if (!as->root_pfns[i]) {
            return -SKEP_ENOMEM;
        }
    }
    pfn_t ranges = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
    if (!ranges) {
        return -SKEP_ENOMEM;
    }
    as->ranges = frame_data(ranges);
    arch_root_init(&as->root, as->root_pfns);
    return 0;
}

/* ---- the guest's own calls ---- */

static bool span_valid(uint64_t address, uint64_t bytes)
{
    return bytes && !((address | bytes) & PAGE_MASK) && address >= SKEP_GUEST_VA_MIN &&
           address < SKEP_GUEST_VA_MAX && bytes <= SKEP_GUEST_VA_MAX - address;
}

/* First gap of the heap area that is large enough; 0 = none. */
static uint64_t heap_gap(const struct aspace *as, uint64_t bytes)
{
    uint64_t start = as->heap_base;
    for (uint32_t i = range_index(as, start); i < as->range_count; i++) {
        const struct range *range = &as->ranges[i];
        if (range->start >= as->heap_end ||
            (range->start > start && range->start - start >= bytes)) {
            break;
        }
        start = range->end;
    }
    return start < as->heap_end && as->heap_end - start >= bytes ? start : 0;
}

int64_t aspace_map(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t prot)
{
    if (!bytes || (bytes & PAGE_MASK) || bytes > SKEP_GUEST_VA_MAX) {
        return -SKEP_EINVAL;
    }
    if (prot & ~(SKEP_PROT_READ | SKEP_PROT_WRITE)) {
        return -SKEP_EINVAL;
    }
    if (!address) {
        address = heap_gap(&guest->aspace, bytes);
        if (!address) {
            return -SKEP_ENOMEM;
        }
    }
    if (!span_valid(address, bytes)) {
        return -SKEP_EINVAL;
    }
    struct range range = {
        .start = address,
        .end = address + bytes,
        .kind = RANGE_ANON,
        .prot = (uint8_t)prot,
        .ever_owned = prot != SKEP_PROT_NONE,
    };
    int error = aspace_range_add(guest, &range);
    return error ? error : (int64_t)address;
}

/* Whether every byte of the span belongs to ranges that the guest may change, to these rights. */
static int changeable(const struct aspace *as, uint64_t start, uint64_t end, uint32_t prot)
{
    for (uint32_t i = range_index(as, start); start < end; i++) {
        if (i >= as->range_count || as->ranges[i].start > start) {
            return -SKEP_EFAULT;
        }
        const struct range *range = &as->ranges[i];
        if (range->kind != RANGE_ANON && range->kind != RANGE_IMAGE) {
            return -SKEP_EPERM;
        }
        if ((prot & SKEP_PROT_EXEC) && (range->kind != RANGE_IMAGE || range->ever_owned)) {
            return -SKEP_EPERM;
        }
        start = range->end;
    }
    return 0;
}

/* Whether a range with these rights may come to have frames of the guest's own. */
static bool owns(const struct range *range, uint32_t prot)
{
    return range->kind == RANGE_ANON ? prot != SKEP_PROT_NONE : (prot & SKEP_PROT_WRITE) != 0;
}

/* Frames that the span costs more with these rights. */
static uint64_t protect_cost(const struct aspace *as, uint64_t start, uint64_t end, uint32_t prot)
{
    uint64_t frames = 0;
    for (uint32_t i = range_index(as, start); i < as->range_count; i++) {
        const struct range *range = &as->ranges[i];
        if (range->start >= end) {
            break;
        }
        if (owns(range, prot) && !range->ever_owned) {
            uint64_t from = range->start > start ? range->start : start;
            uint64_t to = range->end < end ? range->end : end;
            frames += (to - from) >> SKEP_PAGE_SHIFT;
        }
    }
    /* A split may count a table on both sides. */
    return frames ? frames + 2 * (LEVELS - 1) : 0;
}

/* Next address at or after `address` whose leaf is present, below `end`; each table skipped or page passed costs one
 * unit of *work. */
static uint64_t *next_leaf(struct aspace *as, uint64_t *address, uint64_t end, uint32_t *work)
{
    while (*address < end && *work) {
        uint32_t absent = 0;
        uint64_t *leaf = leaf_find(as, *address, &absent);
        if (leaf && arch_pte_present(*leaf)) {
            return leaf;
        }
        --*work;
        uint64_t span = span_of(leaf ? 0 : absent);
        *address = (*address & ~(span - 1)) + span;
    }
    return NULL;
}

static void leaf_protect(uint64_t *leaf, uint32_t prot)
{
    paddr_t page = arch_pte_paddr(*leaf);
    if (is_shared(paddr_to_pfn(page))) {
        prot &= ~SKEP_PROT_WRITE;
    }
    *leaf = arch_pte_leaf(page, prot);
}

static void leaf_release(struct guest *guest, uint64_t *leaf)
{
    pfn_t pfn = paddr_to_pfn(arch_pte_paddr(*leaf));
    *leaf = 0;
    if (is_shared(pfn)) {
        frame_unshare(pfn);
    } else if (frame_type(pfn) !=
               SKEP_FRAME_OBJECT) { /* start-info, vCPU pages: reap.c's to free */
        quarantine_put(guest, pfn);
    }
}

/* Splits and marks the ranges of [start, end). The caller has checked them. */
static void ranges_protect(struct aspace *as, uint64_t start, uint64_t end, uint32_t prot)
{
    for (uint32_t i = range_index(as, start); i < as->range_count; i++) {
        struct range *range = &as->ranges[i];
        if (range->start >= end) {
            break;
        }
        range->prot = (uint8_t)prot;
        range->ever_owned |= owns(range, prot);
    }
}

static void ranges_remove(struct aspace *as, uint64_t start, uint64_t end)
{
    uint32_t first = range_index(as, start);
    uint32_t last = first;
    while (last < as->range_count && as->ranges[last].start < end) {
        last++;
    }
    memmove(&as->ranges[first], &as->ranges[last], (as->range_count - last) * sizeof(struct range));
    as->range_count -= last - first;
}

/* How far this call may go, in whole pages. */
static uint64_t bounded_end(struct aspace *as, uint64_t start, uint64_t end)
{
    uint64_t at = start;
    uint32_t work = WORK_MAX;
    while (at < end && work) {
        if (next_leaf(as, &at, end, &work)) {
            at += PAGE_SIZE;
            work--;
        }
    }
    return at < end ? at : end;
}

int aspace_protect(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t prot,
                   uint64_t *done)
{
    struct aspace *as = &guest->aspace;
    bool bad_prot = prot > (SKEP_PROT_READ | SKEP_PROT_WRITE | SKEP_PROT_EXEC) ||
                    ((prot & SKEP_PROT_WRITE) && (prot & SKEP_PROT_EXEC));
    if (!span_valid(address, bytes) || bad_prot) {
        return -SKEP_EINVAL;
    }
    int error = changeable(as, address, address + bytes, prot);
    if (error) {
        return error;
    }
    uint64_t end = bounded_end(as, address, address + bytes);
    uint64_t cost = protect_cost(as, address, end, prot);
    if (cost && guest->fixed_frames + committed(as) + cost > guest->promise_frames) {
        return -SKEP_ENOMEM;
    }
    error = split_around(as, address, end);
    if (error) {
        return error;
    }
    ranges_protect(as, address, end, prot);
    ranges_merge(as, address, end); /* or each part of a long call would leave a range behind */
    uint32_t work = UINT32_MAX;
    for (uint64_t at = address; at < end; at += PAGE_SIZE) {
        uint64_t *leaf = next_leaf(as, &at, end, &work);
        if (!leaf) {
            break;
        }
        leaf_protect(leaf, prot);
    }
    shoot_down(as);
    *done = end - address;
    return 0;
}

int aspace_unmap(struct guest *guest, uint64_t address, uint64_t bytes, uint64_t *done)
{
    struct aspace *as = &guest->aspace;
    if (!span_valid(address, bytes)) {
        return -SKEP_EINVAL;
    }
    int error = changeable(as, address, address + bytes, SKEP_PROT_NONE);
    if (error) {
        return error;
    }
    uint64_t end = bounded_end(as, address, address + bytes);
    error = split_around(as, address, end);
    if (error) {
        return error;
    }
    ranges_remove(as, address, end);
    uint32_t work = UINT32_MAX;
    for (uint64_t at = address; at < end; at += PAGE_SIZE) {
        uint64_t *leaf = next_leaf(as, &at, end, &work);
        if (!leaf) {
            break;
        }
        leaf_release(guest, leaf);
    }
    shoot_down(as);
    quarantine_release(guest);
    *done = end - address;
    return 0;
}

/* ---- the end ---- */

/* Frees up to WORK_MAX of a leaf table's pages; true when none is left. */
static bool leaf_table_reap(struct guest *guest, uint64_t *table)
{
    uint32_t work = WORK_MAX;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (arch_pte_present(table[i])) {
            if (!work--) {
                return false;
            }
            leaf_release(guest, &table[i]);
        }
    }
    return true;
}

static bool table_first_entry(const uint64_t *table, uint32_t count, uint32_t *index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (arch_pte_present(table[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Takes apart the first table found that has no tables below it. False when the lower half is empty. */
static bool reap_one_table(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    uint64_t *table = root_of(as);
    uint64_t *slot = NULL;
    uint32_t level = LEVELS - 1;
    uint32_t index;
    while (level && table_first_entry(table, slot ? ENTRIES : LOWER_HALF_ENTRIES, &index)) {
        slot = &table[index];
        table = table_of(*slot);
        level--;
    }
    if (!slot) {
        return false;
    }
    if (!level && !leaf_table_reap(guest, table)) {
        return true;
    }
    if (slot >= root_of(as) && slot < root_of(as) + ENTRIES) {
        arch_root_set(&as->root, (uint32_t)(slot - root_of(as)), 0);
    } else {
        *slot = 0;
    }
    guest_frame_free(guest, frame_of(table));
    return true;
}

bool aspace_reap(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    CHECK(!atomic_load(&as->loaded_on));
    memset(as->recent, 0, sizeof(as->recent));
    quarantine_release(guest);
    if (as->quarantine) {
        return false;
    }
    CHECK(!as->held); /* the guest's queues and the card have let go: io_guest_detach() */
    if (as->root_pfns[ARCH_ROOT_FRAMES - 1] && as->ranges && reap_one_table(guest)) {
        return false;
    }
    for (unsigned i = 0; i < ARCH_ROOT_FRAMES; i++) {
        if (as->root_pfns[i]) {
            guest_frame_free(guest, as->root_pfns[i]);
            as->root_pfns[i] = PFN_NONE;
        }
    }
    if (as->ranges) {
        guest_frame_free(guest, frame_of(as->ranges));
        as->ranges = NULL;
        as->range_count = 0;
    }
    return true;
}
