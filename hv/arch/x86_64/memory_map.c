/*
 * memory_map.c - which RAM there is to use, from the loader's memory map.
 */
#include "arch/arch.h"
#include "firmware.h"

static bool region_insert(struct boot_info *boot, uint32_t index, struct boot_region region)
{
    if (boot->region_count == BOOT_REGIONS_MAX) {
        return false;
    }
    for (uint32_t i = boot->region_count; i > index; i--) {
        boot->regions[i] = boot->regions[i - 1];
    }
    boot->regions[index] = region;
    boot->region_count++;
    return true;
}

static void region_remove(struct boot_info *boot, uint32_t index)
{
    boot->region_count--;
    for (uint32_t i = index; i < boot->region_count; i++) {
        boot->regions[i] = boot->regions[i + 1];
    }
}

static uint64_t region_end(const struct boot_region *region)
{
    return region->base + region->bytes;
}

/* Takes [base, end) out of all regions. */
static bool range_exclude(struct boot_info *boot, uint64_t base, uint64_t end)
{
    for (uint32_t i = 0; i < boot->region_count;) {
        struct boot_region *region = &boot->regions[i];
        struct boot_region rest = *region;

        if (region_end(region) <= base || region->base >= end) {
            i++;
            continue;
        }
        region->bytes = base > region->base ? base - region->base : 0;
        if (region_end(&rest) > end) {
            rest.bytes = region_end(&rest) - end;
            rest.base = end;
            if (!region_insert(boot, i + 1, rest)) {
                return false;
            }
        }
        if (boot->regions[i].bytes == 0) {
            region_remove(boot, i);
        } else {
            i++;
        }
    }
    return true;
}

static bool range_include(struct boot_info *boot, uint64_t base, uint64_t end)
{
    struct boot_region region = {base, end - base, BOOT_REGION_FREE};
    uint32_t index = 0;

    /* What was there before gives way, so that overlapping entries count once. */
    if (!range_exclude(boot, base, end)) {
        return false;
    }
    while (index < boot->region_count && boot->regions[index].base < base) {
        index++;
    }
    return region_insert(boot, index, region);
}

/*
 * The first 64 KiB stay as they were. QEMU's PVH loader has its variables there, and counts on memory that reads as zeroes:
 * what it doesn't set (the number of modules, if there are none) would be a guest's data at the boot after a warm reset.
 */
#define LOADER_BYTES 0x10000u

bool memory_map_build(const struct loader_info *loader, struct boot_info *boot)
{
    bool good = true;

    boot->region_count = 0;
    for (uint32_t i = 0; i < loader->range_count && good; i++) {
        const struct memory_range *range = &loader->ranges[i];
        uint64_t base = range->base > LOADER_BYTES ? range->base : LOADER_BYTES;
        uint64_t end = range->base + range->bytes;

        if (!range->ram || base > UINT64_MAX - PAGE_SIZE) {
            continue;
        }
        base = page_align_up(base);
        end = page_align_down(end);
        good = base >= end || range_include(boot, base, end);
    }
    for (uint32_t i = 0; i < loader->range_count && good; i++) {
        const struct memory_range *range = &loader->ranges[i];
        uint64_t end = range->base + range->bytes;

        if (!range->ram) {
            end = end > UINT64_MAX - PAGE_MASK ? UINT64_MAX & ~PAGE_MASK : page_align_up(end);
            good = range_exclude(boot, page_align_down(range->base), end);
        }
    }
    return good;
}

bool memory_map_reserve(struct boot_info *boot, uint64_t base, uint64_t bytes)
{
    struct boot_region region = {base, bytes, BOOT_REGION_CORE};

    for (uint32_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *old = &boot->regions[i];

        if (bytes && old->kind == BOOT_REGION_FREE && base >= old->base && base < region_end(old) &&
            bytes <= region_end(old) - base) {
            if (!range_exclude(boot, base, base + bytes)) {
                return false;
            }
            while (i < boot->region_count && boot->regions[i].base < base) {
                i++;
            }
            return region_insert(boot, i, region);
        }
    }
    return false;
}

uint64_t memory_map_find(const struct boot_info *boot, uint64_t bytes, uint64_t low, uint64_t high)
{
    for (uint32_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        uint64_t base = region->base > low ? region->base : low;
        uint64_t end = region_end(region) < high ? region_end(region) : high;

        if (region->kind == BOOT_REGION_FREE && base < end && bytes <= end - base) {
            return base;
        }
    }
    return 0;
}
