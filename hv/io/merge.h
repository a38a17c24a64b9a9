/*
 * merge.h - how a part of a long TCP segment gets to another port as one: over as many receive buffers as it takes
 * (num_buffers of Virtio 1.2, section 5.1.6.4), copied once. If the port has a payload queue with buffers, the payload lies
 * in those, and only the headers in a receive buffer: the guest handles far fewer and longer buffers, and whole pages.
 *
 * The sender's payload and the receiver's buffers are pinned, so that the two guests' locks need not be held together.
 * What isn't there yet isn't supplied: then the part ends before it. So nothing here can fail half-way, and a part is
 * bounded by MERGE_PIECES_MAX on each side.
 */
#ifndef IO_MERGE_H
#define IO_MERGE_H

#include "io/queue.h"
#include "io/segment.h"

#define MERGE_PIECES_MAX 18u
#define MERGE_APART_MIN  3000u /* shorter payload isn't worth a payload buffer */

/* Pinned memory of a guest; no piece crosses a page. */
struct merge_memory {
    struct nic_piece pieces[MERGE_PIECES_MAX];
    uint32_t count;
    uint32_t bytes; /* of all */
};

/* A segment on its way: what was copied and judged, how far it is, and the payload from there on as far as it is pinned. */
struct merge_segment {
    struct segments segments;
    struct skep_net_header header;
    uint8_t head[128];
    uint32_t at;
    struct merge_memory payload;
};

/* Adds memory of a chain from `offset` on to what is pinned, at most `bytes` of it, as far as it is there and there is room
 * for pieces. */
void merge_pin(struct merge_memory *memory, struct guest *guest, const struct queue_chain *chain,
               uint32_t offset, uint32_t bytes, bool write);

void merge_unpin(struct merge_memory *memory);

/* Copies whole frames' worth of the payload, two at least, into the payload queue's next chains and the headers into the
 * queue's next one, or, if that queue has none or isn't set up, all into the queue's next chains, and gives these back
 * at once; or does nothing and returns 0. How much payload it was. The lock that guards the queues is
 * held. The segment's headers are used up. */
uint32_t merge_receive(struct queue *queue, struct queue *payload_queue, struct guest *guest,
                       struct merge_segment *segment);

#endif
