/*
 * acpi.c - the few facts that ring 0 takes from the ACPI tables (ACPI specification 6.5, chapter 5).
 *
 * MADT: CPUs and interrupt controllers. HPET and FADT: reference clocks, power-off and reset. Nothing
 * interprets AML: the sleep type of S5 is found by its name in the DSDT, as a constant package.
 */
#include "firmware.h"

#define HEADER_BYTES 36u
#define TABLE_MAX    (1u << 20)
#define ENTRIES_MAX  256u

/* A table whose length and checksum are right. */
struct table {
    const uint8_t *bytes;
    uint32_t length;
};

static uint64_t get(const uint8_t *bytes, uint32_t count)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

/* A field of a table; 0 beyond its end, as in older, shorter revisions. */
static uint64_t field(const struct table *table, uint32_t offset, uint32_t bytes)
{
    if (offset > table->length || bytes > table->length - offset) {
        return 0;
    }
    return get(table->bytes + offset, bytes);
}

static bool checksum_good(const uint8_t *bytes, uint32_t length)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum == 0;
}

static bool signature_is(const uint8_t *bytes, const char *signature)
{
    for (uint32_t i = 0; signature[i] != '\0'; i++) {
        if (bytes[i] != (uint8_t)signature[i]) {
            return false;
        }
    }
    return true;
}

static bool table_open(const struct memory_view *view, uint64_t address, struct table *table)
{
    const uint8_t *header = address ? view_at(view, address, HEADER_BYTES) : NULL;
    uint32_t length = header ? (uint32_t)get(header + 4, 4) : 0;

    if (length < HEADER_BYTES || length > TABLE_MAX || !view_at(view, address, length)) {
        return false;
    }
    table->bytes = header;
    table->length = length;
    return checksum_good(header, length);
}

static void madt_entry(const uint8_t *entry, uint32_t length, struct acpi_info *info)
{
    uint32_t id = 0, flags = 0;

    switch (entry[0]) {
    case 0: /* processor local APIC */
        if (length >= 8) {
            id = entry[3];
            flags = (uint32_t)get(entry + 4, 4);
        }
        break;
    case 1: /* I/O APIC */
        if (length >= 12 && info->ioapic_count < ACPI_IOAPICS_MAX) {
            info->ioapics[info->ioapic_count++] = get(entry + 4, 4);
        }
        break;
    case 5: /* address override */
        if (length >= 12) {
            info->lapic = get(entry + 4, 8);
        }
        break;
    case 9: /* processor local x2APIC */
        if (length >= 16) {
            id = (uint32_t)get(entry + 4, 4);
            flags = (uint32_t)get(entry + 8, 4);
        }
        break;
    default:
        break;
    }
    if ((flags & 1) && info->cpu_count < ACPI_CPUS_MAX) {
        info->cpu_lapic_ids[info->cpu_count++] = id;
    }
}

static void madt_parse(const struct table *madt, struct acpi_info *info)
{
    uint32_t offset = HEADER_BYTES + 8;

    info->lapic = field(madt, HEADER_BYTES, 4);
    while (offset + 2 <= madt->length) {
        const uint8_t *entry = madt->bytes + offset;
        uint32_t length = entry[1];

        if (length < 2 || length > madt->length - offset) {
            return;
        }
        madt_entry(entry, length, info);
        offset += length;
    }
}

static void hpet_parse(const struct table *hpet, struct acpi_info *info)
{
    if (field(hpet, 40, 1) == 0) { /* in memory, not in I/O space */
        info->hpet = field(hpet, 44, 8);
    }
}

/* One element of a package of small integers: a byte constant, Zero or One (ACPI 20.2.3). */
static uint8_t aml_byte(const uint8_t *code, uint32_t length, uint32_t *at)
{
    if (*at + 1 < length && code[*at] == 0x0a) {
        *at += 2;
        return code[*at - 1];
    }
    return *at < length && code[(*at)++] == 1 ? 1 : 0;
}

/* Name(_S5, Package(…) {a, b, …}): NameOp "_S5_" PackageOp PkgLength NumElements elements. */
static void s5_parse(const struct table *dsdt, struct acpi_info *info)
{
    const uint8_t *code = dsdt->bytes;

    for (uint32_t i = HEADER_BYTES + 1; i + 8 < dsdt->length; i++) {
        if (code[i - 1] != 0x08 || !signature_is(code + i, "_S5_") || code[i + 4] != 0x12) {
            continue;
        }
        uint32_t at = i + 5 + 1 + (code[i + 5] >> 6) + 1;

        info->sleep_a = aml_byte(code, dsdt->length, &at) & 7;
        info->sleep_b = aml_byte(code, dsdt->length, &at) & 7;
        return;
    }
}

/* Offsets: ACPI 5.2.9. */
static void fadt_parse(const struct memory_view *view, const struct table *fadt,
                       struct acpi_info *info)
{
    uint32_t flags = (uint32_t)field(fadt, 112, 4);
    uint64_t dsdt_address = field(fadt, 140, 8);
    struct table dsdt;

    info->pm1a_control = (uint16_t)field(fadt, 64, 4);
    info->pm1b_control = (uint16_t)field(fadt, 68, 4);
    info->pm_timer = field(fadt, 91, 1) == 4 ? (uint16_t)field(fadt, 76, 4) : 0;
    info->pm_timer_32bit = flags >> 8 & 1;
    info->reset_supported = flags >> 10 & 1;
    info->reset_port = field(fadt, 116, 1) == 1 ? (uint16_t)field(fadt, 120, 8) : 0;
    info->reset_value = (uint8_t)field(fadt, 128, 1);
    if (table_open(view, dsdt_address ? dsdt_address : field(fadt, 40, 4), &dsdt)) {
        s5_parse(&dsdt, info);
    }
}

static void table_parse(const struct memory_view *view, uint64_t address, struct acpi_info *info)
{
    struct table table;

    if (!table_open(view, address, &table)) {
        return;
    }
    if (signature_is(table.bytes, "APIC")) {
        madt_parse(&table, info);
    } else if (signature_is(table.bytes, "HPET")) {
        hpet_parse(&table, info);
    } else if (signature_is(table.bytes, "FACP")) {
        fadt_parse(view, &table, info);
    }
}

/* Finds the root table: the XSDT (8-byte entries) where there is one, else the RSDT. */
static bool root_open(const struct memory_view *view, uint64_t rsdp, struct table *root,
                      uint32_t *entry_bytes)
{
    const uint8_t *pointer = rsdp ? view_at(view, rsdp, 20) : NULL;

    if (!pointer || !signature_is(pointer, "RSD PTR ") || !checksum_good(pointer, 20)) {
        return false;
    }
    if (pointer[15] >= 2 && view_at(view, rsdp, 36) && checksum_good(pointer, 36) &&
        table_open(view, get(pointer + 24, 8), root) && signature_is(root->bytes, "XSDT")) {
        *entry_bytes = 8;
        return true;
    }
    *entry_bytes = 4;
    return table_open(view, get(pointer + 16, 4), root) && signature_is(root->bytes, "RSDT");
}

/* Where PC firmware leaves the RSDP, when the loader doesn't say: ACPI 5.2.5.1. */
static uint64_t rsdp_search(const struct memory_view *view)
{
    for (uint64_t address = 0xe0000; address < 0x100000; address += 16) {
        const uint8_t *bytes = view_at(view, address, 20);

        if (bytes && signature_is(bytes, "RSD PTR ") && checksum_good(bytes, 20)) {
            return address;
        }
    }
    return 0;
}

bool acpi_parse(const struct memory_view *view, uint64_t rsdp, struct acpi_info *info)
{
    struct table root;
    uint32_t entry_bytes;

    __builtin_memset(info, 0, sizeof(*info));
    if (!root_open(view, rsdp ? rsdp : rsdp_search(view), &root, &entry_bytes)) {
        return false;
    }
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        uint32_t offset = HEADER_BYTES + i * entry_bytes;

        if (offset + entry_bytes > root.length) {
            break;
        }
        table_parse(view, get(root.bytes + offset, entry_bytes), info);
    }
    return true;
}
