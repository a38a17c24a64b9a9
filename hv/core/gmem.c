/*
 * gmem.c - access to a guest's memory by its addresses.
 */
#include "core/gmem.h"

#include "core/aspace.h"
#include "core/frame.h"
#include "core/string.h"

#define PRESENT_AT_ONCE 16u

bool gmem_range_valid(gva_t address, uint64_t bytes)
{
    return address.value >= SKEP_GUEST_VA_MIN && address.value < SKEP_GUEST_VA_MAX &&
           bytes <= SKEP_GUEST_VA_MAX - address.value;
}

/* The frame behind an address. Holds guest.lock, until whose release it stays. */
static int frame_behind(struct guest *guest, gva_t address, bool write, pfn_t *pfn)
{
    if (!guest->aspace.ranges.at) {
        return -SKEP_EFAULT;
    }
    uint32_t access = write ? SKEP_FAULT_WRITE : 0;
    switch (aspace_supply(guest, page_align_down(address.value), access, pfn)) {
    case SUPPLY_OK:
        return 0;
    case SUPPLY_OUT_OF_MEMORY:
        return -SKEP_ENOMEM;
    default:
        return -SKEP_EFAULT;
    }
}

static void *bytes_at(pfn_t pfn, gva_t address)
{
    return arch_direct(paddr(pfn_to_paddr(pfn).value + (address.value & PAGE_MASK)));
}

/* One step of a copy, within a page: so little that the lock is held over it. */
static int copy_part(struct guest *guest, gva_t address, void *ours, size_t bytes, bool out)
{
    pfn_t pfn;
    spin_lock(&guest->lock);
    int error = frame_behind(guest, address, out, &pfn);
    if (!error && out) {
        memcpy(bytes_at(pfn, address), ours, bytes);
    } else if (!error) {
        memcpy(ours, bytes_at(pfn, address), bytes);
    }
    spin_unlock(&guest->lock);
    return error;
}

static int copy(struct guest *guest, gva_t address, void *ours, size_t bytes, bool out)
{
    if (!gmem_range_valid(address, bytes)) {
        return -SKEP_EFAULT;
    }
    char *at = ours;
    int error = 0;
    while (bytes && !error) {
        size_t part = PAGE_SIZE - (address.value & PAGE_MASK);
        part = part < bytes ? part : bytes;
        error = copy_part(guest, address, at, part, out);
        address.value += part;
        at += part;
        bytes -= part;
    }
    return error;
}

int gmem_copy_in(struct guest *guest, void *to, gva_t from, size_t bytes)
{
    return copy(guest, from, to, bytes, false);
}

int gmem_copy_out(struct guest *guest, gva_t to, const void *from, size_t bytes)
{
    return copy(guest, to, (void *)(uintptr_t)from, bytes, true);
}

/* Holds guest.lock. */
static int pin_locked(struct guest *guest, gva_t address, bool write, paddr_t *physical)
{
    pfn_t pfn;
    if (!gmem_range_valid(address, 1)) {
        return -SKEP_EFAULT;
    }
    int error = frame_behind(guest, address, write, &pfn);
    error = error ? error : frame_pin(pfn);
    if (!error) {
        *physical = paddr(pfn_to_paddr(pfn).value + (address.value & PAGE_MASK));
    }
    return error;
}

int gmem_pin(struct guest *guest, gva_t address, bool write, paddr_t *physical)
{
    spin_lock(&guest->lock);
    int error = pin_locked(guest, address, write, physical);
    spin_unlock(&guest->lock);
    return error;
}

static gva_t page_after(gva_t address, uint32_t pages)
{
    return pages ? gva(page_align_down(address.value) + pages * PAGE_SIZE) : address;
}

/* Pins pages that are there, some at a time: how many. Holds guest.lock. */
static uint32_t pin_some(struct guest *guest, gva_t address, bool write, uint32_t count,
                         paddr_t physical[])
{
    pfn_t pfns[PRESENT_AT_ONCE];
    uint32_t access = write ? SKEP_FAULT_WRITE : 0;
    uint32_t done = 0;
    if (!guest->aspace.ranges.at || !gmem_range_valid(address, 1)) {
        return 0;
    }
    count = count < PRESENT_AT_ONCE ? count : PRESENT_AT_ONCE;
    count = aspace_present(guest, address.value, access, count, pfns);
    while (done < count && frame_pin(pfns[done]) == 0) {
        uint64_t within = done ? 0 : address.value & PAGE_MASK;
        physical[done] = paddr(pfn_to_paddr(pfns[done]).value + within);
        done++;
    }
    return done;
}

/* All that are there. Holds guest.lock. */
static uint32_t pin_present(struct guest *guest, gva_t address, bool write, uint32_t count,
                            paddr_t physical[])
{
    uint32_t done = 0;
    uint32_t some = 1;
    while (done < count && some) {
        some = pin_some(guest, page_after(address, done), write, count - done, &physical[done]);
        done += some;
    }
    return done;
}

int gmem_pin_pages(struct guest *guest, gva_t address, bool write, uint32_t count,
                   paddr_t physical[])
{
    int error = 0;
    spin_lock(&guest->lock);
    uint64_t charged = guest->charged_frames;
    uint32_t done = pin_present(guest, address, write, count, physical);
    while (done < count && !error && guest->charged_frames == charged) {
        error = pin_locked(guest, page_after(address, done), write, &physical[done]);
        done += !error;
    }
    spin_unlock(&guest->lock);
    return done > 0 ? (int)done : error;
}

uint32_t gmem_pin_present(struct guest *guest, gva_t address, bool write, uint32_t count,
                          paddr_t physical[])
{
    spin_lock(&guest->lock);
    uint32_t done = pin_present(guest, address, write, count, physical);
    spin_unlock(&guest->lock);
    return done;
}

void gmem_unpin(paddr_t physical)
{
    frame_unpin(paddr_to_pfn(physical));
}

void gmem_unpin_run(paddr_t physical, uint32_t bytes)
{
    pfn_t last = paddr_to_pfn(paddr(physical.value + bytes - 1));
    for (pfn_t pfn = paddr_to_pfn(physical); pfn <= last; pfn++) {
        frame_unpin(pfn);
    }
}
