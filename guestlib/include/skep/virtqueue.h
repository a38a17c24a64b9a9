/*
 * virtqueue.h - the driver's side of a split virtqueue as <skep/abi.h> has it (Virtual I/O Device
 * 1.2, section 2.7, EVENT_IDX always on, no indirect descriptors).
 *
 * A queue is one page: descriptors, then the available ring, then the used ring. The caller
 * serialises all calls on one queue. Errors are negative errno values.
 */
#ifndef SKEP_VIRTQUEUE_H
#define SKEP_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

/* The largest queue whose three parts fit one page together. */
#define SKEP_VIRTQUEUE_SIZE_MAX 128u

struct skep_virtqueue {
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    uint32_t number;
    uint16_t size;
    uint16_t free_head; /* free descriptors are linked by their next */
    uint16_t free_count;
    uint16_t added;     /* available index, not yet seen by the back-end */
    uint16_t published; /* available index as the back-end can see it */
    uint16_t taken;     /* used index up to which we have looked */
};

/* Lays an empty queue of size descriptors (a power of two, 2 to SKEP_VIRTQUEUE_SIZE_MAX) out in page,
 * which is zeroed, aligned to its size and the queue's for ever, and announces it to ring 0; its
 * event (SKEP_EVENT_QUEUE_0 + number) goes to vCPU 0. No event is asked for yet. flags: SKEP_QUEUE_….
 * -EINVAL: a size that isn't allowed; else what SKEP_HC_QUEUE_SETUP says. */
int skep_virtqueue_setup(struct skep_virtqueue *queue, uint32_t number, unsigned size, void *page,
                         uint32_t flags);

/* Queues a chain of count buffers: addr, len and SKEP_VRING_DESC_WRITE of each part are looked at.
 * The buffers belong to the back-end until the chain is taken. The result, below size, names the
 * chain until then: the first chains of a queue, of one buffer each, are 0, 1, 2 and so on. -ENOSPC: too few free
 * descriptors. */
int skep_virtqueue_add(struct skep_virtqueue *queue, const struct skep_vring_desc *parts,
                       unsigned count);

/* Shows the back-end what was added, and calls it if it asked for that. */
void skep_virtqueue_kick(struct skep_virtqueue *queue);

/* The first half of that, for who wants to give a lock back before the call: true = skep_hc_queue_kick() is due. */
bool skep_virtqueue_publish(struct skep_virtqueue *queue);

/* The name of the next chain that the back-end has used, with the bytes that it wrote; -1 = none. */
int skep_virtqueue_take(struct skep_virtqueue *queue, uint32_t *bytes);

/* The same, but the chain keeps its name and its buffers, and is queued again by skep_virtqueue_repeat() alone. */
int skep_virtqueue_take_held(struct skep_virtqueue *queue, uint32_t *bytes);

/* Queues a chain of skep_virtqueue_take_held() again as it was, once. */
void skep_virtqueue_repeat(struct skep_virtqueue *queue, unsigned chain);

/* Asks for one event once more than `after` chains have been used beyond those taken. True: so many
 * have been already, and perhaps no event comes. */
bool skep_virtqueue_arm(struct skep_virtqueue *queue, uint16_t after);

/* Whether a chain can be taken now. */
bool skep_virtqueue_ready(const struct skep_virtqueue *queue);

#endif
