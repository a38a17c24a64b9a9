/*
 * virtio_pci.h - the modern PCI transport of virtio devices (Virtio 1.2, section 4.1). Legacy devices are refused.
 */
#ifndef DRIVERS_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_PCI_H

#include "drivers/pci.h"
#include "drivers/virtqueue.h"

#define VIRTIO_VENDOR 0x1af4u

#define VIRTIO_NO_VECTOR 0xffffu

#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM \
    (1ull << 33) /* addresses go through the platform: without IOMMU they are physical */
#define VIRTIO_F_ORDER_PLATFORM (1ull << 36) /* the same barriers as for a CPU */

struct virtio_device {
    struct pci_device pci;
    volatile uint8_t *common, *notify, *config;
    uint32_t notify_bytes, notify_multiplier;
    uint32_t config_bytes;
    uint64_t features; /* agreed on */
};

/* Maps the device's registers and resets it. */
int virtio_open(struct virtio_device *device, const struct pci_device *pci);

/* The features that the device has. */
uint64_t virtio_offered(struct virtio_device *device);

/* Agrees on VERSION_1, what the transport needs and as many of `wanted` as there are. */
int virtio_negotiate(struct virtio_device *device, uint64_t wanted);

/* Sets up queue `index` with at most size_max entries, interrupting through MSI-X entry `vector`. */
int virtio_queue_start(struct virtio_device *device, struct virtqueue *queue, uint16_t index,
                       uint16_t size_max, uint16_t vector);

/* The device may work from now on, and interrupts through MSI-X entry `vector` when its configuration changes. */
void virtio_start(struct virtio_device *device, uint16_t vector);

/* Gives up a device that can't be started. */
void virtio_fail(struct virtio_device *device);

/* Kicks and waits for the answer to the chain with this head, the only one in the queue, by polling. While booting: bounded,
 * but not short. -SKEP_EIO: none comes, or not for that one. */
int virtio_answer(struct virtio_device *device, struct virtqueue *queue, int head);

/* Whether the device says that it has failed (section 2.1.1). */
bool virtio_needs_reset(const struct virtio_device *device);

/* Takes memory and interrupts from a device that works: it is told to reset, and PCI lets it transfer nothing any more, so
 * that what it had may be used for something else. Any context; bounded, whatever the device does. */
void virtio_stop(struct virtio_device *device);

/* Reads from the device's own configuration; zeroes beyond its end. */
void virtio_config_read(const struct virtio_device *device, uint32_t offset, uint8_t *to,
                        uint32_t bytes);

#endif
