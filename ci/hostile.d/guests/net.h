/*
 * net.h - virtqueues and frames without any driver between them and ring 0, for attackers with two devices: what device
 * 0 sends to device 1 stays in the guest, so that it can be looked at.
 */
#ifndef NET_H
#define NET_H

#include "raw.h"

#define RING_SIZE   64u
#define FRAME_MAX   1514u
#define FRAME_BYTES 64u /* of the frames made here */

/* In the frame from MARK_AT on: no frame with this may ever be seen on the wire, where ci/hostile looks for it. */
#define MARK    "SkepForgery"
#define MARK_AT 48u

/* As ci/hostile and QEMU's user-mode network have them; addresses in network byte order. */
#define ADDRESS(last)     (10u | 2u << 16 | (uint32_t)(last) << 24)
#define GATEWAY_ADDRESS   ADDRESS(2)
#define CONTROL_ADDRESS   ADDRESS(15)
#define NEIGHBOUR_ADDRESS ADDRESS(20)
extern const uint8_t gateway_mac[6], control_mac[6], broadcast_mac[6];

/* The three parts lie in a page each. */
struct ring {
    uint32_t number;
    uint32_t size;
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    uint16_t taken; /* of the used ring */
};

struct packet {
    struct skep_net_header header;
    uint8_t frame[FRAME_MAX + 40];
};

void ring_make(struct ring *ring, uint32_t number, uint32_t size);

/* The same with SKEP_QUEUE_…. */
void ring_make_flags(struct ring *ring, uint32_t number, uint32_t size, uint32_t flags);

/* Makes descriptor 0 of the ring, and gives `head` to ring 0 as the next chain. */
void ring_set(struct ring *ring, uint32_t index, uint64_t address, uint32_t bytes, uint16_t flags,
              uint16_t next);
void ring_offer(struct ring *ring, uint16_t head);

/* Inline, so that the attack's own function is where ring 0 refuses it. */
__attribute__((always_inline)) static inline int64_t ring_kick(struct ring *ring)
{
    return skep_hc_queue_kick(ring->number);
}

/* Sets up transmission on device 0 and reception on device 1. */
void net_start(struct ring *tx, struct ring *rx);

/* A valid UDP datagram from device 0 to device 1 with a number in it. */
void packet_make(struct packet *packet, uint32_t number);

/* Sends bytes of frame behind its header from device 0, and waits until it is given back. */
void packet_send(struct ring *tx, const struct packet *packet, uint32_t frame_bytes);

/* What device 1 received, in buffers of net_start(); NULL = nothing. */
const struct packet *packet_received(struct ring *rx);

#endif
