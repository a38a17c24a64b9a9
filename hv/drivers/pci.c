/*
 * pci.c - finding PCI functions, their capabilities, registers and MSI-X (PCI Local Bus 3.0, chapters 6 and 6.8).
 */
#include "drivers/pci.h"

#include "arch/arch.h"
#include "core/log.h"
#include "drivers/mmio.h"

#define PCI_COMMAND             0x04u
#define PCI_COMMAND_MEMORY      0x0002u
#define PCI_COMMAND_MASTER      0x0004u
#define PCI_COMMAND_INTX_OFF    0x0400u
#define PCI_STATUS              0x06u
#define PCI_STATUS_CAPABILITIES 0x0010u
#define PCI_HEADER_TYPE         0x0eu
#define PCI_HEADER_MANY         0x80u /* several functions */
#define PCI_HEADER_BRIDGE       0x01u
#define PCI_BAR_0               0x10u
#define PCI_BARS                6u
#define PCI_SECONDARY_BUS       0x19u
#define PCI_CAPABILITIES        0x34u

#define PCI_BAR_IO    0x1u
#define PCI_BAR_64    0x4u
#define PCI_BAR_FLAGS 0xfu

#define PCI_CONFIG_BYTES     256u
#define PCI_BUSES            256u
#define PCI_CAPABILITIES_MAX 48u /* that fit behind the 64-byte header */

#define MSIX_CONTROL        2u
#define MSIX_CONTROL_ENABLE 0x8000u
#define MSIX_CONTROL_MASK   0x4000u
#define MSIX_CONTROL_SIZE   0x07ffu
#define MSIX_TABLE          4u
#define MSIX_ENTRY_BYTES    16u

/* A capability may begin at the very end of the space: what would lie beyond is not there. */
static bool is_inside(uint32_t offset, uint32_t bytes)
{
    return offset + bytes <= PCI_CONFIG_BYTES;
}

uint32_t pci_read(const struct pci_device *pci, uint32_t offset, uint32_t bytes)
{
    return is_inside(offset, bytes) ? arch_pci_read(pci->address, offset, bytes)
                                    : UINT32_MAX >> (32 - 8 * bytes);
}

void pci_write(const struct pci_device *pci, uint32_t offset, uint32_t bytes, uint32_t value)
{
    if (is_inside(offset, bytes)) {
        arch_pci_write(pci->address, offset, bytes, value);
    }
}

/* Buses still to be looked at, a bit each. A bridge's secondary bus has a higher number than its own. */
struct bus_set {
    uint64_t bits[PCI_BUSES / 64];
};

static void bus_add(struct bus_set *buses, uint32_t bus)
{
    buses->bits[bus / 64] |= 1ull << (bus % 64);
}

static bool bus_has(const struct bus_set *buses, uint32_t bus)
{
    return buses->bits[bus / 64] >> (bus % 64) & 1;
}

/* Reports one function; returns its header type, or 0 when there is none. */
static uint32_t scan_function(uint32_t address, struct bus_set *buses,
                              void (*found)(const struct pci_device *))
{
    uint32_t id = arch_pci_read(address, 0, 4);
    if ((id & 0xffff) == 0xffff) {
        return 0;
    }
    struct pci_device pci = {
        .address = address, .vendor = (uint16_t)id, .device = (uint16_t)(id >> 16)};
    uint32_t header = pci_read(&pci, PCI_HEADER_TYPE, 1);
    if ((header & ~PCI_HEADER_MANY) == PCI_HEADER_BRIDGE) {
        bus_add(buses, pci_read(&pci, PCI_SECONDARY_BUS, 1));
    } else {
        found(&pci);
    }
    return header;
}

void pci_scan(void (*found)(const struct pci_device *))
{
    struct bus_set buses = {{1}};
    for (uint32_t bus = 0; bus < PCI_BUSES; bus++) {
        for (uint32_t device = 0; bus_has(&buses, bus) && device < 32; device++) {
            uint32_t address = bus << 8 | device << 3;
            uint32_t header = scan_function(address, &buses, found);
            for (uint32_t function = 1; (header & PCI_HEADER_MANY) && function < 8; function++) {
                scan_function(address | function, &buses, found);
            }
        }
    }
}

uint32_t pci_capability(const struct pci_device *pci, uint8_t id, uint32_t after)
{
    if (!(pci_read(pci, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)) {
        return 0;
    }
    uint32_t at = pci_read(pci, after ? after + 1 : PCI_CAPABILITIES, 1) & ~3u;
    for (uint32_t step = 0; step < PCI_CAPABILITIES_MAX && at >= 0x40; step++) {
        if (pci_read(pci, at, 1) == id) {
            return at;
        }
        at = pci_read(pci, at + 1, 1) & ~3u;
    }
    return 0;
}

void pci_enable(const struct pci_device *pci)
{
    uint32_t command = pci_read(pci, PCI_COMMAND, 2);
    pci_write(pci, PCI_COMMAND, 2,
              command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
}

void pci_disable(const struct pci_device *pci)
{
    pci_write(pci, PCI_COMMAND, 2, pci_read(pci, PCI_COMMAND, 2) & ~PCI_COMMAND_MASTER);
}

/* The size mask of one BAR register, read by the usual write of all ones; the function must not decode meanwhile. */
static uint32_t bar_mask(const struct pci_device *pci, uint32_t offset)
{
    uint32_t value = pci_read(pci, offset, 4);
    pci_write(pci, offset, 4, UINT32_MAX);
    uint32_t mask = pci_read(pci, offset, 4);
    pci_write(pci, offset, 4, value);
    return mask;
}

static uint64_t bar_bytes(const struct pci_device *pci, uint32_t offset, bool wide)
{
    uint32_t command = pci_read(pci, PCI_COMMAND, 2);
    pci_write(pci, PCI_COMMAND, 2, command & ~PCI_COMMAND_MEMORY);
    uint64_t mask = bar_mask(pci, offset) & ~PCI_BAR_FLAGS;
    mask |= (wide ? (uint64_t)bar_mask(pci, offset + 4) : UINT32_MAX) << 32;
    pci_write(pci, PCI_COMMAND, 2, command);
    return ~mask + 1;
}

static int bar_find(const struct pci_device *pci, uint32_t bar, uint64_t *base, uint64_t *bytes)
{
    if (bar >= PCI_BARS) {
        return -SKEP_EINVAL;
    }
    uint32_t offset = PCI_BAR_0 + 4 * bar;
    uint32_t low = pci_read(pci, offset, 4);
    bool wide = low & PCI_BAR_64;
    if ((low & PCI_BAR_IO) || (wide && bar + 1 == PCI_BARS)) {
        return -SKEP_EINVAL;
    }
    *base = (low & ~PCI_BAR_FLAGS) | (wide ? (uint64_t)pci_read(pci, offset + 4, 4) << 32 : 0);
    *bytes = bar_bytes(pci, offset, wide);
    return *base != 0 ? 0 : -SKEP_ENODEV;
}

volatile void *pci_map(const struct pci_device *pci, uint32_t bar, uint64_t offset, uint64_t bytes)
{
    uint64_t base, size;
    if (bar_find(pci, bar, &base, &size) < 0 || bytes > size || offset > size - bytes) {
        log_line("pci: %04x: no region of %lu bytes at %lx in BAR %u", pci->address, bytes, offset,
                 bar);
        return NULL;
    }
    return arch_mmio_map(paddr(base + offset), bytes);
}

static volatile void *msix_entry(const struct pci_device *pci, uint32_t capability, uint32_t entry)
{
    uint32_t table = pci_read(pci, capability + MSIX_TABLE, 4);
    uint64_t offset = (table & ~7u) + (uint64_t)entry * MSIX_ENTRY_BYTES;
    return pci_map(pci, table & 7, offset, MSIX_ENTRY_BYTES);
}

int pci_msix_enable(const struct pci_device *pci, uint32_t entry, uint32_t cpu,
                    void (*handler)(void *), void *argument)
{
    uint32_t capability = pci_capability(pci, PCI_CAPABILITY_MSIX, 0);
    if (capability == 0) {
        return -SKEP_ENODEV;
    }
    uint32_t control = pci_read(pci, capability + MSIX_CONTROL, 2);
    if (entry > (control & MSIX_CONTROL_SIZE)) {
        return -SKEP_ENOSPC;
    }
    volatile uint8_t *slot = msix_entry(pci, capability, entry);
    if (slot == NULL) {
        return -SKEP_ENODEV;
    }
    uint64_t address;
    uint32_t data;
    int error = arch_msi_alloc(cpu, handler, argument, &address, &data);
    if (error < 0) {
        return error;
    }
    mmio_write64(slot, address);
    mmio_write32(slot + 8, data);
    mmio_write32(slot + 12, 0); /* not masked */
    control = (control | MSIX_CONTROL_ENABLE) & ~MSIX_CONTROL_MASK;
    pci_write(pci, capability + MSIX_CONTROL, 2, control);
    return 0;
}
