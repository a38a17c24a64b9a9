/*
 * paging.c - ring 0's page tables (Intel SDM volume 3, 4.5).
 *
 * All of ring 0's mappings are made at boot, but for device registers; a guest's root table gets the
 * same upper half by copying the top-level entries. With page-table isolation a guest's root table
 * has only the entry areas and .entry.text, and ring 0 runs on its own root table.
 */
#include "core/cpu.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/string.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define TABLE_ENTRIES 512u
#define LARGE_BYTES   (2ull << 20)
#define SLOT_BYTES    (1ull << 39)
#define DIRECT_SLOTS  64u
#define MMIO_TABLES   24u /* spare tables: each maps 2 MiB of device registers */

#define RIGHTS_RX     0ull
#define RIGHTS_R      PTE_NX
#define RIGHTS_RW     (PTE_NX | PTE_WRITE | PTE_DIRTY)
#define RIGHTS_DEVICE (RIGHTS_RW | PTE_PCD | PTE_PWT) /* PAT entry 3: UC */

static uint64_t kernel_top[TABLE_ENTRIES] __attribute__((aligned(SKEP_PAGE_SIZE)));
static uint64_t user_top[TABLE_ENTRIES] __attribute__((aligned(SKEP_PAGE_SIZE)));

static uint64_t pool_next, pool_end; /* physical */
static uint64_t global_bit;
static uint64_t kmap_next = KMAP_BASE;
static struct spinlock kmap_lock = {.kind = LOCK_KMAP};

static uint64_t pool_take(uint64_t pages)
{
    uint64_t address = pool_next;

    if (pages * PAGE_SIZE > pool_end - pool_next) {
        return 0;
    }
    pool_next += pages * PAGE_SIZE;
    memset(arch_direct(paddr(address)), 0, pages * PAGE_SIZE);
    return address;
}

/* The table that an entry points at, made if need be; NULL when the pool is empty. */
static uint64_t *table_below(uint64_t *entry)
{
    if (!(*entry & PTE_PRESENT)) {
        uint64_t table = pool_take(1);

        if (!table) {
            return NULL;
        }
        *entry = table | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
    }
    return arch_direct(paddr(*entry & PTE_ADDRESS));
}

static uint32_t table_index(uint64_t address, uint32_t level)
{
    return (uint32_t)(address >> (12 + 9 * level)) % TABLE_ENTRIES;
}

/* Maps a page-aligned range, in 2 MiB pages where it allows. False when the pool is empty. */
static bool map(uint64_t *top, uint64_t address, uint64_t physical, uint64_t bytes, uint64_t rights)
{
    uint64_t end = address + bytes;

    while (address != end) {
        bool large =
            ((address | physical) & (LARGE_BYTES - 1)) == 0 && end - address >= LARGE_BYTES;
        uint64_t entry = physical | rights | global_bit | PTE_PRESENT | PTE_ACCESSED;
        uint64_t *table = top;

        for (uint32_t level = 3; table && level > (large ? 1 : 0); level--) {
            table = table_below(&table[table_index(address, level)]);
        }
        if (!table) {
            return false;
        }
        table[table_index(address, large ? 1 : 0)] = large ? entry | PTE_LARGE : entry;
        address += large ? LARGE_BYTES : PAGE_SIZE;
        physical += large ? LARGE_BYTES : PAGE_SIZE;
    }
    return true;
}

static void map_or_panic(uint64_t *top, uint64_t address, uint64_t physical, uint64_t bytes,
                         uint64_t rights)
{
    if (!map(top, address, physical, bytes, rights)) {
        panic("the memory for boot's page tables is used up");
    }
}

static uint64_t tables_for(uint64_t bytes, uint64_t bytes_per_table)
{
    return bytes / bytes_per_table + 2;
}

/* An upper bound: tables of the direct map, of the core, the CPUs' stacks and areas, devices. */
uint64_t paging_pool_pages(const struct boot_info *boot)
{
    uint64_t pages = 16 + MMIO_TABLES;

    for (uint32_t i = 0; i < boot->region_count; i++) {
        pages += 2 + tables_for(boot->regions[i].bytes, 1ull << 30);
    }
    pages += tables_for((uint64_t)(kernel_end - kernel_start), LARGE_BYTES) * 2;
    pages += boot->cpu_count * (CPU_STACK_BYTES / PAGE_SIZE + ENTRY_AREA_PAGES);
    return pages;
}

/* A piece of a region; what lies in [kernel_start, kernel_rodata_end) can only be read. */
static void map_direct(uint64_t base, uint64_t end)
{
    uint64_t first = arch_kernel_paddr(kernel_start).value;
    uint64_t last = arch_kernel_paddr(kernel_rodata_end).value;
    uint64_t cuts[] = {base, base < first && first < end ? first : base,
                       base < last && last < end ? last : end, end};

    for (uint32_t i = 0; i < 3; i++) {
        bool constant = cuts[i] >= first && cuts[i] < last;

        map_or_panic(kernel_top, DIRECT_BASE + cuts[i], cuts[i], cuts[i + 1] - cuts[i],
                     constant ? RIGHTS_R : RIGHTS_RW);
    }
}

static void map_kernel(uint64_t *top, const char *start, const char *end, uint64_t rights)
{
    map_or_panic(top, (uint64_t)start, arch_kernel_paddr(start).value, (uint64_t)(end - start),
                 rights);
}

static void map_entry_common(void)
{
    map_or_panic(kernel_top, ENTRY_IDT, arch_kernel_paddr(entry_idt).value, PAGE_SIZE, RIGHTS_R);
    user_top[table_index(ENTRY_BASE, 3)] = kernel_top[table_index(ENTRY_BASE, 3)];
    map_kernel(user_top, entry_text_start, entry_text_end, RIGHTS_RX);
}

void paging_init(const struct boot_info *boot, uint64_t pool, uint64_t pages)
{
    pool_next = pool;
    pool_end = pool + pages * PAGE_SIZE;
    global_bit = features.pge && !machine.pti ? PTE_GLOBAL : 0;
    for (uint32_t i = 0; i < boot->region_count; i++) {
        map_direct(boot->regions[i].base, boot->regions[i].base + boot->regions[i].bytes);
    }
    map_kernel(kernel_top, kernel_start, kernel_text_end, RIGHTS_RX);
    map_kernel(kernel_top, kernel_text_end, kernel_rodata_end, RIGHTS_R);
    map_kernel(kernel_top, kernel_rodata_end, kernel_end, RIGHTS_RW);
    map_entry_common();
    /* Later device mappings must not change a top-level entry: guests' roots are copies. */
    if (!table_below(&kernel_top[table_index(KMAP_BASE, 3)])) {
        panic("the memory for boot's page tables is used up");
    }
    if (!machine.pti) {
        memcpy(user_top, kernel_top, sizeof(user_top));
    }
    cr3_write(paging_kernel_cr3());
}

uint64_t paging_kernel_cr3(void)
{
    return arch_kernel_paddr(kernel_top).value;
}

/* Address space in the KMAP window, with an unmapped page before it. */
static uint64_t kmap_take(uint64_t bytes)
{
    uint64_t address = kmap_next + PAGE_SIZE;

    kmap_next = address + bytes;
    return address;
}

static void map_fresh(uint64_t address, uint64_t bytes)
{
    uint64_t physical = pool_take(bytes / PAGE_SIZE);

    if (!physical) {
        panic("the memory for the CPUs' stacks is used up");
    }
    map_or_panic(kernel_top, address, physical, bytes, RIGHTS_RW);
}

uint64_t paging_cpu_map(uint32_t index)
{
    uint64_t area = (uint64_t)entry_area(index);
    uint64_t stack = kmap_take(CPU_STACK_BYTES);

    map_fresh(area, PAGE_SIZE);
    map_fresh(area + ENTRY_STACK_PAGE * PAGE_SIZE, PAGE_SIZE);
    for (uint32_t ist = 0; ist < IST_COUNT; ist++) {
        map_fresh(area + ENTRY_IST_PAGE(ist) * PAGE_SIZE, 2 * PAGE_SIZE);
    }
    map_fresh(stack, CPU_STACK_BYTES);
    return stack + CPU_STACK_BYTES;
}

void *arch_mmio_map(paddr_t base, uint64_t bytes)
{
    uint64_t first = page_align_down(base.value), address;
    bool mapped;

    if (bytes == 0 || bytes > SLOT_BYTES / 2 || base.value > PTE_ADDRESS - bytes) {
        return NULL;
    }
    bytes = page_align_up(base.value + bytes) - first;
    spin_lock(&kmap_lock);
    address = kmap_take(bytes);
    if ((first & (LARGE_BYTES - 1)) == 0 && bytes >= LARGE_BYTES) {
        address = (address + LARGE_BYTES - 1) & ~(LARGE_BYTES - 1);
        kmap_next = address + bytes;
    }
    mapped =
        kmap_next < KMAP_BASE + SLOT_BYTES && map(kernel_top, address, first, bytes, RIGHTS_DEVICE);
    spin_unlock(&kmap_lock);
    return mapped ? (void *)(address + (base.value - first)) : NULL;
}

void arch_root_init(struct arch_root *root, const pfn_t pfns[])
{
    uint64_t *table;

    root->top = pfn_to_paddr(pfns[0]);
    table = arch_direct(root->top);
    for (uint32_t i = TABLE_ENTRIES / 2; i < TABLE_ENTRIES; i++) {
        if (user_top[i]) {
            table[i] = user_top[i];
        }
    }
}

void arch_root_set(struct arch_root *root, uint32_t index, uint64_t entry)
{
    uint64_t *table = arch_direct(root->top);

    table[index] = entry;
}

/* With isolation and without PCID, each way into ring 0 drops all translations of ring 3. */
void arch_tlb_flush_page(gva_t address)
{
    if (!machine.pti) {
        tlb_invalidate(address.value);
    }
}

void arch_tlb_flush_all(void)
{
    if (!machine.pti) {
        cr3_write(cr3_read());
    }
}
