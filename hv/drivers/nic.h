/*
 * nic.h - what the switch and the drivers of network cards say to each other.
 *
 * A packet to send is a header and its first bytes, which the driver copies, and further pieces of memory by
 * physical address, which it lends from the sender until client->sent().
 *
 * A card has one or more pairs of a receive and a transmit queue. Pair i interrupts CPU i, which alone polls it, so that
 * its frames arrive in order and no other CPU is needed for them. Any CPU may transmit on any pair, under the pair's
 * nic.lock; who does so on its own, nic_pair_of(), shares it with nobody as long as there are as many pairs as CPUs. The
 * client sees to it that frames of one sender stay in order. Client functions are called without nic.lock.
 */
#ifndef DRIVERS_NIC_H
#define DRIVERS_NIC_H

#include "core/lock.h"
#include "core/types.h"

#define NIC_COPY_MAX   500u /* bytes of a frame that can be copied */
#define NIC_PIECES_MAX 16u  /* lent pieces, none of which crosses a page */
#define NIC_PAIRS_MAX  8u   /* each takes some 750 KiB */

struct nic;

struct nic_piece {
    paddr_t address;
    uint32_t bytes;
};

struct nic_packet {
    struct skep_net_header header;
    const uint8_t *head;
    uint32_t head_bytes; /* 1 to NIC_COPY_MAX */
    uint32_t piece_count;
    struct nic_piece pieces[NIC_PIECES_MAX];
    void *owner; /* for sent(); NULL = nobody wants to know */
    uint32_t cookie;
};

struct nic_driver {
    /* Takes a packet: its mark for passed(), or -SKEP_EAGAIN when there is no room; client->room() is called when there
     * is again. */
    int (*transmit)(struct nic *nic, uint32_t pair, const struct nic_packet *packet);

    /* Lets the device start on what was given to transmit(). */
    void (*kick)(struct nic *nic, uint32_t pair);

    /* Hands on at most `budget` received and as many sent packets. True: there is more. False: the device will
     * interrupt. On the pair's CPU. */
    bool (*poll)(struct nic *nic, uint32_t pair, uint32_t budget);

    /* Whether a packet of any permitted size would be taken now. */
    bool (*room)(struct nic *nic, uint32_t pair);

    /* Whether the device says that it has sent the packet with this mark, and all before it: another pair doesn't
     * overtake them. A hint. */
    bool (*passed)(struct nic *nic, uint32_t pair, uint32_t mark);
};

struct nic_client {
    /* The pair wants to be polled. On any CPU. */
    void (*interrupt)(struct nic *nic, uint32_t pair);

    /* A frame, `bytes` long without the header, and its header, which lies before it; the memory is the client's
     * to change until it returns. True: it wants the same again, as a frame more of the budget, before any other of the
     * pair. */
    bool (*received)(struct nic *nic, struct skep_net_header *header, uint32_t bytes);

    /* A packet's pieces are no longer used by the device. */
    void (*sent)(void *owner, uint32_t cookie, const paddr_t *pieces, uint32_t count);

    void (*room)(struct nic *nic);
};

struct nic {
    const struct nic_driver *driver;
    const struct nic_client *client;
    uint8_t mac[6];
    uint16_t mtu;
    bool tx_csum;        /* completes checksums */
    bool tx_tso4;        /* cuts TCP segments over IPv4 (gso_type) */
    bool tx_tso6;        /* over IPv6 */
    bool rx_csum;        /* may say DATA_VALID or NEEDS_CSUM */
    uint32_t pair_count; /* 1 to NIC_PAIRS_MAX, and no more than CPUs */
};

/* The pair on which a CPU transmits. */
static inline uint32_t nic_pair_of(const struct nic *nic, uint32_t cpu_index)
{
    return cpu_index < nic->pair_count ? cpu_index : cpu_index % nic->pair_count;
}

#endif
