/*
 * memory.c - mappings, and the heap that malloc() lives on.
 *
 * Of the range of addresses that start-info reserves, ring 0 places mappings from the bottom up. The
 * heap has the upper half: [base, base + mapped_bytes) is mapped, used_bytes are handed out.
 */
#include "internal.h"

/* A hypercall a page would be too many; more would promise away memory that nobody uses. */
#define HEAP_STEP 65536ull

/* A page table's reach: heap and mappings don't need the same tables. */
#define HEAP_ALIGNMENT (2ull << 20)

static struct {
    struct skep_mutex lock;
    uint64_t used_bytes, mapped_bytes;
} heap;

static uint64_t heap_base(void)
{
    return skep_info->heap_base + round_up(skep_info->heap_bytes / 2, HEAP_ALIGNMENT);
}

static uint64_t heap_bytes_max(void)
{
    return skep_info->heap_base + skep_info->heap_bytes - heap_base();
}

/* Held while ring 0 chooses an address, so that it isn't one where a mapping is about to be replaced. It spins, as event
 * handlers start threads, whose stacks are mapped. */
static struct skep_spinlock placing;

/* An older hypervisor knows protection only: it promises all that is mapped. Holds placing. */
static int64_t map(uint64_t address, size_t bytes, unsigned how)
{
    if (skep_info->abi_minor < SKEP_RESERVE_ABI_MINOR)
        how &= ~(SKEP_MAP_RESERVE | SKEP_MAP_STACK);
    return skep_hc_mem_map(address, round_up(bytes, SKEP_PAGE_SIZE), how);
}

int64_t skep_mem_map(size_t bytes, unsigned how)
{
    bool were_masked = skep_spin_lock(&placing);
    int64_t result = map(0, bytes, how);
    skep_spin_unlock(&placing, were_masked);
    return result;
}

int64_t skep_mem_map_at(void *address, size_t bytes, unsigned how)
{
    uint64_t start = (uint64_t)address, span = round_up(bytes, SKEP_PAGE_SIZE);
    if (start < skep_info->heap_base || start > heap_base() || span > heap_base() - start)
        return -SKEP_EFAULT;
    bool were_masked = skep_spin_lock(&placing);
    int64_t result = map(start, bytes, how);
    if (result == -SKEP_EEXIST)
        result = skep_mem_unmap_all(address, bytes) == 0 ? map(start, bytes, how) : -SKEP_EFAULT;
    skep_spin_unlock(&placing, were_masked);
    return result;
}

int skep_mem_protect(void *address, size_t bytes, unsigned prot)
{
    return (int)skep_hc_mem_protect((uint64_t)address, round_up(bytes, SKEP_PAGE_SIZE), prot);
}

int skep_mem_unmap(void *address, size_t bytes)
{
    return (int)skep_hc_mem_unmap((uint64_t)address, round_up(bytes, SKEP_PAGE_SIZE));
}

static bool unmaps_all(void)
{
    return skep_info->abi_minor >= SKEP_UNMAP_ABI_MINOR;
}

/* An older hypervisor wants a call for each page, as it doesn't tell where the gaps are. */
int skep_mem_unmap_all(void *address, size_t bytes)
{
    bytes = round_up(bytes, SKEP_PAGE_SIZE);
    if (unmaps_all())
        return (int)skep_hc_mem_unmap((uint64_t)address, bytes | SKEP_UNMAP_GAPS);
    int result = skep_mem_unmap(address, bytes);
    if (result != -SKEP_EFAULT)
        return result;
    for (size_t at = 0; at < bytes; at += SKEP_PAGE_SIZE) {
        result = skep_mem_unmap((char *)address + at, SKEP_PAGE_SIZE);
        if (result < 0 && result != -SKEP_EFAULT)
            return result;
    }
    return 0;
}

int skep_mem_drop(void *address, size_t bytes)
{
    if (!unmaps_all())
        return -SKEP_ENOSYS;
    bytes = round_up(bytes, SKEP_PAGE_SIZE) | SKEP_UNMAP_KEEP;
    int64_t result = skep_hc_mem_unmap((uint64_t)address, bytes);
    if (result == -SKEP_EFAULT) {
        int64_t rest = skep_hc_mem_unmap((uint64_t)address, bytes | SKEP_UNMAP_GAPS);
        result = rest == 0 ? result : rest;
    }
    return (int)result;
}

static int64_t map_until(uint64_t end_bytes)
{
    if (end_bytes > heap_bytes_max())
        return -SKEP_ENOMEM;
    int64_t result = skep_hc_mem_map(heap_base() + heap.mapped_bytes, end_bytes - heap.mapped_bytes,
                                     SKEP_PROT_READ | SKEP_PROT_WRITE);
    if (result >= 0)
        heap.mapped_bytes = end_bytes;
    return result;
}

/* A whole step if there is memory for it, else as little as will do. */
static int grow(uint64_t used_bytes)
{
    if (used_bytes <= heap.mapped_bytes)
        return 0;
    if (map_until(round_up(used_bytes, HEAP_STEP)) >= 0)
        return 0;
    return map_until(round_up(used_bytes, SKEP_PAGE_SIZE)) >= 0 ? 0 : -SKEP_ENOMEM;
}

/* Keeps a step, so that a program that goes to and fro doesn't pay each time. What is unmapped and
 * mapped again is zeroed, but malloc() does not count on it. */
static void shrink(uint64_t used_bytes)
{
    uint64_t keep = round_up(used_bytes, HEAP_STEP) + HEAP_STEP;
    if (keep >= heap.mapped_bytes)
        return;
    if (skep_hc_mem_unmap(heap_base() + keep, heap.mapped_bytes - keep) >= 0)
        heap.mapped_bytes = keep;
}

int skep_heap_grow(ptrdiff_t increment, void **old_end)
{
    int result = 0;
    skep_mutex_lock(&heap.lock);
    uint64_t used_bytes = heap.used_bytes + (uint64_t)increment;
    if (increment < 0 && (uint64_t)-increment > heap.used_bytes)
        result = -SKEP_EINVAL;
    else if (increment > 0)
        result = grow(used_bytes);
    else
        shrink(used_bytes);
    if (result == 0) {
        *old_end = (void *)(heap_base() + heap.used_bytes);
        heap.used_bytes = used_bytes;
        atomic_store_explicit(skep_stat("heap_bytes"), used_bytes, memory_order_relaxed);
    }
    skep_mutex_unlock(&heap.lock);
    return result;
}
