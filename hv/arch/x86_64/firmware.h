/*
 * firmware.h - what the boot loader and the firmware say about the machine, read with bounds checks.
 *
 * Everything here is a function of bytes in memory and nothing else, so that it also compiles and is
 * fuzzed on the host. This is all that ring 0 parses from outside, beside PCI capabilities.
 */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Physical memory from `base` on, as far as it may be looked at. */
struct memory_view {
    const uint8_t *bytes;
    uint64_t base, length;
};

/* The bytes at a physical address; NULL when they aren't all in view. */
const void *view_at(const struct memory_view *view, uint64_t address, uint64_t bytes);

/* ---- pvh.c ---- */

#define FIRMWARE_RANGES_MAX  128
#define FIRMWARE_CMDLINE_MAX 4096

struct memory_range {
    uint64_t base, bytes;
    bool ram; /* free to use; false: anything else, which RAM may overlap by mistake */
};

struct loader_info {
    struct memory_range ranges[FIRMWARE_RANGES_MAX];
    uint32_t range_count;
    char cmdline[FIRMWARE_CMDLINE_MAX];
    uint64_t module_base, module_bytes; /* 0 bytes = no module */
    uint64_t rsdp;                      /* 0 = unknown */
};

/* Reads struct hvm_start_info. NULL, or a sentence that says what is wrong with it. */
const char *pvh_parse(const struct memory_view *view, uint64_t address, struct loader_info *info);

/* The value of a `name=value` word of the command line, cut to capacity - 1, always NUL-terminated.
 * False when there is none; the last one counts. */
bool cmdline_option(const char *cmdline, const char *name, char *value, size_t capacity);

/* ---- acpi.c ---- */

#define ACPI_CPUS_MAX    32
#define ACPI_IOAPICS_MAX 8

struct acpi_info {
    uint32_t cpu_lapic_ids[ACPI_CPUS_MAX]; /* enabled CPUs in the table's order */
    uint32_t cpu_count;
    uint64_t lapic; /* physical address */
    uint64_t ioapics[ACPI_IOAPICS_MAX];
    uint32_t ioapic_count;
    uint64_t hpet;     /* physical address, 0 = none */
    uint16_t pm_timer; /* port, 0 = none */
    bool pm_timer_32bit;
    uint16_t pm1a_control, pm1b_control; /* ports, 0 = none */
    uint8_t sleep_a, sleep_b;            /* SLP_TYP values of S5 */
    bool reset_supported;
    uint16_t reset_port; /* 0 = not an I/O port */
    uint8_t reset_value;
};

/* Reads the tables from the RSDP on. What is missing or damaged is left out; false when there is no
 * valid root table at all. */
bool acpi_parse(const struct memory_view *view, uint64_t rsdp, struct acpi_info *info);

/* ---- memory_map.c ---- */

struct boot_info;

/* Adds the usable RAM of the loader's map to boot->regions: whole pages, ascending, none twice, and
 * never the first 64 KiB. False when there are too many pieces. */
bool memory_map_build(const struct loader_info *loader, struct boot_info *boot);

/* Marks a page-aligned range as the core's. False when it isn't all free RAM, or there are too many
 * pieces. */
bool memory_map_reserve(struct boot_info *boot, uint64_t base, uint64_t bytes);

/* Finds free RAM in [low, high), page-aligned, the lowest there is. 0 = none. */
uint64_t memory_map_find(const struct boot_info *boot, uint64_t bytes, uint64_t low, uint64_t high);

#endif
