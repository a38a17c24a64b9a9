/*
 * virtio_pci.c - the modern PCI transport of virtio devices (Virtio 1.2, section 4.1).
 */
#include "drivers/virtio_pci.h"

#include "arch/arch.h"
#include "core/log.h"
#include "drivers/mmio.h"

/* struct virtio_pci_cap, section 4.1.4. */
#define CAP_TYPE              3u
#define CAP_BAR               4u
#define CAP_OFFSET            8u
#define CAP_BYTES             12u
#define CAP_NOTIFY_MULTIPLIER 16u
#define CAPABILITIES_MAX      48u /* a list that loops ends here */
#define CAP_TYPE_COMMON       1u
#define CAP_TYPE_NOTIFY       2u
#define CAP_TYPE_DEVICE       4u

/* struct virtio_pci_common_cfg, section 4.1.4.3. */
#define COMMON_DEVICE_FEATURE_SELECT 0x00u
#define COMMON_DEVICE_FEATURE        0x04u
#define COMMON_DRIVER_FEATURE_SELECT 0x08u
#define COMMON_DRIVER_FEATURE        0x0cu
#define COMMON_CONFIG_VECTOR         0x10u
#define COMMON_STATUS                0x14u
#define COMMON_GENERATION            0x15u
#define COMMON_QUEUE_SELECT          0x16u
#define COMMON_QUEUE_SIZE            0x18u
#define COMMON_QUEUE_VECTOR          0x1au
#define COMMON_QUEUE_ENABLE          0x1cu
#define COMMON_QUEUE_NOTIFY_OFFSET   0x1eu
#define COMMON_QUEUE_DESC            0x20u
#define COMMON_QUEUE_AVAIL           0x28u
#define COMMON_QUEUE_USED            0x30u
#define COMMON_BYTES                 0x38u

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_FAILED      128u

#define RESET_POLLS  1000000u /* some 100 ms of uncached reads */
#define CONFIG_POLLS 100u
#define ANSWER_POLLS 1000000u /* some 100 ms of uncached reads, more where they are emulated */

/* Maps the first capability of this type that is a region of a memory BAR. */
static volatile uint8_t *map_capability(const struct pci_device *pci, uint8_t type,
                                        uint32_t bytes_min, uint32_t *bytes, uint32_t *at)
{
    *at = 0;
    for (uint32_t step = 0; step < CAPABILITIES_MAX; step++) {
        *at = pci_capability(pci, PCI_CAPABILITY_VENDOR, *at);
        if (*at == 0) {
            return NULL;
        }
        *bytes = pci_read(pci, *at + CAP_BYTES, 4);
        if (pci_read(pci, *at + CAP_TYPE, 1) == type && *bytes >= bytes_min) {
            volatile void *region = pci_map(pci, pci_read(pci, *at + CAP_BAR, 1),
                                            pci_read(pci, *at + CAP_OFFSET, 4), *bytes);
            if (region != NULL) {
                return region;
            }
        }
    }
    return NULL;
}

static void status_add(struct virtio_device *device, uint8_t bits)
{
    mmio_write8(device->common + COMMON_STATUS, mmio_read8(device->common + COMMON_STATUS) | bits);
}

/* Section 4.1.4.3.2: the reset is done when the status reads 0. */
static int reset(struct virtio_device *device)
{
    mmio_write8(device->common + COMMON_STATUS, 0);
    for (uint32_t i = 0; i < RESET_POLLS; i++) {
        if (mmio_read8(device->common + COMMON_STATUS) == 0) {
            return 0;
        }
    }
    log_line("virtio: %04x: does not come out of its reset", device->pci.address);
    return -SKEP_EIO;
}

int virtio_open(struct virtio_device *device, const struct pci_device *pci)
{
    uint32_t bytes, at;
    *device = (struct virtio_device){.pci = *pci};
    pci_enable(pci);
    device->common = map_capability(pci, CAP_TYPE_COMMON, COMMON_BYTES, &bytes, &at);
    device->notify = map_capability(pci, CAP_TYPE_NOTIFY, 2, &device->notify_bytes, &at);
    if (device->common == NULL || device->notify == NULL) {
        log_line("virtio: %04x: no modern interface", pci->address);
        return -SKEP_ENODEV;
    }
    device->notify_multiplier = pci_read(pci, at + CAP_NOTIFY_MULTIPLIER, 4);
    device->config = map_capability(pci, CAP_TYPE_DEVICE, 1, &device->config_bytes, &at);
    if (device->config == NULL) {
        device->config_bytes = 0;
    }
    int error = reset(device);
    if (error == 0) {
        status_add(device, STATUS_ACKNOWLEDGE);
        status_add(device, STATUS_DRIVER);
    }
    return error;
}

uint64_t virtio_offered(struct virtio_device *device)
{
    mmio_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 0);
    uint64_t low = mmio_read32(device->common + COMMON_DEVICE_FEATURE);
    mmio_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 1);
    return low | (uint64_t)mmio_read32(device->common + COMMON_DEVICE_FEATURE) << 32;
}

int virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
    wanted |= VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_ACCESS_PLATFORM |
              VIRTIO_F_ORDER_PLATFORM;
    device->features = virtio_offered(device) & wanted;
    mmio_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 0);
    mmio_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)device->features);
    mmio_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 1);
    mmio_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)(device->features >> 32));
    status_add(device, STATUS_FEATURES_OK);
    if (!(device->features & VIRTIO_F_VERSION_1) ||
        !(mmio_read8(device->common + COMMON_STATUS) & STATUS_FEATURES_OK)) {
        log_line("virtio: %04x: refuses features %lx", device->pci.address, device->features);
        return -SKEP_ENODEV;
    }
    return 0;
}

static uint64_t physical(const volatile void *direct)
{
    return arch_direct_paddr((const void *)direct).value;
}

/* Tells the device where the queue is. Section 4.1.5.1.3. */
static int queue_announce(struct virtio_device *device, struct virtqueue *queue, uint16_t vector)
{
    volatile uint8_t *common = device->common;
    mmio_write16(common + COMMON_QUEUE_SIZE, queue->size);
    mmio_write64(common + COMMON_QUEUE_DESC, physical(queue->desc));
    mmio_write64(common + COMMON_QUEUE_AVAIL, physical(queue->avail));
    mmio_write64(common + COMMON_QUEUE_USED, physical(queue->used));
    mmio_write16(common + COMMON_QUEUE_VECTOR, vector);
    if (mmio_read16(common + COMMON_QUEUE_VECTOR) != vector) {
        return -SKEP_ENOSPC;
    }
    mmio_write16(common + COMMON_QUEUE_ENABLE, 1);
    return 0;
}

int virtio_queue_start(struct virtio_device *device, struct virtqueue *queue, uint16_t index,
                       uint16_t size_max, uint16_t vector)
{
    volatile uint8_t *common = device->common;
    mmio_write16(common + COMMON_QUEUE_SELECT, index);
    uint16_t size = mmio_read16(common + COMMON_QUEUE_SIZE);
    size = size < size_max ? size : size_max;
    uint64_t doorbell =
        (uint64_t)mmio_read16(common + COMMON_QUEUE_NOTIFY_OFFSET) * device->notify_multiplier;
    if (size == 0 || (size & (size - 1)) != 0 || doorbell + 2 > device->notify_bytes) {
        log_line("virtio: %04x: queue %u has size %u, doorbell %lx", device->pci.address, index,
                 size, doorbell);
        return -SKEP_ENODEV;
    }
    int error = virtqueue_init(queue, size, device->features & VIRTIO_F_EVENT_IDX);
    if (error < 0) {
        return error;
    }
    queue->index = index;
    queue->doorbell = device->notify + doorbell;
    return queue_announce(device, queue, vector);
}

void virtio_start(struct virtio_device *device, uint16_t vector)
{
    mmio_write16(device->common + COMMON_CONFIG_VECTOR, vector);
    status_add(device, STATUS_DRIVER_OK);
}

int virtio_answer(struct virtio_device *device, struct virtqueue *queue, int head)
{
    int taken = -SKEP_EAGAIN;
    uint32_t bytes;
    virtqueue_kick(queue);
    for (uint32_t i = 0; i < ANSWER_POLLS && taken < 0 && !queue->broken; i++) {
        if (virtio_needs_reset(device)) {
            break;
        }
        arch_spin_hint();
        taken = virtqueue_take(queue, &bytes);
    }
    if (taken < 0 || taken != head) {
        return -SKEP_EIO;
    }
    virtqueue_release(queue, (uint16_t)head);
    return 0;
}

bool virtio_needs_reset(const struct virtio_device *device)
{
    return mmio_read8(device->common + COMMON_STATUS) & STATUS_NEEDS_RESET;
}

/* The read makes both writes, and what the device wrote before them, arrive. */
void virtio_stop(struct virtio_device *device)
{
    mmio_write8(device->common + COMMON_STATUS, 0);
    pci_disable(&device->pci);
    (void)mmio_read8(device->common + COMMON_STATUS);
}

/* The reset comes first: the device must let go of its queues. Their frames are not reused. */
void virtio_fail(struct virtio_device *device)
{
    if (device->common != NULL && reset(device) == 0) {
        status_add(device, STATUS_FAILED);
    }
}

/* Section 2.5.1: fields that belong together are read again until the generation stands still. */
void virtio_config_read(const struct virtio_device *device, uint32_t offset, uint8_t *to,
                        uint32_t bytes)
{
    for (uint32_t poll = 0; poll < CONFIG_POLLS; poll++) {
        uint8_t before = mmio_read8(device->common + COMMON_GENERATION);
        for (uint32_t i = 0; i < bytes; i++) {
            bool inside = offset + i < device->config_bytes;
            to[i] = inside ? mmio_read8(device->config + offset + i) : 0;
        }
        if (mmio_read8(device->common + COMMON_GENERATION) == before) {
            return;
        }
    }
}
