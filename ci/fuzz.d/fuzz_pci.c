/*
 * fuzz_pci.c - PCI configuration space: the scan, capability lists, BARs, MSI-X, virtio's capabilities and registers.
 *
 * The input has the configuration space of a few functions and the registers behind their BARs. The bus is played here.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "core/log.h"
#include "drivers/pci.h"
#include "drivers/virtio_pci.h"
#include "harness.h"

#define FUNCTIONS     4u
#define CONFIG_BYTES  256u
#define REGISTERS_MAX 512u
#define MAPPED_MAX    16u

static struct function {
    uint32_t address;
    uint8_t config[CONFIG_BYTES];
} functions[FUNCTIONS];
static uint8_t registers[REGISTERS_MAX];
static void *mapped[MAPPED_MAX];
static uint32_t mapped_count;
static uint64_t way;

char *fake_arena; /* which no queue lies in here */

/* ---- the bus ---- */

static struct function *function_at(uint32_t address)
{
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        if (functions[i].address == address) {
            return &functions[i];
        }
    }
    return NULL;
}

uint32_t arch_pci_read(uint32_t address, uint32_t offset, uint32_t bytes)
{
    uint32_t value = UINT32_MAX;
    const struct function *function = function_at(address);
    FUZZ_CHECK(bytes == 1 || bytes == 2 || bytes == 4);
    FUZZ_CHECK(offset % bytes == 0 && offset + bytes <= CONFIG_BYTES);
    if (function) {
        value = 0;
        memcpy(&value, function->config + offset, bytes);
    }
    way = way_add(way, value);
    return bytes == 4 ? value : value & ((1u << (8 * bytes)) - 1);
}

/* BARs are of 4 KiB: their low bits don't change. */
void arch_pci_write(uint32_t address, uint32_t offset, uint32_t bytes, uint32_t value)
{
    struct function *function = function_at(address);
    FUZZ_CHECK(function && offset % bytes == 0 && offset + bytes <= CONFIG_BYTES);
    if (offset >= 0x10 && offset < 0x28) {
        uint32_t low;
        memcpy(&low, function->config + offset, 4);
        value = (value & ~0xfffu) | (low & 0xfff);
    }
    memcpy(function->config + offset, &value, bytes);
}

/* Each region exactly as long as asked for, so that an access beyond it is found. */
void *arch_mmio_map(paddr_t base, uint64_t bytes)
{
    (void)base;
    if (mapped_count == MAPPED_MAX || bytes > 1u << 20) {
        return NULL;
    }
    uint8_t *region = malloc(bytes ? bytes : 1);
    FUZZ_CHECK(region);
    for (uint64_t i = 0; i < bytes; i++) {
        region[i] = registers[i % REGISTERS_MAX];
    }
    mapped[mapped_count++] = region;
    return region;
}

int arch_msi_alloc(uint32_t cpu_index, void (*handler)(void *), void *argument, uint64_t *address,
                   uint32_t *data)
{
    (void)cpu_index;
    (void)handler;
    (void)argument;
    *address = 0xfee00000;
    *data = 0x40;
    return 0;
}

void log_line(const char *format, ...)
{
    way = way_add(way, (uint64_t)strlen(format));
}

/* From here to the driver not reached: no queue is started here, since that takes ring 0's frames. */
int virtqueue_init(struct virtqueue *queue, uint16_t size, bool event_idx)
{
    (void)queue;
    (void)size;
    (void)event_idx;
    return -SKEP_ENOMEM;
}

void virtqueue_kick(struct virtqueue *queue)
{
    (void)queue;
}

int virtqueue_take(struct virtqueue *queue, uint32_t *bytes)
{
    (void)queue;
    (void)bytes;
    return -SKEP_EAGAIN;
}

void virtqueue_release(struct virtqueue *queue, uint16_t head)
{
    (void)queue;
    (void)head;
}

void (*fake_waiting)(void);

void fake_deadlock(void)
{
    __builtin_trap();
}

/* ---- the driver ---- */

static void open_device(const struct pci_device *pci)
{
    struct virtio_device device = {0};
    uint8_t config[16];
    if (virtio_open(&device, pci)) {
        return;
    }
    virtio_negotiate(&device, VIRTIO_F_EVENT_IDX);
    virtio_config_read(&device, 0, config, sizeof(config));
    virtio_config_read(&device, 250, config, sizeof(config));
    struct virtqueue queue;
    virtio_queue_start(&device, &queue, 0, 256, 0);
    virtio_fail(&device);
}

static void found(const struct pci_device *pci)
{
    way = way_add(way, pci->address);
    pci_enable(pci);
    uint32_t at = 0;
    for (uint32_t i = 0; i < 64 && (at = pci_capability(pci, PCI_CAPABILITY_VENDOR, at)); i++) {
        FUZZ_CHECK(at >= 0x40 && at < CONFIG_BYTES);
    }
    pci_msix_enable(pci, registers[0] & 7, 0, NULL, NULL);
    open_device(pci);
}

void fuzz_start(void)
{
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    way = 0;
    mapped_count = 0;
    input_take(&input, registers, 64);
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        uint8_t where = input_byte(&input);
        functions[i].address = i == 0 ? 0 : (uint32_t)(where & 3) << 8 | (where >> 2 & 15);
        input_take(&input, functions[i].config, CONFIG_BYTES);
    }
    input_take(&input, registers + 64, REGISTERS_MAX - 64);
    pci_scan(found);
    for (uint32_t i = 0; i < mapped_count; i++) {
        free(mapped[i]);
    }
    return way;
}
