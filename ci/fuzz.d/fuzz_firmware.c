/*
 * fuzz_firmware.c - what the boot loader and the firmware left in memory: PVH start info, ACPI tables, memory map.
 *
 * The first byte says how the rest becomes memory: as it is, or as ACPI tables whose lengths, checksums and links are
 * made good, so that what is in them is looked at, too.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/firmware.h"
#include "harness.h"

#define MEMORY_MAX   8192u
#define HEADER_BYTES 36u
#define TABLES_MAX   6u
#define TABLE_BYTES  700u

#define AS_IT_IS 0x80u

void fuzz_start(void)
{
}

/* ---- memory ---- */

static struct memory_view view_of(struct input *input, uint64_t base, uint8_t **memory)
{
    size_t bytes = (size_t)(input->end - input->at);
    bytes = bytes < MEMORY_MAX ? bytes : MEMORY_MAX;
    *memory = malloc(bytes ? bytes : 1);
    FUZZ_CHECK(*memory);
    input_take(input, *memory, bytes);
    return (struct memory_view){*memory, base, bytes};
}

static void put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    memcpy(at, &value, bytes);
}

static void checksum_set(uint8_t *bytes, uint32_t count, uint32_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    bytes[at] = (uint8_t)-sum;
}

/* RSDP, XSDT and tables with the input's contents, from `base` on. */
static struct memory_view tables_of(struct input *input, uint64_t base, uint8_t **memory)
{
    static const char signatures[8][5] = {"APIC", "HPET", "FACP", "DSDT",
                                          "APIC", "FACP", "XSDT", "MCFG"};
    uint8_t *bytes = calloc(1, MEMORY_MAX);
    FUZZ_CHECK(bytes);
    uint32_t at = 64 + HEADER_BYTES + 8 * TABLES_MAX, count = 0;
    uint64_t dsdt = 0;
    while (count < TABLES_MAX && input_left(input)) {
        uint8_t *table = bytes + at;
        uint8_t kind = input_byte(input);
        uint32_t length = HEADER_BYTES + (input_byte(input) | (kind >> 6) << 8u) % TABLE_BYTES;
        input_take(input, table + HEADER_BYTES, length - HEADER_BYTES);
        memcpy(table, signatures[kind & 7], 4);
        put(table + 4, length, 4);
        if ((kind & 7) == 3) {
            dsdt = base + at;
        } else if (memcmp(table, "FACP", 4) == 0 && length >= 148 && (kind & 8)) {
            put(table + 140, dsdt, 8);
        }
        checksum_set(table, length, 9);
        put(bytes + 64 + HEADER_BYTES + 8 * count++, base + at, 8);
        at += length + 3; /* nothing is aligned */
    }
    static const char pointer[] = "RSD PTR ";
    memcpy(bytes, pointer, sizeof(pointer) - 1);
    bytes[15] = 2;
    put(bytes + 20, 36, 4);
    put(bytes + 24, base + 64, 8);
    checksum_set(bytes, 20, 8);
    checksum_set(bytes, 36, 32);
    memcpy(bytes + 64, signatures[6], 4);
    put(bytes + 68, HEADER_BYTES + 8 * count, 4);
    checksum_set(bytes + 64, HEADER_BYTES + 8 * count, 9);
    *memory = realloc(bytes, at);
    return (struct memory_view){*memory, base, at};
}

/* ---- what must hold ---- */

static void regions_check(const struct boot_info *boot)
{
    uint64_t end = PAGE_SIZE; /* never the first page */
    FUZZ_CHECK(boot->region_count <= BOOT_REGIONS_MAX);
    for (uint32_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        FUZZ_CHECK(((region->base | region->bytes) & PAGE_MASK) == 0 && region->bytes);
        FUZZ_CHECK(region->base >= end);
        end = region->base + region->bytes;
        FUZZ_CHECK(end > region->base);
    }
}

/* No free region has a byte of a range that isn't RAM, or that no range has. */
static void ranges_check(const struct loader_info *loader, const struct boot_info *boot)
{
    for (uint32_t i = 0; i < boot->region_count; i++) {
        uint64_t first = boot->regions[i].base, last = first + boot->regions[i].bytes - 1;
        bool first_in = false, last_in = false;
        for (uint32_t j = 0; j < loader->range_count; j++) {
            const struct memory_range *range = &loader->ranges[j];
            uint64_t range_last = range->base + range->bytes - 1;
            first_in |= range->ram && first >= range->base && first <= range_last;
            last_in |= range->ram && last >= range->base && last <= range_last;
            FUZZ_CHECK(range->ram || last < range->base || first > range_last);
        }
        FUZZ_CHECK(first_in && last_in);
    }
}

static uint64_t regions_way(const struct boot_info *boot)
{
    uint64_t way = boot->region_count;
    for (uint32_t i = 0; i < boot->region_count; i++) {
        way = way_add(way_add(way, boot->regions[i].base), boot->regions[i].bytes);
    }
    return way;
}

static uint64_t memory_map(const struct loader_info *loader, uint64_t base, uint64_t bytes)
{
    static struct boot_info boot;
    memset(&boot, 0, sizeof(boot));
    if (!memory_map_build(loader, &boot)) {
        return 1;
    }
    regions_check(&boot);
    ranges_check(loader, &boot);
    uint64_t found = memory_map_find(&boot, bytes, base, UINT64_MAX);
    if (found && memory_map_reserve(&boot, found, bytes)) {
        regions_check(&boot);
        FUZZ_CHECK(!memory_map_reserve(&boot, found, bytes));
    }
    memory_map_reserve(&boot, base & ~PAGE_MASK, PAGE_SIZE);
    regions_check(&boot);
    return way_add(regions_way(&boot), found);
}

static uint64_t loader_run(const struct memory_view *view, uint64_t address)
{
    static struct loader_info loader;
    char value[16];
    const char *problem = pvh_parse(view, address, &loader);
    if (problem) {
        return (uint64_t)strlen(problem);
    }
    FUZZ_CHECK(loader.range_count <= FIRMWARE_RANGES_MAX);
    FUZZ_CHECK(memchr(loader.cmdline, 0, sizeof(loader.cmdline)));
    FUZZ_CHECK(!loader.module_bytes || view_at(view, loader.module_base, loader.module_bytes));
    bool found = cmdline_option(loader.cmdline, "pti", value, sizeof(value));
    FUZZ_CHECK(!found || strlen(value) < sizeof(value));
    return way_add(memory_map(&loader, view->base, page_align_up(view->length)), found);
}

static uint64_t acpi_run(const struct memory_view *view, uint64_t rsdp)
{
    struct acpi_info info;
    bool good = acpi_parse(view, rsdp, &info);
    FUZZ_CHECK(info.cpu_count <= ACPI_CPUS_MAX && info.ioapic_count <= ACPI_IOAPICS_MAX);
    FUZZ_CHECK(info.sleep_a < 8 && info.sleep_b < 8);
    return way_add(way_add(good, info.cpu_count), info.lapic ^ info.hpet ^ info.pm_timer);
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    uint8_t how = input_byte(&input);
    uint64_t base = how & 2 ? 0xe0000 : how & 4 ? 0 : 0x7fe00000;
    uint8_t *memory;
    struct memory_view view =
        how & AS_IT_IS ? view_of(&input, base, &memory) : tables_of(&input, base, &memory);
    uint64_t way = how & 1 ? loader_run(&view, base) : acpi_run(&view, how & 2 ? 0 : base);
    free(memory);
    return way;
}
