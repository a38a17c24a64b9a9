/*
 * virtio_fixture.c - a virtio device on PCI, for the tests of the drivers.
 */
#include "virtio_fixture.h"

#include "test.h"

#include "arch/arch.h"

#define BAR_BASE 0xe0000000u
#define MSIX     0x3000u

uint8_t config_space[256];
_Alignas(16) uint8_t bar[BAR_BYTES];
struct msi msi[MSI_MAX];
uint32_t msi_count, msi_limit;

void put(uint32_t at, uint64_t value, uint32_t bytes)
{
    memcpy(bar + at, &value, bytes);
}

uint64_t get(uint32_t at, uint32_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, bar + at, bytes);
    return value;
}

uint32_t arch_pci_read(uint32_t address, uint32_t offset, uint32_t bytes)
{
    uint32_t value = 0;
    (void)address;
    memcpy(&value, config_space + offset, bytes);
    return value;
}

/* A BAR's low bits don't change: that is how its size is found. */
void arch_pci_write(uint32_t address, uint32_t offset, uint32_t bytes, uint32_t value)
{
    (void)address;
    if (offset == 0x10) {
        value &= ~(BAR_BYTES - 1);
    }
    memcpy(config_space + offset, &value, bytes);
}

void *arch_mmio_map(paddr_t base, uint64_t bytes)
{
    assert_in_range(base.value, BAR_BASE, BAR_BASE + BAR_BYTES - bytes);
    return bar + (base.value - BAR_BASE);
}

int arch_msi_alloc(uint32_t cpu_index, void (*handler)(void *), void *argument, uint64_t *address,
                   uint32_t *data)
{
    if (msi_count == msi_limit) {
        return -SKEP_ENOSPC;
    }
    msi[msi_count] = (struct msi){cpu_index, handler, argument};
    *address = 0xfee00000;
    *data = msi_count++;
    return 0;
}

static void capability(uint32_t at, uint32_t next, uint8_t type, uint32_t offset, uint32_t bytes)
{
    uint8_t *to = config_space + at;
    to[0] = 9;
    to[1] = (uint8_t)next;
    to[3] = type;
    memcpy(to + 8, &offset, 4);
    memcpy(to + 12, &bytes, 4);
}

void device_new(uint16_t id, uint32_t table_size, uint32_t queue_size, uint32_t features)
{
    const uint32_t bar_base = BAR_BASE, table = MSIX;
    const uint16_t ids[2] = {0x1af4, id};
    const uint8_t msix[4] = {0x11, 0x50, (uint8_t)(table_size - 1), 0};
    memset(config_space, 0, sizeof(config_space));
    memset(bar, 0, sizeof(bar));
    memcpy(config_space, ids, sizeof(ids));
    config_space[6] = 0x10;
    config_space[0x34] = 0x40;
    memcpy(config_space + 0x10, &bar_base, 4);
    memcpy(config_space + 0x40, msix, sizeof(msix));
    memcpy(config_space + 0x44, &table, 4);
    capability(0x50, 0x60, 1, COMMON, 0x38);
    capability(0x60, 0x78, 2, NOTIFY, 0x100);
    capability(0x78, 0, 4, CONFIG, 0x40);
    put(COMMON + 0x04, features, 4);
    put(COMMON + 0x18, queue_size, 2);
    msi_count = 0;
    msi_limit = MSI_MAX;
}
