/*
 * queue.h - the back-end of a PV virtqueue (Virtio 1.2, section 2.7, with abi.h's differences).
 *
 * The guest may write its ring at any time, so each index and descriptor is read once, into ring 0's memory, and
 * only that copy is checked and used. Ring 0 goes by its own indexes; those in the ring are for the guest. A chain is
 * first looked at (queue_peek(), which may fail and changes nothing) and then consumed (which can't fail).
 *
 * port.lock, or volume.lock, guards a queue. Errors are negative SKEP_E… codes; a rule that the guest broke is -SKEP_EINVAL and told
 * by chain.fault.
 */
#ifndef IO_QUEUE_H
#define IO_QUEUE_H

#include "core/guest.h"
#include "drivers/nic.h"

#define QUEUE_CHAIN_MAX 8u           /* descriptors */
#define QUEUE_BYTES_MAX (64u * 1024) /* of a chain */

/* What a guest did wrong: `error` of a SKEP_CRASH_RING record. The record's address is given behind each. */
enum queue_fault {
    QUEUE_FAULT_NONE,
    QUEUE_FAULT_INDEX, /* avail->index is further ahead than the queue is long: its value */
    QUEUE_FAULT_HEAD,  /* no such descriptor in avail->ring: its value */
    QUEUE_FAULT_NEXT,  /* no such descriptor in `next`: its value */
    QUEUE_FAULT_CHAIN, /* more than QUEUE_CHAIN_MAX descriptors, a loop perhaps: the head */
    QUEUE_FAULT_FLAGS, /* unknown flags, or writable where read-only is due or the other way round: flags */
    QUEUE_FAULT_LENGTH,  /* more than QUEUE_BYTES_MAX in a chain: the length that goes beyond */
    QUEUE_FAULT_ADDRESS, /* a buffer outside of the guest's half of the address space: its address */
    QUEUE_FAULT_ACCESS,  /* a buffer that is not mapped with the needed rights: its address */
    QUEUE_FAULT_REQUEST, /* a block request that isn't header, data and status as its type wants them: the head */
};

struct queue_part {
    gva_t address;
    uint32_t bytes;
};

struct queue_chain {
    uint16_t head;
    uint16_t part_count;
    uint32_t bytes;
    enum queue_fault fault;
    uint64_t fault_address;
    struct queue_part parts[QUEUE_CHAIN_MAX];
};

/* A block request's chain: what is read, header first, then what is written, status last. */
struct queue_request {
    uint16_t head;
    uint16_t part_count; /* at least header and status */
    uint16_t readable;   /* of these; the first ones */
    uint32_t bytes;      /* between header and status */
    enum queue_fault fault;
    uint64_t fault_address;
    struct queue_part parts[SKEP_BLOCK_PARTS_MAX];
};

struct queue {
    struct vcpu *vcpu; /* that gets the event; NULL = the queue is not set up */
    uint32_t event;
    uint16_t size;
    uint16_t next_avail, next_used;
    uint16_t told; /* next_used when queue_event_due() was last asked */
    const struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    paddr_t pins[3];
};

/* Pins the three parts. -SKEP_EINVAL for a bad size, alignment or vCPU, -SKEP_EBUSY when it is set up already,
 * -SKEP_EFAULT or -SKEP_ENOMEM when a part is not writable memory. */
int queue_setup(struct queue *queue, struct guest *guest, const struct skep_queue_setup *setup);

/* Gives the pins back. */
void queue_teardown(struct queue *queue);

/* Decodes the next chain: 1, 0 when there is none, or -SKEP_EINVAL. Its buffers are all writable or all not. */
int queue_peek(const struct queue *queue, bool write, struct queue_chain *chain);

/* The same for the one that is so many behind it. */
int queue_peek_ahead(const struct queue *queue, uint32_t ahead, bool write,
                     struct queue_chain *chain);

/* The same for a block request. */
int queue_peek_request(const struct queue *queue, struct queue_request *request);

/* The chain looked at is taken; each taken head is given back once. */
void queue_take(struct queue *queue);

/* Gives a chain back, with so many bytes written to it. */
void queue_push(struct queue *queue, uint16_t head, uint32_t bytes);

/* The same for chains that belong together, which the guest sees at once: of each what is given back, then how many. */
void queue_fill(struct queue *queue, uint32_t index, uint16_t head, uint32_t bytes);
void queue_publish(struct queue *queue, uint32_t count);

/* Whether the guest wants the queue's event for what was pushed since the last call. */
bool queue_event_due(struct queue *queue);

/* Asks the guest to kick when it adds a chain. True: it has done so already, so look again. */
bool queue_arm(struct queue *queue);

/* Copies `bytes` at `offset` of the chain from the guest or to it. The chain is long enough. A buffer that can't be
 * accessed sets chain->fault. */
int queue_read(struct guest *guest, struct queue_chain *chain, uint32_t offset, void *to,
               uint32_t bytes);
int queue_write(struct guest *guest, struct queue_chain *chain, const void *from, uint32_t bytes);

/* Pins the chain's memory from `offset` to its end for a device to read: at most NIC_PIECES_MAX pieces, or -SKEP_E2BIG.
 * Nothing is pinned after an error. */
int queue_pin(struct guest *guest, struct queue_chain *chain, uint32_t offset,
              struct nic_piece *pieces, uint32_t *count);

#endif
