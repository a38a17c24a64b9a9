/*
 * virtqueue.h - the driver's end of a split virtqueue (Virtio 1.2, section 2.7), for devices of the machine.
 *
 * The device is trusted with memory (there is no IOMMU), but not with indexes: what it returns must be a chain that
 * it holds. Free lists and lengths are ring 0's own. The caller's lock guards a queue.
 */
#ifndef DRIVERS_VIRTQUEUE_H
#define DRIVERS_VIRTQUEUE_H

#include "core/types.h"

#define VIRTQUEUE_SIZE_MAX 256u

struct virtqueue_part {
    paddr_t address;
    uint32_t bytes;
};

struct virtqueue {
    uint16_t size;
    bool event_idx; /* VIRTIO_F_EVENT_IDX was agreed on */
    bool broken;    /* the device broke the rules: nothing more is taken from it */
    uint16_t free_head, free_count;
    uint16_t next_avail, next_used;
    uint16_t told; /* next_avail when the device was last told */
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    volatile void *doorbell;
    uint16_t index;                    /* what is written to the doorbell */
    uint16_t next[VIRTQUEUE_SIZE_MAX]; /* chains and free list */
    uint16_t
        parts[VIRTQUEUE_SIZE_MAX]; /* of the chain that starts here, 0 = the device holds none */
};

/* Takes memory for a queue of `size` entries, a power of two of at most VIRTQUEUE_SIZE_MAX. */
int virtqueue_init(struct virtqueue *queue, uint16_t size, bool event_idx);

/* Makes a chain available to the device, which reads the first `readable` of its parts and writes to the others; returns
 * its head, or -SKEP_EAGAIN when there is no room. */
int virtqueue_add(struct virtqueue *queue, const struct virtqueue_part *parts, uint32_t count,
                  uint32_t readable);

/* The same with one entry of the queue, if the device knows VIRTIO_F_INDIRECT_DESC: the descriptors go to `table`, in memory
 * of the driver's, which is the device's until the chain is taken. The chain may not be longer than the queue. */
int virtqueue_add_indirect(struct virtqueue *queue, struct skep_vring_desc *table,
                           const struct virtqueue_part *parts, uint32_t count, uint32_t readable);

/* Tells the device about what was added since the last time, if it wants to know. */
void virtqueue_kick(struct virtqueue *queue);

/* The same in two steps: whether it wants to know, and the doorbell, which needs no lock. An emulated device may keep the
 * CPU that rings waiting, and with it whoever waits for a lock that it holds. */
bool virtqueue_kick_due(struct virtqueue *queue);
void virtqueue_ring(const struct virtqueue *queue);

/* How many chains the device isn't done with, by its own word. */
uint16_t virtqueue_held(const struct virtqueue *queue);

/* Takes the next chain that the device is done with: its head, or -SKEP_EAGAIN. Its descriptors are in use until
 * virtqueue_release(). */
int virtqueue_take(struct virtqueue *queue, uint32_t *bytes);
void virtqueue_release(struct virtqueue *queue, uint16_t head);

/* In place of virtqueue_release(): gives the device the same chain, as it was added, once more. */
void virtqueue_repeat(struct virtqueue *queue, uint16_t head);

/* Asks for an interrupt when the device is done with one more chain, or, with `lazy`, with three quarters of
 * those that it holds. True: it is done with more already, so take again. */
bool virtqueue_arm(struct virtqueue *queue, bool lazy);

#endif
