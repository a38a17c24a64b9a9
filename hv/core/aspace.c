/*
 * aspace.c - address spaces: what brings a page under an address, and how it gets away again.
 *
 * Ranges (range.c) are the truth about what a guest may touch; page tables (pagetable.c) are a cache of what it has
 * touched. A page goes absent -> present on a fault or when ring 0 needs it. A table goes with the last range that it
 * is for, so that what the ranges may cost covers all that the guest can come to hold. Of a reserved range only the page
 * tables are in that: its pages are counted one by one, when they come and when they go (reserved_frames).
 *
 * A touch brings neighbours, too, where that costs the guest nothing that it could use otherwise: of memory that is
 * promised, some pages behind many that are there, since memory is mostly used from its beginning on; of an image's
 * read-only pages, which are shared, those around.
 *
 * An image's page in a writable range is shared until the first write, but in a guest of several vCPUs it is copied at
 * the first touch: another vCPU could read the shared page by a translation that its CPU has kept, after the first
 * write went to the copy.
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

/* Bounds of one call, for some 6,000 instructions: a neighbour that is due waits for them. */
#define WORK_MAX  256u /* what pagetable_next() may spend */
#define PAGE_WORK 16u  /* what a present page counts for */
#define PAGES_MAX (WORK_MAX / PAGE_WORK)
/* Pages that a touch brings: of promised memory at most and, if any but its own, at least; and of an image. */
#define AHEAD_PAGES     16u
#define AHEAD_PAGES_MIN 4u
#define AROUND_PAGES    8u
#define AROUND_BYTES    (AROUND_PAGES * PAGE_SIZE)
#define TABLE_BYTES     (1ull << pagetable_shift(1)) /* what one page table is for */
#define RELEASE_MAX \
    (PAGES_MAX + 8) /* frames given back: more than a call unmaps, so that none pile up */

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
    as->unmapped_frames++;
}

/* Of a frame that no CPU can reach. Nobody can pin it any more. */
static void unmapped_release(struct guest *guest, pfn_t pfn)
{
    if (frame_pins(pfn)) {
        frame_link_set(pfn, guest->aspace.held_seen);
        guest->aspace.held_seen = pfn;
    } else {
        frame_link_set(pfn, PFN_NONE);
        guest->aspace.unmapped_frames--;
        guest_frame_free(guest, pfn);
    }
}

/* Looks again at some of what was pinned. */
static void held_release(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    if (!as->held) {
        as->held = as->held_seen;
        as->held_seen = PFN_NONE;
    }
    for (uint32_t i = 0; i < RELEASE_MAX && as->held; i++) {
        pfn_t pfn = as->held;
        as->held = frame_link(pfn);
        unmapped_release(guest, pfn);
    }
}

static void quarantine_release(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    if (!as->unmapped_frames) {
        return;
    }
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

/* This CPU forgets translations if others wait for that. Holds guest.lock: if it were taken in between, another CPU
 * could unmap more, set the bit that is still set, and take our clearing it for a flush that came after. */
static void flush_asked(struct aspace *as, uint32_t bit)
{
    if (atomic_load(&as->flush_wait) & bit) {
        arch_tlb_flush_all();
        atomic_fetch_and(&as->flush_wait, ~bit);
    }
}

bool aspace_settle(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    flush_asked(as, cpu_bit(arch_cpu()->index));
    quarantine_release(guest);
    return !as->quarantine && !atomic_load(&as->flush_wait);
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
    spin_lock(&guest->lock);
    flush_asked(as, bit);
    quarantine_release(guest);
    spin_unlock(&guest->lock);
}

bool aspace_stays(struct guest *guest)
{
    spin_lock(&guest->lock);
    bool live = guest->state != SKEP_GUEST_DYING;
    spin_unlock(&guest->lock);
    return live;
}

void aspace_expel(struct guest *guest)
{
    interrupt_others(others_loaded(&guest->aspace));
}

/* All under the lock: the reaper looks at loaded_on under it, and what it then frees is no longer touched here. */
void aspace_leave(struct guest *guest, uint32_t cpu_index)
{
    struct aspace *as = &guest->aspace;
    spin_lock(&guest->lock);
    atomic_fetch_and(&as->loaded_on, ~cpu_bit(cpu_index));
    atomic_fetch_and(&as->flush_wait, ~cpu_bit(cpu_index));
    quarantine_release(guest);
    if (guest->state == SKEP_GUEST_DYING) {
        reap_wake(guest);
    }
    spin_unlock(&guest->lock);
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
    return image_page(range->mapping == SKEP_MAPPING_FILES ? guest->files : guest->image, page);
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
    bool writable = range->prot & SKEP_PROT_WRITE;
    if (access & SKEP_FAULT_WRITE || (writable && guest->vcpu_max > 1)) {
        return copy_page(guest, shared);
    }
    *prot &= ~SKEP_PROT_WRITE;
    frame_share(shared);
    return shared;
}

/* Whether one more page can be charged beside all that the guest may still come to need. */
static bool page_fits(struct guest *guest)
{
    if (guest_frames_committed(guest) >= guest->promise_frames) {
        quarantine_release(guest);
    }
    return guest_frames_committed(guest) < guest->promise_frames;
}

static enum supply supply_first(struct guest *guest, const struct range *range, uint64_t address,
                                uint32_t access, uint64_t *leaf)
{
    bool reserved = range->kind == RANGE_RESERVED;
    uint32_t prot;
    if (reserved && !page_fits(guest)) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    pfn_t pfn = first_frame(guest, range, address, access, &prot);
    if (!pfn) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    guest->aspace.reserved_frames += reserved;
    *leaf = arch_pte_leaf(pfn_to_paddr(pfn), prot);
    return SUPPLY_OK;
}

/* A write to a page that is present read-only in a writable range: an image's page, copied now. The guest has one vCPU; if
 * ring 0 writes from another CPU than that runs on, it may go by its translation of the old page until it is interrupted. */
static enum supply supply_copy(struct guest *guest, const struct range *range, uint64_t *leaf)
{
    pfn_t shared = paddr_to_pfn(arch_pte_paddr(*leaf));
    CHECK(is_shared(shared) && guest->vcpu_max == 1);
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

/* The place of an address's page in its page table, and how many pages from there on the table has. */
static uint32_t table_index(uint64_t address)
{
    return (uint32_t)((address & (TABLE_BYTES - 1)) >> SKEP_PAGE_SHIFT);
}

static uint64_t table_left(uint64_t address)
{
    return (TABLE_BYTES >> SKEP_PAGE_SHIFT) - table_index(address);
}

uint32_t aspace_present(struct guest *guest, uint64_t address, uint32_t access, uint32_t count,
                        pfn_t pfns[])
{
    uint64_t at = page_align_down(address);
    uint64_t left = table_left(at);
    uint32_t work = PAGETABLE_WALK_WORK;
    uint32_t done = 0;
    const uint64_t *leaf = pagetable_recent(&guest->aspace.tables, address);
    leaf = leaf ? leaf : pagetable_next(&guest->aspace.tables, &at, at + PAGE_SIZE, &work);
    while (leaf && done < count && done < left && leaf_allows(leaf[done], access)) {
        pfns[done] = paddr_to_pfn(arch_pte_paddr(leaf[done]));
        done++;
    }
    return done;
}

/* Makes one page present, whose range and entry are *range and *leaf then. Not inlined: most calls of aspace_supply() find
 * the page there, and need no registers for this. */
static __attribute__((noinline)) enum supply supply_page(struct guest *guest, uint64_t address,
                                                         uint32_t access,
                                                         const struct range **range,
                                                         uint64_t **leaf)
{
    *range = ranges_find(&guest->aspace.ranges, address);
    if (!*range) {
        return SUPPLY_NO_RANGE;
    }
    if (!range_allows(*range, access)) {
        return (*range)->prot == SKEP_PROT_NONE ? SUPPLY_GUARD : SUPPLY_NO_RANGE;
    }
    *leaf = pagetable_leaf(guest, address);
    if (!*leaf) {
        return SUPPLY_OUT_OF_MEMORY;
    }
    if (!arch_pte_present(**leaf)) {
        /* A fixed one is that of a vCPU that hasn't been made. */
        return (*range)->kind == RANGE_FIXED ? SUPPLY_NO_RANGE
                                             : supply_first(guest, *range, address, access, *leaf);
    }
    if ((access & SKEP_FAULT_WRITE) && !arch_pte_writable(**leaf)) {
        return supply_copy(guest, *range, *leaf);
    }
    return SUPPLY_OK;
}

enum supply aspace_supply(struct guest *guest, uint64_t address, uint32_t access, pfn_t *pfn)
{
    const uint64_t *recent = pagetable_recent(&guest->aspace.tables, address);
    if (recent && leaf_allows(*recent, access)) {
        *pfn = paddr_to_pfn(arch_pte_paddr(*recent));
        return SUPPLY_OK;
    }
    const struct range *range;
    uint64_t *leaf;
    enum supply result = supply_page(guest, address, access, &range, &leaf);
    *pfn = result == SUPPLY_OK ? paddr_to_pfn(arch_pte_paddr(*leaf)) : PFN_NONE;
    return result;
}

/* How many pages there can be from this one on, in its range and page table, up to `count`. */
static uint32_t pages_left(const struct range *range, uint64_t address, uint32_t count)
{
    uint64_t in_range = (range->end - address) >> SKEP_PAGE_SHIFT;
    uint64_t in_table = table_left(address);
    uint64_t left = in_range < in_table ? in_range : in_table;
    return left < count ? (uint32_t)left : count;
}

/* Promised memory, from a page on that is there. */
static void supply_ahead(struct guest *guest, const struct range *range, uint64_t address,
                         uint64_t *leaf, uint32_t count)
{
    pfn_t pfns[AHEAD_PAGES];
    uint32_t absent = 0;
    count = pages_left(range, address, count);
    for (uint32_t i = 1; i < count; i++) {
        absent += !arch_pte_present(leaf[i]);
    }
    if (!absent) {
        return;
    }
    absent = guest_frames_alloc(guest, SKEP_FRAME_GUEST, absent, pfns);
    for (uint32_t used = 0; used < absent;) {
        leaf++;
        if (!arch_pte_present(*leaf)) {
            *leaf = arch_pte_leaf(pfn_to_paddr(pfns[used++]), range->prot);
        }
    }
}

/* Read-only pages of an image, around one that is there. */
static void share_around(struct guest *guest, const struct range *range, uint64_t address,
                         uint64_t *leaf)
{
    uint64_t first = address & ~(uint64_t)(AROUND_BYTES - 1);
    first = first > range->start ? first : range->start;
    leaf -= (address - first) >> SKEP_PAGE_SHIFT;
    uint32_t count = pages_left(range, first, AROUND_PAGES);
    for (uint32_t i = 0; i < count; i++) {
        if (!arch_pte_present(leaf[i])) {
            pfn_t shared = image_pfn(guest, range, first + i * PAGE_SIZE);
            frame_share(shared);
            leaf[i] = arch_pte_leaf(pfn_to_paddr(shared), range->prot);
        }
    }
}

/* Whether so many pages before an entry's are there, by a look at some, in the same table. */
static bool present_before(const uint64_t *leaf, uint32_t index, uint32_t count)
{
    return index >= count && arch_pte_present(*(leaf - 1)) &&
           arch_pte_present(*(leaf - count / 2)) && arch_pte_present(*(leaf - count));
}

/* How many pages a touch of promised memory brings: half of those that are there right before it, in powers of two. */
static uint32_t pages_ahead(const uint64_t *leaf, uint32_t index)
{
    uint32_t count = AHEAD_PAGES;
    while (count >= AHEAD_PAGES_MIN && !present_before(leaf, index, 2 * count)) {
        count /= 2;
    }
    return count >= AHEAD_PAGES_MIN ? count : 1;
}

/* The page at `address` has been touched. */
static void supply_neighbours(struct guest *guest, const struct range *range, uint64_t address,
                              uint64_t *leaf)
{
    if (range->kind == RANGE_ANON) {
        supply_ahead(guest, range, address, leaf, pages_ahead(leaf, table_index(address)));
    } else if (range->kind == RANGE_IMAGE && !(range->prot & SKEP_PROT_WRITE)) {
        share_around(guest, range, address, leaf);
    }
}

enum supply aspace_touch(struct guest *guest, uint64_t address, uint32_t access)
{
    const struct range *range;
    uint64_t *leaf;
    enum supply result = supply_page(guest, address, access, &range, &leaf);
    if (result == SUPPLY_OK) {
        supply_neighbours(guest, range, address, leaf);
    }
    return result;
}

int aspace_fixed_map(struct guest *guest, uint64_t address, pfn_t pfn, uint32_t prot)
{
    uint64_t *leaf = pagetable_leaf(guest, address);
    if (!leaf) {
        return -SKEP_ENOMEM;
    }
    *leaf = arch_pte_leaf(pfn_to_paddr(pfn), prot);
    return 0;
}

int aspace_init(struct guest *guest)
{
    int error = pagetable_init(guest);
    if (error) {
        return error;
    }
    pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
    if (!pfn) {
        return -SKEP_ENOMEM;
    }
    guest->aspace.ranges.at = frame_data(pfn);
    return 0;
}

/* ---- ranges ---- */

/* What all ranges together may cost beside `more` frames, so that no touch but of a reserved page fails for want of
 * promise. */
static uint64_t frames_for_ranges(const struct guest *guest, uint64_t more)
{
    const struct aspace *as = &guest->aspace;
    uint64_t gone = guest->fixed_frames + as->unmapped_frames + as->reserved_frames + more;
    return guest->promise_frames > gone ? guest->promise_frames - gone : 0;
}

uint64_t aspace_committed(const struct guest *guest)
{
    const struct aspace *as = &guest->aspace;
    return as->ranges.cost + as->unmapped_frames + as->reserved_frames;
}

int aspace_range_add(struct guest *guest, const struct range *range)
{
    return ranges_add(&guest->aspace.ranges, range, UINT64_MAX);
}

void aspace_describe(struct guest *guest, uint64_t address, struct skep_mapping *mapping)
{
    ranges_describe(&guest->aspace.ranges, address, mapping);
}

/* ---- the guest's own calls ---- */

static bool span_valid(uint64_t address, uint64_t bytes)
{
    return bytes && !((address | bytes) & PAGE_MASK) && address >= SKEP_GUEST_VA_MIN &&
           address < SKEP_GUEST_VA_MAX && bytes <= SKEP_GUEST_VA_MAX - address;
}

/* The control service can't do with less than all of its memory: what it reserves is promised. */
static int map_range(const struct guest *guest, uint32_t how, struct range *range)
{
    uint32_t prot = how & ~(SKEP_MAP_RESERVE | SKEP_MAP_STACK);
    bool reserve = how & SKEP_MAP_RESERVE;
    bool stack = how & SKEP_MAP_STACK;
    if ((prot & ~(SKEP_PROT_READ | SKEP_PROT_WRITE)) ||
        (stack && !(reserve && (prot & SKEP_PROT_WRITE)))) {
        return -SKEP_EINVAL;
    }
    reserve &= !guest->is_control;
    *range = (struct range){
        .kind = reserve ? RANGE_RESERVED : RANGE_ANON,
        .prot = (uint8_t)prot,
        .ever_owned = !reserve && prot != SKEP_PROT_NONE,
        .mapping = stack ? SKEP_MAPPING_STACK : SKEP_MAPPING_MEMORY,
    };
    return 0;
}

/* The pages at a stack's top that are to be there from the start. */
static uint64_t stack_ready(const struct range *range)
{
    uint64_t pages = (range->end - range->start) >> SKEP_PAGE_SHIFT;
    bool stack = range->kind == RANGE_RESERVED && range->mapping == SKEP_MAPPING_STACK;
    return !stack ? 0 : pages < SKEP_STACK_READY ? pages : SKEP_STACK_READY;
}

static void stack_supply(struct guest *guest, uint64_t end, uint64_t pages)
{
    pfn_t pfn;
    for (uint64_t i = 1; i <= pages; i++) {
        CHECK(aspace_supply(guest, end - i * PAGE_SIZE, SKEP_FAULT_WRITE, &pfn) == SUPPLY_OK);
    }
}

int64_t aspace_map(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t how)
{
    struct aspace *as = &guest->aspace;
    struct range range;
    if (!bytes || (bytes & PAGE_MASK) || bytes > SKEP_GUEST_VA_MAX ||
        map_range(guest, how, &range)) {
        return -SKEP_EINVAL;
    }
    if (!address) {
        address = ranges_gap(&as->ranges, as->heap_base, as->heap_end, bytes);
        if (!address) {
            return -SKEP_ENOMEM;
        }
    }
    if (!span_valid(address, bytes)) {
        return -SKEP_EINVAL;
    }
    range.start = address;
    range.end = address + bytes;
    quarantine_release(guest);
    uint64_t ready = stack_ready(&range);
    int error = ranges_add(&as->ranges, &range, frames_for_ranges(guest, ready));
    if (error == -SKEP_ENOMEM && as->quarantine) {
        return -SKEP_EAGAIN;
    }
    if (error) {
        return error;
    }
    stack_supply(guest, range.end, ready);
    return (int64_t)address;
}

/* An image's page that becomes writable is forgotten: the next touch decides whether it can be shared. */
static void leaf_protect(uint64_t *leaf, uint32_t prot)
{
    paddr_t page = arch_pte_paddr(*leaf);
    if (is_shared(paddr_to_pfn(page)) && (prot & SKEP_PROT_WRITE)) {
        frame_unshare(paddr_to_pfn(page));
        *leaf = 0;
    } else {
        *leaf = arch_pte_leaf(page, prot);
    }
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

/* How far so much work goes, in whole pages. */
static uint64_t bounded_end(struct aspace *as, uint64_t start, uint64_t end, uint32_t work)
{
    uint64_t at = start;
    while (at < end && work) {
        if (pagetable_next(&as->tables, &at, end, &work)) {
            at += PAGE_SIZE;
            work -= work < PAGE_WORK ? work : PAGE_WORK;
        }
    }
    return at < end ? at : end;
}

/* The next present leaf of a span that bounded_end() gave. */
static uint64_t *next_leaf(struct aspace *as, uint64_t *address, uint64_t end)
{
    uint32_t work = UINT32_MAX;
    return pagetable_next(&as->tables, address, end, &work);
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
    int error = ranges_changeable(&as->ranges, address, address + bytes, prot, false);
    if (error) {
        return error;
    }
    uint64_t end = bounded_end(as, address, address + bytes, WORK_MAX);
    error = ranges_protect(&as->ranges, address, end, prot, frames_for_ranges(guest, 0));
    if (error) {
        return error;
    }
    uint64_t *leaf;
    for (uint64_t at = address; (leaf = next_leaf(as, &at, end)); at += PAGE_SIZE) {
        leaf_protect(leaf, prot);
    }
    shoot_down(as);
    *done = end - address;
    return 0;
}

/* Of a span all of which is, or was, reserved, or nothing of it. */
static void pages_release(struct guest *guest, uint64_t start, uint64_t end, bool reserved)
{
    struct aspace *as = &guest->aspace;
    uint64_t *leaf;
    for (uint64_t at = start; (leaf = next_leaf(as, &at, end)); at += PAGE_SIZE) {
        leaf_release(guest, leaf);
        as->reserved_frames -= reserved;
    }
}

/* Empties a span that no range is in any more: its pages go, and the tables that nothing else needs. */
static void span_clear(struct guest *guest, uint64_t start, uint64_t end, bool reserved)
{
    struct aspace *as = &guest->aspace;
    uint64_t low;
    uint64_t high;
    pages_release(guest, start, end, reserved);
    ranges_hole(&as->ranges, start, &low, &high);
    pagetable_trim(guest, start, end, low, high, quarantine_put);
}

int aspace_unmap(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t how,
                 uint64_t *done)
{
    struct aspace *as = &guest->aspace;
    if (!span_valid(address, bytes)) {
        return -SKEP_EINVAL;
    }
    uint64_t end = address + bytes;
    int error = ranges_changeable(&as->ranges, address, end, SKEP_PROT_NONE, how & SKEP_UNMAP_GAPS);
    if (error) {
        return error;
    }
    uint64_t start = ranges_first(&as->ranges, address, end);
    if (start == end) {
        *done = bytes;
        return 0;
    }
    bool reserved = ranges_find(&as->ranges, start)->kind == RANGE_RESERVED;
    end = ranges_alike(&as->ranges, start, end);
    end = bounded_end(as, start, end, WORK_MAX);
    if (how & SKEP_UNMAP_KEEP) {
        pages_release(guest, start, end, reserved);
    } else {
        error = ranges_remove(&as->ranges, start, end);
        if (error) {
            return error;
        }
        span_clear(guest, start, end, reserved);
    }
    shoot_down(as);
    *done = end - address;
    return 0;
}

/* ---- the end ---- */

static void reap_range(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    const struct range *last = &as->ranges.at[as->ranges.count - 1];
    uint64_t start = last->start;
    uint64_t end = bounded_end(as, start, last->end, WORK_MAX);
    bool reserved = last->kind == RANGE_RESERVED;
    ranges_drop(&as->ranges, end);
    span_clear(guest, start, end, reserved);
}

bool aspace_reap(struct guest *guest)
{
    struct aspace *as = &guest->aspace;
    CHECK(!atomic_load(&as->loaded_on));
    quarantine_release(guest);
    if (as->unmapped_frames) {
        return false; /* nothing of it is pinned: io_guest_detach() */
    }
    if (as->ranges.count) {
        reap_range(guest);
        return false;
    }
    CHECK(!as->reserved_frames);
    pagetable_free(guest);
    if (as->ranges.at) {
        guest_frame_free(guest, frame_of(as->ranges.at));
        as->ranges.at = NULL;
    }
    return true;
}
